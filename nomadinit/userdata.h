/* SPDX-License-Identifier: MPL-2.0 */
/* User-data: what a cloud hands to a machine unread.  Ours is init.json, in one of the forms that clouds and tools
 * give it: as it is, after a line "#nomadinit", as a part of a MIME message, in base64, compressed by gzip. */
#ifndef NOMADINIT_USERDATA_H
#define NOMADINIT_USERDATA_H

#include <stddef.h>

#include "config.h"

#define USERDATA_NOTE_SIZE 200
/* The first line of a signed configuration; the signature in base64 follows. */
#define USERDATA_SIGNED "#nomadinit signature="

struct userdata {
	char *json;		       /* ours, with its first line if that is a signature; or NULL; ends with NUL */
	char hostname[254];	       /* that a #cloud-config of somebody else's names, or "" */
	char note[USERDATA_NOTE_SIZE]; /* in words: what it is, or why it is not used */
};

/* Finds our configuration in user-data of any form.  Never fails: what is not understood has json NULL and a note.  The
 * caller frees json. */
void userdata_find(const char *data, size_t len, struct userdata *ret);

/* What follows a first line "#nomadinit...", else all of it. */
const char *userdata_body(const char *json);

/* Decodes base64 with or without padding and white space into fresh memory that ends with NUL.  Returns 0, -EBADMSG,
 * -ENOMEM. */
int userdata_base64(const char *text, size_t len, char **ret, size_t *ret_len);
/* Unpacks a gzip file (RFC 1951, 1952) of at most max bytes.  Returns 0, -EBADMSG, -EFBIG, -ENOMEM. */
int userdata_gunzip(const char *data, size_t len, size_t max, char **ret, size_t *ret_len);

#endif
