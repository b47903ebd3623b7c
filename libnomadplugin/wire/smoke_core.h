/* SPDX-License-Identifier: MPL-2.0
 *
 * For smoke_test.c: a core without tasks, so that what the wire does with
 * its calls can be told apart from what a real core does.  Tasks are names
 * in a list; what the core saw is told in InspectTask's attributes. */
#ifndef NOMAD_WIRE_SMOKE_CORE_H
#define NOMAD_WIRE_SMOKE_CORE_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/core.h"
#include "base/loop.h"
#include "metrics/metrics.h"
#include "wire/server.h"

enum fake_kind { FAKE_FINGERPRINT, FAKE_EVENTS, FAKE_STATS, FAKE_WAIT };

struct nomad__sub {
	struct nomad__sub *next;
	struct nomad_plugin *plugin;
	enum fake_kind kind;
	char id[128];
	pthread_mutex_t running; /* recursive: cancel from within */
	bool cancelled;
	unsigned refs;
	void *ud;
	void (*fingerprint)(void *ud, const struct nomad__fingerprint_view *fp);
	void (*event)(void *ud, const struct nomad__event *event);
	void (*stats)(void *ud, const struct nomad__stats_view *view);
	void (*wait)(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err);
};

struct fake_task {
	struct fake_task *next;
	char id[128];
	bool exited;
};

struct nomad__metrics {
	unsigned n_begun, n_ended, n_dropped;
};

struct nomad_plugin {
	const struct nomad_driver *driver;
	struct nomad__loop *loop;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct nomad__sub *subs;
	struct fake_task *tasks;
	unsigned n_subs, n_workers, n_exec_closed;
	struct nomad__metrics metrics;
	int64_t cores, mhz; /* what SetConfig told; -1: nothing */
};

static const struct nomad_option fake_options[] = {
	{ .name = "count", .type = NOMAD_INT, .def = "1", .help = "Of nothing." },
};
static const struct nomad_schema fake_schema = { .options = fake_options, .count = 1, .size = sizeof(int64_t) };

/* ---- Life ---- */

struct nomad_plugin *nomad__plugin_new(const struct nomad_driver *driver, struct nomad_error **err)
{
	struct nomad_plugin *plugin = calloc(1, sizeof(*plugin));

	(void)err;
	assert(plugin);
	plugin->driver = driver;
	plugin->cores = -1;
	pthread_mutex_init(&plugin->lock, NULL);
	pthread_cond_init(&plugin->idle, NULL);
	assert(nomad__loop_new(&plugin->loop) == 0);
	return plugin;
}

void nomad__plugin_free(struct nomad_plugin *plugin)
{
	struct fake_task *next;

	pthread_mutex_lock(&plugin->lock);
	while (plugin->n_workers > 0)
		pthread_cond_wait(&plugin->idle, &plugin->lock);
	assert(plugin->n_subs == 0); /* each was cancelled before */
	assert(plugin->metrics.n_begun == plugin->metrics.n_ended);
	pthread_mutex_unlock(&plugin->lock);
	nomad__loop_free(plugin->loop);
	for (struct fake_task *task = plugin->tasks; task; task = next) {
		next = task->next;
		free(task);
	}
	free(plugin);
}

const struct nomad_driver *nomad__plugin_driver(const struct nomad_plugin *plugin)
{
	return plugin->driver;
}

const struct nomad_schema *nomad__plugin_config_schema(const struct nomad_plugin *plugin)
{
	(void)plugin;
	return &fake_schema;
}

unsigned nomad__plugin_capabilities(struct nomad_plugin *plugin)
{
	return plugin->driver->capabilities;
}

struct nomad__loop *nomad__plugin_loop(struct nomad_plugin *plugin)
{
	return plugin->loop;
}

/* ---- Metrics: added up ---- */

struct nomad__metrics *nomad__plugin_metrics(struct nomad_plugin *plugin)
{
	return &plugin->metrics;
}

int nomad__metrics_calls(struct nomad__metrics *metrics, const struct nomad__rpc *rpcs, size_t count,
			 const char *(*code_name)(unsigned code))
{
	(void)metrics;
	assert(count == nomad__n_methods && strcmp(code_name(5), "NOT_FOUND") == 0);
	for (size_t i = 0; i < count; i++)
		assert(rpcs[i].path[0] == '/' && strchr(rpcs[i].path + 1, '/'));
	return 0;
}

