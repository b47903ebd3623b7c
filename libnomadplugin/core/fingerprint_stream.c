/* SPDX-License-Identifier: MPL-2.0
 *
 * Runs the fingerprint for the first subscriber, then on a timer while there are
 * subscribers, and when a driver asks for it.  A subscriber gets the last result
 * at once, then only changes.  A removed attribute is sent once more, empty:
 * Nomad would keep it otherwise. */
#include "core/fingerprint.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/parts.h"
#include "core/agent.h"
#include "core/plugin.h"
#include "core/sub.h"

struct nomad__fingerprints {
	pthread_mutex_t lock; /* the next three */
	struct nomad_fingerprint *last;
	bool looking, again;
	pthread_mutex_t emitting; /* keeps what is sent in order */
	struct nomad__sub_list subscribers;
	struct nomad__timer *timer; /* loop thread */
};

static void emit_one(struct nomad__sub *sub, void *arg)
{
	void (*emit)(void *, const struct nomad__fingerprint_view *) =
		(void (*)(void *, const struct nomad__fingerprint_view *))sub->fn;

	emit(sub->ud, arg);
}

static struct nomad__fingerprint_view view_of(const struct nomad_fingerprint *fp)
{
	return (struct nomad__fingerprint_view){
		.health = fp->health,
		.description = fp->description,
		.attributes = fp->attributes,
		.n_attributes = fp->n_attributes,
	};
}

static bool has(const struct nomad_fingerprint *fp, const char *key)
{
	for (size_t i = 0; i < fp->n_attributes; i++)
		if (strcmp(fp->attributes[i].key, key) == 0)
			return true;
	return false;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct nomad__attribute *)a)->key, ((const struct nomad__attribute *)b)->key);
}

/* `now` and, empty, what `before` had and `now` has not. */
static struct nomad__attribute *with_gone(const struct nomad_fingerprint *now, const struct nomad_fingerprint *before,
					  size_t *ret_count)
{
	struct nomad__attribute *all = calloc(now->n_attributes + before->n_attributes + 1, sizeof(*all));
	size_t n = now->n_attributes;

	if (!all)
		return NULL;
	if (n)
		memcpy(all, now->attributes, n * sizeof(*all));
	for (size_t i = 0; i < before->n_attributes; i++)
		if (!has(now, before->attributes[i].key))
			all[n++] = (struct nomad__attribute){ .key = before->attributes[i].key,
							      .type = NOMAD__ATTR_STRING,
							      .string = (char *)"" };
	qsort(all, n, sizeof(*all), by_key);
	*ret_count = n;
	return all;
}

static void look_job(void *ud)
{
	struct nomad_plugin *plugin = ud;
	struct nomad__fingerprints *keeper = plugin->fingerprints;
	struct nomad_fingerprint *fp = NULL, *before;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	NOMAD_AUTO_FREE struct nomad__attribute *all = NULL;
	struct nomad__fingerprint_view view;
	bool again;

	if (nomad__plugin_init(plugin, &err) < 0) {
		/* A driver that cannot begin is unhealthy, not gone. */
		fp = calloc(1, sizeof(*fp));
		if (fp)
			*fp = (struct nomad_fingerprint){ .health = NOMAD_UNHEALTHY,
							  .description = strdup(nomad_error_message(err)) };
		if (fp && !fp->description) {
			nomad__fingerprint_free(fp);
			fp = NULL;
		}
	} else if (nomad__fingerprint_look(plugin, &fp) < 0) {
		fp = NULL;
	}
	if (fp) {
		pthread_mutex_lock(&keeper->emitting);
		pthread_mutex_lock(&keeper->lock);
		before = keeper->last;
		keeper->last = fp;
		pthread_mutex_unlock(&keeper->lock);
		if (!before || !nomad__fingerprint_equal(before, fp)) {
			if (before && before->health != fp->health)
				nomad_log_kv(fp->health == NOMAD_HEALTHY ? NOMAD_LOG_INFO : NOMAD_LOG_WARN,
					     "health changed", "description", fp->description, NULL);
			view = view_of(fp);
			all = before ? with_gone(fp, before, &view.n_attributes) : NULL;
			if (all)
				view.attributes = all;
			nomad__sub_call_all(&keeper->subscribers, emit_one, &view);
		}
		nomad__fingerprint_free(before);
		pthread_mutex_unlock(&keeper->emitting);
	}
	pthread_mutex_lock(&keeper->lock);
	again = keeper->again;
	keeper->again = false;
	keeper->looking = false;
	pthread_mutex_unlock(&keeper->lock);
	if (again)
		nomad_plugin_refresh_fingerprint(plugin);
}

