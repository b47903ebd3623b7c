/* SPDX-License-Identifier: MPL-2.0 */
#include "supervisor/spec.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/process.h"
#include "supervisor/client.h"
#include "base/fields.h"

static bool reserve(struct nomad__keys *spec, size_t more)
{
	size_t room = spec->room ? spec->room : 4096;
	char *data;

	if (spec->failed)
		return false;
	while (room - spec->size < more)
		room *= 2;
	if (room == spec->room)
		return true;
	/* Not realloc(): what it leaves behind may be a secret. */
	data = malloc(room);
	if (!data) {
		spec->failed = true;
		return false;
	}
	if (spec->data) {
		memcpy(data, spec->data, spec->size);
		explicit_bzero(spec->data, spec->size);
		free(spec->data);
	}
	spec->data = data;
	spec->room = room;
	return true;
}

static void add_bytes(struct nomad__keys *spec, const char *s, size_t n)
{
	if (!reserve(spec, n))
		return;
	memcpy(spec->data + spec->size, s, n);
	spec->size += n;
}

void nomad__keys_add(struct nomad__keys *spec, const char *key, const char *value)
{
	if (!value)
		return;
	add_bytes(spec, key, strlen(key));
	add_bytes(spec, "=", 1);
	add_bytes(spec, value, strlen(value) + 1);
}

void nomad__keys_num(struct nomad__keys *spec, const char *key, int64_t value)
{
	nomad__keys_addf(spec, key, "%lld", (long long)value);
}

void nomad__keys_addf(struct nomad__keys *spec, const char *key, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		spec->failed = true;
		return;
	}
	nomad__keys_add(spec, key, text);
	free(text);
}

void nomad__keys_done(struct nomad__keys *spec)
{
	if (spec->data)
		explicit_bzero(spec->data, spec->size);
	free(spec->data);
	*spec = (struct nomad__keys){ 0 };
}

int nomad__keys_file(const struct nomad__keys *keys)
{
	int fd, r;

	if (keys->failed)
		return -ENOMEM;
	fd = nomad__memory_file("nomad-supervisor-spec");
	if (fd < 0)
		return fd;
	r = nomad_write_all(fd, keys->data, keys->size);
	if (r >= 0)
		return fd;
	close(fd);
	return r;
}

static int lookup(const char *user, uid_t *ret_uid, gid_t *ret_gid, char **ret_name)
{
	size_t size = 4096;
	struct passwd pw, *found = NULL;
	char *buf = NULL, *end;
	long number;
	int r;

	for (;;) {
		char *bigger = realloc(buf, size);

		if (!bigger) {
			free(buf);
			return -ENOMEM;
		}
		buf = bigger;
		r = getpwnam_r(user, &pw, buf, size, &found);
		if (!found && r != ERANGE && *user >= '0' && *user <= '9') {
			number = strtol(user, &end, 10);
			r = *end ? 0 : getpwuid_r((uid_t)number, &pw, buf, size, &found);
		}
		if (r != ERANGE || size > 1 << 20)
			break;
		size *= 2;
	}
	if (found) {
		*ret_uid = pw.pw_uid;
		*ret_gid = pw.pw_gid;
		*ret_name = strdup(pw.pw_name);
		free(buf);
		return *ret_name ? 0 : -ENOMEM;
	}
	free(buf);
	*ret_name = NULL;
	/* Without an entry: a plain number, or a dynamic user of Nomad's. */
	if (strncmp(user, "nomad-", 6) == 0)
		user += 6;
	if (*user < '0' || *user > '9')
		return -ENOENT;
	errno = 0;
	number = strtol(user, &end, 10);
	if (*end || errno || number >= UINT32_MAX)
		return -ENOENT;
	*ret_uid = *ret_gid = (uid_t)number;
	return 0;
}

int nomad__spec_user(struct nomad__keys *spec, const char *user, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *name = NULL;
	char list[1024] = "";
	struct nomad__text t;
	gid_t groups[64];
	int n = NOMAD_ARRAY_LEN(groups), r;
	uid_t uid = 0;
	gid_t gid = 0;

	if (!user || !*user)
		return 0;
	r = lookup(user, &uid, &gid, &name);
	if (r == -ENOENT)
		return nomad_error_set(err, ENOENT, "user '%s': unknown on this host", user);
	if (r < 0)
		return nomad_error_errno(err, -r, "look user '%s' up", user);
	nomad__text_init(&t, list, sizeof(list));
	if (name && getgrouplist(name, gid, groups, &n) >= 0) {
		for (int i = 0; i < n; i++) {
			if (i)
				nomad__text_add(&t, ",");
			nomad__text_num(&t, groups[i]);
		}
	} else {
		nomad__text_num(&t, gid);
	}
	nomad__keys_num(spec, "uid", uid);
	nomad__keys_num(spec, "gid", gid);
	nomad__keys_add(spec, "groups", list);
	return 0;
}

