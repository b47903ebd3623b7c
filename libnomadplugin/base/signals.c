/* SPDX-License-Identifier: MPL-2.0
 *
 * Signals by name.  Nomad sends names as the user typed them. */
#include "base/signals.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nomad/base.h"

static const struct {
	const char *name;
	int number;
} signals[] = {
	{ "NULL", 0 },		 { "ABRT", SIGABRT }, { "ALRM", SIGALRM }, { "BUS", SIGBUS },
	{ "CHLD", SIGCHLD },	 { "CONT", SIGCONT }, { "FPE", SIGFPE },   { "HUP", SIGHUP },
	{ "ILL", SIGILL },	 { "INT", SIGINT },   { "IO", SIGIO },	   { "IOT", SIGABRT },
	{ "KILL", SIGKILL },	 { "PIPE", SIGPIPE }, { "PROF", SIGPROF }, { "QUIT", SIGQUIT },
	{ "SEGV", SIGSEGV },	 { "STOP", SIGSTOP }, { "SYS", SIGSYS },   { "TERM", SIGTERM },
	{ "TRAP", SIGTRAP },	 { "TSTP", SIGTSTP }, { "TTIN", SIGTTIN }, { "TTOU", SIGTTOU },
	{ "URG", SIGURG },	 { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "VTALRM", SIGVTALRM },
	{ "WINCH", SIGWINCH },	 { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ },
/* Some systems' own, and other names of the same. */
#ifdef SIGPWR
	{ "PWR", SIGPWR },
#endif
#ifdef SIGSTKFLT
	{ "STKFLT", SIGSTKFLT },
#endif
#ifdef SIGPOLL
	{ "POLL", SIGPOLL },
#endif
#ifdef SIGEMT
	{ "EMT", SIGEMT },
#endif
#ifdef SIGINFO
	{ "INFO", SIGINFO },
#endif
	{ "CLD", SIGCHLD },
};

static int parse_realtime(const char *name, int *ret_signal)
{
	int base, sign;
	long n;
	char *end;

	if (strncasecmp(name, "RTMIN", 5) == 0) {
		base = SIGRTMIN;
		sign = 1;
	} else if (strncasecmp(name, "RTMAX", 5) == 0) {
		base = SIGRTMAX;
		sign = -1;
	} else {
		return -EINVAL;
	}
	name += 5;
	if (!*name) {
		*ret_signal = base;
		return 0;
	}
	if (*name != (sign > 0 ? '+' : '-') || !isdigit((unsigned char)name[1]))
		return -EINVAL;
	n = strtol(name + 1, &end, 10);
	if (*end || n > SIGRTMAX - SIGRTMIN)
		return -EINVAL;
	*ret_signal = base + sign * (int)n;
	return 0;
}

int nomad__signal_parse(const char *name, int *ret_signal)
{
	if (isdigit((unsigned char)*name)) {
		char *end;
		long n = strtol(name, &end, 10);

		if (*end || n > SIGRTMAX)
			return -EINVAL;
		*ret_signal = (int)n;
		return 0;
	}
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(signals); i++)
		if (strcasecmp(name, signals[i].name) == 0) {
			*ret_signal = signals[i].number;
			return 0;
		}
	return parse_realtime(name, ret_signal);
}

const char *nomad__signal_name(int signal)
{
	static _Thread_local char text[32];

	for (size_t i = 1; i < NOMAD_ARRAY_LEN(signals); i++)
		if (signals[i].number == signal) {
			snprintf(text, sizeof(text), "SIG%s", signals[i].name);
			return text;
		}
	if (signal >= SIGRTMIN && signal <= SIGRTMAX)
		snprintf(text, sizeof(text), "SIGRTMIN+%d", signal - SIGRTMIN);
	else
		snprintf(text, sizeof(text), "SIG%d", signal);
	return text;
}
