/* SPDX-License-Identifier: MPL-2.0
 *
 * The tasks of a state directory, and removal of those that no agent claims:
 * see core/tasks_on_disk.h. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/gc.h"

static const char *fact(const struct nomad__disk_task *task, const char *key)
{
	const char *value = nomad_map_get(&task->record, key);

	return value ? value : "";
}

static int64_t age_s(int64_t since_ns)
{
	int64_t age = nomad_wall_ns() - since_ns;

	return age < 0 ? 0 : age / 1000000000;
}

/* 59s, 59m, 47h, 12d */
static void print_age(char *text, size_t size, int64_t s)
{
	if (s < 60)
		snprintf(text, size, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(text, size, "%" PRId64 "m", s / 60);
	else if (s < 48 * 3600)
		snprintf(text, size, "%" PRId64 "h", s / 3600);
	else
		snprintf(text, size, "%" PRId64 "d", s / 86400);
}

/* The text comes from a job: no control characters reach the terminal. */
static void print_column(const char *text, int width)
{
	char clean[80];
	size_t n = 0;

	for (const char *p = *text ? text : "-"; *p && n < sizeof(clean) - 1; p++)
		clean[n++] = (unsigned char)*p < ' ' || *p == 127 ? '?' : *p;
	clean[n] = 0;
	printf("%-*s ", width, clean);
}

static void print_pid(int pid)
{
	char text[16] = "-";

	if (pid)
		snprintf(text, sizeof(text), "%d", pid);
	printf("%7s ", text);
}

/* Who cares for the task, and for how long: "agent" is the plugin of one. */
static void print_claim(const struct nomad__disk_task *task)
{
	char age[24];

	print_age(age, sizeof(age), age_s(task->claim_since_ns));
	if (task->claimed && *task->claim_by)
		printf("%s (pid %d) for %s\n", task->claim_by, task->claim_pid, age);
	else
		printf("%s\n", task->claimed ? "yes" : "none");
}

static void print_text(const struct nomad__disk_task *tasks, size_t count)
{
	printf("%-8s %-20s %-20s %-10s %7s %7s %5s %6s %8s %s\n", "ALLOC", "TASK", "JOB", "STATE", "SUPER", "PID",
	       "AGE", "CPU", "MEMORY", "CLAIM");
	for (size_t i = 0; i < count; i++) {
		const struct nomad__disk_task *task = &tasks[i];
		char alloc[9], age[24];

		if (task->foreign)
			continue;
		snprintf(alloc, sizeof(alloc), "%s", fact(task, "alloc"));
		print_age(age, sizeof(age), age_s(task->since_ns));
		print_column(alloc, 8);
		print_column(*fact(task, "name") ? fact(task, "name") : task->slug, 20);
		print_column(fact(task, "job"), 20);
		print_column(nomad__disk_state_name(task->state), 10);
		print_pid(task->supervisor_pid);
		print_pid(task->leader_pid);
		printf("%5s %6s %6lldMi ", age, *fact(task, "cpu") ? fact(task, "cpu") : "-",
		       strtoll(fact(task, "memory"), NULL, 10) >> 20);
		print_claim(task);
	}
}

static json_t *held(const struct nomad__disk_task *task)
{
	json_t *object = json_object();

	for (size_t i = 0; i < task->record.count; i++)
		if (strncmp(task->record.pairs[i].key, "x.", 2) == 0)
			json_object_set_new(object, task->record.pairs[i].key + 2,
					    json_string(task->record.pairs[i].value));
	return object;
}

static json_t *to_json(const struct nomad__disk_task *task)
{
	static const char *const facts[] = { "id", "alloc", "name", "job", "namespace", "node", "dir" };
	json_t *object = json_object();

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(facts); i++)
		json_object_set_new(object, facts[i], json_string(fact(task, facts[i])));
	json_object_set_new(object, "slug", json_string(task->slug));
	json_object_set_new(object, "state", json_string(nomad__disk_state_name(task->state)));
	json_object_set_new(object, "claimed", json_boolean(task->claimed));
	if (*task->claim_by)
		json_object_set_new(object, "claim",
				    json_pack("{s:s, s:i, s:I}", "by", task->claim_by, "pid", task->claim_pid, "age_s",
					      (json_int_t)age_s(task->claim_since_ns)));
	json_object_set_new(object, "supervisor_pid", json_integer(task->supervisor_pid));
	json_object_set_new(object, "pid", json_integer(task->leader_pid));
	json_object_set_new(object, "age_s", json_integer(age_s(task->since_ns)));
	json_object_set_new(object, "cpu_mhz", json_integer(strtoll(fact(task, "cpu"), NULL, 10)));
	json_object_set_new(object, "memory_bytes", json_integer(strtoll(fact(task, "memory"), NULL, 10)));
	if (task->state == NOMAD__DISK_EXITED) {
		json_object_set_new(object, "exit_code", json_integer(task->exit_code));
		json_object_set_new(object, "signal", json_integer(task->signal));
	}
	json_object_set_new(object, "holds", held(task));
	return object;
}