static void add_env(struct nomad__keys *spec, const struct nomad_map *env)
{
	for (size_t i = 0; env && i < env->count; i++) {
		add_bytes(spec, "env=", 4);
		add_bytes(spec, env->pairs[i].key, strlen(env->pairs[i].key));
		add_bytes(spec, "=", 1);
		add_bytes(spec, env->pairs[i].value, strlen(env->pairs[i].value) + 1);
	}
}

static void add_rlimits(struct nomad__keys *spec, const struct nomad_command *command)
{
	for (size_t i = 0; i < command->n_rlimits; i++) {
		const struct nomad_rlimit *l = &command->rlimits[i];

		/* Beyond what is a number here: none. */
		nomad__keys_addf(spec, "rlimit", "%d %lld %lld", l->resource,
				 l->soft > INT64_MAX ? -1 : (long long)l->soft,
				 l->hard > INT64_MAX ? -1 : (long long)l->hard);
	}
}

int nomad__spec_start(struct nomad__keys *spec, const struct nomad__supervise *what, struct nomad_error **err)
{
	const struct nomad_command *command = what->command;
	int r;

	if (!command->argv || !command->argv[0] || command->argv[0][0] != '/')
		return nomad_error_set(err, EINVAL, "the program has no absolute path");
	if (command->n_rlimits > 16)
		return nomad_error_set(err, EINVAL, "%zu resource limits are too many, the maximum is 16",
				       command->n_rlimits);
	if (command->oom_score_adj < -1000 || command->oom_score_adj > 1000)
		return nomad_error_set(err, EINVAL, "oom_score_adj %d: not between -1000 and 1000",
				       command->oom_score_adj);
	nomad__keys_add(spec, "v", "1");
	nomad__keys_add(spec, "dir", what->dir);
	for (size_t i = 0; command->argv[i]; i++)
		nomad__keys_add(spec, "arg", command->argv[i]);
	add_env(spec, command->env ? command->env : what->env);
	nomad__keys_add(spec, "cwd", command->cwd);
	r = nomad__spec_user(spec, command->user, err);
	if (r < 0)
		return r;
	nomad__keys_add(spec, "netns", command->netns);
	/* Its socket is in a directory that is root's alone. */
	if (command->notify && !spec->failed && nomad__fields_get_num(spec->data, spec->size, "uid", 0) > 0 &&
	    geteuid() == 0)
		return nomad_error_set(err, EINVAL,
				       "a process that reports when it is ready must run as root, not as '%s'",
				       command->user);
	if (command->notify)
		nomad__keys_num(spec, "notify", 1);
	nomad__keys_add(spec, "leader_key", command->leader_key);
	nomad__keys_num(spec, "ready_ms", command->ready_timeout_ms ? command->ready_timeout_ms : 60000);
	if (command->stop_signal)
		nomad__keys_num(spec, "stop_signal", command->stop_signal);
	if (command->exit_channel)
		nomad__keys_num(spec, "exit_channel", 1);
	if (command->exec_broker)
		nomad__keys_num(spec, "exec_broker", 1);
	add_rlimits(spec, command);
	if (command->event_prefix)
		nomad__keys_add(spec, "event_prefix", command->event_prefix);
	if (command->oom_score_adj)
		nomad__keys_num(spec, "oom_score_adj", command->oom_score_adj);
	nomad__keys_add(spec, "stdout", what->stdout_path);
	nomad__keys_add(spec, "stderr", what->stderr_path);
	if (what->log_dir) {
		nomad__keys_add(spec, "log_dir", what->log_dir);
		nomad__keys_add(spec, "log_name", what->log_name);
		nomad__keys_num(spec, "log_files", what->log_max_files);
		nomad__keys_num(spec, "log_bytes", (int64_t)what->log_max_bytes);
	}
	return 0;
}

int nomad__spec_exec(struct nomad__keys *spec, const struct nomad_exec *exec, struct nomad_error **err)
{
	int r = 0;

	if (!exec->argv || !exec->argv[0])
		return nomad_error_set(err, EINVAL, "no command to run");
	nomad__keys_add(spec, "v", "1");
	for (size_t i = 0; exec->argv[i]; i++)
		nomad__keys_add(spec, "arg", exec->argv[i]);
	add_env(spec, &exec->env);
	nomad__keys_add(spec, "cwd", exec->cwd);
	if (exec->tty)
		nomad__keys_num(spec, "tty", 1);
	r = nomad__spec_user(spec, exec->user, err);
	return r;
}
