/* SPDX-License-Identifier: MPL-2.0
 *
 * One thread that watches all tasks.
 *
 * Each poll_interval one list of this plugin's instances (by the tag
 * nomad_owner) shows the state of all.  What it does not show is asked for by
 * itself: only an answer about the very instance, deleted (410) or never heard
 * of (404), is its end; an API that does not answer says nothing.
 *
 *	state		machine				container
 *	running		goes on				goes on
 *	stopped		ended, if it stays so for	ask Docker: ended, if it
 *			three looks (in a reboot it	says so
 *			is stopped in passing)
 *	failed		ended, failed
 *	deleted, 404	ended: by somebody else, unless we did it
 *	others		not known, goes on
 *
 * A task that was told to stop, or whose log ended, is looked at each second.
 * Where many are to be looked at, the list is asked for instead.
 *
 * A container's end is reported when its log has been delivered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/log.h"
#include "nomad/task.h"

#include "poller.h"
#include "verdict.h"
#include "watched.h"

enum {
	SOON_MS = 1000,	      /* between looks at something that is about to end */
	LOOKS = 3,	      /* a machine is stopped for so many looks */
	CONTAINER_LOOKS = 60, /* the same of a container that Docker does not know to have ended */
	SINGLE_MOST = 4,      /* more single looks than this: list */
	INSTEAD_MOST = 32,    /* single looks each interval where the list cannot be read */
	LOG_MS = 15000,	      /* a log that does not move may take so long after the end, */
	LOG_MOST_MS = 120000, /* and one that moves so long */
	BACKOFF_MOST_MS = 60000,
};

struct triton_poller {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct watched *list;
	struct triton_site *site;
	struct triton_logs *logs;
	const struct triton_poller_calls *calls;
	void *ud;
	bool stop, started, failing;
	unsigned failures;
};

static struct watched *find(struct triton_poller *poller, const char *task_id)
{
	struct watched *w = poller->list;

	while (w && strcmp(w->task_id, task_id) != 0)
		w = w->next;
	return w;
}

/* ---- One look ---- */

static void set_end(struct triton_poller *poller, struct watched *w, const struct nomad_exit *result,
		    const char *message)
{
	w->result = *result;
	w->result.message = message ? strdup(message) : NULL;
	w->ended = true;
	w->ended_ms = triton_now_ms();
	w->look_ms = w->ended_ms;
	triton_logs_finish(poller->logs, w->task_id, w->container ? LOG_MS : 1000, w->container ? LOG_MOST_MS : 1000);
}

/* A copy of what a look needs, for the lock is not held while it asks. */
struct look {
	char *task_id, *machine, *container;
};

static void look_done(struct look *look)
{
	free(look->task_id);
	free(look->machine);
	free(look->container);
}

static void apply_machine(struct triton_poller *poller, struct watched *w, enum triton_state state, const char *action)
{
	struct nomad_exit result;
	const char *message;
	bool stays;

	if (state == TRITON_STOPPED && w->state == TRITON_STOPPED)
		w->looks++;
	else if ((w->looks = state == TRITON_STOPPED))
		w->stopped_ms = triton_now_ms();
	/* Long enough that it is not a reboot which passes by. */
	stays = w->looks >= LOOKS && triton_now_ms() - w->stopped_ms >= 2 * poller->site->poll_interval_ms;
	if (state != TRITON_UNKNOWN)
		w->state = state;
	if (triton_machine_verdict(state, action, w->expected, w->killed, w->ends_deleted, &result, &message) &&
	    (state != TRITON_STOPPED || w->expected || stays))
		set_end(poller, w, &result, message);
	else if (w->expected || state == TRITON_STOPPED || state == TRITON_STOPPING || state == TRITON_READY)
		w->look_ms = triton_now_ms() + SOON_MS;
	else
		w->look_ms = INT64_MAX;
}

