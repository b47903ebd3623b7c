/* SPDX-License-Identifier: MPL-2.0
 *
 * The calls of CloudAPI that the driver needs.
 *
 * The server answers writes on machines before the work is done, so success
 * here means "accepted"; what became of it shows in the state.  A machine that
 * is gone is 410 with the machine as body; only that, and 404, are read as
 * gone: every other failure is "not known".
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloudapi.h"
#include "entries.h"
#include "text.h"

enum { PAGE = TRITON_PAGE, PAGE_MOST = 10 * PAGE, MACHINES_MAX = 1000000, SKIPPED_MOST = 16 };

/* ---- Answers ---- */

const char *triton_json_text(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

int triton_take_id(const json_t *json, char **ret, const char *what, struct nomad_error **err)
{
	const char *id = triton_json_text(json, "id");

	if (!id)
		return nomad_error_set(err, EPROTO, "look for %s: the answer has no id", what);
	*ret = strdup(id);
	return *ret ? 0 : nomad_error_errno(err, ENOMEM, "look for %s", what);
}

void triton_answer_done(struct triton_answer *answer)
{
	json_decref(answer->json);
	answer->json = NULL;
}

/* "code: message (field: message; ...)" of an error body, malloc()ed. */
static char *words_of(const struct triton_response *response, bool *ret_duplicate)
{
	json_t *json = json_loadb(response->body ? response->body : "", response->size, 0, NULL);
	const char *code = triton_json_text(json, "code"), *message = triton_json_text(json, "message");
	NOMAD_AUTO_FREE char *details = NULL, *all = NULL;
	char *out = NULL;
	json_t *item;
	size_t i;

	*ret_duplicate = false;
	if ((!code && !message) || response->status < 400) {
		json_decref(json);
		return triton_response_words(response);
	}
	json_array_foreach(json_object_get(json, "errors"), i, item)
	{
		const char *field = triton_json_text(item, "field"), *what = triton_json_text(item, "message");
		const char *kind = triton_json_text(item, "code");
		char *more;

		if (kind && strcmp(kind, "Duplicate") == 0)
			*ret_duplicate = true;
		more = nomad_strdupf("%s%s%s: %s", details ? details : "", details ? "; " : "", field ? field : "?",
				     what   ? what
				     : kind ? kind
					    : "?");
		free(details);
		details = more;
	}
	all = nomad_strdupf("%s%s%s%s%s%s", code ? code : "", code && message ? ": " : "", message ? message : "",
			    details ? " (" : "", details ? details : "", details ? ")" : "");
	json_decref(json);
	if (all)
		out = triton_one_line(all, strlen(all));
	return out;
}

int triton_cloud_explain(const struct triton_http *http, const struct triton_request *request,
			 const struct triton_response *response, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *words = NULL;
	int64_t skew = triton_http_skew_s(http);
	bool duplicate = false;
	const char *remedy = "";
	int code = triton_status_errno(response->status);

	words = words_of(response, &duplicate);
	if (response->status == 401)
		remedy = "; check account, user and key_id, and that the key is in the account";
	else if (response->status == 420 || response->status == 429)
		remedy = "; the data centre throttles this account";
	else if (code == EEXIST && !duplicate)
		code = EINVAL;
	if (response->status == 400 && (skew > 240 || skew < -240)) {
		nomad_error_set(err, EACCES,
				"%s %s: the clock of this host is %lld s %s that of the data centre, which takes 300 s "
				"at most; set it right: %s",
				request->method, request->target, (long long)(skew < 0 ? -skew : skew),
				skew > 0 ? "ahead of" : "behind", words ? words : "");
		return -EACCES;
	}
	nomad_error_set(err, code, "%s %s: status %ld: %s%s%s%s%s", request->method, request->target, response->status,
			words ? words : "", remedy, *response->request_id ? " (request " : "", response->request_id,
			*response->request_id ? ")" : "");
	if (code == ECONNREFUSED)
		(void)nomad_error_retryable(err);
	return -code;
}

/* Machines of an answer, on their way into a list. */
struct page {
	struct triton_entries entries;
	struct triton_machines *machines;
	size_t before; /* machines of other pages */
	size_t count, unreadable;
	bool no_memory;
};

static int take_bytes(void *ud, const char *data, size_t size);

static char *target_of(const struct triton_cloud *cloud, const char *path)
{
	const char *roles = cloud->as_roles;

	return nomad_strdupf("/%s%s%s%s", cloud->account, path,
			     !roles		 ? ""
			     : strchr(path, '?') ? "&as-role="
						 : "?as-role=",
			     roles ? roles : "");
}

static int call(const struct triton_cloud *cloud, const char *method, const json_t *body, const char *path,
		struct page *page, struct triton_answer *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *target = target_of(cloud, path), *text = NULL;
	struct triton_request request = { .method = method, .retry_ms = cloud->retry_ms };
	struct triton_response response;
	json_error_t why;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (body)
		text = json_dumps(body, JSON_COMPACT);
	if (!target || (body && !text))
		return nomad_error_errno(err, ENOMEM, "prepare a request to CloudAPI");
	if (text && strlen(text) > 100000)
		return nomad_error_set(err, E2BIG,
				       "%s %s: the request has %zu bytes, the data centre takes 100000; shorten "
				       "scripts, metadata and environment",
				       method, target, strlen(text));
	request.target = target;
	request.body = text;
	if (strcmp(method, "POST") == 0 && strcmp(path, "/machines") == 0)
		request.header = cloud->role_tags;
	request.sink = page ? take_bytes : NULL;
	request.ud = page;
	/* To ask twice for a state is to ask once. */
	request.repeatable = strcmp(method, "DELETE") == 0 || strcmp(method, "PUT") == 0 || strstr(path, "?action=") ||
			     (strncmp(path, "/fwrules/", 9) == 0 && strstr(path, "/enable"));
	r = triton_http_do(cloud->http, &request, &response, err);
	ret->maybe_done = response.maybe_done;
	ret->status = response.status;
	if (r < 0) {
		(void)nomad_error_retryable(err);
		goto out;
	}
	if (response.status >= 300 || response.status < 200) {
		/* A write that failed within may have done its work. */
		ret->maybe_done = response.status >= 500 && response.status != 503;
		r = triton_cloud_explain(cloud->http, &request, &response, err);
		if (response.status == 410)
			ret->json = json_loadb(response.body, response.size, 0, NULL);
		goto out;
	}
	memcpy(ret->datacenter, response.datacenter, sizeof(ret->datacenter));
	if (!response.size || response.status == 204)
		goto out;
	ret->json = json_loadb(response.body, response.size, 0, &why);
	if (!ret->json) {
		ret->maybe_done = true;
		r = nomad_error_set(err, EPROTO, "%s %s: the answer is no JSON (%s)", method, target,
				    response.body[0] == '<' ? "an HTML page; is a proxy in front?" : why.text);
		(void)nomad_error_retryable(err);
	}
out:
	triton_response_done(&response);
	return r;
}

int triton_cloud_call(const struct triton_cloud *cloud, const char *method, const json_t *body,
		      struct triton_answer *ret, struct nomad_error **err, const char *fmt, ...)
{
	NOMAD_AUTO_FREE char *path = NULL;
	struct triton_answer answer;
	va_list ap;
	int r;

	va_start(ap, fmt);
	if (vasprintf(&path, fmt, ap) < 0)
		path = NULL;
	va_end(ap);
	if (ret)
		memset(ret, 0, sizeof(*ret));
	if (!path)
		return nomad_error_errno(err, ENOMEM, "prepare a request to CloudAPI");
	r = call(cloud, method, body, path, NULL, &answer, err);
	if (ret)
		*ret = answer;
	else
		triton_answer_done(&answer);
	return r;
}

/* ---- Machines ---- */

static const char *const state_words[] = {
	[TRITON_PROVISIONING] = "provisioning",
	[TRITON_RUNNING] = "running",
	[TRITON_STOPPING] = "stopping",
	[TRITON_STOPPED] = "stopped",
	[TRITON_READY] = "ready",
	[TRITON_OFFLINE] = "offline",
	[TRITON_FAILED] = "failed",
	[TRITON_DELETED] = "deleted",
	[TRITON_UNKNOWN] = "unknown",
};

enum triton_state triton_state_of(const char *word)
{
	for (size_t i = 0; word && i < NOMAD_ARRAY_LEN(state_words); i++)
		if (strcmp(word, state_words[i]) == 0)
			return (enum triton_state)i;
	return TRITON_UNKNOWN;
}

const char *triton_state_word(enum triton_state state)
{
	return state_words[state];
}

void triton_machine_done(struct triton_machine *machine)
{
	free(machine->id);
	free(machine->name);
	free(machine->primary_ip);
	nomad_map_done(&machine->tags);
	nomad_strv_free(machine->dns_names);
	memset(machine, 0, sizeof(*machine));
}

void triton_machines_done(struct triton_machines *machines)
{
	for (size_t i = 0; i < machines->count; i++)
		triton_machine_done(&machines->items[i]);
	free(machines->items);
	memset(machines, 0, sizeof(*machines));
}

/* Tags may be text, boolean or number. */
static int keep_tag(struct nomad_map *map, const char *key, const json_t *value)
{
	NOMAD_AUTO_FREE char *text = NULL;

	if (json_is_string(value))
		return nomad_map_set(map, key, json_string_value(value));
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	return text ? nomad_map_set(map, key, text) : -ENOMEM;
}

int triton_machine_parse(const json_t *json, struct triton_machine *ret)
{
	struct triton_machine machine = { 0 };
	const char *id = triton_json_text(json, "id"), *address = triton_json_text(json, "primaryIp"), *key;
	json_t *item;
	size_t i;
	int r;

	if (!id || !triton_is_uuid(id))
		return -EPROTO;
	machine.state = triton_state_of(triton_json_text(json, "state"));
	machine.deletion_protection = json_is_true(json_object_get(json, "deletion_protection"));
	r = triton_keep(&machine.id, id);
	if (r >= 0)
		r = triton_keep(&machine.name, triton_json_text(json, "name"));
	/* It is shown to people, and given to Nomad. */
	if (r >= 0 && address && strspn(address, "0123456789abcdefABCDEF.:") == strlen(address))
		r = triton_keep(&machine.primary_ip, address);
	json_object_foreach(json_object_get(json, "tags"), key, item) if (r >= 0) r =
		keep_tag(&machine.tags, key, item);
	json_array_foreach(json_object_get(json, "dns_names"), i, item) if (r >= 0 && json_is_string(item)) r =
		nomad_strv_add(&machine.dns_names, json_string_value(item));
	if (r < 0) {
		triton_machine_done(&machine);
		return r;
	}
	*ret = machine;
	return 0;
}

static int no_machine(int r, const char *what, struct nomad_error **err)
{
	if (r == -ENOMEM)
		return nomad_error_errno(err, ENOMEM, "%s", what);
	nomad_error_set(err, EBADMSG, "%s: the answer holds no machine", what);
	(void)nomad_error_retryable(err);
	return -EBADMSG;
}

static void drop_page(struct page *page)
{
	while (page->machines->count > page->before)
		triton_machine_done(&page->machines->items[--page->machines->count]);
	page->count = page->unreadable = 0;
	triton_entries_reset(&page->entries);
}

static int take_bytes(void *ud, const char *data, size_t size)
{
	struct page *page = ud;

	/* A server that does not keep to the limit may never end. */
	if (data)
		return page->count > PAGE_MOST ? -EPROTO : triton_entries_feed(&page->entries, data, size);
	drop_page(page);
	return 0;
}

static void take_machine(void *ud, const char *text, size_t size)
{
	struct page *page = ud;
	struct triton_machines *to = page->machines;
	struct triton_machine *more = reallocarray(to->items, to->count + 1, sizeof(*more));
	json_t *json = more && text ? json_loadb(text, size, 0, NULL) : NULL;
	int r;

	page->count++;
	if (more)
		to->items = more;
	r = json ? triton_machine_parse(json, &to->items[to->count]) : -EPROTO;
	json_decref(json);
	page->no_memory |= !more || r == -ENOMEM;
	if (r >= 0)
		to->count++;
	else
		page->unreadable++;
}

/* Adds the machines of one answer, a list or not; *ret_count: with those that cannot be read. */
static int take_page(const struct triton_cloud *cloud, const char *path, bool list, struct triton_machines *machines,
		     size_t *ret_count, struct triton_answer *ret, struct nomad_error **err)
{
	struct page page = { .machines = machines, .before = machines->count };
	int r;

	page.entries.on_entry = take_machine;
	page.entries.ud = &page;
	r = call(cloud, "GET", NULL, path, &page, ret, err);
	if (r >= 0 && page.no_memory)
		r = nomad_error_errno(err, ENOMEM, "read the answer to GET %s", path);
	if (r >= 0 && (!triton_entries_complete(&page.entries) || page.entries.list != list)) {
		nomad_error_set(err, EBADMSG, "read the answer to GET %s: it is not JSON of the expected kind", path);
		(void)nomad_error_retryable(err);
		r = -EBADMSG;
	}
	*ret_count = page.count;
	machines->unreadable += r < 0 ? 0 : page.unreadable;
	if (r < 0)
		drop_page(&page);
	else
		triton_entries_reset(&page.entries);
	return r;
}

int triton_cloud_get(const struct triton_cloud *cloud, const char *id, struct triton_machine *ret,
		     struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/machines/%s", id);
	struct triton_machines one = { 0 };
	struct nomad_error *why = NULL;
	struct triton_answer answer = { 0 };
	size_t count;
	int r = path ? take_page(cloud, path, false, &one, &count, &answer, &why)
		     : nomad_error_errno(&why, ENOMEM, "look at the instance '%s'", id);

	if (r == -ESTALE) {
		/* The status alone is what counts; a body that is damaged is no reason to hope. */
		nomad_error_free(why);
		memset(ret, 0, sizeof(*ret));
		if (triton_machine_parse(answer.json, ret) < 0 && triton_keep(&ret->id, id) < 0)
			r = nomad_error_errno(err, ENOMEM, "look at the instance '%s'", id);
		else
			r = 0;
		ret->state = TRITON_DELETED;
	} else if (r < 0) {
		triton_fail(r, why, err);
	} else if (one.count == 1) {
		*ret = *one.items;
		one.count = 0;
	} else {
		r = no_machine(-EBADMSG, "look at an instance", err);
	}
	triton_machines_done(&one);
	triton_answer_done(&answer);
	return r;
}

/* Is it the page that was there before?  `first` is the id that a page began with. */
static bool is_repeated(const struct triton_machines *page, char first[37])
{
	if (!page->count)
		return false;
	if (strcmp(page->items[0].id, first) == 0)
		return true;
	snprintf(first, 37, "%s", page->items[0].id);
	return false;
}

/* Hands on the machines of one page. */
static int hand_on(struct triton_machines *page, int (*take)(void *ud, struct triton_machine *machine), void *ud)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < page->count; i++)
		r = take(ud, &page->items[i]);
	triton_machines_done(page);
	return r;
}

