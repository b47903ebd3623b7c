/* SPDX-License-Identifier: MPL-2.0
 *
 * The life of a task, as far as machines and containers have it in common.
 *
 *	begin: name and all that will be made go to the records
 *	  -> made, each thing written down -> announce -> watched by the poller
 *	destroy: what the records tell is removed, or noted as a debt
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/log.h"

#include "debts.h"
#include "hold.h"
#include "life.h"

enum { NAME_MAX_CHARS = 63, DESTROY_MS = 90000 };

/* Append `text` as letters, digits and single hyphens. */
static void add_safe(char *name, size_t room, const char *text)
{
	size_t n = strlen(name);

	for (; *text && n + 1 < room; text++) {
		char c = (char)tolower((unsigned char)*text);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
			c = '-';
		if (c == '-' && (!n || name[n - 1] == '-'))
			continue;
		name[n++] = c;
	}
	name[n] = '\0';
}

char *triton_instance_name(const struct nomad_task_info *info)
{
	const char *last = strrchr(info->id, '/');
	char front[NAME_MAX_CHARS + 1] = "", alloc[9] = "", turn[9] = "";
	size_t n;

	add_safe(alloc, sizeof(alloc), info->alloc_id);
	add_safe(turn, sizeof(turn), last ? last + 1 : info->id);
	/* The ends are what makes it unique; the front is for people, and is cut. */
	n = sizeof(front) - strlen(alloc) - strlen(turn) - 2;
	add_safe(front, n, info->job_name && *info->job_name ? info->job_name : info->job_id);
	add_safe(front, n, "-");
	add_safe(front, n, info->task_group_name);
	add_safe(front, n, "-");
	add_safe(front, n, info->name);
	n = strlen(front);
	while (n && front[n - 1] == '-')
		front[--n] = '\0';
	return nomad_strdupf("%s%s%s-%s", front, n ? "-" : "", alloc, turn);
}

char *triton_join(char *const *list)
{
	char *all = NULL;

	for (size_t i = 0; list && list[i]; i++) {
		char *more = nomad_strdupf("%s%s%s", all ? all : "", all ? "," : "", list[i]);

		free(all);
		if (!more)
			return NULL;
		all = more;
	}
	return all;
}

int triton_task_tags(const struct nomad_task_info *info, const struct triton_task *want,
		     const struct triton_fwset *rules, struct nomad_map *tags)
{
	NOMAD_AUTO_FREE char *services = NULL;
	int r = nomad_map_copy(tags, &want->tags);

	if (r >= 0 && want->cns && *want->cns) {
		services = triton_join(want->cns);
		r = services ? nomad_map_set(tags, "triton.cns.services", services) : -ENOMEM;
	}
	if (r >= 0)
		r = nomad_map_set(tags, "nomad_driver", "triton");
	if (r >= 0)
		r = nomad_map_set(tags, "nomad_task", info->id);
	if (r >= 0)
		r = nomad_map_set(tags, "nomad_alloc", info->alloc_id);
	return r < 0 ? r : triton_fwset_tags(rules, tags);
}

char *triton_env_text(const struct nomad_map *env)
{
	static const char *const secret[] = { "NOMAD_TOKEN", "VAULT_TOKEN", "CONSUL_TOKEN", "CONSUL_HTTP_TOKEN" };
	json_t *json = json_object();
	char *text;
	int bad = !json;

	for (size_t i = 0; !bad && i < env->count; i++) {
		bool skip = false;

		for (size_t k = 0; k < NOMAD_ARRAY_LEN(secret); k++)
			skip |= strcmp(env->pairs[i].key, secret[k]) == 0;
		if (!skip)
			bad = json_object_set_new(json, env->pairs[i].key, json_string(env->pairs[i].value));
	}
	text = bad ? NULL : json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}

/* Until the start is done, what it makes is a debt: should this process die, and Nomad not repeat the start, the next
 * one removes it. */
static int note(struct triton_site *site, struct nomad_task *task, struct nomad_error **err)
{
	struct triton_remains remains = { 0 };
	int r = triton_remains_of(task, &remains, err);

	if (r >= 0)
		r = triton_debts_take(site->debts, &remains, err);
	triton_remains_done(&remains);
	return r;
}