/* Docker has not seen its end: that it is stopped counts only after many looks. */
static void apply_container(struct triton_poller *poller, struct watched *w, enum triton_state state)
{
	struct nomad_exit result = { .exit_code = 1 };

	if (state != TRITON_UNKNOWN)
		w->state = state;
	w->looks = state == TRITON_STOPPED ? w->looks + 1 : 0;
	if (w->looks >= CONTAINER_LOOKS)
		set_end(poller, w, &result, "the container stopped; the Docker API tells no exit status");
	else if (w->expected || state == TRITON_STOPPED || state == TRITON_STOPPING)
		w->look_ms = triton_now_ms() + SOON_MS;
	else
		w->look_ms = INT64_MAX;
}

/* The audit says who stopped it; without one the looks alone decide. */
static void read_audit(struct triton_poller *poller, const char *machine, char ret_action[64])
{
	struct triton_cloud cloud;

	if (triton_site_cloud(poller->site, &cloud, NULL) < 0)
		return;
	cloud.retry_ms = 0;
	(void)triton_cloud_last_action(&cloud, machine, ret_action, NULL);
}

static void look_at(struct triton_poller *poller, struct look *look)
{
	enum triton_state state = TRITON_UNKNOWN;
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	struct nomad_exit result = { 0 };
	const char *message = NULL;
	char action[64] = "";
	struct triton_docker docker;
	struct triton_cloud cloud;
	struct watched *w;
	bool ended = false, tell = false;

	if (look->container)
		ended = triton_site_docker(poller->site, &docker, NULL) >= 0 &&
			triton_container_ended(&docker, look->container, &result, &message);
	if (!ended && triton_site_cloud(poller->site, &cloud, NULL) >= 0)
		state = triton_machine_state(&cloud, look->machine, &why);
	if (!look->container && state == TRITON_STOPPED)
		read_audit(poller, look->machine, action);
	pthread_mutex_lock(&poller->lock);
	w = find(poller, look->task_id);
	if (w && !w->ended && ended) {
		w->state = TRITON_STOPPED;
		if (w->killed && !message && !result.exit_code)
			result.exit_code = 137;
		set_end(poller, w, &result, message);
	} else if (w && !w->ended) {
		if (!look->container || state == TRITON_DELETED || state == TRITON_FAILED)
			apply_machine(poller, w, state, action);
		else
			apply_container(poller, w, state);
		w->asked_ms = triton_now_ms();
		tell = !w->illegible && nomad_error_code(why) == EBADMSG;
		w->illegible = nomad_error_code(why) == EBADMSG;
	}
	pthread_mutex_unlock(&poller->lock);
	if (tell)
		poller->calls->event(poller->ud, look->task_id, nomad_error_message(why));
}

/* ---- All at once ---- */

/* The list cannot be read: some of the instances are asked for by themselves, in turn.  The lock is held. */
static void look_instead(struct triton_poller *poller, int64_t now)
{
	unsigned n = 0;

	for (struct watched *w = poller->list; w && n < INSTEAD_MOST; w = w->next) {
		if (w->ended || now - w->asked_ms < poller->site->poll_interval_ms)
			continue;
		w->look_ms = now;
		n++;
	}
}

/* The list does not come: what is known stays.  The lock is held. */
static void note_failure(struct triton_poller *poller, int r, const struct nomad_error *why, int64_t now)
{
	poller->failures++;
	if (!poller->failing)
		nomad_log_kv(NOMAD_LOG_WARN, "the state of the instances is not known now", "error",
			     nomad_error_message(why), NULL);
	poller->failing = true;
	if (r == -EBADMSG || r == -EMSGSIZE)
		look_instead(poller, now);
}

/* Ask for the list and note what it shows; what it does not show is to be looked at by itself.  *ret_requests: that it
 * took. */
