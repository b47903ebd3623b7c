/* SPDX-License-Identifier: MPL-2.0 */
/* The client of metadata services: `nomadinit cloud`, which PID 1 starts.
 *
 * It opens what needs privileges, gives all of them up, asks, and writes one JSON document to its result file:
 *
 *   {"provider": "ec2", "instance_id": "i-1", "config": {...}, "user_data": "text of our init.json", "note": "..."}
 *
 * Nothing that a server sends is read by a process that could do harm. */
#include "cloud.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "userdata.h"
#include "util.h"
#include "yaml.h"

#define PAUSE_MS 250 /* before the second round; doubled up to PAUSE_MAX_MS */
#define PAUSE_MAX_MS 4000
#define TOKEN_MAX 512
#define LIST_MAX 16 /* names behind a '*' */
#define NOBODY 65534

/* ---- HTTP ------------------------------------------------------------------------- */

static int get_token(struct cloud_session *s)
{
	const struct cloud_provider *p = s->provider;
	size_t len = 0, i;
	char *text = NULL;
	int r;

	s->token[0] = '\0';
	r = cloud_http(s, "PUT", p->token.path, p->token.header, NULL, TOKEN_MAX, &text, &len);
	if (r < 0)
		return r;
	for (i = 0; i < len && text[i] > ' ' && text[i] < 127; i++)
		;
	if (r == 200 && len > 0 && i == len && len < sizeof(s->token))
		memcpy(s->token, text, len + 1);
	free(text);
	if (s->token[0])
		return 0;
	return cloud_fail(s, r == 429 || r >= 500 ? -EAGAIN : -EPROTO, "PUT %s: status %d, no token", p->token.path, r);
}

/* 0, -ENOENT, -EAGAIN (ask again later), or another negative errno: also worth another try while there is time. */
static int get_http(struct cloud_session *s, const char *path, size_t max, bool is_required, char **ret,
		    size_t *ret_len)
{
	const struct cloud_provider *p = s->provider;
	int status = 0, turn;

	for (turn = 0; turn < 2; turn++) {
		if (p->token.path && !s->token[0]) {
			status = get_token(s);
			if (status < 0)
				return status;
		}
		status = cloud_http(s, "GET", path, NULL, NULL, max, ret, ret_len);
		if (status != 401 || !p->token.path)
			break;
		/* It has expired: a new one, once. */
		free(*ret);
		*ret = NULL;
		s->token[0] = '\0';
	}
	if (status < 0)
		return status;
	if (status == 200)
		return 0;
	free(*ret);
	*ret = NULL;
	cloud_fail(s, 0, "GET %s: status %d%s", path, status,
		   status >= 300 && status < 400 ? ", a redirection, which is not followed" : "");
	if (status == 404 || status == 410)
		return is_required && p->missing_is_early ? -EAGAIN : -ENOENT;
	return status == 429 || status >= 500 ? -EAGAIN : -EPROTO;
}

/* ---- Documents ---------------------------------------------------------------------- */

static int get_raw(struct cloud_session *s, const char *path, size_t max, bool is_required, char **ret, size_t *ret_len)
{
	*ret = NULL;
	if (s->provider->get)
		return s->provider->get(s, path, max, ret, ret_len);
	return get_http(s, path, max, is_required, ret, ret_len);
}

static json_t *parse(const struct cloud_get *g, const char *text, size_t len)
{
	int line;

	if (g->form == CLOUD_JSON)
		return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	if (g->form == CLOUD_YAML)
		return yaml_parse(text, len, &line);
	if (g->form == CLOUD_TEXT)
		len = strcspn(text, "\r\n");
	return json_stringn(text, len);
}

static int get_one(struct cloud_session *s, const struct cloud_get *g, const char *path, json_t **ret)
{
	char *text;
	size_t len = 0;
	int r = get_raw(s, path, CLOUD_VALUE_MAX, g->is_required, &text, &len);

	if (r < 0)
		return r;
	*ret = parse(g, text, len);
	free(text);
	return *ret ? 0 : cloud_fail(s, -EPROTO, "%s: the answer is not what it should be", path);
}

