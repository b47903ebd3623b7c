/* SPDX-License-Identifier: MPL-2.0 */
/* What the boot loader and we tell each other: GRUB's environment block on the ESP.
 *
 *   good=a      the slot known to work
 *   next=b      a slot on trial, or empty
 *   tries=3     how often it is still tried; GRUB counts down before each start
 */
#ifndef NOMADINIT_BOOTENV_H
#define NOMADINIT_BOOTENV_H

#include <stddef.h>

#define BOOTENV_SIZE 1024
#define BOOTENV_TRIES 3

struct bootenv {
	char good, next; /* 'a', 'b'; next 0: none */
	int tries;
};

/* Decode a block; -EINVAL if it is none. */
int bootenv_parse(const char *block, size_t len, struct bootenv *ret);
void bootenv_format(const struct bootenv *e, char block[BOOTENV_SIZE]);
int bootenv_read(const char *path, struct bootenv *ret);
/* In place: GRUB wants the file to stay where it is on the disk. */
int bootenv_write(const char *path, const struct bootenv *e);

/* The ESP is only mounted while it is needed. */
#define ESP_POINT "/run/nomadinit/esp"
#define ESP_BOOTENV ESP_POINT "/nomadinit/bootenv"
int bootenv_mount_esp(int writable);
void bootenv_unmount_esp(void);

/* `nomadinit bless`: the running slot is good.  Exit status. */
int bootenv_bless_main(void);

#endif
