/* SPDX-License-Identifier: MPL-2.0
 *
 * Machines: instances made by CloudAPI.  How exactly one is made for a task is
 * in start.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "poller.h"
#include "triton.h"

/* What is to be made, and what was. */
struct making {
	json_t *body;
	struct triton_machine machine;
};

static int adopt(struct triton_start *start, void *ud, struct nomad_error **err)
{
	const char *id = nomad_task_id(start->task);
	struct triton_machines found = { 0 };
	struct making *making = ud;
	int r = triton_instances_of(&start->cloud, start->name, id, &found, err);

	for (size_t i = 0; r == 0 && i < found.count; i++) {
		struct triton_machine *it = &found.items[i];
		const char *whose = nomad_map_get(&it->tags, "nomad_task");

		if (!whose || strcmp(whose, id) != 0) {
			r = nomad_error_set(err, EEXIST,
					    "the name '%s' is taken by the instance '%s', which is not of this task",
					    start->name, it->id);
		} else if (!it->name || strcmp(it->name, start->name) != 0) {
			/* To take it would be to delete it in the end; to ignore it might make a second one. */
			r = nomad_error_set(err, EEXIST,
					    "the instance '%s' has the tag nomad_task of this task and another name; "
					    "remove the tag, or name it '%s'",
					    it->id, start->name);
		} else if (it->state == TRITON_PROVISIONING || it->state == TRITON_RUNNING ||
			   it->state == TRITON_UNKNOWN || it->state == TRITON_READY || it->state == TRITON_OFFLINE) {
			making->machine = *it;
			memset(it, 0, sizeof(*it));
			r = 1;
		} else if (it->state != TRITON_DELETED) {
			r = triton_clear_former(start, err);
			break;
		}
	}
	triton_machines_done(&found);
	return r;
}

static int create(struct triton_start *start, void *ud, bool *ret_maybe, struct nomad_error **err)
{
	struct making *making = ud;

	return triton_cloud_create(&start->cloud, making->body, &making->machine, ret_maybe, err);
}

/* Replaces *machine by what it has become once it runs. */
static int wait_running(struct triton_start *start, struct triton_machine *machine, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *id = NOMAD_TAKE_PTR(machine->id);

	for (unsigned n = 1;; n++) {
		struct nomad_error *why = NULL;
		enum triton_state state;
		int r;

		triton_machine_done(machine);
		r = triton_cloud_get(&start->cloud, id, machine, &why);
		state = r < 0 ? TRITON_UNKNOWN : machine->state;
		/* The address may come a moment after the state; one without any network never has it. */
		if (state == TRITON_RUNNING && (machine->primary_ip || n > 20))
			return 0;
		if (state == TRITON_FAILED || state == TRITON_STOPPED || state == TRITON_DELETED) {
			nomad_error_set(err, EIO, "the instance '%s' did not come up: its state is %s", id,
					triton_state_word(state));
			return nomad_error_retryable(err);
		}
		if (r == -ENOENT || r == -EACCES || r == -ESHUTDOWN)
			return triton_fail(r, why, err);
		if (triton_now_ms() > start->deadline_ms) {
			if (r < 0)
				return triton_fail(r, why, err);
			nomad_error_set(err, ETIMEDOUT,
					"the instance '%s' did not come up within provision_timeout: its state is %s",
					id, triton_state_word(state));
			return nomad_error_retryable(err);
		}
		/* An API that does not answer says nothing about the instance. */
		nomad_error_free(why);
		r = triton_start_sleep(start, triton_backoff_ms(n, 250, 2000), err);
		if (r < 0)
			return r;
	}
}

int triton_machine_describe(const struct triton_site *site, const struct triton_cloud *cloud,
			    const struct nomad_task_info *info, const struct triton_task *want, const char *name,
			    const struct triton_fwset *rules, const struct nomad_map *files, json_t **ret_body,
			    struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *package = NULL, *image = NULL;
	struct nomad_map tags = { 0 };
	json_t *networks = NULL;
	/* All names first: they cost nothing. */
	int r = triton_find_package(cloud, want->package, &package, err);

	if (r >= 0)
		r = triton_find_image(cloud, want->cloud_api->image, &image, err);
	if (r >= 0)
		r = triton_find_networks(cloud, &want->cloud_api->networks, &networks, err);
	if (r >= 0 && triton_task_tags(site, info, want, rules, &tags) < 0)
		r = nomad_error_errno(err, ENOMEM, "describe the instance");
	if (r >= 0)
		r = triton_machine_body(info, want, name, package, image, networks, &tags, files, ret_body, err);
	nomad_map_done(&tags);
	json_decref(networks);
	return r;
}

static int build(struct triton_start *start, struct nomad_error **err)
{
	static const struct triton_maker maker = { .adopt = adopt, .create = create };
	const struct nomad_task_info *info = nomad_task_info(start->task);
	struct nomad_map files = { 0 };
	struct making making = { 0 };
	int r = triton_files_read(info, start->want, &files, err);

	if (r >= 0)
		r = triton_machine_describe(start->plugin->site, &start->cloud, info, start->want, start->name,
					    &start->rules, &files, &making.body, err);
	nomad_map_done(&files);
	if (r >= 0)
		r = triton_begin(start, "cloud", err);
	if (r >= 0)
		r = triton_make_once(start, &maker, &making, err);
	if (r >= 0)
		r = nomad_task_put(start->task, TRITON_RECORD_INSTANCE, making.machine.id, err);
	if (r >= 0)
		r = triton_fwshare_ensure(start->plugin->site->rules, &start->cloud, &start->rules, err);
	if (r >= 0)
		r = wait_running(start, &making.machine, err);
	if (r >= 0)
		r = triton_finish_start(start, &making.machine, err);
	triton_machine_done(&making.machine);
	json_decref(making.body);
	return r;
}

int triton_machine_start(struct triton_plugin *plugin, struct nomad_task *task, const struct triton_task *want,
			 struct nomad_error **err)
{
	return triton_start_with(plugin, task, want, build, "instance", err);
}

int triton_machine_end(struct triton_plugin *plugin, struct nomad_task *task, bool force, struct nomad_error **err)
{
	const char *id = nomad_task_get(task, TRITON_RECORD_INSTANCE);
	bool deletes = force || triton_ends_deleted(task);
	struct nomad_error *why = NULL;
	struct triton_cloud cloud;
	int r;

	if (!id)
		return 0;
	r = triton_site_cloud(plugin->site, &cloud, err);
	if (r < 0)
		return r;
	triton_poller_expect_end(plugin->poller, nomad_task_id(task), force);
	if (!deletes) {
		/* Accepted whatever state it is in; the poller sees what becomes of it. */
		r = triton_cloud_action(&cloud, id, "stop", &why);
	} else {
		if (nomad_task_get(task, TRITON_RECORD_PROTECTED))
			r = triton_lift_protection(plugin->site, &cloud, id, true, &why);
		if (r >= 0)
			r = triton_cloud_delete(&cloud, id, &why);
	}
	if (r >= 0)
		return 0;
	r = triton_fail_unless_gone(r, why, err);
	if (r < 0)
		return nomad_error_wrap(err, "%s the instance '%s'", deletes ? "delete" : "stop", id);
	triton_poller_poke(plugin->poller, nomad_task_id(task));
	return 0;
}
