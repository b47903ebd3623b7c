/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/abi.h"

static const struct nomad_abi own = NOMAD_ABI_INIT;

static void refused(const struct nomad_abi *abi, const char *words)
{
	struct nomad_error *err = NULL;

	assert_int_equal(nomad__abi_set(abi, &err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), words));
	nomad_error_free(err);
}

static void other_versions_are_refused(void **state)
{
	struct nomad_abi abi = own;

	(void)state;
	assert_int_equal(nomad_api_version(), NOMAD_API_VERSION);
	abi.version = NOMAD_API_VERSION + 1;
	refused(&abi, "install a matching library");
	abi.version = NOMAD_API_VERSION - 1000;
	refused(&abi, "built for version 0.");
	abi = own;
	abi.size = 3;
	refused(&abi, "has 3 bytes");
	abi = own;
	abi.command++;
	refused(&abi, "size 5 is");
	abi = own;
	abi.option = 0;
	refused(&abi, "size 3 is");
	assert_int_equal(nomad__abi_set(&own, NULL), 0);
}

/* A program of an older header runs a tool: what lies behind its struct is not read, and nothing is written there. */
static void a_short_struct_is_enough(void **state)
{
	const char *const argv[] = { "echo", "hi", NULL };
	struct nomad_abi abi = own;
	struct {
		struct nomad_tool tool;
		char behind[64];
	} old;
	struct nomad_exit exit, end = { .exit_code = 3, .message = (char *)"why" };

	(void)state;
	memset(&old, 0, sizeof(old));
	memset(old.behind, 0xaa, sizeof(old.behind));
	old.tool.argv = argv;
	assert_int_equal(nomad__abi_set(&abi, NULL), 0);
	assert_int_equal(nomad_tool_run(&old.tool, NULL), 0);
	assert_string_equal(old.tool.output, "hi\n");
	assert_int_equal((unsigned char)old.behind[0], 0xaa);
	free(old.tool.output);

	abi.size = offsetof(struct nomad_abi, tool); /* of before tools and exits had a size */
	abi.command = offsetof(struct nomad_command, oom_score_adj);
	assert_int_equal(nomad__abi_set(&abi, NULL), 0);
	assert_int_equal(nomad__abi.tool, sizeof(struct nomad_tool));
	assert_int_equal(nomad__abi.command, offsetof(struct nomad_command, oom_score_adj));
	nomad__abi_copy(&exit, sizeof(exit), &end, offsetof(struct nomad_exit, message));
	assert_int_equal(exit.exit_code, 3);
	assert_null(exit.message);
	assert_int_equal(nomad__abi_set(&own, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_versions_are_refused),
		cmocka_unit_test(a_short_struct_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
