/* SPDX-License-Identifier: MPL-2.0
 *
 * Which bind mounts are found, however they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "containerfile.h"

static void expect(const char *text, bool of_context, bool of_image)
{
	char *copy = strdup(text);
	struct build_binds got;

	assert_non_null(copy);
	got = build_binds_in(copy);
	free(copy);
	if (got.of_context != of_context || got.of_image != of_image)
		fail_msg("context %d, image %d in:\n%s", got.of_context, got.of_image, text);
}

static void test_mounts(void **state)
{
	(void)state;
	expect("", false, false);
	expect("FROM x\nRUN make\nCOPY --from=a --mount=type=bind x y\n", false, false);
	expect("RUN --mount=type=cache,target=/c --mount=type=secret,id=x make\n", false, false);
	expect("RUN --mount=type=bind,target=. make", true, false);
	expect("RUN --mount=type=bind,target=/a,from=b make", false, true);
	expect("RUN --mount=target=/a make", true, false); /* that is the default */
	expect("RUN --mount=type=cache,target=/c --mount=type=bind,target=/a --mount=FROM=b,TYPE=bind make", true,
	       true);
	expect("RUN --mount=type=$KIND,target=/a make", false, true);
	expect("RUN \"--mount=type=bind,target=/a\" make", false, false); /* a command of that name */
	expect("RUN --mount=\"type=bind\",target=/a make", true, false);
	expect("RUN --network=none --mount=type=bind,target=/a make", true, false);
	expect("RUN echo --mount=type=bind,target=/a", false, false);
	expect("# RUN --mount=type=bind,target=/a make\n", false, false);
}

static void test_lines(void **state)
{
	(void)state;
	expect("FROM x\r\n  run\t--mount=type=bind,target=/a make\r\n", true, false);
	expect("RUN \\\n  # comment\n\n --mount=type=bind,target=/a \\  \n make", true, false);
	expect("RUN\\\n --mount=type=bind,target=/a make", true, false);
	expect("RUN --mount=type=bind,\\\nfrom=b,target=/a make", false, true);
	expect("RUN echo \\\nRUN --mount=type=bind,target=/a x", false, false);
	expect("# a\n# escape=`\nRUN `\n --mount=type=bind,target=/a x", true, false);
	expect("# escape=`\nRUN echo C:\\\nRUN --mount=type=bind,target=/a x", true, false);
	expect("FROM x\n# escape=`\nRUN echo `\nRUN --mount=type=bind,target=/a x", true, false);
	expect("RUN <<EOT\necho\nEOT\nRUN --mount=type=bind,target=/a x\n", true, false);
	expect("\\\n\\\n", false, false);
	expect("RUN --mount=type=bind,target=/a x \\\n", true, false);
}

static bool targets(const char *text)
{
	char *copy = strdup(text);
	struct build_binds got;

	assert_non_null(copy);
	got = build_binds_in(copy);
	free(copy);
	return got.of_target;
}

static void test_target(void **state)
{
	(void)state;
	assert_true(targets("ARG TARGETOS\nFROM bin-$TARGETOS"));
	assert_true(targets("ARG X=bin-${TARGETARCH}\nfrom $X"));
	assert_false(targets("ARG TARGETOS\nFROM x\nRUN echo $TARGETOS\nARG Y=$Z"));
}

static bool leads_astray(const char *text)
{
	NOMAD_AUTO_FREE char *copy = strdup(text);

	assert_non_null(copy);
	return build_binds_in(copy).of_anything;
}

static void test_anything(void **state)
{
	(void)state;
	assert_true(leads_astray("RUN --mount=target=/a x"));
	assert_true(leads_astray("RUN --mount=type=cache,from=a,target=/a x"));
	assert_true(leads_astray("RUN --mount=type=cache,src=b,target=/a x"));
	assert_true(leads_astray("RUN --mount=type=cache,id=../../x,target=/a x"));
	assert_true(leads_astray("RUN --mount=type=cache,id=$X,target=/a x"));
	assert_true(leads_astray("ONBUILD RUN --mount=type=bind,target=/a x"));
	assert_false(leads_astray("RUN --mount=type=cache,target=/a --mount=type=secret,id=b x"));
	assert_false(leads_astray("RUN --mount=type=tmpfs,target=/a x"));
}

static void test_file(void **state)
{
	(void)state;
	assert_true(build_binds_of("/x.in", "FROM x\n").of_anything); /* it may include others */
	assert_true(build_binds_of("/x", NULL).of_anything);
	assert_false(build_binds_of("/x", "FROM x\n").of_anything);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_mounts), cmocka_unit_test(test_lines),
					    cmocka_unit_test(test_target), cmocka_unit_test(test_anything),
					    cmocka_unit_test(test_file) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
