/* SPDX-License-Identifier: MPL-2.0
 *
 * Commands in a task, as the supervisor keeps them: a byte says what happens next.  Answers of a broker are hostile:
 * whatever it says, each client hears of one end for each command, and nobody but our own children is signalled. */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fuzz.h"
#include "supervisor/program/super.h"

enum { FIRST_PID = 1000, CLIENTS = 3 };

static int64_t clock_ns;
static int children, begun, ended, sockets[2];
static bool reaped[256 * 4], gone[CLIENTS];

static int fuzz_kill(int pid, int sig)
{
	int child = abs(pid) - FIRST_PID;

	fuzz_must(sig > 0 && sig < NOMAD__NSIG && child >= 0 && child < children && !reaped[child]);
	return pid < 0 ? -1 : 0; /* it has no group yet */
}

static int64_t fuzz_now(void)
{
	return clock_ns;
}

#define kill fuzz_kill
#define nomad_monotonic_ns fuzz_now
#include "supervisor/program/exec.c"
#undef kill

static bool broker;
static struct task the_task = { .main.pid = 4242 };
static const struct spec the_spec;

bool clients_has(unsigned id)
{
	return id < CLIENTS && !gone[id];
}
void clients_send(unsigned id, const struct nomad__fields *message, const int *fds, int n_fds)
{
	const char *op = nomad__fields_get(message->buf, message->used, "op");

	fuzz_must(!message->full && op && id < CLIENTS);
	if (strcmp(op, "exec-exited") == 0)
		fuzz_must(!n_fds && ++ended <= begun);
	else
		fuzz_must(strcmp(op, "exec-terminal") == 0 && n_fds >= 1 && n_fds <= 2 && fds[0] >= 0);
}
void channel_begin(void)
{
}
bool channel_end(void)
{
	return false;
}
int limits_fork_beside(int pid)
{
	fuzz_must(pid == the_task.main.pid);
	return FIRST_PID + children++;
}
int spec_map(int fd, struct spec *ret)
{
	(void)fd;
	*ret = the_spec;
	return 0;
}
int64_t spec_num(const char *key, int64_t otherwise)
{
	return strcmp(key, "exec_broker") == 0 ? broker : otherwise;
}
void timer_set(enum super_timer timer, int64_t delay_ns)
{
	fuzz_must(timer == TIMER_EXEC && delay_ns <= patience_ns);
}
/* clang-format off */
const struct task *task(void) { return &the_task; }
enum super_state state_now(void) { return ST_RUNNING; }
const struct spec *spec_of_task(void) { return &the_spec; }
void spec_unmap(struct spec *spec) { *spec = the_spec; }
int channel_exec(void) { return sockets[0]; }
void channel_exec_close(void) {}
/* Of the child, which never runs here. */
void text_act(struct nomad__text *text, const char *act, const char *object) { (void)text; (void)act; (void)object; }
int limits_join_beside(int pid) { return -pid; }
int limits_set_own(void) { return -1; }
char **child_strings(const struct spec *spec, const char *key, const char *extra)
	{ (void)spec; (void)key; (void)extra; return NULL; }
void child_defaults(void) {}
int child_become(const struct spec *spec) { (void)spec; return -1; }
int child_exec(char **argv, char **env) { (void)argv; (void)env; return -1; }
int child_stdio(const int fds[3]) { return fds[0]; }
/* clang-format on */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_must(nomad__unix_pair(sockets) == 0);
	return 0;
}

static void ask(struct fuzz_input *in)
{
	static const int fds[NOMAD__MAX_FDS] = { 0, 0, 0, 0 };
	size_t size;
	char *message = fuzz_text(in, '\n', &size);
	unsigned client = fuzz_byte(in) % CLIENTS;

	begun++;
	exec_start(client, message, size, fds);
	free(message);
}

static void answer_comes(struct fuzz_input *in, enum kind kind, int fd)
{
	size_t size;
	char *message = fuzz_text(in, '\n', &size);

	take_answer(message, size < MESSAGE_SIZE ? size : MESSAGE_SIZE, fd, kind);
	free(message);
}

static void step(struct fuzz_input *in, int terminal)
{
	unsigned what = fuzz_byte(in);
	int child;

	switch (what % 9) {
	case 0:
		if (children < (int)sizeof(reaped) - 1)
			ask(in);
		break;
	case 1:
		answer_comes(in, BROKER, what & 16 ? terminal : 0);
		break;
	case 2:
		answer_comes(in, CHILD, what & 16 ? terminal : -1);
		break;
	case 3:
		exec_signal(fuzz_byte(in) % CLIENTS, (int8_t)fuzz_byte(in), (int8_t)fuzz_byte(in));
		break;
	case 4:
		broker_gone(ECONNRESET, "run");
		break;
	case 5:
		child = fuzz_byte(in);
		if (child < children && !reaped[child]) {
			reaped[child] = true;
			exec_reaped(FIRST_PID + child, fuzz_byte(in) << 8 | fuzz_byte(in));
		}
		break;
	case 6:
		clock_ns += fuzz_byte(in) * INT64_C(100000000);
		exec_check_deadlines();
		break;
	case 7:
		gone[fuzz_byte(in) % CLIENTS] = true;
		exec_kill_orphans();
		break;
	default:
		broker = what & 16;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char drained[MESSAGE_SIZE];
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	memset(execs, 0, sizeof(execs));
	memset(reaped, 0, sizeof(reaped));
	memset(gone, 0, sizeof(gone));
	children = begun = ended = 0;
	last_number = 0;
	clock_ns = 1;
	broker = true;
	while (in.size) {
		step(&in, terminal);
		while (recv(sockets[1], drained, sizeof(drained), MSG_DONTWAIT) > 0)
			;
	}
	if (terminal >= 0)
		close(terminal);
	return 0;
}
