/* SPDX-License-Identifier: MPL-2.0
 *
 * Init, Shutdown, Capabilities, and the networks of allocations. */
#include "wire/handlers.h"

#include <errno.h>

#include "nomad/log.h"
#include "wire/convert.h"

/* An agent gives up on a driver whose Init fails, for good, and shows none.  So the call never fails: the fingerprint
 * tries again, and says why the driver is unhealthy. */
void nomad__serve_init(struct nomad__call *call, const ProtobufCMessage *request)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__InitResponse answer = PB__INIT_RESPONSE__INIT;

	(void)request;
	if (nomad__plugin_init(nomad__call_plugin(call), &err) < 0)
		nomad_log(NOMAD_LOG_ERROR, "%s", nomad_error_message(err));
	nomad__call_reply(call, &answer.base);
}

void nomad__serve_shutdown(struct nomad__call *call, const ProtobufCMessage *request)
{
	Pb__ShutdownResponse answer = PB__SHUTDOWN_RESPONSE__INIT;

	(void)request;
	nomad__plugin_shutdown(nomad__call_plugin(call));
	nomad__call_reply(call, &answer.base);
}

static Pb__DriverCapabilities__FSIsolation fs_isolation(enum nomad_fs_isolation isolation)
{
	switch (isolation) {
	case NOMAD_FS_CHROOT:
		return PB__DRIVER_CAPABILITIES__FSISOLATION__CHROOT;
	case NOMAD_FS_IMAGE:
		return PB__DRIVER_CAPABILITIES__FSISOLATION__IMAGE;
	case NOMAD_FS_UNVEIL:
		return PB__DRIVER_CAPABILITIES__FSISOLATION__UNVEIL;
	default:
		return PB__DRIVER_CAPABILITIES__FSISOLATION__NONE;
	}
}

void nomad__serve_capabilities(struct nomad__call *call, const ProtobufCMessage *request)
{
	struct nomad_plugin *plugin = nomad__call_plugin(call);
	unsigned flags = nomad__plugin_capabilities(plugin);
	Pb__NetworkIsolationSpec__NetworkIsolationMode modes[4];
	Pb__DriverCapabilities capabilities = PB__DRIVER_CAPABILITIES__INIT;
	Pb__CapabilitiesResponse answer = PB__CAPABILITIES_RESPONSE__INIT;
	size_t n = 0;

	(void)request;
	modes[n++] = PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__HOST;
	if (flags & (NOMAD_JOIN_GROUP_NETWORK | NOMAD_NEEDS_NETWORK))
		modes[n++] = PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__GROUP;
	if (flags & NOMAD_OWN_TASK_NETWORK)
		modes[n++] = PB__NETWORK_ISOLATION_SPEC__NETWORK_ISOLATION_MODE__TASK;
	capabilities.network_isolation_modes = modes;
	capabilities.n_network_isolation_modes = n;
	capabilities.send_signals = flags & NOMAD_CAN_SIGNAL;
	capabilities.exec = flags & NOMAD_CAN_EXEC;
	capabilities.fs_isolation = fs_isolation(nomad__plugin_driver(plugin)->fs_isolation);
	capabilities.must_create_network = flags & NOMAD_NEEDS_NETWORK;
	capabilities.mount_configs = flags & NOMAD_NO_VOLUMES ? PB__DRIVER_CAPABILITIES__MOUNT_CONFIGS__NO_MOUNTS
							      : PB__DRIVER_CAPABILITIES__MOUNT_CONFIGS__ANY_MOUNTS;
	capabilities.disable_log_collection = flags & NOMAD_OWN_LOGS;
	capabilities.dynamic_workload_users = flags & NOMAD_DYNAMIC_USERS;
	answer.capabilities = &capabilities;
	nomad__call_reply(call, &answer.base);
}

void nomad__serve_create_network(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__CreateNetworkRequest *create = (const Pb__CreateNetworkRequest *)request;
	struct nomad_plugin *plugin = nomad__call_plugin(call);
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__CreateNetworkResponse answer = PB__CREATE_NETWORK_RESPONSE__INIT;
	struct nomad_network_isolation isolation = { 0 };
	bool created = false;

	if (!(nomad__plugin_capabilities(plugin) & NOMAD_NEEDS_NETWORK)) {
		nomad__call_fail_status(call, GRPC_STATUS_UNIMPLEMENTED, "CreateNetwork RPC not supported by driver");
		return;
	}
	if (nomad__create_network(plugin, create->alloc_id, create->hostname, &isolation, &created, &err) < 0) {
		nomad__call_fail(call, err);
		return;
	}
	answer.created = created;
	answer.isolation_spec = nomad__isolation_message(&isolation);
	if (answer.isolation_spec)
		nomad__call_reply(call, &answer.base);
	else
		nomad__call_fail_memory(call);
	nomad__isolation_message_free(answer.isolation_spec);
	nomad__network_isolation_done(&isolation);
}

void nomad__serve_destroy_network(struct nomad__call *call, const ProtobufCMessage *request)
{
	const Pb__DestroyNetworkRequest *destroy = (const Pb__DestroyNetworkRequest *)request;
	struct nomad_plugin *plugin = nomad__call_plugin(call);
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	Pb__DestroyNetworkResponse answer = PB__DESTROY_NETWORK_RESPONSE__INIT;
	struct nomad_network_isolation isolation = { 0 };
	int r = 0;

	if (!(nomad__plugin_capabilities(plugin) & NOMAD_NEEDS_NETWORK)) {
		nomad__call_fail_status(call, GRPC_STATUS_UNIMPLEMENTED, "DestroyNetwork RPC not supported by driver");
		return;
	}
	if (destroy->isolation_spec)
		r = nomad__isolation_of(destroy->isolation_spec, &isolation, &err);
	if (r >= 0)
		r = nomad__destroy_network(plugin, destroy->alloc_id, &isolation, &err);
	nomad__network_isolation_done(&isolation);
	if (r < 0)
		nomad__call_fail(call, err);
	else
		nomad__call_reply(call, &answer.base);
}
