/* SPDX-License-Identifier: MPL-2.0
 *
 * The life of the plugin process under a host.
 *
 *	environment fit? -> plugin -> socket -> handshake line -> server
 *	  -> accept connections, and watch the host -> end
 *
 * Nothing here touches state that another instance may use: an agent starts
 * each plugin three times, twice only to get the schema and to validate, also while another
 * instance still serves (see SetConfig and Init in core/).
 *
 * The end comes in one of two ways.  The host asks (GRPCController.Shutdown):
 * then the process is gone within two seconds, whatever a driver does, since
 * the host would kill it.  Or the host is gone, and nobody came after it: no
 * call has been open for some seconds.  A new agent that took the plugin
 * over holds calls open, and so keeps it. */
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "base/memory.h"
#include "wire/handlers.h"
#include "wire/server.h"
#include "wire/socket.h"

#define SECOND INT64_C(1000000000)

enum {
	PROTOCOL_VERSION = 2,
	TICK_MS = 5000,	       /* between checks that the host lives */
	ORPHAN_TICK_MS = 500,  /* between checks for calls once it is gone */
	SETTLE_MS = 1000,      /* until a connection's first calls are over */
	ACCEPT_PAUSE_MS = 100, /* after EMFILE and similar errors */
};
static const int64_t orphan_ns = 5 * SECOND;
static const int64_t socket_check_ns = 60 * SECOND;
static const int64_t stop_calls_ns = SECOND; /* the host waits two seconds */
static const int64_t stop_all_ns = 3 * SECOND / 2;

struct life {
	struct nomad_plugin *plugin;
	struct nomad__server *server;
	char *path;
	int listener;
	int host_pipe; /* our end of the host's pipe on stdout, or -1 */
	int wake[2];   /* a byte means: end */
	pid_t host;
	bool host_gone;
	bool busy; /* somebody connected since release_code() */
	int64_t socket_checked_ns;
};

static void on_shutdown(void *ud)
{
	struct life *life = ud;

	(void)!write(life->wake[1], "", 1);
}

static int check_environment(struct nomad_error **err)
{
	const char *versions = getenv("PLUGIN_PROTOCOL_VERSIONS");
	const char *certificate = getenv("PLUGIN_CLIENT_CERT");

	if (certificate && *certificate)
		return nomad_error_set(err, EOPNOTSUPP,
				       "serve the plugin: the agent requires TLS (PLUGIN_CLIENT_CERT is set), which "
				       "this plugin does not support; disable AutoMTLS, or unset the variable");
	if (!nomad__handshake_has_version(versions, PROTOCOL_VERSION))
		return nomad_error_set(err, EPROTONOSUPPORT,
				       "serve the plugin: the agent uses plugin protocol '%s', this plugin version %d; "
				       "use a driver for this release of Nomad",
				       versions, PROTOCOL_VERSION);
	return 0;
}

static int end_fd = -1; /* for the handler */

/* The agent's whole unit is stopped: end and remove the socket. */
static void on_sigterm(int signal)
{
	int saved = errno;

	(void)signal;
	(void)!write(end_fd, "", 1);
	errno = saved;
}

static void set_signals(const struct life *life)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction end = { .sa_handler = on_sigterm, .sa_flags = SA_RESTART };

	end_fd = life->wake[1];
	sigaction(SIGTERM, &end, NULL);

	/* The host's death breaks the pipe of stderr; Ctrl-C in the agent's
	 * terminal reaches the whole process group. */
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGINT, &ignore, NULL);
}

/* gRPC's own log would mix with our JSON lines: errors only, unless asked. */
static void quiet_grpc(void)
{
	(void)setenv("GRPC_VERBOSITY", "ERROR", 0);
}

static int tell_host(struct life *life, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *line = nomad__handshake_line(life->path, getenv("PLUGIN_MULTIPLEX_GRPC"));
	NOMAD_AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t size;

	if (!line)
		return nomad_error_errno(err, ENOMEM, "create the handshake line");
	if (null < 0)
		return nomad_error_errno(err, errno, "open /dev/null");
	life->host_pipe = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (life->host_pipe < 0)
		return nomad_error_errno(err, errno, "keep the pipe to the agent");
	size = strlen(line);
	for (size_t done = 0; done < size;) {
		ssize_t n = write(life->host_pipe, line + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return nomad_error_errno(err, errno, "write the handshake line");
		done += n;
	}
	/* Whatever writes to stdout from now on (a library, printf) must not
	 * reach the host, which reads no more than it must. */
	if (dup2(null, STDOUT_FILENO) < 0)
		return nomad_error_errno(err, errno, "point stdout to /dev/null");
	return 0;
}

/* A segment that nobody writes to holds what the file holds, so its pages
 * can go and come back. */
static int release_segments(struct dl_phdr_info *info, size_t size, void *ud)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)ud;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t start = (uintptr_t)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
		uintptr_t end = start + info->dlpi_phdr[i].p_memsz;

		if (info->dlpi_phdr[i].p_type != PT_LOAD || info->dlpi_phdr[i].p_flags & PF_W)
			continue;
		start = (start + page - 1) / page * page;
		end = end / page * page;
		if (start < end)
			(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 1; /* the first is the program; that is all */
}

