/* SPDX-License-Identifier: MPL-2.0
 *
 * config.c: the option tables of the test driver, and how decoded values are
 * shown to a test. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct nomad_option auth_options[] = {
	NOMAD_OPTION(struct testdriver_auth, user, STRING, .required = true, .help = "Name of the user."),
	NOMAD_OPTION(struct testdriver_auth, password, STRING, .secret = true, .help = "Password of the user."),
};
static const struct nomad_schema auth_schema = NOMAD_SCHEMA(struct testdriver_auth, auth_options);

static const struct nomad_option config_options[] = {
	NOMAD_OPTION(struct testdriver_config, greeting, STRING, .def = "\"hello\"", .non_empty = true,
		     .help = "Text that the fingerprint shows as an attribute."),
	NOMAD_OPTION(struct testdriver_config, limit, INT, .def = "5", .min = 1, .max = 10,
		     .help = "A number between one and ten."),
	NOMAD_OPTION(struct testdriver_config, ratio, NUMBER, .help = "Any number."),
	NOMAD_OPTION(struct testdriver_config, flag, BOOL, .def = "true", .help = "A switch that is on."),
	NOMAD_OPTION(struct testdriver_config, tristate, TRISTATE, .help = "A switch that may be left alone."),
	NOMAD_OPTION(struct testdriver_config, tags, STRING_LIST, .help = "Some words."),
	NOMAD_OPTION(struct testdriver_config, labels, STRING_MAP, .help = "Some pairs."),
	NOMAD_OPTION(struct testdriver_config, token, STRING, .secret = true, .help = "A secret."),
	NOMAD_OPTION(struct testdriver_config, health_file, STRING, .check = nomad_check_absolute_path,
		     .help = "File whose first word is the health: healthy, unhealthy or undetected."),
	NOMAD_OPTION(struct testdriver_config, init_fails, BOOL, .help = "Fail when initialised."),
	NOMAD_OPTION(struct testdriver_config, auth, BLOCK, .block = &auth_schema, .help = "Credentials."),
};
const struct nomad_schema testdriver_config_schema = NOMAD_SCHEMA(struct testdriver_config, config_options);

static const struct nomad_option size_options[] = {
	NOMAD_OPTION(struct testdriver_size, width, INT, .required = true, .min = 1, .max = 1000, .help = "Width."),
	NOMAD_OPTION(struct testdriver_size, height, INT, .def = "1", .min = 1, .max = 1000, .help = "Height."),
};
static const struct nomad_schema size_schema = NOMAD_SCHEMA(struct testdriver_size, size_options);

static const struct nomad_option init_options[] = {
	NOMAD_OPTION(struct testdriver_init, name, STRING, .required = true, .help = "Name of the thing."),
	NOMAD_OPTION(struct testdriver_init, enabled, BOOL, .def = "true", .help = "Whether it is wanted."),
	NOMAD_OPTION(struct testdriver_init, size, BLOCK, .block = &size_schema, .help = "Its size."),
};
static const struct nomad_schema init_schema = NOMAD_SCHEMA(struct testdriver_init, init_options);

static const struct nomad_option mount_options[] = {
	NOMAD_OPTION(struct testdriver_mount, source, STRING, .required = true, .check = nomad_check_absolute_path,
		     .help = "Directory of the host."),
	NOMAD_OPTION(struct testdriver_mount, target, STRING, .def = "\"/mnt\"", .help = "Directory in the task."),
	NOMAD_OPTION(struct testdriver_mount, readonly, BOOL, .help = "Whether it cannot be written to."),
	NOMAD_OPTION(struct testdriver_mount, options, STRING_MAP, .help = "Mount options."),
};
static const struct nomad_schema mount_schema = NOMAD_SCHEMA(struct testdriver_mount, mount_options);

static const char *const modes[] = { "run", "fail", "fail-retryable", "slow", "waits", "remote", NULL };
static const char *const words[] = { "red", "green", "blue", NULL };
static const char *const device_policies[] = { "any", "listed", NULL };
static const char *const stop_signals[] = { "SIGTERM", "SIGINT", "SIGUSR1", NULL };

#define TASK(field, kind, ...) NOMAD_OPTION(struct testdriver_task_config, field, kind, __VA_ARGS__)

static const struct nomad_option task_options[] = {
	TASK(command, STRING, .help = "Shell command to run.", .example = "\"sleep 10\""),
	TASK(args, STRING_LIST, .help = "Its $1 and so on."),
	TASK(mode, STRING, .def = "\"run\"", .choices = modes,
	     .help = "What start does: run the command, fail, fail in a way that a retry may cure, run it after "
		     "delay_ms, the same but fail as soon as the start is cancelled, or pretend that a remote system "
		     "runs the task for delay_ms."),
	TASK(delay_ms, INT, .def = "0", .min = 0, .max = 3600000, .unit = "milliseconds", .help = "See mode."),
	TASK(exit_code, INT, .def = "0", .min = 0, .max = 255, .help = "How a remote task ends."),
	TASK(notify, BOOL, .help = "The command tells readiness by sd_notify."),
	TASK(ready_timeout_ms, INT, .min = 0, .max = 3600000, .def = "0", .help = "How long that may take."),
	TASK(stop_signal, STRING, .choices = stop_signals, .help = "Signal for a stop without a signal."),
	TASK(cpu_hard_limit, BOOL, .help = "The CPU time granted is a limit."),
	TASK(cpu_period, INT, .def = "0", .min = 0, .max = 10000000, .unit = "microseconds",
	     .help = "Over which it is counted."),
	TASK(device_policy, STRING, .def = "\"any\"", .choices = device_policies, .help = "Which devices may be used."),
	TASK(devices, STRING_LIST, .max_items = 8, .help = "Devices that may be used: PATH or PATH:PERMISSIONS."),
	TASK(ulimit, STRING_MAP, .help = "Resource limits."),
	TASK(oom_score_adj, INT, .def = "0", .min = -1000, .max = 1000, .help = "Whom the kernel kills first."),
	TASK(pids_max, INT, .def = "0", .min = 0, .max = 100000, .help = "Limit on the number of processes."),
	TASK(user, STRING, .help = "User of the host that runs the command."),
	TASK(path, STRING, .check = nomad_check_absolute_path, .help = "An absolute path."),
	TASK(count, INT, .min = 1, .max = 100, .help = "A number between 1 and 100."),
	TASK(big, INT, .help = "Any integer."),
	TASK(number, NUMBER, .help = "Any number."),
	TASK(flag, BOOL, .def = "true", .help = "A switch that is on."),
	TASK(tristate, TRISTATE, .help = "A switch that may be left alone."),
	TASK(words, STRING_LIST, .choices = words, .max_items = 3, .help = "At most three colours."),
	TASK(labels, STRING_MAP, .help = "Some pairs."),
	TASK(weights, INT_MAP, .min = 0, .max = 1000, .help = "Some numbers by name."),
	TASK(init, BLOCK, .block = &init_schema, .help = "A block that may be there."),
	TASK(mount, BLOCK_LIST, .block = &mount_schema, .max_items = 4, .help = "Any number of blocks, up to four."),
	TASK(secret, STRING, .secret = true, .help = "Never to be seen again."),
	TASK(old, STRING, .deprecated = true, .help = "Use path instead."),
};
const struct nomad_schema testdriver_task_schema = NOMAD_SCHEMA(struct testdriver_task_config, task_options);

/* ---- Showing ------------------------------------------------------------------ */

