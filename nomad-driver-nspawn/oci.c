/* SPDX-License-Identifier: MPL-2.0
 *
 * config.json of an OCI bundle, or of a container image that umoci unpacked.
 * systemd-nspawn --oci-bundle= takes version 1.0.0 only and refuses much of
 * what is usual, so we read it: program, environment, directory, user, host
 * name, root.  Namespaces, mounts, cgroups and capabilities in it are left
 * alone: those are for the job to say.  What the job says always wins. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "oci.h"

enum { CONFIG_MAX = 4 << 20, ENTRIES_MAX = 4096, DAY_MS = 86400000 };

void nspawn_oci_done(struct nspawn_oci *oci)
{
	free(oci->root);
	nomad_strv_free(oci->args);
	nomad_strv_free(oci->entrypoint);
	nomad_strv_free(oci->cmd);
	nomad_strv_free(oci->layers);
	nomad_strv_free(oci->health);
	free(oci->groups);
	nomad_map_done(&oci->env);
	free(oci->cwd);
	free(oci->user);
	free(oci->hostname);
	*oci = (struct nspawn_oci){ 0 };
}

static int text_of(const json_t *object, const char *name, char **ret)
{
	const char *value = json_string_value(json_object_get(object, name));

	if (!value || !*value)
		return 0;
	*ret = strdup(value);
	return *ret ? 0 : -ENOMEM;
}

static int user_of(const json_t *process, char **ret)
{
	const json_t *user = json_object_get(process, "user");
	json_int_t uid = json_integer_value(json_object_get(user, "uid"));
	json_int_t gid = json_integer_value(json_object_get(user, "gid"));

	if (!uid && !gid)
		return 0;
	if (uid < 0 || uid > 0xfffffffe || gid < 0 || gid > 0xfffffffe)
		return -ERANGE;
	*ret = nomad_strdupf("%lld:%lld", (long long)uid, (long long)gid);
	return *ret ? 0 : -ENOMEM;
}

static int groups_of(const json_t *process, char **ret)
{
	const json_t *groups = json_object_get(json_object_get(process, "user"), "additionalGids"), *item;
	size_t i;

	json_array_foreach(groups, i, item)
	{
		json_int_t id = json_integer_value(item);
		char *longer;

		if (!json_is_integer(item) || id < 0 || id > 0xfffffffe)
			return -ERANGE;
		longer = nomad_strdupf("%s%s%lld", *ret ? *ret : "", *ret ? "," : "", (long long)id);
		if (!longer)
			return -ENOMEM;
		free(*ret);
		*ret = longer;
	}
	return 0;
}

static int words_of(const json_t *list, char ***ret)
{
	const json_t *item;
	size_t i;
	int r = json_array_size(list) > ENTRIES_MAX ? -E2BIG : 0;

	json_array_foreach(list, i, item) if (r >= 0) r =
		json_is_string(item) ? nomad_strv_add(ret, json_string_value(item)) : -EINVAL;
	return r;
}

/* Of the libcs only glibc has such a list, since 2.32. */
static const char *const signal_names[] = {
	[SIGHUP] = "HUP",	[SIGINT] = "INT",   [SIGQUIT] = "QUIT",	  [SIGILL] = "ILL",   [SIGTRAP] = "TRAP",
	[SIGABRT] = "ABRT",	[SIGBUS] = "BUS",   [SIGFPE] = "FPE",	  [SIGKILL] = "KILL", [SIGUSR1] = "USR1",
	[SIGSEGV] = "SEGV",	[SIGUSR2] = "USR2", [SIGPIPE] = "PIPE",	  [SIGALRM] = "ALRM", [SIGTERM] = "TERM",
	[SIGSTKFLT] = "STKFLT", [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",	  [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
	[SIGTTIN] = "TTIN",	[SIGTTOU] = "TTOU", [SIGURG] = "URG",	  [SIGXCPU] = "XCPU", [SIGXFSZ] = "XFSZ",
	[SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH", [SIGPOLL] = "POLL", [SIGPWR] = "PWR",
	[SIGSYS] = "SYS",
};

/* "SIGQUIT", "QUIT", "SIGRTMIN+3", "3"; 0 if it is none. */
static int signal_of(const json_t *value)
{
	const char *name = json_string_value(value);
	int n, last = 0;

	if (!name)
		return 0;
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	if (sscanf(name, "RTMIN+%d%n", &n, &last) == 1 && !name[last] && n >= 0 && n <= SIGRTMAX - SIGRTMIN)
		return SIGRTMIN + n;
	if (sscanf(name, "%d%n", &n, &last) == 1 && !name[last] && n > 0 && n <= SIGRTMAX)
		return n;
	for (n = 1; n < (int)NOMAD_ARRAY_LEN(signal_names); n++)
		if (signal_names[n] && strcmp(signal_names[n], name) == 0)
			return n;
	return 0;
}

/* Nanoseconds; the least is a millisecond. */
static int64_t span_of(const json_t *health, const char *name, int64_t otherwise_ms)
{
	json_int_t ns = json_integer_value(json_object_get(health, name));

	return ns <= 0 ? otherwise_ms : ns < 1000000 ? 1 : ns / 1000000 > DAY_MS ? DAY_MS : ns / 1000000;
}

/* Healthcheck of an image's configuration, with docker's defaults. */
static int health_of(const json_t *health, struct nspawn_oci *oci)
{
	const json_t *test = json_object_get(health, "Test");
	const char *kind = json_string_value(json_array_get(test, 0));
	json_int_t retries = json_integer_value(json_object_get(health, "Retries"));
	const bool shell = kind && strcmp(kind, "CMD-SHELL") == 0;
	size_t i = 1;
	int r = 0;

	if (!kind || (!shell && strcmp(kind, "CMD") != 0) || json_array_size(test) < 2)
		return 0;
	if (json_array_size(test) > ENTRIES_MAX)
		return -E2BIG;
	if (shell)
		r = nomad_strv_add(&oci->health, "/bin/sh");
	if (shell && r >= 0)
		r = nomad_strv_add(&oci->health, "-c");
	for (; i < json_array_size(test) && r >= 0; i++) {
		const char *word = json_string_value(json_array_get(test, i));

		r = word ? nomad_strv_add(&oci->health, word) : -EINVAL;
	}
	oci->health_ms[0] = span_of(health, "Interval", 30000);
	oci->health_ms[1] = span_of(health, "StartInterval", 5000);
	oci->health_ms[2] = span_of(health, "Timeout", 30000);
	oci->health_ms[3] = span_of(health, "StartPeriod", 0);
	oci->health_retries = retries < 1 ? 3 : retries > 1000 ? 1000 : (int)retries;
	return r;
}

static int image_of(const json_t *image, bool has_user, struct nspawn_oci *oci)
{
	int r = words_of(json_object_get(image, "Entrypoint"), &oci->entrypoint);

	oci->has_image = json_is_object(image);
	oci->stop_signal = signal_of(json_object_get(image, "StopSignal"));
	if (r >= 0)
		r = health_of(json_object_get(image, "Healthcheck"), oci);
	/* umoci has looked it up: then it is the process's. */
	if (r >= 0 && !has_user)
		r = text_of(image, "User", &oci->user);
	return r < 0 ? r : words_of(json_object_get(image, "Cmd"), &oci->cmd);
}

static int process_of(const json_t *process, struct nspawn_oci *oci)
{
	const json_t *env = json_object_get(process, "env");
	json_t *item;
	size_t i;
	int r = words_of(json_object_get(process, "args"), &oci->args);

	/* Each is looked for among those before it. */
	if (json_array_size(env) > ENTRIES_MAX)
		return -E2BIG;
	json_array_foreach(env, i, item)
	{
		const char *pair = json_string_value(item), *value = pair ? strchr(pair, '=') : NULL;
		NOMAD_AUTO_FREE char *name = value ? strndup(pair, (size_t)(value - pair)) : NULL;

		if (r < 0)
			break;
		r = !value || value == pair ? -EINVAL : name ? nomad_map_set(&oci->env, name, value + 1) : -ENOMEM;
	}
	if (r >= 0)
		r = text_of(process, "cwd", &oci->cwd);
	if (r >= 0)
		r = user_of(process, &oci->user);
	if (r >= 0)
		r = groups_of(process, &oci->groups);
	oci->no_new_privileges = json_is_true(json_object_get(process, "noNewPrivileges"));
	return r;
}

/* They become paths. */
static int layers_of(const json_t *list, struct nspawn_oci *oci)
{
	int r = words_of(list, &oci->layers);

	for (size_t i = 0; r >= 0 && oci->layers && oci->layers[i]; i++)
		if (strlen(oci->layers[i]) != 64 || strspn(oci->layers[i], "0123456789abcdef") != 64)
			r = -EINVAL;
	return r;
}

int nspawn_oci_parse(const char *text, struct nspawn_oci *ret, struct nomad_error **err)
{
	json_error_t why;
	json_t *config = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	const json_t *root = json_object_get(config, "root");
	const char *version = json_string_value(json_object_get(config, "ociVersion"));
	int r;

	if (!config)
		return nomad_error_set(err, EBADMSG, "it is no JSON: line %d: %s", why.line, why.text);
	if (!version || strncmp(version, "1.", 2) != 0) {
		r = nomad_error_set(err, EBADMSG, "its ociVersion is '%s', not 1.x", version ? version : "missing");
		json_decref(config);
		return r;
	}
	r = text_of(root, "path", &ret->root);
	ret->read_only = json_is_true(json_object_get(root, "readonly"));
	if (r >= 0)
		r = process_of(json_object_get(config, "process"), ret);
	if (r >= 0)
		r = image_of(json_object_get(config, "image"),
			     json_object_get(json_object_get(config, "process"), "user") != NULL, ret);
	if (r >= 0)
		r = layers_of(json_object_get(config, "layers"), ret);
	if (r >= 0)
		r = text_of(config, "hostname", &ret->hostname);
	json_decref(config);
	return r < 0 ? nomad_error_errno(err, -r, "its process cannot be read") : 0;
}

int nspawn_oci_read(const char *path, struct nspawn_oci *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *text = calloc(1, CONFIG_MAX + 1);
	FILE *file = fopen(path, "re");
	int r, saved = errno;
	size_t n;

	if (!text || !file) {
		if (file)
			fclose(file);
		return nomad_error_errno(err, text ? saved : ENOMEM, "read '%s'", path);
	}
	n = fread(text, 1, CONFIG_MAX, file);
	fclose(file);
	if (n == CONFIG_MAX)
		return nomad_error_set(err, EFBIG, "read '%s': it has more than 4 MiB", path);
	r = nspawn_oci_parse(text, ret, err);
	return r < 0 ? nomad_error_wrap(err, "read '%s'", path) : 0;
}
