/* SPDX-License-Identifier: MPL-2.0
 *
 * Takes the place of the exec broker of a container (PROTOCOL.md), or of its
 * process 1: attaches to it, and has it execute this program, which finds the
 * sockets of the supervisor on the host.
 *
 *	impostor terminal	a terminal of ours for every command, which blocks
 *	impostor linger		descriptors whose close(2) waits: sockets with SO_LINGER
 *	impostor flood		noise and descriptors, as fast as it goes
 *	impostor exit		noise over the channel for the task's exit, which process 1 holds
 *
 * It prints "in place" when it is; only on x86-64. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { EXEC_FD = 3, EXIT_FD = 4 };

static int find(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc))) {
		char path[64], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%.20s/comm", e->d_name);
		file = fopen(path, "re");
		if (file && fgets(comm, sizeof(comm), file) && strncmp(comm, name, strlen(name)) == 0)
			return atoi(e->d_name);
		if (file)
			fclose(file);
	}
	return -1;
}

#ifdef __x86_64__
/* Has a process that we hold make a system call; the last one, execve(), is only begun. */
static long inject(int pid, const struct user_regs_struct *saved, long number, long a, long b, long c)
{
	struct user_regs_struct regs = *saved;
	int status;

	regs.rip -= 2;
	regs.orig_rax = (unsigned long long)-1;
	regs.rax = (unsigned long long)number;
	regs.rdi = (unsigned long long)a;
	regs.rsi = (unsigned long long)b;
	regs.rdx = (unsigned long long)c;
	for (int stop = 0; stop < (number == SYS_execve ? 1 : 2); stop++)
		if ((stop == 0 && ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0) || ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0 ||
		    waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			return -1;
	return ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0 ? -1 : (long)regs.rax;
}

/* The process `pid` executes "/bin/impostor HOW in" with its descriptors 3 and 4. */
static int replace(int pid, const char *how)
{
	struct {
		long argv[4], env;
		char program[16], how[16], in[8];
	} there = { .program = "/bin/impostor", .in = "in" };
	struct user_regs_struct saved;
	long at;
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 ||
	    waitpid(pid, &status, __WALL) != pid || ptrace(PTRACE_GETREGS, pid, 0, &saved) < 0)
		return -1;
	at = (long)(saved.rsp - 2048) & ~15L;
	snprintf(there.how, sizeof(there.how), "%s", how);
	there.argv[0] = at + (long)offsetof(__typeof__(there), program);
	there.argv[1] = at + (long)offsetof(__typeof__(there), how);
	there.argv[2] = at + (long)offsetof(__typeof__(there), in);
	for (size_t i = 0; i < sizeof(there); i += sizeof(long)) {
		long word;

		memcpy(&word, (char *)&there + i, sizeof(word));
		if (ptrace(PTRACE_POKEDATA, pid, (void *)(at + (long)i), (void *)word) < 0)
			return -1;
	}
	inject(pid, &saved, SYS_fcntl, EXEC_FD, F_SETFD, 0);
	inject(pid, &saved, SYS_fcntl, EXIT_FD, F_SETFD, 0);
	if (inject(pid, &saved, SYS_execve, there.argv[0], at, at + (long)offsetof(__typeof__(there), env)) == -1)
		return -1;
	return (int)ptrace(PTRACE_DETACH, pid, 0, 0);
}
#else
static int replace(int pid, const char *how)
{
	(void)pid;
	(void)how;
	errno = ENOSYS;
	return -1;
}
#endif

static void send_fds(int socket, const char *text, size_t size, const int *fds, int n)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 64)];
	} control = { 0 };
	struct iovec iov = { (void *)(long)text, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		m.msg_control = control.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(int) * (size_t)n);
	}
	if (sendmsg(socket, &m, MSG_NOSIGNAL) < 0)
		usleep(1000);
}

/* A connection with itself that has data to send for ever, and whose close() waits for that. */
static int lingering(void)
{
	struct linger linger = { 1, 30000 };
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), small = 1;
	static char data[1 << 20];
	socklen_t size = sizeof(here);

	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(listener, (struct sockaddr *)&here, size) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&here, &size) < 0 ||
	    connect(fd, (struct sockaddr *)&here, size) < 0)
		return -1;
	/* The other end stays with us, unread. */
	(void)accept(listener, NULL, NULL);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, data, sizeof(data)) > 0)
		;
	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	return fd;
}

static void answer(int socket, const char *op, long id, int fd)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "op=%s%cid=%ld%ccode=7%c", op, 0, id, 0, 0);

	send_fds(socket, text, (size_t)n, &fd, fd >= 0);
}

static void send_lingering(int socket)
{
	int fd = lingering();

	send_fds(socket, "op=x", 5, &fd, fd >= 0);
	close(fd);
}

static int terminal(int *ret_other)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY), unlock = 0;

	ioctl(fd, TIOCSPTLCK, &unlock);
	*ret_other = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	return fd;
}

static void serve(int socket, const char *how)
{
	for (;;) {
		char m[4096], *id;
		int other = -1, fd;
		ssize_t n;

		if (strcmp(how, "flood") == 0 || strcmp(how, "linger") == 0) {
			int fds[3] = { 0, 1, 2 };

			send_fds(socket, "op=exited\0id=1\0code=0", 21, fds, 3);
			if (strcmp(how, "linger") == 0)
				send_lingering(socket);
		}
		n = recv(socket, m, sizeof(m) - 1, strcmp(how, "terminal") == 0 ? 0 : MSG_DONTWAIT);
		if (n <= 0)
			continue;
		m[n] = 0;
		id = memmem(m, (size_t)n, "id=", 3);
		if (!id || !memmem(m, (size_t)n, "op=run", 6))
			continue;
		answer(socket, "started", atol(id + 3), -1);
		fd = terminal(&other);
		answer(socket, "terminal", atol(id + 3), fd);
		usleep(100000);
		fcntl(fd, F_SETFL, 0);
		answer(socket, "exited", atol(id + 3), -1);
	}
}

static void noise(int socket)
{
	for (;;) {
		send_fds(socket, "0 0\n", 4, NULL, 0);
		send_lingering(socket);
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	int of_exit = strcmp(how, "exit") == 0, pid;

	if (argc > 2) {
		signal(SIGCHLD, SIG_IGN);
		if (of_exit)
			noise(EXIT_FD);
		serve(EXEC_FD, how);
	}
	pid = of_exit ? 1 : find("nspawn-exec");
	if (replace(pid, how) < 0) {
		printf("cannot replace process %d: %s\n", pid, strerror(errno));
		return 1;
	}
	puts("in place");
	return 0;
}