/* Set config.<name> to the formatted value. */
static int show(struct nomad_map *map, const char *name, const char *fmt, ...) NOMAD_PRINTF(3, 4);
static int show(struct nomad_map *map, const char *name, const char *fmt, ...)
{
	NOMAD_AUTO_FREE char *key = nomad_strdupf("config.%s", name);
	char value[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	return key ? nomad_map_set(map, key, value) : -ENOMEM;
}

static int show_string(struct nomad_map *map, const char *name, const char *value)
{
	return show(map, name, "%s", value ? value : "(absent)");
}

static int show_int(struct nomad_map *map, const char *name, int64_t value)
{
	return value == NOMAD_INT_UNSET ? show_string(map, name, NULL) : show(map, name, "%" PRId64, value);
}

static int show_list(struct nomad_map *map, const char *name, char *const *strv)
{
	char text[1024] = "";
	size_t n = 0;

	for (size_t i = 0; strv && strv[i] && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "", strv[i]);
	return show(map, name, "%s", text);
}

static int show_map(struct nomad_map *map, const char *name, const struct nomad_map *pairs)
{
	char text[1024] = "";
	size_t n = 0;

	for (size_t i = 0; i < pairs->count && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s", i ? "," : "", pairs->pairs[i].key,
				      pairs->pairs[i].value);
	return show(map, name, "%s", text);
}

static int show_int_map(struct nomad_map *map, const char *name, const struct nomad_int_map *pairs)
{
	char text[1024] = "";
	size_t n = 0;

	for (size_t i = 0; i < pairs->count && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%" PRId64, i ? "," : "", pairs->pairs[i].key,
				      pairs->pairs[i].value);
	return show(map, name, "%s", text);
}

static int show_init(struct nomad_map *map, const struct testdriver_init *init)
{
	if (!init)
		return show_string(map, "init", NULL);
	if (!init->size)
		return show(map, "init", "%s %s", init->name, init->enabled ? "on" : "off");
	return show(map, "init", "%s %s %" PRId64 "x%" PRId64, init->name, init->enabled ? "on" : "off",
		    init->size->width, init->size->height);
}

static int show_mounts(struct nomad_map *map, const struct nomad_block_list *list)
{
	const struct testdriver_mount *mounts = list->items;
	char text[1024] = "";
	size_t n = 0;

	for (size_t i = 0; i < list->count && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s:%s:%s:%zu", i ? "," : "", mounts[i].source,
				      mounts[i].target, mounts[i].readonly ? "ro" : "rw", mounts[i].options.count);
	return show(map, "mount", "%s", text);
}

int testdriver_show_config(const struct testdriver_task_config *config, struct nomad_map *attributes)
{
	static const char *const tristates[] = { "(absent)", "false", "true" };
	int r = 0;

	r = r ? r : show_string(attributes, "command", config->command);
	r = r ? r : show_list(attributes, "args", config->args);
	r = r ? r : show_string(attributes, "mode", config->mode);
	r = r ? r : show_string(attributes, "path", config->path);
	r = r ? r : show_int(attributes, "count", config->count);
	r = r ? r : show_int(attributes, "big", config->big);
	r = r			    ? r
	    : isnan(config->number) ? show_string(attributes, "number", NULL)
				    : show(attributes, "number", "%.17g", config->number);
	r = r ? r : show_string(attributes, "flag", config->flag ? "true" : "false");
	r = r ? r : show_string(attributes, "tristate", tristates[config->tristate + 1]);
	r = r ? r : show_list(attributes, "words", config->words);
	r = r ? r : show_map(attributes, "labels", &config->labels);
	r = r ? r : show_int_map(attributes, "weights", &config->weights);
	r = r ? r : show_init(attributes, config->init);
	r = r ? r : show_mounts(attributes, &config->mount);
	/* Whether the secret arrived, not what it is. */
	r = r ? r : show(attributes, "secret_length", "%zu", config->secret ? strlen(config->secret) : 0);
	r = r ? r : show_string(attributes, "old", config->old);
	return r;
}
