/* SPDX-License-Identifier: MPL-2.0
 *
 * Requests to one server, over libcurl; see http.h.
 *
 * A request blocks its worker thread.  Handles are kept in a small pool, each
 * with its own connection, so that a request finds an open one.
 *
 * What is attempted again: a request that never left (name, connect, TLS);
 * 420, 429 and 503, with which the server says that it did nothing; and for
 * requests that may be sent twice also 500, 502, 504 and broken connections.
 * Where the answer of another request was lost, `maybe_done` is set and the
 * caller has to look.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "text.h"

enum {
	POOL_MAX = 16,
	BODY_MAX = 8 << 20,
	FAILURE_MAX = 1 << 16,
	HEADERS_MAX = 1 << 16,
	CONNECT_TIMEOUT_MS = 15000,
	BACKOFF_BASE_MS = 500,
	BACKOFF_MOST_MS = 15000,
	TURN_MS = 300000, /* in which a request gets its turn */
};

struct triton_http {
	char *what, *base;
	char *ca_file, *cert_file, *key_file;
	bool insecure;
	struct triton_signer *signer;
	struct triton_budget *budget;
	int64_t timeout_ms;
	char **headers;
	pthread_mutex_t lock;
	CURL *pool[POOL_MAX];
	size_t pooled;
	atomic_llong skew_s;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* scheme://host[:port], without what follows; tcp:// (Docker's) is https. */
char *triton_http_base_of(const char *url)
{
	const char *rest = strstr(url, "://");
	size_t n;

	if (!rest)
		return NULL;
	rest += 3;
	n = strcspn(rest, "/?#");
	if (!n || strcspn(rest, "@ \t\r\n\"") < n)
		return NULL;
	return nomad_strdupf("%s://%.*s", strncmp(url, "http://", 7) == 0 ? "http" : "https", (int)n, rest);
}

int triton_http_new(const struct triton_http_options *options, struct triton_http **ret, struct nomad_error **err)
{
	struct triton_http *http;

	pthread_once(&curl_once, curl_init);
	http = calloc(1, sizeof(*http));
	if (!http)
		return nomad_error_errno(err, ENOMEM, "prepare requests to %s", options->what);
	pthread_mutex_init(&http->lock, NULL);
	atomic_init(&http->skew_s, 0);
	http->insecure = options->insecure;
	http->signer = options->signer;
	http->budget = options->budget;
	http->timeout_ms = options->timeout_ms;
	http->base = triton_http_base_of(options->base_url);
	if (!http->base) {
		triton_http_free(http);
		return nomad_error_set(
			err, EINVAL,
			"the address of %s is not a URL such as https://host, without user name and password",
			options->what);
	}
	if (triton_keep(&http->what, options->what) < 0 || triton_keep(&http->ca_file, options->ca_file) < 0 ||
	    triton_keep(&http->cert_file, options->cert_file) < 0 ||
	    triton_keep(&http->key_file, options->key_file) < 0 ||
	    (options->headers && !(http->headers = nomad_strv_copy(options->headers)))) {
		triton_http_free(http);
		return nomad_error_errno(err, ENOMEM, "prepare requests to %s", options->what);
	}
	*ret = http;
	return 0;
}

void triton_http_free(struct triton_http *http)
{
	if (!http)
		return;
	for (size_t i = 0; i < http->pooled; i++)
		curl_easy_cleanup(http->pool[i]);
	pthread_mutex_destroy(&http->lock);
	free(http->what);
	free(http->base);
	free(http->ca_file);
	free(http->cert_file);
	free(http->key_file);
	nomad_strv_free(http->headers);
	free(http);
}

int64_t triton_http_skew_s(const struct triton_http *http)
{
	return atomic_load(&http->skew_s);
}

const char *triton_http_base(const struct triton_http *http)
{
	return http->base;
}

const char *triton_http_what(const struct triton_http *http)
{
	return http->what;
}

struct triton_budget *triton_http_budget(const struct triton_http *http)
{
	return http->budget;
}

void triton_response_done(struct triton_response *response)
{
	free(response->body);
	memset(response, 0, sizeof(*response));
}

/* ---- One attempt ---- */

struct attempt {
	struct triton_http *http;
	const struct triton_request *request;
	struct triton_response *response;
	size_t room, most, headers;
	bool repeatable;
	bool never_left; /* the request did not reach the server */
	bool succeeds;	 /* the status is one of success, and the body goes to the sink, if there is one */
	int refused;	 /* by the sink */
	unsigned key;	 /* that signed */
	bool too_large;
	bool no_memory;
};

static size_t on_body(char *data, size_t one, size_t n, void *ud)
{
	struct attempt *attempt = ud;
	struct triton_response *response = attempt->response;

	(void)one;
	if (attempt->request->sink && attempt->succeeds) {
		attempt->refused = attempt->request->sink(attempt->request->ud, data, n);
		return attempt->refused < 0 ? 0 : n;
	}
	/* Of a failure the status counts, whatever comes with it. */
	if (attempt->request->sink && response->size + n > FAILURE_MAX)
		return n;
	if (response->size + n > attempt->most) {
		attempt->too_large = true;
		return 0;
	}
	if (response->size + n + 1 > attempt->room) {
		size_t room = (response->size + n + 1) * 2;
		char *bigger = realloc(response->body, room);

		if (!bigger) {
			attempt->no_memory = true;
			return 0;
		}
		response->body = bigger;
		attempt->room = room;
	}
	memcpy(response->body + response->size, data, n);
	response->size += n;
	response->body[response->size] = '\0';
	return n;
}

static bool header_is(const char *line, size_t size, const char *name, char *value, size_t room)
{
	size_t n = strlen(name);

	if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	for (n++; n < size && (line[n] == ' ' || line[n] == '\t'); n++)
		;
	while (size > n && isspace((unsigned char)line[size - 1]))
		size--;
	if (size - n >= room)
		return false;
	memcpy(value, line + n, size - n);
	value[size - n] = '\0';
	return true;
}

static size_t on_header(char *line, size_t one, size_t n, void *ud)
{
	struct attempt *attempt = ud;
	struct triton_response *response = attempt->response;
	char value[256];

	(void)one;
	attempt->headers += n;
	if (attempt->headers > HEADERS_MAX) {
		attempt->too_large = true;
		return 0;
	}
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
		response->retry_after_ms = -1;
		attempt->succeeds = n > 9 && line[9] == '2';
	} else if (header_is(line, n, "Retry-After", value, sizeof(value))) {
		response->retry_after_ms = triton_parse_retry_after(value, (int64_t)time(NULL));
	} else if (header_is(line, n, "Request-Id", response->request_id, sizeof(response->request_id))) {
		for (char *p = response->request_id; *p; p++)
			if (!isalnum((unsigned char)*p) && *p != '-')
				*p = '?';
	} else if (header_is(line, n, "Triton-Datacenter-Name", response->datacenter, sizeof(response->datacenter))) {
		/* An attribute of the node, which has to be UTF-8. */
		for (char *p = response->datacenter; *p; p++)
			if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
				*p = '?';
	} else if (header_is(line, n, "Location", response->location, sizeof(response->location))) {
	} else if (header_is(line, n, "Date", value, sizeof(value))) {
		time_t date = curl_getdate(value, NULL);

		if (date != (time_t)-1)
			atomic_store(&attempt->http->skew_s, (long long)(time(NULL) - date));
	}
	return n;
}

