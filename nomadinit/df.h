/* SPDX-License-Identifier: MPL-2.0 */
/* `df -kP [PATH...]`: Nomad runs it to learn how large the disk is. */
#ifndef NOMADINIT_DF_H
#define NOMADINIT_DF_H

#include <stdio.h>

int df_main(int argc, char **argv);
/* The mount that a path is on, by longest mount point of mountinfo's text (which is changed).  Returns "source" and
 * "point" within the text, or false. */
int df_find(char *mountinfo, const char *path, char **ret_source, char **ret_point);

#endif
