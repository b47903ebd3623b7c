/* SPDX-License-Identifier: MPL-2.0
 *
 * os/terminal.h with pts(4). */
#include "os/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int nomad__terminal_open(int ret[2])
{
	char name[128];
	int r;

	ret[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ret[0] < 0)
		return -errno;
	ret[1] = -1;
	r = grantpt(ret[0]) < 0 || unlockpt(ret[0]) < 0 || fcntl(ret[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r >= 0)
		r = -ptsname_r(ret[0], name, sizeof(name));
	if (r >= 0)
		ret[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (r >= 0 && ret[1] < 0)
		r = -errno;
	if (r < 0)
		close(ret[0]);
	return r;
}

int nomad__terminal_take(void)
{
	return ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
}