/* The start and a connection's first calls run through much of gRPC that an
 * idle plugin never sees again: some 3 MB of mapped code.  Give it back; what
 * is needed comes from the page cache.  (A debugger that started the plugin
 * has to set its breakpoints after the handshake: they go with the pages.) */
static void release_code(void)
{
	(void)dl_iterate_phdr(release_segments, NULL);
}

static bool accept_one(struct life *life)
{
	int fd = accept4(life->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED;
	nomad__server_accept(life->server, fd);
	life->busy = true;
	return true;
}

/* Cleaners of /tmp remove sockets that look old.  The open
 * connection continues, but no other agent could connect: bind it again. */
static void keep_socket(struct life *life)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct stat st;
	int fd, r;

	life->socket_checked_ns = nomad_monotonic_ns();
	if (lstat(life->path, &st) == 0 || errno != ENOENT)
		return;
	r = nomad__socket_listen_at(life->path, &fd, &err);
	nomad_log_kv(NOMAD_LOG_WARN,
		     r < 0 ? "the plugin's socket was removed and cannot be created again"
			   : "the plugin's socket was removed; created it again",
		     "path", life->path, r < 0 ? "error" : NULL, nomad_error_message(err), NULL);
	if (r < 0)
		return;
	close(life->listener);
	life->listener = fd;
}

static void serve(struct life *life)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = life->wake[0], .events = POLLIN },
			{ .fd = life->listener, .events = POLLIN },
			{ .fd = life->host_gone ? -1 : life->host_pipe }, /* POLLERR: nobody reads it */
		};
		int n = poll(fds, NOMAD_ARRAY_LEN(fds),
			     life->host_gone ? ORPHAN_TICK_MS
			     : life->busy    ? SETTLE_MS
					     : TICK_MS);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0 && fds[0].revents)
			return;
		if (n == 0 && life->busy) {
			life->busy = false;
			release_code();
		}
		if (n > 0 && fds[1].revents && !accept_one(life))
			poll(NULL, 0, ACCEPT_PAUSE_MS);
		if (!life->host_gone && ((n > 0 && fds[2].revents & (POLLERR | POLLNVAL)) || getppid() != life->host)) {
			life->host_gone = true;
			nomad_log(NOMAD_LOG_INFO,
				  "the agent has disconnected; the plugin exits unless another agent connects");
		}
		if (life->host_gone && nomad__server_idle_ns(life->server) > orphan_ns)
			return;
		if (nomad_monotonic_ns() - life->socket_checked_ns > socket_check_ns)
			keep_socket(life);
	}
}

static void *exit_in_time(void *ud)
{
	struct timespec left = { stop_all_ns / SECOND, stop_all_ns % SECOND };

	(void)ud;
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	_exit(0);
}

static void end(struct life *life)
{
	pthread_t thread;

	close(life->listener);
	(void)unlink(life->path);
	/* A driver that blocks in a callback does not delay the end. */
	if (pthread_create(&thread, NULL, exit_in_time, NULL) == 0)
		pthread_detach(thread);
	if (!nomad__server_stop(life->server, stop_calls_ns))
		_exit(0);
	nomad__plugin_free(life->plugin);
	nomad__server_free(life->server);
	if (life->host_pipe >= 0)
		close(life->host_pipe);
	close(life->wake[0]);
	close(life->wake[1]);
	free(life->path);
}

int nomad__wire_serve(const struct nomad_driver *driver, struct nomad_error **err)
{
	struct life life = {
		.listener = -1, .host_pipe = -1, .host = getppid(), .socket_checked_ns = nomad_monotonic_ns()
	};
	int r = check_environment(err);

	if (r < 0)
		return r;
	quiet_grpc();
	nomad__memory_share();
	if (pipe2(life.wake, O_CLOEXEC | O_NONBLOCK) < 0)
		return nomad_error_errno(err, errno, "make a pipe");
	set_signals(&life);
	life.plugin = nomad__plugin_new(driver, err);
	if (!life.plugin)
		return -nomad_error_code(err ? *err : NULL);
	r = nomad__socket_listen(&life.path, &life.listener, err);
	if (r < 0)
		return r;
	/* The host connects while gRPC starts: its connection waits at the listener. */
	r = tell_host(&life, err);
	if (r >= 0)
		r = nomad__server_new(life.plugin, nomad__methods, nomad__n_methods, on_shutdown, &life, &life.server,
				      err);
	if (r < 0) {
		(void)unlink(life.path);
		return r;
	}
	release_code();
	serve(&life);
	end(&life);
	return 0;
}
