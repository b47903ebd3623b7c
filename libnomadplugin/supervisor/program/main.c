/* SPDX-License-Identifier: MPL-2.0
 *
 * The supervisor: the parent of one task.
 *
 *   plugin --fork--> supervisor (1) --fork--> supervisor (2) --fork--> task
 *                        | exits at once          ^  ctl, notify, FIFOs
 *                        v                        |
 *   plugin <------- control messages (../PROTOCOL.md)
 *
 * It outlives the plugin that started it: own session, child of init (or of
 * who reaps for it), no descriptor of the plugin's but the connection that it
 * was started over.  One thread, no memory from the heap, no configuration
 * and no knowledge of any driver: what to run and which cgroups to use
 * comes as a list of keys (the specification) in anonymous memory, which is
 * unmapped as soon as the task runs, since it holds the environment.
 *
 * The life of the task is the table in table.c; loop.c turns what happens
 * (a child died, a message came, time is up) into its events. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/process.h"
#include "os/socket.h"
#include "supervisor/crash.h"

struct super S = { .dirfd = -1, .ctl_fd = -1, .notify_fd = -1, .exit_fd = -1, .exec_fd = -1 };

const char *spec_get(const char *key)
{
	return nomad__fields_get(S.spec, S.spec_size, key);
}

int64_t spec_num(const char *key, int64_t otherwise)
{
	return nomad__fields_get_num(S.spec, S.spec_size, key, otherwise);
}

int fail(int errnum, const char *act, const char *object)
{
	struct nomad__text t;

	if (!S.failure[0]) {
		S.failure_errno = errnum;
		nomad__text_init(&t, S.failure, sizeof(S.failure));
		nomad__text_add(&t, act);
		if (object) {
			nomad__text_add(&t, " '");
			nomad__text_add(&t, object);
			nomad__text_add(&t, "'");
		}
	}
	return -errnum;
}

/* Say who we are, before anything else is made: the pid with the time that
 * makes it one process, and the boot. */
int write_identity(void)
{
	char buf[2048], boot[NOMAD__BOOT_ID_SIZE];
	struct nomad__fields record;
	uint64_t start = 0;
	int r;

	r = nomad__boot_id(boot);
	if (r >= 0)
		r = nomad__process_start_time(getpid(), &start);
	if (r < 0)
		return r;
	nomad__fields_init(&record, buf, sizeof(buf));
	nomad__fields_add(&record, "version", NOMAD_VERSION);
	nomad__fields_add(&record, "boot", boot);
	nomad__fields_num(&record, "pid", getpid());
	nomad__fields_num(&record, "start", (int64_t)start);
	/* Not synced: another boot makes it worthless, and a killed process
	 * does not take the page cache along. */
	return nomad__fields_write(S.dirfd, "supervisor", &record, false);
}

int add_identity(const char *pid_key, int pid, const char *start_key, uint64_t start)
{
	char buf[128];
	struct nomad__fields record;

	nomad__fields_init_bare(&record, buf, sizeof(buf));
	nomad__fields_num(&record, pid_key, pid);
	nomad__fields_num(&record, start_key, (int64_t)start);
	return nomad__fields_append(S.dirfd, "supervisor", &record);
}

static void reset_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Writers to pipes and sockets look at what write() says. */
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	/* Nobody ends us but by SIGKILL: a stray signal to a whole session
	 * or control group must not orphan the task. */
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGQUIT, &sa, NULL);
}

/* The specification comes in the first message, as a descriptor. */
static int receive_spec(void)
{
	char message[256];
	int fds[NOMAD__MAX_FDS], r;
	struct stat st;
	void *map;
	ssize_t n = nomad__unix_receive(START_FD, message, sizeof(message), fds, true);

	if (n <= 0 || fds[0] < 0)
		return fail(n < 0 ? (int)-n : EPROTO, "receive the specification", NULL);
	if (fstat(fds[0], &st) < 0 || st.st_size <= 0)
		return fail(EPROTO, "look at the specification", NULL);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fds[0], 0);
	r = errno;
	close(fds[0]);
	if (map == MAP_FAILED)
		return fail(r, "map the specification", NULL);
	S.spec = map;
	S.spec_size = (size_t)st.st_size;
	return 0;
}

static int copy_option(const char *key, char *buf, size_t size)
{
	const char *value = spec_get(key);
	struct nomad__text t;

	nomad__text_init(&t, buf, size);
	if (value)
		nomad__text_add(&t, value);
	return t.full ? fail(ENAMETOOLONG, "keep option", key) : 0;
}

static int begin(void)
{
	const char *dir = spec_get("dir");
	int r;

	if (!dir || !spec_get("arg"))
		return fail(EPROTO, "read the specification", NULL);
	S.notify = spec_num("notify", 0) != 0;
	S.stop_signal = (int)spec_num("stop_signal", SIGTERM);
	r = copy_option("leader_key", S.leader_key, sizeof(S.leader_key));
	if (r >= 0)
		r = copy_option("exit_file", S.exit_file, sizeof(S.exit_file));
	if (r < 0)
		return r;
	S.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (S.dirfd < 0)
		return fail(errno, "open directory", dir);
	/* Held as long as we live; so there is one supervisor of a directory. */
	if (flock(S.dirfd, LOCK_EX | LOCK_NB) < 0)
		return fail(errno == EWOULDBLOCK ? EEXIST : errno, "lock directory", dir);
	/* A plugin that died before this may have been cleaned up after already. */
	if (poll(&(struct pollfd){ .fd = START_FD }, 1, 0) != 0)
		_exit(0);
	nomad__crash_at("super-detached");
	r = write_identity();
	if (r < 0)
		return fail(-r, "write into directory", dir);
	(void)unlinkat(S.dirfd, "exit", 0);
	(void)unlinkat(S.dirfd, ".exit.new", 0);
	nomad__crash_at("super-recorded");
	r = ctl_listen();
	if (r < 0)
		return fail(-r, "make the control socket in", dir);
	nomad__crash_at("super-listening");
	r = logs_open();
	if (r >= 0)
		r = limits_create();
	if (r < 0)
		return r;
	nomad__crash_at("super-cgroups");
	return spawn_main();
}

int main(int argc, char **argv)
{
	int r, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)argc;
	(void)argv;
	for (int i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			return 1;
	nomad__close_from(START_FD + 1);
	if (fcntl(START_FD, F_SETFD, FD_CLOEXEC) < 0)
		return 1;
	reset_signals();
	nomad__process_name("supervisor");
	for (int i = 0; i < MAX_CLIENTS; i++)
		S.clients[i].fd = -1;
	S.clients[0] = (struct super_client){ .fd = START_FD, .starter = true };

	if (receive_spec() >= 0) {
		r = limits_fork_supervisor();
		if (r > 0)
			_exit(0);
		if (r < 0)
			(void)fail(-r, "fork", NULL);
	}
	if (!S.failure[0]) {
		setsid();
		(void)!chdir("/");
		umask(022);
		limits_leave_agent();
		(void)nomad__oom_score(-900);
		r = nomad__reaper_acquire();
		if (r < 0)
			(void)fail(-r, "become the reaper of the task", NULL);
	}
	if (S.failure[0] || begin() < 0) {
		leave_directory();
		ctl_failed();
		_exit(0);
	}
	super_loop();
	_exit(0);
}