/* What stands behind a '*': an object, with a member for each line of the list. */
static int get_many(struct cloud_session *s, const struct cloud_get *g, json_t **ret)
{
	const char *star = strchr(g->path, '*');
	char path[256], *list, *name, *save = NULL;
	json_t *all = json_object(), *one;
	size_t len = 0, n = 0;
	int r;

	snprintf(path, sizeof(path), "%.*s", (int)(star - g->path), g->path);
	r = get_raw(s, path, CLOUD_VALUE_MAX, false, &list, &len);
	for (name = r < 0 ? NULL : strtok_r(list, "\r\n", &save); name && n < LIST_MAX;
	     name = strtok_r(NULL, "\r\n", &save), n++) {
		name[strcspn(name, "/")] = '\0';
		if (strspn(name, "0123456789abcdefABCDEF:.-_") != strlen(name))
			continue;
		snprintf(path, sizeof(path), "%.*s%.64s%s", (int)(star - g->path), g->path, name, star + 1);
		if (get_one(s, g, path, &one) == 0)
			json_object_set_new(all, name, one);
	}
	free(list);
	*ret = all;
	return 0;
}

static int get_row(struct cloud_session *s, const struct cloud_get *g, json_t *document, char **ret_user_data,
		   size_t *ret_len)
{
	json_t *value = NULL;
	int r;

	if (strcmp(g->as, "user_data") == 0)
		return get_raw(s, g->path, CLOUD_USERDATA_MAX, g->is_required, ret_user_data, ret_len);
	r = strchr(g->path, '*') ? get_many(s, g, &value) : get_one(s, g, g->path, &value);
	if (r == 0 && json_object_set_new(document, g->as, value) < 0)
		r = -ENOMEM;
	return r;
}

/* User-data that is a member of the document. */
static int take_member(const struct cloud_session *s, const json_t *document, char **ret, size_t *ret_len)
{
	const char *text =
		s->provider->user_data ? json_string_value(cloud_at(document, s->provider->user_data)) : NULL;

	if (!text || !*text || *ret)
		return 0;
	*ret = strdup(text);
	*ret_len = strlen(text);
	return *ret ? 0 : -ENOMEM;
}

/* -ENOENT of what is not required is an answer.  Anything else makes the whole wait: half of a configuration would be
 * worse than a late one. */
static int get_all(struct cloud_session *s, json_t *document, char **ret_user_data, size_t *ret_len)
{
	const struct cloud_get *g;
	int r;

	for (g = s->provider->gets; g < s->provider->gets + NOMAD_ARRAY_LEN(s->provider->gets) && g->path; g++) {
		r = get_row(s, g, document, ret_user_data, ret_len);
		if (r < 0 && !(r == -ENOENT && !g->is_required)) {
			if (!s->error[0])
				cloud_fail(s, r, "%s: %s", g->path, strerror(-r));
			return r;
		}
	}
	return take_member(s, document, ret_user_data, ret_len);
}

int cloud_fetch(struct cloud_session *s, json_t **ret_document, char **ret_user_data, size_t *ret_len)
{
	unsigned int pause = PAUSE_MS;
	int r;

	for (;;) {
		*ret_document = json_object();
		*ret_user_data = NULL;
		*ret_len = 0;
		s->error[0] = '\0';
		r = get_all(s, *ret_document, ret_user_data, ret_len);
		if (r == 0)
			return 0;
		json_decref(*ret_document);
		free(*ret_user_data);
		*ret_document = NULL;
		*ret_user_data = NULL;
		if (cloud_time_left(s, pause) < pause)
			return r;
		util_sleep_ms(pause);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
	}
}

/* ---- The command ------------------------------------------------------------------ */

/* As nobody, with little memory, and no way back. */
static int give_up_privileges(void)
{
	static const struct {
		int what;
		rlim_t most;
	} limits[] = { { RLIMIT_AS, 128 << 20 }, { RLIMIT_FSIZE, 2 << 20 }, { RLIMIT_CPU, 60 }, { RLIMIT_CORE, 0 } };
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(limits); i++) {
		struct rlimit l = { limits[i].most, limits[i].most };

		setrlimit((__rlimit_resource_t)limits[i].what, &l);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	return 0;
}

