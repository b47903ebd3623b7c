/* SPDX-License-Identifier: MPL-2.0
 *
 * Logs: FIFOs and their readers, tricks with links, rotated files, last words. */
#include "supervisor/testing.h"

static void make_fifo(struct task *t, char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/logs/%s", t->base, name);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void log_task_init(struct task *t)
{
	char path[256];

	task_init(t);
	snprintf(path, sizeof(path), "%s/logs", t->base);
	assert_int_equal(mkdir(path, 0777), 0);
}

static void refused(struct task *t, const char *path, const char *why)
{
	struct nomad_error *err = NULL;

	t->what.stdout_path = path;
	assert_true(task_start_argv(t, "/bin/true", NULL, NULL, &err) < 0);
	if (!strstr(nomad_error_message(err), why))
		fail_msg("'%s' does not say '%s'", nomad_error_message(err), why);
	nomad_error_free(err);
	assert_int_equal(count_entries(t->dir), 0);
}

static void test_tricks(void **state)
{
	struct task t;
	char fifo[256], path[256], other[256];
	int fd;

	(void)state;
	log_task_init(&t);
	make_fifo(&t, fifo, sizeof(fifo), "fifo");
	snprintf(path, sizeof(path), "%s/logs/missing", t.base);
	refused(&t, path, "find log pipe");
	assert_int_not_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/logs/link", t.base);
	assert_int_equal(symlink(fifo, path), 0);
	refused(&t, path, "refuse a symlink as log pipe");
	snprintf(path, sizeof(path), "%s/logs/file", t.base);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	refused(&t, path, "refuse a file other than a FIFO");
	refused(&t, "/dev/zero", "refuse a file other than a FIFO");
	/* The directory exchanged for a link. */
	snprintf(path, sizeof(path), "%s/logs", t.base);
	snprintf(other, sizeof(other), "%s/other", t.base);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	refused(&t, fifo, "open the directory of log pipe");
	task_done(&t);
}

/* 300 kB through a FIFO whose reader dies and comes back, none missing. */
static void test_reader_dies(void **state)
{
	struct task t;
	char fifo[256], buf[4096];
	size_t total = 0;
	unsigned long sum = 0;
	ssize_t n;
	int fd, rounds = 0;

	(void)state;
	log_task_init(&t);
	make_fifo(&t, fifo, sizeof(fifo), "fifo");
	t.what.stdout_path = fifo;
	task_sh(&t, "i=0; while [ $i -lt 3000 ]; do printf '%0100d' $i; i=$((i+1)); done; exit 9");
	while (total < 300000) {
		fd = open(fifo, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		for (int i = 0; i < 5 && total < 300000; i++) {
			n = read(fd, buf, 100);
			assert_int_equal(n, 100);
			buf[100] = 0;
			assert_int_equal(strtol(buf, NULL, 10), total / 100);
			total += (size_t)n;
			sum++;
		}
		close(fd);
		rounds++;
	}
	assert_int_equal(sum, 3000);
	assert_true(rounds >= 600);
	task_wait(&t);
	assert_int_equal(t.result.exit_code, 9);
	task_done(&t);
}

/* A reader that comes only after the task has ended gets it all, too. */
static void test_late_reader(void **state)
{
	struct task t;
	char fifo[256], buf[64];
	int fd;

	(void)state;
	log_task_init(&t);
	make_fifo(&t, fifo, sizeof(fifo), "fifo");
	t.what.stderr_path = fifo;
	task_sh(&t, "echo last words >&2");
	task_wait(&t);
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, buf, sizeof(buf)), 11);
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	close(fd);
	task_done(&t);
}

static void clean(struct task *t)
{
	assert_int_equal(nomad__supervisor_clean(t->dir, NULL), 0);
}

/* A task that writes 1,000 bytes which nobody reads, and has ended. */
static void task_unread(struct task *t, char *fifo, size_t size)
{
	log_task_init(t);
	make_fifo(t, fifo, size, "fifo");
	t->what.stdout_path = fifo;
	task_sh(t, "printf '%01000d' 0");
	task_wait(t);
	assert_int_equal(t->result.exit_code, 0);
}

/* As for another plugin: the last one died. */
static void attach_again(struct task *t)
{
	nomad__supervisor_free(t->s);
	t->s = NULL;
	t->exits = 0;
	assert_int_equal(nomad__supervisor_attach(t->loop, t->dir, &test_events, t, &t->s, NULL), 0);
	task_wait(t);
}

/* Nobody reads: it is kept until the task is destroyed, and a little longer; then it is counted. */
static void test_unread(void **state)
{
	struct task t;
	char fifo[256];

	(void)state;
	task_unread(&t, fifo, sizeof(fifo));
	assert_true(nomad__supervisor_lingers(t.s));
	/* A message to it now comes too late. */
	assert_int_equal(nomad__supervisor_stop(t.s, SIGTERM, 0, NULL), 0);
	sleep(5);
	assert_true(nomad__supervisor_lingers(t.s));
	clean(&t);
	wait_until(!nomad__supervisor_lingers(t.s));
	assert_non_null(strstr(t.notices, "1000 bytes of stdout are lost: nobody has read the log pipe within 3 s"));
	assert_null(strstr(t.notices, "stderr"));
	assert_int_equal(t.lost_bytes, 1000);
	task_done(&t);
}

