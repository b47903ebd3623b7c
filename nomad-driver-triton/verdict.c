/* SPDX-License-Identifier: MPL-2.0
 *
 * Whether one instance has ended, and how: what its state means, and what the
 * two APIs say when they are asked about it.  Who asks when is poller.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nomad/task.h"

#include "verdict.h"

int triton_machine_verdict(enum triton_state state, const char *action, bool expected, bool killed, bool ends_deleted,
			   struct nomad_exit *ret, const char **ret_message)
{
	*ret = (struct nomad_exit){ 0 };
	*ret_message = NULL;
	switch (state) {
	case TRITON_FAILED:
		ret->exit_code = 1;
		*ret_message = "the instance failed";
		return 1;
	case TRITON_DELETED:
		if (killed) {
			ret->exit_code = 137;
			ret->signal = 9;
		} else if (!expected && !ends_deleted) {
			ret->exit_code = 1;
			*ret_message = "the instance was deleted, not by Nomad";
		}
		return 1;
	case TRITON_STOPPED:
		if (ends_deleted && !expected)
			return 0;
		if (killed) {
			ret->exit_code = 137;
			ret->signal = 9;
		} else if (!expected && strcmp(action, "stop") == 0) {
			ret->exit_code = 1;
			*ret_message = "the instance was stopped, not by Nomad";
		}
		/* Else it has shut itself down, which is how a machine says that it is done. */
		return 1;
	default:
		return 0;
	}
}

bool triton_container_ended(struct triton_docker *docker, const char *id, struct nomad_exit *ret,
			    const char **ret_message)
{
	struct triton_container container;
	int64_t code = 0;
	bool ended;

	*ret = (struct nomad_exit){ 0 };
	*ret_message = NULL;
	docker->retry_ms = 0;
	if (triton_docker_inspect(docker, id, &container, NULL) < 0)
		return false; /* also -ENOENT: whether it is gone CloudAPI tells */
	ended = !container.running && !container.never_started;
	if (ended) {
		/* Inspect says 0 where it does not know; wait tells the difference. */
		int known = triton_docker_wait(docker, id, 20000, &code, NULL);

		if (known == -ENODATA) {
			ret->exit_code = 1;
			*ret_message = "the container ended; the data centre knows no exit status";
		} else {
			ret->exit_code = (int)(known >= 0 ? code : container.exit_code);
		}
		ret->oom_killed = container.oom_killed;
	}
	triton_container_done(&container);
	return ended;
}

enum triton_state triton_machine_state(struct triton_cloud *cloud, const char *id, struct nomad_error **err)
{
	struct triton_machine it = { 0 };
	enum triton_state state;
	int r;

	cloud->retry_ms = 0;
	r = triton_cloud_get(cloud, id, &it, err);
	if (r < 0)
		return r == -ENOENT ? TRITON_DELETED : TRITON_UNKNOWN;
	state = it.state;
	triton_machine_done(&it);
	return state;
}

int triton_cloud_last_action(const struct triton_cloud *cloud, const char *id, char ret[64], struct nomad_error **err)
{
	struct triton_answer answer;
	json_t *item;
	size_t i;
	int r = triton_cloud_call(cloud, "GET", NULL, &answer, err, "/machines/%s/audit", id);

	if (r < 0)
		return r;
	ret[0] = '\0';
	json_array_foreach(answer.json, i, item)
	{
		const char *action = triton_json_text(item, "action"), *success = triton_json_text(item, "success");

		if (action && success && strcmp(success, "yes") == 0 &&
		    (strcmp(action, "stop") == 0 || strcmp(action, "start") == 0 || strcmp(action, "reboot") == 0 ||
		     strcmp(action, "destroy") == 0 || strcmp(action, "provision") == 0)) {
			snprintf(ret, 64, "%s", action);
			break;
		}
	}
	triton_answer_done(&answer);
	return 0;
}
