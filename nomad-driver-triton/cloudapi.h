/* SPDX-License-Identifier: MPL-2.0
 *
 * cloudapi.h: the calls of CloudAPI that the driver needs. */
#ifndef TRITON_CLOUDAPI_H
#define TRITON_CLOUDAPI_H

#include <jansson.h>

#include "config.h"
#include "http.h"

/* A view of the account: cheap to copy, with another patience for example. */
struct triton_cloud {
	struct triton_http *http;
	const char *account;		  /* escaped */
	const char *as_roles, *role_tags; /* a parameter of each request, and a header of what is made; or NULL */
	int64_t retry_ms;		  /* how long a call is tried */
};

enum triton_state {
	TRITON_PROVISIONING,
	TRITON_RUNNING,
	TRITON_STOPPING,
	TRITON_STOPPED,
	TRITON_READY,
	TRITON_OFFLINE,
	TRITON_FAILED,
	TRITON_DELETED,
	TRITON_UNKNOWN,
};

enum triton_state triton_state_of(const char *word);
const char *triton_state_word(enum triton_state state);

struct triton_machine {
	char *id, *name, *primary_ip;
	enum triton_state state;
	bool deletion_protection;
	struct nomad_map tags;
	char **dns_names;
};

struct triton_machines {
	struct triton_machine *items;
	size_t count;
	size_t unreadable; /* instances that are there beside them */
};

void triton_machine_done(struct triton_machine *machine);
void triton_machines_done(struct triton_machines *machines);
/* Moves those that `to` does not have, by id, into it.  -ENOMEM. */
int triton_machines_merge(struct triton_machines *to, struct triton_machines *take_from);
int triton_machine_parse(const json_t *json, struct triton_machine *ret);

/* One call.  `fmt` is the path behind the account.  *ret_json (may be NULL) is
 * the answer's JSON, or NULL for an empty body.  Statuses of 400 and more are
 * errors, with the server's words: -EACCES 401 403, -ENOENT 404, -ESTALE 410,
 * -EEXIST a name that is taken, -ECONNREFUSED (retryable) 429 and 5xx, -E2BIG 413,
 * -EINVAL the others. */
struct triton_answer {
	json_t *json;
	long status; /* 0: none */
	char datacenter[128];
	bool maybe_done; /* after a failure: look whether it happened */
};
int triton_cloud_call(const struct triton_cloud *cloud, const char *method, const json_t *body,
		      struct triton_answer *ret, struct nomad_error **err, const char *fmt, ...) NOMAD_PRINTF(6, 7);
void triton_answer_done(struct triton_answer *answer);

/* What the answer of a server means, as an error: see triton_cloud_call(). */
int triton_cloud_explain(const struct triton_http *http, const struct triton_request *request,
			 const struct triton_response *response, struct nomad_error **err);

/* ---- Machines ---- */

/* -ENOENT only if the server never heard of it; a deleted one has its state. */
int triton_cloud_get(const struct triton_cloud *cloud, const char *id, struct triton_machine *ret,
		     struct nomad_error **err);
enum { TRITON_PAGE = 1000 }; /* machines of one request, the most that the server gives */

/* Calls `take` for each machine that matches `query`, page by page, so that an account's worth of them needs little
 * memory.  `take` may keep the machine's content by zeroing it, and stops by a negative value.  *ret_unreadable:
 * entries that cannot be read, or that make their page fail. */
int triton_cloud_each(const struct triton_cloud *cloud, const char *query,
		      int (*take)(void *ud, struct triton_machine *machine), void *ud, size_t *ret_unreadable,
		      struct nomad_error **err);
/* All machines that match `query` ("tag.a=b", escaped), page by page.  An entry
 * that cannot be read, or that makes its page fail, is only counted. */
int triton_cloud_list(const struct triton_cloud *cloud, const char *query, struct triton_machines *ret,
		      struct nomad_error **err);
/* *ret_maybe_done: no answer, and it may exist. */
int triton_cloud_create(const struct triton_cloud *cloud, const json_t *body, struct triton_machine *ret,
			bool *ret_maybe_done, struct nomad_error **err);
int triton_cloud_action(const struct triton_cloud *cloud, const char *id, const char *action, struct nomad_error **err);
/* 0 also if it is gone already. */
int triton_cloud_delete(const struct triton_cloud *cloud, const char *id, struct nomad_error **err);
/* `kind`: "tags" or "metadata".  Adds and overwrites. */
int triton_cloud_add(const struct triton_cloud *cloud, const char *id, const char *kind, const struct nomad_map *map,
		     struct nomad_error **err);

/* A value of a tag as the server wants it: booleans where it insists. */
json_t *triton_tag_value(const char *key, const char *value);

/* ---- Names to ids (cloudfind.c) ---- */

int triton_find_package(const struct triton_cloud *cloud, const struct triton_package *package, char **ret_id,
			struct nomad_error **err);
int triton_find_image(const struct triton_cloud *cloud, const struct triton_image *image, char **ret_id,
		      struct nomad_error **err);
/* A JSON array of {"ipv4_uuid": id}, in the order given. */
int triton_find_networks(const struct triton_cloud *cloud, const struct nomad_block_list *networks, json_t **ret,
			 struct nomad_error **err);

/* ---- Volumes (volumes.c) ---- */

/* Make sure that the volume is there, making it if `volume` gives a size.
 * *ret_made is its id if this made it, else NULL. */
int triton_volume_ensure(const struct triton_cloud *cloud, const struct triton_volume *volume, int64_t deadline_ms,
			 char **ret_made, struct nomad_error **err);
/* The id of a volume of that name that is not being deleted; -ENOENT. */
int triton_volume_find(const struct triton_cloud *cloud, const char *name, char **ret_id, struct nomad_error **err);
int triton_volume_delete(const struct triton_cloud *cloud, const char *id, struct nomad_error **err);

/* ---- Small helpers for JSON ---- */

/* Text of a member; NULL if it is no string or absent. */
const char *triton_json_text(const json_t *json, const char *key);
/* A copy of the member "id". */
int triton_take_id(const json_t *json, char **ret, const char *what, struct nomad_error **err);

#endif
