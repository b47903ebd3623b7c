/* SPDX-License-Identifier: MPL-2.0 */
/* The disk that the firmware started: root and state come from it and from no other of our kind.
 *
 * The boot loader says which partition it came from: GRUB on BIOS by the argument nomadinit.boot=GUID, systemd's stub
 * on UEFI by the variable LoaderDevicePartUUID.  The GUID is looked for in the partition tables.  Without either (a
 * kernel that was started by hand) it is the only disk with a partition named "nomadesp". */
#ifndef NOMADINIT_BOOTDISK_H
#define NOMADINIT_BOOTDISK_H

#include <stdint.h>

/* Find it.  0 with its name ("vda"); -ENODEV if it is not there (yet), -ENOTUNIQ if more than one may be it. */
int bootdisk_find(char name[32]);
/* A text GUID as it stands in a partition table; -EINVAL. */
int bootdisk_parse_guid(const char *text, uint8_t guid[16]);

#endif
