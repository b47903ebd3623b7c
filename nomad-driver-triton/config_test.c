/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "config.h"
#include "schema/schema.h"
#include "text.h"

#define BASE "\"api_type\":\"cloud_api\",\"package\":{\"name\":\"p\"},\"cloud_api\":{\"image\":{\"name\":\"i\"}}"

static struct triton_task *decode(const char *text, struct nomad_error **err)
{
	json_t *json = json_loads(text, 0, NULL);
	void *data = NULL, *config = NULL;
	size_t size = 0;

	assert_non_null(json);
	if (nomad__config_from_json(&triton_task_schema, "task config", json, &data, &size, err) >= 0)
		(void)!nomad__config_decode(&triton_task_schema, "task config", data, size, 0, &config, err);
	free(data);
	json_decref(json);
	return config;
}

static void test_tables(void **state)
{
	struct nomad_error *err = NULL;
	(void)state;

	if (nomad__schema_check(&triton_config_schema, &err) < 0 || nomad__schema_check(&triton_task_schema, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
}

/* As the example jobs of the Go driver write maps and block lists: both ways. */
static void test_forms(void **state)
{
	struct nomad_error *err = NULL;
	struct triton_task *task = decode("{\"api_type\":\"docker_api\",\"package\":[{\"name\":\"p\",\"version\":\"1\"}"
					  "],\"tags\":[{\"a\":\"b\"}],\"cns\":[\"web:80\"],"
					  "\"docker_api\":[{\"image\":[{\"name\":\"busybox\",\"auto_pull\":true}],"
					  "\"auth\":[{\"username\":\"u\",\"password\":\"p\"}],"
					  "\"ports\":[{\"tcp\":[80,443],\"udp\":[53]}],\"labels\":[{\"x\":\"y\"}],"
					  "\"log_config\":[{\"type\":\"syslog\",\"config\":[{\"k\":\"v\"}]}],"
					  "\"restart_policy\":\"Never\"}]}",
					  &err);
	(void)state;

	if (!task)
		fail_msg("%s", nomad_error_message(err));
	assert_int_equal(triton_task_api(task), TRITON_DOCKER);
	assert_string_equal(nomad_map_get(&task->tags, "a"), "b");
	assert_string_equal(task->docker_api->image->tag, "latest");
	assert_true(task->docker_api->image->auto_pull);
	assert_string_equal(task->docker_api->auth->password, "p");
	assert_string_equal(task->docker_api->ports->tcp[1], "443");
	assert_string_equal(task->docker_api->ports->udp[0], "53");
	assert_string_equal(nomad_map_get(&task->docker_api->log_config->config, "k"), "v");
	assert_string_equal(task->exit_strategy, "stopped");
	assert_false(triton_task_ends_deleted(task));
	nomad__config_free(&triton_task_schema, task);
	task = decode("{" BASE ",\"volumes\":[{\"name\":\"d\",\"mountpoint\":\"/"
		      "d\"}],\"exit_strategy\":\"deleted\",\"stop_timeout\":9}",
		      &err);
	if (!task)
		fail_msg("%s", nomad_error_message(err));
	assert_int_equal(task->volumes.count, 1);
	assert_string_equal(((struct triton_volume *)task->volumes.items)->mode, "rw");
	assert_true(triton_task_ends_deleted(task));
	assert_int_equal(task->stop_timeout, 9);
	assert_int_equal(triton_task_api(task), TRITON_CLOUD);
	nomad__config_free(&triton_task_schema, task);
}

static void refused(const char *text, const char *why)
{
	struct nomad_error *err = NULL;

	assert_null(decode(text, &err));
	if (!strstr(nomad_error_message(err), why))
		fail_msg("'%s' does not tell '%s'", nomad_error_message(err), why);
	nomad_error_free(err);
}

static void accepted(const char *text)
{
	struct nomad_error *err = NULL;
	struct triton_task *task = decode(text, &err);

	if (!task)
		fail_msg("%s: %s", text, nomad_error_message(err));
	nomad__config_free(&triton_task_schema, task);
}

static void test_cns(void **state)
{
	static const char *const good[] = { "web",	    "Web",	     "a.b", "_sip._tcp",
					    "_sip",	    "bhyve_example", "-a",  "web:80:priority=0:weight=65535",
					    "web:weight=1", "web:65535" };
	static const char *const bad[] = { "",
					   ".a",
					   "a b",
					   "a,b",
					   "web:99999",
					   "web:0",
					   "web:",
					   "web:x",
					   "web:priority=-1",
					   "web:80:80",
					   "web:weight=65536",
					   "web:a=1",
					   "web::80",
					   "web:priority=1x" };
	char text[512], name[65] = "";
	(void)state;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(good); i++) {
		snprintf(text, sizeof(text), "{" BASE ",\"cns\":[\"%s\"]}", good[i]);
		accepted(text);
	}
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "{" BASE ",\"cns\":[\"%s\"]}", bad[i]);
		refused(text, "cns");
	}
	memset(name, 'a', 64);
	snprintf(text, sizeof(text), "{" BASE ",\"cns\":[\"%s\"]}", name);
	refused(text, "cns");
	snprintf(text, sizeof(text), "{" BASE ",\"cns\":[\"%s\"]}", name + 1);
	accepted(text);
}

