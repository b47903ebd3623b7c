/* SPDX-License-Identifier: MPL-2.0
 *
 * The life of a task: start, recover, wait, stop, destroy, inspect, signal.
 * Nomad's client dereferences most sub-messages unchecked: each answer here
 * has all of them, always. */
#include "wire/handlers.h"

#include <stdlib.h>

#include "wire/convert.h"

/* ---- StartTask, RecoverTask ---- */

/* Puts the override into *to and `to` into *ret, or NULL if there is none.
 * Strings are shared; the caller frees to->port_map.  False: out of memory. */
static bool network_override(const struct nomad__started *started, Pb__NetworkOverride *to, Pb__NetworkOverride **ret)
{
	const struct nomad_int_map *map = &started->port_map;
	Pb__NetworkOverride__PortMapEntry **pointers, *entries;

	pb__network_override__init(to);
	if (!started->has_network)
		return true;
	*ret = to;
	if (started->addr)
		to->addr = started->addr;
	to->auto_advertise = started->auto_advertise;
	if (map->count == 0)
		return true;
	pointers = calloc(map->count, sizeof(*pointers) + sizeof(*entries)); /* one block */
	if (!pointers)
		return false;
	entries = (Pb__NetworkOverride__PortMapEntry *)(pointers + map->count);
	for (size_t i = 0; i < map->count; i++) {
		pb__network_override__port_map_entry__init(&entries[i]);
		entries[i].key = map->pairs[i].key;
		entries[i].value = (int32_t)map->pairs[i].value;
		pointers[i] = &entries[i];
	}
	to->port_map = pointers;
	to->n_port_map = map->count;
	return true;
}

/* The call has ended; if before its answer, no agent knows of the task. */
static void caller_gone(struct nomad__call *call, void *caller)
{
	(void)call;
	nomad__caller_leave(caller);
	nomad__caller_unref(caller);
}

void nomad__serve_start_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__StartTaskRequest *start = (const Pb__StartTaskRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__StartTaskResponse answer = PB__START_TASK_RESPONSE__INIT;
	Pb__TaskHandle handle = PB__TASK_HANDLE__INIT;
	Pb__NetworkOverride network;
	struct nomad_task_info info = { 0 };
	struct nomad__started started = { 0 };
	struct nomad__caller *caller = nomad__caller_new();
	int r;

	if (!caller) {
		nomad__call_fail_memory(call);
		return;
	}
	if (!nomad__call_attach(call, caller_gone, nomad__caller_ref(caller)))
		caller_gone(call, caller);
	if (start->task)
		nomad__call_set_task(call, start->task->id);
	r = nomad__task_info_of(start->task, &info, &err);
	if (r >= 0)
		r = nomad__task_start(nomad__call_plugin(call), caller, &info, start->task->msgpack_driver_config.data,
				      start->task->msgpack_driver_config.len, &started, &err);
	nomad__caller_unref(caller);
	if (r < 0) {
		nomad__call_fail(call, err);
		return;
	}
	/* RecoverTask takes the task's id from the config in the handle. */
	handle.version = 1;
	handle.config = start->task;
	handle.state = PB__TASK_STATE__RUNNING;
	handle.driver_state.data = started.driver_state;
	handle.driver_state.len = started.driver_state_size;
	answer.result = PB__START_TASK_RESPONSE__RESULT__SUCCESS;
	answer.handle = &handle;
	if (network_override(&started, &network, &answer.network_override)) {
		nomad__call_reply(call, &answer.base);
	} else {
		/* Nomad will never ask for the task again. */
		(void)nomad__task_destroy(nomad__call_plugin(call), start->task->id, true, &err);
		nomad__call_fail_memory(call);
	}
	free(network.port_map);
	nomad__started_done(&started);
}

void nomad__serve_recover_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__RecoverTaskRequest *recover = (const Pb__RecoverTaskRequest *)request;
	const Pb__TaskHandle *handle = recover->handle;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__RecoverTaskResponse answer = PB__RECOVER_TASK_RESPONSE__INIT;
	struct nomad_task_info info = { 0 };
	int r;

	/* The request's own task_id is empty: Nomad fills the handle only. */
	if (!handle || !handle->config) {
		nomad__call_fail_status(call, GRPC_STATUS_INVALID_ARGUMENT,
					"recover a task: the request has no handle");
		return;
	}
	nomad__call_set_task(call, handle->config->id);
	r = nomad__task_info_of(handle->config, &info, &err);
	if (r >= 0)
		r = nomad__task_recover(nomad__call_plugin(call), &info, handle->driver_state.data,
					handle->driver_state.len, nomad__call_begun_ns(call), &err);
	if (r < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_reply(call, &answer.base);
}

