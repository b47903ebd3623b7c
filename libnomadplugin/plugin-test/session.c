/* SPDX-License-Identifier: MPL-2.0
 *
 * The session with the plugin: what the checks share, the lines of TAP, launch, configuration and end. */
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/tree.h"
#include "plugin-test/test.h"

grpc_channel *channel;
struct test t;
char said[512];

void check(bool ok, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("%sok %d - ", ok ? "" : "not ", ++t.ran);
	vprintf(fmt, args);
	putchar('\n');
	va_end(args);
	t.failed += !ok;
	fflush(stdout);
}

void skip(const char *what, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++t.ran, what, why);
}

void bail(const char *why)
{
	printf("Bail out! %s\n", why);
	host_kill(&t.host);
	nomad__alloc_done(&t.alloc);
	if (t.dir)
		(void)nomad__remove_tree(t.dir);
	exit(1);
}

/* ---- The process ---- */

bool connect_plugin(void)
{
	grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
	int core = 0, app = 0, fields;
	char network[16] = "", protocol[16] = "", target[300];

	fields = sscanf(t.host.line, "%d|%d|%15[^|]|%*[^|]|%15[^|\n]", &core, &app, network, protocol);
	if (fields == 4 && core == 1 && app == 2 && strcmp(protocol, "grpc") == 0) {
		snprintf(target, sizeof(target), "%s%s", strcmp(network, "unix") == 0 ? "unix:" : "", t.host.address);
		channel = grpc_channel_create(target, credentials, NULL);
	}
	grpc_channel_credentials_release(credentials);
	return channel != NULL;
}

void disconnect(void)
{
	if (channel)
		grpc_channel_destroy(channel);
	channel = NULL;
}

void launch(void)
{
	if (host_launch(&t.host, true) < 0 || !connect_plugin())
		bail("the plugin prints no handshake line of the form 1|2|unix|PATH|grpc|");
}

grpc_status_code set_config(bool as_client)
{
	Pb__SetConfigRequest request = PB__SET_CONFIG_REQUEST__INIT;
	Pb__NomadConfig nomad = PB__NOMAD_CONFIG__INIT;
	Pb__NomadDriverConfig driver = PB__NOMAD_DRIVER_CONFIG__INIT;

	driver.clientminport = 14000;
	driver.clientmaxport = 14512;
	nomad.driver = &driver;
	request.nomad_config = as_client ? &nomad : NULL;
	request.plugin_api_version = (char *)"v0.1.0";
	request.msgpack_config = (ProtobufCBinaryData){ t.plugin_config_size, t.plugin_config };
	return CALL(BASE "SetConfig", &request, set_config_response, NULL);
}

bool shut_down(void)
{
	Pb__Empty nothing = PB__EMPTY__INIT;
	int status = 0;
	bool ended;

	(void)CALL("/plugin.GRPCController/Shutdown", &nothing, empty, NULL);
	ended = host_ends(&t.host, 2000, &status);
	disconnect();
	host_kill(&t.host);
	return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A plugin as the client has it; it answers Init, or does not know it. */
void begin(void)
{
	Pb__InitRequest init = PB__INIT_REQUEST__INIT;
	grpc_status_code code;

	launch();
	if (set_config(true) != GRPC_STATUS_OK) {
		printf("# %s\n", said);
		bail("SetConfig failed; give a configuration with --config");
	}
	code = CALL(DRIVER "Init", &init, init_response, NULL);
	if (code != GRPC_STATUS_OK && code != GRPC_STATUS_UNIMPLEMENTED)
		bail(said);
}
