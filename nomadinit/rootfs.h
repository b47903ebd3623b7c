/* SPDX-License-Identifier: MPL-2.0 */
/* First stage, in the initramfs: find the verified root and go on there.  Does not return. */
#ifndef NOMADINIT_ROOTFS_H
#define NOMADINIT_ROOTFS_H

void rootfs_main(void) __attribute__((noreturn));

#endif