/* ---- WaitTask ---- */

static void task_ended(void *ud, int r, const struct nomad_exit *exit, const struct nomad_error *err)
{
	struct nomad__call *call = ud;
	Pb__WaitTaskResponse answer = PB__WAIT_TASK_RESPONSE__INIT;
	Pb__ExitResult result;

	if (r < 0) {
		nomad__call_fail(call, err);
		return;
	}
	nomad__exit_result_of(exit, &result);
	answer.result = &result;
	if (exit->message)
		answer.err = exit->message;
	nomad__call_reply(call, &answer.base);
}

void nomad__serve_wait_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__WaitTaskRequest *wait = (const Pb__WaitTaskRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__sub *sub = NULL;

	nomad__call_set_task(call, wait->task_id);
	if (nomad__task_wait(nomad__call_plugin(call), wait->task_id, task_ended, call, &sub, &err) < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_keep(call, sub);
}

/* ---- StopTask, DestroyTask, SignalTask ---- */

static void task_stopped(void *ud, int r, const struct nomad_error *err)
{
	struct nomad__call *call = ud;
	Pb__StopTaskResponse answer = PB__STOP_TASK_RESPONSE__INIT;

	if (r < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_reply(call, &answer.base);
	nomad__call_unref(call);
}

void nomad__serve_stop_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__StopTaskRequest *stop = (const Pb__StopTaskRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	nomad__call_set_task(call, stop->task_id);
	nomad__call_ref(call); /* for task_stopped(), which runs even if the host is gone */
	if (nomad__task_stop(nomad__call_plugin(call), stop->task_id, nomad__duration_ns(stop->timeout), stop->signal,
			     task_stopped, call, &err) < 0) {
		nomad__call_fail(call, err);
		nomad__call_unref(call);
	}
}

void nomad__serve_destroy_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__DestroyTaskRequest *destroy = (const Pb__DestroyTaskRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__DestroyTaskResponse answer = PB__DESTROY_TASK_RESPONSE__INIT;

	nomad__call_set_task(call, destroy->task_id);
	if (nomad__task_destroy(nomad__call_plugin(call), destroy->task_id, destroy->force, &err) < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_reply(call, &answer.base);
}

void nomad__serve_signal_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__SignalTaskRequest *signal = (const Pb__SignalTaskRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__SignalTaskResponse answer = PB__SIGNAL_TASK_RESPONSE__INIT;

	nomad__call_set_task(call, signal->task_id);
	if (nomad__task_signal(nomad__call_plugin(call), signal->task_id, signal->signal, &err) < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_reply(call, &answer.base);
}

/* ---- InspectTask ---- */

static Pb__TaskState task_state(enum nomad__task_state state)
{
	switch (state) {
	case NOMAD__TASK_RUNNING:
		return PB__TASK_STATE__RUNNING;
	case NOMAD__TASK_EXITED:
		return PB__TASK_STATE__EXITED;
	default:
		return PB__TASK_STATE__UNKNOWN;
	}
}

void nomad__serve_inspect_task(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__InspectTaskRequest *wanted = (const Pb__InspectTaskRequest *)request;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__InspectTaskResponse answer = PB__INSPECT_TASK_RESPONSE__INIT;
	Pb__TaskStatus status = PB__TASK_STATUS__INIT;
	Pb__TaskDriverStatus driver = PB__TASK_DRIVER_STATUS__INIT;
	Pb__NetworkOverride network;
	Pb__Timestamp started, completed;
	Pb__ExitResult result;
	struct nomad__inspect inspect = { 0 };

	nomad__call_set_task(call, wanted->task_id);
	if (nomad__task_inspect(nomad__call_plugin(call), wanted->task_id, &inspect, &err) < 0) {
		nomad__call_fail(call, err);
		return;
	}
	status.id = inspect.id ? inspect.id : wanted->task_id;
	if (inspect.name)
		status.name = inspect.name;
	status.state = task_state(inspect.state);
	nomad__timestamp_of(inspect.started_ns, &started);
	nomad__timestamp_of(inspect.completed_ns, &completed);
	nomad__exit_result_of(&inspect.result, &result);
	status.started_at = &started;
	status.completed_at = &completed;
	status.result = &result;
	answer.task = &status;
	answer.driver = &driver;
	if (!network_override(&inspect.network, &network, &answer.network_override) ||
	    nomad__map_entries(&inspect.attributes, &pb__task_driver_status__attributes_entry__descriptor,
			       &driver.attributes, &driver.n_attributes) < 0)
		nomad__call_fail_memory(call);
	else
		nomad__call_reply(call, &answer.base);
	free(driver.attributes);
	free(network.port_map);
	nomad__inspect_done(&inspect);
}