void nomad__metrics_call_begins(struct nomad__metrics *metrics, size_t rpc)
{
	assert(rpc <= nomad__n_methods);
	__atomic_add_fetch(&metrics->n_begun, 1, __ATOMIC_SEQ_CST);
}

void nomad__metrics_call_ends(struct nomad__metrics *metrics, size_t rpc, unsigned code, int64_t duration_ns)
{
	assert(rpc <= nomad__n_methods && code <= 16 && duration_ns >= 0);
	__atomic_add_fetch(&metrics->n_ended, 1, __ATOMIC_SEQ_CST);
}

void nomad__metric_add(struct nomad__metrics *metrics, enum nomad__metric metric, uint64_t n)
{
	assert(metric == NOMAD__EVENTS_DROPPED && n == 1);
	__atomic_add_fetch(&metrics->n_dropped, 1, __ATOMIC_SEQ_CST);
}

int nomad__plugin_configure(struct nomad_plugin *plugin, const void *config, size_t size,
			    const struct nomad__node *node, struct nomad_error **err)
{
	if (size == 1 && *(const char *)config == '!')
		return nomad_error_set(err, EINVAL, "option 'x': there is no such option");
	plugin->cores = node ? (int64_t)node->cores : -1;
	plugin->mhz = node ? (int64_t)node->total_compute_mhz : -1;
	return 0;
}

int nomad__plugin_init(struct nomad_plugin *plugin, struct nomad_error **err)
{
	(void)plugin;
	(void)err;
	return 0;
}

void nomad__plugin_shutdown(struct nomad_plugin *plugin)
{
	(void)plugin;
}

struct fake_work {
	struct nomad_plugin *plugin;
	void (*fn)(void *ud);
	void *ud;
};

static void *fake_worker(void *ud)
{
	struct fake_work work = *(struct fake_work *)ud;

	free(ud);
	work.fn(work.ud);
	pthread_mutex_lock(&work.plugin->lock);
	if (--work.plugin->n_workers == 0)
		pthread_cond_broadcast(&work.plugin->idle);
	pthread_mutex_unlock(&work.plugin->lock);
	return NULL;
}

int nomad__work(struct nomad_plugin *plugin, void (*fn)(void *ud), void *ud)
{
	struct fake_work *work = malloc(sizeof(*work));
	pthread_t thread;

	assert(work);
	*work = (struct fake_work){ plugin, fn, ud };
	pthread_mutex_lock(&plugin->lock);
	plugin->n_workers++;
	pthread_mutex_unlock(&plugin->lock);
	assert(pthread_create(&thread, NULL, fake_worker, work) == 0);
	pthread_detach(thread);
	return 0;
}

/* ---- Subscriptions ---- */

