/* SPDX-License-Identifier: MPL-2.0
 *
 * crash.c is compiled twice: for the library, where it does nothing, and with
 * NOMAD_CRASH_POINTS for programs that tests run, which link that object, and
 * a supervisor with it, ahead of the library. */
#include "supervisor/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef NOMAD_CRASH_POINTS

#define VARIABLE "NOMAD_DRIVER_CRASH_AT"

void nomad__crash_at(const char *step)
{
	const char *at = getenv(VARIABLE);

	if (at && strcmp(at, step) == 0)
		(void)kill(getpid(), SIGKILL);
}

const char *nomad__crash_of_supervisor(char *buf, size_t size)
{
	const char *at = getenv(VARIABLE);

	if (!at || strncmp(at, "super-", 6) != 0 || strlen(at) + sizeof(VARIABLE "=") > size)
		return NULL;
	strcpy(buf, VARIABLE "=");
	return strcat(buf, at);
}

#else

void nomad__crash_at(const char *step)
{
	(void)step;
}

const char *nomad__crash_of_supervisor(char *buf, size_t size)
{
	(void)buf;
	(void)size;
	return NULL;
}

#endif
