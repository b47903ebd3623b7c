// SPDX-License-Identifier: MPL-2.0
/*
 * What could not be removed when it was time to.
 *
 * Nomad speaks of a task no more once it was destroyed, or its start failed.
 * Where the data centre could not be reached then, the task's records are kept
 * in a file, and a thread tries again until nothing is left.
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

enum { FIRST_MS = 5000, EACH_MS = 30000, TRY_MS = 60000, MOST_MS = 600000 };

struct triton_debts {
	struct triton_site *site;
	char *folder;
	pthread_t thread;
	bool started;
};

static bool is_debt(const char *name)
{
	size_t n = strlen(name);

	return *name != '.' && n > 5 && !strcmp(name + n - 5, ".json");
}

static void pay(struct triton_debts *debts, const char *file)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", debts->folder, file);
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct triton_remains remains;
	json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
	int r = json ? triton_remains_parse(json, &remains) : -EINVAL;

	json_decref(json);
	if (r < 0)
		return;
	r = triton_remains_clear(debts->site, &remains, TRY_MS, &err);
	if (r >= 0) {
		unlink(path);
		nomad_log_kv(NOMAD_LOG_INFO, "removed what an earlier task had left", "instance", remains.name, NULL);
	} else {
		nomad_log_kv(NOMAD_LOG_WARN, "cannot remove yet what a task has left", "instance", remains.name, "error",
			     nomad_error_message(err), NULL);
	}
	triton_remains_done(&remains);
}

static void *run(void *ud)
{
	struct triton_debts *debts = ud;
	unsigned rounds = 0;

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

int triton_debts_new(struct triton_site *site, const char *folder, struct triton_debts **ret, struct nomad_error **err)
{
	struct triton_debts *debts = calloc(1, sizeof(*debts));
	int r;

	if (!debts || !(debts->folder = strdup(folder))) {
		free(debts);
		return nomad_error_errno(err, ENOMEM, "prepare the list of what is to be removed");
	}
	debts->site = site;
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
	free(debts->folder);
	free(debts);
}

int triton_debts_add(struct triton_debts *debts, const struct triton_remains *remains, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = NULL, *temporary = NULL, *text = NULL;
	json_t *json = triton_remains_json(remains);
	FILE *file;
	int r = 0, fd;

	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	path = nomad_strdupf("%s/%s.json", debts->folder, remains->name);
	temporary = nomad_strdupf("%s/.%s.tmp", debts->folder, remains->name);
	if (!text || !path || !temporary)
		return nomad_error_errno(err, ENOMEM, "note what is to be removed");
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!file) {
		r = nomad_error_errno(err, errno, "write '%s'", temporary);
		if (fd >= 0)
			close(fd);
		return r;
	}
	if (fputs(text, file) < 0 || fflush(file) || fsync(fd) < 0)
		r = -errno;
	if (fclose(file) && r >= 0)
		r = -errno;
	if (r >= 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		nomad_error_errno(err, -r, "write '%s'", path);
		unlink(temporary);
	}
	return r;
}

void triton_debts_paid(struct triton_debts *debts, const char *name)
{
	NOMAD_AUTO_FREE char *path = name ? nomad_strdupf("%s/%s.json", debts->folder, name) : NULL;

	if (path)
		unlink(path);
}
