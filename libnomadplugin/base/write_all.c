/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad_write_all() of nomad/base.h.  No allocation: the supervisor program
 * and nomadinit use this too. */
#include "nomad/base.h"

#include <errno.h>
#include <unistd.h>

int nomad_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}
