// SPDX-License-Identifier: MPL-2.0
// gRPC's parts that a server on a connected socket needs.  Replaces grpc_plugin_registry.cc: what is registered there
// pulls client channels, load balancing, name resolution and TLS into the program.  Left out on purpose: the
// compression filter (Nomad does not compress; a client that does gets an error).
#include "src/core/config/core_configuration.h"
#include "src/core/ext/filters/http/server/http_server_filter.h"
#include "src/core/ext/filters/message_size/message_size_filter.h"
#include "src/core/lib/surface/channel_stack_type.h"
#include "src/core/server/server.h"

namespace grpc_event_engine {
namespace experimental {
void RegisterEventEngineChannelArgPreconditioning(grpc_core::CoreConfiguration::Builder *builder);
}  // namespace experimental
}  // namespace grpc_event_engine

namespace grpc_core {

void RegisterConnectedChannel(CoreConfiguration::Builder *builder);
void RegisterResourceQuota(CoreConfiguration::Builder *builder);

void BuildCoreConfiguration(CoreConfiguration::Builder *builder)
{
	grpc_event_engine::experimental::RegisterEventEngineChannelArgPreconditioning(builder);
	RegisterConnectedChannel(builder);
	RegisterResourceQuota(builder);
	builder->channel_init()->RegisterFilter<HttpServerFilter>(GRPC_SERVER_CHANNEL);
	builder->channel_init()->RegisterFilter<ServerMessageSizeFilter>(GRPC_SERVER_CHANNEL);
	builder->channel_init()
		->RegisterFilter(GRPC_SERVER_CHANNEL, &Server::kServerTopFilter)
		.SkipV3()
		.BeforeAll();
}

}  // namespace grpc_core
