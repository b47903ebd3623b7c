/* SPDX-License-Identifier: MPL-2.0 */
#include "supervisor/records.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fields.h"

int nomad__task_dir_open(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int nomad__exit_parse(const char *buf, size_t size, struct nomad__supervisor_exit *ret)
{
	if (nomad__fields_get_num(buf, size, "exit_code", -1) < 0)
		return -EBADMSG;
	*ret = (struct nomad__supervisor_exit){
		.exit_code = (int)nomad__fields_get_num(buf, size, "exit_code", 0),
		.signal = (int)nomad__fields_get_num(buf, size, "signal", 0),
		.oom_killed = nomad__fields_get_num(buf, size, "oom_killed", 0) != 0,
		.killed = nomad__fields_get_num(buf, size, "killed", 0) != 0,
		.started_ns = nomad__fields_get_num(buf, size, "started_ns", 0),
		.ended_ns = nomad__fields_get_num(buf, size, "ended_ns", 0),
		.user_ns = nomad__fields_get_num(buf, size, "user_ns", 0),
		.system_ns = nomad__fields_get_num(buf, size, "system_ns", 0),
		.max_rss_bytes = nomad__fields_get_num(buf, size, "max_rss_bytes", 0),
		.lost_bytes = { nomad__fields_get_num(buf, size, "lost_stdout", 0),
				nomad__fields_get_num(buf, size, "lost_stderr", 0) },
	};
	return 0;
}

/* A record that is whole, but has not got its name: after a power cut, or as the supervisor was killed just then.
 * Whoever reads it may tell it, so it is on the disk on return. */
static ssize_t read_nameless_exit(int dirfd, char *buf, size_t size)
{
	ssize_t n = nomad__fields_read(dirfd, ".exit.new", buf, size);
	int fd;

	if (n < 0 || !nomad__fields_is_sealed(buf, (size_t)n))
		return -ENOENT;
	fd = openat(dirfd, ".exit.new", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	return n;
}

int nomad__exit_read(int dirfd, struct nomad__supervisor_exit *ret)
{
	char buf[4096];
	ssize_t n = nomad__fields_read(dirfd, "exit", buf, sizeof(buf));

	if (n == -ENOENT)
		n = read_nameless_exit(dirfd, buf, sizeof(buf));
	if (n == -ENOENT) /* it may have got its name between the two looks */
		n = nomad__fields_read(dirfd, "exit", buf, sizeof(buf));
	return n < 0 ? (int)n : nomad__exit_parse(buf, (size_t)n, ret);
}

int nomad__cgroups_read(int dirfd, struct nomad__cgroup *ret)
{
	char buf[8192];
	ssize_t n = nomad__fields_read(dirfd, "cgroups", buf, sizeof(buf));
	const char *s;
	size_t pos = 0;
	int count = 0;

	if (n < 0 && n != -ENOENT)
		return (int)n;
	while (n > 0 && count < NOMAD__MAX_CGROUPS && (s = nomad__fields_next(buf, (size_t)n, "cg", &pos)))
		if (nomad__cgroup_parse(s, &ret[count]) >= 0)
			count++;
	return count;
}
