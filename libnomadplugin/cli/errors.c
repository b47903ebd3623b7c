/* SPDX-License-Identifier: MPL-2.0
 *
 * The ids of errors, what they mean and what helps: for a person, or as POD
 * for the manual. */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "base/error_class.h"

int nomad__cli_errors(int argc, char **argv, const struct nomad_driver *driver)
{
	static const struct option options[] = { { "pod", no_argument, NULL, 'p' }, { NULL, 0, NULL, 0 } };
	bool pod = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'p')
			return NOMAD__EXIT_USAGE;
		pod = true;
	}
	if (optind < argc)
		return nomad__cli_fail(driver, NOMAD__EXIT_USAGE, "errors takes no argument, not '%s'", argv[optind]);
	for (size_t i = 0; i < nomad__error_classes_count; i++) {
		const struct nomad__error_class *class = &nomad__error_classes[i];

		printf(pod ? "=item B<%s>\n\n%s %s\n\n" : "%s\n    %s\n    %s\n", class->id, class->meaning,
		       class->remedy);
	}
	return NOMAD__EXIT_OK;
}