static void fake_sub_unref(struct nomad__sub *sub)
{
	if (__atomic_sub_fetch(&sub->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	pthread_mutex_destroy(&sub->running);
	free(sub);
}

static struct nomad__sub *fake_sub(struct nomad_plugin *plugin, enum fake_kind kind, const char *id, void *ud)
{
	struct nomad__sub *sub = calloc(1, sizeof(*sub));
	pthread_mutexattr_t attr;

	assert(sub);
	sub->plugin = plugin;
	sub->kind = kind;
	sub->ud = ud;
	sub->refs = 2; /* of the subscriber, and of its first delivery */
	snprintf(sub->id, sizeof(sub->id), "%s", id);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&sub->running, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_lock(&plugin->lock);
	sub->next = plugin->subs;
	plugin->subs = sub;
	plugin->n_subs++;
	pthread_mutex_unlock(&plugin->lock);
	return sub;
}

void nomad__sub_cancel(struct nomad__sub *sub)
{
	struct nomad__sub **p;

	if (!sub)
		return;
	pthread_mutex_lock(&sub->plugin->lock);
	for (p = &sub->plugin->subs; *p != sub; p = &(*p)->next)
		;
	*p = sub->next;
	sub->plugin->n_subs--;
	pthread_mutex_unlock(&sub->plugin->lock);
	pthread_mutex_lock(&sub->running);
	sub->cancelled = true;
	pthread_mutex_unlock(&sub->running);
	fake_sub_unref(sub);
}

static void fake_emit(struct nomad__sub *sub, const char *text)
{
	struct nomad__attribute attributes[] = {
		{ .key = (char *)"driver.fake", .type = NOMAD__ATTR_BOOL, .boolean = true },
		{ .key = (char *)"driver.fake.memory", .type = NOMAD__ATTR_INT, .integer = 4, .unit = (char *)"GiB" },
		{ .key = (char *)"driver.fake.version", .type = NOMAD__ATTR_STRING, .string = (char *)"1.0" },
	};
	struct nomad__fingerprint_view fp = { NOMAD_HEALTHY, "Healthy", attributes, 3 };
	struct nomad_map annotations = { 0 };
	struct nomad__event event = { "a/t/1", "a", "t", text, INT64_C(1700000000000000123), &annotations };
	struct nomad_stats stats = { .cpu_percent = 12.5,
				     .rss_bytes = 4096,
				     .measured = NOMAD_STAT_CPU | NOMAD_STAT_RSS };
	struct nomad__stats_view view = { sub->id, INT64_C(1700000000000000123), 250.0, &stats };
	struct nomad_exit exit = { .exit_code = 7 };

	pthread_mutex_lock(&sub->running);
	if (sub->cancelled) {
		;
	} else if (sub->kind == FAKE_FINGERPRINT) {
		sub->fingerprint(sub->ud, &fp);
	} else if (sub->kind == FAKE_EVENTS) {
		assert(nomad_map_set(&annotations, "k", "v") == 0);
		sub->event(sub->ud, &event);
		nomad_map_done(&annotations);
	} else if (sub->kind == FAKE_STATS) {
		if (strcmp(sub->id, "flood") == 0)
			for (int i = 1; i <= 20000; i++) {
				view.total_ticks = i;
				sub->stats(sub->ud, &view);
			}
		sub->stats(sub->ud, text ? NULL : &view);
	} else {
		sub->wait(sub->ud, 0, &exit, NULL);
	}
	pthread_mutex_unlock(&sub->running);
	fake_sub_unref(sub);
}

static void fake_first(void *ud)
{
	fake_emit(ud, NULL);
}

static void fake_first_event(void *ud)
{
	fake_emit(ud, "subscribed");
}

struct nomad__sub *nomad__fingerprint_subscribe(struct nomad_plugin *plugin,
						void (*emit)(void *ud, const struct nomad__fingerprint_view *fp),
						void *ud)
{
	struct nomad__sub *sub = fake_sub(plugin, FAKE_FINGERPRINT, "", ud);

	sub->fingerprint = emit;
	assert(nomad__work(plugin, fake_first, sub) == 0);
	return sub;
}

struct nomad__sub *nomad__events_subscribe(struct nomad_plugin *plugin,
					   void (*emit)(void *ud, const struct nomad__event *event), void *ud)
{
	struct nomad__sub *sub = fake_sub(plugin, FAKE_EVENTS, "", ud);

	sub->event = emit;
	assert(nomad__work(plugin, fake_first_event, sub) == 0);
	return sub;
}

static struct fake_task *fake_find(struct nomad_plugin *plugin, const char *id)
{
	struct fake_task *task;

	pthread_mutex_lock(&plugin->lock);
	for (task = plugin->tasks; task && strcmp(task->id, id) != 0; task = task->next)
		;
	pthread_mutex_unlock(&plugin->lock);
	return task;
}

static int fake_unknown(struct nomad_error **err)
{
	return nomad_error_set(err, ENOENT, "task not found for given id");
}

int nomad__stats_subscribe(struct nomad_plugin *plugin, const char *id, int64_t interval_ns,
			   void (*emit)(void *ud, const struct nomad__stats_view *view), void *ud,
			   struct nomad__sub **ret_sub, struct nomad_error **err)
{
	struct nomad__sub *sub;

	(void)interval_ns;
	if (!fake_find(plugin, id))
		return fake_unknown(err);
	sub = fake_sub(plugin, FAKE_STATS, id, ud);
	sub->stats = emit;
	*ret_sub = sub;
	return nomad__work(plugin, fake_first, sub);
}

int nomad__task_wait(struct nomad_plugin *plugin, const char *id,
		     void (*done)(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err),
		     void *ud, struct nomad__sub **ret_sub, struct nomad_error **err)
{
	struct fake_task *task = fake_find(plugin, id);
	struct nomad__sub *sub;

	if (!task)
		return fake_unknown(err);
	sub = fake_sub(plugin, FAKE_WAIT, id, ud);
	sub->wait = done;
	if (__atomic_load_n(&task->exited, __ATOMIC_ACQUIRE))
		assert(nomad__work(plugin, fake_first, sub) == 0);
	else
		sub->refs = 1;
	*ret_sub = sub;
	return 0;
}

/* Tell all subscribers of a kind, and of a task. */
static void fake_tell(struct nomad_plugin *plugin, enum fake_kind kind, const char *id, const char *text)
{
	struct nomad__sub *found[2048];
	size_t n = 0;

	pthread_mutex_lock(&plugin->lock);
	for (struct nomad__sub *sub = plugin->subs; sub && n < NOMAD_ARRAY_LEN(found); sub = sub->next)
		if (sub->kind == kind && (!id || strcmp(sub->id, id) == 0)) {
			__atomic_add_fetch(&sub->refs, 1, __ATOMIC_RELAXED);
			found[n++] = sub;
		}
	pthread_mutex_unlock(&plugin->lock);
	for (size_t i = 0; i < n; i++)
		fake_emit(found[i], text);
}

/* ---- Tasks ---- */

void nomad__task_info_done(struct nomad_task_info *info)
{
	char **strings[] = { &info->id,		&info->name,	 &info->alloc_id,	&info->task_group_name,
			     &info->job_id,	&info->job_name, &info->namespace_name, &info->node_id,
			     &info->node_name,	&info->user,	 &info->alloc_dir,	&info->stdout_path,
			     &info->stderr_path };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(strings); i++)
		free(*strings[i]);
	nomad_map_done(&info->env);
	nomad_map_done(&info->device_env);
	memset(info, 0, sizeof(*info));
}

void nomad__started_done(struct nomad__started *started)
{
	free(started->driver_state);
	free(started->addr);
	nomad_int_map_done(&started->port_map);
	memset(started, 0, sizeof(*started));
}

int nomad__task_start(struct nomad_plugin *plugin, struct nomad_task_info *take_info, const void *config,
		      size_t config_size, struct nomad__started *ret, struct nomad_error **err)
{
	struct fake_task *task;
	int r = 0;

	if (config_size == 4 && memcmp(config, "fail", 4) == 0)
		r = nomad_error_set(err, EACCES, "start it: not allowed");
	else if (config_size == 5 && memcmp(config, "retry", 5) == 0)
		r = nomad_error_set(err, EIO, "pull failed");
	if (config_size == 5 && r < 0)
		r = nomad_error_retryable(err);
	if (r >= 0) {
		task = calloc(1, sizeof(*task));
		assert(task);
		snprintf(task->id, sizeof(task->id), "%s", take_info->id);
		pthread_mutex_lock(&plugin->lock);
		task->next = plugin->tasks;
		plugin->tasks = task;
		pthread_mutex_unlock(&plugin->lock);
		ret->driver_state = strdup("our state");
		ret->driver_state_size = strlen("our state");
		ret->has_network = true;
		ret->addr = strdup("10.0.0.9");
		assert(nomad_int_map_set(&ret->port_map, "http", 8080) == 0);
	}
	nomad__task_info_done(take_info);
	return r;
}

int nomad__task_recover(struct nomad_plugin *plugin, struct nomad_task_info *take_info, const void *driver_state,
			size_t driver_state_size, struct nomad_error **err)
{
	int r = 0;

	if (!fake_find(plugin, take_info->id))
		r = nomad_error_set(err, ENOENT, "recover task '%s': it is gone", take_info->id);
	else if (driver_state_size != 9 || memcmp(driver_state, "our state", 9) != 0)
		r = nomad_error_set(err, EINVAL, "not our state");
	nomad__task_info_done(take_info);
	return r;
}

struct fake_stop {
	struct nomad_plugin *plugin;
	struct fake_task *task;
	void (*done)(void *ud, int r, const struct nomad_error *err);
	void *ud;
};

static void fake_stop(void *ud)
{
	struct fake_stop stop = *(struct fake_stop *)ud;

	free(ud);
	if (stop.task) {
		__atomic_store_n(&stop.task->exited, true, __ATOMIC_RELEASE);
		fake_tell(stop.plugin, FAKE_WAIT, stop.task->id, NULL);
		fake_tell(stop.plugin, FAKE_STATS, stop.task->id, "gone");
	}
	stop.done(stop.ud, 0, NULL);
}

int nomad__task_stop(struct nomad_plugin *plugin, const char *id, int64_t timeout_ns, const char *signal,
		     void (*done)(void *ud, int r, const struct nomad_error *err), void *ud, struct nomad_error **err)
{
	struct fake_stop *stop;

	(void)timeout_ns;
	if (strcmp(signal, "SIGNONE") == 0)
		return nomad_error_set(err, EINVAL, "signal '%s' is unknown", signal);
	stop = malloc(sizeof(*stop));
	assert(stop);
	*stop = (struct fake_stop){ plugin, fake_find(plugin, id), done, ud };
	return nomad__work(plugin, fake_stop, stop);
}

int nomad__task_destroy(struct nomad_plugin *plugin, const char *id, bool force, struct nomad_error **err)
{
	(void)plugin;
	(void)id;
	(void)force;
	(void)err;
	return 0;
}

int nomad__task_signal(struct nomad_plugin *plugin, const char *id, const char *signal, struct nomad_error **err)
{
	if (!fake_find(plugin, id))
		return fake_unknown(err);
	if (strcmp(signal, "EVENT") == 0)
		fake_tell(plugin, FAKE_EVENTS, NULL, "not \xff utf-8 \xe4, this is: \xc3\xa4");
	else if (strcmp(signal, "SIGHUP") != 0)
		return nomad_error_set(err, EINVAL, "signal '%s' is unknown", signal);
	return 0;
}

static void fake_fact(struct nomad_map *map, const char *key, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	assert(nomad_map_set(map, key, text) == 0);
}

int nomad__task_inspect(struct nomad_plugin *plugin, const char *id, struct nomad__inspect *ret,
			struct nomad_error **err)
{
	struct fake_task *task = fake_find(plugin, id);

	if (!task)
		return fake_unknown(err);
	ret->id = strdup(id);
	ret->name = strdup("t");
	ret->state = __atomic_load_n(&task->exited, __ATOMIC_ACQUIRE) ? NOMAD__TASK_EXITED : NOMAD__TASK_RUNNING;
	ret->started_ns = 1500000000;
	pthread_mutex_lock(&plugin->lock);
	fake_fact(&ret->attributes, "subs", plugin->n_subs);
	fake_fact(&ret->attributes, "exec_closed", plugin->n_exec_closed);
	fake_fact(&ret->attributes, "cores", plugin->cores);
	fake_fact(&ret->attributes, "mhz", plugin->mhz);
	pthread_mutex_unlock(&plugin->lock);
	return 0;
}

void nomad__inspect_done(struct nomad__inspect *inspect)
{
	free(inspect->id);
	free(inspect->name);
	nomad_map_done(&inspect->attributes);
}

/* ---- Exec ---- */

struct fake_command {
	void (*done)(void *ud, int r, const struct nomad__exec_result *result, const struct nomad_error *err);
	void *ud;
};

static void fake_command(void *ud)
{
	struct fake_command command = *(struct fake_command *)ud;
	struct nomad__exec_result result = { "out", "err", 3, 3, { .exit_code = 3 } };

	free(ud);
	command.done(command.ud, 0, &result, NULL);
}

int nomad__task_exec(struct nomad_plugin *plugin, const char *id, const char *const *argv, int64_t timeout_ns,
		     void (*done)(void *ud, int r, const struct nomad__exec_result *result,
				  const struct nomad_error *err),
		     void *ud, struct nomad_error **err)
{
	struct fake_command *command;

	(void)timeout_ns;
	if (!fake_find(plugin, id))
		return fake_unknown(err);
	if (strcmp(argv[0], "no-such") == 0)
		return nomad_error_set(err, ENOENT, "run '%s': no such file or directory", argv[0]);
	command = malloc(sizeof(*command));
	assert(command);
	*command = (struct fake_command){ done, ud };
	return nomad__work(plugin, fake_command, command);
}

/* "cat": input comes back.  "flood": argv[1] KiB of output.  "hold": nothing. */
struct nomad__exec_stream {
	struct nomad_plugin *plugin;
	const struct nomad__exec_events *events;
	void *ud;
	bool cat, paused, eof, ended; /* of the loop thread, but for eof */
	size_t flood;
	pthread_mutex_t lock;
	char *input;
	size_t input_size;
	unsigned refs;
	pthread_mutex_t running;
	bool closed;
};

static void fake_exec_unref(struct nomad__exec_stream *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(s->input);
	free(s);
}

static void fake_exec_step(void *ud)
{
	static char block[32768];
	struct nomad__exec_stream *s = ud;
	struct nomad_exit exit = { .exit_code = 43 };
	char *input;
	size_t size;
	bool eof;

	pthread_mutex_lock(&s->running);
	while (!s->closed && !s->paused && s->flood > 0) {
		s->flood--;
		s->paused = !s->events->output(s->ud, 1, block, sizeof(block));
	}
	if (!s->closed && !s->paused && !s->ended) {
		pthread_mutex_lock(&s->lock);
		input = NOMAD_TAKE_PTR(s->input);
		size = s->input_size;
		s->input_size = 0;
		eof = s->eof;
		pthread_mutex_unlock(&s->lock);
		if (size > 0)
			s->paused = !s->events->output(s->ud, 1, input, size);
		free(input);
		if (eof || (!s->cat && s->flood == 0)) {
			s->ended = true;
			s->events->output(s->ud, 2, "warned", 6);
			s->events->output(s->ud, 1, NULL, 0);
			s->events->exited(s->ud, 0, &exit, NULL);
		}
	}
	pthread_mutex_unlock(&s->running);
	fake_exec_unref(s);
}

static void fake_exec_poke(struct nomad__exec_stream *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	assert(nomad__loop_post(s->plugin->loop, fake_exec_step, s) == 0);
}

int nomad__exec_open(struct nomad_plugin *plugin, const char *id, const char *const *argv, bool tty,
		     const struct nomad__exec_events *events, void *ud, struct nomad__exec_stream **ret,
		     struct nomad_error **err)
{
	struct nomad__exec_stream *s;
	pthread_mutexattr_t attr;

	(void)tty;
	if (!fake_find(plugin, id))
		return fake_unknown(err);
	s = calloc(1, sizeof(*s));
	assert(s);
	s->plugin = plugin;
	s->events = events;
	s->ud = ud;
	s->refs = 1;
	s->cat = strcmp(argv[0], "cat") == 0 || strcmp(argv[0], "hold") == 0;
	s->flood = strcmp(argv[0], "flood") == 0 ? (size_t)atoi(argv[1]) / 32 : 0;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&s->running, &attr);
	pthread_mutexattr_destroy(&attr);
	fake_exec_poke(s);
	*ret = s;
	return 0;
}

