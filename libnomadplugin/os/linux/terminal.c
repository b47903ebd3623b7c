/* SPDX-License-Identifier: MPL-2.0
 *
 * os/terminal.h with devpts: the peer is opened from the master, not by a path. */
#include "os/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

int nomad__terminal_open(int ret[2])
{
	int unlock = 0;

	ret[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (ret[0] < 0)
		return -errno;
	ret[1] =
		ioctl(ret[0], TIOCSPTLCK, &unlock) < 0 ? -1 : ioctl(ret[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ret[1] >= 0)
		return 0;
	unlock = errno;
	close(ret[0]);
	return -unlock;
}

int nomad__terminal_take(void)
{
	return ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
}
