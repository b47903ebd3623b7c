/* SPDX-License-Identifier: MPL-2.0
 *
 * A start, as far as machines and containers have it in common.
 *
 *	begin: name and all that will be made go to the records
 *	  -> made, each thing written down -> announced -> watched by the poller
 *
 * Exactly one instance for a task: its name and the tag nomad_task are
 * functions of the task's id.  No key makes a create safe to repeat, but names
 * are unique among live instances.  So triton_make_once() looks first, creates,
 * and looks again where the answer was lost; only if nothing shows does it
 * create once more, which the name makes safe.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "debts.h"
#include "hold.h"
#include "lease.h"
#include "logs.h"
#include "poller.h"
#include "text.h"
#include "triton.h"

enum {
	LOOK_MS = 250, /* between looks whether the start is cancelled */
	RIVAL_MS = 120000,
};

/* Until the start is done, what it makes is a debt: should this process die, and Nomad not repeat the start, the next
 * one removes it. */
static int note(struct triton_start *start, struct nomad_error **err)
{
	struct triton_remains remains = { 0 };
	int r = triton_remains_of(start->task, &remains, err);

	if (r >= 0)
		r = triton_debts_take(start->plugin->debts, &remains, err);
	triton_remains_done(&remains);
	return r;
}

static int make_volume(struct triton_start *start, const struct triton_volume *volume, const char *key,
		       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *made = NULL, *id = NULL, *record = nomad_strdupf("name=%s", volume->name);
	struct nomad_error *why = NULL;
	int r = 0;

	if (!record)
		return nomad_error_errno(err, ENOMEM, "make the volumes");
	/* Written down only where there is none: an existing volume is nobody's to delete. */
	if (volume->size > 0 && !volume->keep) {
		r = triton_volume_find(&start->cloud, volume->name, &id, &why);
		if (r == -ENOENT) {
			nomad_error_free(why);
			r = nomad_task_put(start->task, key, record, err);
			if (r >= 0)
				r = note(start, err);
		} else if (r < 0) {
			triton_fail(r, why, err);
		}
	}
	if (r < 0)
		return r;
	r = triton_volume_ensure(&start->cloud, volume, start->deadline_ms, &made, err);
	if (made && !volume->keep) {
		free(record);
		record = nomad_strdupf("id=%s", made);
		if (!record)
			return nomad_error_errno(r < 0 ? NULL : err, ENOMEM, "make the volumes");
		if (nomad_task_put(start->task, key, record, r < 0 ? NULL : err) < 0 && r >= 0)
			r = -EIO;
	} else if (r >= 0) {
		/* Somebody else was faster: it is theirs. */
		nomad_task_forget(start->task, key);
	}
	return r;
}

/* Is it of an earlier run, ALLOCATION/TASK/OTHER, of the task ALLOCATION/TASK/INVOCATION? */
static bool is_rival(const struct triton_machine *machine, const char *task_id)
{
	const char *its = triton_owner_tag(machine, "task"), *last = strrchr(task_id, '/');
	size_t n = last ? (size_t)(last + 1 - task_id) : 0;

	return its && n && machine->state != TRITON_DELETED && strncmp(its, task_id, n) == 0 &&
	       strcmp(its, task_id) != 0 && !strchr(its + n, '/');
}

/* Removes instances of earlier runs that this plugin has no records of: its state was lost.  An allocation is of one
 * node, and a task of it has one run: the library has ended all that it knows of. */
static int end_rivals(struct triton_start *start, const char *tag, struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(start->task);
	NOMAD_AUTO_FREE char *query = nomad_strdupf("%s=%s&tombstone=true", tag, info->alloc_id);
	struct triton_machines found = { 0 };
	int r = query ? triton_cloud_list(&start->cloud, query, &found, err)
		      : nomad_error_errno(err, ENOMEM, "look for earlier runs");

	for (size_t i = 0; r >= 0 && i < found.count; i++) {
		struct triton_remains remains = { 0 };

		if (!is_rival(&found.items[i], info->id) || triton_remains_of_machine(&found.items[i], &remains) < 0)
			continue;
		r = triton_debts_take(start->plugin->debts, &remains, err);
		if (r >= 0)
			r = triton_remains_clear(start->plugin->site, &remains, RIVAL_MS, err);
		triton_debts_settle(start->plugin->debts, remains.name, r >= 0);
		if (r >= 0)
			nomad_task_event(start->task, "removed the instance %s of an earlier run", remains.name);
		triton_remains_done(&remains);
	}
	triton_machines_done(&found);
	return r;
}

