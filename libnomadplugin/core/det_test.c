/* SPDX-License-Identifier: MPL-2.0
 *
 * The core under schedules that a seed decides: test/det/det.h says what is
 * real and what is simulated.  Here are an agent as Nomad's is, in all that
 * concerns the life of tasks; the server's part of the plugin; a driver; what
 * goes wrong; and what must hold whatever goes wrong:
 *
 *	- never two instances of one allocation and task name
 *	- a start that nobody waits for any more is undone when the driver's start() returns
 *	- no task is killed that the agent has and wants
 *	- each wait is answered once, with the code of the end, or that it is lost if there is no record of it
 *	- no endless wait: no deadlock, no wait for something that has ended
 *	- after a while of quiet nothing is left but what the agent wants; at the end nothing at all, no thread, lock,
 *	  memory or descriptor of the plugin
 *
 * One assumption: the plugin notices an agent's death before the next agent connects.
 *
 * SEED=N runs one seed and prints all of its trace; DET_WEAKENED=1 or 2 with a defect of the enum below.
 * DET_SEEDS=N or DET_SECONDS=N: how many, from DET_FIRST on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/caller.h"
#include "core/core.h"
#include "core/rivals.h"
#include "core/table.h"
#include "det.h"
#include "schema/schema.h"

enum { ALLOCS = 3, CALLS = 1024 };

static const int64_t ms = 1000000, second = 1000000000;

/* ---- Ways to bring defects back ---- */

enum { NO_RIVALS = 1, NO_LEAVE = 2 };
static unsigned weakened;

int __real_nomad__rivals_end(struct nomad_task *task, struct nomad_error **err);
int __wrap_nomad__rivals_end(struct nomad_task *task, struct nomad_error **err)
{
	return weakened & NO_RIVALS ? 0 : __real_nomad__rivals_end(task, err);
}

void __real_nomad__caller_leave(struct nomad__caller *caller);
void __wrap_nomad__caller_leave(struct nomad__caller *caller)
{
	if (!(weakened & NO_LEAVE))
		__real_nomad__caller_leave(caller);
}

/* ---- What the agent has on its disk, and what it wants ---- */

struct alloc {
	char id[40];
	bool wanted, forgotten;
	unsigned runs;
	char current[96]; /* the run whose handle is stored; "": none */
	char handle[1024];
	size_t handle_size;
	/* Not on the disk. */
	char starting[96];
	bool runner; /* lives */
	bool held;   /* the plugin knows the current run */
};

static struct alloc allocs[ALLOCS];
static unsigned alloc_numbers;

enum kind { STREAMS, START, RECOVER, WAIT, STOP, DESTROY };
static const char *const kind_names[] = {
	"streams", "StartTask", "RecoverTask", "WaitTask", "StopTask", "DestroyTask"
};

struct call {
	enum kind kind;
	struct alloc *alloc;
	char id[96];
	enum { SENT, SERVED, DONE } state;
	bool gone; /* the agent is, or has given it up */
	bool left; /* and the library knows */
	bool doomed;
	int r;
	int64_t begun_ns;
	/* Of the library. */
	struct nomad__caller *caller;
	struct nomad__sub *subs[2];
	/* Answers. */
	char handle[1024];
	size_t handle_size;
	int code, signal;
	bool has_message;
};

static struct call calls[CALLS];
static unsigned n_calls;

static bool plugin_there, plugin_ends;
static bool connected;	    /* the agent has opened its streams: it asks for nothing before */
static bool plugin_checked; /* its end is looked at: no other one yet */
static struct nomad_plugin *plugin;
static char calls_key, plugin_key; /* what is waited for */

/* {"state_dir": "/state", "gc_grace": 300} */
static const char plugin_config[] = "\x82\xa9state_dir\xa6/state\xa8gc_grace\xcd\x01\x2c";
static void *task_configs[2];
static size_t task_config_sizes[2];

/* ---- The driver ---- */

struct config {
	bool remote;
};
static const struct nomad_option rows[] = {
	NOMAD_OPTION(struct config, remote, BOOL, .help = "No process here."),
};
static const struct nomad_schema schema = NOMAD_SCHEMA(struct config, rows);

static bool remote, listens, driver_fails, watch_ends;
static bool disturbed; /* calls fail, or threads block: calls may fail that otherwise succeed */

