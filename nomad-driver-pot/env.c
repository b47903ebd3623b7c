/* SPDX-License-Identifier: MPL-2.0
 *
 * env.c: how the environment of a task gets into its jail.
 *
 * `pot set-env -E NAME=VALUE` stores a line, and `pot start` makes it
 * `export "NAME=VALUE"` of a script that a shell in the jail runs: `$`, the
 * backquote and the backslash act there, and a line break spoils pot's file.
 * The command line itself is seen by every user (ps) and copied to syslog, so
 * by default a value is written to a file in the task's secrets directory,
 * which the jail mounts, and what pot gets is `$(cat FILE)`.  Trailing line
 * breaks are lost on the way, as in every command substitution.  Values that
 * Nomad generated and that are not tokens are passed directly.
 *
 * The secrets directory belongs to the task once it has run, and a restarted
 * task gets the same one: nothing in it may be trusted, no link followed. */
#include "env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/error.h"
#include "nomad/option.h"
#include "pot-cli.h"

char *pot_env_encode(const char *value)
{
	bool lines = strpbrk(value, "\r\n") != NULL;
	size_t size = 5 * strlen(value) + 32;
	char *code = malloc(size), *p = code;

	if (!code)
		return NULL;
	if (lines)
		p += sprintf(p, "$(printf %%b '");
	for (const unsigned char *s = (const unsigned char *)value; *s; s++) {
		bool plain =
			(*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == ' ';

		if (lines && !plain) {
			p += sprintf(p, "\\0%03o", *s);
			continue;
		}
		if (*s == '$' || *s == '`' || *s == '\\')
			*p++ = '\\';
		*p++ = (char)*s;
	}
	if (lines)
		p += sprintf(p, "')");
	*p = '\0';
	return code;
}

/* Made by Nomad, no secret, fit for one line.  What is in meta is the job's own. */
static bool is_public(const char *name, const char *value)
{
	return strncmp(name, "NOMAD_", 6) == 0 && strncmp(name, "NOMAD_META_", 11) != 0 && !strstr(name, "TOKEN") &&
	       !strpbrk(value, "\r\n");
}

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = nomad_write_all(fd, text, strlen(text));
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

/* Remove an old file or directory of this name: ours, or whatever the task replaced it by. */
static int remove_old(int parent, const char *name, int depth)
{
	struct dirent *entry;
	DIR *stream;
	int fd;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (depth > 8)
		return -ELOOP;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)remove_old(fd, entry->d_name, depth + 1);
	}
	closedir(stream);
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int open_env_dir(const char *secrets_dir, struct nomad_error **err)
{
	NOMAD_AUTO_FD int parent = open(secrets_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd, r;

	if (parent < 0)
		return nomad_error_errno(err, errno, "open the secrets directory '%s'", secrets_dir);
	r = remove_old(parent, POT_ENV_DIR, 0);
	if (r < 0)
		return nomad_error_errno(err, -r, "remove the old '%s/" POT_ENV_DIR "'", secrets_dir);
	if (mkdirat(parent, POT_ENV_DIR, 0700) < 0)
		return nomad_error_errno(err, errno, "make '%s/" POT_ENV_DIR "'", secrets_dir);
	fd = openat(parent, POT_ENV_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return nomad_error_errno(err, errno, "open '%s/" POT_ENV_DIR "'", secrets_dir);
	return fd;
}

int pot_env_assignments(const struct nomad_map *env, const char *secrets_dir, const char *secrets_mount,
			char ***ret_assignments, struct nomad_error **err)
{
	NOMAD_AUTO_STRV char **assignments = NULL;
	NOMAD_AUTO_FD int dir = -1, script = -1;

	if (secrets_dir && env->count > 0) {
		dir = open_env_dir(secrets_dir, err);
		if (dir < 0)
			return dir;
		script = openat(dir, strrchr(POT_ENV_SCRIPT, '/') + 1,
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (script < 0)
			return nomad_error_errno(err, errno, "make '%s/" POT_ENV_SCRIPT "'", secrets_dir);
	}
	for (size_t i = 0; i < env->count; i++) {
		const char *name = env->pairs[i].key, *value = env->pairs[i].value;
		NOMAD_AUTO_FREE char *code = NULL, *quoted = NULL, *line = NULL;
		int r = 0;

		/* One such name and the jail's shell would end at once. */
		if (nomad_check_env_name(name))
			continue;
		if (!secrets_dir || is_public(name, value)) {
			code = pot_env_encode(value);
		} else {
			char file[24];

			snprintf(file, sizeof(file), "%zu", i);
			code = nomad_strdupf("$(cat %s/" POT_ENV_DIR "/%s)", secrets_mount, file);
			r = write_file(dir, file, value);
		}
		if (script >= 0) {
			quoted = pot_quote(value);
			line = quoted ? nomad_strdupf("export %s=%s\n", name, quoted) : NULL;
			if (r == 0)
				r = line ? nomad_write_all(script, line, strlen(line)) : -ENOMEM;
		}
		if (r == 0)
			r = code ? nomad_strv_addf(&assignments, "%s=%s", name, code) : -ENOMEM;
		if (r < 0)
			return nomad_error_errno(err, -r, "write the environment below '%s'",
						 secrets_dir ? secrets_dir : "");
	}
	*ret_assignments = NOMAD_TAKE_PTR(assignments);
	return 0;
}

int pot_env_plain(const struct nomad_map *env, char ***ret_assignments, struct nomad_error **err)
{
	NOMAD_AUTO_STRV char **assignments = NULL;

	for (size_t i = 0; i < env->count; i++) {
		if (nomad_check_env_name(env->pairs[i].key))
			continue;
		if (nomad_strv_addf(&assignments, "%s=%s", env->pairs[i].key, env->pairs[i].value) < 0)
			return nomad_error_errno(err, ENOMEM, "copy the environment");
	}
	*ret_assignments = NOMAD_TAKE_PTR(assignments);
	return 0;
}
