/* SPDX-License-Identifier: MPL-2.0
 *
 * ExecTask: a command without input, its output's tail, a time limit.
 * stderr is merged into stdout, for Nomad shows nothing else of it. */
#include "core/exec.h"
#include "core/plugin.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL = 4096 };

struct call {
	int refs;
	struct nomad_plugin *plugin;
	char *id;
	char **argv;
	int64_t timeout_ns;
	void (*done)(void *ud, int r, const struct nomad__exec_result *result, const struct nomad_error *err);
	void *ud;

	pthread_mutex_t lock; /* stream, over */
	struct nomad__exec_stream *stream;
	bool over;
	struct nomad__posted post;
	struct nomad__timer *timer; /* loop thread, as the rest */
	char tail[TAIL];
	size_t size;
};

static void call_unref(struct call *call)
{
	if (__atomic_sub_fetch(&call->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(call->id);
	nomad_strv_free(call->argv);
	pthread_mutex_destroy(&call->lock);
	free(call);
}

static bool keep_tail(void *ud, int fd, const void *data, size_t size)
{
	struct call *call = ud;

	(void)fd;
	if (size >= TAIL) {
		memcpy(call->tail, (const char *)data + size - TAIL, TAIL);
		call->size = TAIL;
	} else {
		size_t keep = call->size + size > TAIL ? TAIL - size : call->size;

		memmove(call->tail, call->tail + call->size - keep, keep);
		if (size)
			memcpy(call->tail + keep, data, size);
		call->size = keep + size;
	}
	return true;
}

/* Loop thread.  Answers, once. */
static void answer(struct call *call, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	struct nomad__exec_result whole = { .stdout_data = call->tail, .stdout_size = call->size };
	struct nomad__exec_stream *stream;
	bool first;

	pthread_mutex_lock(&call->lock);
	first = !call->over;
	call->over = true;
	stream = NOMAD_TAKE_PTR(call->stream);
	pthread_mutex_unlock(&call->lock);
	nomad__timer_free(call->timer);
	call->timer = NULL;
	if (result)
		whole.exit = *result;
	if (first)
		call->done(call->ud, r, r < 0 ? NULL : &whole, err);
	nomad__exec_close(stream);
	if (first)
		call_unref(call);
}

static void exited(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	answer(ud, r, result, err);
}

static const struct nomad__exec_events call_events = { .output = keep_tail, .exited = exited };

static void time_over(void *ud)
{
	struct call *call = ud;
	struct nomad_error *err = NULL;

	nomad_error_set(&err, ETIMEDOUT, "exec in task '%s': the command did not end within %.3g s and was killed",
			call->id, (double)call->timeout_ns / 1e9);
	answer(call, -ETIMEDOUT, NULL, err);
	nomad_error_free(err);
}

/* Loop thread: the stream is open; it may be over already. */
static void opened(void *ud)
{
	struct call *call = ud;
	struct nomad__exec_stream *stream = NULL;

	pthread_mutex_lock(&call->lock);
	if (call->over)
		stream = NOMAD_TAKE_PTR(call->stream);
	pthread_mutex_unlock(&call->lock);
	if (stream)
		nomad__exec_close(stream);
	else if (!call->over && call->timeout_ns > 0 &&
		 nomad__timer_new(call->plugin->loop, time_over, call, &call->timer) == 0)
		nomad__timer_set(call->timer, call->timeout_ns);
	call_unref(call);
}

static void open_job(void *ud)
{
	struct call *call = ud;
	struct nomad__exec_stream *stream = NULL;
	struct nomad_error *err = NULL;
	int r = nomad__exec_open_as(call->plugin, call->id, (const char *const *)call->argv, NOMAD__EXEC_MERGED,
				    &call_events, call, &stream, &err);

	if (r < 0) {
		call->done(call->ud, r, NULL, err);
		nomad_error_free(err);
		call_unref(call);
		call_unref(call);
		return;
	}
	nomad__exec_stdin_close(stream);
	pthread_mutex_lock(&call->lock);
	call->stream = stream;
	pthread_mutex_unlock(&call->lock);
	nomad__loop_post_in(call->plugin->loop, &call->post, opened, call);
}

int nomad__task_exec(struct nomad_plugin *plugin, const char *id, const char *const *argv, int64_t timeout_ns,
		     void (*done)(void *ud, int r, const struct nomad__exec_result *result,
				  const struct nomad_error *err),
		     void *ud, struct nomad_error **err)
{
	struct call *call = calloc(1, sizeof(*call));

	if (call) {
		call->refs = 2; /* the answer's, the opening's */
		call->plugin = plugin;
		call->id = strdup(id);
		call->argv = nomad_strv_copy(argv);
		call->timeout_ns = timeout_ns;
		call->done = done;
		call->ud = ud;
		pthread_mutex_init(&call->lock, NULL);
	}
	if (!call || !call->id || !call->argv || nomad__pool_run(plugin->pool, open_job, call) < 0) {
		if (call)
			call->refs = 1;
		if (call)
			call_unref(call);
		return nomad_error_errno(err, ENOMEM, "exec in task '%s'", id);
	}
	return 0;
}
