/* SPDX-License-Identifier: MPL-2.0
 *
 * The metrics on a socket, and the clock of the file.  All on the loop
 * thread, but the file, which a worker writes.
 *
 *	a client:	accepted -> request read -> answer written -> rest read -> closed
 *			each step bounded in bytes, and all of it in time
 *
 * A client costs a descriptor and a few kilobytes, never a thread or a wait:
 * who is silent or slow is closed.  With as many clients as may be, the
 * others wait in the socket's queue.
 *
 * The socket is bound before it listens, and its mode set between the two:
 * so nobody gets in who may not, and no other thread sees another umask.
 * One that a dead plugin left is replaced, anything else at its place is not
 * touched: then, and when somebody has removed it, it is tried again from
 * time to time.  That the metrics cannot be shown keeps no task from running. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/plugin.h"
#include "os/socket.h"

#define SECOND INT64_C(1000000000)

enum {
	CLIENTS_MAX = 16,
	BACKLOG = 16,
	SOCKET_PATH_MAX = 103,	  /* what clients can connect to everywhere */
	LINGER_MAX_BYTES = 65536, /* of a client that goes on talking */
};
static const int64_t look_ns = 5 * SECOND;  /* after the socket */
static const int64_t pause_ns = SECOND / 2; /* when no client can be accepted */
static const int64_t request_ns = 5 * SECOND, answer_ns = 10 * SECOND, linger_ns = SECOND;

enum state { READING, WRITING, LINGERING };

struct client {
	struct client *next;
	struct nomad__metrics_server *server;
	int fd;
	enum state state;
	struct nomad__watch *watch;
	struct nomad__timer *timer;
	char request[NOMAD__HTTP_REQUEST_MAX];
	size_t request_size, lingered;
	char *answer;
	size_t answer_size, answered;
};

struct nomad__metrics_server {
	struct nomad_plugin *plugin;
	const struct nomad__metrics_config *config;
	int64_t interval_ns;
	struct nomad__timer *look, *resume, *clock;

	int listener;
	struct stat listener_st;
	struct nomad__watch *watch;
	struct client *clients;
	unsigned n_clients;
	char *socket_trouble; /* what was said last */

	bool writing;	     /* atomic: a worker is at the file */
	struct stat file_st; /* the worker's; st_ino 0: not written yet */
	char *file_trouble;  /* the worker's */
};

/* Say what is wrong, once. */
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

/* ---- A client ---- */

static void set_accepting(struct nomad__metrics_server *server, bool on)
{
	if (server->watch)
		nomad__watch_set(server->watch, on ? NOMAD__READ : 0);
}

static void client_free(struct client *client)
{
	struct nomad__metrics_server *server = client->server;
	struct client **p = &server->clients;

	while (*p != client)
		p = &(*p)->next;
	*p = client->next;
	server->n_clients--;
	nomad__watch_free(client->watch);
	nomad__timer_free(client->timer);
	close(client->fd);
	free(client->answer);
	free(client);
	set_accepting(server, true);
}

static void client_late(void *ud)
{
	client_free(ud);
}

