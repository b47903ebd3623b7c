/* SPDX-License-Identifier: MPL-2.0
 *
 * nspawn-init: the one program of this driver that runs beside a task.
 *
 *   supervisor --exec--> nspawn-init launch ... --exec--> systemd-nspawn
 *                                                            |
 *                              PID 1 of the container: nspawn-init supervise|exec|boot
 *
 * It is static, because it runs in trees that have nothing, and embedded in
 * the driver's executable; the driver writes it out once and binds it
 * read-only into each container, below /run, where no image has anything.
 *
 * launch (launch.c)  On the host, before systemd-nspawn: makes the root file
 *	system of the container in a mount namespace of its own, so that no
 *	way of dying leaves a mount or a loop device behind.
 * open-netns FILE	Let the users of a container use ports below 1024 in this network namespace.
 * probe PATH	Exit status 0 if the owners of PATH can be shifted by a mount.
 * Each of the rest begins with its network (net.c).
 * supervise COMMAND...	PID 1 of an unbooted container.  Starts the command
 *	as PID 2, tells systemd-nspawn that it runs (or, on stderr, why it
 *	does not), forwards every signal to it, reaps, and writes its true end,
 *	exit code and signal, to a file: the status of systemd-nspawn cannot
 *	tell a death by signal 15 from exit 143, and knows no 133.
 * exec COMMAND...	The command itself becomes PID 1.
 * boot [ARGS...]	The init of the image becomes PID 1.
 *
 * The environment does not come by argv, which everybody on the host can
 * read, but in a credential of systemd-nspawn: strings that end in a zero
 * byte: user, working directory, then NAME=VALUE each.  Names that
 * systemd-nspawn would refuse arrive like any other. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

enum { SPEC_MAX = 2 << 20 };

static const char spec_path[] = "/run/host/credentials/" NSPAWN_SPEC_NAME;

struct spec {
	char *data; /* what all below points into */
	const char *user, *cwd;
	char **env; /* NULL-terminated, with room for what we add */
	size_t n_env;
};

void init_fail(int status, const char *act, const char *object)
{
	dprintf(2, "cannot %s '%s': %s\n", act, object, strerror(errno));
	_exit(status);
}

static void env_put(struct spec *spec, char *pair, int replace)
{
	size_t i, n = (size_t)(strchr(pair, '=') - pair) + 1;

	for (i = 0; i < spec->n_env; i++)
		if (strncmp(spec->env[i], pair, n) == 0) {
			if (replace)
				spec->env[i] = pair;
			return;
		}
	spec->env[spec->n_env++] = pair;
	spec->env[spec->n_env] = NULL;
}

static void env_default(struct spec *spec, const char *name, const char *value)
{
	char *pair;

	if (asprintf(&pair, "%s=%s", name, value) < 0)
		init_fail(125, "set", name);
	env_put(spec, pair, 0);
}

static void env_drop(char **env, const char *name)
{
	size_t n = strlen(name);
	char **from, **to = env;

	for (from = env; *from; from++)
		if (strncmp(*from, name, n) != 0 || (*from)[n] != '=')
			*to++ = *from;
	*to = NULL;
}

static void spec_read(struct spec *spec)
{
	size_t size = 0, n = 0, i;
	ssize_t got;
	char *p, *end;
	int fd = open(spec_path, O_RDONLY | O_CLOEXEC);

	spec->data = malloc(SPEC_MAX + 1);
	if (fd < 0 || !spec->data)
		init_fail(125, "open", spec_path);
	while (size < SPEC_MAX && (got = read(fd, spec->data + size, SPEC_MAX - size)) != 0) {
		if (got < 0)
			init_fail(125, "read", spec_path);
		size += (size_t)got;
	}
	close(fd);
	spec->data[size] = 0;
	end = spec->data + size;
	for (p = spec->data; p < end; p++)
		n += !*p;
	if (n < 2) {
		errno = EINVAL;
		init_fail(125, "use", spec_path);
	}
	spec->env = calloc(n + 16, sizeof(char *));
	if (!spec->env)
		init_fail(125, "read", spec_path);
	for (p = spec->data, i = 0; p < end; p += strlen(p) + 1, i++) {
		if (i == 0)
			spec->user = p;
		else if (i == 1)
			spec->cwd = p;
		else if (strchr(p, '='))
			env_put(spec, p, 1);
	}
}

/* What systemd-nspawn says about the container, where the task says nothing. */
static void env_from_nspawn(struct spec *spec)
{
	static const char *const names[] = {
		"container", "container_uuid", "container_host_id", "container_host_version_id", "LANG", "TERM", "PATH"
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value)
			env_default(spec, names[i], value);
	}
}

/* execve() with a search in the PATH of the new environment. */
static void execute(char **argv, char **env)
{
	const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *p;
	char **e, name[4096];
	int best = ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return;
	}
	for (e = env; *e; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			path = *e + 5;
	for (p = path;; p++) {
		int n = (int)strcspn(p, ":");

		if (snprintf(name, sizeof(name), "%.*s%s%s", n, p, n ? "/" : "./", argv[0]) < (int)sizeof(name)) {
			execve(name, argv, env);
			if (errno != ENOENT && errno != ENOTDIR)
				best = errno;
		}
		p += n;
		if (!*p)
			break;
	}
	errno = best;
}