static void fingerprint(struct nomad_plugin *p, struct nomad_fingerprint *fp)
{
	(void)p;
	nomad_fp_string(fp, "version", "1");
}

static int fails(const char *what, struct nomad_error **err)
{
	return driver_fails && !det_mood.quiet && det_one_in(10)
		       ? nomad_error_set(err, EIO, "the driver fails to %s", what)
		       : 0;
}

static int wait_a_while(struct nomad_task *task, struct nomad_error **err)
{
	int64_t until = det_now() + (int64_t)det_random(det_one_in(3) ? 4000 : 100) * ms;

	while (det_now() < until) {
		if (listens && nomad_task_is_cancelled(task))
			return nomad_error_set(err, EINTR, "the driver noticed it");
		det_sleep(200 * ms);
	}
	return 0;
}

/* All calls that wait for this start have been given up, and the library knows: it is undone, unless another comes. */
static void note_doomed(const char *id)
{
	bool wanted = false;

	for (unsigned i = 0; i < n_calls; i++)
		wanted = wanted || (strcmp(calls[i].id, id) == 0 && calls[i].kind == START &&
				    calls[i].state == SERVED && !calls[i].left);
	for (unsigned i = 0; i < n_calls; i++)
		if (strcmp(calls[i].id, id) == 0)
			calls[i].doomed = !wanted;
}

static int start(struct nomad_task *task, struct nomad_error **err)
{
	const char *argv[] = { "/bin/true", NULL };
	const struct nomad_command command = { .argv = argv };
	struct det_task *mine = host_announce(nomad_task_slug(task), nomad_task_id(task),
					      (int)strtol(nomad_task_info(task)->alloc_id, NULL, 16));
	int r;

	mine->remote = remote;
	r = wait_a_while(task, err);
	if (r >= 0)
		r = fails("begin", err);
	if (r >= 0)
		r = nomad_task_put(task, "thing", "1", err);
	if (r >= 0)
		r = fails("start", err);
	if (r >= 0 && remote)
		host_born(mine);
	else if (r >= 0)
		r = nomad_task_run(task, &command, err);
	if (r >= 0)
		r = wait_a_while(task, err);
	if (r >= 0)
		r = fails("end the start", err);
	note_doomed(nomad_task_id(task));
	return r;
}

static struct nomad_exit end_of(const struct det_task *mine)
{
	return (struct nomad_exit){ .exit_code = mine->code, .signal = mine->signal };
}

static int recover(struct nomad_task *task, struct nomad_error **err)
{
	const struct det_task *mine = host_task(nomad_task_id(task));
	struct nomad_exit end;

	if (!mine || !mine->born)
		return nomad_error_set(err, ENOENT, "it is gone");
	if (remote && !mine->lives) {
		end = end_of(mine);
		nomad_task_exited(task, &end);
	}
	return fails("recover", err);
}

static int kill_remote(struct nomad_task *task, struct nomad_error **err)
{
	struct det_task *mine = host_task(nomad_task_id(task));
	struct nomad_exit end;

	(void)err;
	det_sleep((int64_t)det_random(50) * ms);
	if (mine->lives) {
		det_before_kill(mine);
		host_ended(mine, 137, 9);
	}
	end = end_of(mine);
	nomad_task_exited(task, &end);
	return 0;
}

static int stop_remote(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	(void)signal;
	(void)timeout_ms;
	if (det_one_in(3))
		return 0; /* deaf */
	return kill_remote(task, err);
}

static int destroy(struct nomad_task *task, struct nomad_error **err)
{
	struct det_task *mine = host_task(nomad_task_id(task));
	int r = fails("destroy", err);

	if (r < 0)
		return r;
	det_sleep((int64_t)det_random(20) * ms);
	if (mine && mine->lives) {
		if (!mine->remote)
			det_fail("%s is destroyed and lives", mine->id);
		det_before_kill(mine);
		host_ended(mine, 137, 9);
	}
	if (mine)
		mine->born = false;
	return 0;
}

/* A driver's own thread: it watches what is remote. */
static void watch_remote(void *arg)
{
	while (!watch_ends) {
		for (int i = 0; i < ALLOCS; i++) {
			struct det_task *mine = host_task(allocs[i].current);
			struct nomad_exit end;

			if (!mine || !mine->born || (mine->lives && mine->ends_at > det_now()))
				continue;
			host_ended(mine, (int)det_random(3), 0);
			end = end_of(mine);
			(void)nomad_task_exited_by_id(arg, mine->id, &end);
		}
		det_sleep(second);
	}
	watch_ends = false;
}

