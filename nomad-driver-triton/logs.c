/* SPDX-License-Identifier: MPL-2.0
 *
 * The output of containers, brought to Nomad: one thread for all of them.
 *
 *	WAITING -> (pipes have a reader) -> READING -> (stream ends) -> WAITING
 *	   |                                                   |
 *	   +------------- finish: one last pass without follow -> DONE
 *
 * The server always tells a log from its beginning.  What was delivered is
 * counted in a file that outlives the process, apart for stdout and stderr, and
 * that many bytes are skipped at each new reading; so neither a break, nor a
 * restart of the plugin loses or repeats anything.
 *
 * A reader that stalls holds up its own container's stream only: the transfer
 * is paused with at most one piece in memory.
 *
 * The end of a stream is also the first sign of the container's end, which is
 * reported to `ended` for a look at the state.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fifo.h"
#include "logs.h"
#include "text.h"

enum { WAITING, READING, DONE };

struct follower {
	struct follower *next;
	struct triton_logs *logs;
	char *task_id, *container, *path[3];
	struct triton_http *http;
	struct triton_position position;
	int fd[3];	 /* -1: not open */
	bool discard[3]; /* there is no pipe */
	int state;
	bool tty, finishing, last_pass;
	int64_t next_ms, deadline_ms;
	int64_t patience_ms, limit_ms; /* of the end: without progress, and at most */
	unsigned failures;
	/* Of the reading: */
	CURL *easy;
	struct triton_demux demux;
	uint64_t skip[3];
	char *pending; /* 1 byte stream, then data; pieces one behind the other */
	size_t pending_size, pending_at;
	bool paused, broken;
	bool stuck[3]; /* no reader, or it is full */
};

struct piece {
	uint32_t size;
	int fd;
};

struct triton_logs {
	pthread_t thread;
	pthread_mutex_t lock; /* of the list and the flags */
	CURLM *multi;
	struct follower *list;
	void (*ended)(void *ud, const char *task_id);
	void *ud;
	char **told; /* tasks whose stream ended, to be told of */
	bool stop, started;
};

static void follower_free(struct follower *f)
{
	if (!f)
		return;
	if (f->easy)
		curl_easy_cleanup(f->easy);
	for (int i = 1; i <= 2; i++) {
		if (f->fd[i] >= 0)
			close(f->fd[i]);
		free(f->path[i]);
	}
	triton_position_close(&f->position);
	free(f->pending);
	free(f->task_id);
	free(f->container);
	free(f);
}

/* ---- Pipes ---- */

/* True when both pipes can be written to, or are not there. */
static bool open_pipes(struct follower *f)
{
	for (int i = 1; i <= 2; i++) {
		if (f->discard[i] || f->fd[i] >= 0)
			continue;
		f->fd[i] = triton_fifo_open(f->path[i]);
		if (f->fd[i] == -ENODEV)
			f->discard[i] = true;
		if (f->fd[i] < 0)
			f->fd[i] = -1;
	}
	return (f->discard[1] || f->fd[1] >= 0) && (f->discard[2] || f->fd[2] >= 0);
}

/* Something moves: the end of the log is worth waiting for. */
static void progress(struct follower *f)
{
	int64_t until = triton_now_ms() + f->patience_ms;

	if (f->finishing)
		f->deadline_ms = until < f->limit_ms ? until : f->limit_ms;
}

static void advance(struct follower *f, int fd, size_t n)
{
	if (f->position.count)
		f->position.count[fd] += n;
	f->failures = 0;
	progress(f);
}

