/* SPDX-License-Identifier: MPL-2.0 */
/* A stand-in for the Nomad agent: static, small, and obedient.
 *
 * It speaks as much of the agent's manners as PID 1 sees: sd_notify, SIGHUP, draining on SIGTERM, exit statuses;
 * and over HTTP on port 4646:
 *   GET  /v1/agent/self    says that it is up, and with what configuration
 *   POST /run              runs the body with /bin/sh and answers its output (as a raw_exec job would)
 * As a command it answers `operator api PATH` with /state/answer.json, keeps PUTs in /state/put, and answers them with
 * /state/put-answer or {}.
 * $AGENT_MODE: exit N, crash, deaf (ignores SIGTERM), quiet (never ready), drain SECONDS, noise */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended, interrupted, reloaded;

static void on_signal(int sig)
{
	if (sig == SIGHUP)
		reloaded = 1;
	else if (sig == SIGINT)
		interrupted = ended = 1;
	else
		ended = 1;
}

static void notify(const char *text)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd;

	if (!path || strlen(path) >= sizeof(a.sun_path))
		return;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, sizeof(a)) < 0)
		perror("notify");
	close(fd);
}

static void answer(FILE *f, const char *body, size_t len)
{
	fprintf(f, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", len);
	fwrite(body, 1, len, f);
	fflush(f);
}

static void run(FILE *f, char *body)
{
	static char out[1 << 20];
	size_t n;
	FILE *p;

	setenv("BODY", body, 1);
	p = popen("/bin/sh -c \"$BODY\" 2>&1", "r");
	n = p ? fread(out, 1, sizeof(out), p) : 0;
	if (p)
		pclose(p);
	answer(f, out, n);
}

static void serve(int fd)
{
	char request[512] = "", line[1024], body[65536] = "", self[1024];
	size_t length = 0, n;
	FILE *f = fdopen(fd, "r"), *to = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 3), "w");

	signal(SIGCHLD, SIG_DFL);
	alarm(120);
	if (!f || !to || !fgets(request, sizeof(request), f))
		_exit(1);
	while (fgets(line, sizeof(line), f) && line[0] != '\r' && line[0] != '\n')
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			length = strtoul(line + 15, NULL, 10);
	n = fread(body, 1, length < sizeof(body) - 1 ? length : sizeof(body) - 1, f);
	body[n] = '\0';
	if (strncmp(request, "POST /run ", 10) == 0) {
		run(to, body);
	} else {
		n = (size_t)snprintf(self, sizeof(self), "{\"stand-in\":true,\"pid\":%d}\n", (int)getppid());
		answer(to, self, n);
	}
	_exit(0);
}

static int operator_api(int argc, char **argv)
{
	const char *path = argv[argc - 1], *token = getenv("NOMAD_TOKEN");
	char text[4096] = "";
	struct stat st;
	size_t n;
	FILE *f;

	if (argc > 4) {
		n = fread(text, 1, sizeof(text) - 1, stdin);
		text[n] = '\0';
		f = fopen("/state/put", "a");
		if (!f)
			return 1;
		fprintf(f, "%s %s %s\n", path, token ? token : "", text);
		fclose(f);
		f = fopen("/state/put-answer", "r");
		if (!f)
			return puts("{}") < 0;
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
		return fwrite(text, 1, n, stdout) != n;
	}
	/* Nomad takes what is piped to it for a body. */
	f = fstat(0, &st) == 0 && S_ISFIFO(st.st_mode) ? NULL : fopen("/state/answer.json", "r");
	if (!f)
		return 1;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	return fwrite(text, 1, n, stdout) != n;
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(4646) };
	const char *mode = getenv("AGENT_MODE");
	struct sigaction sa = { .sa_handler = on_signal };
	int fd, c, on = 1, off = 0;

	if (argc > 3 && strcmp(argv[1], "operator") == 0)
		return operator_api(argc, argv);
	mode = mode ? mode : "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("stand-in agent, mode '%s'\n", mode);
	if (strncmp(mode, "exit ", 5) == 0)
		return atoi(mode + 5);
	if (strcmp(mode, "crash") == 0)
		abort();
	if (strcmp(mode, "noise") == 0) {
		for (c = 0; c < 20000; c++)
			printf("noise line %d of twenty thousand, somewhat long to fill up the log soon\n", c);
		printf("noise ends\n");
	}
	sigaction(SIGHUP, &sa, NULL);
	if (strcmp(mode, "deaf") == 0)
		signal(SIGTERM, SIG_IGN);
	else
		sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGCHLD, SIG_IGN);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0) {
		perror("listen");
		return 1;
	}
	if (strcmp(mode, "quiet") != 0)
		notify("READY=1");
	while (!ended) {
		c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (reloaded) {
			reloaded = 0;
			printf("stand-in agent: reloaded\n");
		}
		if (c < 0)
			continue;
		if (fork() == 0)
			serve(c);
		close(c);
	}
	if (interrupted) {
		printf("stand-in agent: interrupted\n");
		return 1;
	}
	if (strncmp(mode, "drain ", 6) == 0) {
		printf("stand-in agent: draining\n");
		sleep((unsigned int)atoi(mode + 6));
	}
	printf("stand-in agent: ends\n");
	return 0;
}
