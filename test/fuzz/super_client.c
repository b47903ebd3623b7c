/* SPDX-License-Identifier: MPL-2.0
 *
 * What a supervisor tells its plugin: "key=value" strings, each closed by a zero, an empty one between two messages.
 * Three commands run in the task. */
#include <pthread.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "os/socket.h"
#include "supervisor/handle.h"

enum { EXECS = 3 };

static struct nomad__loop *loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int exits, ends;

static void exited(void *ud, const struct nomad__supervisor_exit *result)
{
	(void)ud;
	(void)result;
	pthread_mutex_lock(&lock);
	fuzz_must(++exits == 1);
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static void notice(void *ud, const char *message, int64_t lost_bytes)
{
	(void)ud;
	fuzz_must(message);
	(void)lost_bytes;
}

static void terminal(void *ud, int output, int input)
{
	(void)ud;
	close(output);
	close(input);
}

static void command_over(void *ud, int r, int exit_code, int signal, const char *message)
{
	(void)ud;
	(void)exit_code;
	(void)signal;
	fuzz_must((r < 0) == (message != NULL));
	pthread_mutex_lock(&lock);
	fuzz_must(++ends <= EXECS);
	pthread_mutex_unlock(&lock);
}

static const struct nomad__supervisor_events events = { .exited = exited, .notice = notice };
static const struct nomad__command_events command_events = { .terminal = terminal, .exited = command_over };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char record[] = "v=1\0exit_code=1\0signal=0\0";

	(void)argc;
	(void)argv;
	fuzz_must(nomad__loop_new(&loop) == 0);
	/* Or the plugin would kill what is left. */
	fuzz_put_file("exit", record, sizeof(record) - 1);
	return 0;
}

static void tell_all(int fd, struct fuzz_input in)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	while (in.size) {
		bool passes = fuzz_byte(&in) & 1;
		const uint8_t *end = in.size ? memmem(in.data, in.size, "\0\0", 2) : NULL;
		size_t size;
		uint8_t *message = fuzz_bytes(&in, end ? (size_t)(end - in.data) + 1 : in.size, &size);

		if (end)
			(void)fuzz_byte(&in);
		if (size)
			(void)nomad__unix_send(fd, message, size, &null, passes, true);
		free(message);
	}
	close(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[] = { (char *)"true", NULL };
	struct nomad_exec what = { .argv = argv, .tty = true };
	struct nomad__supervisor_exec *execs[EXECS];
	struct nomad__supervisor *s = NULL;
	char path[40];
	int fds[2];

	exits = ends = 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/.", fuzz_directory());
	fuzz_must(nomad__unix_pair(fds) == 0 && nomad__supervisor_new(loop, path, &events, NULL, &s) == 0);
	s->fd = fds[0];
	s->commands = true;
	for (int i = 0; i < EXECS; i++)
		fuzz_must(nomad__supervisor_exec(s, &what, NULL, &command_events, NULL, &execs[i], NULL) == 0);
	fuzz_must(nomad__connection_watch(s) == 0);
	tell_all(fds[1], (struct fuzz_input){ data, size });
	close(fds[1]);
	pthread_mutex_lock(&lock);
	while (!exits)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < EXECS; i++)
		nomad__supervisor_exec_free(execs[i]);
	nomad__supervisor_free(s);
	return 0;
}
