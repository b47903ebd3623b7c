/* SPDX-License-Identifier: MPL-2.0
 *
 * One life of the plugin, without an agent: what Nomad asks in it is given as
 * words.  Tests kill it, and start another on the same directory.
 *
 *	triton-steps CONFIG.json TASK-CONFIG.json DIRECTORY WORD...
 *
 *	start		StartTask; the answer goes to DIRECTORY/handle
 *	late		StartTask, which has to fail
 *	leaves		StartTask whose caller leaves after a second: it has to fail
 *	recover		RecoverTask with that
 *	reboot		this life is one of another boot of the host
 *	up		wait until the poller knows it to run
 *	wait		wait for its end, and print it
 *	stop		StopTask, and its end
 *	destroy		DestroyTask, of whatever is known
 *	settle		wait until no debts are left
 *	crowd=N		StartTask of N others
 *	run=HEX		what follows is of another run of the allocation's task
 *	rest		wait until there is a file DIRECTORY/go
 *	disperse=N	DestroyTask of those N
 *	idle		wait until there is a file DIRECTORY/leave
 *
 * The pid goes to DIRECTORY/pid, the id of the allocation to DIRECTORY/alloc-id.  Exit status 1 and a message where a
 * step fails. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/memory.h"
#include "core/plugin.h"
#include "nomad-driver-triton/driver.h"
#include "nomad-driver-triton/hold.h"
#include "schema/schema.h"

enum { PATIENCE_S = 240 };

/* Ids are of the directory and the number alone, for engines are common. */
static uint32_t hash;
static char id[64]; /* of number 0 */
static const char *invocation = "aabbccdd";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool ended, stopped;
static int end_status;
static struct nomad__caller *caller; /* of StartTask; NULL: one that stays */

static int fail(const char *what, struct nomad_error *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? nomad_error_message(err) : "failed");
	nomad_error_free(err);
	return -1;
}

static void on_end(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	(void)ud;
	pthread_mutex_lock(&lock);
	ended = true;
	end_status = r;
	if (r < 0)
		printf("end unknown: %s\n", nomad_error_message(err));
	else
		printf("end %d signal %d%s%s\n", result->exit_code, result->signal, result->message ? ": " : "",
		       result->message ? result->message : "");
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void on_stop(void *ud, int r, const struct nomad_error *err)
{
	(void)ud;
	if (r < 0)
		fprintf(stderr, "stop: %s\n", nomad_error_message(err));
	pthread_mutex_lock(&lock);
	stopped = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static int wait_for(const char *what, const bool *flag)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&lock);
	while (!*flag && r == 0)
		r = pthread_cond_timedwait(&changed, &lock, &until);
	pthread_mutex_unlock(&lock);
	return *flag ? 0 : fail(what, NULL);
}

static char *text(const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		abort();
	return copy;
}

static void id_of(unsigned n, char alloc_id[40], char task_id[64])
{
	snprintf(alloc_id, 40, "%08" PRIx32 "-2222-3333-4444-%012x", hash + n, n);
	snprintf(task_id, 64, "%s/task/%.8s", alloc_id, invocation);
}

static struct nomad_task_info info_of(const char *folder, unsigned n)
{
	char alloc_id[40], task_id[64];
	struct nomad_task_info info;

	id_of(n, alloc_id, task_id);
	info = (struct nomad_task_info){
		.id = text(task_id),
		.name = text("task"),
		.alloc_id = text(alloc_id),
		.task_group_name = text("group"),
		.job_id = text("job"),
		.job_name = text("job"),
		.namespace_name = text("default"),
		.node_id = text("node"),
		.node_name = text("node"),
		.alloc_dir = nomad_strdupf("%s/alloc", folder),
		.stdout_path = text("/dev/null"),
		.stderr_path = text("/dev/null"),
	};

	if (!info.alloc_dir || nomad_map_set(&info.env, "NOMAD_TASK_NAME", "task") < 0)
		abort();
	/* Nomad sets some forty, of this size. */
	for (unsigned i = 0; n && i < 40; i++) {
		char name[64];

		snprintf(name, sizeof(name), "NOMAD_VARIABLE_OF_A_TASK_%u", i);
		if (nomad_map_set(&info.env, name, "a-value-of-some-length.service.example.com") < 0)
			abort();
	}
	return info;
}