int triton_cloud_each(const struct triton_cloud *cloud, const char *query,
		      int (*take)(void *ud, struct triton_machine *machine), void *ud, size_t *ret_unreadable,
		      struct nomad_error **err)
{
	size_t limit = PAGE, offset = 0, skipped = 0, n;
	char first[37] = "";
	int r;

	*ret_unreadable = 0;
	do {
		NOMAD_AUTO_FREE char *path =
			nomad_strdupf("/machines?%s%slimit=%zu&offset=%zu", query, *query ? "&" : "", limit, offset);
		struct triton_machines page = { 0 };
		struct nomad_error *why = NULL;
		struct triton_answer answer = { 0 };

		r = path ? take_page(cloud, path, true, &page, &n, &answer, &why)
			 : nomad_error_errno(&why, ENOMEM, "list the instances");
		triton_answer_done(&answer);
		if (r >= 0 && is_repeated(&page, first)) {
			triton_machines_done(&page);
			return nomad_error_set(err, EBADMSG, "list the instances: CloudAPI repeats a page");
		}
		if (r >= 0) {
			offset += n;
			*ret_unreadable += page.unreadable;
			r = hand_on(&page, take, ud);
			if (r < 0)
				return nomad_error_errno(err, -r, "list the instances");
			/* A short page is the last one. */
			if (n < limit)
				return 0;
			limit = limit * 10 > PAGE ? PAGE : limit * 10;
			continue;
		}
		/* Smaller pages find the entry that does the harm; it alone is left out. */
		if ((r == -EBADMSG || answer.status == 500) && (limit > 1 || ++skipped <= SKIPPED_MOST)) {
			nomad_error_free(why);
			*ret_unreadable += limit == 1;
			offset += limit == 1;
			limit = limit > 1 ? limit / 10 : 1;
			r = 0;
			continue;
		}
		triton_fail(r, why, err);
	} while (r >= 0 && offset < MACHINES_MAX);
	return r;
}

