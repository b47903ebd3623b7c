/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NSPAWN_SYSCTL_H
#define NSPAWN_SYSCTL_H

/* Writes each "NAME=VALUE" of `text`, which is cut up; ends the process on failure. */
void sysctls_set(char *text);

#endif
