/* SPDX-License-Identifier: MPL-2.0
 *
 * os/confine.h: no_new_privs alone.  Capability mode would forbid to open
 * files and connections by name, which the drivers do all the time. */
#include "os/confine.h"

#include <sys/types.h>
#include <sys/procctl.h>
#include <sys/wait.h>

unsigned nomad__confine(void)
{
#ifdef PROC_NO_NEW_PRIVS_CTL
	int enable = PROC_NO_NEW_PRIVS_ENABLE;

	if (procctl(P_PID, 0, PROC_NO_NEW_PRIVS_CTL, &enable) == 0)
		return NOMAD__NO_NEW_PRIVS;
#endif
	return 0;
}
