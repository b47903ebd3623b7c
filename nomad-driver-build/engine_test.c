/* SPDX-License-Identifier: MPL-2.0
 *
 * The exact command line of each option and each action. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine.h"

#define V(...) ((char **)(uintptr_t)(const char *const[]){ __VA_ARGS__, NULL })
#define MAP(k, v) ((struct nomad_map){ (struct nomad_pair[]){ { (char *)(k), (char *)(v) } }, 1 })
#define S(text) ((char *)(text))
#define GLOBAL                                                                                                         \
	"/usr/bin/buildah|--root|/build/root|--runroot|/build/"                                                        \
	"runroot|--storage-driver|overlay|--storage-opt|overlay.mountopt=nodev|"
#define PUSH GLOBAL "push|--digestfile|/build/d|--authfile|/build/auth.json|"
#define ZSTD GLOBAL "push|--compression-format|zstd|--digestfile|/build/d|--authfile|/build/auth.json|"

static const struct build_engine buildah = { .path = S("/usr/bin/buildah"), .storage_driver = "overlay" };
static const struct build_engine podman = { .path = S("/usr/bin/podman"), .storage_driver = "vfs", .is_podman = true };

static void expect(char **take_argv, const char *want)
{
	char got[8192] = "";

	assert_non_null(take_argv);
	for (char **arg = take_argv; *arg; arg++) {
		strcat(got, arg == take_argv ? "" : "|");
		strcat(got, *arg);
	}
	assert_string_equal(got, want);
	nomad_strv_free(take_argv);
}

static struct build_config plain(void)
{
	return (struct build_config){ .format = S("oci"),
				      .network = S("host"),
				      .isolation = S("chroot"),
				      .layers = -1,
				      .timestamp = NOMAD_INT_UNSET,
				      .pull = S("missing"),
				      .tls_verify = true };
}

static const struct build_inputs inputs = { .containerfile = S("/alloc/c/Containerfile"), .context = S("/alloc/c") };

static char **build(const struct build_config *config, const struct build_inputs *in)
{
	char **argv = NULL;

	assert_int_equal(build_engine_build(&buildah, config, in ? in : &inputs, NULL, &argv), 0);
	return argv;
}

#define BUILD_HEAD GLOBAL "build|--file|/alloc/c/Containerfile|"
#define BUILD_TAIL "--authfile|/build/auth.json|--isolation|chroot|--|/alloc/c"

static void test_plain(void **state)
{
	struct build_config c = plain();

	(void)state;
	expect(build(&c, NULL),
	       BUILD_HEAD "--format|oci|--iidfile|/build/iid|--layers=false|--pull=missing|" BUILD_TAIL);
}

static void test_result(void **state)
{
	struct build_config c = plain();

	(void)state;
	c.format = S("docker");
	c.tags = V("a:1", "b:2");
	c.labels = MAP("k", "v w");
	c.annotations = MAP("a", "b");
	c.timestamp = 0;
	c.squash = true;
	expect(build(&c, NULL), BUILD_HEAD
	       "--format|docker|--tag|a:1|--tag|b:2|--label|k=v w|--annotation|a=b|--timestamp|0|"
	       "--identity-label=false|--squash|--iidfile|/build/iid|--layers=false|--pull=missing|" BUILD_TAIL);
}

static void test_sources(void **state)
{
	struct build_config c = plain();
	struct build_inputs in = inputs;

	(void)state;
	in.ignorefile = S("/alloc/c/ignore");
	in.contexts = MAP("x", "/alloc/x");
	in.secrets = MAP("token", "/secrets/token");
	in.ssh = MAP("default", "/secrets/key");
	c.target = S("stage");
	c.platform = S("linux/arm64");
	c.args = MAP("V", "1 --tls-verify=false");
	expect(build(&c, &in),
	       BUILD_HEAD "--ignorefile|/alloc/c/ignore|--target|stage|--platform|linux/arm64|--build-arg|"
			  "V=1 --tls-verify=false|--build-context|x=/alloc/x|--secret|id=token,src=/secrets/"
			  "token|--ssh|default=/secrets/key|"
			  "--format|oci|--iidfile|/build/iid|--layers=false|--pull=missing|" BUILD_TAIL);
}

static void test_cache(void **state)
{
	static const char *const pulls[][2] = {
		{ "missing", "missing" }, { "newer", "true" }, { "always", "always" }, { "never", "never" }
	};
	struct build_config c = plain();
	char want[2048];

	(void)state;
	c.cache = S("name");
	expect(build(&c, NULL),
	       BUILD_HEAD "--format|oci|--iidfile|/build/iid|--layers=true|--pull=missing|" BUILD_TAIL);
	c.layers = 0;
	expect(build(&c, NULL),
	       BUILD_HEAD "--format|oci|--iidfile|/build/iid|--layers=false|--pull=missing|" BUILD_TAIL);
	c.layers = -1;
	c.cache = NULL;
	c.cache_from = S("r.example.org/c");
	c.cache_to = S("r.example.org/d");
	c.tls_verify = false;
	expect(build(&c, NULL),
	       BUILD_HEAD "--format|oci|--iidfile|/build/iid|--layers=true|--cache-from|r.example.org/c|--cache-to|"
			  "r.example.org/d|--pull=missing|--tls-verify=false|" BUILD_TAIL);
	c = plain();
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(pulls); i++) {
		c.pull = S(pulls[i][0]);
		snprintf(want, sizeof(want),
			 BUILD_HEAD "--format|oci|--iidfile|/build/iid|--layers=false|--pull=%s|" BUILD_TAIL,
			 pulls[i][1]);
		expect(build(&c, NULL), want);
	}
}

static void test_oci(void **state)
{
	struct build_config c = plain();

	(void)state;
	c.isolation = S("oci");
	c.network = S("none");
	c.ulimits = MAP("nofile", "1:2");
	expect(build(&c, NULL), BUILD_HEAD
	       "--format|oci|--iidfile|/build/iid|--layers=false|--pull=missing|--authfile|/build/auth.json|"
	       "--isolation|oci|--network|none|--runtime-flag|cgroup-manager=disabled|--ulimit|nofile=1:2|--|/alloc/c");
}

/* The archive is written by the build itself; names are for the store. */
static void test_destination(void **state)
{
	char *with = build_engine_destination("docker-archive", "/alloc/x.tar", "a/b:1");
	char *without = build_engine_destination("oci-archive", "/alloc/x.tar", NULL);
	struct build_config c = plain();
	char **argv = NULL;

	(void)state;
	assert_string_equal(with, "docker-archive:/alloc/x.tar:a/b:1");
	assert_string_equal(without, "oci-archive:/alloc/x.tar");
	c.tags = V("a/b:1");
	assert_int_equal(build_engine_build(&buildah, &c, &inputs, without, &argv), 0);
	expect(argv, BUILD_HEAD
	       "--format|oci|--tag|oci-archive:/alloc/x.tar|--disable-compression=false|--iidfile|/build/iid|"
	       "--layers=false|--pull=missing|" BUILD_TAIL);
	free(with);
	free(without);
}