static int write_result(int fd, const struct cloud_session *s, const json_t *document, const char *user_data,
			size_t len)
{
	json_t *config = cloud_map(s->provider, document), *result;
	struct userdata u = { 0 };
	char *text;
	int r;

	userdata_find(user_data ? user_data : "", user_data ? len : 0, &u);
	if (u.hostname[0] && !json_object_get(json_object_get(config, "nomadinit"), "hostname"))
		json_object_set_new(json_object_get(config, "nomadinit"), "hostname", json_string(u.hostname));
	result = json_pack("{s:s, s:s, s:o, s:s*, s:s}", "provider", s->provider->name, "instance_id",
			   cloud_instance_id(s->provider, document), "config", config, "user_data", u.json, "note",
			   user_data ? u.note : "none");
	text = result ? json_dumps(result, JSON_INDENT(1)) : NULL;
	r = text ? nomad_write_all(fd, text, strlen(text)) : -EBADMSG;
	printf("%s: instance '%.80s'; user-data: %s\n", s->provider->title, cloud_instance_id(s->provider, document),
	       user_data ? u.note : "none");
	free(text);
	free(u.json);
	json_decref(result);
	return r;
}

static int parse_at(const char *text, struct cloud_session *s)
{
	char address[64];
	const char *colon = strrchr(text, ':');
	long port;

	if (!colon || util_parse_long(colon + 1, 1, 65535, &port) < 0 || (size_t)(colon - text) >= sizeof(address))
		return -EINVAL;
	snprintf(address, sizeof(address), "%.*s", (int)(colon - text), text);
	s->port = (uint16_t)port;
	s->has_address = true;
	return net_address_parse(address, &s->at);
}

static int run(struct cloud_session *s, const char *verb, int result)
{
	json_t *document;
	char *user_data;
	size_t len;
	int r;

	r = s->provider->open ? s->provider->open(s) : 0;
	if (r == 0)
		r = give_up_privileges();
	if (r < 0) {
		fprintf(stderr, "%s: cannot begin: %s\n", s->provider->title, strerror(-r));
		return 1;
	}
	if (strcmp(verb, "report") == 0) {
		r = s->provider->report ? s->provider->report(s) : 0;
		if (r < 0)
			fprintf(stderr, "%s: cannot report that the machine is ready: %s\n", s->provider->title,
				s->error);
		return r < 0;
	}
	r = cloud_fetch(s, &document, &user_data, &len);
	if (r < 0) {
		fprintf(stderr, "%s: no metadata: %s\n", s->provider->title, s->error[0] ? s->error : strerror(-r));
		return 1;
	}
	r = write_result(result, s, document, user_data, len);
	free(user_data);
	json_decref(document);
	return r < 0;
}

/* nomadinit cloud fetch|report PROVIDER SECONDS RESULT [--files DIR] [--at ADDRESS:PORT] [--wireserver ADDRESS] */
int cloud_main(int argc, char **argv)
{
	struct cloud_session s = { .files = "", .fd = -1 };
	int result, i, r = 0;
	long seconds;

	if (argc < 5 || argc % 2 != 1 || !(s.provider = cloud_by_name(argv[2])) ||
	    util_parse_long(argv[3], 1, 3600, &seconds) < 0)
		return 2;
	for (i = 5; i < argc && r == 0; i += 2) {
		if (strcmp(argv[i], "--files") == 0)
			s.files = argv[i + 1];
		else if (strcmp(argv[i], "--at") == 0)
			r = parse_at(argv[i + 1], &s);
		else if (strcmp(argv[i], "--wireserver") == 0)
			r = net_address_parse(argv[i + 1], &s.wireserver);
		else
			r = -EINVAL;
	}
	if (r < 0)
		return 2;
	s.end_ms = util_now_ms() + (uint64_t)seconds * 1000;
	result = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (result < 0) {
		fprintf(stderr, "cannot write '%s': %s\n", argv[4], strerror(errno));
		return 1;
	}
	return run(&s, argv[1], result);
}
