/* SPDX-License-Identifier: MPL-2.0
 *
 * What is refused before a build, for which engines, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "features.h"

static struct build_engine engine_of(int minor)
{
	return (struct build_engine){ .major = 1, .minor = minor, .version = "x" };
}

/* NULL: nothing is missing; else what, and on which line. */
static void expect(int minor, const char *target, const char *text, const char *missing, unsigned line)
{
	struct build_engine engine = engine_of(minor);
	struct build_features f;

	assert_int_equal(build_features_in(text, &engine, target, &f), 0);
	if (missing ? !f.missing || !strstr(f.missing, missing) || f.line != line : f.missing != NULL)
		fail_msg("%s\nwith 1.%d: %s in line %u", text, minor, f.missing ? f.missing : "nothing", f.line);
	free(f.text);
}

static void test_heredoc(void **state)
{
	(void)state;
	expect(28, NULL, "FROM x\nRUN <<EOF\necho a\nEOF\n", "heredoc", 2);
	expect(33, NULL, "FROM x\nRUN <<EOF\necho a\nEOF\n", NULL, 0);
	expect(28, NULL, "FROM x\n\nCOPY --chmod=755 <<-\"END\" /a\n\tx\n\tEND", "heredoc", 3);
	expect(28, NULL, "FROM x\nRUN cat <<EOF \\\n  && true\n", NULL, 0);
	expect(28, NULL, "FROM x\nRUN echo '<<<' a << b\nRUN b\n", NULL, 0);
	expect(28, NULL, "FROM x\nENV A=<<EOF\nEOF\n", NULL, 0);
	/* What is in one is no instruction. */
	expect(34, NULL, "FROM x\nRUN <<EOF\nCOPY --parents a b\nEOF\nRUN true\n", NULL, 0);
	expect(34, NULL, "FROM x\nRUN <<EOF\nCOPY --parents a b\nEOF\nCOPY --parents a b\n", "--parents", 5);
}

static void test_flags(void **state)
{
	(void)state;
	expect(28, NULL, "from x\nadd --checksum=sha256:1 a b\n", "--checksum", 2);
	expect(28, NULL, "FROM x\nCOPY \\\n# note\n\n --parents a b\n", "--parents", 2);
	expect(28, NULL, "FROM x\nRUN echo --network=none\nRUN --network=none true\n", "RUN --network", 3);
	expect(44, NULL, "FROM x\nRUN --security=insecure true\n", "RUN --security", 2);
	expect(28, NULL, "FROM x\nHEALTHCHECK --start-interval=1s CMD true\n", "--start-interval", 2);
	expect(37, NULL, "FROM x\nHEALTHCHECK --start-interval=1s CMD true\n", NULL, 0);
	expect(28, NULL, "FROM x\nCOPY --chmod=755 --chown=a:b --from=y a b\n", NULL, 0);
	expect(44, NULL, "FROM x\nCOPY --chmod=u+x a b\n", "--chmod", 2);
	expect(28, NULL, "FROM x\nCOPY --chmod=$M a b\n", NULL, 0);
	expect(28, NULL, "FROM x\nCOPY --exclude=*.md . /\n", "--exclude", 2);
}

static void test_git(void **state)
{
	(void)state;
	expect(28, NULL, "FROM x\nADD https://e.org/a/b.git /src\n", "git repository", 2);
	expect(28, NULL, "FROM x\nADD --chown=1 https://e.org/a/b.git#v1:dir /src\n", "git repository", 2);
	expect(28, NULL, "FROM x\nADD [\"http://e.org/a/b.git?tag=v1\", \"/src\"]\n", "git repository", 2);
	expect(39, NULL, "FROM x\nADD https://e.org/a/b.git /src\n", NULL, 0);
	expect(28, NULL, "FROM x\nADD https://e.org/a/b.git.tar https://e.org/.gitignore x.git /src\n", NULL, 0);
	expect(28, NULL, "FROM x\nCOPY x.git /src\nRUN wget https://e.org/a.git\nADD a /b.git\n", NULL, 0);
}

