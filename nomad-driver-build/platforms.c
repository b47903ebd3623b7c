/* SPDX-License-Identifier: MPL-2.0
 *
 * Which platforms' programs run on this node: its own, and those for which
 * binfmt_misc has an interpreter with flag F, which the kernel has open.
 * Without the flag it would look for the interpreter in the jail. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

enum { MAGIC_MIN = 20 };

/* What stands in the head of a program: bits, order of bytes, machine. */
static const struct arch {
	const char *name;
	unsigned char class, data;
	unsigned machine;
} archs[] = { { "amd64", 2, 1, 62 },	{ "arm64", 2, 1, 183 },	  { "arm", 1, 1, 40 },
	      { "386", 1, 1, 3 },	{ "ppc64le", 2, 1, 21 },  { "s390x", 2, 2, 22 },
	      { "riscv64", 2, 1, 243 }, { "loong64", 2, 1, 258 }, { "mips64le", 2, 1, 8 } };

/* "linux/arm/v7": arm */
static const struct arch *arch_of(const char *platform)
{
	const char *name = strncmp(platform, "linux/", 6) == 0 ? platform + 6 : "";
	size_t n = strcspn(name, "/");

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(archs); i++)
		if (strlen(archs[i].name) == n && strncmp(name, archs[i].name, n) == 0)
			return &archs[i];
	return NULL;
}

static bool is_native(const struct arch *arch, const struct arch *node)
{
	return arch == node || (strcmp(node->name, "amd64") == 0 && strcmp(arch->name, "386") == 0) ||
	       (strcmp(node->name, "arm64") == 0 && strcmp(arch->name, "arm") == 0);
}

static bool is_of(const struct arch *arch, const char *hex)
{
	unsigned char magic[MAGIC_MIN];
	unsigned machine;

	for (size_t i = 0; i < MAGIC_MIN; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &magic[i]) != 1)
			return false;
	machine = magic[5] == 2 ? (unsigned)magic[18] << 8 | magic[19] : (unsigned)magic[19] << 8 | magic[18];
	return memcmp(magic, "\177ELF", 4) == 0 && magic[4] == arch->class && magic[5] == arch->data &&
	       machine == arch->machine;
}

/* A file of binfmt_misc: "enabled", "interpreter PATH", "flags: OCF", "offset 0", "magic HEX". */
static bool takes(const char *text, const struct arch *arch, bool *fixed)
{
	const char *flags = strstr(text, "\nflags: "), *magic = strstr(text, "\nmagic ");

	*fixed = flags && memchr(flags + 8, 'F', strcspn(flags + 8, "\n"));
	return strncmp(text, "enabled\n", 8) == 0 && strstr(text, "\noffset 0\n") && magic && is_of(arch, magic + 7);
}

/* 1: with flag F; 0: without; -1: none. */
static int find_handler(const char *dir, const struct arch *arch)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int found = -1;

	while (d && found < 1 && (entry = readdir(d))) {
		NOMAD_AUTO_FD int fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		char text[4096];
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		bool fixed;

		text[n > 0 ? n : 0] = 0;
		if (takes(text, arch, &fixed))
			found = fixed;
	}
	if (d)
		closedir(d);
	return found;
}

const char *build_platform_lacks(const char *dir, const char *platform, const char *node)
{
	const struct arch *arch = arch_of(platform), *own = arch_of(node);
	int handler;

	if (!arch || !own)
		return strncmp(platform, "linux/", 6) == 0 ? NULL : "it is not Linux"; /* the engine knows more */
	if (is_native(arch, own))
		return NULL;
	handler = find_handler(dir, arch);
	return handler > 0 ? NULL
	       : handler   ? "binfmt_misc has no interpreter for it; install the package qemu-user-static"
			 : "the interpreter that binfmt_misc has for it lacks the flag F, and the build cannot see it; "
			   "install the package qemu-user-static";
}

char *build_platforms_of(const char *dir, const char *node)
{
	char *list = strdup(node);

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(archs) && list; i++) {
		NOMAD_AUTO_FREE char *name = nomad_strdupf("linux/%s", archs[i].name);
		char *longer;

		if (!name || &archs[i] == arch_of(node) || build_platform_lacks(dir, name, node))
			continue;
		longer = nomad_strdupf("%s,%s", list, name);
		free(list);
		list = longer;
	}
	return list;
}
