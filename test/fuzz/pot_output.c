/* SPDX-License-Identifier: MPL-2.0
 *
 * What pot and the kernel's accounts print. */
#include "fuzz.h"
#include "nomad-driver-pot/pot-cli.h"
#include "nomad-driver-pot/usage.h"
#include "nomad/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char *text = fuzz_text(&in, -1, NULL), *address = pot_parse_address(text),
	     *complaint = pot_first_complaint(text);
	struct pot_usage *usage = pot_usage_new();
	struct nomad_error *err = NULL;
	struct nomad_stats stats;
	struct pot_interface interface = { .description = "a" };
	char *point = pot_mount_point_below(text, "/p/a/m/");

	fuzz_must(usage);
	(void)pot_find_interface(&interface, text);
	fuzz_must(!point || (strncmp(point, "/p/a/m/", 7) == 0 && !strchr(point, ' ')));
	free(point);
	fuzz_must(!address || strspn(address, "0123456789abcdefABCDEF:.") == strlen(address));
	fuzz_must(!complaint || !strchr(complaint, '\n'));
	for (int64_t now = 0; now < 40000; now += 20000)
		if (pot_usage_sample(usage, "task", text, now, &stats, &err) < 0) {
			fuzz_error(err);
			err = NULL;
		} else {
			fuzz_must(stats.cpu_percent >= 0);
		}
	pot_usage_free(usage);
	free(address);
	free(complaint);
	free(text);
	return 0;
}
