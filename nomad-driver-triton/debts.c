/* SPDX-License-Identifier: MPL-2.0
 *
 * What is to be removed and is not yet.
 *
 * Nomad speaks of a task no more once it was destroyed, or its start failed;
 * it does not repeat a DestroyTask that the plugin did not survive, either.
 * So the task's records go to a file before the removal begins, and leave it
 * when nothing is left; a thread tries again what stays.
 *
 *	take -> removal -> settle(paid): the file goes
 *		       \-> settle(not), or the process dies: the thread tries
 *	cancel: the same name is made anew, the file goes
 *
 * A start that is not done is a debt in the same way.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/log.h"

#include "debts.h"
#include "hold.h"
#include "text.h"

enum { FIRST_MS = 5000, EACH_MS = 30000, TRY_MS = 60000, MOST_MS = 600000 };

struct triton_debts {
	struct triton_site *site;
	char *folder, *hold_folder;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct nomad_map taken; /* names whose removal is under way elsewhere; the values say nothing */
	char *paying;		/* the one that the thread is at */
};

static bool is_debt(const char *name)
{
	size_t n = strlen(name);

	return *name != '.' && n > 5 && strcmp(name + n - 5, ".json") == 0;
}

static char *path_of(struct triton_debts *debts, const char *name)
{
	return nomad_strdupf("%s/%s.json", debts->folder, name);
}

static int write_debt(struct triton_debts *debts, const struct triton_remains *remains, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = path_of(debts, remains->name), *text = NULL;
	NOMAD_AUTO_FREE char *temporary = nomad_strdupf("%s/.%s.tmp", debts->folder, remains->name);
	json_t *json = triton_remains_json(remains);
	NOMAD_AUTO_FD int fd = -1;
	int r;

	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text || !path || !temporary)
		return nomad_error_errno(err, ENOMEM, "note what is to be removed");
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return nomad_error_errno(err, errno, "write '%s'", temporary);
	r = nomad_write_all(fd, text, strlen(text));
	if (r >= 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0) {
		nomad_error_errno(err, -r, "write '%s'", path);
		unlink(temporary);
	}
	return r;
}

static int renew(void *ud, const struct triton_remains *remains, struct nomad_error **err)
{
	struct triton_debts *debts = ud;
	int r;

	pthread_mutex_lock(&debts->lock);
	r = write_debt(debts, remains, err);
	pthread_mutex_unlock(&debts->lock);
	return r;
}

/* The thread takes a debt unless it is somebody's; what it reads then stays. */
static int begin_paying(struct triton_debts *debts, const char *file, struct triton_remains *ret)
{
	NOMAD_AUTO_FREE char *name = nomad_strdupf("%.*s", (int)strlen(file) - 5, file), *path = NULL;
	json_t *json;
	int r = -EBUSY;

	path = name ? path_of(debts, name) : NULL;
	if (!path)
		return -ENOMEM;
	pthread_mutex_lock(&debts->lock);
	if (!nomad_map_get(&debts->taken, name)) {
		json = json_load_file(path, 0, NULL);
		r = json ? triton_remains_parse(json, ret) : -EINVAL;
		json_decref(json);
		if (r >= 0) {
			debts->paying = NOMAD_TAKE_PTR(name);
			ret->note = renew;
			ret->ud = debts;
		}
	}
	pthread_mutex_unlock(&debts->lock);
	return r;
}

static void pay(struct triton_debts *debts, const char *file)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", debts->folder, file);
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct triton_remains remains;
	const char *hold;
	int r;

	if (!path || begin_paying(debts, file, &remains) < 0)
		return;
	r = triton_remains_clear(debts->site, &remains, TRY_MS, &err);
	hold = nomad_map_get(&remains.records, TRITON_RECORD_HOLD);
	if (r >= 0 && hold)
		triton_hold_remove(debts->hold_folder, hold);
	if (r >= 0)
		nomad_log_kv(NOMAD_LOG_INFO, "removed what an earlier task had left", "instance", remains.name, NULL);
	else
		nomad_log_kv(NOMAD_LOG_WARN, "cannot remove yet what a task has left", "instance", remains.name,
			     "error", nomad_error_message(err), NULL);
	pthread_mutex_lock(&debts->lock);
	if (r >= 0)
		unlink(path);
	free(NOMAD_TAKE_PTR(debts->paying));
	pthread_cond_broadcast(&debts->changed);
	pthread_mutex_unlock(&debts->lock);
	triton_remains_done(&remains);
}

