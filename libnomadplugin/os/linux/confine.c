/* SPDX-License-Identifier: MPL-2.0
 *
 * os/confine.h for the plugin, with prctl(2), capset(2), Landlock and a seccomp filter. */
#include "os/confine.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include "nomad/base.h"
#include "os/linux/confine_files.h"
#include "os/linux/confine_process.h"

unsigned nomad__confine(void)
{
	/* Files of other users, such as log pipes, and signals to own helpers. */
	static const int kept[] = { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_CHOWN, CAP_KILL };
	unsigned holds = 0;

	if (nomad__capabilities_keep(kept, NOMAD_ARRAY_LEN(kept)))
		holds |= NOMAD__FEWER_CAPABILITIES;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		holds |= NOMAD__NO_NEW_PRIVS;
	if (nomad__confine_files())
		holds |= NOMAD__FEWER_FILES;
	/* Without CAP_SYS_ADMIN, it takes no_new_privs. */
	if (nomad__calls_forbid(false))
		holds |= NOMAD__FEWER_CALLS;
	return holds;
}