/* Write what is pending; true if nothing is left. */
static bool flush(struct follower *f)
{
	while (f->pending_at < f->pending_size) {
		struct piece piece;
		char *data = f->pending + f->pending_at + sizeof(piece);
		size_t done = 0;

		memcpy(&piece, f->pending + f->pending_at, sizeof(piece));
		f->stuck[piece.fd] = false;
		while (done < piece.size) {
			ssize_t n;

			if (f->fd[piece.fd] < 0 && !f->discard[piece.fd])
				(void)open_pipes(f);
			if (f->discard[piece.fd]) {
				n = (ssize_t)(piece.size - done);
			} else if (f->fd[piece.fd] < 0) {
				f->stuck[piece.fd] = true;
				break;
			} else {
				n = write(f->fd[piece.fd], data + done, piece.size - done);
			}
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && errno == EPIPE) {
				/* The reader is gone; another may come. */
				close(f->fd[piece.fd]);
				f->fd[piece.fd] = -1;
				continue;
			}
			if (n < 0) {
				f->stuck[piece.fd] = true;
				break;
			}
			advance(f, piece.fd, (size_t)n);
			done += (size_t)n;
		}
		if (done < piece.size) {
			/* Keep the rest, with a head of its own in front. */
			piece.size -= (uint32_t)done;
			f->pending_at += done;
			memcpy(f->pending + f->pending_at, &piece, sizeof(piece));
			return false;
		}
		f->pending_at += sizeof(piece) + piece.size;
	}
	f->pending_size = f->pending_at = 0;
	return true;
}

/* ---- Reading ---- */

static void on_piece(void *ud, int fd, const void *data, size_t size)
{
	struct follower *f = ud;
	struct piece piece = { .fd = fd };
	char *bigger;

	if (f->skip[fd]) {
		size_t n = size < f->skip[fd] ? size : (size_t)f->skip[fd];

		f->skip[fd] -= n;
		progress(f);
		data = (const char *)data + n;
		size -= n;
	}
	if (!size || f->broken)
		return;
	piece.size = (uint32_t)size;
	bigger = realloc(f->pending, f->pending_size + sizeof(piece) + size);
	if (!bigger) {
		f->broken = true;
		return;
	}
	f->pending = bigger;
	memcpy(f->pending + f->pending_size, &piece, sizeof(piece));
	memcpy(f->pending + f->pending_size + sizeof(piece), data, size);
	f->pending_size += sizeof(piece) + size;
}

static size_t on_data(char *data, size_t one, size_t n, void *ud)
{
	struct follower *f = ud;
	long status = 0;

	(void)one;
	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return n;
	if (!flush(f)) {
		f->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (triton_demux_feed(&f->demux, data, n, on_piece, f) < 0 || f->broken) {
		f->broken = true;
		return 0;
	}
	(void)flush(f);
	return n;
}

static void begin(struct follower *f)
{
	NOMAD_AUTO_FREE char *target =
		nomad_strdupf(TRITON_DOCKER_VERSION "/containers/%s/logs?follow=%d&stdout=1&stderr=1&tail=all",
			      f->container, f->finishing ? 0 : 1);

	f->easy = target ? curl_easy_init() : NULL;
	if (!f->easy || triton_http_prepare(f->http, f->easy, target, NULL) < 0) {
		if (f->easy)
			curl_easy_cleanup(f->easy);
		f->easy = NULL;
		f->next_ms = triton_now_ms() + 5000;
		return;
	}
	f->demux = (struct triton_demux){ .raw = f->tty };
	f->skip[1] = f->position.count ? f->position.count[1] : 0;
	f->skip[2] = f->position.count ? f->position.count[2] : 0;
	f->pending_size = f->pending_at = 0;
	f->paused = f->broken = false;
	f->last_pass = f->finishing;
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	if (f->last_pass) {
		/* Here, silence is no log without news. */
		curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_TIME, 4L);
	}
	curl_easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(f->easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "nomad-driver-triton/" NOMAD_VERSION);
	if (curl_multi_add_handle(f->logs->multi, f->easy) != CURLM_OK) {
		curl_easy_cleanup(f->easy);
		f->easy = NULL;
		f->next_ms = triton_now_ms() + 5000;
		return;
	}
	f->state = READING;
}

static void stop_reading(struct follower *f)
{
	if (!f->easy)
		return;
	curl_multi_remove_handle(f->logs->multi, f->easy);
	curl_easy_cleanup(f->easy);
	f->easy = NULL;
	f->state = WAITING;
}

/* Noted here, told without the lock: who is told has a lock of its own. */
static void tell(struct follower *f)
{
	(void)!nomad_strv_add(&f->logs->told, f->task_id);
}

