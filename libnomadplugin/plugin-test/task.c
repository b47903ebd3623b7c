/* SPDX-License-Identifier: MPL-2.0
 *
 * The checks of a task: start, wait, exec, recovery, end, leftovers. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin-test/test.h"

static void open_wait(struct rpc *rpc, const char *id)
{
	Pb__WaitTaskRequest request = PB__WAIT_TASK_REQUEST__INIT;

	request.task_id = (char *)id;
	stream_open(rpc, DRIVER "WaitTask", &request);
}

static grpc_status_code start(Pb__StartTaskResponse **ret)
{
	Pb__StartTaskRequest request = PB__START_TASK_REQUEST__INIT;

	request.task = &t.message.task;
	return CALL(DRIVER "StartTask", &request, start_task_response, ret);
}

static grpc_status_code stop(const char *id, int64_t seconds)
{
	Pb__StopTaskRequest request = PB__STOP_TASK_REQUEST__INIT;
	Pb__Duration timeout = PB__DURATION__INIT;

	timeout.seconds = seconds;
	request.task_id = (char *)id;
	request.timeout = &timeout;
	return CALL(DRIVER "StopTask", &request, stop_task_response, NULL);
}

static grpc_status_code recover(const Pb__TaskHandle *handle)
{
	Pb__RecoverTaskRequest request = PB__RECOVER_TASK_REQUEST__INIT;

	request.handle = (Pb__TaskHandle *)handle; /* and no task_id, as Nomad */
	return CALL(DRIVER "RecoverTask", &request, recover_task_response, NULL);
}

static grpc_status_code exec_task(const char *script, Pb__ExecTaskResponse **ret)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script };
	Pb__ExecTaskRequest request = PB__EXEC_TASK_REQUEST__INIT;
	Pb__Duration timeout = PB__DURATION__INIT;

	timeout.seconds = 20;
	request.task_id = t.alloc.info.id;
	request.command = argv;
	request.n_command = 3;
	request.timeout = &timeout;
	return CALL(DRIVER "ExecTask", &request, exec_task_response, ret);
}

/* ---- A task ---- */

static void *drain_logs(void *arg)
{
	struct pollfd fds[2] = { { .fd = t.alloc.stdout_fd, .events = POLLIN },
				 { .fd = t.alloc.stderr_fd, .events = POLLIN } };
	char buffer[4096];

	(void)arg;
	for (;;) {
		(void)poll(fds, 2, 100);
		for (int i = 0; i < 2; i++)
			if (fds[i].revents && read(fds[i].fd, buffer, sizeof(buffer)) <= 0)
				usleep(20000); /* no writer now */
	}
	return NULL;
}

static void make_task(void)
{
	static const enum nomad_fs_isolation isolations[] = { NOMAD_FS_NONE, NOMAD_FS_CHROOT, NOMAD_FS_IMAGE,
							      NOMAD_FS_UNVEIL };
	struct nomad_driver driver = { .name = t.name, .fs_isolation = isolations[t.caps.fs_isolation & 3] };
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

	if (nomad__job_load(t.job_path, t.name, &t.job, &err) < 0 ||
	    nomad__alloc_new(&driver, &t.job, &t.job.tasks[0], NULL, &t.alloc, &err) < 0 ||
	    config_pack(t.task_schema->spec, t.alloc.config, &t.config, &t.config_size, &err) < 0)
		bail(nomad_error_message(err));
	if (task_message_new(&t.alloc.info, t.config, t.config_size, &t.message) < 0 ||
	    pthread_create(&t.drain, NULL, drain_logs, NULL) != 0)
		bail("out of memory");
}

static void check_refusals(void)
{
	static const uint8_t bad[] = { 0x81, 0xa4, 'n', 'o', 'n', 'e', 0xc1 };
	ProtobufCBinaryData config = t.message.task.msgpack_driver_config;
	grpc_status_code code;
	Pb__TaskHandle handle = PB__TASK_HANDLE__INIT;

	t.message.task.msgpack_driver_config = (ProtobufCBinaryData){ sizeof(bad), (uint8_t *)bad };
	code = start(NULL);
	t.message.task.msgpack_driver_config = config;
	check(code != GRPC_STATUS_OK && code != GRPC_STATUS_UNAVAILABLE, "StartTask refuses a damaged config: %s",
	      said);
	handle.version = 1;
	handle.config = &t.message.task;
	check(recover(&handle) != GRPC_STATUS_OK, "RecoverTask of an unknown task fails");
	check(stop("no/such/task", 1) == GRPC_STATUS_OK,
	      "StopTask of an unknown task succeeds (an error is retried for minutes)");
	code = BY_ID(DestroyTask, DestroyTask, destroy_task, "no/such/task", NULL);
	check(code == GRPC_STATUS_OK || code == GRPC_STATUS_NOT_FOUND,
	      "DestroyTask of an unknown task succeeds, or reports it as unknown");
}

