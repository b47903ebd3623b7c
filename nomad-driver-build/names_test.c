/* SPDX-License-Identifier: MPL-2.0
 *
 * The names of images in Containerfiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "containerfile.h"
#include "nomad/plugin.h"

/* Names with a blank between; "?" at the end for more that are not known. */
static void expect_with(const char *text, const struct nomad_map *args, const struct nomad_map *contexts,
			const char *wanted)
{
	NOMAD_AUTO_FREE char *copy = strdup(text), *got = strdup("");
	struct build_names names;

	assert_non_null(copy);
	assert_int_equal(build_names_in(copy, args, contexts, &names), 0);
	for (size_t i = 0; names.names && names.names[i]; i++) {
		char *longer = nomad_strdupf("%s%s%s", got, i ? " " : "", names.names[i]);

		free(got);
		got = longer;
	}
	if (names.unknown) {
		char *longer = nomad_strdupf("%s?", got);

		free(got);
		got = longer;
	}
	assert_string_equal(got, wanted);
	build_names_done(&names);
}

static void expect(const char *text, const char *wanted)
{
	const struct nomad_map none = { 0 };

	expect_with(text, &none, &none, wanted);
}

static void test_from(void **state)
{
	(void)state;
	expect("FROM alpine:3\n", "docker.io/library/alpine:3");
	expect("from --platform=$BUILDPLATFORM user/x AS A\nFROM a\nFROM scratch", "docker.io/user/x");
	expect("FROM r.example.org/x@sha256:12\nFROM h:5000/y\nFROM localhost/z",
	       "r.example.org/x@sha256:12 h:5000/y localhost/z");
	expect("FROM docker.io/alpine\nFROM docker.io/u/x", "docker.io/library/alpine docker.io/u/x");
	expect("FROM alpine\nFROM alpine", "docker.io/library/alpine");
	expect("FROM oci-archive:local/x.tar", "?");
	expect("FROM docker-archive:x\nFROM dir:x", "?");
	expect("FROM", "");
}

static void test_variables(void **state)
{
	struct nomad_map args = { 0 }, none = { 0 };

	(void)state;
	expect("ARG V=3 W=\"al\"\nARG N=${W}pine\nFROM $N:${V}", "docker.io/library/alpine:3");
	expect("FROM x:${T:-1}\nFROM y:${T-2}", "docker.io/library/x:1 docker.io/library/y:2");
	expect("FROM x:$T", "?");
	expect("ARG T\nFROM x:${T%.x}", "?");
	expect("FROM a\nARG T=1\nFROM x:$T", "docker.io/library/a?"); /* that ARG is the stage's */
	expect("FROM x:${T", "?");
	expect("FROM $", "?");
	assert_int_equal(nomad_map_set(&args, "T", "9"), 0);
	expect_with("ARG T=1\nFROM x:$T", &args, &none, "docker.io/library/x:9");
	expect_with("FROM x:$T", &args, &none, "?"); /* not declared */
	nomad_map_done(&args);
}

static void test_other(void **state)
{
	struct nomad_map contexts = { 0 }, none = { 0 };

	(void)state;
	expect("FROM scratch AS s\nCOPY --from=s --chown=1 a b\nCOPY --from=0 a b\nADD --from=nginx a b\n",
	       "docker.io/library/nginx");
	expect("RUN --mount=type=bind,from=q.io/x,target=/x --mount=type=cache,target=/from=y make", "q.io/x");
	expect("RUN --mount=from=a make\nRUN echo --mount=from=b", "docker.io/library/a");
	expect("ONBUILD COPY --from=a x y", "docker.io/library/a");
	expect("RUN <<-'EOT' cat\n\tFROM users\n\tEOT\nFROM a", "docker.io/library/a");
	expect("RUN \\\n --mount=from=a \\\n# FROM b\n make", "docker.io/library/a");
	assert_int_equal(nomad_map_set(&contexts, "alpine:3", "x"), 0);
	expect_with("FROM alpine:3", &none, &contexts, "");
	nomad_map_done(&contexts);
}

static void policy(const char *name, const char *wanted)
{
	NOMAD_AUTO_FREE char *got = build_name_in_policy(name);

	if (wanted)
		assert_string_equal(got, wanted);
	else
		assert_null(got);
}

static void test_policy(void **state)
{
	(void)state;
	policy("alpine", "docker.io/library/alpine:latest");
	policy("h:5000/x:1", "h:5000/x:1");
	policy("h:5000/x", "h:5000/x:latest");
	policy("u/x:1@sha256:12", "docker.io/u/x@sha256:12");
	policy("oci-archive:x", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_from), cmocka_unit_test(test_variables),
					    cmocka_unit_test(test_other), cmocka_unit_test(test_policy) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
