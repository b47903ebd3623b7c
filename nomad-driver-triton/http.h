/* SPDX-License-Identifier: MPL-2.0
 *
 * http.h: requests to one server, over libcurl.
 *
 * Connections are kept and used again, every request has a time limit, every
 * answer a size limit, and certificates are verified.  What is worth another
 * attempt is attempted again, with jittered back-off and within the budget
 * that all share. */
#ifndef TRITON_HTTP_H
#define TRITON_HTTP_H

#include <curl/curl.h>

#include "nomad/base.h"
#include "nomad/error.h"

#include "budget.h"
#include "sign.h"

struct triton_http;

struct triton_http_options {
	const char *what;			    /* for messages: "CloudAPI" */
	const char *base_url;			    /* https://host:port, a path behind it is dropped */
	const char *ca_file, *cert_file, *key_file; /* or NULL */
	bool insecure;
	struct triton_signer *signer; /* borrowed; or NULL: not signed */
	struct triton_budget *budget; /* borrowed */
	int64_t timeout_ms;	      /* of one request */
	const char *const *headers;   /* sent with each request; or NULL */
};

/* "https://host:port" of an address, malloc()ed; NULL if it is none, or holds more than
 * may be shown: a user name or password. */
char *triton_http_base_of(const char *url);
int triton_http_new(const struct triton_http_options *options, struct triton_http **ret, struct nomad_error **err);
void triton_http_free(struct triton_http *http);

struct triton_request {
	const char *method;
	const char *target; /* path and query */
	const char *body;   /* JSON, or NULL */
	const char *header; /* one more header, or NULL */
	int64_t timeout_ms; /* 0: that of the server; -1: none */
	int64_t retry_ms;   /* how long to try; 0: once */
	bool repeatable;    /* may be sent twice, beside GET: deletes, and stops */
	size_t body_max;    /* 0: 8 MiB */
	/* Takes the body of a success as it arrives, in place of the response; NULL
	 * data: a new attempt begins.  Negative gives the answer up. */
	int (*sink)(void *ud, const char *data, size_t size);
	void *ud;
};

struct triton_response {
	long status; /* 0: no answer */
	char *body;  /* NUL-terminated; never NULL after success */
	size_t size;
	int64_t retry_after_ms; /* -1: not said */
	char request_id[64];
	char datacenter[128];
	char location[128]; /* of a redirect, which is never followed */
	/* No answer came, but the request may have reached the server and have had
	 * its effect. */
	bool maybe_done;
};

/* 0 once there is an answer, of whatever status; negative with *err if there
 * is none.  `ret` (zeroed by this) is to be freed in both cases. */
int triton_http_do(struct triton_http *http, const struct triton_request *request, struct triton_response *ret,
		   struct nomad_error **err);
void triton_response_done(struct triton_response *response);

/* What a status of 300 and more means: EACCES 401 403, ENOENT 404, EEXIST 409,
 * ESTALE 410, E2BIG 413, ECONNREFUSED 420 429 and 5xx, EPROTO below 400, EINVAL the others. */
int triton_status_errno(long status);
/* What the server said of a failure, where it is not JSON; malloc()ed. */
char *triton_response_words(const struct triton_response *response);
int triton_curl_errno(CURLcode code);
/* Did the request certainly not reach the server? */
bool triton_never_left(CURLcode code);
/* Returns `r`; its error goes to the caller, or is freed where `err` is NULL. */
int triton_fail(int r, struct nomad_error *why, struct nomad_error **err);
/* The same, except that removing what is gone (-ENOENT, -ESTALE) is a success. */
int triton_fail_unless_gone(int r, struct nomad_error *why, struct nomad_error **err);

/* How far this host's clock is from the server's, in seconds, as of the last
 * answer; 0 until there is one. */
int64_t triton_http_skew_s(const struct triton_http *http);
const char *triton_http_base(const struct triton_http *http);
const char *triton_http_what(const struct triton_http *http);
struct triton_budget *triton_http_budget(const struct triton_http *http);

/* Set up a handle for a stream or raw connection to the server; the caller
 * performs it.  The handle borrows from `http`. */
int triton_http_prepare(struct triton_http *http, CURL *easy, const char *target, struct nomad_error **err);

#endif
