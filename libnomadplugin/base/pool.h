/* SPDX-License-Identifier: MPL-2.0
 *
 * base/pool.h: worker threads for what may block.  They come when there is
 * work and exit when idle for a while; work beyond the limit queues. */
#ifndef NOMAD_POOL_H
#define NOMAD_POOL_H

struct nomad__pool;

int nomad__pool_new(unsigned max_threads, struct nomad__pool **ret);
/* Runs what is queued, waits for what runs, takes no more. */
void nomad__pool_stop(struct nomad__pool *pool);
/* Stops it first. */
void nomad__pool_free(struct nomad__pool *pool);
/* 0, -ENOMEM, -EAGAIN (no thread to be had), -ESHUTDOWN. */
int nomad__pool_run(struct nomad__pool *pool, void (*fn)(void *ud), void *ud);

#endif