int triton_begin(struct triton_site *site, struct nomad_task *task, const struct triton_task *want, const char *api,
		 const char *name, const struct triton_fwset *rules, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *hashes = calloc(rules->count + 1, 17);
	int r;

	if (!hashes)
		return nomad_error_errno(err, ENOMEM, "note what is to be made");
	for (size_t i = 0; i < rules->count; i++) {
		strcat(hashes, i ? "," : "");
		strcat(hashes, rules->items[i].hash);
	}
	triton_debts_cancel(site->debts, name);
	r = nomad_task_put(task, TRITON_RECORD_API, api, err);
	if (r >= 0 && *hashes)
		r = nomad_task_put(task, TRITON_RECORD_RULES, hashes, err);
	if (r >= 0 && want->deletion_protection)
		r = nomad_task_put(task, TRITON_RECORD_PROTECTED, "1", err);
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_EXIT, want->exit_strategy ? want->exit_strategy : "stopped",
				   err);
	if (r >= 0)
		r = nomad_task_put(task, TRITON_RECORD_NAME, name, err);
	return r < 0 ? r : note(site, task, err);
}

int triton_start_with(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
		      triton_build *build, const char *what, struct nomad_error **err)
{
	int64_t deadline = triton_now_ms() +
			   (want->provision_timeout > 0 ? want->provision_timeout * 1000 : site->provision_timeout_ms);
	NOMAD_AUTO_FREE char *name = triton_instance_name(nomad_task_info(task));
	static const struct nomad_map none;
	struct triton_fwset rules = { 0 };
	int r;

	if (!name)
		return nomad_error_errno(err, ENOMEM, "name the %s", what);
	r = triton_fwset_parse(want->fwenabled ? &want->fwrules : &none, &rules, err);
	if (r < 0)
		return r;
	if (triton_fwshare_hold(site->rules, &rules) < 0) {
		triton_fwset_done(&rules);
		return nomad_error_errno(err, ENOMEM, "hold the firewall rules");
	}
	r = build(site, task, want, &rules, name, deadline, err);
	triton_fwshare_drop(site->rules, &rules);
	triton_fwset_done(&rules);
	if (r < 0)
		return nomad_error_wrap(err, "start the %s '%s'", what, name);
	triton_debts_settle(site->debts, name, true);
	return 0;
}

int triton_make_volumes(struct triton_site *site, struct nomad_task *task, const struct triton_task *want,
			int64_t deadline_ms, struct nomad_error **err)
{
	const struct triton_volume *volumes = want->volumes.items;
	struct triton_cloud cloud;
	int r;

	if (!want->volumes.count)
		return 0;
	r = triton_site_cloud(site, &cloud, err);
	for (size_t i = 0; r >= 0 && i < want->volumes.count; i++) {
		NOMAD_AUTO_FREE char *made = NULL, *key = nomad_strdupf(TRITON_RECORD_VOLUME "%zu", i), *id = NULL;
		NOMAD_AUTO_FREE char *intent = nomad_strdupf("name=%s", volumes[i].name);
		struct nomad_error *why = NULL;

		if (!key || !intent)
			return nomad_error_errno(err, ENOMEM, "make the volumes");
		/* Written down only where there is none: an existing volume is nobody's to delete. */
		if (volumes[i].size > 0 && !volumes[i].keep) {
			r = triton_volume_find(&cloud, volumes[i].name, &id, &why);
			if (r == -ENOENT) {
				nomad_error_free(why);
				r = nomad_task_put(task, key, intent, err);
				if (r >= 0)
					r = note(site, task, err);
			} else if (r < 0) {
				if (err)
					*err = why;
				else
					nomad_error_free(why);
			}
		}
		if (r < 0)
			return r;
		r = triton_volume_ensure(&cloud, &volumes[i], deadline_ms, &made, err);
		if (made && !volumes[i].keep) {
			free(NOMAD_TAKE_PTR(intent));
			intent = nomad_strdupf("id=%s", made);
			if (!intent)
				return nomad_error_errno(err, ENOMEM, "make the volumes");
			if (nomad_task_put(task, key, intent, r < 0 ? NULL : err) < 0 && r >= 0)
				r = -EIO;
		} else if (r >= 0) {
			/* Somebody else was faster: it is theirs. */
			nomad_task_forget(task, key);
		}
	}
	return r;
}