/* A transfer is over. */
static void over(struct follower *f, CURLcode code)
{
	long status = 0;
	bool clean;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	clean = code == CURLE_OK && status == 200 && !f->demux.left && !f->demux.head_size;
	stop_reading(f);
	f->failures = clean ? 0 : f->failures + 1;
	if (clean && f->last_pass && f->pending_at == f->pending_size) {
		f->state = DONE;
		return;
	}
	if (status == 404 && f->finishing) {
		f->state = DONE;
		return;
	}
	/* At the end there is little time. */
	f->next_ms = triton_now_ms() + (!f->finishing ? triton_backoff_ms(f->failures + 1, 500, 30000)
					: f->failures ? triton_backoff_ms(f->failures, 250, 1000)
						      : 0);
	if (!f->finishing)
		tell(f);
}

/* ---- The thread ---- */

static int64_t turn_reading(struct follower *f, int64_t now)
{
	/* The last pass has to begin after the end was known. */
	if (f->finishing && !f->last_pass && !f->paused && now >= f->next_ms) {
		stop_reading(f);
		return now;
	}
	if (f->paused && flush(f)) {
		f->paused = false;
		curl_easy_pause(f->easy, CURLPAUSE_CONT);
	}
	return f->paused ? now + 200 : f->finishing ? now + 100 : INT64_MAX;
}

/* What there is to do for one of them; returns when to look again. */
static int64_t turn(struct follower *f, int64_t now)
{
	bool ready;

	if (f->state == DONE)
		return INT64_MAX;
	if (f->finishing && now >= f->deadline_ms) {
		stop_reading(f);
		f->state = DONE;
		return INT64_MAX;
	}
	if (f->state == READING)
		return turn_reading(f, now);
	if (f->pending_at < f->pending_size && !flush(f))
		return now + 200;
	if (f->finishing && f->last_pass && !f->failures) {
		f->state = DONE; /* its rest is delivered now */
		return INT64_MAX;
	}
	ready = open_pipes(f);
	if (!f->container) {
		/* The note is delivered.  Of thousands of machines the positions would take a page each. */
		triton_position_close(&f->position);
		free(NOMAD_TAKE_PTR(f->pending));
		if (f->finishing)
			f->state = DONE;
		return ready ? INT64_MAX : now + 500;
	}
	if (f->discard[1] && f->discard[2]) {
		f->state = f->finishing ? DONE : WAITING;
		return INT64_MAX;
	}
	if (!ready)
		return now + 200;
	if (now < f->next_ms)
		return f->next_ms;
	begin(f);
	return f->state == READING ? INT64_MAX : f->next_ms;
}

static void reap(struct triton_logs *logs)
{
	struct follower **at = &logs->list;

	while (*at) {
		struct follower *f = *at;

		if (f->state == DONE) {
			*at = f->next;
			tell(f);
			follower_free(f);
		} else {
			at = &f->next;
		}
	}
}