static void test_mounts(void **state)
{
	(void)state;
	expect(28, NULL, "FROM x\nRUN --mount=type=bind,source=a,target=a true\n", "relative target", 2);
	expect(38, NULL, "FROM x\nRUN --mount=type=bind,source=a,target=a true\n", NULL, 0);
	expect(28, NULL, "FROM x\nRUN --mount=type=bind,source=a,target=/a true\n", NULL, 0);
	expect(28, NULL, "FROM x\nRUN --mount=source=a true\n", "relative target", 2);
	expect(28, NULL, "FROM x\nRUN --mount=type=cache,target=$C true\n", NULL, 0);
	expect(28, NULL, "FROM x\nRUN --mount=type=secret,id=a,target=b true\n", NULL, 0);
	expect(28, NULL, "FROM x\nRUN --mount=type=secret,id=a,required true\n", "required", 2);
	expect(28, NULL, "FROM x\nRUN --mount=type=secret,id=a,required=true true\n", NULL, 0);
	expect(39, NULL, "FROM x\nRUN --mount=type=secret,id=a,env=A true\n", "env=", 2);
	expect(44, NULL, "FROM x\nRUN --mount=type=cache,target=/c,sharing=private true\n", "sharing=private", 2);
	expect(44, NULL, "FROM x\nRUN --mount=type=tmpfs,target=/c,size=1m true\n", "size=", 2);
}

static void test_values(void **state)
{
	(void)state;
	expect(28, NULL, "FROM x\nENV A=${B%.x}\n", "${NAME#x}", 2);
	expect(28, NULL, "FROM x\nENV A=${B:-c} D=${E}\nRUN echo ${A%.x} ${A//a/b}\n", NULL, 0);
	expect(28, NULL, "FROM x\nENV A='${B%.x}'\nENV B=\\${B%.x}\n", NULL, 0);
}

/* The first RUN that takes the platform of the image; 0: none. */
static void runs(const char *target, const char *text, unsigned line)
{
	struct build_engine engine = engine_of(44);
	struct build_features f;

	assert_int_equal(build_features_in(text, &engine, target, &f), 0);
	if (f.run_line != line)
		fail_msg("%s\n: a RUN in line %u, not %u", text, f.run_line, line);
	free(f.text);
}

static void test_platforms(void **state)
{
	static const char cross[] = "FROM --platform=$BUILDPLATFORM go AS b\nRUN x\nFROM a\nCOPY --from=b x /\n";

	(void)state;
	runs(NULL, "FROM x\nCOPY a /\n", 0);
	runs(NULL, "FROM x\n\nRUN a \\\n b\n", 3);
	runs(NULL, "FROM x\nRUN <<E\na\nE\n", 2);
	runs(NULL, cross, 0);
	runs(NULL, "FROM --platform=$BUILDPLATFORM go AS b\nFROM b\nRUN x\n", 0);
	runs(NULL, "FROM --platform=${TARGETPLATFORM} go AS b\nFROM b\nRUN x\n", 3);
	/* A stage that is not built, one that may be of this node, an instruction of another build. */
	runs(NULL, "FROM x AS t\nRUN a\nFROM x\n", 0);
	runs("t", "FROM x AS t\nRUN a\nFROM x\n", 2);
	runs(NULL, "FROM --platform=$P x\nRUN a\n", 0);
	runs(NULL, "FROM x\nONBUILD RUN a\n", 0);
	runs(NULL, "FROM x AS a\nRUN a\nFROM x\nCOPY --from=$A a /\nRUN b\n", 0);
}

/* A stage that is not built does not count; a name that is not known makes none certain. */
static void test_stages(void **state)
{
	static const char text[] = "FROM x AS a\nCOPY --parents a b\nFROM x AS b\nFROM a AS c\nFROM b\n";

	(void)state;
	expect(28, NULL, text, NULL, 0);
	expect(28, "a", text, "--parents", 2);
	expect(28, "C", text, "--parents", 2);
	expect(28, NULL, "FROM x AS a\nCOPY --parents a b\nFROM x\nCOPY --from=a a b\n", "--parents", 2);
	/* The engine would take it for an image. */
	expect(44, NULL, "FROM x AS Build\nFROM y\nCOPY --from=build a b\n", "other capitals", 3);
	expect(44, NULL, "FROM x AS Build\nFROM y\nCOPY --from=Build a b\n", NULL, 0);
	expect(28, NULL, "FROM x\nCOPY --parents a b\nFROM x\nRUN --mount=from=0,target=/a true\n", "--parents", 2);
	expect(28, NULL, "FROM x AS a\nCOPY --parents a b\nFROM $B\n", NULL, 0);
	expect(28, NULL, "FROM x AS a\nRUN <<E\nE\nFROM y\n", "heredoc", 2);
	expect(28, NULL, "", NULL, 0);
	expect(28, NULL, "COPY --parents\n", NULL, 0);
}

