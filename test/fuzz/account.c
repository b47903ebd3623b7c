/* SPDX-License-Identifier: MPL-2.0
 *
 * A user ("name:group"), a line feed, passwd, a zero, group: the files are an image's. */
#include "fuzz.h"
#include "libnomadplugin/base/account.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char *name = fuzz_text(&in, '\n', NULL), *passwd = fuzz_text(&in, 0, NULL), *groups = fuzz_text(&in, 0, NULL);
	char *copy = strdup(groups), *group = strchr(name, ':');
	struct nomad__account account = { 0 };

	if (group)
		*group++ = 0;
	if (find_user(passwd, name, &account) == 0 && (!group || find_group(copy, group, &account.gid) == 0)) {
		find_memberships(groups, &account);
		fuzz_must(account.n_groups >= 1 && account.n_groups <= NOMAD__ACCOUNT_GROUPS && account.home[0]);
	}
	free(name);
	free(passwd);
	free(groups);
	free(copy);
	return 0;
}
