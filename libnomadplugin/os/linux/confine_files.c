/* SPDX-License-Identifier: MPL-2.0
 *
 * os/confine.h: the directories of the system become read-only, by Landlock.
 *
 * A rule set is an allow list.  It can only get narrower, and must be set before
 * the first thread.  But each task brings the place of its log pipes.  So the
 * rules allow every possible place: each directory at the root except those of
 * the system.  Directories that are created or mounted at the root later are not
 * allowed. */
#include "os/linux/confine_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nomad/base.h"

/* Of linux/landlock.h, which is younger than some systems that we build on. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
enum { VERSION = 1, PATH_BENEATH = 1 }; /* a flag, a type of rule */
enum {
	WRITE_FILE = 1 << 1,
	REMOVE_DIR = 1 << 4,
	REMOVE_FILE = 1 << 5,
	MAKE_CHAR = 1 << 6,
	MAKE_DIR = 1 << 7,
	MAKE_REG = 1 << 8,
	MAKE_SOCK = 1 << 9,
	MAKE_FIFO = 1 << 10,
	MAKE_BLOCK = 1 << 11,
	MAKE_SYM = 1 << 12,
	REFER = 1 << 13,    /* to another directory; since ABI 2, forbidden if not named */
	TRUNCATE = 1 << 14, /* since ABI 3 */
};

struct rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

static void allow(int rules, int dirfd, const char *path, int flags, uint64_t rights)
{
	NOMAD_AUTO_FD int fd = openat(dirfd, path, O_PATH | O_CLOEXEC | flags);
	struct rule rule = { .allowed = rights, .fd = fd };

	if (fd >= 0)
		(void)syscall(SYS_landlock_add_rule, rules, PATH_BENEATH, &rule, 0);
}

static bool is_of_the_system(const char *name)
{
	static const char *const system[] = { ".",     "..",	"bin",	  "boot", "dev",  "etc", "lib",
					      "lib32", "lib64", "libx32", "proc", "sbin", "sys", "usr" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(system); i++)
		if (strcmp(name, system[i]) == 0)
			return true;
	return false;
}

static bool allow_places(int rules, uint64_t rights)
{
	/* What programs write to at any time; ptmx and pts are terminals of commands. */
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full",
					       "/dev/tty",  "/dev/ptmx", "/dev/pts" };
	const char *extra = getenv("NOMAD_DRIVER_WRITABLE");
	DIR *root = opendir("/");
	struct dirent *entry;

	if (!root)
		return false;
	/* What a symlink leads to is judged by its own place. */
	while ((entry = readdir(root)))
		if (!is_of_the_system(entry->d_name))
			allow(rules, dirfd(root), entry->d_name, O_NOFOLLOW | O_DIRECTORY, rights);
	closedir(root);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(devices); i++)
		allow(rules, AT_FDCWD, devices[i], 0, rights & (WRITE_FILE | TRUNCATE));
	allow(rules, AT_FDCWD, "/dev/shm", O_DIRECTORY, rights);
	while (extra && *extra) {
		size_t n = strcspn(extra, ":");
		NOMAD_AUTO_FREE char *path = strndup(extra, n);

		if (path && *path == '/')
			allow(rules, AT_FDCWD, path, O_DIRECTORY, rights);
		extra += n + (extra[n] == ':');
	}
	return true;
}

bool nomad__confine_files(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION);
	uint64_t rights = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_CHAR | MAKE_DIR | MAKE_REG | MAKE_SOCK |
			  MAKE_FIFO | MAKE_BLOCK | MAKE_SYM;
	NOMAD_AUTO_FD int rules = -1;

	/* The first version forbids to rename from one directory into another. */
	if (abi < 2)
		return false;
	rights |= REFER | (abi >= 3 ? TRUNCATE : 0);
	rules = (int)syscall(SYS_landlock_create_ruleset, &rights, sizeof(rights), 0);
	if (rules < 0 || !allow_places(rules, rights))
		return false;
	return syscall(SYS_landlock_restrict_self, rules, 0) == 0;
}
