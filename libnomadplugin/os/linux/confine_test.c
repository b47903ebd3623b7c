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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/confine.h"

/* Each case in a process of its own: there is no way back. */
static int in_child(int (*f)(void))
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
		skip();
	return WEXITSTATUS(status);
}

#define REFUSED(call) do { \
		errno = 0; \
		if ((call) != -1 || errno != EPERM) \
			return __LINE__ % 99 + 1; \
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

/* What plugins do goes on working: files, sockets, threads, programs. */
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

static void test_the_machine_is_out_of_reach(void **state)
{
	(void) state;
	assert_int_equal(in_child(machine), 0);
}

static void test_work_goes_on(void **state)
{
	(void) state;
	assert_int_equal(in_child(work), 0);
}

static void test_the_kernel_shows_it(void **state)
{
	(void) state;
	assert_int_equal(in_child(shown), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_machine_is_out_of_reach),
		cmocka_unit_test(test_work_goes_on),
		cmocka_unit_test(test_the_kernel_shows_it),
	};

	return cmocka_run_group_tests_name("os/confine", tests, NULL, NULL);
}