/* True: it is still there. */
static bool client_linger(struct client *client)
{
	char rest[4096];
	ssize_t n;

	while ((n = recv(client->fd, rest, sizeof(rest), 0)) > 0) {
		client->lingered += (size_t)n;
		if (client->lingered > LINGER_MAX_BYTES)
			break;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	client_free(client);
	return false;
}

static bool client_write(struct client *client)
{
	while (client->answered < client->answer_size) {
		ssize_t n = send(client->fd, client->answer + client->answered, client->answer_size - client->answered,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			nomad__watch_set(client->watch, NOMAD__WRITE);
			return true;
		}
		if (n < 0) {
			client_free(client);
			return false;
		}
		client->answered += (size_t)n;
	}
	/* To close with something unread would be an error to who is still writing. */
	client->state = LINGERING;
	(void)shutdown(client->fd, SHUT_WR);
	nomad__watch_set(client->watch, NOMAD__READ);
	nomad__timer_set(client->timer, linger_ns);
	return client_linger(client);
}

static bool client_answer(struct client *client, bool full)
{
	client->answer = nomad__http_answer(client->server->plugin, client->request, client->request_size, full,
					    &client->answer_size);
	if (!client->answer) {
		client_free(client);
		return false;
	}
	client->state = WRITING;
	nomad__timer_set(client->timer, answer_ns);
	return client_write(client);
}

static bool client_read(struct client *client)
{
	for (;;) {
		size_t room = sizeof(client->request) - client->request_size;
		ssize_t n = recv(client->fd, client->request + client->request_size, room, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			client_free(client);
			return false;
		}
		client->request_size += (size_t)n;
		if (nomad__http_complete(client->request, client->request_size))
			return client_answer(client, false);
		if (client->request_size == sizeof(client->request))
			return client_answer(client, true);
	}
}

static void client_ready(void *ud, unsigned events)
{
	struct client *client = ud;

	(void)events;
	if (client->state == READING)
		(void)client_read(client);
	else if (client->state == WRITING)
		(void)client_write(client);
	else
		(void)client_linger(client);
}

static int client_new(struct nomad__metrics_server *server, int take_fd)
{
	struct nomad__loop *loop = server->plugin->loop;
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(take_fd);
		return -ENOMEM;
	}
	client->server = server;
	client->fd = take_fd;
	client->next = server->clients;
	server->clients = client;
	server->n_clients++;
	if (nomad__timer_new(loop, client_late, client, &client->timer) < 0 ||
	    nomad__watch_new(loop, client->fd, NOMAD__READ, client_ready, client, &client->watch) < 0) {
		client_free(client);
		return -ENOMEM;
	}
	nomad__timer_set(client->timer, request_ns);
	return 0;
}

static void accept_clients(void *ud, unsigned events)
{
	struct nomad__metrics_server *server = ud;
	uid_t uid;
	int fd = -EAGAIN, r = 0;

	(void)events;
	while (r >= 0 && server->n_clients < CLIENTS_MAX && (fd = nomad__unix_accept(server->listener, &uid)) >= 0) {
		if (uid == 0 || uid == geteuid())
			r = client_new(server, fd);
		else
			close(fd);
	}
	if (server->n_clients >= CLIENTS_MAX) {
		set_accepting(server, false);
	} else if (r < 0 || (fd < 0 && fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED)) {
		/* Out of descriptors or memory: it would come again at once. */
		set_accepting(server, false);
		nomad__timer_set(server->resume, pause_ns);
	}
}

static void resume_accepting(void *ud)
{
	struct nomad__metrics_server *server = ud;

	set_accepting(server, server->n_clients < CLIENTS_MAX);
}

/* ---- The socket ---- */