static void test_write(void **state)
{
	const struct build_config gzip = { .compression = (char *)"gzip" }, zstd = { .compression = (char *)"zstd" };
	char **argv = NULL;

	(void)state;
	assert_int_equal(build_engine_write(&buildah, &gzip, "oci-archive:/alloc/x.tar", "/build/d", &argv), 0);
	expect(argv, PUSH "{image}|oci-archive:/alloc/x.tar");
	assert_int_equal(build_engine_push(&buildah, &gzip, "h:5000/a", true, "/build/d", &argv), 0);
	expect(argv, PUSH "{image}|docker://h:5000/a");
	assert_int_equal(build_engine_push(&buildah, &zstd, "h:5000/a", true, "/build/d", &argv), 0);
	expect(argv, ZSTD "{image}|docker://h:5000/a");
	assert_int_equal(build_engine_push(&buildah, &gzip, "h:5000/a", false, "/build/d", &argv), 0);
	expect(argv, PUSH "--tls-verify=false|{image}|docker://h:5000/a");
}

static void test_platform(void **state)
{
	struct build_engine engine = buildah;
	struct build_config c = plain();
	struct build_inputs in = inputs;
	char **argv = NULL;

	(void)state;
	snprintf(engine.platform, sizeof(engine.platform), "linux/amd64");
	in.name_platform = true;
	assert_int_equal(build_engine_build(&engine, &c, &in, NULL, &argv), 0);
	expect(argv, BUILD_HEAD
	       "--platform|linux/amd64|--format|oci|--iidfile|/build/iid|--layers=false|--pull=missing|" BUILD_TAIL);
	c.platform = S("linux/arm64");
	assert_int_equal(build_engine_build(&engine, &c, &in, NULL, &argv), 0);
	expect(argv, BUILD_HEAD
	       "--platform|linux/arm64|--format|oci|--iidfile|/build/iid|--layers=false|--pull=missing|" BUILD_TAIL);
}

