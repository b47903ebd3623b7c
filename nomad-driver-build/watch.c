/* SPDX-License-Identifier: MPL-2.0
 *
 * PID 1 of a build, from outside: it gets the signals, and is killed when the
 * build takes too long or stores too much.  Nothing that the build does can
 * hinder that.
 *
 * The size is that of a tree, as file systems with quotas are rare: it is
 * looked at so often that looking takes a twentieth of the time. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "watch.h"

enum { LOOK_EVERY_MS = 250, LOOK_SHARE = 20, GRACE_MS = 10000, TIMED_OUT = 124, FAILED = 125 };

static int64_t now_ms(void)
{
	return nomad_monotonic_ns() / 1000000;
}

static void tell(const struct build_watch *w, const char *what, uint64_t limit, const char *unit, const char *option)
{
	dprintf(w->events, "The build %s %" PRIu64 " %s (option %s): stopped\n", what, limit, unit, option);
	fprintf(stderr, "nomad-driver-build: the build %s %" PRIu64 " %s (option %s)\n", what, limit, unit, option);
}

/* When to look again; in status what the build ends with from now on. */
static int64_t look(const struct build_watch *w, pid_t pid, int *status)
{
	int64_t began = now_ms(), took;

	if (!*status && w->deadline_ms && began >= w->deadline_ms) {
		tell(w, "takes longer than", w->timeout_s, "s", "timeout");
		*status = TIMED_OUT;
		kill(pid, SIGTERM);
		return began + GRACE_MS;
	}
	if (*status) {
		kill(pid, SIGKILL);
		return began + GRACE_MS;
	}
	if (!w->storage_max)
		return w->deadline_ms;
	if (build_tree_size_at(w->dir) > w->storage_max) {
		tell(w, "stores more than", w->storage_max >> 20, "MiB", "storage_mb");
		*status = FAILED;
		kill(pid, SIGKILL);
	}
	took = now_ms() - began;
	began += took + (took * LOOK_SHARE > LOOK_EVERY_MS ? took * LOOK_SHARE : LOOK_EVERY_MS);
	return w->deadline_ms && w->deadline_ms < began && !*status ? w->deadline_ms : began;
}

int build_watch(const struct build_watch *w, pid_t pid, const sigset_t *mask)
{
	int64_t next = w->storage_max ? now_ms() + LOOK_EVERY_MS : w->deadline_ms;
	int number, status, own = 0;

	for (;;) {
		int64_t ms = next ? next - now_ms() : 3600000;
		struct timespec wait = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

		if (ms <= 0) {
			next = look(w, pid, &own);
			continue;
		}
		number = sigtimedwait(mask, NULL, &wait);
		if (number > 0 && number != SIGCHLD)
			kill(pid, number);
		if (number == SIGCHLD && waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	if (own)
		return own;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
