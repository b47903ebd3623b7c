/* SPDX-License-Identifier: MPL-2.0
 *
 * The program that runs a command in a container.
 *
 *	Nomad --exec stream--> library --pipes or pty--> this --TLS--> Docker API
 *
 * The library runs commands as processes of this host; so the driver has it
 * run its own executable, which makes the exec in the container and carries
 * bytes both ways.  With a terminal its own one is set raw, so that the one in
 * the container does all the work, and changes of its size are passed on.
 *
 * The connection is made by libcurl (with its TLS) and then taken over: the
 * server answers "101" and speaks the raw stream.  The end of input is a
 * half-close; in TLS that is the alert close_notify.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "docker.h"
#include "triton.h"
#include "text.h"

enum { PIECE = 16384, HEAD_MAX = 16384, FAILED = 126 };

struct bridge {
	CURL *easy;
	curl_socket_t socket;
	struct triton_docker docker;
	const char *exec;
	bool tty;
	struct triton_demux demux;
	char out[PIECE]; /* input on its way to the container */
	size_t out_size, out_at;
	bool input_over, output_over, failed;
};

static volatile sig_atomic_t resized;

static void on_winch(int signal)
{
	(void)signal;
	resized = 1;
}

static int complain(struct nomad_error *err)
{
	fprintf(stderr, "%s\r\n", nomad_error_message(err));
	nomad_error_free(err);
	return FAILED;
}

/* ---- The connection ---- */

static int send_all(struct bridge *b, const char *data, size_t size)
{
	while (size) {
		size_t n = 0;
		CURLcode code = curl_easy_send(b->easy, data, size, &n);
		struct pollfd pfd = { .fd = b->socket, .events = POLLOUT };

		if (code == CURLE_AGAIN) {
			if (poll(&pfd, 1, 30000) == 0)
				return -ETIMEDOUT;
			continue;
		}
		if (code)
			return -EPIPE;
		data += n;
		size -= n;
	}
	return 0;
}