int triton_begin(struct triton_start *start, const char *api, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *hashes = calloc(start->rules.count + 1, 17);
	const struct triton_task *want = start->want;
	struct nomad_task *task = start->task;
	int r;

	if (!hashes)
		return nomad_error_errno(err, ENOMEM, "note what is to be made");
	for (size_t i = 0; i < start->rules.count; i++) {
		strcat(hashes, i ? "," : "");
		strcat(hashes, start->rules.items[i].hash);
	}
	triton_debts_cancel(start->plugin->debts, start->name);
	r = nomad_task_put(task, TRITON_RECORD_API, api, err);
	if (r >= 0 && *hashes)
		r = nomad_task_put(task, TRITON_RECORD_RULES, hashes, err);
	if (r >= 0 && want->deletion_protection)
		r = nomad_task_put(task, TRITON_RECORD_PROTECTED, "1", err);
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_EXIT, want->exit_strategy ? want->exit_strategy : "stopped",
				   err);
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_OWNER, start->plugin->site->owner, err);
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_NAME, start->name, err);
	if (r >= 0)
		r = note(start, err);
	if (r >= 0)
		r = end_rivals(start, "tag.nomad_alloc", err);
	if (r >= 0 && strcmp(api, "docker") == 0)
		r = end_rivals(start, "tag.docker%3Alabel%3Anomad.alloc", err);
	for (size_t i = 0; r >= 0 && i < want->volumes.count; i++) {
		NOMAD_AUTO_FREE char *key = nomad_strdupf(TRITON_RECORD_VOLUME "%zu", i);

		r = key ? make_volume(start, (const struct triton_volume *)want->volumes.items + i, key, err)
			: nomad_error_errno(err, ENOMEM, "make the volumes");
	}
	return r;
}

int triton_start_with(struct triton_plugin *plugin, struct nomad_task *task, const struct triton_task *want,
		      int (*build)(struct triton_start *start, struct nomad_error **err), const char *what,
		      struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *name = triton_instance_name(nomad_task_info(task));
	struct triton_site *site = plugin->site;
	struct triton_start start = { .plugin = plugin, .task = task, .want = want, .name = name };
	static const struct nomad_map none;
	int r;

	start.deadline_ms = triton_now_ms() +
			    (want->provision_timeout > 0 ? want->provision_timeout * 1000 : site->provision_timeout_ms);
	if (!name)
		return nomad_error_errno(err, ENOMEM, "name the %s", what);
	r = triton_fwset_parse(want->fwenabled ? &want->fwrules : &none, &start.rules, err);
	if (r < 0)
		return r;
	if (triton_fwshare_hold(site->rules, &start.rules) < 0) {
		triton_fwset_done(&start.rules);
		return nomad_error_errno(err, ENOMEM, "hold the firewall rules");
	}
	r = triton_site_cloud(site, &start.cloud, err);
	if (r >= 0)
		r = build(&start, err);
	triton_fwshare_drop(site->rules, &start.rules);
	triton_fwset_done(&start.rules);
	if (r < 0)
		return nomad_error_wrap(err, "start the %s '%s'", what, name);
	triton_debts_settle(plugin->debts, name, true);
	return 0;
}

int triton_start_sleep(const struct triton_start *start, int64_t ms, struct nomad_error **err)
{
	int r = 0;

	for (int64_t slice; r >= 0 && ms > 0; ms -= slice) {
		if (nomad_task_is_cancelled(start->task))
			return nomad_error_set(err, ECANCELED, "the start was cancelled");
		slice = ms < LOOK_MS ? ms : LOOK_MS;
		r = triton_site_sleep(start->plugin->site, slice, err);
	}
	return r;
}

int triton_make_once(struct triton_start *start, const struct triton_maker *maker, void *ud, struct nomad_error **err)
{
	struct triton_site *site = start->plugin->site;
	int r = maker->adopt(start, ud, err);

	for (unsigned turn = 1; r == 0; turn++) {
		struct nomad_error *why = NULL;
		bool maybe = false;
		int seen = 0;

		r = maker->create(start, ud, &maybe, &why);
		if (r >= 0)
			return 1;
		/* It may be there: it takes a moment to show. */
		for (unsigned look = 1; (maybe || r == -EEXIST) && look <= 5; look++) {
			if (triton_site_sleep(site, triton_backoff_ms(look, 500, 4000), NULL) < 0)
				break;
			seen = maker->adopt(start, ud, NULL);
			if (seen == 1) {
				nomad_error_free(why);
				return 1;
			}
		}
		/* Nor while one may be there that could not be looked at or removed. */
		if (!maybe || seen < 0 || turn == 3 || triton_now_ms() > start->deadline_ms ||
		    atomic_load(&site->budget.closing))
			return triton_fail(r, why, err);
		nomad_error_free(why);
		r = 0;
	}
	return r;
}

