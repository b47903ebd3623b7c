/* SPDX-License-Identifier: MPL-2.0 */
#include "os/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fields.h"

int nomad__netns_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

int nomad__netns_enter_of(int pid)
{
	char path[64];
	struct nomad__text t;
	struct stat theirs, ours;
	int fd, r;

	nomad__text_init(&t, path, sizeof(path));
	nomad__text_add(&t, "/proc/");
	nomad__text_num(&t, pid);
	nomad__text_add(&t, "/ns/net");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fstat(fd, &theirs) < 0 || stat("/proc/self/ns/net", &ours) < 0 ? -errno : 0;
	if (r >= 0 && (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev))
		r = nomad__netns_enter(fd);
	close(fd);
	return r;
}
