/* SPDX-License-Identifier: MPL-2.0
 *
 * Publishes the metrics: as text to each client of a socket, and in a file.
 *
 * All of it runs on the loop thread, except that a worker writes the file.  A
 * client costs no state: the text goes into the socket's buffer at once, and
 * the socket is closed.  If the text did not fit, its last line is missing.
 *
 * The socket's mode is set before it listens, so nobody without the right
 * gets in, and no other thread sees another umask.  A socket that a dead
 * plugin left is replaced; anything else in its place stays.  Then, and when
 * somebody has removed the socket, the plugin tries again from time to time.
 * Metrics that cannot be shown never prevent a task from running. */
#include "metrics/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/pool.h"
#include "base/tree.h"
#include "nomad/error.h"
#include "nomad/log.h"
#include "os/socket.h"

#define SECOND INT64_C(1000000000)

enum {
	BACKLOG = 16,
	SEND_ROOM = 1 << 20,   /* asked for; Linux gives what net.core.wmem_max allows */
	SOCKET_PATH_MAX = 103, /* what clients can connect to everywhere */
};
static const int64_t look_ns = 5 * SECOND;  /* after the socket */
static const int64_t pause_ns = SECOND / 2; /* after a failed accept */

struct nomad__metrics_server {
	struct nomad__metrics *metrics;
	const struct nomad__metrics_config *config;
	struct nomad__loop *loop;
	struct nomad__pool *pool;
	struct nomad__timer *look, *clock;
	struct nomad__posted end; /* stopping must not fail */

	int listener;
	struct stat listener_st;
	struct nomad__watch *watch;
	char *socket_trouble; /* last message logged */

	bool writing;	     /* atomic: a worker is at the file */
	struct stat file_st; /* the worker's; st_ino 0: not written yet */
	char *file_trouble;  /* the worker's */
};

/* Logs an error once, until it changes. */
static void say(char **said, const char *what, const struct nomad_error *err)
{
	const char *message = err ? nomad_error_message(err) : "";

	if (*said ? strcmp(*said, message) == 0 : !*message)
		return;
	free(*said);
	*said = strdup(message);
	if (err)
		nomad_log_kv(NOMAD_LOG_WARN, what, "error", message, "id", nomad_error_id(err), NULL);
}

/* ---- The socket ---- */