static int add_machine(void *ud, struct triton_machine *machine)
{
	struct triton_machines *all = ud;
	struct triton_machine *more;

	/* Room for one, two, four ... of them. */
	if (!(all->count & (all->count - 1))) {
		more = reallocarray(all->items, all->count ? all->count * 2 : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		all->items = more;
	}
	all->items[all->count++] = *machine;
	memset(machine, 0, sizeof(*machine));
	return 0;
}

int triton_cloud_list(const struct triton_cloud *cloud, const char *query, struct triton_machines *ret,
		      struct nomad_error **err)
{
	struct triton_machines all = { 0 };
	int r = triton_cloud_each(cloud, query, add_machine, &all, &all.unreadable, err);

	if (r < 0)
		triton_machines_done(&all);
	else
		*ret = all;
	return r;
}

int triton_cloud_create(const struct triton_cloud *cloud, const json_t *body, struct triton_machine *ret,
			bool *ret_maybe_done, struct nomad_error **err)
{
	struct triton_answer answer;
	int r = triton_cloud_call(cloud, "POST", body, &answer, err, "/machines");

	*ret_maybe_done = r < 0 && answer.maybe_done;
	if (r >= 0) {
		r = triton_machine_parse(answer.json, ret);
		if (r < 0) {
			*ret_maybe_done = true;
			r = no_machine(r, "create an instance", err);
		}
	}
	triton_answer_done(&answer);
	return r;
}

int triton_cloud_action(const struct triton_cloud *cloud, const char *id, const char *action, struct nomad_error **err)
{
	return triton_cloud_call(cloud, "POST", NULL, NULL, err, "/machines/%s?action=%s", id, action);
}

int triton_cloud_delete(const struct triton_cloud *cloud, const char *id, struct nomad_error **err)
{
	struct nomad_error *why = NULL;
	int r = triton_cloud_call(cloud, "DELETE", NULL, NULL, &why, "/machines/%s", id);

	return r < 0 ? triton_fail_unless_gone(r, why, err) : 0;
}

json_t *triton_tag_value(const char *key, const char *value)
{
	if (strcmp(key, "triton.cns.disable") == 0 || strcmp(key, "triton.placement.exclude_virtual_servers") == 0)
		return json_boolean(strcmp(value, "true") == 0);
	return json_string(value);
}

int triton_cloud_add(const struct triton_cloud *cloud, const char *id, const char *kind, const struct nomad_map *map,
		     struct nomad_error **err)
{
	bool tags = strcmp(kind, "tags") == 0;
	struct triton_cloud patient = *cloud;
	json_t *body;
	int r = 0;

	if (!map->count)
		return 0;
	body = json_object();
	for (size_t i = 0; body && i < map->count; i++) {
		const char *key = map->pairs[i].key, *value = map->pairs[i].value;

		r |= json_object_set_new(body, key, tags ? triton_tag_value(key, value) : json_string(value));
	}
	if (!body || r) {
		json_decref(body);
		return nomad_error_set(err, EINVAL, "set the %s of an instance: a name or value is no UTF-8", kind);
	}
	for (unsigned n = 1;; n++) {
		/* Adding the same again changes nothing, so a lost answer is no harm. */
		struct nomad_error *why = NULL;
		struct triton_answer answer;

		r = triton_cloud_call(&patient, "POST", body, &answer, &why, "/machines/%s/%s", id, kind);
		triton_answer_done(&answer);
		if (r < 0 && answer.maybe_done && n < 4 &&
		    triton_budget_sleep(triton_http_budget(cloud->http), triton_backoff_ms(n, 500, 4000)) == 0) {
			nomad_error_free(why);
			continue;
		}
		triton_fail(r, why, err);
		break;
	}
	json_decref(body);
	return r;
}
