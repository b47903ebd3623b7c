/* SPDX-License-Identifier: MPL-2.0
 *
 * The calls of the Docker API that the driver needs.
 *
 * sdc-docker differs from Docker's engine: errors are plain text, create is
 * answered with 200, wrong states come as 500, the result of an exec is told
 * once.  All that is asked for here works with both, and where they differ the
 * state is looked at instead of the status.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docker.h"
#include "text.h"

static int explain(const struct triton_docker *docker, const struct triton_request *request,
		   const struct triton_response *response, struct nomad_error **err)
{
	json_t *json = json_loadb(response->body, response->size, 0, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	NOMAD_AUTO_FREE char *words = message && response->status >= 400 ? triton_one_line(message, strlen(message))
									 : triton_response_words(response);
	int code = triton_status_errno(response->status);

	json_decref(json);
	nomad_error_set(err, code, "%s %s at %s: status %ld: %s%s", request->method, request->target,
			triton_http_what(docker->http), response->status, words ? words : "",
			code == EACCES ? "; check docker_cert_path and that its key is in the account" : "");
	if (code == ECONNREFUSED)
		(void)nomad_error_retryable(err);
	return -code;
}

struct options {
	const char *header;
	int64_t timeout_ms;
	size_t body_max;
	bool once; /* no repetition on 500: it means a wrong state */
};

/* One call; `path` is NULL where there was no memory for it. */
static int call(const struct triton_docker *docker, const char *method, const char *path, const json_t *body,
		const struct options *options, struct triton_response *ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *target = path ? nomad_strdupf(TRITON_DOCKER_VERSION "%s", path) : NULL, *text = NULL;
	struct triton_request request = { .method = method, .retry_ms = docker->retry_ms };
	int r;

	memset(ret, 0, sizeof(*ret));
	if (body)
		text = json_dumps(body, JSON_COMPACT);
	if (!target || (body && !text))
		return nomad_error_errno(err, ENOMEM, "prepare a request to the Docker API");
	request.target = target;
	request.body = text;
	if (options) {
		request.header = options->header;
		request.timeout_ms = options->timeout_ms;
		request.body_max = options->body_max;
		if (options->once)
			request.retry_ms = 0;
	}
	r = triton_http_do(docker->http, &request, ret, err);
	if (r < 0) {
		(void)nomad_error_retryable(err);
		return r;
	}
	if (ret->status < 200 || (ret->status >= 300 && ret->status != 304))
		return explain(docker, &request, ret, err);
	return 0;
}

static int parse(const struct triton_response *response, const char *what, json_t **ret, struct nomad_error **err)
{
	*ret = json_loadb(response->body, response->size, 0, NULL);
	if (*ret)
		return 0;
	nomad_error_set(err, EPROTO, "%s: the answer of the Docker API is no JSON", what);
	(void)nomad_error_retryable(err);
	return -EPROTO;
}

/* One call whose answer is JSON. */
static int ask(const struct triton_docker *docker, const char *method, const char *path, const json_t *body,
	       int64_t timeout_ms, const char *what, json_t **ret, struct nomad_error **err)
{
	struct options options = { .timeout_ms = timeout_ms };
	struct triton_response response;
	int r = call(docker, method, path, body, &options, &response, err);

	if (r >= 0)
		r = parse(&response, what, ret, err);
	triton_response_done(&response);
	return r;
}

void triton_container_done(struct triton_container *container)
{
	free(container->id);
	free(container->name);
	free(container->task);
	memset(container, 0, sizeof(*container));
}

int triton_docker_uuid(const char *id, char ret[37])
{
	size_t k = 0;

	if (strlen(id) < 32 || strspn(id, "0123456789abcdef") < 32)
		return -EINVAL;
	for (size_t i = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			ret[k++] = '-';
		ret[k++] = id[i];
	}
	ret[k] = '\0';
	return 0;
}

int triton_docker_ping(const struct triton_docker *docker, struct nomad_error **err)
{
	struct triton_response response;
	/* Not /_ping: that one needs no certificate. */
	int r = call(docker, "GET", "/containers/json?limit=1", NULL, NULL, &response, err);

	triton_response_done(&response);
	return r;
}

/* ---- Images ---- */

/* A pull fails after its 200, by an object in the stream. */
static int find_pull_error(const struct triton_response *response, const char *image, struct nomad_error **err)
{
	const char *at = response->body, *end = at + response->size;

	while (at < end) {
		json_error_t why;
		json_t *json = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &why);
		const char *text = json_string_value(json_object_get(json, "error"));
		NOMAD_AUTO_FREE char *words = NULL;

		if (!json)
			break;
		if (!text)
			text = json_string_value(json_object_get(json_object_get(json, "errorDetail"), "message"));
		if (text) {
			words = triton_one_line(text, strlen(text));
			json_decref(json);
			return nomad_error_set(err, ENOENT, "pull the image '%s': %s", image, words ? words : "failed");
		}
		json_decref(json);
		if (why.position <= 0)
			break;
		at += why.position;
		while (at < end && isspace((unsigned char)*at))
			at++;
	}
	return 0;
}

