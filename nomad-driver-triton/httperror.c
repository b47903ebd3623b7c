/* SPDX-License-Identifier: MPL-2.0
 *
 * What statuses and failures of requests mean, and errors on their way to the caller.
 */
#include <errno.h>
#include <string.h>

#include "http.h"
#include "text.h"

int triton_status_errno(long status)
{
	switch (status) {
	case 401:
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 409:
		return EEXIST;
	case 410:
		return ESTALE;
	case 413:
		return E2BIG;
	case 420:
	case 429:
		return ECONNREFUSED;
	default:
		return status >= 500 ? ECONNREFUSED : status < 400 ? EPROTO : EINVAL;
	}
}

char *triton_response_words(const struct triton_response *response)
{
	if (response->status >= 300 && response->status < 400) {
		/* What is behind the path may be a secret. */
		size_t n = strcspn(response->location, "?#");
		NOMAD_AUTO_FREE char *to = triton_one_line(response->location, n);

		return nomad_strdupf("redirected to '%s', which is not followed; set the address of the API itself",
				     to ? to : "");
	}
	if (!response->size)
		return strdup("no reason given");
	if (*response->body == '<')
		return strdup("an HTML page in place of an answer; is a proxy in front?");
	return triton_one_line(response->body, response->size);
}

int triton_fail(int r, struct nomad_error *why, struct nomad_error **err)
{
	if (err)
		*err = why;
	else
		nomad_error_free(why);
	return r;
}

int triton_fail_unless_gone(int r, struct nomad_error *why, struct nomad_error **err)
{
	if (r != -ENOENT && r != -ESTALE)
		return triton_fail(r, why, err);
	nomad_error_free(why);
	return 0;
}

bool triton_never_left(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return true;
	default:
		return false;
	}
}

int triton_curl_errno(CURLcode code)
{
	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return ENOMEM;
	case CURLE_OPERATION_TIMEDOUT:
		return ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return EHOSTUNREACH;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return EPROTO;
	case CURLE_ABORTED_BY_CALLBACK:
		return ECANCELED;
	default:
		return ECONNRESET;
	}
}