static bool waits(struct rpc *rpc)
{
	return !rpc_receive_for(rpc, &pb__wait_task_response__descriptor, 300) && !(rpc->done & STATUS);
}

static void check_start(void)
{
	Pb__StartTaskResponse *again = NULL;
	Pb__InspectTaskResponse *inspect = NULL;
	const Pb__TaskHandle *handle;
	int before;

	if (start(&t.started) != GRPC_STATUS_OK || !t.started) {
		check(false, "StartTask: %s", said);
		bail("without a task no further check is possible");
	}
	check(true, "StartTask");
	handle = t.started->handle;
	check(handle && handle->version >= 1 && handle->config && strcmp(handle->config->id, t.alloc.info.id) == 0,
	      "the handle has a version and the task's id (or Nomad starts the task a second time)");
	check(handle && handle->state == PB__TASK_STATE__RUNNING && handle->driver_state.len,
	      "the handle has a state for the recovery");
	if (!handle || !handle->config)
		bail("there is no handle");
	before = host_task_roots(t.alloc.info.alloc_id);
	check(start(&again) == GRPC_STATUS_OK, "a repeated StartTask with the same id, as after a lost answer: %s",
	      said);
	check(host_task_roots(t.alloc.info.alloc_id) <= before, "there is still one instance");
	if (again)
		nomad__message_free(&again->base);
	(void)BY_ID(InspectTask, InspectTask, inspect_task, t.alloc.info.id, &inspect);
	check(inspect && inspect->task && inspect->task->started_at && inspect->task->completed_at &&
		      inspect->task->result && inspect->task->state == PB__TASK_STATE__RUNNING,
	      "InspectTask has all parts (the agent does not check)");
	if (inspect)
		nomad__message_free(&inspect->base);
}

static void check_waiters(void)
{
	struct rpc one, two;

	open_wait(&one, t.alloc.info.id);
	open_wait(&two, t.alloc.info.id);
	check(waits(&one) && waits(&two), "WaitTask waits, also with two callers");
	rpc_close(&one);
	check(waits(&two), "a waiter that disconnects does not disturb the other");
	rpc_close(&two);
	check(BY_ID(WaitTask, WaitTask, wait_task, "no/such/task", NULL) != GRPC_STATUS_OK,
	      "WaitTask of an unknown task fails");
}

static void check_signals(void)
{
	Pb__SignalTaskRequest request = PB__SIGNAL_TASK_REQUEST__INIT;

	request.task_id = t.alloc.info.id;
	request.signal = (char *)"SIGNONE";
	check(CALL(DRIVER "SignalTask", &request, signal_task_response, NULL) != GRPC_STATUS_OK,
	      "SignalTask refuses an invalid signal");
}

static void check_stats(void)
{
	Pb__TaskStatsRequest request = PB__TASK_STATS_REQUEST__INIT;
	Pb__Duration interval = PB__DURATION__INIT;
	Pb__TaskStatsResponse *sample;
	struct rpc rpc;

	interval.nanos = 200000000;
	request.task_id = t.alloc.info.id;
	request.collection_interval = &interval;
	stream_open(&rpc, DRIVER "TaskStats", &request);
	sample = rpc_receive_for(&rpc, &pb__task_stats_response__descriptor, 3000);
	if (sample)
		check(sample->stats && sample->stats->timestamp && sample->stats->agg_resource_usage,
		      "TaskStats: each sample has all parts (or the agent panics)");
	else if (rpc.done & STATUS)
		check(false, "TaskStats stays open (Nomad retries it each interval if it ends)");
	else
		skip("TaskStats: a sample", "none within 3 s: the driver has no statistics");
	if (sample)
		nomad__message_free(&sample->base);
	rpc_close(&rpc);
}

/* ---- Exec ---- */

static bool said_by(const Pb__ExecTaskResponse *response, const char *text)
{
	return response && response->result && response->stdout.len >= strlen(text) &&
	       memmem(response->stdout.data, response->stdout.len, text, strlen(text));
}

/* Namespaces of the command are those of one of the task's processes. */
static bool is_like_one(const Pb__ExecTaskResponse *response, const int *pids, int n)
{
	static const char *const names[] = { "user", "mnt", "pid", "net" };

	for (int p = 0; p < n; p++) {
		bool all = true;

		for (size_t i = 0; all && i < NOMAD_ARRAY_LEN(names); i++) {
			char path[64], link[64] = "";

			snprintf(path, sizeof(path), "/proc/%d/ns/%s", pids[p], names[i]);
			all = readlink(path, link, sizeof(link) - 1) > 0 && said_by(response, link);
		}
		if (all)
			return true;
	}
	return false;
}

