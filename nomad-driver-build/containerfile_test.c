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

static void test_file(void **state)
{
	char path[] = "/tmp/containerfile-XXXXXX.in";
	int fd = mkstemps(path, 3);
	struct build_binds found;

	(void)state;
	assert_true(fd >= 0 && write(fd, "FROM x\n", 7) == 7);
	close(fd);
	found = build_binds_of(path); /* it may include others */
	assert_true(found.of_context && found.of_image);
	unlink(path);
	found = build_binds_of(path);
	assert_true(found.of_context && found.of_image);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_mounts), cmocka_unit_test(test_lines),
					    cmocka_unit_test(test_target), cmocka_unit_test(test_file) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
