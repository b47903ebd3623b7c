/* SPDX-License-Identifier: MPL-2.0 */
#include "supervisor/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef NOMAD_CRASH_POINTS
void nomad__crash_at(const char *step)
{
	const char *at = getenv("NOMAD_DRIVER_CRASH_AT");

	if (at && strcmp(at, step) == 0)
		(void) kill(getpid(), SIGKILL);
}
#endif