static int list_all(struct triton_poller *poller, int64_t now, size_t *ret_requests)
{
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	NOMAD_AUTO_FREE char *query = NULL;
	struct triton_seen seen = { 0 };
	struct triton_cloud cloud;
	int r = triton_site_cloud(poller->site, &cloud, &why);

	pthread_mutex_lock(&poller->lock);
	query = triton_watched_query(poller->list, poller->site->owner);
	pthread_mutex_unlock(&poller->lock);
	*ret_requests = 1;
	if (!query)
		return -ENOMEM;
	if (r >= 0) {
		cloud.retry_ms = 0;
		r = triton_seen_read(&cloud, query, &seen, &why);
	}
	pthread_mutex_lock(&poller->lock);
	if (r < 0) {
		note_failure(poller, r, why, now);
	} else {
		if (poller->failing)
			nomad_log(NOMAD_LOG_INFO, "the state of the instances is known again");
		poller->failing = false;
		poller->failures = 0;
		for (struct watched *w = poller->list; w; w = w->next)
			triton_watched_note(w, &seen, now);
	}
	pthread_mutex_unlock(&poller->lock);
	*ret_requests = seen.count / TRITON_PAGE + 1;
	triton_seen_done(&seen);
	return r;
}

/* Take those whose time has come; the lock is held. */
static void take_due(struct triton_poller *poller, int64_t now, struct look **ret, size_t *ret_count)
{
	struct look *looks;
	size_t n = 0, count = 0;

	for (struct watched *w = poller->list; w; w = w->next)
		n += !w->ended && w->look_ms <= now;
	looks = n ? calloc(n, sizeof(*looks)) : NULL;
	for (struct watched *w = poller->list; looks && w && count < n; w = w->next) {
		struct look *look = &looks[count];

		if (w->ended || w->look_ms > now)
			continue;
		look->task_id = strdup(w->task_id);
		look->machine = strdup(w->machine);
		look->container = w->container ? strdup(w->container) : NULL;
		if (!look->task_id || !look->machine || (w->container && !look->container)) {
			look_done(look);
			break;
		}
		w->look_ms = now + SOON_MS;
		count++;
	}
	*ret = looks;
	*ret_count = count;
}

static void look_at_due(struct triton_poller *poller, int64_t now, int64_t *listed_ms)
{
	struct look *looks = NULL;
	size_t count = 0, machines = 0, requests;

	pthread_mutex_lock(&poller->lock);
	for (struct watched *w = poller->list; w; w = w->next)
		machines += !w->ended && !w->container && w->look_ms <= now && w->listed;
	pthread_mutex_unlock(&poller->lock);
	/* One request for many: those that still run drop out of what is due. */
	if (machines > SINGLE_MOST && now - *listed_ms > SOON_MS) {
		(void)list_all(poller, now, &requests);
		*listed_ms = now;
	}
	pthread_mutex_lock(&poller->lock);
	take_due(poller, now, &looks, &count);
	pthread_mutex_unlock(&poller->lock);
	for (size_t i = 0; i < count; i++) {
		if (!atomic_load(&poller->site->budget.closing))
			look_at(poller, &looks[i]);
		look_done(&looks[i]);
	}
	free(looks);
}

/* Report those whose log has been delivered. */
static void report(struct triton_poller *poller)
{
	struct watched *over = NULL, **at, *w;

	pthread_mutex_lock(&poller->lock);
	for (at = &poller->list; *at;) {
		w = *at;
		if (w->ended && (!triton_logs_busy(poller->logs, w->task_id) ||
				 triton_now_ms() > w->ended_ms + LOG_MOST_MS + 5000)) {
			*at = w->next;
			w->next = over;
			over = w;
		} else {
			at = &w->next;
		}
	}
	pthread_mutex_unlock(&poller->lock);
	for (; over; over = w) {
		w = over->next;
		poller->calls->ended(poller->ud, over->task_id, &over->result);
		triton_watched_free(over);
		pthread_mutex_lock(&poller->lock);
		pthread_cond_broadcast(&poller->changed);
		pthread_mutex_unlock(&poller->lock);
	}
}