static int on_progress(void *ud, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct attempt *attempt = ud;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return atomic_load(&attempt->http->budget->closing);
}

static CURL *take_handle(struct triton_http *http)
{
	CURL *easy = NULL;

	pthread_mutex_lock(&http->lock);
	if (http->pooled)
		easy = http->pool[--http->pooled];
	pthread_mutex_unlock(&http->lock);
	if (easy)
		curl_easy_reset(easy);
	else
		easy = curl_easy_init();
	return easy;
}

static void give_handle(struct triton_http *http, CURL *easy)
{
	pthread_mutex_lock(&http->lock);
	if (http->pooled < POOL_MAX) {
		http->pool[http->pooled++] = easy;
		easy = NULL;
	}
	pthread_mutex_unlock(&http->lock);
	curl_easy_cleanup(easy);
}

/* A static libcurl is built for no distribution and knows no roots: returns the first of these files that exists. */
static const char *system_roots(void)
{
	static const char *const files[] = { "/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Alpine */
					     "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
					     "/etc/ssl/ca-bundle.pem",		   /* SUSE */
					     "/etc/ssl/cert.pem" };		   /* BSD */
	const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

	for (size_t i = 0; !curl->cainfo && !curl->capath && i < NOMAD_ARRAY_LEN(files); i++)
		if (access(files[i], R_OK) == 0)
			return files[i];
	return NULL;
}

