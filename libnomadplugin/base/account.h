/* SPDX-License-Identifier: MPL-2.0
 *
 * base/account.h: a user of the image, without NSS: from /etc/passwd and
 * /etc/group, which may hold anything. */
#ifndef NOMAD_BASE_ACCOUNT_H
#define NOMAD_BASE_ACCOUNT_H

#include <stddef.h>
#include <sys/types.h>

enum { NOMAD__ACCOUNT_GROUPS = 256 };

struct nomad__account {
	uid_t uid;
	gid_t gid;
	char name[256], home[256];
	gid_t groups[NOMAD__ACCOUNT_GROUPS]; /* `gid` first */
	size_t n_groups;
};

/* `who`: "name", "uid" or either with ":group".  0, or -1 with errno: ENOENT,
 * EINVAL for a file that is not a regular one, EFBIG for one above 1 MiB. */
int nomad__account_find(const char *who, struct nomad__account *ret);

/* Adds the groups of "NAME,NUMBER,...".  0, or -1 with errno. */
int nomad__account_add_groups(const char *groups, struct nomad__account *account);

#endif
