/* SPDX-License-Identifier: MPL-2.0
 *
 * The frames of logs and of exec without a tty, taken apart.
 */
#include <errno.h>

#include "docker.h"

int triton_demux_feed(struct triton_demux *demux, const void *data, size_t size,
		      void (*out)(void *ud, int fd, const void *data, size_t size), void *ud)
{
	const unsigned char *at = data;

	if (demux->raw) {
		if (size)
			out(ud, 1, data, size);
		return 0;
	}
	while (size) {
		if (!demux->left) {
			demux->head[demux->head_size++] = *at++;
			size--;
			if (demux->head_size < sizeof(demux->head))
				continue;
			demux->head_size = 0;
			if (demux->head[0] > 2 || demux->head[1] || demux->head[2] || demux->head[3])
				return -EPROTO;
			demux->fd = demux->head[0] == 2 ? 2 : 1;
			demux->left = (uint32_t)demux->head[4] << 24 | (uint32_t)demux->head[5] << 16 |
				      (uint32_t)demux->head[6] << 8 | demux->head[7];
		} else {
			size_t n = size < demux->left ? size : demux->left;

			out(ud, demux->fd, at, n);
			at += n;
			size -= n;
			demux->left -= (uint32_t)n;
		}
	}
	return 0;
}
