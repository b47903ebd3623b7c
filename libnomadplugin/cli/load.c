/* SPDX-License-Identifier: MPL-2.0
 *
 * HCL or JSON to JSON.
 *
 * There is no C library for HCL, and `nomad` is where jobs and agents'
 * configurations are.  `nomad job run -output` converts a job.  An agent's
 * configuration is put into a job for that, as the config of a task: Nomad
 * takes any attributes and blocks there. */
#include "cli/load.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nomad/base.h"

extern char **environ;

#define BEFORE "job \"x\" {\ngroup \"x\" {\ntask \"x\" {\ndriver = \"x\"\nconfig {\n"
#define LINES_BEFORE 5
#define BEHIND "\n}\n}\n}\n}\n"

/* All of `from` behind `before`, then `behind`, in a new temporary file; or NULL. */
static FILE *copy_of(FILE *from, const char *before, const char *behind)
{
	FILE *to = tmpfile();
	int c;

	if (!to)
		return NULL;
	fputs(before, to);
	while ((c = getc(from)) != EOF)
		putc(c, to);
	fputs(behind, to);
	if (!ferror(from) && !ferror(to) && fflush(to) == 0 && fseek(to, 0, SEEK_SET) == 0)
		return to;
	fclose(to);
	return NULL;
}

/* A copy, as the file may be a pipe.  *ret_json: it begins as JSON does. */
static FILE *open_file(const char *path, bool *ret_json, struct nomad_error **err)
{
	FILE *from = strcmp(path, "-") == 0 ? stdin : fopen(path, "re"), *file = from ? copy_of(from, "", "") : NULL;
	int c, why = errno;

	if (from && from != stdin)
		fclose(from);
	if (!file) {
		nomad_error_errno(err, why, "read '%s'", path);
		return NULL;
	}
	do
		c = getc(file);
	while (c != EOF && strchr(" \t\r\n", c));
	*ret_json = c == '{';
	rewind(file);
	return file;
}

static json_t *parse(FILE *file, const char *path, struct nomad_error **err)
{
	json_error_t where;
	json_t *json = json_loadf(file, JSON_REJECT_DUPLICATES, &where);

	if (!json)
		nomad_error_set(err, EINVAL, "read '%s': %s (line %d)", path, where.text, where.line);
	return json;
}

/* Runs `nomad job run -output NAME`, with files as its stdin and stdout.  0, -ENOENT if nomad is not on PATH, -EIO if
 * it fails; then it has written the reason to stderr.  nomad_tool_run() keeps 64 KiB of output; a job may have more. */
static int run_nomad(const char *name, FILE *input, FILE *output)
{
	const char *const argv[] = { "nomad", "job", "run", "-output", name, NULL };
	posix_spawn_file_actions_t actions;
	int r, status;
	pid_t pid;

	if (lseek(fileno(input), 0, SEEK_SET) < 0) /* whatever of it is in a buffer */
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fileno(input), STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fileno(output), STDOUT_FILENO);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status == 0 && fseek(output, 0, SEEK_SET) == 0 ? 0 : -EIO;
}

/* The job in HCL that `input` holds, and `name` names to nomad. */
static json_t *convert(const char *path, const char *name, FILE *input, const char *hint, struct nomad_error **err)
{
	FILE *output = tmpfile();
	json_t *json = NULL;
	int r = output ? run_nomad(name, input, output) : -errno;

	if (r == 0)
		json = parse(output, path, err);
	else if (r == -ENOENT)
		nomad_error_set(err, ENOENT,
				"read '%s': not JSON, and nomad, which converts HCL, is not on PATH; install nomad, or "
				"give JSON%s",
				path, hint);
	else if (r == -EIO)
		nomad_error_set(err, EINVAL, "read '%s': `nomad job run -output` failed, see its message", path);
	else
		nomad_error_errno(err, -r, "read '%s': run nomad", path);
	if (output)
		fclose(output);
	return json;
}

json_t *nomad__load_job(const char *path, struct nomad_error **err)
{
	bool is_json;
	FILE *file = open_file(path, &is_json, err);
	json_t *json;

	if (!file)
		return NULL;
	/* By its name, because functions of HCL read files relative to it. */
	json = is_json ? parse(file, path, err)
		       : convert(path, *path == '-' ? "-" : path, file, " from `nomad job run -output JOB.hcl`", err);
	fclose(file);
	return json;
}

/* ---- The plugin block ---- */

/* The member of an object, or of the first object of a list that has it: HCL makes lists of blocks. */
static json_t *member(json_t *value, const char *key)
{
	json_t *found = json_object_get(value, key);

	for (size_t i = 0; !found && i < json_array_size(value); i++)
		found = json_object_get(json_array_get(value, i), key);
	return found;
}

static json_t *config_of(json_t *root, const char *path, const char *driver, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *name = nomad_strdupf("nomad-driver-%s", driver);
	json_t *plugins = json_object_get(root, "plugin"), *plugin = plugins && name ? member(plugins, name) : NULL;
	json_t *config = plugin ? member(plugin, "config") : NULL;

	if (!plugins)
		return json_incref(root);
	if (!plugin) {
		nomad_error_set(err, ENOENT, "read '%s': no block plugin \"nomad-driver-%s\"", path, driver);
		return NULL;
	}
	if (json_is_array(config))
		config = json_array_get(config, 0);
	return config ? json_incref(config) : json_object();
}

/* Of a file in HCL. */
static json_t *convert_config(const char *path, FILE *file, struct nomad_error **err)
{
	static const char *const way[] = { "Job", "TaskGroups", "Tasks", "Config", NULL };
	FILE *job = copy_of(file, BEFORE, BEHIND);
	json_t *json = NULL, *config;

	if (!job) {
		nomad_error_errno(err, errno, "read '%s'", path);
		return NULL;
	}
	json = convert(path, "-", job, "", err);
	fclose(job);
	if (!json) {
		nomad_error_wrap(err, "convert HCL (nomad counts %d lines before the first)", LINES_BEFORE);
		return NULL;
	}
	config = json;
	for (size_t i = 0; way[i]; i++)
		config = member(config, way[i]);
	/* An empty file is null. */
	config = json_is_object(config) ? json_incref(config) : json_object();
	json_decref(json);
	return config;
}

json_t *nomad__load_config(const char *path, const char *driver, struct nomad_error **err)
{
	bool is_json;
	FILE *file = open_file(path, &is_json, err);
	json_t *json, *config;

	if (!file)
		return NULL;
	json = is_json ? parse(file, path, err) : convert_config(path, file, err);
	config = json ? config_of(json, path, driver, err) : NULL;
	json_decref(json);
	fclose(file);
	return config;
}
