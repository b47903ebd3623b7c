/* SPDX-License-Identifier: MPL-2.0
 *
 * base/signals.h: signals by name. */
#ifndef NOMAD_BASE_SIGNALS_H
#define NOMAD_BASE_SIGNALS_H

/* "SIGHUP", "hup", "1", "SIGRTMIN+3"; "SIGNULL" is 0.  -EINVAL for unknown ones. */
int nomad__signal_parse(const char *name, int *ret_signal);
/* "SIGHUP"; "SIG42" for one without a name.  Static or thread-local storage. */
const char *nomad__signal_name(int signal);

#endif
