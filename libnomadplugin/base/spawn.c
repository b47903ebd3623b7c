/* SPDX-License-Identifier: MPL-2.0
 *
 * A command of a driver, run by the plugin itself; see spawn.h.
 *
 * A thread waits for its end: remote tasks are few that have an exec open, and
 * only this way a child is reaped for certain, without a signal handler.  It
 * reaps under the lock, so that no kill can hit a pid that is somebody
 * else's by then. */
#include "base/spawn.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct nomad__spawn {
	int refs; /* owner, thread (then its message) */
	struct nomad__loop *loop;
	void (*exited)(void *ud, int r, int exit_code, int signal, const char *message);
	void *ud;
	pid_t pid;
	pthread_mutex_t lock; /* reaped, dead */
	bool reaped, dead;
	int status;
	struct nomad__posted post;
};

static void spawn_unref(struct nomad__spawn *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void deliver(void *ud)
{
	struct nomad__spawn *s = ud;
	bool dead;

	pthread_mutex_lock(&s->lock);
	dead = s->dead;
	pthread_mutex_unlock(&s->lock);
	if (!dead)
		s->exited(s->ud, 0, WIFEXITED(s->status) ? WEXITSTATUS(s->status) : 0,
			  WIFSIGNALED(s->status) ? WTERMSIG(s->status) : 0, NULL);
	spawn_unref(s);
}

static void *await_end(void *ud)
{
	struct nomad__spawn *s = ud;
	siginfo_t info;
	bool dead;

	while (waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&s->lock);
	while (waitpid(s->pid, &s->status, 0) < 0 && errno == EINTR)
		;
	s->reaped = true;
	dead = s->dead;
	/* Under the lock: from _free() on the loop may be gone. */
	if (!dead)
		nomad__loop_post_in(s->loop, &s->post, deliver, s);
	pthread_mutex_unlock(&s->lock);
	if (dead)
		spawn_unref(s);
	return NULL;
}

static char **env_of(const struct nomad_map *env)
{
	char **out = NULL;

	for (size_t i = 0; i < env->count; i++) {
		if (nomad_strv_addf(&out, "%s=%s", env->pairs[i].key, env->pairs[i].value) < 0) {
			nomad_strv_free(out);
			return NULL;
		}
	}
	return out ? out : calloc(1, sizeof(*out));
}

static int launch(struct nomad__spawn *s, const struct nomad_exec *exec, const int fds[3])
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	char **env = env_of(&exec->env);
	int r = env ? posix_spawn_file_actions_init(&files) : ENOMEM;

	if (r) {
		nomad_strv_free(env);
		return -r;
	}
	r = posix_spawnattr_init(&attr);
	if (r) {
		posix_spawn_file_actions_destroy(&files);
		nomad_strv_free(env);
		return -r;
	}
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	for (int i = 0; !r && i < 3; i++)
		r = posix_spawn_file_actions_adddup2(&files, fds[i], i);
	if (!r)
		r = posix_spawn(&s->pid, exec->argv[0], &files, &attr, exec->argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	nomad_strv_free(env);
	return -r;
}

int nomad__spawn(struct nomad__loop *loop, const struct nomad_exec *exec, const int fds[3],
		 void (*exited)(void *ud, int r, int exit_code, int signal, const char *message), void *ud,
		 struct nomad__spawn **ret, struct nomad_error **err)
{
	struct nomad__spawn *s = calloc(1, sizeof(*s));
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (!s)
		return nomad_error_errno(err, ENOMEM, "run '%s'", exec->argv[0]);
	*s = (struct nomad__spawn){ .refs = 2, .loop = loop, .exited = exited, .ud = ud };
	pthread_mutex_init(&s->lock, NULL);
	r = launch(s, exec, fds);
	if (r < 0) {
		s->refs = 1;
		spawn_unref(s);
		return nomad_error_errno(err, -r, "run '%s'", exec->argv[0]);
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, await_end, s);
	pthread_attr_destroy(&attr);
	if (r) {
		kill(s->pid, SIGKILL);
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
		s->refs = 1;
		spawn_unref(s);
		return nomad_error_errno(err, r, "wait for '%s'", exec->argv[0]);
	}
	*ret = s;
	return 0;
}

void nomad__spawn_free(struct nomad__spawn *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->dead = true;
	if (!s->reaped)
		(void)kill(s->pid, SIGKILL);
	pthread_mutex_unlock(&s->lock);
	spawn_unref(s);
}
