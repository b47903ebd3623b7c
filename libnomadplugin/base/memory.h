/* SPDX-License-Identifier: MPL-2.0
 *
 * base/memory.h: a heap for a process of many short-lived threads. */
#ifndef NOMAD_BASE_MEMORY_H
#define NOMAD_BASE_MEMORY_H

/* Let threads share their heaps, so that what one has freed serves another.
 * Before the first thread. */
void nomad__memory_share(void);
/* Gives what is free in the heaps back to the system.  Any thread; milliseconds. */
void nomad__memory_trim(void);

#endif
