/* SPDX-License-Identifier: MPL-2.0
 *
 * Commands in a task: ExecTask (script checks) and ExecTaskStreaming
 * (`nomad alloc exec`).
 *
 * A streaming exec is three parties: the call (its end comes on the
 * completion-queue thread), the command in core/ (its events come on the
 * loop thread), and the worker that opens it.  `struct exec` ties them:
 *
 *	worker:  attach to the call, open the command
 *	input:   more() -> stdin, size; a full queue: input pauses, and a timer
 *	         polls until half of it is written
 *	output:  output() -> queue of the call; full: false, and the command's
 *	         output pauses until the call has drained
 *	end:     exited(): the status, then the call is finished
 *	         drop(): the call has ended: close the command, which kills it
 *
 * The host never half-closes; stdin.close is the end of input.  Empty
 * requests are its heartbeat. */
#include "wire/handlers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "wire/convert.h"

enum {
	OUTPUT_HIGH = 256 << 10, /* bytes on their way to the host */
	INPUT_HIGH = 1 << 20,	 /* bytes on their way to the command */
	INPUT_POLL_MS = 20,
};

/* NULL-terminated; strings are shared. */
static const char **argv_of(char *const *command, size_t n)
{
	const char **argv = calloc(n + 1, sizeof(*argv));

	for (size_t i = 0; argv && i < n; i++)
		argv[i] = command[i];
	return argv;
}

/* ---- ExecTask ---- */

static void command_done(void *ud, int r, const struct nomad__exec_result *result, const struct nomad_error *err)
{
	struct nomad__call *call = ud;
	Pb__ExecTaskResponse answer = PB__EXEC_TASK_RESPONSE__INIT;
	Pb__ExitResult exit;

	if (r < 0) {
		nomad__call_fail(call, err);
	} else {
		nomad__exit_result_of(&result->exit, &exit);
		answer.stdout.data = (uint8_t *)result->stdout_data;
		answer.stdout.len = result->stdout_size;
		answer.stderr.data = (uint8_t *)result->stderr_data;
		answer.stderr.len = result->stderr_size;
		answer.result = &exit;
		nomad__call_reply(call, &answer.base);
	}
	nomad__call_unref(call);
}

void nomad__serve_exec_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__ExecTaskRequest *exec = (const Pb__ExecTaskRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	NOMAD_AUTO_FREE const char **argv = argv_of(exec->command, exec->n_command);

	nomad__call_set_task(call, exec->task_id);
	if (!argv) {
		nomad__call_fail_memory(call);
		return;
	}
	if (exec->n_command == 0) {
		nomad__call_fail_status(call, GRPC_STATUS_INVALID_ARGUMENT,
					"run a command in the task: no command given");
		return;
	}
	nomad__call_ref(call); /* of command_done() */
	if (nomad__task_exec(nomad__call_plugin(call), exec->task_id, argv, nomad__duration_ns(exec->timeout),
			     command_done, call, &err) < 0) {
		nomad__call_fail(call, err);
		nomad__call_unref(call);
	}
}

/* ---- ExecTaskStreaming ---- */

struct exec {
	unsigned refs; /* atomic */
	struct nomad__loop *loop;
	pthread_mutex_t lock;		   /* may be held when the call's is taken */
	struct nomad__call *call;	   /* NULL: dropped */
	struct nomad__exec_stream *stream; /* NULL: not open (yet, or any more) */
	bool stderr_ended;		   /* told with the exit: a refusal is written to it */
	struct nomad__timer *timer;	   /* loop thread */
};

