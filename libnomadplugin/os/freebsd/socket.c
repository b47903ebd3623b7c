/* SPDX-License-Identifier: MPL-2.0
 *
 * os/socket.h: a name in a directory is reached by bindat(2) and connectat(2). */
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static int address(const char *name, struct sockaddr_un *ret)
{
	if (strlen(name) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	strcpy(ret->sun_path, name);
	ret->sun_len = (unsigned char)SUN_LEN(ret);
	return 0;
}

int nomad__unix_bind_at(int fd, int dirfd, const char *name)
{
	struct sockaddr_un sa;
	int r = address(name, &sa);

	return r < 0 ? r : bindat(dirfd, fd, (struct sockaddr *)&sa, (socklen_t)SUN_LEN(&sa)) < 0 ? -errno : 0;
}

int nomad__unix_connect_at(int fd, int dirfd, const char *name)
{
	struct sockaddr_un sa;
	int r = address(name, &sa);

	return r < 0 ? r : connectat(dirfd, fd, (struct sockaddr *)&sa, (socklen_t)SUN_LEN(&sa)) < 0 ? -errno : 0;
}

int nomad__unix_peer(int fd, uid_t *ret_uid)
{
	gid_t gid;

	return getpeereid(fd, ret_uid, &gid) < 0 ? -errno : 0;
}

int nomad__unix_want_sender(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_LOCAL, LOCAL_CREDS_PERSISTENT, &on, sizeof(on)) < 0 ? -errno : 0;
}

void nomad__unix_sender(const struct cmsghdr *c, int *ret_pid)
{
	struct sockcred2 cred;

	if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDS2)
		return;
	memcpy(&cred, CMSG_DATA(c), sizeof(cred));
	*ret_pid = cred.sc_pid;
}
