/* SPDX-License-Identifier: MPL-2.0 */
/* What this node is and how it is: PID 1 notes it, `nomadinit status` prints it as JSON. */
#ifndef NOMADINIT_STATUS_H
#define NOMADINIT_STATUS_H

enum status_item { STATUS_ONLINE, STATUS_TIME, STATUS_AGENT_STARTS, STATUS_HEALTHY, STATUS_MAX };

/* Notes a number (or 0 and 1), and writes the file if it is another one. */
void status_note(enum status_item item, int value);
int status_main(int argc, char **argv);

#endif