int triton_wait_running(struct triton_site *site, const struct triton_cloud *cloud, const char *id, int64_t deadline_ms,
			struct triton_machine *ret, struct nomad_error **err)
{
	for (unsigned n = 1;; n++) {
		struct triton_machine machine = { 0 };
		struct nomad_error *why = NULL;
		int r = triton_cloud_get(cloud, id, &machine, &why);
		enum triton_state state = r < 0 ? TRITON_UNKNOWN : machine.state;

		/* The address may come a moment after the state; one without any network never has it. */
		if (state == TRITON_RUNNING && (machine.primary_ip || n > 20)) {
			*ret = machine;
			return 0;
		}
		if (r >= 0)
			triton_machine_done(&machine);
		if (state == TRITON_FAILED || state == TRITON_STOPPED || state == TRITON_DELETED) {
			nomad_error_set(err, EIO, "the instance '%s' did not come up: its state is %s", id,
					triton_state_word(state));
			return nomad_error_retryable(err);
		}
		if (r == -ENOENT || r == -EACCES || r == -ESHUTDOWN || triton_now_ms() > deadline_ms) {
			if (why && r < 0) {
				if (err)
					*err = why;
				else
					nomad_error_free(why);
				return r;
			}
			nomad_error_set(err, ETIMEDOUT,
					"the instance '%s' did not come up within provision_timeout: its state is %s",
					id, triton_state_word(state));
			return nomad_error_retryable(err);
		}
		/* An API that does not answer says nothing about the instance. */
		nomad_error_free(why);
		r = triton_site_sleep(site, triton_backoff_ms(n, 250, 2000), err);
		if (r < 0)
			return r;
	}
}

int triton_announce(struct nomad_task *task, const struct triton_machine *machine, struct nomad_error **err)
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

int triton_watch_task(struct triton_site *site, struct nomad_task *task, struct nomad_error **err)
{
	const struct nomad_task_info *info = nomad_task_info(task);
	const char *exit = nomad_task_get(task, TRITON_RECORD_EXIT);
	struct triton_watch watch = {
		.task_id = info->id,
		.machine = nomad_task_get(task, TRITON_RECORD_INSTANCE),
		.container = nomad_task_get(task, TRITON_RECORD_CONTAINER),
		.ends_deleted = exit && strcmp(exit, "deleted") == 0,
	};
	NOMAD_AUTO_FREE char *position = nomad_strdupf("%s/log-position", nomad_task_state_dir(task));
	struct triton_follow follow = {
		.task_id = info->id,
		.stdout_path = info->stdout_path,
		.stderr_path = info->stderr_path,
		.position_path = position,
		.tty = nomad_task_get(task, TRITON_RECORD_TTY) != NULL,
	};
	int r = 0;

	if (!position)
		return nomad_error_errno(err, ENOMEM, "watch an instance");
	/* Docker's log; what it is not known for has open pipes only. */
	if (watch.container && nomad_task_get(task, "nolog") == NULL) {
		struct triton_docker docker;

		r = triton_site_docker(site, &docker, err);
		if (r < 0)
			return r;
		follow.http = docker.http;
		follow.container = watch.container;
	}
	r = triton_hold_add(site->hold_folder, nomad_task_slug(task), info->stdout_path, info->stderr_path, err);
	if (r < 0)
		return r;
	if (site->logs)
		r = triton_logs_follow(site->logs, &follow, err);
	if (r >= 0 && site->poller)
		r = triton_poller_add(site->poller, &watch, err);
	return r;
}

int triton_destroy(struct triton_site *site, struct nomad_task *task, struct nomad_error **err)
{
	struct nomad_error *why = NULL, *worse = NULL;
	struct triton_remains remains = { 0 };
	int r, noted;

	triton_poller_remove(site->poller, nomad_task_id(task));
	triton_logs_finish(site->logs, nomad_task_id(task), 0, 0);
	triton_hold_remove(site->hold_folder, nomad_task_slug(task));
	r = triton_remains_of(task, &remains, err);
	if (r < 0)
		return r;
	/* Before it begins: nobody asks again after a plugin that died here. */
	noted = triton_debts_take(site->debts, &remains, &worse);
	r = triton_remains_clear(site, &remains, DESTROY_MS, &why);
	triton_debts_settle(site->debts, remains.name, r >= 0);
	if (r < 0) {
		if (noted < 0)
			nomad_error_wrap(&why, "destroy the instance; what is left cannot be removed later (%s)",
					 nomad_error_message(worse));
		else
			nomad_error_wrap(&why, "destroy the instance (it is tried again in the background)");
		if (err)
			*err = why;
		else
			nomad_error_free(why);
	}
	nomad_error_free(worse);
	triton_remains_done(&remains);
	return r;
}
