/* SPDX-License-Identifier: MPL-2.0 */
/* Who this node is: machine id, host name; and its random numbers. */
#ifndef NOMADINIT_IDENTITY_H
#define NOMADINIT_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

/* A machine id (32 hex digits) from a UUID with dashes, as the firmware gives; false if it is one of those that
 * mean nothing (all alike). */
bool identity_from_uuid(const char *uuid, char id[33]);
/* Keep or make /state/nomadinit/machine-id and publish it in /run/nomadinit (to which /etc points). */
void identity_machine_id(char id[33]);
/* Set the host name, write /run/nomadinit/hostname and hosts. */
int identity_set_hostname(const char *name);
/* Credit the seed kept from last time, and keep another for the next. */
void identity_load_seed(void);
void identity_save_seed(void);

/* The cloud says which machine this is.  If the state is that of another one, it becomes a node of its own: before
 * identity_machine_id(). */
void identity_note_instance(const char *id);

#endif
