/* SPDX-License-Identifier: MPL-2.0
 *
 * The supervisor: the parent of one task.
 *
 *   plugin --fork--> supervisor (1) --fork--> supervisor (2) --fork--> task
 *                        | exits at once          ^  ctl, notify, FIFOs
 *                        v                        |
 *   plugin <------- control messages (../PROTOCOL.md)
 *
 * It outlives the plugin that started it: own session, child of init (or of
 * who reaps for it), no descriptor of the plugin's but the connection that it
 * was started over.  One thread, no memory from the heap, no configuration
 * and no knowledge of any driver: what to run and which cgroups to use
 * comes as a list of keys (the specification) in anonymous memory.
 *
 * The life of the task is the table in table.c; loop.c turns what happens
 * (a child died, a message came, time is up) into its events. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/crash.h"
#include "supervisor/identity.h"

static void reset_signals(void)
{
	/* Nobody ends us but by SIGKILL: a stray signal to a whole session or control group must not orphan the task.
	 * Writers to pipes and sockets look at what write() says. */
	static const int ignored[] = { SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	struct sigaction sa = { .sa_handler = SIG_IGN };

	child_defaults();
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(ignored); i++)
		sigaction(ignored[i], &sa, NULL);
}

static int begin(void)
{
	const char *dir = spec_get("dir");
	char notify[300] = "";
	int r;

	if (!dir || !spec_get("arg"))
		return fail(EPROTO, "read the specification", NULL);
	orders_init();
	r = directory_open(dir);
	if (r < 0)
		return r;
	/* A plugin that died before this may have been cleaned up after already. */
	if (poll(&(struct pollfd){ .fd = START_FD }, 1, 0) != 0)
		_exit(0);
	nomad__crash_at("super-detached");
	r = nomad__identity_write(directory());
	if (r < 0)
		return fail(-r, "write to directory", dir);
	(void)unlinkat(directory(), "exit", 0);
	(void)unlinkat(directory(), ".exit.new", 0);
	nomad__crash_at("super-recorded");
	r = clients_listen();
	if (r < 0)
		return fail(-r, "create the control socket in", dir);
	nomad__crash_at("super-listening");
	r = logs_open();
	if (r >= 0)
		r = limits_create();
	if (r >= 0)
		r = channels_open();
	if (r < 0)
		return r;
	nomad__crash_at("super-cgroups");
	r = spec_num("notify", 0) ? notify_open(notify, sizeof(notify)) : 0;
	return r < 0 ? r : spawn_main(notify);
}

/* Leave the agent: own session, own cgroups. */
static void detach(void)
{
	int r;

	setsid();
	(void)!chdir("/");
	umask(022);
	limits_leave_agent();
	(void)nomad__oom_score(-900);
	r = nomad__reaper_acquire();
	if (r < 0)
		(void)fail(-r, "become the reaper of the task", NULL);
}

int main(void)
{
	int r, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			return 1;
	nomad__close_from(START_FD + 1);
	if (fcntl(START_FD, F_SETFD, FD_CLOEXEC) < 0)
		return 1;
	reset_signals();
	nomad__process_name("supervisor");
	nomad__process_protect();
	clients_init();

	if (spec_receive(START_FD) >= 0) {
		r = limits_fork_supervisor();
		if (r > 0)
			_exit(0);
		if (r < 0)
			(void)fail(-r, "fork", NULL);
	}
	if (!failed())
		detach();
	if (failed() || begin() < 0)
		end_undone();
	else
		super_loop();
	_exit(0);
}
