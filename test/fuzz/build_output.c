/* SPDX-License-Identifier: MPL-2.0
 *
 * What an engine and the steps of a build print: by the first byte on stdout or stderr, in pieces.  It becomes
 * events of the task, a line each. */
#include "fuzz.h"
#include "nomad-driver-build/run.c"

void build_jail_skip_syncs(void)
{
}
int build_jail_keep_read_only(void)
{
	return 0;
}
char *build_features_explain(const char *error, const char *engine, bool is_podman)
{
	(void)error;
	(void)engine;
	(void)is_podman;
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned how = fuzz_byte(&in);
	struct build_action action = { .kind = how & 1 ? BUILD_BUILD : BUILD_PUSH, .reference = (char *)"r/x:1" };
	struct build_result result = { 0 };
	struct build_run run = { .result = &result, .events = memfd_create("events", MFD_CLOEXEC) };
	struct watch *w = calloc(1, sizeof(*w));
	char event[1200];
	ssize_t n;

	fuzz_must(w && run.events >= 0);
	w->run = &run;
	w->action = &action;
	for (size_t piece = how % 50 + 1; in.size;) {
		char *bytes = (char *)fuzz_bytes(&in, piece, &size);

		add_to_line(w, how & 2 ? &w->errors : &w->out, bytes, size);
		free(bytes);
	}
	end_steps(&result);
	fuzz_must(result.n_steps <= STEPS_MAX);
	n = pread(run.events, event, sizeof(event), 0);
	for (ssize_t i = 0; i < n; i++)
		fuzz_must(event[i] == '\n' || !iscntrl((unsigned char)event[i]));
	free(w->last_error);
	free(w);
	close(run.events);
	build_result_done(&result);
	return 0;
}
