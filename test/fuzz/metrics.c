/* SPDX-License-Identifier: MPL-2.0
 *
 * metrics.c: fuzz what a client of the metrics' socket sends.  Whatever it is,
 * there is one whole answer, and only GET and HEAD of /metrics get what they ask for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	(void)plugin;
	(void)fp;
}

static int start(struct nomad_task *task, struct nomad_error **err)
{
	(void)task;
	(void)err;
	return 0;
}

static const struct nomad_schema no_options;
static const struct nomad_driver driver = {
	.name = "fuzz",
	.version = "0",
	.task_schema = &no_options,
	.fingerprint = fingerprint,
	.start = start,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nomad_plugin *plugin;
	const char *request = (const char *)data, *body;
	char *answer;
	size_t n = 0;

	if (!plugin)
		plugin = nomad__plugin_new(&driver, NULL);
	if (!plugin || size > NOMAD__HTTP_REQUEST_MAX)
		return 0;
	answer = nomad__http_answer(plugin, request, size, !nomad__http_complete(request, size), &n);
	if (!answer || n < 20 || memcmp(answer, "HTTP/1.1 ", 9) != 0 || !(body = memmem(answer, n, "\r\n\r\n", 4)))
		abort();
	if (answer[9] == '2') {
		if (memcmp(data, "GET /metrics", 12) != 0 && memcmp(data, "HEAD /metrics", 13) != 0)
			abort();
		if (*data == 'G' && memcmp(answer + n - 7, "\n# EOF\n", 7) != 0)
			abort();
	}
	free(answer);
	return 0;
}