static void expect_text(int minor, const char *text, const char *want)
{
	struct build_engine engine = engine_of(minor);
	struct build_features f;

	assert_int_equal(build_features_in(text, &engine, NULL, &f), 0);
	if (want)
		assert_string_equal(f.text, want);
	else
		assert_null(f.text);
	free(f.text);
}

static void test_link(void **state)
{
	(void)state;
	expect_text(28, "FROM x\nCOPY --link --from=a b c\n", "FROM x\nCOPY --from=a b c\n");
	expect_text(28, "FROM x\n copy --from=a --link=true b \\\n --link\nADD --link a b",
		    "FROM x\n copy --from=a b \\\n "
		    "--link\nADD a b");
	expect_text(41, "FROM x\nCOPY --link b c\n", NULL);
	expect_text(28, "FROM x\nRUN cp --link b c\n# COPY --link\nRUN true \\\nCOPY --link a b\n", NULL);
	expect_text(39, "FROM x\nRUN <<E\nCOPY --link a b\nE\nCOPY --link a b\n",
		    "FROM x\nRUN <<E\nCOPY --link a b\nE\nCOPY a b\n");
	expect_text(28, "# escape=`\nFROM x\nCOPY --link a `\n b\\\nCOPY --link c d\n",
		    "# escape=`\nFROM x\nCOPY a `\n b\\\nCOPY c d\n");
	/* On a later line it is left to the engine's own words. */
	expect(28, NULL, "FROM x\nCOPY \\\n --link a b\n", "--link", 2);
}

static void test_dropped(void **state)
{
	struct build_engine engine = engine_of(28);
	struct build_features f;

	(void)state;
	assert_int_equal(build_features_in("FROM x AS a\nSHELL [\"x\"]\nFROM y\nHEALTHCHECK CMD x\nONBUILD RUN <<E\n",
					   &engine, NULL, &f),
			 0);
	assert_int_equal(f.dropped, BUILD_HAS_HEALTHCHECK | BUILD_HAS_ONBUILD);
	assert_null(f.missing);
}

static void test_words(void **state)
{
	static const char *const errors[][2] = {
		{ "COPY --link is not supported", "buildah 1.41" },
		{ "invalid container path \"x\", must be an absolute path", "buildah 1.38" },
		{ "runtime error: index out of range [1] with length 1", "required=true" },
		{ "COPY only supports the --chmod=<permissions> --chown=", "--exclude came with" },
		{ "unrecognized value \"private\" for field `sharing`", "no engine" },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(errors); i++) {
		char *text = build_features_explain(errors[i][0], "buildah 1.28.2", false);

		assert_non_null(text);
		if (!strstr(text, errors[i][1]) || strncmp(text, "buildah 1.28.2 does not have ", 29) != 0)
			fail_msg("%s", text);
		free(text);
	}
	assert_null(build_features_explain("exit status 7", "buildah 1.28.2", false));
}

static void test_versions(void **state)
{
	struct build_engine podman = { .is_podman = true, .major = 5, .minor = 4, .version = "5.4.2" };
	struct build_engine buildah = engine_of(28);
	char since[32], *text;

	(void)state;
	assert_int_equal(build_engine_minor(&podman), 39);
	podman.major = 4, podman.minor = 3;
	assert_int_equal(build_engine_minor(&podman), 28);
	build_engine_since(true, 41, since, sizeof(since));
	assert_string_equal(since, "podman 5.6");
	text = build_engine_lacks_features(&buildah);
	assert_non_null(strstr(text, "a heredoc (<<WORD) (buildah 1.33)"));
	free(text);
	text = build_engine_lacks_fixes(&buildah);
	assert_non_null(strstr(text, "CVE-2024-1753"));
	free(text);
	buildah.minor = 45;
	assert_null(build_engine_lacks_features(&buildah));
	assert_null(build_engine_lacks_fixes(&buildah));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_heredoc), cmocka_unit_test(test_flags),
					    cmocka_unit_test(test_mounts),  cmocka_unit_test(test_values),
					    cmocka_unit_test(test_git),	    cmocka_unit_test(test_platforms),
					    cmocka_unit_test(test_stages),  cmocka_unit_test(test_link),
					    cmocka_unit_test(test_dropped), cmocka_unit_test(test_words),
					    cmocka_unit_test(test_versions) };

	return cmocka_run_group_tests_name("build/features", tests, NULL, NULL);
}
