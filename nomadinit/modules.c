/* SPDX-License-Identifier: MPL-2.0 */
/* A small modprobe.
 *
 * depmod wrote, at build time:
 *   modules.dep      kernel/a.ko.xz: kernel/b.ko.xz kernel/c.ko.xz    (load c, b, then a)
 *   modules.alias    alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
 *   modules.softdep  softdep ext4 pre: crc32c
 * The image holds few modules, so the tables are a few KiB and are searched as text.
 *
 * Only what the hardware asks for is loaded: xz unpacking in the kernel is the larger part of
 * the early boot on slow machines.  A bus driver brings new devices, so we go round until
 * nothing new turns up.  The files go to finit_module() as they are; a kernel that can, unpacks .xz. */
#include "modules.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "log.h"
#include "util.h"

#define COMPRESSED_FILE 4 /* MODULE_INIT_COMPRESSED_FILE */
#define TABLE_MAX (4 << 20)

static int load_file(const char *path)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = strlen(path);

	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, "", len > 3 && strcmp(path + len - 3, ".ko") == 0 ? 0 : COMPRESSED_FILE) <
		    0 &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

int modules_open_dir(struct modules *m, const char *dir)
{
	char path[256];

	memset(m, 0, sizeof(*m));
	m->load = load_file;
	if (!util_copy(m->dir, sizeof(m->dir), dir))
		return -ENAMETOOLONG;
	snprintf(path, sizeof(path), "%s/modules.dep", dir);
	if (util_read_alloc(path, TABLE_MAX, &m->dep, NULL) < 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/modules.alias", dir);
	if (util_read_alloc(path, TABLE_MAX, &m->alias, NULL) < 0)
		m->alias = NULL;
	snprintf(path, sizeof(path), "%s/modules.softdep", dir);
	if (util_read_alloc(path, TABLE_MAX, &m->softdep, NULL) < 0)
		m->softdep = NULL;
	return 0;
}

int modules_open(struct modules *m, const char *root)
{
	struct utsname u;
	char dir[192];

	uname(&u);
	snprintf(dir, sizeof(dir), "%s/lib/modules/%s", root, u.release);
	return modules_open_dir(m, dir);
}

void modules_close(struct modules *m)
{
	free(m->dep);
	free(m->alias);
	free(m->softdep);
	free(m->loaded);
	memset(m, 0, sizeof(*m));
}

/* The module's name of a path: "kernel/fs/nls/nls_cp437.ko.xz" -> "nls_cp437"; '-' and '_' are alike. */
static void name_of(const char *path, size_t len, char *name, size_t size)
{
	size_t i, start = 0;

	for (i = 0; i < len; i++)
		if (path[i] == '/')
			start = i + 1;
	for (i = 0; start + i < len && path[start + i] != '.' && i + 1 < size; i++)
		name[i] = path[start + i] == '-' ? '_' : path[start + i];
	name[i] = '\0';
}

static bool is_loaded(const struct modules *m, const char *name)
{
	const char *p = m->loaded;
	size_t len = strlen(name);

	while (p && (p = strstr(p, name))) {
		if ((p == m->loaded || p[-1] == '\n') && p[len] == '\n')
			return true;
		p += len;
	}
	return false;
}

static void mark_loaded(struct modules *m, const char *name)
{
	size_t len = strlen(name);
	char *bigger;

	if (m->loaded_len + len + 2 > m->loaded_size) {
		bigger = realloc(m->loaded, m->loaded_size + len + 1024);
		if (!bigger)
			return; /* it will be loaded twice, which the kernel refuses politely */
		m->loaded = bigger;
		m->loaded_size += len + 1024;
	}
	memcpy(m->loaded + m->loaded_len, name, len);
	memcpy(m->loaded + m->loaded_len + len, "\n", 2);
	m->loaded_len += len + 1;
}

static int load_path(struct modules *m, const char *path, size_t len)
{
	char full[512], name[64];
	int r;

	name_of(path, len, name, sizeof(name));
	if (is_loaded(m, name))
		return 0;
	if ((size_t)snprintf(full, sizeof(full), "%s/%.*s", m->dir, (int)len, path) >= sizeof(full))
		return -ENAMETOOLONG;
	r = m->load(full);
	mark_loaded(m, name);
	return r;
}

bool modules_match(const char *pattern, const char *text)
{
	const char *star = NULL, *again = NULL;

	for (;;) {
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
			continue;
		}
		if (*pattern == '[' && *text) {
			bool hit = false;
			const char *p = pattern + 1;

			for (; *p && *p != ']'; p++) {
				if (p[1] == '-' && p[2] && p[2] != ']') {
					hit |= *text >= p[0] && *text <= p[2];
					p += 2;
				} else {
					hit |= *p == *text;
				}
			}
			if (hit && *p) {
				pattern = p + 1;
				text++;
				continue;
			}
		} else if (*text && (*pattern == '?' || *pattern == *text)) {
			pattern++;
			text++;
			continue;
		} else if (!*text && !*pattern) {
			return true;
		}
		/* A dead end: let the last star take one character more. */
		if (!star || !*again)
			return false;
		pattern = star;
		text = ++again;
	}
}