int triton_docker_pull(const struct triton_docker *docker, const struct triton_docker_image *image,
		       const struct triton_auth *auth, int64_t timeout_ms, struct nomad_error **err)
{
	/* The parameter takes a digest as well. */
	const char *tag = triton_given(image->digest) ? image->digest : image->tag;
	NOMAD_AUTO_FREE char *what = triton_docker_reference(image), *from = triton_url_escape(image->name),
			     *version = triton_url_escape(tag), *header = NULL;
	NOMAD_AUTO_FREE char *path =
		nomad_strdupf("/images/create?fromImage=%s&tag=%s", from ? from : "", version ? version : "");
	struct options options = { .timeout_ms = timeout_ms, .body_max = 64 << 20 };
	struct triton_response response;
	int r;

	if (auth && (triton_given(auth->username) || triton_given(auth->password) || triton_given(auth->email) ||
		     triton_given(auth->server_address))) {
		NOMAD_AUTO_FREE char *value = triton_docker_auth(auth);

		header = value ? nomad_strdupf("X-Registry-Auth: %s", value) : NULL;
		if (!header)
			return nomad_error_errno(err, ENOMEM, "pull the image '%s'", image->name);
		options.header = header;
	}
	if (!what || !from || !version)
		return nomad_error_errno(err, ENOMEM, "pull the image '%s'", image->name);
	r = call(docker, "POST", path, NULL, &options, &response, err);
	if (r < 0)
		r = nomad_error_wrap(err, "pull the image '%s'", what);
	else
		r = find_pull_error(&response, what, err);
	triton_response_done(&response);
	return r;
}

/* ---- Containers ---- */

int triton_docker_create(const struct triton_docker *docker, const char *name, const json_t *body, int64_t timeout_ms,
			 char **ret_id, bool *ret_maybe_done, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/containers/create?name=%s", name);
	struct options options = { .timeout_ms = timeout_ms };
	struct triton_response response;
	json_t *json = NULL;
	const char *id;
	char uuid[37];
	int r = call(docker, "POST", path, body, &options, &response, err);

	*ret_maybe_done = false;
	if (r >= 0) {
		r = parse(&response, "create a container", &json, err);
		id = json_string_value(json_object_get(json, "Id"));
		if (r >= 0 && (!id || strlen(id) != 64 || triton_docker_uuid(id, uuid) < 0))
			r = nomad_error_set(err, EPROTO, "create a container: the answer holds no id");
		if (r < 0)
			*ret_maybe_done = true;
		else if (!(*ret_id = strdup(id)))
			r = nomad_error_errno(err, ENOMEM, "create a container");
	} else {
		*ret_maybe_done = response.maybe_done || response.status >= 500;
	}
	json_decref(json);
	triton_response_done(&response);
	return r;
}

int triton_docker_inspect(const struct triton_docker *docker, const char *id, struct triton_container *ret,
			  struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/containers/%s/json", id);
	struct triton_container it = { 0 };
	const char *text, *name;
	json_t *json = NULL, *state, *config;
	int r = ask(docker, "GET", path, NULL, 0, "inspect a container", &json, err);

	if (r < 0)
		return r;
	state = json_object_get(json, "State");
	config = json_object_get(json, "Config");
	text = json_string_value(json_object_get(json, "Id"));
	name = json_string_value(json_object_get(json, "Name"));
	if (!text || !json_is_object(state)) {
		json_decref(json);
		return nomad_error_set(err, EPROTO, "inspect a container: the answer holds no container");
	}
	it.id = strdup(text);
	if (name)
		it.name = strdup(name + (*name == '/'));
	it.running = json_is_true(json_object_get(state, "Running"));
	it.exit_code = json_integer_value(json_object_get(state, "ExitCode"));
	it.oom_killed = json_is_true(json_object_get(state, "OOMKilled"));
	text = json_string_value(json_object_get(state, "StartedAt"));
	it.never_started = !text || strncmp(text, "0001-", 5) == 0;
	text = json_string_value(json_object_get(json_object_get(config, "Labels"), "nomad.task"));
	it.task = text ? strdup(text) : NULL;
	if (!it.id || (name && !it.name) || (text && !it.task)) {
		r = nomad_error_errno(err, ENOMEM, "inspect a container");
		triton_container_done(&it);
	} else {
		*ret = it;
	}
	json_decref(json);
	return r;
}

/* Start, stop or kill.  A wrong state is an error here, and an answer may be lost: what counts is the state that it is
 * in. `again`: may be sent more than once. */