static void answer(struct nomad__metrics_server *server, int fd)
{
	const int room = SEND_ROOM;
	struct nomad__openmetrics om;

	if (nomad__metrics_text(server->metrics, &om) >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		(void)!send(fd, om.text, om.size, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	nomad__openmetrics_done(&om);
}

/* One client each time, so that others on the loop get their turn. */
static void accept_client(void *ud, unsigned events)
{
	struct nomad__metrics_server *server = ud;
	uid_t uid;
	int fd = nomad__unix_accept(server->listener, &uid);

	(void)events;
	if (fd >= 0) {
		if (uid == 0 || uid == geteuid())
			answer(server, fd);
		close(fd);
	} else if (fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED) {
		/* Out of descriptors or memory: the same error would come at once. */
		nomad__watch_set(server->watch, 0);
		nomad__timer_set(server->look, pause_ns);
	}
}

/* Removes the socket of a dead plugin; anything else is an error. */
static int remove_old(int dirfd, const char *name, const char *path, struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : nomad_error_errno(err, errno, "inspect '%s'", path);
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return nomad_error_set(err, EEXIST,
				       "listen on '%s': exists and is not our socket; remove it, or name another path",
				       path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return nomad_error_errno(err, errno, "create a socket");
	r = nomad__unix_connect_at(fd, dirfd, name);
	if (r != -ECONNREFUSED && r != -ENOENT)
		return nomad_error_set(err, EADDRINUSE, "listen on '%s': another process listens on it", path);
	return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT
		       ? nomad_error_errno(err, errno, "remove the old socket '%s'", path)
		       : 0;
}

static int open_dir(const char *path, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = strndup(path, name - path > 1 ? (size_t)(name - path - 1) : 1);
	NOMAD_AUTO_FD int fd = -1;
	struct stat st;
	int r = dir ? nomad__make_dirs(dir, 0755) : -ENOMEM;

	if (r >= 0) {
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	}
	if (r < 0)
		return nomad_error_errno(err, -r, "open the directory of '%s'", path);
	if ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))
		return nomad_error_set(
			err, EPERM,
			"listen on '%s': other users may write to its directory (mode %03o); use a private directory",
			path, (unsigned)st.st_mode & 0777);
	return NOMAD_TAKE_FD(fd);
}

static int listen_on(struct nomad__metrics_server *server, struct nomad_error **err)
{
	const char *path = server->config->socket, *name = strrchr(path, '/') + 1;
	NOMAD_AUTO_FD int dirfd = open_dir(path, name, err);
	NOMAD_AUTO_FD int fd = -1;
	int r = dirfd < 0 ? dirfd : remove_old(dirfd, name, path, err);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : nomad__unix_bind_at(fd, dirfd, name);
	if (r < 0)
		return nomad_error_errno(err, -r, "bind socket '%s'", path);
	if (fchmodat(dirfd, name, 0600, 0) < 0 || fstatat(dirfd, name, &server->listener_st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    listen(fd, BACKLOG) < 0)
		r = -errno;
	else
		r = nomad__watch_new(server->loop, fd, NOMAD__READ, accept_client, server, &server->watch);
	if (r < 0) {
		(void)unlinkat(dirfd, name, 0);
		return nomad_error_errno(err, -r, "listen on '%s'", path);
	}
	server->listener = NOMAD_TAKE_FD(fd);
	return 0;
}

static void close_listener(struct nomad__metrics_server *server)
{
	if (server->listener < 0)
		return;
	nomad__watch_free(NOMAD_TAKE_PTR(server->watch));
	close(server->listener);
	server->listener = -1;
}

/* Listens, and again if the socket was removed or replaced. */
static void look(void *ud)
{
	struct nomad__metrics_server *server = ud;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct stat st;

	if (server->listener >= 0 &&
	    (lstat(server->config->socket, &st) < 0 || st.st_ino != server->listener_st.st_ino ||
	     st.st_dev != server->listener_st.st_dev))
		close_listener(server);
	if (server->listener < 0) {
		(void)listen_on(server, &err);
		say(&server->socket_trouble, "cannot create the metrics socket; trying again", err);
	} else {
		nomad__watch_set(server->watch, NOMAD__READ);
	}
	nomad__timer_set(server->look, look_ns);
}

/* ---- The file ---- */

static void file_job(void *ud)
{
	struct nomad__metrics_server *server = ud;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__openmetrics om;

	if (nomad__metrics_text(server->metrics, &om) < 0)
		nomad_error_errno(&err, ENOMEM, "write metrics");
	else
		(void)nomad__metrics_write(server->config->file, om.text, om.size, &server->file_st, &err);
	nomad__openmetrics_done(&om);
	say(&server->file_trouble, "cannot write the metrics file; trying again", err);
	__atomic_store_n(&server->writing, false, __ATOMIC_RELEASE);
}

static void write_file(void *ud)
{
	struct nomad__metrics_server *server = ud;

	/* A disk that hangs holds one worker, not one more each time. */
	if (!__atomic_exchange_n(&server->writing, true, __ATOMIC_ACQUIRE) &&
	    nomad__pool_run(server->pool, file_job, server) < 0)
		__atomic_store_n(&server->writing, false, __ATOMIC_RELEASE);
	nomad__timer_set(server->clock, nomad__metrics_interval(server->config->interval));
}

/* ---- Configuration ---- */

int64_t nomad__metrics_interval(const char *text)
{
	char *end;
	long n = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 0;
	int64_t unit;

	if (n < 1 || n > 86400)
		return -EINVAL;
	unit = strcmp(end, "h") == 0 ? 3600 : strcmp(end, "m") == 0 ? 60 : !*end || strcmp(end, "s") == 0 ? 1 : 0;
	return unit && n * unit <= 86400 ? n * unit * SECOND : -EINVAL;
}

static const char *check_interval(const char *value)
{
	return nomad__metrics_interval(value) < 0 ? "a time from \"1s\" to \"24h\"" : NULL;
}

static const char *check_socket(const char *value)
{
	size_t n = strlen(value);

	return *value != '/' || n > SOCKET_PATH_MAX || value[n - 1] == '/'
		       ? "an absolute path of at most 103 characters"
		       : NULL;
}

static const struct nomad_option metrics_rows[] = {
	NOMAD_OPTION(
		struct nomad__metrics_config, socket, STRING, .check = check_socket,
		.example = "\"/run/nomad-metrics/NAME.sock\"",
		.help = "Sets the path of a unix socket that sends the metrics as text to each client, and then closes "
			"the connection. The command `metrics` reads it. Only root and the plugin's own user may "
			"connect. The plugin creates missing directories. If the path exists and is not a socket of a "
			"former plugin, the plugin does not touch it, publishes no metrics, and logs why."),
	NOMAD_OPTION(struct nomad__metrics_config, file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/var/lib/prometheus/node-exporter/nomad-driver-NAME.prom\"",
		     .help = "Sets the path of a file that all users can read and that the plugin replaces at each "
			     "interval. It is for the textfile collector of node_exporter, which requires a name that "
			     "ends with .prom. The directory must exist. The plugin removes the file when it exits, "
			     "but not when it is killed: monitor the file's modification time."),
	NOMAD_OPTION(struct nomad__metrics_config, interval, STRING, .def = "\"15s\"", .check = check_interval,
		     .help = "Sets the interval for writing the file: seconds, or a number with s, m or h."),
};

static int check_metrics(const void *arg, struct nomad_error **err)
{
	const struct nomad__metrics_config *config = arg;

	return config->socket || config->file
		       ? 0
		       : nomad_error_set(err, EINVAL,
					 "block 'metrics': neither 'socket' nor 'file' is set; set one of them");
}

const struct nomad_schema nomad__metrics_schema =
	NOMAD_SCHEMA(struct nomad__metrics_config, metrics_rows, .check = check_metrics);

/* ---- Life ---- */

static void begin(void *ud)
{
	struct nomad__metrics_server *server = ud;

	if (nomad__timer_new(server->loop, look, server, &server->look) < 0 ||
	    nomad__timer_new(server->loop, write_file, server, &server->clock) < 0) {
		nomad_log(NOMAD_LOG_WARN, "cannot publish metrics: out of memory");
		return;
	}
	if (server->config->socket)
		look(server);
	if (server->config->file)
		write_file(server);
}

struct nomad__metrics_server *nomad__metrics_start(struct nomad__metrics *metrics,
						   const struct nomad__metrics_config *config, struct nomad__loop *loop,
						   struct nomad__pool *pool)
{
	struct nomad__metrics_server *server;

	if (!config || !metrics->rpcs)
		return NULL;
	server = calloc(1, sizeof(*server));
	if (server)
		*server = (struct nomad__metrics_server){
			.metrics = metrics,
			.config = config,
			.loop = loop,
			.pool = pool,
			.listener = -1,
		};
	if (server && nomad__loop_post(loop, begin, server) >= 0)
		return server;
	nomad_log(NOMAD_LOG_WARN, "cannot publish metrics: out of memory");
	free(server);
	return NULL;
}

static void finish(void *ud)
{
	struct nomad__metrics_server *server = ud;

	if (server->listener >= 0)
		nomad__metrics_remove(server->config->socket, &server->listener_st);
	close_listener(server);
	if (server->file_st.st_ino)
		nomad__metrics_remove(server->config->file, &server->file_st);
	nomad__timer_free(server->look);
	nomad__timer_free(server->clock);
	free(server->socket_trouble);
	free(server->file_trouble);
	free(server);
}

void nomad__metrics_stop(struct nomad__metrics_server *server)
{
	if (server)
		nomad__loop_post_in(server->loop, &server->end, finish, server);
}
