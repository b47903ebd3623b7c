/* SPDX-License-Identifier: MPL-2.0
 *
 * call.c: run pot and find the reason of a failure in what it says. */
#include "call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hold.h"
#include "nomad/error.h"
#include "nomad/task.h"
#include "nomad/tool.h"
#include "pot-cli.h"

/* The start that is under way in this thread, and what its commands hold. */
static __thread const struct nomad_task *starting;
static __thread int hold_fd;

void pot_call_for_start(const struct nomad_task *task, int fd)
{
	starting = task;
	hold_fd = fd;
}

static bool is_cancelled(void)
{
	return starting && nomad_task_is_cancelled(starting);
}

static void end_if_cancelled(void *ud)
{
	(void)ud;
	if (is_cancelled())
		pot_hold_kill();
}

/* "###>  ", "===>  ": pot's marks in front of what it says. */
static const char *without_mark(const char *s)
{
	const char *p = s + strspn(s, "#=");

	return p > s && *p == '>' ? p + 1 + strspn(p + 1, " ") : s;
}

/* pot prints its reason before its help, so the end of its output may not have it.  A complaint about the form of a
 * variable repeats the variable. */
static int with_complaint(int r, const struct nomad_tool *run, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *complaint = r == -EIO ? pot_first_complaint(run->output) : NULL;

	if (!err || !*err || !complaint || strstr(nomad_error_message(*err), complaint) ||
	    (run->quiet && strstr(complaint, "not in a valid form")))
		return r;
	return nomad_error_wrap(err, "%s", complaint);
}

/* Run take_argv with the site's PATH.  `run` may hold wishes and gets status and output, which the caller frees. */
int pot_call_for_output(const struct pot_config *site, char **take_argv, struct nomad_tool *run,
			struct nomad_error **err)
{
	int r;

	run->status = -1;
	if (is_cancelled()) {
		nomad_strv_free(take_argv);
		return nomad_error_set(err, ECANCELED, "the start was cancelled");
	}
	if (!take_argv)
		return nomad_error_errno(err, ENOMEM, "create a command line for pot");
	run->argv = (const char *const *)take_argv;
	run->path = site->path;
	if (run->timeout_ms == 0)
		run->timeout_ms = (unsigned)site->command_timeout * 1000;
	run->trim = without_mark;
	if (starting && !run->tick)
		run->tick = end_if_cancelled;
	pot_hold_apply(run, hold_fd);
	r = with_complaint(nomad_tool_run(run, err), run, err);
	run->argv = NULL;
	nomad_strv_free(take_argv);
	return r;
}

int pot_call(const struct pot_config *site, char **take_argv, struct nomad_tool *run, struct nomad_error **err)
{
	struct nomad_tool plain = { 0 };
	int r;

	if (!run)
		run = &plain;
	r = pot_call_for_output(site, take_argv, run, err);
	free(run->output);
	run->output = NULL;
	return r;
}

/* The same where a status of 1 is an answer, too: 1 for yes (0), 0 for no (1). */
int pot_ask(const struct pot_config *site, char **take_argv, struct nomad_error **err)
{
	NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
	struct nomad_tool run = { 0 };
	int r = pot_call(site, take_argv, &run, &why);

	if (r == 0 || run.status == 1)
		return r == 0;
	return nomad_error_set(err, nomad_error_code(why), "%s", nomad_error_message(why));
}