void nomad_plugin_refresh_fingerprint(struct nomad_plugin *plugin)
{
	struct nomad__fingerprints *keeper = plugin->fingerprints;
	bool start = false;

	pthread_mutex_lock(&keeper->lock);
	if (keeper->looking)
		keeper->again = true;
	else
		keeper->looking = start = true;
	pthread_mutex_unlock(&keeper->lock);
	if (start && nomad__pool_run(plugin->pool, look_job, plugin) < 0) {
		pthread_mutex_lock(&keeper->lock);
		keeper->looking = false;
		pthread_mutex_unlock(&keeper->lock);
	}
}

static void tick(void *ud)
{
	struct nomad_plugin *plugin = ud;
	struct nomad__fingerprints *keeper = plugin->fingerprints;
	unsigned interval = plugin->driver->fingerprint_interval_s ? plugin->driver->fingerprint_interval_s : 30;
	bool anybody;

	pthread_mutex_lock(&keeper->subscribers.lock);
	anybody = keeper->subscribers.first;
	pthread_mutex_unlock(&keeper->subscribers.lock);
	if (anybody)
		nomad_plugin_refresh_fingerprint(plugin);
	nomad__timer_set(keeper->timer, interval * INT64_C(1000000000));
}

/* Loop thread: a new subscriber gets the last result. */
static void greet(void *ud)
{
	struct nomad__sub *sub = ud;
	struct nomad_plugin *plugin = sub->extra;
	struct nomad__fingerprints *keeper = plugin->fingerprints;

	pthread_mutex_lock(&keeper->emitting);
	if (keeper->last) { /* replaced under `emitting` only */
		struct nomad__fingerprint_view view = view_of(keeper->last);

		nomad__sub_call(sub, emit_one, &view);
	}
	pthread_mutex_unlock(&keeper->emitting);
	nomad__sub_unref(sub);
	if (!keeper->timer && nomad__timer_new(plugin->loop, tick, plugin, &keeper->timer) == 0)
		tick(plugin);
	else
		nomad_plugin_refresh_fingerprint(plugin);
}

struct nomad__sub *nomad__fingerprint_subscribe(struct nomad_plugin *plugin,
						void (*emit)(void *ud, const struct nomad__fingerprint_view *fp),
						void *ud)
{
	nomad__agent_comes(plugin);
	return nomad__sub_new_greeted(&plugin->fingerprints->subscribers, (void (*)(void))emit, ud, plugin,
				      nomad__agent_goes, plugin->loop, greet);
}

static void set_up(void *part)
{
	struct nomad__fingerprints *keeper = part;

	nomad__sub_list_init(&keeper->subscribers);
	pthread_mutex_init(&keeper->emitting, NULL);
}

static void tear_down(void *part)
{
	struct nomad__fingerprints *keeper = part;

	free(keeper->timer);
	nomad__fingerprint_free(keeper->last);
	nomad__sub_list_done(&keeper->subscribers);
	pthread_mutex_destroy(&keeper->emitting);
}

const struct nomad__part nomad__fingerprints_part =
	NOMAD__PART(struct nomad__fingerprints, fingerprints, .set_up = set_up, .tear_down = tear_down);
