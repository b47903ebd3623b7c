/* SPDX-License-Identifier: MPL-2.0
 *
 * pot.c: what can be done with a pot, and how its ends are made to meet.
 *
 * pot keeps one status for each pot, and refuses what does not fit it:
 *
 *	(none) --start--> starting ----> started --stop--> stopping --> stopped
 *	                     |  set-status doa                 ^
 *	                     +-----------> doa ----- stop -----+
 *
 * `pot start` moves it by itself, up to stopped when the task ends.  If a
 * start or a stop was killed, the status does not change, and `stop` and
 * `destroy` refuse a pot that is "starting" or "stopping" until its status is
 * set to dead (doa) or stopped.  A
 * `destroy` that meets the cleaning up of a start, or a jail that takes its time
 * to die, fails once and works a moment later.  So each end here is: look,
 * act, look again, with growing pauses, until it is so or the time is up. */
#include "pot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "hold.h"
#include "leftovers.h"
#include "nomad/driver.h"
#include "nomad/error.h"
#include "nomad/tool.h"
#include "nomad/log.h"
#include "pot-cli.h"
#include "run.h"

enum {
	END_TIMEOUT_S = 60,	  /* until a jail is gone */
	REMOVE_TIMEOUT_S = 120,	  /* until its data set is */
	STARTING_PATIENCE_S = 15, /* for a start that is asked to stop before the jail is up */
	STOPPING_PATIENCE_S = 3,  /* for a stop that an earlier plugin began */
	SIGNAL_PATIENCE_S = 3,
};

static int64_t now_s(void)
{
	return nomad_monotonic_ns() / 1000000000;
}

int pot_exists(const struct pot_config *site, const char *name, struct nomad_error **err)
{
	return pot_ask(site, pot_argv_exists(site->pot_path, name), err);
}

int pot_is_running(const struct pot_config *site, const char *name, struct nomad_error **err)
{
	return pot_ask(site, pot_argv_is_running(site->pot_path, name), err);
}

char *pot_address(const struct pot_config *site, const char *name)
{
	struct nomad_tool run = { 0 };
	char *address = NULL;

	if (pot_call_for_output(site, pot_argv_info_env(site->pot_path, name), &run, NULL) == 0)
		address = pot_parse_address(run.output);
	free(run.output);
	return address;
}

char *pot_start_file(const char *state_dir)
{
	return nomad_strdupf("%s/start.out", state_dir);
}

int pot_signal(const struct pot_config *site, const char *name, int signal, struct nomad_error **err)
{
	const char *signal_name = pot_signal_name(signal);
	int64_t began = now_s();

	if (!signal_name)
		return nomad_error_set(err, EINVAL,
				       "send signal %d to the pot: not supported; pot supports HUP to USR2 by name",
				       signal);
	for (;;) {
		NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
		int r = pot_call(site, pot_argv_signal(site->pot_path, name, signal_name), NULL, &why);

		if (r == 0)
			return 0;
		/* For half a second after a jail came up, pot does not know its main process. */
		if (r != -EIO || now_s() - began >= SIGNAL_PATIENCE_S || pot_is_running(site, name, NULL) != 1)
			return nomad_error_set(err, -r, "%s", nomad_error_message(why));
		usleep(100000);
	}
}

char *pot_start_output(const char *state_dir)
{
	enum { MAX = 65536 };
	NOMAD_AUTO_FREE char *path = pot_start_file(state_dir);
	NOMAD_AUTO_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	char *text = fd >= 0 ? calloc(1, MAX + 1) : NULL;

	for (ssize_t n, size = 0; text && size < MAX && (n = read(fd, text + size, (size_t)(MAX - size))) > 0;
	     size += n)
		;
	return text;
}

void pot_log_start(const char *name, const char *state_dir)
{
	NOMAD_AUTO_FREE char *text = pot_start_output(state_dir);
	char *rest = NULL;

	for (char *line = text ? strtok_r(text, "\r\n", &rest) : NULL; line; line = strtok_r(NULL, "\r\n", &rest))
		if (strcmp(line, POT_RUN_MARK) != 0)
			nomad_log_kv(NOMAD_LOG_INFO, "pot start", "pot", name, "said", line, NULL);
}

/* ---- Ending ---- */

/* Declares that no command works on the pot: then it may be stopped.  Of a command that was killed, the status stays
 * "starting" or "stopping" for ever.  If a command does work on it, its own last change of the status fails, and
 * nothing else. */
static void release(const struct pot_config *site, const char *name)
{
	(void)pot_call(site, pot_argv_set_status(site->pot_path, name, "doa"), NULL, NULL);
	(void)pot_call(site, pot_argv_set_status(site->pot_path, name, "stopped"), NULL, NULL);
}

/* Whether a command of pot was killed half-way, rather than to fail by itself. */
static bool was_killed(const struct nomad_tool *run)
{
	return run->status != 0 && run->status != 1;
}