int triton_clear_former(struct triton_start *start, struct nomad_error **err)
{
	struct triton_remains remains = {
		.task_id = (char *)(uintptr_t)nomad_task_id(start->task),
		.name = start->name,
	};
	/* Of the records this alone: rules and volumes are this start's own. */
	const char *protected = nomad_task_get(start->task, TRITON_RECORD_PROTECTED);
	int r = protected ? nomad_map_set(&remains.records, TRITON_RECORD_PROTECTED, protected) : 0;

	if (r < 0)
		r = nomad_error_errno(err, ENOMEM, "remove the instance '%s' of an earlier start", start->name);
	else
		r = triton_remains_clear(start->plugin->site, &remains, 120000, err);
	nomad_map_done(&remains.records);
	return r;
}

/* Its address to Nomad, its names to the records. */
static int announce(struct nomad_task *task, const struct triton_machine *machine, struct nomad_error **err)
{
	const struct nomad_resources *resources = &nomad_task_info(task)->resources;
	NOMAD_AUTO_FREE char *names = triton_join(machine->dns_names);
	struct nomad_int_map ports = { 0 };
	int r = 0;

	/* An instance has an address of its own: nothing is remapped. */
	for (size_t i = 0; r >= 0 && i < resources->n_ports; i++) {
		const struct nomad_port *port = &resources->ports[i];

		if (port->label)
			r = nomad_int_map_set(&ports, port->label, port->to > 0 ? port->to : port->value);
	}
	if (r >= 0 && machine->primary_ip)
		r = nomad_task_set_network(task, machine->primary_ip, true, &ports);
	nomad_int_map_done(&ports);
	if (r < 0)
		return nomad_error_errno(err, -r, "tell the address of the instance");
	if (machine->primary_ip)
		r = nomad_task_put(task, TRITON_RECORD_ADDRESS, machine->primary_ip, err);
	if (r >= 0 && names && strlen(names) < 4000)
		r = nomad_task_put(task, TRITON_RECORD_NAMES, names, err);
	if (r >= 0)
		nomad_task_event(task, "instance %s runs at %s", machine->id,
				 machine->primary_ip ? machine->primary_ip : "no address");
	return r;
}

int triton_finish_start(struct triton_start *start, const struct triton_machine *machine, struct nomad_error **err)
{
	/* On another node the last user of a rule may have gone just when this one came. */
	int r = triton_fwshare_ensure(start->plugin->site->rules, &start->cloud, &start->rules, err);

	if (r >= 0)
		r = announce(start->task, machine, err);
	return r < 0 ? r : triton_watch_task(start->plugin, start->task, err);
}

int triton_watch_task(struct triton_plugin *plugin, struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(task);
	const char *owner = nomad_task_get(task, TRITON_RECORD_OWNER);
	struct triton_watch watch = {
		.task_id = info->id,
		.machine = nomad_task_get(task, TRITON_RECORD_INSTANCE),
		.container = nomad_task_get(task, TRITON_RECORD_CONTAINER),
		.ends_deleted = triton_ends_deleted(task),
		.owned = owner && strcmp(owner, plugin->site->owner) == 0,
	};
	NOMAD_AUTO_FREE char *position = nomad_strdupf("%s/log-position", nomad_task_state_dir(task));
	const char *address = nomad_task_get(task, TRITON_RECORD_ADDRESS);
	NOMAD_AUTO_FREE char *note =
		nomad_strdupf("nomad-driver-triton: this task is a machine; Nomad cannot read its output. Log in to "
			      "the machine: ssh %s\n",
			      address ? address : "ADDRESS");
	struct triton_follow follow = {
		.task_id = info->id,
		.stdout_path = info->stdout_path,
		.stderr_path = info->stderr_path,
		.position_path = position,
		.tty = nomad_task_get(task, TRITON_RECORD_TTY) != NULL,
	};
	int r;

	if (!position || !note)
		return nomad_error_errno(err, ENOMEM, "watch an instance");
	if (!watch.container)
		follow.note = note;
	/* Where Docker keeps no log the pipes are only kept open. */
	if (watch.container && !nomad_task_get(task, TRITON_RECORD_NO_LOG)) {
		struct triton_docker docker;

		r = triton_site_docker(plugin->site, &docker, err);
		if (r < 0)
			return r;
		follow.http = docker.http;
		follow.container = watch.container;
	}
	r = triton_hold_add(plugin->hold_folder, nomad_task_slug(task), info->stdout_path, info->stderr_path, err);
	if (r >= 0)
		r = triton_logs_follow(plugin->logs, &follow, err);
	return r < 0 ? r : triton_poller_add(plugin->poller, &watch, err);
}
