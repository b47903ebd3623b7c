/* SPDX-License-Identifier: MPL-2.0
 *
 * Bytes from the wire: the first one picks the method, the rest is what a host
 * might send.  It is decoded and converted as the handlers do, and packed
 * again.  What they do then is for the fuzzer `request`. */
#include "base/log.h"
#include "core/core.h"
#include "fuzz.h"
#include "wire/convert.h"
#include "wire/handlers.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	nomad__log_setup(NOMAD__LOG_TEXT, "fuzz", NOMAD_LOG_ERROR);
	return 0;
}

static void convert_task(const Pb__TaskConfig *config)
{
	struct nomad_error *err = NULL;
	struct nomad_task_info info;

	if (nomad__task_info_of(config, &info, &err) < 0) {
		fuzz_error(err);
		return;
	}
	if (!info.id || !*info.id || !info.name || !info.alloc_id || !info.alloc_dir || !info.namespace_name)
		abort();
	nomad__task_info_done(&info);
}

static void convert_isolation(const Pb__NetworkIsolationSpec *spec)
{
	struct nomad_error *err = NULL;
	struct nomad_network_isolation isolation;
	Pb__NetworkIsolationSpec *back;

	if (nomad__isolation_of(spec, &isolation, &err) < 0) {
		fuzz_error(err);
		return;
	}
	back = nomad__isolation_message(&isolation);
	if (!back || back->n_labels > spec->n_labels)
		abort();
	nomad__isolation_message_free(back);
	nomad__network_isolation_done(&isolation);
}

static void convert(const ProtobufCMessage *message)
{
	if (message->descriptor == &pb__start_task_request__descriptor) {
		convert_task(((const Pb__StartTaskRequest *)message)->task);
	} else if (message->descriptor == &pb__recover_task_request__descriptor) {
		const Pb__TaskHandle *handle = ((const Pb__RecoverTaskRequest *)message)->handle;

		convert_task(handle ? handle->config : NULL);
	} else if (message->descriptor == &pb__destroy_network_request__descriptor) {
		const Pb__NetworkIsolationSpec *spec = ((const Pb__DestroyNetworkRequest *)message)->isolation_spec;

		if (spec)
			convert_isolation(spec);
	} else if (message->descriptor == &pb__stop_task_request__descriptor) {
		(void)nomad__duration_ns(((const Pb__StopTaskRequest *)message)->timeout);
	} else if (message->descriptor == &pb__task_stats_request__descriptor) {
		(void)nomad__duration_ns(((const Pb__TaskStatsRequest *)message)->collection_interval);
	} else if (message->descriptor == &pb__exec_task_request__descriptor) {
		(void)nomad__duration_ns(((const Pb__ExecTaskRequest *)message)->timeout);
	}
}

struct bytes {
	void *data;
	size_t size;
};

static void *take_bytes(void *ud, size_t size)
{
	struct bytes *bytes = ud;

	bytes->size = size;
	return bytes->data = malloc(size ? size : 1);
}

/* Field 0 is no field, but protobuf-c keeps it among the unknown ones; what
 * holds such a thing need not be readable again. */
static bool has_unknown(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	if (message->n_unknown_fields > 0)
		return true;
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const char *member = (const char *)message + field->offset;
		size_t n = 1;

		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			n = *(const size_t *)((const char *)message + field->quantifier_offset);
			member = *(char *const *)member;
		}
		for (size_t k = 0; k < n; k++) {
			const ProtobufCMessage *inner = ((ProtobufCMessage *const *)member)[k];

			if (inner && has_unknown(inner))
				return true;
		}
	}
	return false;
}

/* What we send is always decodable, whatever strings came in. */
static void pack_again(const ProtobufCMessage *message)
{
	struct bytes bytes = { NULL, 0 };
	ProtobufCMessage *again = NULL;
	bool unknown = has_unknown(message);

	if (nomad__message_pack(message, take_bytes, &bytes) < 0 && !unknown)
		abort();
	if (bytes.data && nomad__message_unpack(message->descriptor, bytes.data, bytes.size, &again, NULL) < 0 &&
	    !unknown)
		abort();
	nomad__message_free(again);
	free(bytes.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad_error *err = NULL;
	ProtobufCMessage *message = NULL;

	if (size == 0)
		return 0;
	if (nomad__message_unpack(nomad__methods[data[0] % nomad__n_methods].request, data + 1, size - 1, &message,
				  &err) < 0) {
		fuzz_error(err);
		return 0;
	}
	convert(message);
	pack_again(message);
	nomad__message_free(message);
	return 0;
}
