/* SPDX-License-Identifier: MPL-2.0
 *
 * init/relay.h: a command's terminal, for the host two pipes. */
#ifndef NSPAWN_RELAY_H
#define NSPAWN_RELAY_H

/* Copies between the pipes `in` and `out` of the host and the terminal whose master comes over `control`.  Ends the
 * process when nobody reads `out` any more, or with what is there to read when the other end of `control` is closed. */
void relay(int control, int in, int out) __attribute__((noreturn));

#endif
