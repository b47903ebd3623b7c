/* SPDX-License-Identifier: MPL-2.0
 *
 * The plugin meets supervisors of other versions: here they are played by a
 * thread, as are their files.  And a supervisor meets those who are not
 * entitled.  What a real supervisor makes of a plugin of another version is
 * in fault_test.c. */
#include "supervisor/testing.h"

#include <poll.h>

#include "os/process.h"
#include "os/socket.h"
#include "base/fields.h"

/* A message is what a literal holds, its NULs included. */
struct message {
	const char *data;
	size_t size;
};
#define MESSAGE(text)                                                                                                  \
	{                                                                                                              \
		text, sizeof(text)                                                                                     \
	}

struct player {
	struct task t;
	int dirfd, ctl, child;
	pthread_t thread;
	const struct message *script; /* [0]: the answer to the greeting; then all at once; then the end */
	size_t n_script;
	char greeting[256];
	ssize_t greeting_size;
};

static void *play(void *arg)
{
	struct player *p = arg;
	struct pollfd poll_ctl = { .fd = p->ctl, .events = POLLIN };
	int fds[NOMAD__MAX_FDS], fd;
	uid_t uid;

	if (poll(&poll_ctl, 1, 60000) <= 0 || (fd = nomad__unix_accept(p->ctl, &uid)) < 0)
		return NULL;
	(void)fcntl(fd, F_SETFL, 0);
	p->greeting_size = nomad__unix_receive(fd, p->greeting, sizeof(p->greeting), fds, true);
	for (size_t i = 0; i < p->n_script; i++)
		(void)nomad__unix_send(fd, p->script[i].data, p->script[i].size, NULL, 0, true);
	/* The other side reads all before the end, a seqpacket socket keeps it. */
	close(fd);
	return NULL;
}

static void player_init(struct player *p, const struct message *script, size_t n_script)
{
	char buf[512], boot[NOMAD__BOOT_ID_SIZE];
	struct nomad__fields record;
	struct nomad__process child;

	memset(p, 0, sizeof(*p));
	task_init(&p->t);
	p->script = script;
	p->n_script = n_script;
	/* Who is recorded will be killed by the cleaning. */
	p->child = fork();
	if (p->child == 0)
		for (;;)
			pause();
	assert_int_equal(nomad__process_find(p->child, &child), 0);
	assert_int_equal(nomad__boot_id(boot), 0);
	p->dirfd = open(p->t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	nomad__fields_init(&record, buf, sizeof(buf));
	nomad__fields_add(&record, "wings", "two");
	nomad__fields_add(&record, "boot", boot);
	nomad__fields_num(&record, "pid", p->child);
	nomad__fields_num(&record, "start", (int64_t)child.start);
	assert_int_equal(nomad__fields_write(p->dirfd, "supervisor", &record, false), 0);
	p->ctl = nomad__unix_listen(p->dirfd, "ctl");
	assert_true(p->ctl >= 0);
	assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0);
}

static int attach(struct player *p, struct nomad_error **err)
{
	return nomad__supervisor_attach(p->t.loop, p->t.dir, &test_events, &p->t, &p->t.s, err);
}

static void player_done(struct player *p)
{
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	close(p->ctl);
	close(p->dirfd);
	/* Both sides begin with the version. */
	assert_true(p->greeting_size > 4);
	assert_memory_equal(p->greeting, "v=1\0", 4);
	task_done(&p->t);
	assert_int_equal(waitpid(p->child, NULL, 0), p->child);
}

