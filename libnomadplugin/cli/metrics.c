/* SPDX-License-Identifier: MPL-2.0
 *
 * The present metrics of the plugin that serves an agent, by its socket, or
 * as its file has them. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/plugin.h"

enum { ANSWER_MAX = 4 << 20, PATIENCE_MS = 10000 };

static int connect_to(const char *path, struct nomad_error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	NOMAD_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return nomad_error_errno(err, errno, "make a socket");
	if (strlen(path) >= sizeof(address.sun_path))
		return nomad_error_set(err, ENAMETOOLONG, "the socket's path '%s' is too long", path);
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return nomad_error_errno(
			err, errno, "connect to '%s' (does the plugin run, with this socket in its configuration?)",
			path);
	return NOMAD_TAKE_FD(fd);
}

/* Until the end of what `fd` gives; *ret is closed by NUL and owned. */
static int read_all(int fd, char **ret, struct nomad_error **err)
{
	const int64_t until = nomad_monotonic_ns() + PATIENCE_MS * INT64_C(1000000);
	NOMAD_AUTO_FREE char *text = malloc(ANSWER_MAX + 1);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t size = 0;

	if (!text)
		return nomad_error_errno(err, ENOMEM, "read metrics");
	for (;;) {
		int64_t left = until - nomad_monotonic_ns();
		ssize_t n;

		if (left <= 0 || size == ANSWER_MAX)
			return nomad_error_set(err, ETIMEDOUT, "read metrics: they do not come to an end");
		if (poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
			continue;
		n = read(fd, text + size, ANSWER_MAX - size);
		if (n < 0 && errno != EINTR)
			return nomad_error_errno(err, errno, "read metrics");
		if (n == 0)
			break;
		size += n > 0 ? (size_t)n : 0;
	}
	text[size] = '\0';
	*ret = NOMAD_TAKE_PTR(text);
	return 0;
}

static int from_socket(const char *path, struct nomad_error **err)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
	NOMAD_AUTO_FD int fd = connect_to(path, err);
	NOMAD_AUTO_FREE char *answer = NULL;
	const char *body;
	int r;

	if (fd < 0)
		return fd;
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != sizeof(request) - 1)
		return nomad_error_errno(err, errno, "ask '%s' for metrics", path);
	r = read_all(fd, &answer, err);
	if (r < 0)
		return r;
	body = strstr(answer, "\r\n\r\n");
	if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 || !body || !strstr(body, "# EOF\n"))
		return nomad_error_set(err, EIO, "ask '%s' for metrics: the answer is of something else", path);
	fputs(body + 4, stdout);
	return 0;
}

static int from_file(const char *path, struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	NOMAD_AUTO_FREE char *text = NULL;
	int r = fd < 0 ? nomad_error_errno(err, errno,
					   "open '%s' (does the plugin run, with this file in its configuration?)",
					   path)
		       : read_all(fd, &text, err);

	if (r >= 0)
		fputs(text, stdout);
	return r;
}

int nomad__cli_metrics(int argc, char **argv, const struct nomad_driver *driver)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	const char *config_file = NULL, *path = NULL;
	const struct nomad__metrics_config *config;
	struct nomad_plugin *plugin;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			config_file = optarg;
			break;
		case 's':
			path = optarg;
			break;
		default:
			return NOMAD__EXIT_USAGE;
		}
	}
	if (optind < argc)
		return nomad__cli_fail(driver, NOMAD__EXIT_USAGE, "metrics: unexpected argument '%s'", argv[optind]);
	plugin = nomad__cli_plugin(driver, config_file);
	if (!plugin)
		return NOMAD__EXIT_FAILED;
	config = nomad__library_config(plugin)->metrics;
	if (path || (config && config->socket))
		r = from_socket(path ? path : config->socket, &err);
	else if (config)
		r = from_file(config->file, &err);
	else
		r = nomad_error_set(
			&err, ENOENT,
			"metrics are off: %s has no block 'metrics'; --config or --socket says where they are",
			config_file ? config_file : "the default configuration");
	nomad__plugin_free(plugin);
	if (r < 0)
		return nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "%s [%s]", nomad_error_message(err),
				       nomad_error_id(err));
	return fflush(stdout) == 0 ? NOMAD__EXIT_OK : NOMAD__EXIT_FAILED;
}
