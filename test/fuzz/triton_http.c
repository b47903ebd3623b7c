/* SPDX-License-Identifier: MPL-2.0
 *
 * What CloudAPI or a proxy in front of it may answer: errors are one
 * printable line, machines have an id. */
#include "fuzz.h"
#include "nomad-driver-triton/cloudapi.h"
#include "nomad-driver-triton/text.h"
#include "nomad-driver-triton/triton.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct triton_http *http;
	static struct triton_budget budget;
	struct triton_request request = { .method = "GET", .target = "/a" };
	struct triton_response response = { 0 };
	struct triton_machine machine = { 0 };
	struct triton_remains remains = { 0 };
	struct nomad_stats stats = { 0 };
	struct nomad_error *err = NULL;
	json_t *json;

	if (!http &&
	    (triton_budget_init(&budget, 1) < 0 ||
	     triton_http_new(&(struct triton_http_options){ .what = "x", .base_url = "https://h", .budget = &budget },
			     &http, NULL) < 0))
		abort();
	if (size < 2)
		return 0;
	response.status = data[0] % 2 ? 400 + data[1] % 30 : 500 + data[1] % 5;
	response.body = malloc(size - 1);
	if (!response.body)
		return 0;
	memcpy(response.body, data + 2, size - 2);
	response.body[size - 2] = '\0';
	response.size = size - 2;
	if (triton_cloud_explain(http, &request, &response, &err) >= 0 || !err)
		abort();
	for (const char *s = nomad_error_message(err); *s; s++)
		if ((unsigned char)*s < ' ')
			abort();
	nomad_error_free(err);
	(void)triton_parse_retry_after(response.body, 0);
	json = json_loadb(response.body, response.size, 0, NULL);
	if (triton_machine_parse(json, &machine) == 0) {
		if (!triton_is_uuid(machine.id))
			abort();
		triton_machine_done(&machine);
	}
	if (triton_remains_parse(json, &remains) == 0)
		triton_remains_done(&remains);
	(void)triton_stats_parse(json, &stats);
	json_decref(json);
	free(response.body);
	return 0;
}
