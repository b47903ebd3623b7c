// SPDX-License-Identifier: MPL-2.0
// Functions of gRPC that the linked code names and that a server on a connected socket never calls: client channels,
// name resolution, messages as text, certificates.  Defining them here keeps their files out of the program.
#include <stdlib.h>

#include "src/core/lib/channel/channel_stack.h"

// gRPC calls these when it starts and ends.
void grpc_resolver_dns_ares_init() {}
void grpc_resolver_dns_ares_reset_dns_resolver() {}
void grpc_resolver_dns_ares_shutdown() {}
void grpc_client_channel_global_init_backup_polling() {}

// Names in stack traces of a crash: as they are.  libc++abi's translation of them is 80 kB.
extern "C" char *__cxa_demangle(const char *, char *, size_t *, int *ret_status)
{
	if (ret_status)
		*ret_status = -1;
	return nullptr;
}

// These are defined by symbol: their types are private to gRPC, and no caller passes arguments.
#define NEVER_CALLED(n, symbol) \
	extern "C" [[noreturn]] void stub_##n() __asm__(symbol); \
	void stub_##n() \
	{ \
		abort(); \
	}

NEVER_CALLED(1, "upb_TextEncode")
NEVER_CALLED(2, "upb_DefPool_New")
NEVER_CALLED(3, "upb_DefPool_Free")
NEVER_CALLED(4, "upb_DefPool_FindMessageByName")
NEVER_CALLED(5, "_upb_DefPool_LoadDefInit")
NEVER_CALLED(6, "src_proto_grpc_channelz_v2_promise_proto_upbdefinit")
NEVER_CALLED(7, "grpc_composite_call_credentials_create")
NEVER_CALLED(8, "_ZN9grpc_core20GetAuthPropertyValueEP17grpc_auth_contextPKc")
NEVER_CALLED(9, "_ZN9grpc_core20GetAuthPropertyArrayEP17grpc_auth_contextPKc")
// grpc_core::ClientChannelFilter
NEVER_CALLED(10, "_ZN9grpc_core19ClientChannelFilter22CheckConnectivityStateEb")
NEVER_CALLED(11, "_ZN9grpc_core19ClientChannelFilter22AddConnectivityWatcherE23grpc_connectivity_state"
		 "NSt3__110unique_ptrINS_38AsyncConnectivityStateWatcherInterfaceENS_16OrphanableDeleteEEE")
NEVER_CALLED(12, "_ZN9grpc_core19ClientChannelFilter25RemoveConnectivityWatcher"
		 "EPNS_38AsyncConnectivityStateWatcherInterfaceE")
NEVER_CALLED(13, "_ZN9grpc_core19ClientChannelFilter27ExternalConnectivityWatcherC1EPS0_19grpc_polling_entity"
		 "P23grpc_connectivity_stateP12grpc_closureS7_")
NEVER_CALLED(14, "_ZN9grpc_core19ClientChannelFilter27ExternalConnectivityWatcher"
		 "36RemoveWatcherFromExternalWatchersMapEPS0_P12grpc_closureb")

// Compared by its address only.
extern "C" const char stub_filter[] __asm__("_ZN9grpc_core19ClientChannelFilter7kFilterE");
alignas(grpc_channel_filter) const char stub_filter[sizeof(grpc_channel_filter)] = {};