static void *run(void *ud)
{
	struct triton_debts *debts = ud;
	unsigned rounds = 0;

	triton_budget_for(TRITON_TO_END);
	if (triton_budget_sleep(&debts->site->budget, FIRST_MS) < 0)
		return NULL;
	do {
		DIR *dir = opendir(debts->folder);
		struct dirent *entry;
		bool any = false;

		while (dir && (entry = readdir(dir)) && !atomic_load(&debts->site->budget.closing)) {
			if (!is_debt(entry->d_name))
				continue;
			any = true;
			pay(debts, entry->d_name);
		}
		if (dir)
			closedir(dir);
		rounds = any ? rounds + 1 : 1;
	} while (triton_budget_sleep(&debts->site->budget, triton_backoff_ms(rounds, EACH_MS, MOST_MS)) == 0);
	return NULL;
}

int triton_debts_new(struct triton_site *site, const char *folder, const char *hold_folder, struct triton_debts **ret,
		     struct nomad_error **err)
{
	struct triton_debts *debts = calloc(1, sizeof(*debts));
	int r;

	if (!debts)
		return nomad_error_errno(err, ENOMEM, "prepare the list of what is to be removed");
	debts->site = site;
	pthread_mutex_init(&debts->lock, NULL);
	pthread_cond_init(&debts->changed, NULL);
	if (triton_keep(&debts->folder, folder) < 0 || triton_keep(&debts->hold_folder, hold_folder) < 0) {
		triton_debts_free(debts);
		return nomad_error_errno(err, ENOMEM, "prepare the list of what is to be removed");
	}
	if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
		r = nomad_error_errno(err, errno, "make the folder '%s'", folder);
		triton_debts_free(debts);
		return r;
	}
	r = pthread_create(&debts->thread, NULL, run, debts);
	if (r) {
		triton_debts_free(debts);
		return nomad_error_errno(err, r, "prepare the list of what is to be removed");
	}
	debts->started = true;
	*ret = debts;
	return 0;
}

void triton_debts_free(struct triton_debts *debts)
{
	if (!debts)
		return;
	if (debts->started)
		pthread_join(debts->thread, NULL);
	pthread_cond_destroy(&debts->changed);
	pthread_mutex_destroy(&debts->lock);
	nomad_map_done(&debts->taken);
	free(debts->folder);
	free(debts->hold_folder);
	free(debts);
}

static bool is_paying(struct triton_debts *debts, const char *name)
{
	return debts->paying && strcmp(debts->paying, name) == 0;
}

/* The lock is held.  The thread's attempt is bounded. */
static void wait_for_thread(struct triton_debts *debts, const char *name)
{
	while (is_paying(debts, name))
		pthread_cond_wait(&debts->changed, &debts->lock);
}

/* The rules of published ports are known only while there is the instance. */
static int add_learned(struct triton_debts *debts, struct triton_remains *remains)
{
	NOMAD_AUTO_FREE char *path = path_of(debts, remains->name);
	json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
	const char *ids = triton_json_text(json_object_get(json, "records"), TRITON_RECORD_PUBLISHED);
	int r = 0;

	if (ids && !nomad_map_get(&remains->records, TRITON_RECORD_PUBLISHED))
		r = nomad_map_set(&remains->records, TRITON_RECORD_PUBLISHED, ids);
	json_decref(json);
	return r;
}

int triton_debts_take(struct triton_debts *debts, struct triton_remains *remains, struct nomad_error **err)
{
	int r;

	if (!remains->name)
		return 0;
	pthread_mutex_lock(&debts->lock);
	wait_for_thread(debts, remains->name);
	r = nomad_map_set(&debts->taken, remains->name, "");
	if (r >= 0)
		r = add_learned(debts, remains);
	remains->note = renew;
	remains->ud = debts;
	r = r < 0 ? nomad_error_errno(err, -r, "note what is to be removed") : write_debt(debts, remains, err);
	pthread_mutex_unlock(&debts->lock);
	return r;
}

void triton_debts_settle(struct triton_debts *debts, const char *name, bool paid)
{
	NOMAD_AUTO_FREE char *path = name ? path_of(debts, name) : NULL;

	if (!name)
		return;
	pthread_mutex_lock(&debts->lock);
	if (paid && path)
		unlink(path);
	nomad_map_remove(&debts->taken, name);
	pthread_mutex_unlock(&debts->lock);
}

void triton_debts_cancel(struct triton_debts *debts, const char *name)
{
	NOMAD_AUTO_FREE char *path = path_of(debts, name);

	if (!path)
		return;
	pthread_mutex_lock(&debts->lock);
	wait_for_thread(debts, name);
	unlink(path);
	pthread_mutex_unlock(&debts->lock);
}