static void exec_unref(struct exec *exec)
{
	if (__atomic_sub_fetch(&exec->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	pthread_mutex_destroy(&exec->lock);
	free(exec);
}

static bool post(struct exec *exec, void (*fn)(void *ud))
{
	__atomic_add_fetch(&exec->refs, 1, __ATOMIC_RELAXED);
	if (nomad__loop_post(exec->loop, fn, exec) >= 0)
		return true;
	__atomic_sub_fetch(&exec->refs, 1, __ATOMIC_RELEASE);
	return false;
}

/* Runs on the loop, so that the output() that returned "pause" is over. */
static void resume_output(void *ud)
{
	struct exec *exec = ud;

	pthread_mutex_lock(&exec->lock);
	if (exec->stream)
		nomad__exec_resume(exec->stream);
	pthread_mutex_unlock(&exec->lock);
	exec_unref(exec);
}

static void drained(struct nomad__call *call)
{
	struct exec *exec = nomad__call_data(call);

	if (exec && !post(exec, resume_output))
		nomad__call_fail_memory(call);
}

/* `size` 0: the stream ends.  Returns the bytes that wait. */
static size_t put(struct nomad__call *call, int fd, const void *data, size_t size)
{
	Pb__ExecTaskStreamingResponse answer = PB__EXEC_TASK_STREAMING_RESPONSE__INIT;
	Pb__ExecTaskStreamingIOOperation operation = PB__EXEC_TASK_STREAMING_IOOPERATION__INIT;

	operation.data.data = (uint8_t *)data;
	operation.data.len = size;
	operation.close = size == 0;
	if (fd == 2)
		answer.stderr = &operation;
	else
		answer.stdout = &operation;
	return nomad__call_send(call, &answer.base, NOMAD__SEND_ALL);
}

static bool send_output(void *ud, int fd, const void *data, size_t size)
{
	struct exec *exec = ud;
	size_t queued = 0;

	pthread_mutex_lock(&exec->lock);
	if (fd == 2 && size == 0)
		exec->stderr_ended = true;
	else if (exec->call)
		queued = put(exec->call, fd, data, size);
	pthread_mutex_unlock(&exec->lock);
	return queued < OUTPUT_HIGH;
}

/* Nomad shows its user what a command writes, but not why a call failed: tell both. */
static void refuse(struct nomad__call *call, const struct nomad_error *err)
{
	NOMAD_AUTO_FREE char *text = nomad_strdupf("%s\r\n", nomad_error_message(err));

	if (text)
		put(call, 2, text, strlen(text));
	nomad__call_fail(call, err);
}

static void send_exit(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	struct exec *exec = ud;
	Pb__ExecTaskStreamingResponse answer = PB__EXEC_TASK_STREAMING_RESPONSE__INIT;
	Pb__ExitResult exit;

	pthread_mutex_lock(&exec->lock);
	if (!exec->call) {
		;
	} else if (r < 0) {
		refuse(exec->call, err);
	} else {
		if (exec->stderr_ended)
			put(exec->call, 2, NULL, 0);
		nomad__exit_result_of(result, &exit);
		answer.exited = true;
		answer.result = &exit;
		nomad__call_send(exec->call, &answer.base, NOMAD__SEND_ALL);
		nomad__call_finish(exec->call);
	}
	pthread_mutex_unlock(&exec->lock);
}

static const struct nomad__exec_events exec_events = { .output = send_output, .exited = send_exit };

/* ---- Input ---- */

/* Lock held.  False: the queue is full. */
static bool feed(struct exec *exec, const Pb__ExecTaskStreamingRequest *request)
{
	size_t queued = 0;

	if (!exec->stream)
		return true;
	if (request->tty_size && request->tty_size->height > 0 && request->tty_size->width > 0)
		nomad__exec_resize(exec->stream, request->tty_size->height, request->tty_size->width);
	if (request->stdin && request->stdin->data.len > 0)
		queued = nomad__exec_stdin(exec->stream, request->stdin->data.data, request->stdin->data.len);
	if (request->stdin && request->stdin->close)
		nomad__exec_stdin_close(exec->stream);
	return queued < INPUT_HIGH;
}

/* Goes on with the input once the command has read half of the queue. */
static void poll_input(void *ud)
{
	struct exec *exec = ud;
	bool again;

	pthread_mutex_lock(&exec->lock);
	again = exec->stream && nomad__exec_stdin(exec->stream, "", 0) > INPUT_HIGH / 2;
	if (!again && exec->call)
		nomad__call_receive(exec->call);
	pthread_mutex_unlock(&exec->lock);
	if (again) {
		nomad__timer_set(exec->timer, INPUT_POLL_MS * INT64_C(1000000));
		return;
	}
	nomad__timer_free(NOMAD_TAKE_PTR(exec->timer));
	exec_unref(exec);
}

static void wait_for_input(void *ud)
{
	struct exec *exec = ud;

	if (nomad__timer_new(exec->loop, poll_input, exec, &exec->timer) < 0) {
		pthread_mutex_lock(&exec->lock);
		if (exec->call)
			nomad__call_fail_memory(exec->call);
		pthread_mutex_unlock(&exec->lock);
		exec_unref(exec);
		return;
	}
	nomad__timer_set(exec->timer, INPUT_POLL_MS * INT64_C(1000000));
}

bool nomad__serve_exec_streaming_more(struct nomad__call *call, const ProtobufCMessage *request)
{
	struct exec *exec = nomad__call_data(call);
	bool go_on = true;

	if (!exec)
		return false;
	pthread_mutex_lock(&exec->lock);
	if (request)
		go_on = feed(exec, (const Pb__ExecTaskStreamingRequest *)request);
	else if (exec->stream)
		nomad__exec_stdin_close(exec->stream);
	pthread_mutex_unlock(&exec->lock);
	if (!go_on && !post(exec, wait_for_input))
		nomad__call_fail_memory(call);
	return go_on;
}

/* ---- Begin and end ---- */

static void drop(struct nomad__call *call, void *data)
{
	struct exec *exec = data;
	struct nomad__exec_stream *stream;

	(void)call;
	pthread_mutex_lock(&exec->lock);
	exec->call = NULL;
	stream = NOMAD_TAKE_PTR(exec->stream);
	pthread_mutex_unlock(&exec->lock);
	if (stream) /* not under the lock: it waits for events, which take it */
		nomad__exec_close(stream);
	exec_unref(exec);
}

static struct exec *exec_new(struct nomad__call *call)
{
	struct exec *exec = calloc(1, sizeof(*exec));

	if (!exec)
		return NULL;
	exec->refs = 2; /* of the call, and of the worker */
	exec->call = call;
	exec->loop = nomad__plugin_loop(nomad__call_plugin(call));
	pthread_mutex_init(&exec->lock, NULL);
	return exec;
}

void nomad__serve_exec_streaming(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__ExecTaskStreamingRequest *first = (const Pb__ExecTaskStreamingRequest *)request;
	const Pb__ExecTaskStreamingRequest__Setup *setup = first->setup;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	NOMAD_AUTO_FREE const char **argv = NULL;
	struct nomad__exec_stream *stream = NULL;
	struct exec *exec;

	if (!setup || setup->n_command == 0) {
		nomad__call_fail_status(call, GRPC_STATUS_INVALID_ARGUMENT,
					"run a command in the task: the first message has no command");
		return;
	}
	nomad__call_set_task(call, setup->task_id);
	argv = argv_of(setup->command, setup->n_command);
	exec = exec_new(call);
	if (!argv || !exec) {
		nomad__call_fail_memory(call);
		if (exec)
			__atomic_sub_fetch(&exec->refs, 1, __ATOMIC_RELEASE);
		goto out;
	}
	nomad__call_on_drained(call, OUTPUT_HIGH, drained);
	if (!nomad__call_attach(call, drop, exec)) {
		__atomic_sub_fetch(&exec->refs, 1, __ATOMIC_RELEASE);
		goto out;
	}
	if (nomad__exec_open(nomad__call_plugin(call), setup->task_id, argv, setup->tty, &exec_events, exec, &stream,
			     &err) < 0) {
		refuse(call, err);
		goto out;
	}
	pthread_mutex_lock(&exec->lock);
	if (exec->call)
		exec->stream = NOMAD_TAKE_PTR(stream);
	feed(exec, first);
	pthread_mutex_unlock(&exec->lock);
	if (stream) /* the call has ended meanwhile */
		nomad__exec_close(stream);
	else if (!post(exec, resume_output)) /* output may have paused before exec->stream was set */
		nomad__call_fail_memory(call);
out:
	if (exec)
		exec_unref(exec);
}
