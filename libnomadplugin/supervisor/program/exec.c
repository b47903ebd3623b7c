/* SPDX-License-Identifier: MPL-2.0 */
#include "supervisor/program/super.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

void exec_start(int client, const char *message, size_t size, const int *fds)
{
	(void) client;
	(void) message;
	(void) size;
	(void) fds;
}

void exec_signal(int client, int64_t id, int signal)
{
	(void) client;
	(void) id;
	(void) signal;
}

void exec_client_gone(int client)
{
	(void) client;
}

void exec_read_status(struct super_exec *exec)
{
	(void) exec;
}

void exec_reaped(struct super_exec *exec, int status)
{
	(void) exec;
	(void) status;
}