static void *run(void *ud)
{
	struct triton_logs *logs = ud;

	pthread_mutex_lock(&logs->lock);
	while (!logs->stop) {
		int64_t now = triton_now_ms(), next = now + 60000;
		int running, left;
		char **told;
		CURLMsg *message;

		for (struct follower *f = logs->list; f; f = f->next) {
			int64_t at = turn(f, now);

			if (at < next)
				next = at;
		}
		curl_multi_perform(logs->multi, &running);
		while ((message = curl_multi_info_read(logs->multi, &left))) {
			struct follower *f = NULL;
			CURLcode code = message->data.result;

			if (message->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
			if (f)
				over(f, code);
			next = now;
		}
		reap(logs);
		told = NOMAD_TAKE_PTR(logs->told);
		pthread_mutex_unlock(&logs->lock);
		for (size_t i = 0; told && told[i]; i++)
			if (logs->ended)
				logs->ended(logs->ud, told[i]);
		nomad_strv_free(told);
		now = triton_now_ms();
		curl_multi_poll(logs->multi, NULL, 0, next > now ? (int)(next - now) : 0, NULL);
		pthread_mutex_lock(&logs->lock);
	}
	pthread_mutex_unlock(&logs->lock);
	return NULL;
}

int triton_logs_new(void (*ended)(void *ud, const char *task_id), void *ud, struct triton_logs **ret,
		    struct nomad_error **err)
{
	struct triton_logs *logs = calloc(1, sizeof(*logs));
	int r;

	if (!logs)
		return nomad_error_errno(err, ENOMEM, "prepare the logs");
	/* A pipe without a reader is an error to be seen, not a death. */
	signal(SIGPIPE, SIG_IGN);
	logs->ended = ended;
	logs->ud = ud;
	pthread_mutex_init(&logs->lock, NULL);
	logs->multi = curl_multi_init();
	r = logs->multi ? pthread_create(&logs->thread, NULL, run, logs) : ENOMEM;
	if (r) {
		triton_logs_free(logs);
		return nomad_error_errno(err, r, "prepare the logs");
	}
	logs->started = true;
	*ret = logs;
	return 0;
}

void triton_logs_free(struct triton_logs *logs)
{
	if (!logs)
		return;
	if (logs->started) {
		pthread_mutex_lock(&logs->lock);
		logs->stop = true;
		pthread_mutex_unlock(&logs->lock);
		curl_multi_wakeup(logs->multi);
		pthread_join(logs->thread, NULL);
	}
	while (logs->list) {
		struct follower *f = logs->list;

		logs->list = f->next;
		stop_reading(f);
		follower_free(f);
	}
	if (logs->multi)
		curl_multi_cleanup(logs->multi);
	nomad_strv_free(logs->told);
	pthread_mutex_destroy(&logs->lock);
	free(logs);
}

static struct follower *find(struct triton_logs *logs, const char *task_id)
{
	struct follower *f = logs->list;

	while (f && strcmp(f->task_id, task_id) != 0)
		f = f->next;
	return f;
}

int triton_logs_follow(struct triton_logs *logs, const struct triton_follow *follow, struct nomad_error **err)
{
	struct follower *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return nomad_error_errno(err, ENOMEM, "follow a log");
	f->logs = logs;
	f->http = follow->http;
	f->tty = follow->tty;
	f->fd[1] = f->fd[2] = -1;
	if (triton_keep(&f->task_id, follow->task_id) < 0 || triton_keep(&f->container, follow->container) < 0 ||
	    triton_keep(&f->path[1], follow->stdout_path) < 0 || triton_keep(&f->path[2], follow->stderr_path) < 0) {
		follower_free(f);
		return nomad_error_errno(err, ENOMEM, "follow a log");
	}
	if (f->container || follow->note) {
		r = triton_position_open(&f->position, follow->position_path, err);
		if (r < 0) {
			follower_free(f);
			return r;
		}
	}
	if (follow->note) {
		f->skip[2] = f->position.count[2];
		on_piece(f, 2, follow->note, strlen(follow->note));
	}
	pthread_mutex_lock(&logs->lock);
	if (!find(logs, f->task_id)) {
		f->next = logs->list;
		logs->list = f;
		f = NULL;
	}
	pthread_mutex_unlock(&logs->lock);
	follower_free(f); /* it is followed already */
	curl_multi_wakeup(logs->multi);
	return 0;
}

void triton_logs_finish(struct triton_logs *logs, const char *task_id, int64_t patience_ms, int64_t most_ms)
{
	struct follower *f;

	pthread_mutex_lock(&logs->lock);
	f = find(logs, task_id);
	if (f && !f->finishing) {
		f->finishing = true;
		f->patience_ms = patience_ms;
		f->limit_ms = triton_now_ms() + most_ms;
		progress(f);
		/* A stream that is still open gets a moment to end by itself. */
		f->next_ms = triton_now_ms() + (f->state == READING ? 1000 : 0);
	}
	pthread_mutex_unlock(&logs->lock);
	curl_multi_wakeup(logs->multi);
}

bool triton_logs_busy(struct triton_logs *logs, const char *task_id)
{
	bool busy;

	pthread_mutex_lock(&logs->lock);
	busy = find(logs, task_id) != NULL;
	pthread_mutex_unlock(&logs->lock);
	return busy;
}
