/* SPDX-License-Identifier: MPL-2.0
 *
 * Files of a task's directory, by the first byte: the exit record, one without its name, the identity, the cgroups. */
#include "fuzz.h"
#include "supervisor/identity.h"
#include "supervisor/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const files[] = { "exit", ".exit.new", "supervisor", "cgroups" };
	struct fuzz_input in = { data, size };
	const char *file = files[fuzz_byte(&in) % NOMAD_ARRAY_LEN(files)];
	struct nomad__cgroup cgroups[NOMAD__MAX_CGROUPS];
	struct nomad__supervisor_exit end;
	struct nomad__identity who;
	int dir = fuzz_directory(), n;

	fuzz_put_file(file, in.data, in.size);
	if (nomad__exit_read(dir, &end) == 0)
		fuzz_must(!end.lost && !end.message[0]);
	(void)nomad__identity_read(dir, &who);
	n = nomad__cgroups_read(dir, cgroups);
	for (int i = 0; i < n; i++)
		fuzz_must(cgroups[i].root < strlen(cgroups[i].path) && cgroups[i].path[0] == '/');
	(void)unlinkat(dir, file, 0);
	return 0;
}