static void test_newer_supervisor(void **state)
{
	static const struct message script[] = {
		MESSAGE("v=1\0op=prelude\0key=c-minor"),
		MESSAGE("v=1\0op=state\0version=99.0\0state=levitating\0pid=1\0aura=blue\0started_ns=123\0leader_pid="
			"2\0leader_pid=3"),
		MESSAGE("v=1\0op=hologram\0x=1\0y=2"),
		MESSAGE("v=1\0op=notice\0text=from the future\0font=serif"),
		MESSAGE("no equals sign at all"),
		MESSAGE("v=1\0op=exited\0exit_code=7\0signal=0\0karma=-4\0started_ns=123\0ended_ns=456"),
	};
	struct nomad_error *err = NULL;
	struct player p;

	(void)state;
	player_init(&p, script, NOMAD_ARRAY_LEN(script));
	if (attach(&p, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_int_equal(nomad__supervisor_started_ns(p.t.s), 123);
	task_wait(&p.t);
	assert_int_equal(p.t.result.exit_code, 7);
	assert_int_equal(p.t.result.ended_ns, 456);
	assert_false(p.t.result.lost);
	assert_non_null(strstr(p.t.notices, "from the future"));
	player_done(&p);
}

/* One that knows less than we ask for: every key has a default. */
static void test_older_supervisor(void **state)
{
	static const struct message script[] = {
		MESSAGE("op=state\0started_ns=5"),
		MESSAGE("op=exited\0exit_code=143\0signal=15"),
	};
	struct player p;

	(void)state;
	player_init(&p, script, NOMAD_ARRAY_LEN(script));
	assert_int_equal(attach(&p, NULL), 0);
	assert_int_equal(nomad__supervisor_pid(p.t.s), p.child);
	assert_int_equal(nomad__supervisor_leader(p.t.s), 0);
	task_wait(&p.t);
	assert_int_equal(p.t.result.signal, 15);
	assert_false(p.t.result.oom_killed || p.t.result.killed || p.t.result.lost);
	player_done(&p);
}

/* It closes without a word, as one that was killed does. */
static void test_silent_end(void **state)
{
	static const struct message script[] = { MESSAGE("v=1\0op=state\0started_ns=5") };
	struct player p;

	(void)state;
	player_init(&p, script, NOMAD_ARRAY_LEN(script));
	assert_int_equal(attach(&p, NULL), 0);
	task_wait(&p.t);
	assert_true(p.t.result.lost);
	player_done(&p);
}

static void test_other_protocol(void **state)
{
	static const struct message script[] = { MESSAGE("v=2\0op=state\0started_ns=5") };
	struct nomad_error *err = NULL;
	struct player p;

	(void)state;
	player_init(&p, script, NOMAD_ARRAY_LEN(script));
	assert_int_equal(attach(&p, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(nomad_error_message(err), "not version 1 of the control protocol"));
	nomad_error_free(err);
	assert_null(p.t.s);
	assert_int_equal(kill(p.child, 0), 0); /* and it lives */
	player_done(&p);
}

/* Even where files let him in, another user is not listened to. */
static void test_stranger(void **state)
{
	struct task t;
	char path[300];
	int pid, status;

	(void)state;
	if (geteuid() != 0)
		skip();
	task_init(&t);
	assert_int_equal(task_start_argv(&t, "/bin/sleep", "1000", NULL, NULL), 0);
	snprintf(path, sizeof(path), "%s/ctl", t.dir);
	assert_int_equal(chmod(t.base, 0755), 0);
	assert_int_equal(chmod(t.dir, 0755), 0);
	assert_int_equal(chmod(path, 0666), 0);
	for (int entitled = 0; entitled < 2; entitled++) {
		pid = fork();
		if (pid == 0) {
			static const char hello[] = "v=1\0op=hello", kill_it[] = "v=1\0op=kill";
			int dir = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fds[NOMAD__MAX_FDS], fd;
			char buf[4096];

			if (!entitled && (setgid(65534) < 0 || setuid(65534) < 0))
				_exit(3);
			fd = nomad__unix_connect(dir, "ctl");
			if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0)
				_exit(4);
			/* It may be closed before the second one. */
			(void)nomad__unix_send(fd, hello, sizeof(hello), NULL, 0, true);
			if (!entitled)
				(void)nomad__unix_send(fd, kill_it, sizeof(kill_it), NULL, 0, true);
			_exit(nomad__unix_receive(fd, buf, sizeof(buf), fds, true) > 0 ? 1 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), entitled);
	}
	assert_int_equal(t.exits, 0);
	assert_int_equal(kill(nomad__supervisor_leader(t.s), 0), 0);
	assert_int_equal(nomad__supervisor_kill(t.s, NULL), 0);
	task_wait(&t);
	task_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newer_supervisor), cmocka_unit_test(test_older_supervisor),
		cmocka_unit_test(test_silent_end),	 cmocka_unit_test(test_other_protocol),
		cmocka_unit_test(test_stranger),
	};

	return cmocka_run_group_tests_name("supervisor/protocol", tests, NULL, NULL);
}
