/* SPDX-License-Identifier: MPL-2.0
 *
 * What Nomad says of an allocation, by its HTTP API: GET /v1/allocation/ID with ClientStatus and DesiredStatus
 * (https://developer.hashicorp.com/nomad/api-docs/allocations).  Asked only about instances whose owner is silent. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lease.h"
#include "text.h"

enum { PER_SECOND = 5 };

struct triton_nomad {
	struct triton_site *site;
	struct triton_budget budget; /* not that of the data centre */
	struct triton_http *http;
};

int triton_nomad_new(struct triton_site *site, struct triton_nomad **ret, struct nomad_error **err)
{
	struct triton_nomad *nomad = calloc(1, sizeof(*nomad));
	struct triton_http_options options = {
		.what = "Nomad",
		.base_url = site->nomad_address,
		.ca_file = site->nomad_ca_file,
		.cert_file = site->nomad_cert_file,
		.key_file = site->nomad_key_file,
		.timeout_ms = 10000,
	};
	int r;

	if (!nomad || triton_budget_init(&nomad->budget, PER_SECOND) < 0) {
		free(nomad);
		return nomad_error_errno(err, ENOMEM, "prepare requests to Nomad");
	}
	nomad->site = site;
	options.budget = &nomad->budget;
	r = triton_http_new(&options, &nomad->http, err);
	if (r < 0)
		triton_nomad_free(nomad);
	else
		*ret = nomad;
	return r;
}

void triton_nomad_close(struct triton_nomad *nomad)
{
	if (nomad)
		triton_budget_close(&nomad->budget);
}

void triton_nomad_free(struct triton_nomad *nomad)
{
	if (!nomad)
		return;
	triton_http_free(nomad->http);
	triton_budget_done(&nomad->budget);
	free(nomad);
}

enum triton_alloc triton_nomad_judge(const json_t *answer, const char *alloc_id, char **ret_why)
{
	const char *id = triton_json_text(answer, "ID"), *is = triton_json_text(answer, "ClientStatus"),
		   *wanted = triton_json_text(answer, "DesiredStatus");
	bool over;

	if (!id || !is || !wanted || strcmp(id, alloc_id) != 0) {
		*ret_why = strdup("the answer of Nomad is not about the allocation");
		return TRITON_ALLOC_UNKNOWN;
	}
	/* One that is lost runs on, as far as its node knows, until the node hears that it is to stop. */
	over = strcmp(is, "complete") == 0 || strcmp(is, "failed") == 0 ||
	       (strcmp(is, "lost") == 0 && strcmp(wanted, "run") != 0);
	*ret_why = nomad_strdupf("Nomad: the allocation is %s, desired status %s", is, wanted);
	return over ? TRITON_ALLOC_OVER : TRITON_ALLOC_WANTED;
}

/* "X-Nomad-Token: ..." or NULL without a token.  Read each time, for tokens are renewed. */
static char *token_header(const char *path)
{
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	char text[512];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	char *header;

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	header = nomad_strdupf("X-Nomad-Token: %s", text);
	explicit_bzero(text, sizeof(text));
	return header;
}

enum triton_alloc triton_nomad_ask(struct triton_nomad *nomad, const char *alloc_id, bool named, char **ret_why)
{
	NOMAD_AUTO_FREE char *target = nomad_strdupf("/v1/allocation/%s", alloc_id), *words = NULL,
			     *header = token_header(nomad->site->nomad_token_file);
	struct triton_request request = { .method = "GET", .target = target, .header = header };
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	enum triton_alloc is = TRITON_ALLOC_UNKNOWN;
	struct triton_response response = { 0 };
	json_t *json;
	int r;

	*ret_why = NULL;
	if (!target)
		return is;
	r = triton_is_uuid(alloc_id) ? triton_http_do(nomad->http, &request, &response, &err) : -EINVAL;
	if (r < 0) {
		*ret_why = nomad_strdupf("Nomad cannot be asked: %s",
					 err ? nomad_error_message(err) : "the tag nomad_alloc is not an id");
	} else if (response.status == 200) {
		json = json_loadb(response.body, response.size, 0, NULL);
		is = triton_nomad_judge(json, alloc_id, ret_why);
		json_decref(json);
	} else if (response.status == 404 && strstr(response.body, "alloc not found")) {
		is = named ? TRITON_ALLOC_OVER : TRITON_ALLOC_UNKNOWN;
		*ret_why = nomad_strdupf("Nomad does not know the allocation%s",
					 named ? "" : "; it may be of another cluster: set \"cluster\"");
	} else {
		words = triton_response_words(&response);
		*ret_why = nomad_strdupf("Nomad cannot be asked: status %ld: %s%s", response.status, words ? words : "",
					 response.status == 403 ? "; set nomad_token_file" : "");
	}
	if (header)
		explicit_bzero(header, strlen(header));
	triton_response_done(&response);
	return is;
}
