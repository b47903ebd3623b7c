/* SPDX-License-Identifier: MPL-2.0
 *
 * Prints the metrics of the plugin that serves an agent, from its socket or
 * its file: both are text that ends with "# EOF". */
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
#include "core/options.h"
#include "metrics/metrics.h"

enum { ANSWER_MAX = 4 << 20, PATIENCE_MS = 10000 };

static int connect_to(const char *path, struct nomad_error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	NOMAD_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return nomad_error_errno(err, errno, "make a socket");
	if (strlen(path) >= sizeof(address.sun_path))
		return nomad_error_set(err, ENAMETOOLONG, "connect to '%s': path is too long", path);
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return nomad_error_errno(
			err, errno, "connect to '%s' (requires a running plugin with this socket in its configuration)",
			path);
	return NOMAD_TAKE_FD(fd);
}

static int open_file(const char *path, struct nomad_error **err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? nomad_error_errno(err, errno,
					  "open '%s' (requires a running plugin with this file in its configuration)",
					  path)
		      : fd;
}

/* Prints what `take_fd` gives, once all of it is there. */
static int print_all(int take_fd, const char *path, struct nomad_error **err)
{
	const int64_t until = nomad_monotonic_ns() + PATIENCE_MS * INT64_C(1000000);
	NOMAD_AUTO_FD int fd = take_fd;
	NOMAD_AUTO_FREE char *text = malloc(ANSWER_MAX + 1);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t size = 0;

	if (!text)
		return nomad_error_errno(err, ENOMEM, "read metrics from '%s'", path);
	for (;;) {
		int64_t left = until - nomad_monotonic_ns();
		ssize_t n;

		if (left <= 0 || size == ANSWER_MAX)
			return nomad_error_set(err, ETIMEDOUT, "read metrics from '%s': larger than the limit", path);
		if (poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
			continue;
		n = read(fd, text + size, ANSWER_MAX - size);
		if (n < 0 && errno != EINTR)
			return nomad_error_errno(err, errno, "read metrics from '%s'", path);
		if (n == 0)
			break;
		size += n > 0 ? (size_t)n : 0;
	}
	text[size] = '\0';
	if (size < 6 || strcmp(text + size - 6, "# EOF\n") != 0)
		return nomad_error_set(err, EIO, "read metrics from '%s': incomplete, or not OpenMetrics text", path);
	fputs(text, stdout);
	return 0;
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
	if (!path && config)
		path = config->socket;
	if (path)
		r = connect_to(path, &err);
	else if (config)
		r = open_file(path = config->file, &err);
	else
		r = nomad_error_set(&err, ENOENT,
				    "metrics are off: %s has no block 'metrics'; give --config or --socket",
				    config_file ? config_file : "the default configuration");
	if (r >= 0)
		r = print_all(r, path, &err);
	nomad__plugin_free(plugin);
	if (r < 0)
		return nomad__cli_fail(driver, NOMAD__EXIT_FAILED, "%s [%s]", nomad_error_message(err),
				       nomad_error_id(err));
	return fflush(stdout) == 0 ? NOMAD__EXIT_OK : NOMAD__EXIT_FAILED;
}
