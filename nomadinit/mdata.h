/* SPDX-License-Identifier: MPL-2.0 */
/* Triton's mdata protocol, version 2, on a serial port: frames "V2 LENGTH CRC REQUEST-ID WORD [BASE64]\n". */
#ifndef NOMADINIT_MDATA_H
#define NOMADINIT_MDATA_H

#include <stddef.h>
#include <stdint.h>

#define MDATA_FRAME_MAX (CLOUD_USERDATA_MAX / 3 * 4 + 256)

/* Writes a request into fresh memory; returns its length or -ENOMEM. */
int mdata_format(uint32_t id, const char *command, const char *argument, char **ret);
/* Reads a line that should answer request `id`.  Returns 0 with the decoded value in fresh memory, -ENOENT for
 * NOTFOUND, -EBADMSG for a frame that is damaged or answers something else. */
int mdata_parse(const char *line, size_t len, uint32_t id, char **ret, size_t *ret_len);

#endif