static int init_remote(struct nomad_plugin *p, void **ret_data, struct nomad_error **err)
{
	(void)ret_data;
	(void)err;
	watch_ends = false;
	det_spawn(DET_PLUGIN, "watches remote", watch_remote, p);
	return 0;
}

static void fini_remote(struct nomad_plugin *p, void *data)
{
	(void)p;
	(void)data;
	watch_ends = true;
	while (watch_ends)
		det_sleep(100 * ms);
}

static const struct nomad_driver local_driver = {
	.name = "sim",
	.version = "1",
	.fingerprint_interval_s = 3600,
	.task_schema = &schema,
	.fingerprint = fingerprint,
	.start = start,
	.recover = recover,
	.destroy = destroy,
};
static const struct nomad_driver remote_driver = {
	.name = "sim",
	.version = "1",
	.fingerprint_interval_s = 3600,
	.task_schema = &schema,
	.init = init_remote,
	.fini = fini_remote,
	.fingerprint = fingerprint,
	.start = start,
	.recover = recover,
	.stop = stop_remote,
	.kill = kill_remote,
	.destroy = destroy,
};

void det_before_kill(struct det_task *task)
{
	det_trace("kills %s", task->id);
	if (task->left_alone) /* without a supervisor it cannot stay */
		return;
	for (int i = 0; i < ALLOCS; i++)
		if (strcmp(allocs[i].current, task->id) == 0 && allocs[i].wanted && !task->unwanted &&
		    !allocs[i].forgotten)
			det_fail("%s is killed, which the agent has and wants", task->id);
}

/* ---- The server in the plugin: wire/tasks.c and wire/receive.c ---- */

static void leave(struct call *call)
{
	struct nomad__caller *caller = NOMAD_TAKE_PTR(call->caller);

	if (!caller)
		return;
	nomad__caller_leave(caller);
	call->left = true;
	nomad__caller_unref(caller);
}

static void finish(struct call *call, int r, const struct nomad_error *err)
{
	if (call->state == DONE)
		det_fail("%s of %s is answered twice", kind_names[call->kind], call->id);
	det_trace("%s of %s gives %d %s%s", kind_names[call->kind], call->id, r, err ? nomad_error_message(err) : "",
		  call->gone ? " (nobody hears it)" : "");
	call->r = r;
	call->state = DONE;
	det_wake(call); /* what follows may be cut off by the plugin's death */
	leave(call);
	det_wake(&calls_key);
}

static char *copy(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		abort();
	return copied;
}

static struct nomad_task_info info_of(const struct call *call)
{
	return (struct nomad_task_info){
		.id = copy(call->id),
		.name = copy("web"),
		.alloc_id = copy(call->alloc->id),
		.node_id = copy("node"),
		.job_id = copy("job"),
		.alloc_dir = copy("/alloc"),
		.resources = { .memory_limit_bytes = 1 << 20 },
	};
}

static void serve_start(void *ud)
{
	struct call *call = ud;
	struct nomad__caller *caller = nomad__caller_new();
	struct nomad_task_info info = info_of(call);
	struct nomad__started started = { 0 };
	struct nomad_error *err = NULL;
	int r;

	call->caller = nomad__caller_ref(caller);
	if (call->gone)
		leave(call);
	for (unsigned i = 0; i < n_calls; i++)
		if (strcmp(calls[i].id, call->id) == 0)
			calls[i].doomed = false;
	r = nomad__task_start(plugin, caller, &info, task_configs[remote], task_config_sizes[remote], &started, &err);
	nomad__caller_unref(caller);
	if (r >= 0 && call->doomed)
		det_fail("the start of %s, for which nobody waits, was not undone", call->id);
	if (r >= 0) {
		if (started.driver_state_size > sizeof(call->handle))
			det_fail("a handle of %zu bytes", started.driver_state_size);
		memcpy(call->handle, started.driver_state, started.driver_state_size);
		call->handle_size = started.driver_state_size;
	}
	finish(call, r, err);
	nomad__started_done(&started);
	nomad_error_free(err);
}