static void test_keys(void **state)
{
	static const struct build_binds none = { 0 }, context = { true, false }, image = { false, true };
	struct build_engine b = buildah, p = podman;
	struct build_config c = plain();
	struct build_inputs in = inputs;

	(void)state;
	b.major = 1;
	b.minor = 28;
	assert_null(build_engine_lacks_keys(&b, &none));
	assert_string_equal(build_engine_lacks_keys(&b, &context), "buildah 1.39");
	b.minor = 39;
	assert_null(build_engine_lacks_keys(&b, &context));
	assert_string_equal(build_engine_lacks_keys(&b, &image), "buildah 1.44");
	b.minor = 44;
	assert_null(build_engine_lacks_keys(&b, &image));
	p.major = 4;
	p.minor = 9;
	assert_string_equal(build_engine_lacks_keys(&p, &context), "podman 5.4");
	p.major = 5;
	p.minor = 4;
	assert_null(build_engine_lacks_keys(&p, &context));
	assert_string_equal(build_engine_lacks_keys(&p, &image), "podman 6.0");
	in.no_cache = true;
	c.cache_from = S("r/c");
	c.cache_to = S("r/c");
	expect(build(&c, &in),
	       BUILD_HEAD "--format|oci|--iidfile|/build/iid|--layers=true|--no-cache|--pull=missing|" BUILD_TAIL);
}

static void test_others(void **state)
{
	char **argv = NULL;

	(void)state;
	struct build_config config = { .pull = S("newer") };
	struct build_engine cached = podman;

	assert_int_equal(build_engine_pull(&buildah, &config, "x.org/x:1", &argv), 0);
	expect(argv, GLOBAL "pull|--policy|ifnewer|--authfile|/build/auth.json|x.org/x:1");
	cached.cached = true;
	config.platform = S("linux/arm64");
	assert_int_equal(build_engine_pull(&cached, &config, "x.org/x:1", &argv), 0);
	expect(argv, "/usr/bin/podman|--root|/build/root|--runroot|/build/runroot|--storage-driver|vfs|--storage-opt|"
		     "vfs.imagestore=/cache|--cgroup-manager|cgroupfs|pull|--policy|newer|--platform|linux/arm64|"
		     "--authfile|/build/auth.json|x.org/x:1");
	assert_true(build_engine_follows_links(&(struct build_engine){ .major = 1, .minor = 38 }));
	assert_false(build_engine_follows_links(&(struct build_engine){ .major = 1, .minor = 39 }));
	assert_false(build_engine_follows_links(&(struct build_engine){ .is_podman = true, .major = 5, .minor = 4 }));
}

static void test_files(void **state)
{
	char *text = build_engine_policy(true, NULL);

	(void)state;
	assert_string_equal(text, "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}");
	free(text);
	text = build_engine_policy(false, V("r.example.org/team"));
	assert_non_null(strstr(
		text,
		"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{\"r.example.org/team\":[{\"type\":"));
	free(text);
	text = build_engine_policy(false, NULL);
	assert_non_null(strstr(text, "\"docker\":{},"));
	free(text);
}

/* Of newer engines: another word, and limits that they cannot raise. */
static void test_newer(void **state)
{
	struct build_engine engine = { .path = S("/usr/bin/buildah"),
				       .storage_driver = "overlay",
				       .major = 1,
				       .minor = 39,
				       .nofile = 20000,
				       .nproc = 100 };
	struct build_config c = plain();
	char **argv = NULL;

	(void)state;
	c.pull = S("newer");
	c.ulimits = MAP("nproc", "7");
	assert_int_equal(build_engine_build(&engine, &c, &inputs, NULL, &argv), 0);
	expect(argv, BUILD_HEAD "--format|oci|--iidfile|/build/iid|--layers=false|--pull=newer|--authfile|"
				"/build/auth.json|--isolation|chroot|--ulimit|nproc=7|--ulimit|nofile=20000:20000|--|"
				"/alloc/c");
}

static void test_export(void **state)
{
	char **argv = NULL;

	(void)state;
	assert_int_equal(build_engine_export(false, "/alloc/tree", &argv), 0);
	expect(argv, "/bin/cp|--archive|--no-target-directory|--|/build/image/.|/alloc/tree");
	assert_int_equal(build_engine_export(true, "/alloc/t.tar", &argv), 0);
	expect(argv, "/bin/tar|--create|--directory=/build/image|--xattrs|--acls|--numeric-owner|--sort=name|"
		     "--format=pax|--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f|--null|"
		     "--verbatim-files-from|--files-from=/build/names|--file=/alloc/t.tar");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	 cmocka_unit_test(test_newer),	     cmocka_unit_test(test_export),
		cmocka_unit_test(test_result),	 cmocka_unit_test(test_sources),     cmocka_unit_test(test_cache),
		cmocka_unit_test(test_oci),	 cmocka_unit_test(test_destination), cmocka_unit_test(test_write),
		cmocka_unit_test(test_platform), cmocka_unit_test(test_keys),	     cmocka_unit_test(test_others),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("build/engine", tests, NULL, NULL);
}
