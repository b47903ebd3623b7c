/* SPDX-License-Identifier: MPL-2.0 */
/* Shutdown, as a table.
 *
 *           | request  agent gone  no children  time-out
 *   NONE    | AGENT    -           -            -
 *   AGENT   | TERM     TERM        -            TERM      SIGTERM to the agent: it drains
 *   TERM    | KILL     -           DONE         KILL      SIGTERM to all (5 s)
 *   KILL    | -        -           DONE         DONE      SIGKILL to all (3 s)
 *   DONE    |                                             unmount, power off
 *
 * "-" stays.  Every state but NONE has a time limit, so it comes to an end whatever hangs;
 * and behind that stands the hardware watchdog, which is not stopped. */
#include "shutdown.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "identity.h"
#include "log.h"
#include "loop.h"
#include "mounts.h"
#include "service.h"
#include "util.h"

#define TERM_MS 5000
#define KILL_MS 3000

static const enum shutdown_state table[SHUTDOWN_STATE_MAX][SHUTDOWN_EVENT_MAX] = {
	/*                   REQUEST         AGENT_GONE      NO_CHILDREN     TIMEOUT */
	[SHUTDOWN_NONE] = { SHUTDOWN_AGENT, SHUTDOWN_NONE, SHUTDOWN_NONE, SHUTDOWN_NONE },
	[SHUTDOWN_AGENT] = { SHUTDOWN_TERM, SHUTDOWN_TERM, SHUTDOWN_AGENT, SHUTDOWN_TERM },
	[SHUTDOWN_TERM] = { SHUTDOWN_KILL, SHUTDOWN_TERM, SHUTDOWN_DONE, SHUTDOWN_KILL },
	[SHUTDOWN_KILL] = { SHUTDOWN_KILL, SHUTDOWN_KILL, SHUTDOWN_DONE, SHUTDOWN_DONE },
	[SHUTDOWN_DONE] = { SHUTDOWN_DONE, SHUTDOWN_DONE, SHUTDOWN_DONE, SHUTDOWN_DONE },
};

static const struct config *config;
static bool in_container;
static enum shutdown_state state;
static enum shutdown_how how;
static struct loop_timer timer;

enum shutdown_state shutdown_next(enum shutdown_state s, enum shutdown_event event)
{
	return table[s][event];
}

static void finish(void)
{
	int left, turn;

	identity_save_seed();
	log_info("unmounting");
	log_ring_close();
	sync();
	for (turn = 0; turn < 10; turn++) {
		left = mounts_take_down("");
		if (left <= 0)
			break;
		util_sleep_ms(100);
	}
	if (left > 0)
		log_warn("%d file systems stay busy; they are synced and read-only", left);
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	sync();
	log_info(how == SHUTDOWN_REBOOT ? "restarting" : "power off");
	util_sleep_ms(in_container ? 0 : 100); /* for a slow serial line */
	if (reboot(how == SHUTDOWN_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF) < 0)
		log_error("the kernel refuses: %s", strerror(errno));
	if (in_container)
		_exit(0);
	/* No power control: at least nothing runs any more. */
	reboot(RB_HALT_SYSTEM);
	for (;;)
		pause();
}

static void on_timeout(void *data)
{
	(void)data;
	shutdown_event(SHUTDOWN_TIMEOUT);
}

static void enter(enum shutdown_state next)
{
	uint64_t limit = 0;
	bool drains;

	state = next;
	switch (state) {
	case SHUTDOWN_AGENT:
		limit = config ? (uint64_t)config->agent.stop_seconds * 1000 : 1000;
		drains = config && (how == SHUTDOWN_POWEROFF || config->agent.drain_on_reboot);
		log_info("stopping the agent, which may take %llu s%s", (unsigned long long)limit / 1000,
			 drains ? "" : "; it does not drain");
		loop_timer_set(&timer, limit);
		if (!service_stop(drains ? SIGTERM : SIGINT))
			shutdown_event(SHUTDOWN_AGENT_GONE);
		return;
	case SHUTDOWN_TERM:
		limit = TERM_MS;
		log_info("ending all processes");
		if (kill(-1, SIGTERM) < 0 && errno == ESRCH)
			limit = 0;
		kill(-1, SIGCONT);
		break;
	case SHUTDOWN_KILL:
		limit = KILL_MS;
		if (kill(-1, SIGKILL) == 0)
			log_warn("some processes did not end and were killed");
		else
			limit = 0;
		break;
	case SHUTDOWN_DONE:
		finish();
		break;
	default:
		break;
	}
	loop_timer_set(&timer, limit);
}

void shutdown_event(enum shutdown_event event)
{
	enum shutdown_state next = shutdown_next(state, event);

	if (event == SHUTDOWN_TIMEOUT && state == SHUTDOWN_AGENT) {
		log_warn("the agent did not end in time; it is killed");
		service_signal(SIGKILL);
	}
	if (next != state)
		enter(next);
}

void shutdown_init(const struct config *c, bool container)
{
	config = c;
	in_container = container;
	timer.fn = on_timeout;
}

void shutdown_request(enum shutdown_how h, const char *why)
{
	if (state == SHUTDOWN_NONE)
		how = h;
	log_info("%s: %s%s", why, how == SHUTDOWN_REBOOT ? "restart" : "power off", state ? ", at once" : "");
	shutdown_event(SHUTDOWN_REQUEST);
}

bool shutdown_is_under_way(void)
{
	return state != SHUTDOWN_NONE;
}