static int print_json(const struct nomad__disk_task *tasks, size_t count)
{
	json_t *root = json_array();
	int r;

	for (size_t i = 0; i < count; i++)
		if (!tasks[i].foreign)
			json_array_append_new(root, to_json(&tasks[i]));
	r = json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
	return r;
}

int nomad__cli_ps(int argc, char **argv, const struct nomad_driver *driver)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct nomad__disk_task *tasks = NULL;
	const char *config = NULL;
	bool json = false;
	const struct nomad__cli_option options[] = { { "config", .value = &config }, { "json", .flag = &json }, { 0 } };
	struct nomad_plugin *plugin;
	size_t count = 0;
	int status = NOMAD__EXIT_FAILED;

	if (!nomad__cli_parse(argc, argv, driver, options, NULL))
		return NOMAD__EXIT_USAGE;
	plugin = nomad__cli_plugin(driver, config);
	if (!plugin)
		return status;
	if (nomad__tasks_on_disk(plugin, &tasks, &count, &err) < 0) {
		nomad__cli_fail(driver, 0, "%s", nomad_error_message(err));
	} else if (json) {
		status = print_json(tasks, count) < 0 ? NOMAD__EXIT_FAILED : NOMAD__EXIT_OK;
	} else {
		print_text(tasks, count);
		status = NOMAD__EXIT_OK;
	}
	nomad__tasks_on_disk_free(tasks, count);
	nomad__plugin_free(plugin);
	return fflush(stdout) == 0 ? status : NOMAD__EXIT_FAILED;
}

struct gc {
	const struct nomad_driver *driver;
	bool dry_run, failed;
};

static void say_removed(void *ud, const struct nomad__disk_task *task, const char *why, const struct nomad_error *err)
{
	struct gc *gc = ud;
	const char *id = *fact(task, "id") ? fact(task, "id") : task->slug;

	if (err) {
		gc->failed = true;
		nomad__cli_fail(gc->driver, 0, "%s", nomad_error_message(err));
	} else {
		printf("%s %s (%s): %s\n", gc->dry_run ? "would remove" : "removed", id,
		       nomad__disk_state_name(task->state), why);
	}
}

static void say_line(void *ud, const char *line)
{
	(void)ud;
	puts(line);
}

/* Of the whole account, whatever this host knows of it. */
static int gc_account(const struct nomad_driver *driver, struct nomad_plugin *plugin, bool dry_run)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	int r = driver->gc_account(plugin, dry_run, say_line, NULL, &err);

	if (r < 0)
		nomad__cli_fail(driver, 0, "%s", nomad_error_message(err));
	nomad__plugin_free(plugin);
	return r < 0 || fflush(stdout) != 0 ? NOMAD__EXIT_FAILED : NOMAD__EXIT_OK;
}

int nomad__cli_gc(int argc, char **argv, const struct nomad_driver *driver)
{
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct gc gc = { .driver = driver };
	const char *config = NULL;
	bool running = false, account = false;
	const struct nomad__cli_option options[] = { { "config", .value = &config },
						     { "dry-run", .flag = &gc.dry_run },
						     { "running", .flag = &running },
						     { "account", .flag = &account },
						     { 0 } };
	struct nomad_plugin *plugin;
	int r;

	if (!nomad__cli_parse(argc, argv, driver, options, NULL))
		return NOMAD__EXIT_USAGE;
	if (account && (running || !driver->gc_account))
		return nomad__cli_fail(driver, NOMAD__EXIT_USAGE,
				       driver->gc_account
					       ? "gc: --running and --account exclude each other"
					       : "gc: --account: only for drivers whose tasks run on other hosts");
	plugin = nomad__cli_plugin(driver, config);
	if (!plugin)
		return NOMAD__EXIT_FAILED;
	if (account)
		return gc_account(driver, plugin, gc.dry_run);
	r = gc.dry_run ? 0 : nomad__plugin_init(plugin, &err);
	if (r >= 0)
		r = nomad__gc(plugin,
			      NOMAD__GC_BY_HAND | (gc.dry_run ? NOMAD__GC_DRY_RUN : 0) |
				      (running ? NOMAD__GC_RUNNING : 0),
			      say_removed, &gc, &err);
	if (r < 0)
		nomad__cli_fail(driver, 0, "%s", nomad_error_message(err));
	nomad__plugin_free(plugin);
	return r < 0 || gc.failed || fflush(stdout) != 0 ? NOMAD__EXIT_FAILED : NOMAD__EXIT_OK;
}