static void serve_recover(void *ud)
{
	struct call *call = ud;
	struct nomad_task_info info = info_of(call);
	struct nomad_error *err = NULL;

	for (unsigned i = 0; i < n_calls; i++)
		if (strcmp(calls[i].id, call->id) == 0)
			calls[i].doomed = false;
	finish(call, nomad__task_recover(plugin, &info, call->handle, call->handle_size, call->begun_ns, &err), err);
	nomad_error_free(err);
}

static void serve_destroy(void *ud)
{
	struct call *call = ud;
	struct nomad_error *err = NULL;

	finish(call, nomad__task_destroy(plugin, call->id, true, &err), err);
	nomad_error_free(err);
}

static void task_ended(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	struct call *call = ud;

	if (r >= 0) {
		call->code = result->exit_code;
		call->signal = result->signal;
		call->has_message = result->message;
		det_trace("the end of %s is reported: code %d, signal %d, %s", call->id, call->code, call->signal,
			  result->message ? result->message : "");
	}
	finish(call, r, err);
}

static void task_stopped(void *ud, int r, const struct nomad_error *err)
{
	finish(ud, r, err);
}

static void hear_fingerprint(void *ud, const struct nomad__fingerprint_view *fp)
{
	(void)ud;
	(void)fp;
}

static void hear_event(void *ud, const struct nomad__event *event)
{
	(void)ud;
	det_trace("event of %s: %s", event->task_id, event->message);
}

static void serve(struct call *call)
{
	static void (*const slow[])(
		void *) = { [START] = serve_start, [RECOVER] = serve_recover, [DESTROY] = serve_destroy };
	struct nomad_error *err = NULL;
	int r = 0;

	call->state = SERVED;
	call->begun_ns = det_now();
	switch (call->kind) {
	case STREAMS:
		call->subs[0] = nomad__fingerprint_subscribe(plugin, hear_fingerprint, NULL);
		call->subs[1] = nomad__events_subscribe(plugin, hear_event, NULL);
		connected = true;
		det_wake(&plugin_key);
		break;
	case WAIT:
		r = nomad__task_wait(plugin, call->id, task_ended, call, &call->subs[0], &err);
		break;
	case STOP:
		r = nomad__task_stop(plugin, call->id, (int64_t)det_random(10) * second, "", task_stopped, call, &err);
		break;
	default:
		r = nomad__work(plugin, slow[call->kind], call);
	}
	if (r < 0)
		finish(call, r, err);
	nomad_error_free(err);
}

static void drop(struct call *call)
{
	leave(call);
	for (int i = 0; i < 2; i++)
		nomad__sub_cancel(NOMAD_TAKE_PTR(call->subs[i]));
}

static void run_plugin(void *arg)
{
	struct nomad_plugin *made;
	const struct nomad__node node = { .total_compute_mhz = 8000, .cores = 4 };

	(void)arg;
	made = nomad__plugin_new(remote ? &remote_driver : &local_driver, NULL);
	if (!made || nomad__plugin_configure(made, plugin_config, sizeof(plugin_config) - 1, &node, NULL) < 0) {
		nomad__plugin_free(made); /* a thread could not be created, for example; the agent tries again */
		plugin_ends = true;
		det_wake(&plugin_key);
		return;
	}
	plugin = made;
	plugin_there = true;
	det_wake(&plugin_key);
	while (!plugin_ends) {
		bool any = false;

		for (unsigned i = 0; i < n_calls && !plugin_ends; i++) {
			struct call *call = &calls[i];

			if (call->state == SENT && !call->gone) {
				serve(call);
				any = true;
			} else if ((call->gone || call->state == DONE) &&
				   (call->caller || call->subs[0] || call->subs[1])) {
				drop(call);
				any = true;
			}
		}
		if (!any && !plugin_ends)
			(void)det_wait(&calls_key, INT64_MAX);
	}
	plugin_there = false;
	nomad__plugin_shutdown(plugin);
	for (unsigned i = 0; i < n_calls; i++)
		if (calls[i].state != SENT)
			drop(&calls[i]);
	nomad__plugin_free(plugin);
	det_wake(&plugin_key);
}

/* Breaks the connection of each caller without an answer. */
static void plugin_gone(void)
{
	plugin_there = connected = false;
	for (unsigned i = 0; i < n_calls; i++) {
		struct call *call = &calls[i];

		call->caller = NULL;
		call->subs[0] = call->subs[1] = NULL;
		if (call->state == DONE)
			continue;
		call->state = DONE;
		call->r = -EPIPE;
		det_wake(call);
	}
	det_wake(&plugin_key);
}

