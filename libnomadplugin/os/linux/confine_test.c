/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/confine.h"

/* Each case in a process of its own: there is no way back.  100: this kernel lacks what it takes. */
static int run_child(int (*f)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		unsigned holds = nomad__confine();

		_exit(holds & NOMAD__FEWER_CALLS && holds & NOMAD__NO_NEW_PRIVS ? f() : 100);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		print_message("# this kernel lacks seccomp or Landlock\n");
	return WEXITSTATUS(status);
}

static int in_child(int (*f)(void))
{
	int r = run_child(f);

	if (r == 100)
		skip();
	return r;
}

#define REFUSED(call)                                                                                                  \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		if ((call) != -1 || errno != EPERM)                                                                    \
			return __LINE__ % 99 + 1;                                                                      \
	} while (0)

static int machine(void)
{
	REFUSED(mount("none", "/tmp", "tmpfs", 0, NULL));
	REFUSED(umount2("/tmp", 0));
	REFUSED(unshare(CLONE_NEWUSER));
	REFUSED(unshare(CLONE_NEWNS));
	REFUSED(chroot("/"));
	REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	REFUSED(syscall(SYS_bpf, 0, NULL, 0));
	REFUSED(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0));
	return 0;
}

static void *thread(void *arg)
{
	return unshare(CLONE_NEWUTS) < 0 && errno == EPERM ? arg : NULL;
}

/* Plugins can still use files, sockets, threads and programs. */
static int work(void)
{
	char path[] = "/tmp/confine.XXXXXX";
	pthread_t t;
	void *answer = NULL;
	int fd = mkstemp(path), status;
	pid_t pid;

	if (fd < 0 || write(fd, "x", 1) != 1 || unlink(path) < 0 || close(fd) < 0)
		return 1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || close(fd) < 0)
		return 2;
	if (pthread_create(&t, NULL, thread, path) || pthread_join(t, &answer) || answer != path)
		return 3;
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 7", NULL);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		return 4;
	return 0;
}

static char own_dir[64]; /* in /etc, with a file x */

static int has_landlock(void)
{
	return syscall(444 /* landlock_create_ruleset */, NULL, 0, 1 /* which version? */) >= 2;
}

static int in_own_dir(const char *name, int flags)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", own_dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

static int system_files(void)
{
	char a[] = "/tmp/confine.XXXXXX", b[96], c[96], x[96];

#define NO_ACCESS(call)                                                                                                \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		if ((call) != -1 || errno != EACCES)                                                                   \
			return __LINE__ % 99 + 1;                                                                      \
	} while (0)
	if (!has_landlock())
		return 100;
	snprintf(x, sizeof(x), "%s/x", own_dir);
	snprintf(b, sizeof(b), "%s/y", own_dir);
	NO_ACCESS(in_own_dir("y", O_WRONLY | O_CREAT));
	NO_ACCESS(in_own_dir("x", O_WRONLY));
	NO_ACCESS(in_own_dir("x", O_RDWR));
	NO_ACCESS(mkdir(b, 0700));
	NO_ACCESS(symlink("x", b));
	NO_ACCESS(rename(x, b));
	NO_ACCESS(unlink(x));
	NO_ACCESS(mkdir("/nomad-confine-test", 0700));
	NO_ACCESS(open("/proc/self/comm", O_WRONLY | O_CLOEXEC));
	/* Reading still works, and so do common devices and the directories of tasks. */
	if (in_own_dir("x", O_RDONLY) < 0)
		return 101;
	if (close(open("/dev/null", O_RDWR | O_CLOEXEC)) < 0 || !mkdtemp(a))
		return 102;
	snprintf(b, sizeof(b), "%s/b", a);
	snprintf(c, sizeof(c), "%s.c", a);
	if (mkfifo(b, 0600) < 0 || close(open(b, O_RDWR | O_CLOEXEC)) < 0 || rename(b, c) < 0 || unlink(c) < 0 ||
	    rmdir(a) < 0)
		return 103;
	return 0;
}

static int own_directory(void)
{
	if (!has_landlock())
		return 100;
	NO_ACCESS(open("/etc/nomad-confine-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	return in_own_dir("x", O_WRONLY) < 0 || in_own_dir("y", O_WRONLY | O_CREAT) < 0 ? 104 : 0;
}

static int shown(void)
{
	char text[8192];
	FILE *f = fopen("/proc/self/status", "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return !strstr(text, "NoNewPrivs:\t1") ? 1 : !strstr(text, "Seccomp:\t2") ? 2 : 0;
}

/* One that only waits starts nothing, and still kills and records. */
static int waiting(void)
{
	char path[] = "/tmp/confine.XXXXXX";
	int fd;
	pid_t child = fork();

	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	if (child < 0 || !(nomad__confine_waiting() & NOMAD__FEWER_CALLS))
		return 100;
	REFUSED(fork());
	REFUSED(execl("/bin/true", "true", NULL));
	REFUSED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	REFUSED(setuid(0));
	REFUSED(unshare(CLONE_NEWNS));
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 || unlink(path) < 0 || close(fd) < 0)
		return 1;
	return kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child ? 0 : 2;
}

static void test_what_waits_starts_nothing(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(waiting());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_the_machine_is_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(in_child(machine), 0);
}

static void test_work_goes_on(void **state)
{
	(void)state;
	assert_int_equal(in_child(work), 0);
}

static void test_the_kernel_shows_it(void **state)
{
	(void)state;
	assert_int_equal(in_child(shown), 0);
}

/* A directory in /etc, so that nothing of the system's own is lost where this fails. */
static void with_own_dir(int (*f)(void), const char *writable)
{
	char command[96];
	int r, made;

	if (geteuid() != 0) {
		print_message("# not root\n");
		skip();
	}
	strcpy(own_dir, "/etc/nomad-confine.XXXXXX");
	assert_non_null(mkdtemp(own_dir));
	made = in_own_dir("x", O_WRONLY | O_CREAT);
	if (writable) {
		char list[128];

		snprintf(list, sizeof(list), "%s:%s", writable, own_dir);
		assert_int_equal(setenv("NOMAD_DRIVER_WRITABLE", list, 1), 0);
	}
	r = run_child(f);
	(void)unsetenv("NOMAD_DRIVER_WRITABLE");
	snprintf(command, sizeof(command), "rm -r '%s'", own_dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(made, 0);
	if (r == 100)
		skip();
	assert_int_equal(r, 0);
}

static void test_files_of_the_system_stay(void **state)
{
	(void)state;
	with_own_dir(system_files, NULL);
}

static void test_but_what_the_operator_names(void **state)
{
	(void)state;
	with_own_dir(own_directory, ":relative:/nonexistent:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_machine_is_out_of_reach), cmocka_unit_test(test_work_goes_on),
		cmocka_unit_test(test_the_kernel_shows_it),	    cmocka_unit_test(test_files_of_the_system_stay),
		cmocka_unit_test(test_but_what_the_operator_names), cmocka_unit_test(test_what_waits_starts_nothing),
	};

	return cmocka_run_group_tests_name("os/confine", tests, NULL, NULL);
}
