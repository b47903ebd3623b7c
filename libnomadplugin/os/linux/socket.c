/* SPDX-License-Identifier: MPL-2.0
 *
 * os/socket.h: a name in a directory is reached through /proc/self/fd. */
#include "os/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "base/fields.h"

static int address(int dirfd, const char *name, struct sockaddr_un *ret)
{
	struct nomad__text t;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	nomad__text_init(&t, ret->sun_path, sizeof(ret->sun_path));
	nomad__text_add(&t, "/proc/self/fd/");
	nomad__text_num(&t, dirfd);
	nomad__text_add(&t, "/");
	nomad__text_add(&t, name);
	return t.full ? -ENAMETOOLONG : 0;
}

int nomad__unix_bind_at(int fd, int dirfd, const char *name)
{
	struct sockaddr_un sa;
	int r = address(dirfd, name, &sa);

	return r < 0 ? r : bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

int nomad__unix_connect_at(int fd, int dirfd, const char *name)
{
	struct sockaddr_un sa;
	int r = address(dirfd, name, &sa);

	return r < 0 ? r : connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

int nomad__unix_peer(int fd, uid_t *ret_uid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	*ret_uid = peer.uid;
	return 0;
}

int nomad__unix_want_sender(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

void nomad__unix_sender(const struct cmsghdr *c, int *ret_pid)
{
	struct ucred cred;

	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
		return;
	memcpy(&cred, CMSG_DATA(c), sizeof(cred));
	*ret_pid = cred.pid;
}