static int start(struct nomad_plugin *plugin, const char *folder, const char *config_file, unsigned n)
{
	NOMAD_AUTO_FREE char *path = n ? nomad_strdupf("%s/handle%u", folder, n) : nomad_strdupf("%s/handle", folder);
	struct nomad_task_info info = info_of(folder, n);
	struct nomad__started started = { 0 };
	json_t *json = json_load_file(config_file, 0, NULL);
	struct nomad_error *err = NULL;
	void *config = NULL;
	size_t size = 0;
	FILE *file;
	int r = nomad__config_from_json(nomad__plugin_driver(plugin)->task_schema, "task config", json, &config, &size,
					&err);

	json_decref(json);
	if (r >= 0)
		r = nomad__task_start(plugin, caller, &info, config, size, &started, &err);
	free(config);
	nomad__task_info_done(&info);
	if (r < 0)
		return fail("start", err);
	file = fopen(path, "w");
	if (!file || fwrite(started.driver_state, 1, started.driver_state_size, file) != started.driver_state_size ||
	    fclose(file))
		abort();
	if (!n)
		printf("started at %s\n", started.addr ? started.addr : "no address");
	nomad__started_done(&started);
	return 0;
}

static void *leave(void *arg)
{
	sleep(1);
	nomad__caller_leave(arg);
	return NULL;
}

static int start_and_leave(struct nomad_plugin *plugin, const char *folder, const char *config_file)
{
	pthread_t thread;
	int r;

	caller = nomad__caller_new();
	if (!caller || pthread_create(&thread, NULL, leave, caller))
		abort();
	r = start(plugin, folder, config_file, 0);
	pthread_join(thread, NULL);
	nomad__caller_unref(NOMAD_TAKE_PTR(caller));
	return r < 0 ? 0 : fail("leaves", NULL);
}

static int recover(struct nomad_plugin *plugin, const char *folder)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/handle", folder);
	struct nomad_task_info info = info_of(folder, 0);
	struct nomad_error *err = NULL;
	FILE *file = fopen(path, "r");
	char state[65536];
	size_t size = file ? fread(state, 1, sizeof(state), file) : 0;
	int r;

	if (file)
		fclose(file);
	r = nomad__task_recover(plugin, &info, state, size, nomad_monotonic_ns(), &err);
	nomad__task_info_done(&info);
	return r < 0 ? fail("recover", err) : 0;
}

static int up(struct nomad_plugin *plugin)
{
	for (int i = 0; i < PATIENCE_S * 10; i++) {
		struct nomad_error *err = NULL;
		struct nomad__inspect inspect = { 0 };
		const char *state;
		bool running;

		if (nomad__task_inspect(plugin, id, &inspect, &err) < 0)
			return fail("up", err);
		state = nomad_map_get(&inspect.attributes, "state");
		running = state && strcmp(state, "running") == 0;
		nomad__inspect_done(&inspect);
		if (running)
			return 0;
		usleep(100000);
	}
	return fail("up", NULL);
}

static int end(struct nomad_plugin *plugin, bool stop)
{
	struct nomad__sub *sub = NULL;
	struct nomad_error *err = NULL;
	int r = nomad__task_wait(plugin, id, on_end, NULL, &sub, &err);

	if (r >= 0 && stop)
		r = nomad__task_stop(plugin, id, 10LL * 1000000000, "", on_stop, NULL, &err);
	if (r < 0)
		fail("stop", err);
	if (r >= 0)
		r = wait_for("its end", &ended);
	if (r >= 0 && stop)
		r = wait_for("the answer to stop", &stopped);
	nomad__sub_cancel(sub);
	return r < 0 ? r : end_status;
}

static int settle(const char *state_dir)
{
	NOMAD_AUTO_FREE char *folder = nomad_strdupf("%s/debts", state_dir);

	for (int i = 0; i < PATIENCE_S * 10; i++) {
		DIR *dir = opendir(folder);
		struct dirent *entry;
		bool any = false;

		while (dir && (entry = readdir(dir)))
			any |= *entry->d_name != '.';
		if (dir)
			closedir(dir);
		if (!any)
			return 0;
		usleep(100000);
	}
	return fail("settle", NULL);
}

/* ---- Many at once ---- */

enum { THREADS = 12 };

struct crowd {
	struct nomad_plugin *plugin;
	const char *folder, *config_file; /* NULL: destroy */
	unsigned count;
	atomic_uint next, failed;
};

static void *some_of(void *arg)
{
	struct crowd *crowd = arg;
	unsigned n;

	while ((n = atomic_fetch_add(&crowd->next, 1)) <= crowd->count) {
		struct nomad_error *err = NULL;
		char alloc_id[40], task_id[64];
		int r;

		id_of(n, alloc_id, task_id);
		if (crowd->config_file)
			r = start(crowd->plugin, crowd->folder, crowd->config_file, n);
		else
			r = nomad__task_destroy(crowd->plugin, task_id, true, &err) < 0 ? fail("destroy", err) : 0;
		if (r < 0)
			atomic_fetch_add(&crowd->failed, 1);
	}
	return NULL;
}

