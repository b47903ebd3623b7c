/* SPDX-License-Identifier: MPL-2.0
 *
 * What a node runs, by files as binfmt_misc has them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine.h"

static char dir[] = "/tmp/platforms_test.XXXXXX";
static char path[64];

static void put(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

#define HANDLER(state, flags, offset, magic)                                                                           \
	state "\ninterpreter /usr/libexec/qemu-binfmt/x\nflags: " flags "\noffset " offset "\nmagic " magic            \
	      "\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
#define ARM64 "7f454c460201010000000000000000000200b700"
#define S390X "7f454c4602020100000000000000000000020016"

static void lacks(const char *platform, const char *node, const char *want)
{
	const char *why = build_platform_lacks(dir, platform, node);

	if (want ? !why || !strstr(why, want) : why != NULL)
		fail_msg("%s on %s: %s", platform, node, why ? why : "runs");
}

static void test_native(void **state)
{
	(void)state;
	lacks("linux/amd64", "linux/amd64", NULL);
	lacks("linux/amd64/v2", "linux/amd64", NULL);
	lacks("linux/386", "linux/amd64", NULL);
	lacks("linux/arm/v7", "linux/arm64", NULL);
	lacks("linux/amd64", "linux/386", "no interpreter");
	lacks("linux/arm64", "linux/amd64", "no interpreter");
	lacks("windows/amd64", "linux/amd64", "not Linux");
	lacks("linux/vax", "linux/amd64", NULL);
	lacks("linux/arm64", "", NULL);
}

static void test_handlers(void **state)
{
	static const char *const useless[] = { "",
					       "enabled\n",
					       "enabled\nflags: F\noffset 0\nmagic 7f45\n",
					       HANDLER("disabled", "F", "0", ARM64),
					       HANDLER("enabled", "F", "2", ARM64),
					       HANDLER("enabled", "F", "0", S390X),
					       HANDLER("enabled", "F", "0", "zz" ARM64) };
	char *list;

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(useless); i++) {
		put(useless[i]);
		lacks("linux/arm64", "linux/amd64", "no interpreter");
	}
	put(HANDLER("enabled", "OC", "0", ARM64));
	lacks("linux/arm64", "linux/amd64", "lacks the flag F");
	put(HANDLER("enabled", "OCF", "0", ARM64));
	lacks("linux/arm64/v8", "linux/amd64", NULL);
	lacks("linux/s390x", "linux/amd64", "no interpreter");
	list = build_platforms_of(dir, "linux/amd64");
	assert_string_equal(list, "linux/amd64,linux/arm64,linux/386");
	free(list);
	put(HANDLER("enabled", "F", "0", S390X));
	lacks("linux/s390x", "linux/amd64", NULL);
	list = build_platforms_of("/nonexistent", "linux/s390x");
	assert_string_equal(list, "linux/s390x");
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_native), cmocka_unit_test(test_handlers) };
	int r;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/handler", dir);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return r;
}