/* ---- The agent ---- */

static struct call *send(enum kind kind, struct alloc *alloc, const char *id)
{
	struct call *call = &calls[n_calls];

	if (n_calls == CALLS)
		det_fail("more than %d calls", CALLS);
	*call = (struct call){ .kind = kind, .alloc = alloc };
	snprintf(call->id, sizeof(call->id), "%s", id);
	n_calls++;
	if (kind == STREAMS ? !plugin_there : !connected) {
		call->state = DONE;
		call->r = -EPIPE;
		return call;
	}
	det_trace("%s of %s", kind_names[kind], id);
	if (kind == RECOVER) {
		memcpy(call->handle, alloc->handle, alloc->handle_size);
		call->handle_size = alloc->handle_size;
	}
	det_wake(&calls_key);
	return call;
}

static struct call *ask(enum kind kind, struct alloc *alloc, const char *id)
{
	struct call *call = send(kind, alloc, id);

	while (call->state != DONE && !call->gone)
		(void)det_wait(call, INT64_MAX);
	if (call->gone && call->state != DONE)
		call->r = -ECANCELED;
	return call;
}

static void await_plugin(void)
{
	while (!connected)
		(void)det_wait(&plugin_key, INT64_MAX);
}

/* Of what ended.  A task without a supervisor's word is lost. */
static void check_end(const struct call *call)
{
	const struct det_task *task = host_task(call->id);

	if (!task)
		det_fail("%s has ended, and was never there", call->id);
	if (call->has_message && (task->lost || task->unwanted))
		return;
	if (call->has_message)
		det_fail("%s is reported as lost; it has ended with code %d, signal %d", call->id, task->code,
			 task->signal);
	if (task->lives)
		det_fail("the end of %s is reported, but it is running", call->id);
	if (task->code != call->code || task->signal != call->signal)
		det_fail("%s has ended with code %d, signal %d; the agent gets %d, %d", call->id, task->code,
			 task->signal, call->code, call->signal);
}

/* From now on the current run may be killed. */
static void end_wanted(const struct alloc *a)
{
	struct det_task *task = host_task(a->current);

	if (task)
		task->unwanted = true;
}

static void destroy_current(struct alloc *a)
{
	struct call *call;

	end_wanted(a);
	do {
		await_plugin();
		call = ask(DESTROY, a, a->current);
		/* Nomad does not repeat one that fails.  For one that finds no thread nothing can be done here. */
	} while (call->r == -EPIPE || call->r == -EAGAIN);
	a->current[0] = 0;
	a->held = false;
}

static bool recover_current(struct alloc *a)
{
	int r;

	do {
		await_plugin();
		r = ask(RECOVER, a, a->current)->r;
	} while (r == -EPIPE);
	a->held = r >= 0;
	if (r >= 0)
		return true;
	if (!disturbed && host_is_well(a->current))
		det_fail("%s lives and cannot be recovered", a->current);
	destroy_current(a);
	return false;
}

static bool start_next(struct alloc *a)
{
	struct call *call;

	snprintf(a->starting, sizeof(a->starting), "%s/web/%08x", a->id, ++a->runs);
	do {
		await_plugin();
		call = ask(START, a, a->starting);
	} while (call->r == -EPIPE);
	if (call->r >= 0) {
		if (det_one_in(4)) /* here an agent may die as well */
			det_sleep((int64_t)det_random(20) * ms);
		memcpy(a->handle, call->handle, call->handle_size);
		a->handle_size = call->handle_size;
		memcpy(a->current, a->starting, sizeof(a->current));
		a->held = true;
	}
	a->starting[0] = 0;
	return call->r >= 0;
}

/* A stop that fails is repeated. */
static void stop_current(struct alloc *a)
{
	char id[96];
	int r;

	end_wanted(a);
	memcpy(id, a->current, sizeof(id));
	while ((r = ask(STOP, a, id)->r) < 0 && r != -EPIPE && strcmp(a->current, id) == 0)
		det_sleep(second);
}

static void await_end(struct alloc *a)
{
	struct call *call;

	do {
		if (!a->wanted)
			stop_current(a);
		call = ask(WAIT, a, a->current);
		if (call->r >= 0)
			check_end(call);
		if (call->r != -EPIPE) {
			destroy_current(a);
			return;
		}
		a->held = false;
	} while (recover_current(a));
}