static int all_of(struct nomad_plugin *plugin, const char *folder, const char *config_file, const char *count)
{
	struct crowd crowd = { .plugin = plugin,
			       .folder = folder,
			       .config_file = config_file,
			       .count = (unsigned)strtoul(count, NULL, 10) };
	pthread_t threads[THREADS];

	atomic_init(&crowd.next, 1);
	atomic_init(&crowd.failed, 0);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, some_of, &crowd))
			abort();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("crowd: %u of %u failed\n", atomic_load(&crowd.failed), crowd.count);
	return atomic_load(&crowd.failed) ? -1 : 0;
}

static int wait_for_file(const char *folder, const char *name)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", folder, name);

	for (int i = 0; i < PATIENCE_S * 10; i++) {
		if (path && access(path, F_OK) == 0)
			return 0;
		usleep(100000);
	}
	return fail(name, NULL);
}

static int run_word(struct nomad_plugin *plugin, char **argv, const char *word, const char *state_dir)
{
	struct nomad_error *err = NULL;

	if (strcmp(word, "start") == 0)
		return start(plugin, argv[3], argv[2], 0);
	if (strcmp(word, "late") == 0)
		return start(plugin, argv[3], argv[2], 0) < 0 ? 0 : -1;
	if (strcmp(word, "leaves") == 0)
		return start_and_leave(plugin, argv[3], argv[2]);
	if (strcmp(word, "recover") == 0)
		return recover(plugin, argv[3]);
	if (strncmp(word, "run=", 4) == 0) {
		char alloc_id[40];

		invocation = word + 4;
		id_of(0, alloc_id, id);
		return 0;
	}
	if (strcmp(word, "reboot") == 0) {
		memset(plugin->boot_id, 'b', strlen(plugin->boot_id));
		return 0;
	}
	if (strcmp(word, "up") == 0)
		return up(plugin);
	if (strcmp(word, "wait") == 0 || strcmp(word, "stop") == 0)
		return end(plugin, *word == 's');
	if (strcmp(word, "destroy") == 0)
		return nomad__task_destroy(plugin, id, true, &err) < 0 ? fail("destroy", err) : 0;
	if (strncmp(word, "crowd=", 6) == 0)
		return all_of(plugin, argv[3], argv[2], word + 6);
	if (strncmp(word, "disperse=", 9) == 0)
		return all_of(plugin, argv[3], NULL, word + 9);
	if (strcmp(word, "rest") == 0)
		return wait_for_file(argv[3], "go");
	if (strcmp(word, "idle") == 0)
		return wait_for_file(argv[3], "leave");
	if (strcmp(word, "settle") == 0)
		return settle(state_dir);
	return fail(word, NULL);
}

int main(int argc, char **argv)
{
	struct nomad_error *err = NULL;
	struct nomad_plugin *plugin;
	struct nomad__node node = { .total_compute_mhz = 1000, .cores = 1 };
	const char *state_dir;
	void *config = NULL;
	char alloc_id[40];
	size_t size = 0;
	json_t *json;
	FILE *file;
	int r;

	if (argc > 1 && strcmp(argv[1], TRITON_HOLD_WORD) == 0)
		return triton_hold_main(argc, argv);
	if (argc < 5)
		return 2;
	nomad__memory_share();
	hash = nomad_hash32(argv[3], strlen(argv[3]));
	id_of(0, alloc_id, id);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (chdir(argv[3]) < 0 || !(file = fopen("pid", "w")) || fprintf(file, "%d\n", (int)getpid()) < 0 ||
	    fclose(file))
		return 2;
	if (!(file = fopen("alloc-id", "w")) || fputs(alloc_id, file) < 0 || fclose(file))
		return 2;
	json = json_load_file(argv[1], 0, NULL);
	state_dir = json_string_value(json_object_get(json, "state_dir"));
	plugin = nomad__plugin_new(&triton_driver, &err);
	if (!plugin || !state_dir)
		return fail("plugin", err) < 0;
	r = nomad__config_from_json(nomad__plugin_config_schema(plugin), "plugin config", json, &config, &size, &err);
	if (r >= 0)
		r = nomad__plugin_configure(plugin, config, size, &node, &err);
	if (r >= 0)
		r = nomad__plugin_init(plugin, &err);
	if (r < 0)
		fail("configure", err);
	for (int i = 4; r >= 0 && i < argc; i++)
		r = run_word(plugin, argv, argv[i], state_dir);
	nomad__plugin_free(plugin);
	free(config);
	json_decref(json);
	return r < 0;
}
