/* SPDX-License-Identifier: MPL-2.0
 *
 * Calls of a host in any order and with any contents.  An input is a list of steps.  Most are calls: a method, and
 * fields, of which a well-formed message is made (request_message.h).  It is packed, decoded, and served by the
 * method's own handler; below is the real plugin, with a driver whose tasks need no process.  What gRPC does stands
 * here, without gRPC. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/log.h"
#include "core/gc.h"
#include "fuzz.h"
#include "nomad/plugin.h"
#include "request_message.h"
#include "wire/handlers.h"
#include "wire/status.h"

enum { STEPS = 24, CALLS = 32, EXECS = 2 };

static struct nomad_plugin *plugin;
static char state_dir[80];
static int execs;

/* ---- A driver ---- */

static void fuzz_fingerprint(struct nomad_plugin *p, struct nomad_fingerprint *fp)
{
	(void)p;
	nomad_fp_string(fp, "version", "1");
	nomad_fp_bool(fp, "yes", true);
	nomad_fp_int(fp, "size", 7, "MiB");
	nomad_fp_check(fp, "works", true, NOMAD_UNHEALTHY, "it does not", "mend it");
}

/* All that a driver may ask about a task. */
static void ask(struct nomad_task *task)
{
	const struct nomad_task_info *info = nomad_task_info(task);

	fuzz_must(nomad_task_dir(task)[0] == '/' && strlen(nomad_task_slug(task)) <= 63);
	fuzz_must(nomad_task_local_dir(task) && nomad_task_secrets_dir(task) && nomad_task_shared_dir(task));
	fuzz_must(strncmp(nomad_task_state_dir(task), state_dir, strlen(state_dir)) == 0);
	(void)nomad_port_find(&info->resources, "web");
	(void)nomad_task_is_cancelled(task);
	if (info->has_dns)
		free(nomad_resolv_conf(info));
	fuzz_must(nomad_task_leader(task) == 0);
}

static int fuzz_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct fuzz_config *config = nomad_task_config(task);
	const struct nomad_exit end = { .exit_code = 3 };
	int r = nomad_task_put(task, "thing", config->text ? config->text : "1", err);

	ask(task);
	if (r < 0)
		return r;
	(void)nomad_task_limit(task, "amount", config->amount);
	nomad_task_event_kv(task, "Started", "text", config->text ? config->text : "", NULL);
	switch (config->how) {
	case 1:
		return nomad_error_set(err, EIO, "told to fail: %s", config->text);
	case 2:
		nomad_error_set(err, ENOENT, "told to fail");
		return nomad_error_retryable(err);
	case 3:
		return nomad_task_set_network(task, config->text, true, &config->ports);
	case 4:
		nomad_task_exited(task, &end);
		return 0;
	case 5:
		nomad_task_forget(task, "thing");
		return nomad_task_may(task, "read", "/srv/x", err);
	default:
		return 0;
	}
}

static int fuzz_recover(struct nomad_task *task, struct nomad_error **err)
{
	return nomad_task_get(task, "thing") ? 0 : nomad_error_set(err, ENOENT, "the thing is gone");
}

static int fuzz_stop(struct nomad_task *task, int signal, unsigned timeout_ms, struct nomad_error **err)
{
	const struct nomad_exit end = { .exit_code = 128 + signal, .signal = signal };

	if (timeout_ms & 1)
		return nomad_error_set(err, EIO, "told to fail");
	if (timeout_ms & 2)
		nomad_task_exited(task, &end);
	return 0;
}

static int fuzz_kill(struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_exit end = { .exit_code = 137, .signal = 9 };

	(void)err;
	nomad_task_exited(task, &end);
	return 0;
}

static int fuzz_signal(struct nomad_task *task, int signal, struct nomad_error **err)
{
	(void)task;
	fuzz_must(signal > 0);
	return signal == 10 ? nomad_error_set(err, EIO, "told to fail") : 0;
}

