/* SPDX-License-Identifier: MPL-2.0
 *
 * os/confine.h: what a plugin that runs nothing on this host gives up for
 * good: new privileges by executed files, all capabilities but those for
 * files and signals, and the system calls that change the machine: mounts,
 * namespaces, modules, clocks, other processes' memory; and to write to the
 * directories of the system (/etc, /usr, /dev, /proc, /sys and the like, but
 * those that NOMAD_DRIVER_WRITABLE names, separated by colons).  Whoever takes
 * the process over by what a server sent it has little more than its files
 * and connections. */
#ifndef NOMAD_OS_CONFINE_H
#define NOMAD_OS_CONFINE_H

enum {
	NOMAD__NO_NEW_PRIVS = 1 << 0,
	NOMAD__FEWER_CAPABILITIES = 1 << 1,
	NOMAD__FEWER_CALLS = 1 << 2,
	NOMAD__FEWER_FILES = 1 << 3,
};

/* Do as much of it as this system can, for all threads and children that the
 * calling thread, which has to be the only one, will have.  Which of it
 * holds, NOMAD__*. */
unsigned nomad__confine(void);
/* The same for a process that starts nothing any more and only waits, writes and kills: fewer calls and capabilities,
 * no new privileges.  No allocation. */
unsigned nomad__confine_waiting(void);

#endif
