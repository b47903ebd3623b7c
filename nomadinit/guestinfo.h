/* SPDX-License-Identifier: MPL-2.0 */
/* VMware's guestinfo: messages to the hypervisor by its I/O port. */
#ifndef NOMADINIT_GUESTINFO_H
#define NOMADINIT_GUESTINFO_H

#include <stddef.h>
#include <stdint.h>

/* One step at the port: registers in and out.  Replaced by tests. */
struct guestinfo_registers {
	uint32_t a, b, c, d;
};
extern void (*guestinfo_port)(struct guestinfo_registers *r);

/* Sends a message and takes the answer into fresh memory that ends with NUL.  -EIO if the hypervisor refuses, -EFBIG,
 * -ENOMEM. */
int guestinfo_call(const char *message, size_t max, char **ret, size_t *ret_len);

#endif