/* Agent, log reader and plugin are dead while the task ends: a reader that comes back gets it all. */
static void test_unread_without_plugin(void **state)
{
	struct task t;
	char fifo[256], buf[2048];
	int fd;

	(void)state;
	task_unread(&t, fifo, sizeof(fifo));
	nomad__supervisor_free(t.s);
	t.s = NULL;
	sleep(5);
	attach_again(&t);
	assert_true(nomad__supervisor_lingers(t.s));
	clean(&t);
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, buf, sizeof(buf)), 1000);
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	close(fd);
	wait_until(!nomad__supervisor_lingers(t.s));
	assert_string_equal(t.notices, "");
	task_done(&t);
}

/* The same, and no reader comes. */
static void test_unread_for_good(void **state)
{
	struct task t;
	char fifo[256];

	(void)state;
	task_unread(&t, fifo, sizeof(fifo));
	attach_again(&t);
	clean(&t);
	wait_until(!nomad__supervisor_lingers(t.s));
	assert_int_equal(t.lost_bytes, 1000);
	task_done(&t);
}

/* The supervisor dies as well, after it has recorded the end. */
static void test_unread_without_supervisor(void **state)
{
	struct task t;
	char fifo[256];

	(void)state;
	task_unread(&t, fifo, sizeof(fifo));
	assert_int_equal(kill(nomad__supervisor_pid(t.s), SIGKILL), 0);
	wait_until(!nomad__supervisor_lingers(t.s));
	assert_int_equal(t.lost_bytes, 1000);
	t.lost_bytes = 0;
	attach_again(&t); /* this plugin may have died before the event was sent */
	assert_int_equal(t.lost_bytes, 1000);
	assert_non_null(strstr(t.notices, "1000 bytes of stdout are lost"));
	task_done(&t);
}

/* What was read in the meantime is not lost. */
static void test_read_without_plugin(void **state)
{
	struct task t;
	char fifo[256], buf[2048];
	int fd;

	(void)state;
	task_unread(&t, fifo, sizeof(fifo));
	nomad__supervisor_free(t.s);
	t.s = NULL;
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, buf, sizeof(buf)), 1000);
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	close(fd);
	attach_again(&t);
	assert_int_equal(t.lost_bytes, 0);
	assert_string_equal(t.notices, "");
	task_done(&t);
}

/* The supervisor dies before the task has ended. */
static void supervisor_dies(bool read_on)
{
	struct task t;
	char fifo[256], script[300], written[256];
	int fd = -1;

	log_task_init(&t);
	make_fifo(&t, fifo, sizeof(fifo), "fifo");
	t.what.stdout_path = fifo;
	snprintf(written, sizeof(written), "%s/written", t.base);
	snprintf(script, sizeof(script), "printf '%%01000d' 0; : >%s; sleep 1000", written);
	task_sh(&t, script);
	nomad__supervisor_set_logs(t.s, fifo, "/dev/null");
	if (read_on)
		fd = open(fifo, O_RDONLY | O_CLOEXEC);
	wait_until(access(written, F_OK) == 0);
	assert_int_equal(kill(nomad__supervisor_pid(t.s), SIGKILL), 0);
	task_wait(&t);
	assert_true(t.result.lost);
	assert_int_equal(t.lost_bytes, read_on ? 0 : 1000);
	assert_int_equal(!strstr(t.notices, "1000 bytes of stdout are lost"), read_on);
	if (fd >= 0)
		close(fd);
	task_done(&t);
}

static void test_supervisor_dies(void **state)
{
	(void)state;
	supervisor_dies(false);
	supervisor_dies(true);
}

static void test_stall(void **state)
{
	struct task t;
	char fifo[256], buf[64];
	int fd;

	(void)state;
	log_task_init(&t);
	make_fifo(&t, fifo, sizeof(fifo), "fifo");
	t.what.stdout_path = fifo;
	task_sh(&t, "echo hello; sleep 1000");
	wait_until(strstr(t.notices, "nobody has read the log pipe of stdout"));
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, buf, sizeof(buf)), 6);
	wait_until(strstr(t.notices, "is read again, nothing was lost"));
	close(fd);
	task_done(&t);
}

static const char notify_script[] = "python3 -c \"import os,socket; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); "
				    "s.sendto(b'STATUS=up\\nREADY=1', os.environ['NOTIFY_SOCKET'])\"";

