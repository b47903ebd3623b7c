/* SPDX-License-Identifier: MPL-2.0 */
/* nomadinit: PID 1 of a machine that is a Nomad node, and the few commands that such a machine needs.
 *
 *   as PID 1, /init              rootfs.c  first stage, in the initramfs
 *   as PID 1, /sbin/nomadinit    node.c    the node
 *   as df, modprobe, poweroff, reboot      links to this program
 *   nomadinit check FILE...      is this configuration right? (for the workstation)
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bootenv.h"
#include "check.h"
#include "cloud.h"
#include "config.h"
#include "df.h"
#include "health.h"
#include "modules.h"
#include "node.h"
#include "rootfs.h"
#include "status.h"
#include "update.h"
#include "util.h"

#ifndef NOMAD_VERSION
#define NOMAD_VERSION "unknown"
#endif

static int tell_pid1(int sig)
{
	if (kill(1, sig) == 0)
		return 0;
	fprintf(stderr, "cannot signal PID 1: %s\n", strerror(errno));
	return 1;
}

static int poweroff_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return tell_pid1(SIGRTMIN + 4);
}

static int reboot_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return tell_pid1(SIGRTMIN + 5);
}

static int options_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	config_help(stdout);
	return 0;
}

static int bless_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return bootenv_bless_main();
}

/* PID 1 asks for this when the agent was not healthy for long: back to the slot that worked. */
static int trial_failed_main(int argc, char **argv)
{
	struct bootenv e;
	char slot[8];

	(void)argc;
	(void)argv;
	if (util_read_line("/run/nomadinit/slot", slot, sizeof(slot)) != 1 || bootenv_mount_esp(0) < 0)
		return 0;
	if (bootenv_read(ESP_BOOTENV, &e) < 0)
		e.next = 0;
	bootenv_unmount_esp();
	if (e.next != slot[0])
		return 0;
	fprintf(stderr, "slot %c is on trial and its agent is not healthy: restarting\n", slot[0]);
	return tell_pid1(SIGRTMIN + 5);
}

static int version_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("nomadinit %s\n", NOMAD_VERSION);
	return 0;
}

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "check", check_main,
	  "[--show] FILE...   check configurations or user-data (later ones override): what would they do?" },
	{ "options", options_main, "list what may be written in the nomadinit section" },
	{ "clouds", cloud_list_main, "list the providers of metadata that are known" },
	{ "status", status_main, "print what this node is and how it is, as JSON" },
	{ "update", update_main, "FILE [--reboot]    put a new system into the other slot" },
	{ "poweroff", poweroff_main, "drain, stop, power off" },
	{ "reboot", reboot_main, "drain, stop, start anew" },
	{ "df", df_main, "-kP PATH           room on the disk, as Nomad wants it" },
	{ "modprobe", modules_main, "NAME               load a kernel module (the kernel calls this)" },
	{ "agent-check", health_main, "PROGRAM         has the agent registered? (PID 1 calls this)" },
	{ "cloud", cloud_main, "...                ask the cloud for its metadata (PID 1 calls this)" },
	{ "bless", bless_main, "keep the running slot (PID 1 calls this)" },
	{ "trial-failed", trial_failed_main, "give up the running slot if on trial (PID 1 calls this)" },
	{ "version", version_main, "" },
};

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: nomadinit COMMAND ...\n");
	for (i = 0; i < NOMAD_ARRAY_LEN(commands); i++)
		fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].help);
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const struct command *c;

	name = name ? name + 1 : argc > 0 ? argv[0] : "";
	if (getpid() == 1) {
		if (strcmp(name, "init") == 0)
			rootfs_main();
		node_main();
	}
	c = find_command(name);
	if (c)
		return c->main(argc, argv);
	if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)
		return usage(argc < 2 ? stderr : stdout);
	c = find_command(argv[1]);
	if (!c)
		return usage(stderr);
	return c->main(argc - 1, argv + 1);
}