static void check_exec_task(void)
{
	Pb__ExecTaskResponse *response = NULL;
	int pids[256], n = host_task_pids(t.alloc.info.alloc_id, pids, 256);

	(void)exec_task("echo out; exit 7", &response);
	check(said_by(response, "out\n") && response->result->exit_code == 7,
	      "ExecTask returns output and exit code (without a result the agent panics): %s", said);
	nomad__message_free(response ? &response->base : NULL);
	response = NULL;
	(void)exec_task("cd /proc/self/ns && for n in user mnt pid net; do readlink $n; done; echo =$NOMAD_ALLOC_ID=",
			&response);
	if (n == 0)
		skip("exec: as the task", "no process of the task is visible on this host");
	else
		check(is_like_one(response, pids, n), "exec runs in the namespaces of the task");
	if (response && said_by(response, "==") && !said_by(response, t.alloc.info.alloc_id))
		check(false, "exec has the task's environment");
	else
		check(said_by(response, t.alloc.info.alloc_id), "exec has the task's environment");
	nomad__message_free(response ? &response->base : NULL);
}

static void open_exec(struct rpc *rpc, const char *script)
{
	Pb__ExecTaskStreamingRequest request = PB__EXEC_TASK_STREAMING_REQUEST__INIT;
	Pb__ExecTaskStreamingRequest__Setup setup = PB__EXEC_TASK_STREAMING_REQUEST__SETUP__INIT;
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script };

	setup.task_id = t.alloc.info.id;
	setup.command = argv;
	setup.n_command = 3;
	request.setup = &setup;
	rpc_open(rpc, DRIVER "ExecTaskStreaming");
	rpc_send(rpc, &request, false);
}

/* Reads to the end: the exit code, or -1.  Output is appended to `ret`, which has 64 bytes. */
static int read_exec(struct rpc *rpc, char *ret)
{
	Pb__ExecTaskStreamingResponse *answer;
	int code = -1;

	while ((answer = rpc_receive_for(rpc, &pb__exec_task_streaming_response__descriptor, STREAM_MS))) {
		size_t used = strlen(ret), n = answer->stdout ? answer->stdout->data.len : 0;

		if (n && used + n < 64)
			strncat(ret, (char *)answer->stdout->data.data, n);
		if (answer->exited && answer->result)
			code = answer->result->exit_code;
		nomad__message_free(&answer->base);
	}
	return code;
}

static void check_exec_stream(void)
{
	Pb__ExecTaskStreamingRequest input = PB__EXEC_TASK_STREAMING_REQUEST__INIT;
	Pb__ExecTaskStreamingIOOperation data = PB__EXEC_TASK_STREAMING_IOOPERATION__INIT;
	char output[64] = "";
	struct rpc rpc;
	int code, before;

	open_exec(&rpc, "cat; exit 5");
	data.data = (ProtobufCBinaryData){ 6, (uint8_t *)"input\n" };
	input.stdin = &data;
	rpc_send(&rpc, &input, false);
	data.data.len = 0;
	data.close = true;
	rpc_send(&rpc, &input, false); /* Nomad does not half-close the call */
	code = read_exec(&rpc, output);
	check(strcmp(output, "input\n") == 0, "streaming exec: input, end of input, and output");
	check(code == 5, "streaming exec: the exit code, then the end of the stream");
	rpc_close(&rpc);
	before = host_task_roots(t.alloc.info.alloc_id);
	open_exec(&rpc, "sleep 99");
	usleep(300000);
	rpc_close(&rpc);
	for (int i = 0; i < 50 && host_task_roots(t.alloc.info.alloc_id) > before; i++)
		usleep(100000);
	check(host_task_roots(t.alloc.info.alloc_id) <= before, "the command ends when its client disconnects");
}

static void check_exec(void)
{
	if (!t.caps.exec) {
		skip("exec", "the driver does not support it");
		return;
	}
	check_exec_task();
	check_exec_stream();
}

/* ---- Death and recovery ---- */