/* Read up to and with the empty line; what came behind it goes to `rest`. */
static int read_head(struct bridge *b, char *rest, size_t *ret_rest, struct nomad_error **err)
{
	char *head = malloc(HEAD_MAX + 1), *end = NULL;
	size_t size = 0;
	int status = 0;

	if (!head)
		return nomad_error_errno(err, ENOMEM, "run a command in a container");
	while (!end && size < HEAD_MAX) {
		struct pollfd pfd = { .fd = b->socket, .events = POLLIN };
		size_t n = 0;
		CURLcode code = curl_easy_recv(b->easy, head + size, HEAD_MAX - size, &n);

		if (code == CURLE_AGAIN) {
			if (poll(&pfd, 1, 60000) == 0)
				break;
			continue;
		}
		if (code || !n)
			break;
		size += n;
		head[size] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	if (end && sscanf(head, "HTTP/1.%*d %d", &status) == 1 && (status == 101 || status == 200)) {
		*ret_rest = size - (size_t)(end + 4 - head);
		memcpy(rest, end + 4, *ret_rest);
		free(head);
		return 0;
	}
	if (end) {
		NOMAD_AUTO_FREE char *words = triton_one_line(end + 4, strlen(end + 4));

		nomad_error_set(err, EPROTO, "run a command in a container: status %d: %s", status, words ? words : "");
	} else {
		nomad_error_set(err, EPROTO, "run a command in a container: the Docker API did not answer");
	}
	free(head);
	return -EPROTO;
}

static int open_stream(struct bridge *b, char *rest, size_t *ret_rest, struct nomad_error **err)
{
	const char *body = b->tty ? "{\"Detach\":false,\"Tty\":true}" : "{\"Detach\":false,\"Tty\":false}";
	NOMAD_AUTO_FREE char *head = NULL;
	CURLcode code;
	int r;

	b->easy = curl_easy_init();
	if (!b->easy)
		return nomad_error_errno(err, ENOMEM, "run a command in a container");
	r = triton_http_prepare(b->docker.http, b->easy, "/", err);
	if (r < 0)
		return r;
	curl_easy_setopt(b->easy, CURLOPT_CONNECT_ONLY, 1L);
	code = curl_easy_perform(b->easy);
	if (!code)
		code = curl_easy_getinfo(b->easy, CURLINFO_ACTIVESOCKET, &b->socket);
	if (code)
		return nomad_error_set(err, ECONNREFUSED, "connect to the Docker API: %s", curl_easy_strerror(code));
	head = nomad_strdupf("POST " TRITON_DOCKER_VERSION
			     "/exec/%s/start HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
			     "Upgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			     b->exec, strstr(triton_http_base(b->docker.http), "://") + 3, strlen(body), body);
	if (!head)
		return nomad_error_errno(err, ENOMEM, "run a command in a container");
	r = send_all(b, head, strlen(head));
	if (r < 0)
		return nomad_error_errno(err, -r, "run a command in a container");
	return read_head(b, rest, ret_rest, err);
}

static void half_close(struct bridge *b)
{
	struct curl_tlssessioninfo *tls = NULL;

	if (curl_easy_getinfo(b->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls &&
	    tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals)
		(void)SSL_shutdown(tls->internals);
	else
		(void)shutdown(b->socket, SHUT_WR);
}

/* ---- The bytes ---- */

static void write_out(void *ud, int fd, const void *data, size_t size)
{
	struct bridge *b = ud;
	const char *at = data;

	while (size) {
		ssize_t n = write(fd, at, size);
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			(void)poll(&pfd, 1, 1000);
			continue;
		}
		if (n < 0) {
			b->failed = true; /* nobody is there to read */
			return;
		}
		at += n;
		size -= (size_t)n;
	}
}

static void take_output(struct bridge *b)
{
	char data[PIECE];

	for (;;) {
		size_t n = 0;
		CURLcode code = curl_easy_recv(b->easy, data, sizeof(data), &n);

		if (code == CURLE_AGAIN)
			return;
		if (code || !n) {
			b->output_over = true;
			return;
		}
		if (triton_demux_feed(&b->demux, data, n, write_out, b) < 0)
			b->failed = true;
		if (b->failed)
			return;
	}
}

static void give_input(struct bridge *b)
{
	while (b->out_at < b->out_size) {
		size_t n = 0;
		CURLcode code = curl_easy_send(b->easy, b->out + b->out_at, b->out_size - b->out_at, &n);

		if (code == CURLE_AGAIN)
			return;
		if (code) {
			/* The command does not read any more; its output may still come. */
			b->out_size = b->out_at = 0;
			b->input_over = true;
			return;
		}
		b->out_at += n;
	}
	b->out_size = b->out_at = 0;
}

static void take_input(struct bridge *b)
{
	ssize_t n = read(STDIN_FILENO, b->out, sizeof(b->out));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		b->input_over = true;
		half_close(b);
		return;
	}
	b->out_size = (size_t)n;
	b->out_at = 0;
	give_input(b);
}

static void pass_size(struct bridge *b)
{
	struct winsize size;

	resized = 0;
	if (b->tty && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
		(void)triton_docker_exec_resize(&b->docker, b->exec, size.ws_row, size.ws_col, NULL);
}

static void carry(struct bridge *b)
{
	sigset_t none, blocked;

	/* SIGWINCH is let in while waiting only, so that none is missed. */
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGWINCH);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	pass_size(b);
	take_output(b); /* TLS may hold some already */
	while (!b->output_over && !b->failed) {
		struct pollfd pfds[2] = {
			{ .fd = b->socket, .events = POLLIN | (b->out_size ? POLLOUT : 0) },
			{ .fd = b->input_over || b->out_size ? -1 : STDIN_FILENO, .events = POLLIN },
		};

		if (resized)
			pass_size(b);
		if (ppoll(pfds, 2, NULL, &none) < 0)
			continue;
		if (pfds[0].revents)
			take_output(b);
		if (b->out_size)
			give_input(b);
		if (pfds[1].revents)
			take_input(b);
	}
}

static int result_of(struct bridge *b)
{
	struct nomad_error *err = NULL;
	int64_t code = 0;

	/* The stream may end a moment before the server knows how. */
	for (unsigned n = 1; n <= 40; n++) {
		int r = triton_docker_exec_result(&b->docker, b->exec, &code, &err);

		if (r >= 0)
			return (int)(code & 0xff);
		if (r != -EAGAIN || n == 40)
			break;
		nomad_error_free(err);
		err = NULL;
		(void)triton_budget_sleep(triton_http_budget(b->docker.http), 100 * n);
	}
	return complain(err);
}

static bool make_raw(struct termios *ret_before)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, ret_before) < 0)
		return false;
	raw = *ret_before;
	cfmakeraw(&raw);
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static int connect_docker(struct bridge *b, struct triton_budget *budget, struct nomad_error **err)
{
	const char *certs = getenv("TRITON_EXEC_CERTS");
	NOMAD_AUTO_FREE char *ca = nomad_strdupf("%s/ca.pem", certs ? certs : "");
	NOMAD_AUTO_FREE char *cert = nomad_strdupf("%s/cert.pem", certs ? certs : "");
	NOMAD_AUTO_FREE char *key = nomad_strdupf("%s/key.pem", certs ? certs : "");
	struct triton_http_options options = {
		.what = "the Docker API",
		.base_url = getenv("TRITON_EXEC_URL"),
		.insecure = getenv("TRITON_EXEC_INSECURE") != NULL,
		.budget = budget,
		.timeout_ms = 30000,
	};

	if (!ca || !cert || !key)
		return nomad_error_errno(err, ENOMEM, "run a command in a container");
	if (certs) {
		options.ca_file = access(ca, R_OK) == 0 ? ca : NULL;
		options.cert_file = cert;
		options.key_file = key;
	}
	b->docker.retry_ms = 5000;
	return triton_http_new(&options, &b->docker.http, err);
}