/* The next word of a line, "" at its end. */
static const char *next_word(const char *p, const char *end, char *word, size_t size)
{
	size_t n = 0;

	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p != ' '; p++)
		if (n + 1 < size)
			word[n++] = *p;
	word[n] = '\0';
	return p;
}

static int load_resolved(struct modules *m, const char *name, int depth);

static void load_softdeps(struct modules *m, const char *name, int depth)
{
	const char *line, *end, *p;
	size_t len = strlen(name);
	char word[64];

	for (line = m->softdep; line && *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (strncmp(line, "softdep ", 8) != 0 || strncmp(line + 8, name, len) != 0 || line[8 + len] != ' ')
			continue;
		p = next_word(line + 8 + len, end, word, sizeof(word));
		for (; word[0] && strcmp(word, "post:") != 0; p = next_word(p, end, word, sizeof(word)))
			if (strcmp(word, "pre:") != 0)
				load_resolved(m, word, depth + 1);
	}
}

/* By exact name; -ENOENT if modules.dep does not have it. */
static int load_named(struct modules *m, const char *wanted, int depth)
{
	const char *line, *end, *colon, *p;
	char name[64], have[64];
	int r = 0, r2;

	name_of(wanted, strlen(wanted), name, sizeof(name));
	for (line = m->dep; line && *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		colon = memchr(line, ':', (size_t)(end - line));
		if (!colon)
			continue;
		name_of(line, (size_t)(colon - line), have, sizeof(have));
		if (strcmp(have, name) != 0)
			continue;
		if (is_loaded(m, name))
			return 0;
		load_softdeps(m, name, depth);
		/* What must be loaded first stands last. */
		for (p = end; p > colon + 1;) {
			const char *stop = p;

			while (p > colon + 1 && p[-1] != ' ')
				p--;
			if (stop > p) {
				name_of(p, (size_t)(stop - p), have, sizeof(have));
				if (!is_loaded(m, have)) {
					load_softdeps(m, have, depth);
					r2 = load_path(m, p, (size_t)(stop - p));
					if (r2 < 0)
						r = r2;
				}
			}
			while (p > colon + 1 && p[-1] == ' ')
				p--;
		}
		r2 = load_path(m, line, (size_t)(colon - line));
		return r2 < 0 ? r2 : r;
	}
	return -ENOENT;
}

static int load_alias(struct modules *m, const char *wanted, int depth)
{
	const char *line, *end, *p;
	char pattern[512], name[64];
	int r = -ENOENT, r2;

	for (line = m->alias; line && *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (strncmp(line, "alias ", 6) != 0)
			continue;
		p = next_word(line + 6, end, pattern, sizeof(pattern));
		if (!modules_match(pattern, wanted))
			continue;
		next_word(p, end, name, sizeof(name));
		r2 = load_named(m, name, depth);
		if (r == -ENOENT || r2 == 0)
			r = r2;
	}
	return r;
}

static int load_resolved(struct modules *m, const char *name, int depth)
{
	int r;

	if (depth > 8)
		return -ELOOP;
	r = load_named(m, name, depth);
	return r == -ENOENT ? load_alias(m, name, depth) : r;
}

int modules_load(struct modules *m, const char *name)
{
	return load_resolved(m, name, 0);
}

/* Each bus has its devices as links; a device says in `modalias` what drives it. */
static void load_for_bus(struct modules *m, const char *bus)
{
	char path[600], alias[512];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/%s/devices", bus);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/modalias", bus, d->d_name);
		if (d->d_name[0] != '.' && util_read_line(path, alias, sizeof(alias)) > 0)
			load_alias(m, alias, 0);
	}
	if (dir)
		closedir(dir);
}

int modules_load_hardware(struct modules *m)
{
	size_t before, start = m->loaded_len;
	struct dirent *d;
	int n = 0;
	DIR *dir;

	do {
		before = m->loaded_len;
		dir = opendir("/sys/bus");
		while (dir && (d = readdir(dir)))
			if (d->d_name[0] != '.')
				load_for_bus(m, d->d_name);
		if (dir)
			closedir(dir);
	} while (m->loaded_len != before);
	for (before = start; before < m->loaded_len; before++)
		n += m->loaded[before] == '\n';
	return n;
}

void modules_load_named(char *const *names)
{
	struct modules m;
	int r;

	if (!names || modules_open(&m, "") < 0)
		return;
	for (; *names; names++) {
		r = modules_load(&m, *names);
		if (r < 0)
			log_warn("cannot load the module '%s': %s", *names,
				 r == -ENOENT ? "it is not in the image" : strerror(-r));
	}
	modules_close(&m);
}

int modules_main(int argc, char **argv)
{
	struct modules m;
	int i, r, status = 0;

	r = modules_open(&m, "");
	if (r < 0)
		return 1;
	for (i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		r = modules_load(&m, argv[i]);
		if (r < 0)
			status = 1;
	}
	modules_close(&m);
	return status;
}
