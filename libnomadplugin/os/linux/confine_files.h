/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMAD_OS_LINUX_CONFINE_FILES_H
#define NOMAD_OS_LINUX_CONFINE_FILES_H

#include <stdbool.h>

/* The directories of the system are not to be written to any more.  Takes
 * no_new_privs.  False: this kernel has no Landlock, or too old a one. */
bool nomad__confine_files(void);

#endif
