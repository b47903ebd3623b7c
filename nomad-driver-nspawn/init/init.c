/* SPDX-License-Identifier: MPL-2.0
 *
 * nspawn-init: the one program of this driver that runs beside a task.
 *
 *   supervisor --exec--> nspawn-init launch ... --exec--> systemd-nspawn
 *                                                            |
 *                              PID 1 of the container: nspawn-init supervise|exec|boot
 *
 * It is static, because it runs in trees that have nothing, and embedded in
 * the driver's executable; the driver writes it out once and binds it
 * read-only into each container, below /run, where no image has anything.
 *
 * launch (launch.c)  On the host, before systemd-nspawn: makes the root file
 *	system of the container in a mount namespace of its own, so that no
 *	way of dying leaves a mount or a loop device behind.
 * open-netns FILE	Let the users of a container use ports below 1024 in this network namespace.
 * probe PATH	Exit status 0 if the owners of PATH can be shifted by a mount.
 * Each of the rest begins with its network (net.c).
 * supervise COMMAND...	PID 1 of an unbooted container; the command is PID 2 (supervise.c).
 * exec COMMAND...	The command itself becomes PID 1 (payload.c).
 * boot [ARGS...]	The init of the image becomes PID 1; boot-journal: and its journal is the output (journal.c).
 * Each of the three forks the exec broker (broker.c) before the task runs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "channels.h"
#include "init.h"
#include "journal.h"
#include "supervise.h"
#include "sysctl.h"

static int boot(struct task *task, char **argv)
{
	static const char *const inits[] = { "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init",
					     "/init" };
	const char *value = getenv("NOTIFY_SOCKET");
	size_t i;

	if (value)
		task_default(task, "NOTIFY_SOCKET", value);
	for (i = 0; i < sizeof(inits) / sizeof(inits[0]); i++) {
		argv[0] = (char *)inits[i];
		execve(argv[0], argv, task->env);
		if (errno != ENOENT)
			init_fail(126, "run", inits[i]);
	}
	dprintf(2, "cannot boot: the image has no init (looked for /usr/lib/systemd/systemd, /sbin/init, /init)\n");
	return 127;
}

int main(int argc, char **argv)
{
	struct task task = { 0 };
	const char *mode = argc > 1 ? argv[1] : "", *act, *object = NULL;

	if (strcmp(mode, "launch") == 0)
		return launch(argc - 2, argv + 2);
	if (strcmp(mode, "probe") == 0 && argc == 3)
		return probe(argv[2]);
	if (strcmp(mode, "open-netns") == 0 && argc == 3)
		return netns_open(argv[2]);
	if (getpid() != 1 || (argc < 3 && strncmp(mode, "boot", 4) != 0)) {
		dprintf(2, "nspawn-init is a part of nomad-driver-nspawn and nothing to run by hand\n");
		return 64;
	}
	net_await();
	channels_close_on_exec();
	task_read(&task);
	sysctls_set(task.sysctls);
	act = task_resolve(&task);
	if (act)
		init_fail(125, act, task.user);
	if (strcmp(mode, "supervise") == 0)
		return supervise(&task, argv + 2);
	if (broker_start(NOMAD_EXEC_FD, task_become, &task) < 0)
		init_fail(125, "fork", "the exec broker");
	if (strcmp(mode, "boot-journal") == 0)
		journal_start();
	if (strncmp(mode, "boot", 4) == 0)
		return boot(&task, argv + 1);
	if (strcmp(mode, "exec") == 0) {
		notify_ready();
		act = task_become(&task, argv + 2, 0, &object);
		init_fail(strcmp(act, "run") == 0 && errno == ENOENT ? 127 : 126, act, object);
	}
	dprintf(2, "nspawn-init: unknown mode '%s'\n", mode);
	return 64;
}