static int run_command(struct bridge *b, const char *container, const char *const *argv)
{
	NOMAD_AUTO_FREE char *exec = NULL, *rest = malloc(HEAD_MAX);
	struct nomad_error *err = NULL;
	struct termios before;
	bool raw = false;
	size_t n_rest = 0;
	int r = rest ? triton_docker_exec_create(&b->docker, container, argv, b->tty, true, NULL, &exec, &err)
		     : nomad_error_errno(&err, ENOMEM, "run a command in a container");

	b->exec = exec;
	if (r >= 0)
		r = open_stream(b, rest, &n_rest, &err);
	if (r < 0)
		return complain(err);
	if (b->tty)
		raw = make_raw(&before);
	if (triton_demux_feed(&b->demux, rest, n_rest, write_out, b) < 0)
		b->failed = true;
	carry(b);
	if (raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return result_of(b);
}

int triton_exec_main(int argc, char **argv)
{
	struct bridge *b = calloc(1, sizeof(*b));
	struct nomad_error *err = NULL;
	struct triton_budget budget;
	int status;

	if (argc < 5 || !getenv("TRITON_EXEC_URL")) {
		fprintf(stderr, "this is for the driver's own use\n");
		free(b);
		return 2;
	}
	if (!b || triton_budget_init(&budget, 100) < 0) {
		free(b);
		return FAILED;
	}
	b->tty = strcmp(argv[3], "tty") == 0;
	b->demux.raw = b->tty;
	/* The plugin runs this as it is: a session and the terminal are our own matter. */
	if (setsid() >= 0 && b->tty)
		(void)ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	(void)!chdir("/");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGWINCH, on_winch);
	if (connect_docker(b, &budget, &err) < 0)
		status = complain(err);
	else
		status = run_command(b, argv[2], (const char *const *)argv + 4);
	if (b->easy)
		curl_easy_cleanup(b->easy);
	triton_http_free(b->docker.http);
	triton_budget_done(&budget);
	free(b);
	return status;
}