static int fuzz_destroy(struct nomad_task *task, struct nomad_error **err)
{
	(void)task;
	(void)err;
	return 0;
}

/* Never the host's program. */
static int fuzz_exec(struct nomad_task *task, struct nomad_exec *exec, struct nomad_error **err)
{
	(void)task;
	nomad_strv_free(exec->argv);
	exec->argv = NULL;
	if (execs++ >= EXECS)
		return nomad_error_set(err, EAGAIN, "told to fail");
	return nomad_strv_add(&exec->argv, execs & 1 ? "/bin/true" : "/bin/cat");
}

static int fuzz_stats(struct nomad_task *task, struct nomad_stats *ret, struct nomad_error **err)
{
	(void)task;
	(void)err;
	*ret = (struct nomad_stats){ .cpu_percent = 50, .measured = ~0u };
	return 0;
}

static int fuzz_inspect(struct nomad_task *task, struct nomad_map *attributes, struct nomad_error **err)
{
	(void)task;
	(void)err;
	return nomad_map_set(attributes, "a", "b");
}

static int fuzz_create_network(struct nomad_plugin *p, const char *alloc_id, const char *hostname,
			       struct nomad_network_isolation *ret, bool *ret_created, struct nomad_error **err)
{
	(void)p;
	if (strcmp(hostname, "web") == 0)
		return nomad_error_set(err, EIO, "told to fail for '%s'", alloc_id);
	*ret = (struct nomad_network_isolation){ .mode = NOMAD_NET_GROUP, .path = strdup("/run/netns/x") };
	*ret_created = true;
	return nomad_map_set(&ret->labels, "alloc", alloc_id);
}

static int fuzz_destroy_network(struct nomad_plugin *p, const char *alloc_id,
				const struct nomad_network_isolation *spec, struct nomad_error **err)
{
	(void)p;
	(void)spec;
	return *alloc_id ? 0 : nomad_error_set(err, EINVAL, "no allocation");
}

static const struct nomad_driver driver = {
	.name = "fuzz",
	.version = "0.1.0",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC | NOMAD_NEEDS_NETWORK | NOMAD_OWN_TASK_NETWORK,
	.task_schema = &fuzz_schema,
	.fingerprint = fuzz_fingerprint,
	.start = fuzz_start,
	.recover = fuzz_recover,
	.stop = fuzz_stop,
	.kill = fuzz_kill,
	.signal = fuzz_signal,
	.destroy = fuzz_destroy,
	.exec = fuzz_exec,
	.stats = fuzz_stats,
	.inspect = fuzz_inspect,
	.create_network = fuzz_create_network,
	.destroy_network = fuzz_destroy_network,
};

/* ---- Calls, as handlers see them: wire/call.h ---- */

struct nomad__call {
	unsigned refs; /* atomic */
	const struct nomad__method *method;
	ProtobufCMessage *request;
	pthread_mutex_t lock;
	bool closed, answered;
	void (*drop)(struct nomad__call *call, void *data);
	void *data;
};

static struct nomad__call *open_calls[CALLS];
static size_t n_calls;

struct nomad__call *nomad__call_ref(struct nomad__call *call)
{
	__atomic_add_fetch(&call->refs, 1, __ATOMIC_RELAXED);
	return call;
}

