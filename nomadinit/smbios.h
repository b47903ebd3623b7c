/* SPDX-License-Identifier: MPL-2.0 */
/* Strings that a hypervisor puts into SMBIOS tables of type 11 for the system that boots ("OEM strings"). */
#ifndef NOMADINIT_SMBIOS_H
#define NOMADINIT_SMBIOS_H

#include <stddef.h>

/* Finds our configuration among the strings of one table:
 *   nomadinit.init.json=TEXT
 *   io.systemd.credential:nomadinit.init.json=TEXT
 *   io.systemd.credential.binary:nomadinit.init.json=BASE64
 * Returns fresh memory that ends with NUL, or NULL if it is not there. */
char *smbios_find(const char *table, size_t len);
/* The first of all tables below `entries` (/sys/firmware/dmi/entries), or NULL. */
char *smbios_load(const char *entries);

#endif
