/* SPDX-License-Identifier: MPL-2.0
 *
 * docker.h: the calls of the Docker API, as sdc-docker speaks it, that the
 * driver needs.  A real Docker Engine understands them as well. */
#ifndef TRITON_DOCKER_H
#define TRITON_DOCKER_H

#include <jansson.h>

#include "config.h"
#include "http.h"

#define TRITON_DOCKER_VERSION "/v1.24"

struct triton_docker {
	struct triton_http *http;
	int64_t retry_ms; /* how long a call is tried */
};

struct triton_container {
	char *id;   /* 64 hexadecimal digits */
	char *name; /* without Docker's slash */
	char *task; /* label nomad.task */
	bool running, never_started;
	int64_t exit_code;
	bool oom_killed;
};

void triton_container_done(struct triton_container *container);

/* The UUID of the machine that a container is: its id's first 32 digits. */
int triton_docker_uuid(const char *id, char ret[37]);

int triton_docker_ping(const struct triton_docker *docker, struct nomad_error **err);
/* 0 once the image is there. */
int triton_docker_pull(const struct triton_docker *docker, const struct triton_docker_image *image,
		       const struct triton_auth *auth, int64_t timeout_ms, struct nomad_error **err);
/* -ENOENT: the image is missing; -EEXIST: the name is taken. */
int triton_docker_create(const struct triton_docker *docker, const char *name, const json_t *body, int64_t timeout_ms,
			 char **ret_id, bool *ret_maybe_done, struct nomad_error **err);
/* By id or name; -ENOENT. */
int triton_docker_inspect(const struct triton_docker *docker, const char *id, struct triton_container *ret,
			  struct nomad_error **err);
int triton_docker_start(const struct triton_docker *docker, const char *id, int64_t timeout_ms,
			struct nomad_error **err);
/* Ask to end and kill after `seconds`; returns when it has ended.  0 also if it had. */
int triton_docker_stop(const struct triton_docker *docker, const char *id, unsigned seconds, struct nomad_error **err);
int triton_docker_kill(const struct triton_docker *docker, const char *id, const char *signal,
		       struct nomad_error **err);
/* The exit status of one that has ended: -ENODATA where none is known. */
int triton_docker_wait(const struct triton_docker *docker, const char *id, int64_t timeout_ms, int64_t *ret_code,
		       struct nomad_error **err);
/* One sample, as JSON. */
int triton_docker_stats(const struct triton_docker *docker, const char *id, json_t **ret, struct nomad_error **err);
int triton_docker_exec_create(const struct triton_docker *docker, const char *id, const char *const *argv, bool tty,
			      bool input, const char *user, char **ret_exec, struct nomad_error **err);
int triton_docker_exec_resize(const struct triton_docker *docker, const char *exec, int rows, int columns,
			      struct nomad_error **err);
/* Once only: the server forgets the result when it was asked for. */
int triton_docker_exec_result(const struct triton_docker *docker, const char *exec, int64_t *ret_code,
			      struct nomad_error **err);

/* The body of a create request (dockbody.c). */
struct triton_docker_spec {
	const struct triton_docker_task *task;
	const char *const *affinity;
	const struct nomad_block_list *volumes;
	const struct nomad_map *env;
	const char *package;
	const char *cns; /* joined, or NULL */
	const char *task_id, *alloc_id;
	const char *node_id, *owner, *cluster; /* or NULL */
};
int triton_docker_body(const struct triton_docker_spec *spec, json_t **ret, struct nomad_error **err);
/* "NAME:TAG" or "NAME@DIGEST", malloc()ed; NULL if out of memory. */
char *triton_docker_reference(const struct triton_docker_image *image);
/* Value of X-Registry-Auth, malloc()ed; NULL if out of memory. */
char *triton_docker_auth(const struct triton_auth *auth);

/* ---- The stream of logs and exec without a tty (demux.c) ---- */

/* Frames: kind, three zeros, length (big endian), bytes. */
struct triton_demux {
	bool raw; /* with a tty: no frames, all is stdout */
	unsigned char head[8];
	unsigned head_size;
	uint32_t left; /* of the frame */
	int fd;	       /* 1 or 2 */
};

/* Take `size` bytes apart; `out` gets the pieces in order.  -EPROTO for what is no frame. */
int triton_demux_feed(struct triton_demux *demux, const void *data, size_t size,
		      void (*out)(void *ud, int fd, const void *data, size_t size), void *ud);

#endif
