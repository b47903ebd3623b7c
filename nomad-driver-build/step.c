/* SPDX-License-Identifier: MPL-2.0
 *
 * The process of one task: it takes its turn, jails itself, and runs the
 * engine as often as the plan says.
 *
 *	supervisor --fork--> this, outside --fork--> this, PID 1 in the jail --exec--> buildah build
 *									     --exec--> buildah push ...
 *
 * The one outside holds the locks and hands signals on.  PID 1 reads what
 * the engine says, passes it to the logs as it comes, and makes lines for
 * task events and the metadata file of it.  If either dies, all die: PID 1
 * takes its pid namespace along, and dies with the one outside, which dies
 * with the supervisor.  The exit status is the engine's. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"
#include "engine.h"
#include "host.h"
#include "network.h"
#include "step.h"
#include "watch.h"

struct step {
	struct build_plan plan;
	char **secrets;
	int events;
	struct build_network network;
	int64_t deadline_ms;
	bool pulling; /* the runs of the engine before the build, and only them */
};

static int say(struct nomad_error *err)
{
	fprintf(stderr, "nomad-driver-build: %s\n", nomad_error_message(err));
	nomad_error_free(err);
	return BUILD_FAILED;
}

/* Take what is secret out of the environment, where others of root could read it. */
static int take_secrets(struct step *step)
{
	size_t i;

	for (i = 0; step->plan.secret_ids && step->plan.secret_ids[i]; i++) {
		char name[sizeof(BUILD_SECRET_VARIABLE) + 24], *value;

		snprintf(name, sizeof(name), "%s%zu", BUILD_SECRET_VARIABLE, i);
		value = getenv(name);
		if (nomad_strv_add(&step->secrets, value ? value : "") < 0)
			return -ENOMEM;
		if (value)
			explicit_bzero(value, strlen(value));
	}
	return 0;
}

/* A tenth of a second; true if we are to stop. */
static bool pause_or_stop(const sigset_t *mask)
{
	struct timespec tenth = { .tv_nsec = 100000000 };
	int number = sigtimedwait(mask, NULL, &tenth);

	return number > 0 && number != SIGCHLD;
}

/* One of N files is locked while we build.  0, or 1 to stop. */
static int take_turn(struct step *step, const sigset_t *mask, struct nomad_error **err)
{
	static const char waiting[] = "Waiting for other builds of this node to end\n";
	int count = step->plan.slot_count ? atoi(step->plan.slot_count) : 0, i, fd;
	bool told = false;

	while (count) {
		for (i = 0; i < count; i++) {
			NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%d", step->plan.slots, i);

			fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
			if (fd < 0)
				return nomad_error_errno(err, errno, "take a turn in '%s'", step->plan.slots);
			if (!flock(fd, LOCK_EX | LOCK_NB))
				return 0; /* held until we end */
			close(fd);
		}
		if (!told)
			(void)!write(step->events, waiting, sizeof(waiting) - 1);
		told = true;
		if (pause_or_stop(mask))
			return 1;
	}
	return 0;
}

static int enter_namespaces(const struct build_plan *plan, struct build_network *network, struct nomad_error **err)
{
	/* With isolation oci the engine gives RUN its network, and needs one itself. */
	bool alone = strcmp(plan->network, BUILD_NETWORK_NONE) == 0 && strcmp(plan->isolation, "oci");
	bool private = plan->slirp;

	if (private && build_network_begin(network, plan->slirp, err) < 0)
		return -1;
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | (alone || private ? CLONE_NEWNET : 0)) <
	    0)
		return nomad_error_errno(err, errno, "make namespaces");
	return private ? build_network_enter(network, err) : 0;
}

static struct build_watch limits_of(const struct step *step)
{
	const struct build_plan *plan = &step->plan;

	return (struct build_watch){ .events = step->events,
				     .storage_max = plan->storage_max ? strtoull(plan->storage_max, NULL, 10) : 0,
				     .timeout_s = plan->timeout ? strtoull(plan->timeout, NULL, 10) : 0,
				     .deadline_ms = step->deadline_ms };
}