int pot_end(const struct pot_config *site, const char *name, bool (*is_starting)(void *ud), void *ud,
	    struct nomad_error **err)
{
	int64_t began = now_s();
	unsigned pause = 100;

	/* The kill timeout has passed: the remaining processes get one more second. */
	(void)pot_call(site, pot_argv_set_attribute(site->pot_path, name, "stop_timeout", "1"), NULL, NULL);
	for (;;) {
		NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
		struct nomad_tool run = { 0 };
		int r = pot_call(site, pot_argv_stop(site->pot_path, name), &run, &why);
		int running = pot_is_running(site, name, r == 0 ? &why : NULL);

		/* A start that has not reached the jail yet could start it after this check.  It is not killed, as
		 * that would leave its parts behind: it finds the pot stopped, and gives up. */
		if (r == 0 && running == 0)
			return 0;
		if (r == -ENOENT || r == -EACCES)
			return nomad_error_set(err, -r, "stop pot '%s': %s", name, nomad_error_message(why));
		if (r < 0 && running == 0 && !is_starting(ud))
			return 0;
		if (r < 0 && (was_killed(&run) || !is_starting(ud) || now_s() - began >= STARTING_PATIENCE_S))
			release(site, name);
		if (now_s() - began >= END_TIMEOUT_S + site->command_timeout)
			return nomad_error_set(err, ETIMEDOUT, "stop pot '%s': still running after %lld s: %s", name,
					       (long long)(now_s() - began),
					       why ? nomad_error_message(why) : "its jail is still dying");
		usleep(pause * 1000);
		pause = pause < 2000 ? pause * 2 : 2000;
	}
}

/* Whether nothing is left for `pot destroy`: it may take half a pot away that `pot info` does not know, or be cut. */
static bool destroy(const struct pot_config *site, const char *name, bool *ret_killed, struct nomad_error **err)
{
	struct nomad_tool run = { 0 };
	int r = pot_call_for_output(site, pot_argv_destroy(site->pot_path, name), &run, err);
	bool gone = r == 0 || (run.status == 1 && strstr(run.output, "not found or corrupted"));

	*ret_killed = was_killed(&run);
	free(run.output);
	return gone;
}

int pot_remove(const struct pot_config *site, const char *name, const char *state_dir, struct nomad_error **err)
{
	int64_t began = now_s();
	unsigned pause = 100;
	int ended = pot_hold_end(state_dir, err);

	/* Else it might go on to make what is removed here. */
	if (ended < 0)
		return ended;

	for (bool destroyed = false, killed = false;;) {
		NOMAD_AUTO_ERROR struct nomad_error *why = NULL;
		int there = pot_exists(site, name, &why);

		if (there < 0 && (there == -ENOENT || there == -EACCES))
			return nomad_error_set(err, -there, "remove pot '%s': %s", name, nomad_error_message(why));
		/* Also if pot does not know it: an incomplete pot is not listed, and only -F removes it. */
		if (there == 0 && destroyed)
			break;
		nomad_error_free(NOMAD_TAKE_PTR(why));
		destroyed = destroy(site, name, &killed, &why);
		if (now_s() - began >= REMOVE_TIMEOUT_S + site->command_timeout)
			return nomad_error_set(err, ETIMEDOUT, "remove pot '%s': gave up after %lld s: %s", name,
					       (long long)(now_s() - began),
					       why ? nomad_error_message(why) : "it still exists");
		if (destroyed)
			continue;
		if (killed || now_s() - began >= STOPPING_PATIENCE_S)
			release(site, name);
		else
			(void)pot_call(site, pot_argv_set_status(site->pot_path, name, "doa"), NULL, NULL);
		(void)pot_call(site, pot_argv_set_attribute(site->pot_path, name, "stop_timeout", "1"), NULL, NULL);
		(void)pot_call(site, pot_argv_stop(site->pot_path, name), NULL, NULL);
		pot_remove_mounts(site, name);
		usleep(pause * 1000);
		pause = pause < 4000 ? pause * 2 : 4000;
	}
	pot_remove_interfaces(site, name);
	/* pot leaves its rules behind, and a jail's rules outlive the jail.  Fails without a rule or without rctl. */
	(void)pot_call(site, pot_argv_rctl_remove(name), NULL, NULL);
	return 0;
}

bool pot_remove_half_image(const struct pot_config *site, const char *image)
{
	return pot_exists(site, image, NULL) == 0 &&
	       pot_call(site, pot_argv_destroy(site->pot_path, image), NULL, NULL) == 0;
}

int pot_remove_image(const struct pot_config *site, const char *image)
{
	/* As often as not it has clones, and pot says no. */
	if (pot_call(site, pot_argv_destroy_image(site->pot_path, image), NULL, NULL) == 0)
		return 0;
	return pot_exists(site, image, NULL) == 0 ? 0 : -EBUSY;
}