int triton_http_prepare(struct triton_http *http, CURL *easy, const char *target, struct nomad_error **err)
{
	const char *ca_file = http->ca_file ? http->ca_file : system_roots();
	NOMAD_AUTO_FREE char *url = nomad_strdupf("%s%s", http->base, target);
	CURLcode r = url ? curl_easy_setopt(easy, CURLOPT_URL, url) : CURLE_OUT_OF_MEMORY;

	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, http->insecure ? 0L : 1L);
	if (!r)
		r = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, http->insecure ? 0L : 2L);
	if (!r && ca_file && !http->insecure)
		r = curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	if (!r && http->cert_file)
		r = curl_easy_setopt(easy, CURLOPT_SSLCERT, http->cert_file);
	if (!r && http->key_file)
		r = curl_easy_setopt(easy, CURLOPT_SSLKEY, http->key_file);
	if (r)
		return nomad_error_set(err, r == CURLE_OUT_OF_MEMORY ? ENOMEM : EINVAL, "prepare a request to %s: %s",
				       http->what, curl_easy_strerror(r));
	return 0;
}

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

static int add_signature(struct attempt *attempt, struct curl_slist **list, struct nomad_error **err)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	NOMAD_AUTO_FREE char *authorization = NULL, *line = NULL;
	char date[64];
	time_t now = time(NULL);
	struct tm tm;
	int r;

	if (!attempt->http->signer)
		return 0;
	/* Not by strftime(): names of days must not depend on the locale. */
	gmtime_r(&now, &tm);
	snprintf(date, sizeof(date), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday % 7], tm.tm_mday,
		 months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	r = triton_signer_sign(attempt->http->signer, attempt->request->method, attempt->request->target, date,
			       &authorization, &attempt->key, err);
	if (r < 0)
		return r;
	line = nomad_strdupf("Date: %s", date);
	r = line ? add_header(list, line) : -ENOMEM;
	free(NOMAD_TAKE_PTR(line));
	line = nomad_strdupf("Authorization: %s", authorization);
	return r < 0 || !line ? -ENOMEM : add_header(list, line);
}

static int make_headers(struct attempt *attempt, struct curl_slist **list, struct nomad_error **err)
{
	const struct triton_request *request = attempt->request;
	const struct triton_http *http = attempt->http;
	int r = add_header(list, "Accept: application/json");

	if (r >= 0)
		r = add_header(list, "Expect:");
	for (size_t i = 0; r >= 0 && i < nomad_strv_count((const char *const *)http->headers); i++)
		r = add_header(list, http->headers[i]);
	if (r >= 0 && request->header)
		r = add_header(list, request->header);
	/* Without a content type the server does not read the body at all. */
	if (r >= 0 && request->body)
		r = add_header(list, "Content-Type: application/json");
	else if (r >= 0)
		r = add_header(list, "Content-Type:");
	return r < 0 ? r : add_signature(attempt, list, err);
}

static void set_options(struct attempt *attempt, CURL *easy, struct curl_slist *headers, char why[CURL_ERROR_SIZE])
{
	const struct triton_request *request = attempt->request;
	int64_t timeout = request->timeout_ms ? request->timeout_ms : attempt->http->timeout_ms;

	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	/* A handle has one request at a time; each connection more is TLS state of 30 kB that nobody uses. */
	curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, 1L);
	/* libcurl sends a request again by itself when a kept connection turns out to be closed: not what must be sent
	 * once only. */
	if (!attempt->repeatable)
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	if (request->body || strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0) {
		const char *body = request->body ? request->body : "";

		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "nomad-driver-triton/" NOMAD_VERSION);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout > 0 ? (long)timeout : 0L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, attempt);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, attempt);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, attempt);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
}

static int perform(struct attempt *attempt, CURL *easy, struct curl_slist *headers, struct nomad_error **err)
{
	const struct triton_request *request = attempt->request;
	struct triton_response *response = attempt->response;
	const struct triton_http *http = attempt->http;
	char why[CURL_ERROR_SIZE] = "";
	CURLcode code;

	set_options(attempt, easy, headers, why);
	code = curl_easy_perform(easy);
	attempt->never_left = code != CURLE_OK && triton_never_left(code);
	if (code == CURLE_OK) {
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response->status);
		if (!response->body && !(response->body = strdup("")))
			return nomad_error_errno(err, ENOMEM, "read the answer of %s", http->what);
		return 0;
	}
	response->status = 0;
	if (attempt->too_large)
		return nomad_error_set(err, EMSGSIZE, "read the answer of %s to %s %s: it is larger than %d bytes",
				       http->what, request->method, request->target,
				       attempt->headers > HEADERS_MAX ? HEADERS_MAX : (int)attempt->most);
	if (attempt->no_memory || attempt->refused == -ENOMEM)
		return nomad_error_errno(err, ENOMEM, "read the answer of %s", http->what);
	if (attempt->refused < 0)
		return nomad_error_set(err, EBADMSG,
				       "read the answer of %s to %s %s: it is not JSON of the expected kind",
				       http->what, request->method, request->target);
	return nomad_error_set(err, triton_curl_errno(code), "%s %s at %s: %s", request->method, request->target,
			       http->base, *why ? why : curl_easy_strerror(code));
}

