/* SPDX-License-Identifier: MPL-2.0
 *
 * The ids of errors, their meaning and remedy: for a person, or as POD for
 * the manual. */
#include <stdio.h>

#include "cli/cli.h"
#include "base/error_class.h"

int nomad__cli_errors(int argc, char **argv, const struct nomad_driver *driver)
{
	bool pod = false;
	const struct nomad__cli_option options[] = { { "pod", .flag = &pod }, { 0 } };

	if (!nomad__cli_parse(argc, argv, driver, options, NULL))
		return NOMAD__EXIT_USAGE;
	for (size_t i = 0; i < nomad__error_classes_count; i++) {
		const struct nomad__error_class *class = &nomad__error_classes[i];

		printf(pod ? "=item B<%s>\n\n%s %s\n\n" : "%s\n    %s\n    %s\n", class->id, class->meaning,
		       class->remedy);
	}
	return NOMAD__EXIT_OK;
}
