/* SPDX-License-Identifier: MPL-2.0
 *
 * os/process.h: who a process is.  A pid alone is never an identity: it is
 * one together with the process' start time and the boot it belongs to.
 *
 * No allocation, no stdio: the supervisor program uses this too. */
#ifndef NOMAD_OS_PROCESS_H
#define NOMAD_OS_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One more than the highest signal: FreeBSD's NSIG is 32 and leaves out the real-time signals. */
#ifdef _SIG_MAXSIG
#define NOMAD__NSIG (_SIG_MAXSIG + 1)
#else
#define NOMAD__NSIG NSIG
#endif

enum { NOMAD__BOOT_ID_SIZE = 64 };

/* Text that is another one after each boot.  0 or -errno. */
int nomad__boot_id(char ret[NOMAD__BOOT_ID_SIZE]);
struct nomad__process {
	int pid;	/* 0: none */
	uint64_t start; /* in the system's own unit */
};

/* The process that has this pid now.  0; -ESRCH if there is none. */
int nomad__process_find(int pid, struct nomad__process *ret);
/* True if it is still there and lives: a zombie, whose parent may take its time, does not. */
bool nomad__process_lives(const struct nomad__process *process);
/* The parent's pid; -ESRCH. */
int nomad__process_parent(int pid);
/* The arguments that it was started with, each with its NUL: their size, or -errno.  What does not fit may be cut off,
 * or be an error. */
ssize_t nomad__process_arguments(int pid, char *buf, size_t size);
/* Send `signal` to it if it is still the same.  -ESRCH if not. */
int nomad__process_signal(const struct nomad__process *process, int signal);
/* The children of `pid`: up to `max` into ret[]; how many, or -errno. */
int nomad__process_children(int pid, int *ret, int max);

struct nomad__process_usage {
	uint64_t user_ns, system_ns, rss_bytes;
};
int nomad__process_usage(int pid, struct nomad__process_usage *ret);
/* How many descriptors the caller has open, or -errno. */
int nomad__process_descriptors(void);

/* ---- The caller as the parent of all that come from it ---- */

/* Orphans among our descendants become our children.  0 or -errno. */
int nomad__reaper_acquire(void);
/* The calling process is to die with its parent, as far as the system can. */
void nomad__die_with_parent(void);
/* Nobody but root may look into the caller, or attach to it, or into what it
 * forks, until that executes a program.  For a process that is not root nothing
 * changes: it could not set its children's limits any more. */
void nomad__process_protect(void);
/* How the caller is shown by ps. */
void nomad__process_name(const char *name);
/* Protect from (-900) or expose to (0) the out-of-memory killer.  0 or -errno. */
int nomad__oom_score(int adjust);
/* Close every descriptor from `first` on. */
void nomad__close_from(int first);

/* ---- A program that is not a file ---- */

/* Memory that can be read and passed as a descriptor. */
int nomad__memory_file(const char *name); /* fd or -errno */
/* A sealed copy of a program; an fd for nomad__program_exec(), or -errno. */
int nomad__program_load(const char *name, const void *data, size_t size);
/* Replaces the process; returns -errno.  Async-signal-safe. */
int nomad__program_exec(int fd, char *const argv[], char *const envp[]);

#endif