static void *run(void *ud)
{
	struct triton_poller *poller = ud;
	int64_t list_ms =
		triton_now_ms() + triton_backoff_ms(1, poller->site->poll_interval_ms, poller->site->poll_interval_ms);
	int64_t listed_ms = 0;

	for (;;) {
		int64_t now = triton_now_ms(), next;
		struct timespec ts;
		bool any;

		pthread_mutex_lock(&poller->lock);
		next = list_ms;
		for (struct watched *w = poller->list; w; w = w->next) {
			int64_t at = w->ended ? now + 200 : w->look_ms;

			if (at < next)
				next = at;
		}
		ts = (struct timespec){ .tv_sec = next / 1000, .tv_nsec = next % 1000 * 1000000 };
		if (!poller->stop && next > now)
			pthread_cond_timedwait(&poller->changed, &poller->lock, &ts);
		any = poller->list != NULL;
		if (poller->stop) {
			pthread_mutex_unlock(&poller->lock);
			return NULL;
		}
		pthread_mutex_unlock(&poller->lock);

		now = triton_now_ms();
		if (now >= list_ms) {
			size_t requests = 0;
			int r = any ? list_all(poller, now, &requests) : 0;

			listed_ms = now;
			/* With jitter, so that nodes do not ask in step. */
			list_ms = triton_now_ms() + poller->site->poll_interval_ms / 3 +
				  (r < 0 ? triton_backoff_ms(poller->failures + 1, poller->site->poll_interval_ms,
							     BACKOFF_MOST_MS)
					 : triton_backoff_ms(1, poller->site->poll_interval_ms,
							     poller->site->poll_interval_ms));
			/* At most one request a second, however many pages there are. */
			if (list_ms < now + (int64_t)requests * SOON_MS)
				list_ms = now + (int64_t)requests * SOON_MS;
		}
		look_at_due(poller, now, &listed_ms);
		report(poller);
	}
}

/* ---- From outside ---- */

int triton_poller_new(struct triton_site *site, struct triton_logs *logs, const struct triton_poller_calls *calls,
		      void *ud, struct triton_poller **ret, struct nomad_error **err)
{
	struct triton_poller *poller = calloc(1, sizeof(*poller));
	pthread_condattr_t attr;
	int r;

	if (!poller)
		return nomad_error_errno(err, ENOMEM, "prepare the poller");
	poller->site = site;
	poller->logs = logs;
	poller->calls = calls;
	poller->ud = ud;
	pthread_mutex_init(&poller->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&poller->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = pthread_create(&poller->thread, NULL, run, poller);
	if (r) {
		triton_poller_free(poller);
		return nomad_error_errno(err, r, "prepare the poller");
	}
	poller->started = true;
	*ret = poller;
	return 0;
}

void triton_poller_stop(struct triton_poller *poller)
{
	if (!poller || !poller->started)
		return;
	pthread_mutex_lock(&poller->lock);
	poller->stop = true;
	pthread_cond_broadcast(&poller->changed);
	pthread_mutex_unlock(&poller->lock);
	pthread_join(poller->thread, NULL);
	poller->started = false;
}

void triton_poller_free(struct triton_poller *poller)
{
	if (!poller)
		return;
	triton_poller_stop(poller);
	while (poller->list) {
		struct watched *w = poller->list;

		poller->list = w->next;
		triton_watched_free(w);
	}
	pthread_cond_destroy(&poller->changed);
	pthread_mutex_destroy(&poller->lock);
	free(poller);
}

int triton_poller_add(struct triton_poller *poller, const struct triton_watch *watch, struct nomad_error **err)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (w) {
		w->task_id = strdup(watch->task_id);
		w->machine = strdup(watch->machine);
		w->container = watch->container ? strdup(watch->container) : NULL;
	}
	if (!w || !w->task_id || !w->machine || (watch->container && !w->container)) {
		triton_watched_free(w);
		return nomad_error_errno(err, ENOMEM, "watch an instance");
	}
	w->ends_deleted = watch->ends_deleted;
	w->owned = watch->owned;
	w->state = TRITON_UNKNOWN;
	w->look_ms = triton_now_ms() + SOON_MS;
	pthread_mutex_lock(&poller->lock);
	if (!find(poller, w->task_id)) {
		w->next = poller->list;
		poller->list = w;
		w = NULL;
	}
	pthread_cond_broadcast(&poller->changed);
	pthread_mutex_unlock(&poller->lock);
	triton_watched_free(w);
	return 0;
}

