/* SPDX-License-Identifier: MPL-2.0
 *
 * The socket that the host connects to, and the line that tells it where.
 * The names and variables are go-plugin's. */
#include "wire/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 16,
	NAME_TRIES = 100,
	GROUP_BUFFER = 65536,
};

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int find_group(const char *name, gid_t *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *buffer = malloc(GROUP_BUFFER);
	struct group group, *found = NULL;
	unsigned long number;
	char *end;

	if (!buffer)
		return nomad_error_errno(err, ENOMEM, "look up group '%s'", name);
	if (getgrnam_r(name, &group, buffer, GROUP_BUFFER, &found) == 0 && found) {
		*ret = found->gr_gid;
		return 0;
	}
	errno = 0;
	number = strtoul(name, &end, 10);
	if (errno != 0 || *end || *name < '0' || *name > '9' || number >= UINT32_MAX)
		return nomad_error_set(err, EINVAL, "PLUGIN_UNIX_SOCKET_GROUP: no group '%s'", name);
	*ret = (gid_t)number;
	return 0;
}

static int open_to_group(const char *path, struct nomad_error **err)
{
	const char *name = variable("PLUGIN_UNIX_SOCKET_GROUP");
	gid_t gid = 0;
	int r;

	if (!name)
		return 0;
	r = find_group(name, &gid, err);
	if (r < 0)
		return r;
	if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0660) < 0)
		return nomad_error_errno(err, errno, "give the socket '%s' to group '%s'", path, name);
	return 0;
}

int nomad__socket_listen_at(const char *path, int *ret_fd, struct nomad_error **err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	NOMAD_AUTO_FD int fd = -1;
	mode_t mask;
	int r;

	if (strlen(path) > NOMAD__SOCKET_PATH_MAX)
		return nomad_error_set(err, ENAMETOOLONG,
				       "socket path '%s' has more than %d characters: set TMPDIR or "
				       "PLUGIN_UNIX_SOCKET_DIR to a shorter directory",
				       path, NOMAD__SOCKET_PATH_MAX);
	if (strpbrk(path, "|\r\n")) /* it would break the handshake line */
		return nomad_error_set(err, EINVAL,
				       "socket path has a '|' or a line break: set TMPDIR or PLUGIN_UNIX_SOCKET_DIR to "
				       "another directory");
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return nomad_error_errno(err, errno, "make a socket");

	/* Private from the start: no other user can connect before a chmod(). */
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return nomad_error_errno(err, -r, "bind socket '%s'", path);
	r = open_to_group(path, err);
	if (r >= 0 && listen(fd, BACKLOG) < 0)
		r = nomad_error_errno(err, errno, "listen on socket '%s'", path);
	if (r < 0) {
		(void)unlink(path);
		return r;
	}
	*ret_fd = NOMAD_TAKE_FD(fd);
	return 0;
}

static int random_number(uint32_t *ret)
{
	NOMAD_AUTO_FD int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, ret, sizeof(*ret)) == sizeof(*ret) ? 0 : -EIO;
}

int nomad__socket_listen(char **ret_path, int *ret_fd, struct nomad_error **err)
{
	const char *dir = variable("PLUGIN_UNIX_SOCKET_DIR");

	if (!dir)
		dir = variable("TMPDIR");
	if (!dir)
		dir = "/tmp";
	for (int i = 0; i < NAME_TRIES; i++) {
		NOMAD_AUTO_ERROR struct nomad_error *e = NULL;
		NOMAD_AUTO_FREE char *path = NULL;
		uint32_t number = 0;
		int r;

		if (random_number(&number) < 0)
			number = (uint32_t)getpid() * 1000u + (uint32_t)i;
		path = nomad_strdupf("%s/plugin%010u", dir, (unsigned)number);
		if (!path)
			return nomad_error_errno(err, ENOMEM, "name the socket");
		r = nomad__socket_listen_at(path, ret_fd, &e);
		if (r == -EADDRINUSE)
			continue;
		if (r < 0) {
			if (err)
				*err = NOMAD_TAKE_PTR(e);
			return r;
		}
		*ret_path = NOMAD_TAKE_PTR(path);
		return 0;
	}
	return nomad_error_set(err, EADDRINUSE, "find a free socket name in '%s'", dir);
}

bool nomad__handshake_has_version(const char *list, int version)
{
	if (!list || !*list)
		return true;
	for (const char *p = list; *p;) {
		char *end;
		long number = strtol(p, &end, 10);

		if (end != p && (*end == ',' || !*end) && number == version)
			return true;
		p += strcspn(p, ",");
		p += *p == ',';
	}
	return false;
}

char *nomad__handshake_line(const char *path, const char *multiplex)
{
	/* core version, application version, network, address, protocol,
	 * certificate.  Old hosts take all behind the fifth bar for the
	 * certificate, so the seventh is only for one that asked. */
	return nomad_strdupf("1|2|unix|%s|grpc|%s\n", path, multiplex && *multiplex ? "|false" : "");
}