static void check_crash(void)
{
	const int roots = host_task_roots(t.alloc.info.alloc_id);
	Pb__TaskHandle handle = *t.started->handle;
	struct rpc rpc;

	host_kill(&t.host);
	disconnect();
	usleep(300000);
	check(host_task_roots(t.alloc.info.alloc_id) >= roots, "the task outlives the plugin's death");
	begin();
	/* Nomad's database has no config of the driver. */
	handle.config->msgpack_driver_config.len = 0;
	check(recover(&handle) == GRPC_STATUS_OK, "RecoverTask after a crash, from the handle alone: %s", said);
	check(recover(&handle) == GRPC_STATUS_OK, "RecoverTask of a known task");
	open_wait(&rpc, t.alloc.info.id);
	check(waits(&rpc), "WaitTask waits for the recovered task");
	rpc_close(&rpc);
	if (t.caps.exec) {
		Pb__ExecTaskResponse *response = NULL;

		(void)exec_task("echo again", &response);
		check(said_by(response, "again"), "exec works in the recovered task: %s", said);
		nomad__message_free(response ? &response->base : NULL);
	}
}

static void check_stop(void)
{
	Pb__WaitTaskResponse *first, *late = NULL;
	int64_t begun = nomad_monotonic_ns();
	struct rpc rpc;

	open_wait(&rpc, t.alloc.info.id);
	(void)waits(&rpc);
	check(stop(t.alloc.info.id, 3) == GRPC_STATUS_OK, "StopTask: %s", said);
	check(nomad_monotonic_ns() - begun < INT64_C(15000000000), "StopTask takes no longer than the kill timeout");
	first = rpc_receive_for(&rpc, &pb__wait_task_response__descriptor, STREAM_MS);
	check(first && first->result, "WaitTask reports the end (the agent waits for it without a timeout)");
	(void)BY_ID(WaitTask, WaitTask, wait_task, t.alloc.info.id, &late);
	check(first && first->result && late && late->result && first->result->exit_code == late->result->exit_code &&
		      first->result->signal == late->result->signal,
	      "a second WaitTask reports the same");
	if (first && first->result)
		check(!first->result->signal || first->result->exit_code == 128 + first->result->signal ||
			      !first->result->exit_code,
		      "exit code %d, signal %d", first->result->exit_code, first->result->signal);
	nomad__message_free(first ? &first->base : NULL);
	nomad__message_free(late ? &late->base : NULL);
	rpc_close(&rpc);
	check(stop(t.alloc.info.id, 3) == GRPC_STATUS_OK, "StopTask of a task that has ended succeeds");
}

static void check_destroy(int descriptors)
{
	Pb__DestroyTaskRequest request = PB__DESTROY_TASK_REQUEST__INIT;
	Pb__ShutdownRequest shutdown = PB__SHUTDOWN_REQUEST__INIT;
	int pids[256], status;
	grpc_status_code code;
	struct stat st;

	request.task_id = t.alloc.info.id;
	request.force = true;
	check(CALL(DRIVER "DestroyTask", &request, destroy_task_response, NULL) == GRPC_STATUS_OK, "DestroyTask: %s",
	      said);
	code = CALL(DRIVER "DestroyTask", &request, destroy_task_response, NULL);
	check(code == GRPC_STATUS_OK || code == GRPC_STATUS_NOT_FOUND, "a repeated DestroyTask");
	check(BY_ID(InspectTask, InspectTask, inspect_task, t.alloc.info.id, NULL) != GRPC_STATUS_OK,
	      "the task is unknown after DestroyTask");
	check(recover(t.started->handle) != GRPC_STATUS_OK, "RecoverTask of a destroyed task fails");
	for (int i = 0;
	     i < 50 && (host_task_pids(t.alloc.info.alloc_id, pids, 256) || host_descriptors(&t.host) > descriptors);
	     i++)
		usleep(100000);
	check(host_task_pids(t.alloc.info.alloc_id, pids, 256) == 0, "no process of the task is left");
	check(!host_has_mounts(t.alloc.root), "no mount in the allocation's directory is left");
	check(host_descriptors(&t.host) <= descriptors, "the plugin has no more descriptors than before the task");
	check(!host_said_more(&t.host), "stdout has only the handshake until the end");
	code = CALL(DRIVER "Shutdown", &shutdown, shutdown_response, NULL);
	check(code == GRPC_STATUS_OK || code == GRPC_STATUS_UNIMPLEMENTED, "Driver.Shutdown");
	check(!host_ends(&t.host, 0, &status) && shut_down(), "the plugin exits on Shutdown");
	check(t.host.address[0] != '/' || lstat(t.host.address, &st) < 0, "its socket is gone");
}

void check_task(void)
{
	int descriptors;

	make_task();
	check_refusals();
	descriptors = host_descriptors(&t.host) + 4;
	check_start();
	check_waiters();
	check_signals();
	check_stats();
	check_exec();
	check_crash();
	check_stop();
	check_destroy(descriptors);
}
