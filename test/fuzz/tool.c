/* SPDX-License-Identifier: MPL-2.0
 *
 * What any program that the drivers run prints, on both pipes: what is kept of it for an error. */
#include "fuzz.h"
#include "base/tool.c"

static void take_line(void *ud, const char *line)
{
	(void)ud;
	fuzz_must(line[0]);
	fuzz_printable(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct nomad_tool tool = { .line = take_line, .output = calloc(1, OUTPUT_MAX) };
	struct run *run = calloc(1, sizeof(*run));
	char said[TAIL_LINES * LINE_BYTES + 16];

	fuzz_must(run && tool.output);
	run->tool = &tool;
	for (int i = 0; i < 2; i++) {
		size_t n;
		char *text = fuzz_text(&in, i ? -1 : 0, &n);

		run->readers[i].fd = fuzz_file(text, n);
		while (read_some(run, &run->readers[i]))
			;
		if (run->readers[i].length)
			end_line(run, &run->readers[i]);
		close(run->readers[i].fd);
		free(text);
	}
	fuzz_must(run->output_size < OUTPUT_MAX && strlen(tool.output) <= run->output_size);
	tail_of(run, said, sizeof(said));
	fuzz_printable(said);
	free(run);
	free(tool.output);
	return 0;
}