static void test_status_events(void **state)
{
	struct task t;

	(void)state;
	log_task_init(&t);
	t.command.notify = true;
	t.command.event_prefix = "of the task: ";
	task_sh(&t, "python3 -c \"import os,socket,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\n"
		    "for m in 'STATUS=other\\nREADY=1', 'STATUS=of the task: well', 'STATUS=of the task: well', "
		    "'STATUS=x':\n"
		    "  s.sendto(m.encode(), os.environ['NOTIFY_SOCKET']); time.sleep(0.1)\n"
		    "time.sleep(1); s.sendto(b'STATUS=of the task: ill', os.environ['NOTIFY_SOCKET'])\n"
		    "time.sleep(1000)\"");
	wait_until(strstr(t.notices, "ill"));
	assert_string_equal(t.notices, "well\nill\n");
	task_done(&t);
}

static void test_last_words(void **state)
{
	struct nomad_error *err = NULL;
	struct task t;
	char script[512], fifo[256], buf[256];
	int fd;

	(void)state;
	log_task_init(&t);
	make_fifo(&t, fifo, sizeof(fifo), "err");
	fd = open(fifo, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	t.what.stderr_path = fifo;
	t.command.notify = true;
	assert_int_equal(task_start_argv(&t, "/bin/sh", "-c", "echo one >&2; echo two >&2; exit 4", &err), -EIO);
	assert_string_equal(nomad_error_message(err), "the process ended before it was ready; it said 'one|two'");
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(read(fd, buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "one\ntwo\n", 8);

	t.command.ready_timeout_ms = 3000; /* a shell must come so far, even under emulation */
	assert_int_equal(task_start_argv(&t, "/bin/sh", "-c", "echo slow >&2; sleep 1000", &err), -ETIMEDOUT);
	assert_non_null(strstr(nomad_error_message(err), "wait for the process to be ready"));
	assert_non_null(strstr(nomad_error_message(err), "it said 'slow'"));
	nomad_error_free(err);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);

	/* Ready: from then on all still goes to the FIFO. */
	t.command.ready_timeout_ms = 0;
	snprintf(script, sizeof(script), "%s; echo after >&2; sleep 1000", notify_script);
	task_sh(&t, script);
	wait_until(read(fd, buf, sizeof(buf)) == 6);
	assert_memory_equal(buf, "after\n", 6);
	close(fd);
	task_done(&t);
}

static size_t file_size(const char *dir, const char *name)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return lstat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void test_rotation(void **state)
{
	struct task t;
	char dir[256], path[300], buf[2048];
	FILE *f;
	DIR *d;
	struct dirent *e;
	int files = 0;

	(void)state;
	log_task_init(&t);
	snprintf(dir, sizeof(dir), "%s/logs", t.base);
	t.what.log_dir = dir;
	t.what.log_name = "web";
	t.what.log_max_files = 3;
	t.what.log_max_bytes = 1000;
	/* 64 lines of 100 bytes: 10 in a file. */
	task_sh(&t, "i=0; while [ $i -lt 64 ]; do printf '%099d\\n' $i; i=$((i+1)); done; printf err >&2");
	task_wait(&t);
	assert_int_equal(file_size(dir, "web.stdout.6"), 400);
	assert_int_equal(file_size(dir, "web.stdout.5"), 1000);
	assert_int_equal(file_size(dir, "web.stdout.4"), 1000);
	assert_int_equal(file_size(dir, "web.stderr.0"), 3);
	d = opendir(dir);
	while ((e = readdir(d)))
		files += strncmp(e->d_name, "web.", 4) == 0;
	closedir(d);
	assert_int_equal(files, 4);
	nomad__supervisor_free(t.s);
	t.s = NULL;
	t.exits = 0;
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);

	/* The next run continues where this one ended; a symlink is set as a trap. */
	snprintf(path, sizeof(path), "%s/web.stdout.7", dir);
	snprintf(buf, sizeof(buf), "%s/target", t.base);
	assert_int_equal(symlink(buf, path), 0);
	task_sh(&t, "printf more");
	task_wait(&t);
	assert_int_not_equal(access(buf, F_OK), 0);
	snprintf(path, sizeof(path), "%s/web.stdout.8", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(buf, 1, sizeof(buf), f), 4);
	fclose(f);

	/* /dev/null is respected. */
	nomad__supervisor_free(t.s);
	t.s = NULL;
	t.exits = 0;
	t.what.log_name = "quiet";
	t.what.stdout_path = t.what.stderr_path = "/dev/null";
	assert_int_equal(nomad__supervisor_clean(t.dir, NULL), 0);
	task_sh(&t, "echo nothing");
	task_wait(&t);
	assert_int_equal(file_size(dir, "quiet.stdout.0"), 0);
	task_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tricks),
		cmocka_unit_test(test_reader_dies),
		cmocka_unit_test(test_late_reader),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_unread_without_plugin),
		cmocka_unit_test(test_unread_for_good),
		cmocka_unit_test(test_unread_without_supervisor),
		cmocka_unit_test(test_read_without_plugin),
		cmocka_unit_test(test_supervisor_dies),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_status_events),
		cmocka_unit_test(test_rotation),
	};

	return cmocka_run_group_tests_name("supervisor/logs", tests, NULL, NULL);
}
