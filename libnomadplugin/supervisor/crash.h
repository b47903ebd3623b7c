/* SPDX-License-Identifier: MPL-2.0
 *
 * supervisor/crash.h: places where a test lets the plugin or the supervisor
 * die by SIGKILL: NOMAD_DRIVER_CRASH_AT=step in the environment.  Only programs
 * below $(BUILD)/test and unit tests heed it.  test/lib/35-crash.sh has a case
 * for each and looks for new ones.  The list:
 *
 *   client      start-recorded     the cgroups are recorded, nothing else is there
 *               start-launched     the supervisor was forked
 *               start-sent         the specification was sent
 *               start-answered     the answer arrived, the caller does not know yet
 *               attach-connected
 *               clean-begin, clean-killed, clean-removed
 *   supervisor  super-detached     it runs, nothing is recorded
 *               super-recorded     its identity is recorded
 *               super-listening    the control socket is there
 *               super-cgroups      the cgroups are there
 *               super-forked       the process is forked, but held back
 *               super-main         the process is recorded and let go
 *               super-execed       the program runs
 *               super-started      the start was answered
 *               super-stop         the stop signal was sent
 *               super-kill         the killing begins
 *               super-empty        nothing is left, no exit record yet
 *               super-written      the exit record is there under its first name
 *               super-exit         the exit record exists, the end is not reported yet
 *               super-exec         a command was forked into the task
 *   core        core-start-intent     nothing is there yet
 *               core-start-recorded   the journal says who the task is
 *               core-run-recorded     it says that a supervisor is to come
 *               core-run-started      the process runs, the journal does not say so
 *               core-start-driver     the driver's start() has returned
 *               core-start-done       the journal says so, Nomad does not know
 *               core-recover-attached
 *               core-tidy-begin, core-tidy-killed, core-tidy-destroyed, core-tidy-removed
 */
#ifndef NOMAD_SUPERVISOR_CRASH_H
#define NOMAD_SUPERVISOR_CRASH_H

#include <stddef.h>

void nomad__crash_at(const char *step);

/* What a supervisor has to find in its environment, "NAME=step", or NULL. */
const char *nomad__crash_of_supervisor(char *buf, size_t size);

#endif
