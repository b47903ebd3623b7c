/* SPDX-License-Identifier: MPL-2.0
 *
 * det.h: runs of the library's core that a seed decides.
 *
 * Real: all of core/, the loop and the pool of base/, the plugin's side of supervisor/, the schema decoder.
 * Simulated, by the linker's --wrap (the list is in core.mk):
 *
 *	threads, locks, conditions, clocks, sleep	det.c: coroutines of one thread, in virtual time
 *	files of the state directory, descriptors	files.c: in memory; a killed process keeps what it has written
 *	supervisors, tasks, signals, sockets		host.c
 *	the driver, the gRPC server, the agent		libnomadplugin/core/det_test.c
 *
 * Only one coroutine runs at a time.  At each wrapped call the seed says whether another one goes on instead, and
 * which.  If none can go on, the clock jumps to the next time that one waits for.  So the same seed is the same run.
 * What is not seen: two threads at the very same time (that is ThreadSanitizer's), and whatever happens between two
 * wrapped calls. */
#ifndef TEST_DET_H
#define TEST_DET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nomad/base.h"

/* What ends together: the process of the plugin, that of the agent; the rest is the world. */
enum det_group { DET_WORLD, DET_AGENT, DET_PLUGIN };

struct det_thread;

#ifdef __has_feature
#define DET_HAS(feature) __has_feature(feature)
#else
#define DET_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || DET_HAS(address_sanitizer)
#define DET_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) || DET_HAS(thread_sanitizer)
#define DET_WORKS 0
#else
#define DET_WORKS 1
#endif

/* How this run is disturbed; from the seed. */
struct det_mood {
	unsigned switch_in; /* one of so many wrapped calls gives way to another thread */
	unsigned lag_in;    /* the clock jumps though threads could go on; 0: never */
	unsigned fault_in;  /* one of so many system calls fails; 0: none */
	bool quiet;	    /* nothing goes wrong, no task ends by itself */
};
extern struct det_mood det_mood;

/* ---- A run ---- */

/* Runs `fn` as a thread of the world, until it returns or det_fail() is called.  `trace`: keep what det_trace() says.
 */
bool det_run(uint64_t seed, bool trace, void (*fn)(void));
/* What failed in the last run, its trace, a hash of all that it decided, and its switches. */
const char *det_failure(void);
const char *det_trace_text(void);
uint64_t det_hash(void);
uint64_t det_switches(void);

/* ---- For all in it ---- */

uint64_t det_random(uint32_t below);	  /* 0 to below - 1 */
static inline bool det_one_in(unsigned n) /* 0: never */
{
	return n && det_random(n) == 0;
}
void det_fail(const char *fmt, ...) NOMAD_PRINTF(1, 2) __attribute__((noreturn));
void det_trace(const char *fmt, ...) NOMAD_PRINTF(1, 2);
int64_t det_now(void); /* monotonic */
int64_t det_wall(void);

struct det_thread *det_spawn(enum det_group group, const char *name, void (*fn)(void *arg), void *arg);
struct det_thread *det_self(void);
enum det_group det_group(void); /* of the caller */
bool det_is_loop(void);		/* the caller is a loop thread */
/* Another thread may go on. */
void det_point(void);
void det_sleep(int64_t ns);
/* Waits until det_wake(key): true; or until `due`: false.  INT64_MAX: for ever. */
bool det_wait(const void *key, int64_t due);
void det_wake(const void *key);
extern char det_sockets; /* the key of whoever waits for any socket */
/* Ends threads where they are, as SIGKILL does: those of a group, with its memory and descriptors, or one. */
void det_kill(enum det_group group);
void det_kill_thread(struct det_thread *thread);
/* As SIGSTOP and SIGCONT do. */
void det_freeze(struct det_thread *thread, bool frozen);
unsigned det_count(enum det_group group);
/* Nothing is left of a plugin that ended by itself: threads, locks, memory, descriptors. */
void det_check_nothing_left(void);
/* Whether this system call is to fail; sets errno. */
bool det_fault(const char *call, int errnum);

/* ---- files.c ---- */

void files_reset(void);
void files_close_of(enum det_group group, const struct det_thread *thread); /* `thread` NULL: of all */
unsigned files_open_of(enum det_group group);
/* How many entries a directory has. */
unsigned files_count(const char *path);
/* What is in there, into the trace. */
void files_show(const char *path);
/* A descriptor of something else: a socket of host.c, with its number there. */
int files_add_socket(int number);
int files_socket(int fd); /* its number; -1: no socket */
/* The number of the file or directory behind a descriptor. */
int files_node(int fd);

/* ---- host.c ---- */

/* One run of a task, as the host sees it: a process, or something remote. */
struct det_task {
	char id[96], slug[64];
	int alloc;
	bool remote;
	bool unwanted; /* the agent has asked to stop or destroy it */
	bool born, lives;
	bool left_alone; /* its supervisor is dead */
	bool lost;	 /* and there is no record of its end */
	int code, signal, pid;
	int64_t ends_at; /* by itself; INT64_MAX: never */
};

void host_reset(void);
/* A driver is about to make it. */
struct det_task *host_announce(const char *slug, const char *id, int alloc);
struct det_task *host_task(const char *id); /* NULL: never announced */
void host_born(struct det_task *task);
void host_ended(struct det_task *task, int code, int signal);
/* How many live, of this allocation or (-1) of all. */
unsigned host_living(int alloc);
/* A supervisor that lives and is chosen by the seed, is killed, or stopped and continued. */
void host_kill_supervisor(void);
void host_stop_supervisor(bool stop);
void host_continue_all(void);
/* The task lives and is wanted, and its supervisor, if it has one, answers. */
bool host_is_well(const char *id);
unsigned host_supervisors(void);

void host_socket_closed(int number);
bool host_socket_readable(int number);

/* det_test.c: the plugin is about to kill a task that lives. */
void det_before_kill(struct det_task *task);

#endif
