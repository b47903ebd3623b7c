/* SPDX-License-Identifier: MPL-2.0
 *
 * os/confine.h: permanently drops the privileges that a plugin without local
 * tasks does not need: new privileges from executed files; all capabilities
 * except those for files and signals; system calls that change the machine
 * (mounts, namespaces, modules, clocks, memory of other processes); and write
 * access to system directories such as /etc, /usr, /dev, /proc and /sys, except
 * those in NOMAD_DRIVER_WRITABLE, separated by colons.  An attacker who takes over
 * the process through a server's answer gets little more than its files and
 * connections. */
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