void triton_poller_remove(struct triton_poller *poller, const char *task_id)
{
	pthread_mutex_lock(&poller->lock);
	for (struct watched **at = &poller->list; *at; at = &(*at)->next) {
		struct watched *w = *at;

		if (strcmp(w->task_id, task_id) == 0) {
			*at = w->next;
			triton_watched_free(w);
			break;
		}
	}
	pthread_cond_broadcast(&poller->changed);
	pthread_mutex_unlock(&poller->lock);
}

void triton_poller_poke(struct triton_poller *poller, const char *task_id)
{
	struct watched *w;

	pthread_mutex_lock(&poller->lock);
	w = find(poller, task_id);
	if (w && !w->ended)
		w->look_ms = triton_now_ms() + 50;
	pthread_cond_broadcast(&poller->changed);
	pthread_mutex_unlock(&poller->lock);
}

void triton_poller_expect_end(struct triton_poller *poller, const char *task_id, bool killed)
{
	struct watched *w;

	pthread_mutex_lock(&poller->lock);
	w = find(poller, task_id);
	if (w) {
		w->expected = true;
		w->killed |= killed;
		if (w->look_ms > triton_now_ms() + SOON_MS)
			w->look_ms = triton_now_ms() + SOON_MS;
	}
	pthread_cond_broadcast(&poller->changed);
	pthread_mutex_unlock(&poller->lock);
}

int triton_poller_wait(struct triton_poller *poller, const char *task_id, int64_t ms)
{
	int64_t deadline = triton_now_ms() + ms;
	int r = 0;

	pthread_mutex_lock(&poller->lock);
	while (find(poller, task_id)) {
		/* In steps, so that the end of the plugin is seen. */
		int64_t now = triton_now_ms(), until = now + 500 < deadline ? now + 500 : deadline;
		struct timespec ts = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

		if (now >= deadline)
			r = -ETIMEDOUT;
		else if (atomic_load(&poller->site->budget.closing))
			r = -ESHUTDOWN;
		if (r < 0)
			break;
		pthread_cond_timedwait(&poller->changed, &poller->lock, &ts);
	}
	pthread_mutex_unlock(&poller->lock);
	return r;
}

enum triton_state triton_poller_state(struct triton_poller *poller, const char *task_id)
{
	enum triton_state state = TRITON_UNKNOWN;
	struct watched *w;

	pthread_mutex_lock(&poller->lock);
	w = find(poller, task_id);
	if (w)
		state = w->state;
	pthread_mutex_unlock(&poller->lock);
	return state;
}

size_t triton_poller_count(struct triton_poller *poller)
{
	size_t n = 0;

	pthread_mutex_lock(&poller->lock);
	for (const struct watched *w = poller->list; w; w = w->next)
		n++;
	pthread_mutex_unlock(&poller->lock);
	return n;
}

char *triton_poller_pick(struct triton_poller *poller, unsigned n)
{
	char *machine = NULL;
	unsigned running = 0;

	pthread_mutex_lock(&poller->lock);
	for (const struct watched *w = poller->list; w; w = w->next)
		running += !w->ended && w->state == TRITON_RUNNING;
	n = running ? n % running : 0;
	for (const struct watched *w = poller->list; running && w; w = w->next)
		if (!w->ended && w->state == TRITON_RUNNING && n-- == 0) {
			machine = strdup(w->machine);
			break;
		}
	pthread_mutex_unlock(&poller->lock);
	return machine;
}