static int act(const struct triton_docker *docker, const char *id, const char *action, bool starts, bool again,
	       const struct options *options, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/containers/%s/%s", id, action);

	for (unsigned n = 1;; n++) {
		struct triton_container it = { 0 };
		struct triton_response response;
		struct nomad_error *why = NULL;
		int r = call(docker, "POST", path, NULL, options, &response, &why);
		bool unsure = response.maybe_done || response.status >= 500, there = false;

		triton_response_done(&response);
		if (r >= 0)
			return 0;
		if (r == -ENOENT && !starts)
			there = true;
		else if (r != -ENOENT && triton_docker_inspect(docker, id, &it, NULL) >= 0)
			there = starts ? it.running || !it.never_started : !it.running;
		triton_container_done(&it);
		if (there) {
			nomad_error_free(why);
			return 0;
		}
		if (!again || !unsure || n == 4 ||
		    triton_budget_sleep(triton_http_budget(docker->http), triton_backoff_ms(n, 500, 4000)) < 0)
			return triton_fail(r, why, err);
		nomad_error_free(why);
	}
}

int triton_docker_start(const struct triton_docker *docker, const char *id, int64_t timeout_ms,
			struct nomad_error **err)
{
	struct options options = { .timeout_ms = timeout_ms };

	return act(docker, id, "start", true, true, &options, err);
}

int triton_docker_stop(const struct triton_docker *docker, const char *id, unsigned seconds, struct nomad_error **err)
{
	struct options options = { .timeout_ms = (int64_t)seconds * 1000 + 45000 };
	char action[32];

	snprintf(action, sizeof(action), "stop?t=%u", seconds);
	return act(docker, id, action, false, true, &options, err);
}

int triton_docker_kill(const struct triton_docker *docker, const char *id, const char *signal, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *action = nomad_strdupf("kill?signal=%s", signal);

	if (!action)
		return nomad_error_errno(err, ENOMEM, "send a signal");
	/* A second SIGHUP would be one too many. */
	return act(docker, id, action, false, strcmp(signal, "SIGKILL") == 0, NULL, err);
}

int triton_docker_wait(const struct triton_docker *docker, const char *id, int64_t timeout_ms, int64_t *ret_code,
		       struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/containers/%s/wait", id);
	json_t *json = NULL, *code;
	int r = ask(docker, "POST", path, NULL, timeout_ms, "wait for a container", &json, err);

	if (r < 0)
		return r;
	code = json_object_get(json, "StatusCode");
	if (json_is_integer(code))
		*ret_code = json_integer_value(code);
	else
		r = nomad_error_set(err, ENODATA, "the data centre knows no exit status of the container");
	json_decref(json);
	return r;
}

int triton_docker_stats(const struct triton_docker *docker, const char *id, json_t **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/containers/%s/stats?stream=0", id);

	return ask(docker, "GET", path, NULL, 0, "read the statistics of a container", ret, err);
}

/* ---- Exec ---- */

int triton_docker_exec_create(const struct triton_docker *docker, const char *id, const char *const *argv, bool tty,
			      bool input, const char *user, char **ret_exec, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/containers/%s/exec", id);
	json_t *cmd = json_array(), *body, *json = NULL;
	const char *exec;
	int r = 0;

	for (size_t i = 0; argv[i]; i++)
		r |= json_array_append_new(cmd, json_string(argv[i]));
	if (!cmd || r) {
		json_decref(cmd);
		return nomad_error_set(err, EINVAL, "run a command in a container: an argument is no UTF-8");
	}
	body = json_pack("{s:o, s:b, s:b, s:b, s:b}", "Cmd", cmd, "AttachStdin", input, "AttachStdout", 1,
			 "AttachStderr", 1, "Tty", tty);
	if (body && user && *user)
		r = json_object_set_new(body, "User", json_string(user));
	if (!body || r) {
		json_decref(body);
		return nomad_error_errno(err, ENOMEM, "run a command in a container");
	}
	r = ask(docker, "POST", path, body, 0, "run a command in a container", &json, err);
	json_decref(body);
	exec = json_string_value(json_object_get(json, "Id"));
	if (r >= 0 && (!exec || !*exec || strspn(exec, "0123456789abcdefABCDEF-") != strlen(exec)))
		r = nomad_error_set(err, EPROTO, "run a command in a container: the answer holds no id");
	if (r >= 0 && !(*ret_exec = strdup(exec)))
		r = nomad_error_errno(err, ENOMEM, "run a command in a container");
	json_decref(json);
	return r;
}

int triton_docker_exec_resize(const struct triton_docker *docker, const char *exec, int rows, int columns,
			      struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/exec/%s/resize?h=%d&w=%d", exec, rows, columns);
	struct options options = { .once = true };
	struct triton_response response;
	int r = call(docker, "POST", path, NULL, &options, &response, err);

	triton_response_done(&response);
	return r;
}

int triton_docker_exec_result(const struct triton_docker *docker, const char *exec, int64_t *ret_code,
			      struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("/exec/%s/json", exec);
	json_t *json = NULL, *code;
	int r = ask(docker, "GET", path, NULL, 0, "ask for the end of a command", &json, err);

	if (r < 0)
		return r;
	code = json_object_get(json, "ExitCode");
	if (json_is_true(json_object_get(json, "Running")))
		r = -EAGAIN;
	else if (json_is_integer(code))
		*ret_code = json_integer_value(code);
	else
		r = -ENODATA;
	if (r < 0)
		nomad_error_set(err, -r, "the end of the command is not known");
	json_decref(json);
	return r;
}