static void run_alloc(void *arg)
{
	struct alloc *a = arg;

	if (*a->current && !recover_current(a))
		a->current[0] = 0;
	while (*a->current || a->wanted) {
		if (!*a->current && !start_next(a)) {
			det_sleep((int64_t)(1 + det_random(5000)) * ms);
			continue;
		}
		await_end(a);
		if (a->wanted)
			det_sleep((int64_t)det_random(3000) * ms);
	}
	a->runner = false;
}

static void run_stopper(void *arg)
{
	struct alloc *a = arg;
	char id[96];

	if (a->held)
		stop_current(a);
	if (!*a->starting)
		return;
	memcpy(id, a->starting, sizeof(id));
	if (det_one_in(2)) {
		(void)ask(STOP, a, id);
		return;
	}
	for (unsigned i = 0; i < n_calls; i++)
		if (calls[i].kind == START && calls[i].alloc == a && calls[i].state != DONE) {
			calls[i].gone = true;
			det_wake(&calls[i]);
			det_wake(&calls_key);
		}
	/* It may have succeeded just then. */
	(void)ask(DESTROY, a, id);
}

/* The plugin notices an agent's death before the next one connects: the system closes the connection at once. */
static void await_hangups(void)
{
	for (unsigned i = 0; i < n_calls; i++)
		while (plugin_there && calls[i].gone && (calls[i].caller || calls[i].subs[0] || calls[i].subs[1]))
			det_sleep(ms);
}

static void run_agent(void *arg)
{
	(void)arg;
	await_hangups();
	for (int i = 0; i < ALLOCS; i++)
		if (!allocs[i].forgotten && !allocs[i].runner && (allocs[i].wanted || *allocs[i].current)) {
			allocs[i].runner = true;
			det_spawn(DET_AGENT, "agent's task", run_alloc, &allocs[i]);
		}
	for (;;) {
		const struct call *streams;

		if (!plugin_there) {
			det_sleep((int64_t)det_random(2000) * ms);
			if (!det_count(DET_PLUGIN) && !plugin_checked) {
				plugin_ends = false;
				det_spawn(DET_PLUGIN, "server", run_plugin, NULL);
			}
			(void)det_wait(&plugin_key, det_now() + second);
			continue;
		}
		streams = send(STREAMS, NULL, "");
		while (streams->state != DONE)
			(void)det_wait(streams, INT64_MAX);
	}
}

static void new_alloc(struct alloc *a)
{
	*a = (struct alloc){ .wanted = true };
	snprintf(a->id, sizeof(a->id), "%08x-0000-0000-0000-000000000000", ++alloc_numbers);
	det_trace("a new allocation: %s", a->id);
	if (det_count(DET_AGENT)) {
		a->runner = true;
		det_spawn(DET_AGENT, "agent's task", run_alloc, a);
	}
}

/* ---- What goes wrong ---- */

static void kill_agent(void)
{
	det_trace("the agent is killed");
	det_kill(DET_AGENT);
	connected = false;
	for (unsigned i = 0; i < n_calls; i++)
		if (calls[i].state != DONE)
			calls[i].gone = true;
	for (int i = 0; i < ALLOCS; i++) {
		allocs[i].starting[0] = 0;
		allocs[i].runner = allocs[i].held = false;
	}
	det_wake(&calls_key);
}

static void kill_plugin(void)
{
	if (!det_count(DET_PLUGIN))
		return;
	det_trace("the plugin is killed");
	det_kill(DET_PLUGIN);
	plugin_gone();
}

static void end_plugin(void)
{
	if (!plugin_there)
		return;
	det_trace("the plugin gets a request to end");
	plugin_ends = plugin_checked = true;
	det_wake(&calls_key);
	while (det_count(DET_PLUGIN))
		det_sleep(10 * ms);
	det_check_nothing_left();
	plugin_checked = false;
	plugin_gone();
}

static void start_agent(void)
{
	if (det_count(DET_AGENT))
		return;
	det_trace("the agent starts");
	det_spawn(DET_AGENT, "agent", run_agent, NULL);
}

static void stop_job(struct alloc *a)
{
	if (!a->wanted)
		return;
	det_trace("job of %s is stopped", a->id);
	a->wanted = false;
	if (a->runner)
		det_spawn(DET_AGENT, "agent's stop", run_stopper, a);
}