static int attempt_once(struct attempt *attempt, struct nomad_error **err)
{
	struct triton_http *http = attempt->http;
	struct curl_slist *headers = NULL;
	CURL *easy = take_handle(http);
	int r;

	attempt->never_left = true;
	triton_response_done(attempt->response);
	attempt->room = attempt->headers = 0;
	attempt->too_large = false;
	attempt->refused = 0;
	attempt->succeeds = false;
	if (attempt->request->sink)
		(void)attempt->request->sink(attempt->request->ud, NULL, 0);
	attempt->response->retry_after_ms = -1;
	if (!easy)
		return nomad_error_errno(err, ENOMEM, "prepare a request to %s", http->what);
	r = triton_http_prepare(http, easy, attempt->request->target, err);
	if (r >= 0) {
		r = make_headers(attempt, &headers, err);
		if (r == -ENOMEM && err && !*err)
			nomad_error_errno(err, ENOMEM, "prepare a request to %s", http->what);
	}
	if (r >= 0)
		r = perform(attempt, easy, headers, err);
	curl_slist_free_all(headers);
	give_handle(http, easy);
	return r;
}

static bool says_not_now(long status)
{
	return status == 420 || status == 429 || status == 503;
}

static bool worth_another(long status, bool repeatable)
{
	return says_not_now(status) || (repeatable && (status == 500 || status == 502 || status == 504));
}

/* May the request be sent again after `r`, an attempt's result? */
static bool may_repeat(struct attempt *attempt, int r)
{
	if (r >= 0)
		return worth_another(attempt->response->status, attempt->repeatable);
	if (!attempt->never_left && !attempt->repeatable)
		attempt->response->maybe_done = true;
	return r != -ENOMEM && r != -ECANCELED && r != -EMSGSIZE && !attempt->response->maybe_done;
}

static int wait_for_turn(const struct attempt *attempt, int64_t deadline, struct nomad_error **err)
{
	int64_t most = triton_now_ms() + TURN_MS;
	int r = triton_budget_take(attempt->http->budget, deadline > most ? deadline : most);

	if (r < 0)
		return nomad_error_set(err, -r, "%s %s: %s", attempt->request->method, attempt->request->target,
				       r == -ESHUTDOWN ? "the plugin is being shut down"
						       : "too many requests wait for their turn (requests_per_second)");
	return 0;
}

int triton_http_do(struct triton_http *http, const struct triton_request *request, struct triton_response *ret,
		   struct nomad_error **err)
{
	struct attempt attempt = {
		.http = http,
		.request = request,
		.response = ret,
		.repeatable = request->repeatable || strcmp(request->method, "GET") == 0,
		.most = request->body_max ? request->body_max : BODY_MAX,
	};
	int64_t deadline = triton_now_ms() + request->retry_ms;

	memset(ret, 0, sizeof(*ret));
	for (unsigned n = 1;; n++) {
		struct nomad_error *why = NULL;
		int64_t wait = triton_backoff_ms(n, BACKOFF_BASE_MS, BACKOFF_MOST_MS);
		int r = wait_for_turn(&attempt, deadline, err);

		if (r < 0)
			return r;
		r = attempt_once(&attempt, &why);
		/* The key may have been replaced.  A refused request has done nothing. */
		if (r >= 0 && ret->status == 401 && http->signer && triton_signer_renew(http->signer, attempt.key))
			r = attempt_once(&attempt, &why);
		if (!may_repeat(&attempt, r))
			return r < 0 ? triton_fail(r, why, err) : 0;
		if (r >= 0 && says_not_now(ret->status)) {
			if (ret->retry_after_ms > wait)
				wait = ret->retry_after_ms;
			triton_budget_throttled(http->budget, ret->retry_after_ms);
		}
		/* An answer goes to the caller, who explains its status. */
		if (triton_now_ms() + wait > deadline || triton_budget_sleep(http->budget, wait) < 0)
			return r < 0 ? triton_fail(r, why, err) : 0;
		nomad_error_free(why);
	}
}