/* Make room for it: what is there may only be what a dead plugin left. */
static int remove_old(int dirfd, const char *name, const char *path, struct nomad_error **err)
{
	NOMAD_AUTO_FD int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : nomad_error_errno(err, errno, "look at '%s'", path);
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return nomad_error_set(
			err, EEXIST,
			"listen on '%s': what is there is no socket of ours; remove it, or name another path", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return nomad_error_errno(err, errno, "make a socket");
	r = nomad__unix_connect_at(fd, dirfd, name);
	if (r != -ECONNREFUSED && r != -ENOENT)
		return nomad_error_set(err, EADDRINUSE, "listen on '%s': another process does", path);
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
		return nomad_error_set(err, EPERM, "listen on '%s': others may write into its directory (mode %03o)",
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
		r = nomad__watch_new(server->plugin->loop, fd, NOMAD__READ, accept_clients, server, &server->watch);
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

/* Listen, and see that it can be found. */
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
		say(&server->socket_trouble, "the metrics' socket cannot be made; it is tried again", err);
	}
	nomad__timer_set(server->look, look_ns);
}

/* ---- The file ---- */

static void file_job(void *ud)
{
	struct nomad__metrics_server *server = ud;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__openmetrics om;

	if (nomad__metrics_text(server->plugin, &om) < 0)
		nomad_error_errno(&err, ENOMEM, "write metrics");
	else
		(void)nomad__metrics_write(server->config->file, om.text, om.size, &server->file_st, &err);
	nomad__openmetrics_done(&om);
	say(&server->file_trouble, "the metrics' file cannot be written; it is tried again", err);
	__atomic_store_n(&server->writing, false, __ATOMIC_RELEASE);
}

static void write_file(void *ud)
{
	struct nomad__metrics_server *server = ud;

	/* A disk that hangs holds one worker, not one more each time. */
	if (!__atomic_exchange_n(&server->writing, true, __ATOMIC_ACQUIRE) &&
	    nomad__work(server->plugin, file_job, server) < 0)
		__atomic_store_n(&server->writing, false, __ATOMIC_RELEASE);
	nomad__timer_set(server->clock, server->interval_ns);
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
	NOMAD_OPTION(struct nomad__metrics_config, socket, STRING, .check = check_socket,
		     .example = "\"/run/nomad-metrics/NAME.sock\"",
		     .help = "A unix socket, for the plugin's own user and root alone, that answers HTTP: GET "
			     "/metrics, as by `curl --unix-socket`, or by the command `metrics`. Missing directories "
			     "are made. What is at the path and is not a socket that a plugin left is not touched; "
			     "then there are no metrics, and the log says why."),
	NOMAD_OPTION(struct nomad__metrics_config, file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/var/lib/prometheus/node-exporter/nomad-driver-NAME.prom\"",
		     .help = "A file, readable for all, that is replaced as a whole at each interval, for the textfile "
			     "collector of node_exporter, which wants its name to end with .prom. Its directory has to "
			     "be there. It is removed when the plugin ends, but not when it is killed: see the "
			     "collector's time of last change."),
	NOMAD_OPTION(struct nomad__metrics_config, interval, STRING, .def = "\"15s\"", .check = check_interval,
		     .help = "How often the file is written: seconds, or a number with s, m or h."),
};

static int check_metrics(const void *arg, struct nomad_error **err)
{
	const struct nomad__metrics_config *config = arg;

	return config->socket || config->file
		       ? 0
		       : nomad_error_set(err, EINVAL,
					 "block 'metrics' has neither 'socket' nor 'file': say where to show them");
}

const struct nomad_schema nomad__metrics_schema =
	NOMAD_SCHEMA(struct nomad__metrics_config, metrics_rows, .check = check_metrics);

/* ---- Life ---- */

static void begin(void *ud)
{
	struct nomad__metrics_server *server = ud;

	server->plugin->metrics_server = server;
	if (nomad__timer_new(server->plugin->loop, look, server, &server->look) < 0 ||
	    nomad__timer_new(server->plugin->loop, resume_accepting, server, &server->resume) < 0 ||
	    nomad__timer_new(server->plugin->loop, write_file, server, &server->clock) < 0) {
		nomad_log(NOMAD_LOG_WARN, "no memory to show metrics");
		return;
	}
	if (server->config->socket)
		look(server);
	if (server->config->file)
		write_file(server);
}

void nomad__metrics_start(struct nomad_plugin *plugin)
{
	const struct nomad__metrics_config *config = nomad__library_config(plugin)->metrics;
	struct nomad__metrics_server *server;

	if (!config || !plugin->final || !nomad__metrics_wanted(plugin))
		return;
	server = calloc(1, sizeof(*server));
	if (server)
		*server = (struct nomad__metrics_server){
			.plugin = plugin,
			.config = config,
			.listener = -1,
			.interval_ns = nomad__metrics_interval(config->interval),
		};
	if (!server || nomad__loop_post(plugin->loop, begin, server) < 0) {
		nomad_log(NOMAD_LOG_WARN, "no memory to show metrics");
		free(server);
	}
}

static void finish(void *ud)
{
	struct nomad_plugin *plugin = ud;
	struct nomad__metrics_server *server = NOMAD_TAKE_PTR(plugin->metrics_server);

	if (!server)
		return;
	while (server->clients)
		client_free(server->clients);
	if (server->listener >= 0)
		nomad__metrics_remove(server->config->socket, &server->listener_st);
	close_listener(server);
	if (server->file_st.st_ino)
		nomad__metrics_remove(server->config->file, &server->file_st);
	nomad__timer_free(server->look);
	nomad__timer_free(server->resume);
	nomad__timer_free(server->clock);
	free(server->socket_trouble);
	free(server->file_trouble);
	free(server);
}

/* In memory of the plugin's own: it must not fail. */
void nomad__metrics_stop(struct nomad_plugin *plugin)
{
	if (plugin->loop)
		nomad__loop_post_in(plugin->loop, &plugin->metrics_end, finish, plugin);
}