/* The agent's state is lost.  That takes longer than any thread of the plugin needs to let go of the dead agent. */
static void forget(struct alloc *a)
{
	unsigned lag_in = det_mood.lag_in;

	det_trace("%s is forgotten", a->id);
	a->forgotten = true;
	det_mood.lag_in = 0;
	det_sleep(second);
	det_mood.lag_in = lag_in;
}

static void something_happens(void)
{
	struct alloc *a = &allocs[det_random(ALLOCS)];

	switch (det_random(12)) {
	case 0:
	case 1:
	case 2:
		kill_agent();
		if (det_one_in(4) && a != allocs)
			forget(a);
		break;
	case 3:
	case 4:
		kill_plugin();
		break;
	case 5:
		kill_agent();
		kill_plugin();
		break;
	case 6:
		host_kill_supervisor();
		break;
	case 7:
		host_stop_supervisor(true);
		break;
	case 8:
		host_continue_all();
		break;
	case 9:
		if (a != allocs) /* one is always there: what is gc's for depends on the node's own tasks */
			stop_job(a);
		break;
	case 10:
		end_plugin();
		break;
	default:
		if (a->forgotten || (!a->wanted && !a->runner && !*a->current))
			new_alloc(a);
	}
}

/* The longest time: DestroyTask of a task whose supervisor is stopped, and all searches of gc. */
static void await_rest(unsigned wanted)
{
	const int64_t until = det_now() + 6000 * second;

	while (det_now() < until) {
		det_sleep(100 * second);
		if (host_living(-1) == wanted && files_count("/state/tasks") == wanted && host_supervisors() <= wanted)
			return;
	}
	files_show("/state/tasks");
	det_fail("after a long while of quiet: %u tasks live, %u directories, %u supervisors; wanted: %u",
		 host_living(-1), files_count("/state/tasks"), host_supervisors(), wanted);
}

static void check_waits(void)
{
	for (unsigned i = 0; i < n_calls; i++) {
		const struct det_task *task = host_task(calls[i].id);

		if (calls[i].state == DONE || calls[i].kind == STREAMS || (calls[i].gone && calls[i].kind == WAIT) ||
		    det_now() - calls[i].begun_ns < 60 * second)
			continue;
		if (calls[i].kind == WAIT && (!task || !task->lives))
			det_fail("%s has ended, and a waiting caller has no answer", calls[i].id);
		if (calls[i].kind != WAIT && !(calls[i].gone && calls[i].state == SENT))
			det_fail("%s of %s is not answered", kind_names[calls[i].kind], calls[i].id);
	}
}

static void run(void)
{
	static const unsigned switches[] = { 1, 2, 4, 16, 64 };
	unsigned events = 3 + (unsigned)det_random(12);

	n_calls = alloc_numbers = 0;
	plugin_there = plugin_ends = plugin_checked = connected = false;
	det_mood.switch_in = switches[det_random(NOMAD_ARRAY_LEN(switches))];
	det_mood.lag_in = det_one_in(3) ? 400 : 0;
	remote = det_one_in(3);
	listens = det_one_in(2);
	driver_fails = det_one_in(4);
	if (det_one_in(4))
		det_mood.fault_in = 20 + (unsigned)det_random(300);
	if (weakened) { /* deaths alone have to show it */
		driver_fails = false;
		det_mood.fault_in = 0;
	}
	disturbed = driver_fails || det_mood.fault_in || det_mood.lag_in;
	det_trace("%s driver that %s%s; switch in %u, lag in %u, fault in %u", remote ? "a remote" : "a local",
		  listens ? "listens" : "is deaf", driver_fails ? " and fails" : "", det_mood.switch_in,
		  det_mood.lag_in, det_mood.fault_in);
	for (int i = 0; i < ALLOCS; i++)
		new_alloc(&allocs[i]);
	start_agent();
	for (unsigned i = 0; i < events; i++) {
		det_sleep((int64_t)det_random(det_one_in(2) ? 300 : 6000) * ms);
		something_happens();
		if (!det_count(DET_AGENT) && !det_one_in(3))
			start_agent();
	}
	det_trace("quiet");
	det_mood = (struct det_mood){ .switch_in = 16, .quiet = true };
	host_continue_all();
	start_agent();
	for (int i = 1; i < ALLOCS; i++)
		stop_job(&allocs[i]);
	await_rest(allocs[0].wanted);
	check_waits();
	stop_job(&allocs[0]);
	await_rest(0);
	check_waits();
	kill_agent();
	end_plugin();
}

