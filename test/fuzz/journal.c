/* SPDX-License-Identifier: MPL-2.0
 *
 * A task's journal, as a disk may give it back: what is read, and what is written then, is read the next time. */
#include "core/journal.h"
#include "fuzz.h"

static void open_again(struct nomad__journal *ret)
{
	char path[48];
	struct nomad_error *err = NULL;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/task", fuzz_directory());
	fuzz_must(nomad__journal_open(ret, path, false, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nomad__journal first, second;
	struct nomad_error *err = NULL;
	const char *value;

	if (size > 65536)
		return 0;
	fuzz_put_file("task", data, size);
	open_again(&first);
	(void)nomad__journal_is_remote(&first.map);
	value = first.map.count ? first.map.pairs[0].value : "x\ny\\";
	if (nomad__journal_note(&first, "x.fuzz", value, &err) < 0)
		fuzz_error(err); /* it is too long */
	nomad__journal_forget(&first, "x.gone");
	open_again(&second);
	fuzz_must(first.map.count == second.map.count);
	for (size_t i = 0; i < first.map.count; i++) {
		value = nomad_map_get(&second.map, first.map.pairs[i].key);
		fuzz_must(value && strcmp(value, first.map.pairs[i].value) == 0);
	}
	nomad__journal_close(&first);
	nomad__journal_close(&second);
	return 0;
}
