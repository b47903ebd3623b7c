/* SPDX-License-Identifier: MPL-2.0 */
/* Mount points of the node.
 *
 * The root is read-only.  What must be writable is memory (/run, /tmp) or on the
 * state partition (/state, and /var as a part of it).  cgroup2 sits where Nomad looks
 * for it; as the root group's owner Nomad enables the controllers that it wants, but we
 * enable them as well, so that system jobs' drivers find them whoever comes first. */
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "log.h"
#include "util.h"

struct row {
	const char *type, *point, *options;
	unsigned long flags;
	bool in_container;
};

static const struct row early[] = {
	{ "devtmpfs", "/dev", "mode=755,size=4m", MS_NOSUID | MS_NOEXEC, false },
	{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true },
	{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true },
};
static const struct row late[] = {
	{ "tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV, true },
	{ "tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV, true },
	{ "devpts", "/dev/pts", "mode=620,gid=5,ptmxmode=666", MS_NOSUID | MS_NOEXEC, false },
	{ "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, false },
	{ "cgroup2", "/sys/fs/cgroup", "nsdelegate,memory_recursiveprot", MS_NOSUID | MS_NODEV | MS_NOEXEC, true },
	{ "bpf", "/sys/fs/bpf", "mode=700", MS_NOSUID | MS_NODEV | MS_NOEXEC, false },
	{ "securityfs", "/sys/kernel/security", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false },
};

static int mount_row(const struct row *row)
{
	int r;

	mkdir(row->point, 0755);
	r = mount(row->type, row->point, row->type, row->flags, row->options) < 0 ? -errno : 0;
	/* Older kernels do not know every option of cgroup2. */
	if (r == -EINVAL && row->options)
		r = mount(row->type, row->point, row->type, row->flags, NULL) < 0 ? -errno : 0;
	return r == -EBUSY ? 0 : r;
}

int mounts_early(void)
{
	size_t i;
	int r, first = 0;

	for (i = 0; i < NOMAD_ARRAY_LEN(early); i++) {
		r = mount_row(&early[i]);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static void delegate_controllers(void)
{
	char have[256], knob[64], *name, *save = NULL;

	if (util_read_line("/sys/fs/cgroup/cgroup.controllers", have, sizeof(have)) <= 0) {
		log_warn("cgroup2 offers no controllers; is something else holding them (cgroup v1)?");
		return;
	}
	for (name = strtok_r(have, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		snprintf(knob, sizeof(knob), "+%s", name);
		if (util_write_knob("/sys/fs/cgroup/cgroup.subtree_control", knob) < 0)
			log_warn("cannot delegate cgroup controller '%s': %s", name, strerror(errno));
	}
}

void mounts_late(bool in_container)
{
	size_t i;
	int r;

	for (i = 0; i < NOMAD_ARRAY_LEN(late); i++) {
		if (in_container && !late[i].in_container)
			continue;
		r = mount_row(&late[i]);
		if (r < 0)
			log_warn("cannot mount %s on '%s': %s", late[i].type, late[i].point, strerror(-r));
	}
	delegate_controllers();
	/* A root that is shared lets containers' mounts be seen where drivers expect it. */
	mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
}

void mounts_unescape(char *path)
{
	char *out = path;

	for (; *path; path++) {
		if (path[0] == '\\' && path[1] >= '0' && path[1] <= '3' && path[2] >= '0' && path[2] <= '7' &&
		    path[3] >= '0' && path[3] <= '7') {
			*out++ = (char)((path[1] - '0') * 64 + (path[2] - '0') * 8 + (path[3] - '0'));
			path += 3;
		} else {
			*out++ = *path;
		}
	}
	*out = '\0';
}

bool mounts_parse_line(char *line, char **ret_point, char **ret_type, char **ret_source)
{
	char *save = NULL, *word;
	int i;

	word = strtok_r(line, " ", &save);
	for (i = 0; i < 4 && word; i++)
		word = strtok_r(NULL, " ", &save);
	if (!word)
		return false;
	*ret_point = word;
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " ", &save);
	*ret_type = strtok_r(NULL, " ", &save);
	*ret_source = strtok_r(NULL, " ", &save);
	if (!word || !*ret_type || !*ret_source)
		return false;
	mounts_unescape(*ret_point);
	mounts_unescape(*ret_source);
	return true;
}

static bool is_kernels_own(const char *point, const char *type)
{
	static const char *const keep[] = { "/", "/proc", "/sys", "/dev", "/run" };
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(keep); i++)
		if (strcmp(point, keep[i]) == 0)
			return true;
	return strncmp(point, "/sys/", 5) == 0 || strncmp(point, "/dev/", 5) == 0 || strncmp(point, "/proc/", 6) == 0 ||
	       strcmp(type, "rootfs") == 0;
}

int mounts_take_down(const char *below)
{
	char *text = NULL, *line, *save = NULL, *point, *type, *source;
	size_t len = strlen(below), n = 0, i;
	char *points[1024];
	int left = 0;

	if (util_read_alloc("/proc/self/mountinfo", 4 << 20, &text, NULL) < 0)
		return -1;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!mounts_parse_line(line, &point, &type, &source))
			continue;
		if (is_kernels_own(point, type) ||
		    (len && (strncmp(point, below, len) != 0 || (point[len] && point[len] != '/'))))
			continue;
		if (n == NOMAD_ARRAY_LEN(points)) {
			memmove(points, points + 1, sizeof(points) - sizeof(points[0]));
			n--;
		}
		points[n++] = point;
	}
	for (i = n; i-- > 0;) {
		if (umount2(points[i], UMOUNT_NOFOLLOW) == 0)
			continue;
		left++;
		if (errno == EBUSY)
			mount(NULL, points[i], NULL, MS_REMOUNT | MS_RDONLY, NULL);
	}
	free(text);
	return left;
}
