/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages to the exec broker in a container, one a line; a line that begins with '!' is instead the end of a
 * command.  What stands behind the first zero is the file of arguments.  Nobody but its own forked is signalled. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fuzz.h"

enum { FIRST_PID = 1000 };

static int forked, dying;
static void *mapped;
static size_t mapped_size;

static pid_t fuzz_fork(void)
{
	return FIRST_PID + forked++;
}

static int fuzz_kill(pid_t pid, int sig)
{
	int child = abs(pid) - FIRST_PID;

	fuzz_must(sig > 0 && sig < NSIG && child >= 0 && child < forked);
	return pid < 0 ? -1 : 0;
}

static pid_t fuzz_waitpid(pid_t pid, int *status, int how)
{
	(void)how;
	fuzz_must(pid == -1);
	pid = dying ? FIRST_PID + dying - 1 : 0;
	*status = dying << 8;
	dying = 0;
	return pid;
}

static void *fuzz_mmap(void *at, size_t size, int how, int flags, int fd, off_t offset)
{
	mapped = mmap(at, size, how, flags, fd, offset);
	mapped_size = size;
	return mapped;
}

#define fork fuzz_fork
#define kill fuzz_kill
#define waitpid fuzz_waitpid
#define mmap fuzz_mmap
#include "nomad-driver-nspawn/init/broker.c"
#undef mmap

static int sockets[2];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_must(nomad__unix_pair(sockets) == 0);
	return 0;
}

static void drain(void)
{
	char message[MESSAGE_SIZE];
	ssize_t n;

	while ((n = recv(sockets[1], message, sizeof(message), MSG_DONTWAIT)) > 0)
		fuzz_must(nomad__fields_get(message, (size_t)n, "op") && nomad__fields_get(message, (size_t)n, "id"));
}

static void read_arguments(const uint8_t *data, size_t size)
{
	int fd = fuzz_file(data, size);
	char **argv = arguments_of(fd);

	for (char **arg = argv; arg && *arg; arg++)
		fuzz_must(strlen(*arg) < size);
	free(argv);
	if (mapped)
		munmap(mapped, mapped_size);
	mapped = NULL;
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int none[NOMAD__MAX_FDS] = { -1, -1, -1, -1 };
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL, *end = data + size;
	struct fuzz_input in = { data, zero ? (size_t)(zero - data) : size };

	memset(commands, 0, sizeof(commands));
	forked = 0;
	while (in.size) {
		char *message = fuzz_text(&in, '\n', &size);

		if (message[0] == '!' && forked) {
			dying = (unsigned char)message[1] % forked + 1;
			reap(sockets[0]);
		} else {
			for (size_t i = 0; i < size; i++)
				message[i] = message[i] == ' ' ? 0 : message[i]; /* fields are closed by zeros */
			handle(sockets[0], message, size < MESSAGE_SIZE ? size : MESSAGE_SIZE, none, NULL, NULL);
		}
		free(message);
		drain();
	}
	if (zero)
		read_arguments(zero + 1, (size_t)(end - zero) - 1);
	return 0;
}