void nomad__call_unref(struct nomad__call *call)
{
	if (__atomic_sub_fetch(&call->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	nomad__message_free(call->request);
	pthread_mutex_destroy(&call->lock);
	free(call);
}

struct nomad_plugin *nomad__call_plugin(const struct nomad__call *call)
{
	(void)call;
	return plugin;
}

int64_t nomad__call_begun_ns(const struct nomad__call *call)
{
	(void)call;
	return nomad_monotonic_ns();
}

void nomad__call_set_task(struct nomad__call *call, const char *id)
{
	(void)call;
	fuzz_must(id);
}

bool nomad__call_attach(struct nomad__call *call, void (*drop)(struct nomad__call *call, void *data), void *data)
{
	bool open;

	pthread_mutex_lock(&call->lock);
	open = !call->closed;
	if (open) {
		call->drop = drop;
		call->data = data;
	}
	pthread_mutex_unlock(&call->lock);
	return open;
}

void *nomad__call_data(struct nomad__call *call)
{
	void *data;

	pthread_mutex_lock(&call->lock);
	data = call->data;
	pthread_mutex_unlock(&call->lock);
	return data;
}

static void cancel_sub(struct nomad__call *call, void *sub)
{
	(void)call;
	nomad__sub_cancel(sub);
}

void nomad__call_keep(struct nomad__call *call, struct nomad__sub *sub)
{
	if (!nomad__call_attach(call, cancel_sub, sub))
		nomad__sub_cancel(sub);
}

static void *take_bytes(void *ud, size_t size)
{
	return *(void **)ud = malloc(size ? size : 1);
}

/* Whatever is sent is well-formed. */
static void check_answer(const ProtobufCMessage *answer)
{
	size_t size = protobuf_c_message_get_packed_size(answer);
	ProtobufCMessage *again = NULL;
	void *bytes = NULL;

	fuzz_must(nomad__message_pack(answer, take_bytes, &bytes) == 0);
	fuzz_must(nomad__message_unpack(answer->descriptor, bytes, size, &again, NULL) == 0);
	nomad__message_free(again);
	free(bytes);
}

static void answered(struct nomad__call *call)
{
	pthread_mutex_lock(&call->lock);
	call->answered = true;
	pthread_mutex_unlock(&call->lock);
}

void nomad__call_reply(struct nomad__call *call, const ProtobufCMessage *answer)
{
	check_answer(answer);
	if (answer->descriptor == &pb__start_task_response__descriptor)
		fuzz_keep_state(&((const Pb__StartTaskResponse *)answer)->handle->driver_state);
	answered(call);
}

void nomad__call_fail(struct nomad__call *call, const struct nomad_error *err)
{
	struct nomad__status status;

	fuzz_must(err && nomad_error_message(err)[0]);
	fuzz_printable(nomad_error_message(err));
	nomad__status_of(err, &status);
	nomad__status_done(&status);
	answered(call);
}

void nomad__call_fail_status(struct nomad__call *call, grpc_status_code code, const char *message)
{
	fuzz_must(nomad__status_name(code) && message[0]);
	answered(call);
}

void nomad__call_fail_memory(struct nomad__call *call)
{
	answered(call);
}

size_t nomad__call_send(struct nomad__call *call, const ProtobufCMessage *answer, enum nomad__send how)
{
	(void)call;
	(void)how;
	check_answer(answer);
	return 0;
}

void nomad__call_finish(struct nomad__call *call)
{
	answered(call);
}

void nomad__call_on_drained(struct nomad__call *call, size_t high, void (*drained)(struct nomad__call *call))
{
	(void)call;
	(void)high;
	(void)drained;
}

void nomad__call_receive(struct nomad__call *call)
{
	(void)call;
}

void nomad__call_then_shutdown(struct nomad__call *call)
{
	(void)call;
}

static void call_ends(struct nomad__call *call)
{
	void (*drop)(struct nomad__call * call, void *data);
	void *data;

	pthread_mutex_lock(&call->lock);
	call->closed = true;
	drop = NOMAD_TAKE_PTR(call->drop);
	data = NOMAD_TAKE_PTR(call->data);
	pthread_mutex_unlock(&call->lock);
	if (drop)
		drop(call, data);
	nomad__call_unref(call);
}

/* ---- The plugin ---- */

static void plugin_begins(void)
{
	const struct nomad__node node = { .total_compute_mhz = 8000, .cores = 4 };
	struct nomad_error *err = NULL;
	size_t size;
	void *config;

	plugin = nomad__plugin_new(&driver, &err);
	fuzz_must(plugin);
	config = fuzz_config_of(nomad__plugin_config_schema(plugin), state_dir, NULL, &size);
	fuzz_must(nomad__plugin_configure(plugin, config, size, &node, &err) == 0);
	free(config);
}

static void plugin_ends(void)
{
	while (n_calls)
		call_ends(open_calls[--n_calls]);
	nomad__plugin_free(plugin);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char base[64];
	ssize_t n;

	(void)argc;
	(void)argv;
	nomad__log_setup(NOMAD__LOG_TEXT, "fuzz", NOMAD_LOG_ERROR + 1);
	snprintf(state_dir, sizeof(state_dir), "/proc/self/fd/%d", fuzz_directory());
	n = readlink(state_dir, base, sizeof(base) - 1);
	fuzz_must(n > 0);
	snprintf(state_dir, sizeof(state_dir), "%.*s/state", (int)n, base);
	return 0;
}

/* ---- Steps ---- */

static void call_begins(struct fuzz_input *in, const struct nomad__method *method)
{
	const struct fuzz_place place = { in, nomad__plugin_config_schema(plugin), state_dir };
	ProtobufCMessage *message = fuzz_message(&place, method->request);
	struct nomad__call *call;

	if (!message || n_calls == CALLS)
		return;
	call = calloc(1, sizeof(*call));
	fuzz_must(call);
	*call = (struct nomad__call){ .refs = 1, .method = method, .request = message };
	pthread_mutex_init(&call->lock, NULL);
	open_calls[n_calls++] = call;
	method->handle(call, call->request);
}

/* A further message of the last call that takes such. */
static void call_goes_on(struct fuzz_input *in)
{
	const struct fuzz_place place = { in, nomad__plugin_config_schema(plugin), state_dir };
	size_t i = n_calls;

	while (i && (!open_calls[i - 1]->method->more || open_calls[i - 1]->answered))
		i--;
	if (i) {
		const struct nomad__method *method = open_calls[i - 1]->method;
		ProtobufCMessage *message = fuzz_byte(in) & 1 ? NULL : fuzz_message(&place, method->request);

		(void)method->more(open_calls[i - 1], message);
		nomad__message_free(message);
	}
}

static void collected(void *ud, const struct nomad__disk_task *task, const char *why, const struct nomad_error *err)
{
	(void)ud;
	fuzz_must(task->slug[0] && why[0]);
	if (err)
		fuzz_printable(nomad_error_message(err));
}

static void step(struct fuzz_input *in)
{
	const struct nomad_exit end = { .exit_code = 7, .message = NULL };
	unsigned what = fuzz_byte(in) % (nomad__n_methods + 7);

	if (what < nomad__n_methods) {
		call_begins(in, &nomad__methods[what]);
		return;
	}
	switch (what - nomad__n_methods) {
	case 0:
		call_goes_on(in);
		break;
	case 1: /* the plugin dies, and the next one finds its tasks */
		plugin_ends();
		plugin_begins();
		break;
	case 2:
		if (n_calls)
			call_ends(open_calls[--n_calls]);
		break;
	case 3:
		(void)nomad_task_exited_by_id(plugin, fuzz_word(in), &end);
		break;
	case 4:
		(void)nomad_task_event_by_id(plugin, fuzz_word(in), fuzz_word(in));
		break;
	case 5:
		(void)nomad__gc(plugin, fuzz_byte(in) & (NOMAD__GC_DRY_RUN | NOMAD__GC_BY_HAND | NOMAD__GC_RUNNING),
				collected, NULL, NULL);
		break;
	default: /* let the threads run */
		nanosleep(&(struct timespec){ .tv_nsec = (fuzz_byte(in) & 7) * 300000 }, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	execs = 0;
	plugin_begins();
	for (int i = 0; in.size && i < STEPS; i++)
		step(&in);
	plugin_ends();
	fuzz_keep_state(NULL);
	fuzz_must(nomad_remove_tree(state_dir, NULL) == 0 || access(state_dir, F_OK) < 0);
	return 0;
}