/* ---- The tests ---- */

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

static void show(uint64_t seed)
{
	const char *text, *from;
	int lines = 200;

	(void)det_run(seed, true, run);
	text = det_trace_text();
	for (from = text + strlen(text); from > text && lines; from--)
		lines -= from[-1] == '\n';
	fprintf(stderr, "%s\nseed %llu: %s\nSEED=%llu runs it again and prints all of the trace\n", from,
		(unsigned long long)seed, det_failure(), (unsigned long long)seed);
}

static void must_pass(uint64_t seed)
{
	if (det_run(seed, false, run))
		return;
	show(seed);
	fail_msg("seed %llu: %s", (unsigned long long)seed, det_failure());
}

/* The same seed is the same run, whatever ran before it. */
static void test_repeats(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		char *first;
		uint64_t hash;

		(void)det_run(seed, true, run);
		first = strdup(det_trace_text());
		hash = det_hash();
		assert_non_null(first);
		(void)det_run(seed + 100, false, run);
		(void)det_run(seed, true, run);
		assert_true(hash == det_hash());
		assert_string_equal(first, det_trace_text());
		free(first);
	}
}

/* How many seeds it takes to find what is brought back. */
static void must_find(unsigned weak, const char *what)
{
	uint64_t seed = 1;

	weakened = weak;
	while (seed < 5000 && (det_run(seed, false, run) || !strstr(det_failure(), what)))
		seed++;
	weakened = 0;
	if (seed == 5000)
		fail_msg("not found in %llu seeds: %s", (unsigned long long)seed, what);
	print_message("seed %llu: %s\n", (unsigned long long)seed, det_failure());
}

/* An agent dies alone during StartTask, the next one starts the task with a new id. */
static void test_finds_two_instances(void **state)
{
	(void)state;
	must_find(NO_RIVALS | NO_LEAVE, "two instances");
	must_find(NO_RIVALS, "two instances");
}

static void test_finds_lost_callers(void **state)
{
	(void)state;
	must_find(NO_LEAVE, "for which nobody waits");
}

/* Each of them has found a defect in the code of its time. */
static void test_found(void **state)
{
	static const uint64_t seeds[] = {
		3,     37,    /* tasks_on_disk_test, half_made */
		43,    1428,  /* orphans_test, destroy_failed */
		849,   850,   /* rivals_test, not_read */
		24548, 32004, /* fault_test, unreadable */
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(seeds); i++)
		must_pass(seeds[i]);
}

static double clock_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static void test_seeds(void **state)
{
	const uint64_t first = number("DET_FIRST", 1), count = number("DET_SEEDS", 5000);
	const double begun = clock_s(), seconds = (double)number("DET_SECONDS", 0);
	uint64_t seed = first, all = 0;

	(void)state;
	for (; seconds > 0 ? clock_s() - begun < seconds : seed < first + count; seed++) {
		must_pass(seed);
		all += det_switches();
	}
	print_message("%llu schedules in %.1f s, %llu switches each\n", (unsigned long long)(seed - first),
		      clock_s() - begun, (unsigned long long)(all / (seed - first)));
}

static void encode(const struct nomad_schema *of, const char *text, void **ret, size_t *ret_size)
{
	json_t *json = json_loads(text, 0, NULL);

	if (!json || nomad__config_from_json(of, "config", json, ret, ret_size, NULL) < 0)
		abort();
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repeats),
		cmocka_unit_test(test_finds_two_instances),
		cmocka_unit_test(test_finds_lost_callers),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_seeds),
	};
	uint64_t seed = number("SEED", 0);

	if (!DET_WORKS) {
		puts("1..0 # SKIP ThreadSanitizer does not know these threads");
		return 0;
	}
	encode(&schema, "{\"remote\": false}", &task_configs[0], &task_config_sizes[0]);
	encode(&schema, "{\"remote\": true}", &task_configs[1], &task_config_sizes[1]);
	if (!seed)
		return cmocka_run_group_tests_name("det", tests, NULL, NULL);
	weakened = (unsigned)number("DET_WEAKENED", 0);
	if (!det_run(seed, true, run))
		fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, det_failure());
	fputs(det_trace_text(), stdout);
	return *det_failure() != 0;
}