static int run_inside(struct step *step, sigset_t *mask)
{
	struct build_watch w = limits_of(step);
	NOMAD_AUTO_FD int dir = open(step->plan.work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct nomad_error *err = NULL;
	int hold[2], status;
	pid_t pid;
	char c;

	if (enter_namespaces(&step->plan, &step->network, &err) < 0)
		return say(err);
	if (pipe2(hold, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		nomad_error_errno(&err, errno, "start a process");
		return say(err);
	}
	if (!pid) {
		close(hold[1]);
		close(dir); /* of the node */
		/* If the one outside dies before this takes effect, the pipe ends without a word. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(hold[0], &c, 1) != 1)
			_exit(BUILD_FAILED);
		close(hold[0]);
		status = build_inside(&(struct build_inside){ .plan = &step->plan,
							      .secrets = step->secrets,
							      .events = step->events,
							      .network = &step->network,
							      .pulling = step->pulling },
				      mask);
		fflush(NULL);
		_exit(status);
	}
	(void)!write(hold[1], "", 1);
	w.dir = dir;
	return build_watch(&w, pid, mask);
}

static bool has_pulls(const struct build_plan *plan)
{
	for (size_t i = 0; i < plan->n_actions; i++)
		if (plan->actions[i].kind == BUILD_PULL)
			return true;
	return false;
}

static void merge(struct step *step, bool names)
{
	static const char full[] = "The cache has no room for all that this build adds: see cache_mb\n";
	const struct build_plan *plan = &step->plan;
	const struct build_cache_limits limits = { .max = strtoull(plan->cache_max, NULL, 10),
						   .max_age = strtoll(plan->cache_age, NULL, 10) };
	struct nomad_error *err = NULL;
	bool fits = true;

	if (build_cache_add(plan->base, &limits, plan->root, plan->cache, plan->driver, names, &fits, &err) < 0)
		(void)say(err); /* the image is what counts */
	else if (!fits)
		(void)!write(step->events, full, sizeof(full) - 1);
}

/* What the build got from the cache is used now, for as long as it takes to be the oldest again. */
static void note_use(const struct build_plan *plan)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s%s", plan->work, BUILD_USED_FILE + strlen("/build"));
	NOMAD_AUTO_FREE char *text = path ? build_containerfile_read(path) : NULL;
	char *line, *save = NULL, **used = NULL;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (nomad_strv_add(&used, line) < 0)
			break;
	build_cache_use(plan->cache, plan->driver, used);
	build_cache_use(plan->cache, plan->driver, plan->names);
	nomad_strv_free(used);
	if (plan->measure)
		build_cache_measure(plan->base, plan->mounts);
}

/* In a process of its own: to enter a jail is to leave the node's directories, the cache's among them. */
static int run_apart(struct step *step, sigset_t *mask)
{
	const struct build_watch none = { .events = -1, .dir = -1 };
	pid_t parent = getpid(), pid = fork();
	struct nomad_error *err = NULL;
	int status;

	if (pid < 0) {
		nomad_error_errno(&err, errno, "start a process");
		return say(err);
	}
	if (pid)
		return build_watch(&none, pid, mask);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(BUILD_FAILED);
	status = run_inside(step, mask);
	fflush(NULL);
	_exit(status);
}

/* What the cache has now stays until it ends. */
static int run_pinned(struct step *step, sigset_t *mask)
{
	struct nomad_error *err = NULL;
	int pin = build_cache_pin(step->plan.cache, strrchr(step->plan.work, '/') + 1, &err), status;

	if (pin < 0)
		return say(err);
	status = run_apart(step, mask);
	close(pin);
	return status;
}

/* In a jail that ends before the one of the build begins: no step has seen what goes to the cache under the names of
 * images. */
static int pull(struct step *step, sigset_t *mask)
{
	int status;

	step->pulling = true;
	status = run_pinned(step, mask);
	step->pulling = false;
	if (!status)
		merge(step, true);
	/* It still names what has been moved. */
	if (build_tree_remove(step->plan.root) < 0 || mkdir(step->plan.root, 0700) < 0)
		return BUILD_FAILED;
	return status;
}

/* Of an old engine, the image that a build began with may have instructions that lead it astray: none in a cache does.
 */
static bool may_merge(const struct build_plan *plan)
{
	for (size_t i = 0; plan->merge && strcmp(plan->merge, "pulled") == 0 && plan->names && plan->names[i]; i++)
		if (!build_store_has(plan->cache, plan->driver, plan->names[i]))
			return false;
	return plan->merge;
}

static int run_phases(struct step *step, sigset_t *mask)
{
	struct nomad_error *err = NULL;
	int status;

	dprintf(step->events, "Building with %s\n", step->plan.software ? step->plan.software : step->plan.engine);
	if (step->plan.timeout)
		step->deadline_ms = nomad_monotonic_ns() / 1000000 + strtoll(step->plan.timeout, NULL, 10) * 1000;
	if (!step->plan.cache)
		return run_inside(step, mask);
	if (build_store_prepare(step->plan.cache, step->plan.driver, &err) < 0 ||
	    nomad_make_dirs(step->plan.mounts, 0700, &err) < 0)
		return say(err);
	status = has_pulls(&step->plan) ? pull(step, mask) : 0;
	/* A pull that failed is the build's business; one that was stopped ends all. */
	if (status > 128 || status == 124 || status == BUILD_FAILED)
		return status;
	status = run_pinned(step, mask);
	note_use(&step->plan);
	if (!status && may_merge(&step->plan))
		merge(step, false);
	return status;
}

/* And then run a program in the namespace, if there is one. */
static int probe(const char *dir, char **argv)
{
	struct nomad_error *err = NULL;

	if (unshare(CLONE_NEWNS) < 0)
		nomad_error_errno(&err, errno, "make a mount namespace");
	else if (build_jail_probe(dir, &err) >= 0) {
		if (!argv[0])
			return 0;
		execv(argv[0], argv);
		nomad_error_errno(&err, errno, "run '%s'", argv[0]);
	}
	return say(err);
}

static int start(struct step *step, char **argv, const sigset_t *mask, struct nomad_error **err)
{
	int r = build_plan_read(argv[2], &step->plan, err);

	if (r < 0)
		return r;
	if (take_secrets(step) < 0)
		return nomad_error_errno(err, ENOMEM, "take the secrets");
	step->events = open(argv[3], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (step->events < 0)
		return nomad_error_errno(err, errno, "open '%s'", argv[3]);
	return take_turn(step, mask, err);
}

int build_step_main(int argc, char **argv)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD };
	struct step step = { .events = -1 };
	struct nomad_error *err = NULL;
	sigset_t mask;
	size_t i;
	int r;

	if (argc >= 4 && strcmp(argv[2], "probe") == 0)
		return probe(argv[3], argv + 4);
	if (argc != 4) {
		fprintf(stderr, "nomad-driver-build: '%s' is for the driver itself\n", BUILD_STEP_WORD);
		return 2;
	}
	sigemptyset(&mask);
	for (i = 0; i < NOMAD_ARRAY_LEN(signals); i++)
		sigaddset(&mask, signals[i]);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = start(&step, argv, &mask, &err);
	if (r < 0)
		r = say(err);
	else
		r = r ? 128 + SIGTERM : run_phases(&step, &mask);
	build_plan_done(&step.plan);
	nomad_strv_free(step.secrets);
	return r;
}