size_t nomad__exec_stdin(struct nomad__exec_stream *s, const void *data, size_t size)
{
	size_t queued;

	pthread_mutex_lock(&s->lock);
	if (size > 0) {
		s->input = realloc(s->input, s->input_size + size);
		assert(s->input);
		memcpy(s->input + s->input_size, data, size);
		s->input_size += size;
	}
	queued = s->input_size;
	pthread_mutex_unlock(&s->lock);
	if (size > 0)
		fake_exec_poke(s);
	return queued;
}

void nomad__exec_stdin_close(struct nomad__exec_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->eof = true;
	pthread_mutex_unlock(&s->lock);
	fake_exec_poke(s);
}

void nomad__exec_resize(struct nomad__exec_stream *s, int rows, int columns)
{
	char text[64];

	snprintf(text, sizeof(text), "[%dx%d]", rows, columns);
	nomad__exec_stdin(s, text, strlen(text));
}

static void fake_exec_unpause(void *ud)
{
	struct nomad__exec_stream *s = ud;

	s->paused = false;
	fake_exec_step(s);
}

void nomad__exec_resume(struct nomad__exec_stream *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	assert(nomad__loop_post(s->plugin->loop, fake_exec_unpause, s) == 0);
}

void nomad__exec_close(struct nomad__exec_stream *s)
{
	pthread_mutex_lock(&s->running);
	s->closed = true;
	pthread_mutex_unlock(&s->running);
	pthread_mutex_lock(&s->plugin->lock);
	s->plugin->n_exec_closed++;
	pthread_mutex_unlock(&s->plugin->lock);
	fake_exec_unref(s);
}

/* ---- Networks ---- */

int nomad__create_network(struct nomad_plugin *plugin, const char *alloc_id, const char *hostname,
			  struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err)
{
	(void)plugin;
	(void)alloc_id;
	(void)err;
	ret->mode = NOMAD_NET_GROUP;
	ret->path = strdup("/run/netns/x");
	ret->hosts_hostname = strdup(hostname);
	assert(nomad_map_set(&ret->labels, "l", "v") == 0);
	*ret_created = true;
	return 0;
}

int nomad__destroy_network(struct nomad_plugin *plugin, const char *alloc_id,
			   const struct nomad_network_isolation *spec, struct nomad_error **err)
{
	(void)plugin;
	(void)alloc_id;
	return strcmp(spec->path ? spec->path : "", "/run/netns/x") == 0
		       ? 0
		       : nomad_error_set(err, EINVAL, "not the network that was made");
}

void nomad__network_isolation_done(struct nomad_network_isolation *spec)
{
	free(spec->path);
	free(spec->hosts_hostname);
	free(spec->hosts_address);
	nomad_map_done(&spec->labels);
	memset(spec, 0, sizeof(*spec));
}

#endif