static void test_refused(void **state)
{
	(void)state;
	refused("{}", "api_type");
	refused("{\"api_type\":\"x\",\"package\":{\"name\":\"p\"}}", "cloud_api");
	refused("{\"api_type\":\"cloud_api\",\"package\":{\"name\":\"p\"}}", "no block 'cloud_api'");
	refused("{\"api_type\":\"cloud_api\",\"package\":{},\"cloud_api\":{\"image\":{\"name\":\"i\"}}}",
		"'package' needs");
	refused("{" BASE ",\"tags\":{\"triton.x\":\"y\"}}", "triton.x");
	refused("{" BASE ",\"tags\":{\"triton.cns.disable\":\"maybe\"}}", "true or false");
	refused("{" BASE ",\"tags\":{\"nomad_task\":\"x\"}}", "reserved");
	refused("{" BASE ",\"tags\":{\"sdc_docker\":\"x\"}}", "reserved");
	refused("{" BASE ",\"tags\":{\"image\":\"x\"}}", "does not take");
	refused("{" BASE ",\"metadata\":{\"user-script\":\"x\"}}", "user_script");
	refused("{" BASE ",\"metadata\":{\"admin_pw\":\"x\"}}", "admin_pw");
	refused("{" BASE ",\"cns\":[\"a\"],\"tags\":{\"triton.cns.services\":\"b\"}}", "both");
	refused("{" BASE ",\"affinity\":[\"near\"]}", "affinity");
	refused("{" BASE ",\"fwrules\":{\"a\":\"FROM any TO any ALLOW tcp PORT 1\"}}", "tag, a vm or all vms");
	refused("{" BASE ",\"volumes\":[{\"name\":\"d\",\"mountpoint\":\"d\"}]}", "mountpoint");
	refused("{\"api_type\":\"docker_api\",\"package\":{\"name\":\"p\"},\"docker_api\":{\"image\":{\"name\":\"i\"},"
		"\"ports\":{\"tcp\":[70000]}}}",
		"1 to 65535");
	refused("{\"api_type\":\"docker_api\",\"package\":{\"name\":\"p\"},\"docker_api\":{\"image\":{\"name\":\"i\"},"
		"\"restart_policy\":\"sometimes\"}}",
		"restart_policy");
	refused("{\"api_type\":\"docker_api\",\"package\":{\"name\":\"p\"},\"docker_api\":{\"image\":{\"name\":"
		"\"i@sha256:0\"}}}",
		"an option of its own: digest");
	refused("{\"api_type\":\"docker_api\",\"package\":{\"name\":\"p\"},\"docker_api\":{\"image\":{\"name\":\"i\","
		"\"digest\":\"sha256:0\"}}}",
		"sha256: and 64 of 0-9a-f");
	accepted("{\"api_type\":\"docker_api\",\"package\":{\"name\":\"p\"},\"docker_api\":{\"image\":{\"name\":\"i\"},"
		 "\"restart_policy\":\"unless-stopped\"}}");
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(triton_parse_bool("TRUE"), 1);
	assert_int_equal(triton_parse_bool("0"), 0);
	assert_int_equal(triton_parse_bool("perhaps"), -1);
	assert_int_equal(triton_parse_bool(NULL), -1);
	assert_int_equal(triton_parse_port("65535"), 65535);
	assert_int_equal(triton_parse_port("0"), -1);
	assert_int_equal(triton_parse_port("80x"), -1);
	assert_false(triton_is_uuid("B8312894-aaf1-4f86-bc69-c1b33314b480"));
	assert_true(triton_is_uuid("b8312894-aaf1-4f86-bc69-c1b33314b480"));
}

static void test_environment(void **state)
{
	(void)state;
	setenv("SDC_ACCOUNT", "sdc", 1);
	unsetenv("TRITON_ACCOUNT");
	assert_string_equal(triton_getenv("ACCOUNT"), "sdc");
	setenv("TRITON_ACCOUNT", "", 1);
	assert_string_equal(triton_getenv("ACCOUNT"), "sdc");
	setenv("TRITON_ACCOUNT", "triton", 1);
	assert_string_equal(triton_getenv("ACCOUNT"), "triton");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),	cmocka_unit_test(test_forms), cmocka_unit_test(test_cns),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_words), cmocka_unit_test(test_environment),
	};

	return cmocka_run_group_tests_name("triton config", tests, NULL, NULL);
}
