/* SPDX-License-Identifier: MPL-2.0 */
/* The kernel's rules: words are parted by blanks; double quotes keep blanks together, and are dropped if they are
 * around the whole word or the whole value, but stay elsewhere (so JSON can be written); '-' and '_' are alike in
 * names. */
#include "cmdline.h"

#include <errno.h>
#include <string.h>

#include "util.h"

static char text[4096];
static struct {
	const char *key, *value;
} args[64];
static size_t n_args;

void cmdline_set(const char *from)
{
	char *p = text, *key, *value, *end;
	bool quoted;

	n_args = 0;
	util_copy(text, sizeof(text), from);
	while (*p && n_args < NOMAD_ARRAY_LEN(args)) {
		while (*p == ' ' || *p == '\n' || *p == '\t')
			p++;
		if (!*p)
			break;
		for (key = p, quoted = false; *p && (quoted || (*p != ' ' && *p != '\n' && *p != '\t')); p++)
			if (*p == '"')
				quoted = !quoted;
		end = p;
		if (*p)
			*p++ = '\0';
		if (*key == '"') {
			key++;
			if (end > key && end[-1] == '"')
				*--end = '\0';
		}
		value = strchr(key, '=');
		if (value)
			*value++ = '\0';
		if (value && *value == '"') {
			value++;
			if (end > value && end[-1] == '"')
				*--end = '\0';
		}
		if (strncmp(key, "nomadinit.", 10) != 0)
			continue;
		args[n_args].key = key + 10;
		args[n_args].value = value ? value : "";
		n_args++;
	}
}

int cmdline_load(void)
{
	const char *env = getenv("container") ? getenv("NOMADINIT_CMDLINE") : NULL;
	char buf[4096];
	int r;

	if (getenv("container")) {
		cmdline_set(env ? env : "");
		return 0;
	}
	r = util_read_line("/proc/cmdline", buf, sizeof(buf));
	cmdline_set(r < 0 ? "" : buf);
	return r < 0 ? r : 0;
}

static bool is_same(const char *a, const char *b, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (a[i] != b[i] && !((a[i] == '-' || a[i] == '_') && (b[i] == '-' || b[i] == '_')))
			return false;
	return true;
}

const char *cmdline_get(const char *name)
{
	size_t i, len = strlen(name);

	for (i = n_args; i-- > 0;)
		if (strlen(args[i].key) == len && is_same(args[i].key, name, len))
			return args[i].value;
	return NULL;
}

const char *cmdline_next(const char *prefix, size_t *at, const char **ret_key)
{
	size_t len = strlen(prefix);

	for (; *at < n_args; (*at)++) {
		if (strlen(args[*at].key) > len && is_same(args[*at].key, prefix, len)) {
			*ret_key = args[*at].key + len;
			return args[(*at)++].value;
		}
	}
	return NULL;
}

bool cmdline_is_on(const char *name)
{
	const char *v = cmdline_get(name);

	return v &&
	       (!*v || strcmp(v, "1") == 0 || strcmp(v, "yes") == 0 || strcmp(v, "true") == 0 || strcmp(v, "on") == 0);
}
