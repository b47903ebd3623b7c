/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMADINIT_CHECK_H
#define NOMADINIT_CHECK_H

/* `nomadinit check [--show] FILE...`: is this configuration or user-data right, and what would it do? */
int check_main(int argc, char **argv);

#endif