/* Become who the task is to be, and run it.  Returns the act that failed. */
static const char *become(struct spec *spec, char **argv, const char **ret_object)
{
	struct account account = { .home = "/root", .name = "root" };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (*spec->user) {
		*ret_object = spec->user;
		if (account_find(spec->user, &account) < 0)
			return "find user";
		if (setgroups_of(&account) < 0 || setresgid(account.gid, account.gid, account.gid) < 0 ||
		    setresuid(account.uid, account.uid, account.uid) < 0)
			return "become user";
	}
	env_default(spec, "HOME", account.home);
	env_default(spec, "USER", account.name);
	env_default(spec, "LOGNAME", account.name);
	*ret_object = *spec->cwd ? spec->cwd : "/";
	if (chdir(*ret_object) < 0)
		return "enter working directory";
	*ret_object = argv[0];
	execute(argv, spec->env);
	return "run";
}

/* ---- supervise ---- */

static int notify_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!path || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* systemd-nspawn forgets messages that it has not read when PID 1 ends:
 * wait until it has. */
static void notify_flush(int fd)
{
	int i, left;

	for (i = 0; i < 2000 && fd >= 0 && !ioctl(fd, SIOCOUTQ, &left) && left > 0; i++)
		poll(NULL, 0, 1);
}

static int exit_open(void)
{
	/* Opened before the payload lives, and never inherited by it. */
	return open(NSPAWN_EXIT_PATH, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
}

static int supervise(struct spec *spec, char **argv)
{
	int notify, end, status = 0, code, failed[2], error[2];
	sigset_t all;
	ssize_t got;
	pid_t payload;
	char line[32];

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "nspawn-init");
	end = exit_open();
	notify = notify_socket();
	if (pipe2(failed, O_CLOEXEC) < 0)
		init_fail(125, "make", "a pipe");
	payload = fork();
	if (payload < 0)
		init_fail(125, "fork for", argv[0]);
	if (!payload) {
		const char *act, *object = NULL;

		setsid();
		act = become(spec, argv, &object);
		error[0] = errno;
		error[1] = strcmp(act, "run") == 0 ? (errno == ENOENT ? 127 : 126) : 125;
		dprintf(2, "cannot %s '%s': %s\n", act, object, strerror(error[0]));
		if (write(failed[1], error, sizeof(error)) < 0)
			_exit(125);
		_exit(error[1]);
	}
	close(failed[1]);
	do
		got = read(failed[0], error, sizeof(error));
	while (got < 0 && errno == EINTR);
	close(failed[0]);
	if (got == (ssize_t)sizeof(error))
		return error[1]; /* never ready: the start fails, with what is on stderr */
	if (notify >= 0 && write(notify, "READY=1", 7) < 0)
		dprintf(2, "cannot tell systemd-nspawn that the task runs: %s\n", strerror(errno));

	for (;;) {
		siginfo_t info;
		int signal = sigwaitinfo(&all, &info);
		pid_t pid;

		if (signal < 0)
			continue;
		if (signal != SIGCHLD) {
			kill(payload, signal);
			continue;
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == payload)
				goto ended;
	}
ended:
	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	snprintf(line, sizeof(line), "%d %d\n", code, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	if (end < 0 || write(end, line, strlen(line)) < 0)
		dprintf(2, "cannot leave the exit code of the task: %s\n", strerror(errno));
	notify_flush(notify);
	return code;
}

static int boot(struct spec *spec, char **argv)
{
	static const char *const inits[] = { "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init",
					     "/init" };
	const char *value = getenv("NOTIFY_SOCKET");
	size_t i;

	if (value)
		env_default(spec, "NOTIFY_SOCKET", value);
	env_default(spec, "HOME", "/root");
	env_default(spec, "USER", "root");
	env_default(spec, "LOGNAME", "root");
	for (i = 0; i < sizeof(inits) / sizeof(inits[0]); i++) {
		argv[0] = (char *)inits[i];
		execve(argv[0], argv, spec->env);
		if (errno != ENOENT)
			init_fail(126, "run", inits[i]);
	}
	dprintf(2, "cannot boot: the image has no init (looked for /usr/lib/systemd/systemd, /sbin/init, /init)\n");
	return 127;
}

int main(int argc, char **argv)
{
	struct spec spec = { 0 };
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "launch") == 0)
		return launch(argc - 2, argv + 2);
	if (strcmp(mode, "probe") == 0 && argc == 3)
		return probe(argv[2]);
	if (strcmp(mode, "open-netns") == 0 && argc == 3)
		return netns_open(argv[2]);
	if (getpid() != 1 || (argc < 3 && strcmp(mode, "boot") != 0)) {
		dprintf(2, "nspawn-init is a part of nomad-driver-nspawn and nothing to run by hand\n");
		return 64;
	}
	net_await();
	spec_read(&spec);
	env_from_nspawn(&spec);
	env_drop(spec.env, "CREDENTIALS_DIRECTORY");
	if (strcmp(mode, "supervise") == 0)
		return supervise(&spec, argv + 2);
	if (strcmp(mode, "boot") == 0)
		return boot(&spec, argv + 1);
	if (strcmp(mode, "exec") == 0) {
		const char *object = NULL, *act;
		int notify = notify_socket();

		if (notify >= 0 && write(notify, "READY=1", 7) == 7)
			notify_flush(notify);
		act = become(&spec, argv + 2, &object);
		init_fail(strcmp(act, "run") == 0 && errno == ENOENT ? 127 : 126, act, object);
	}
	dprintf(2, "nspawn-init: unknown mode '%s'\n", mode);
	return 64;
}
