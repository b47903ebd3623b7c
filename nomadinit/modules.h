/* SPDX-License-Identifier: MPL-2.0 */
/* Kernel modules, from depmod's text files: by name, by alias, and for all hardware that is there. */
#ifndef NOMADINIT_MODULES_H
#define NOMADINIT_MODULES_H

#include <stdbool.h>
#include <stddef.h>

struct modules {
	char dir[192]; /* /lib/modules/VERSION */
	char *dep, *alias, *softdep;
	char *loaded; /* names this table has seen to, one per line */
	size_t loaded_len, loaded_size;
	/* Loads one file; replaced by tests. */
	int (*load)(const char *path);
};

/* Read the tables of the running kernel below root ("" for /).  -ENOENT if there are none. */
int modules_open(struct modules *m, const char *root);
int modules_open_dir(struct modules *m, const char *dir);
void modules_close(struct modules *m);
/* Load a module by name or alias, with what it depends on.  -ENOENT if nothing matches. */
int modules_load(struct modules *m, const char *name);
/* Load those that the configuration names, and say which could not be (names may be NULL). */
void modules_load_named(char *const *names);
/* Load what the devices in /sys ask for, until no new ones appear.  Returns how many modules were loaded. */
int modules_load_hardware(struct modules *m);
/* Does an alias pattern (with *, ? and [a-z]) match?  libc's fnmatch() would bring its locales along. */
bool modules_match(const char *pattern, const char *text);
/* `modprobe [-q] [--] NAME...`, which the kernel calls. */
int modules_main(int argc, char **argv);

#endif
