/* SPDX-License-Identifier: MPL-2.0
 *
 * PID 1 of the jail: runs the engine as often as the plan says, looks at
 * what it wrote, and writes the files about it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "engine.h"
#include "network.h"
#include "sbom.h"
#include "step.h"

enum { PROGRESS_MS = 60000, RETRY_S = 5 };

/* The 64 digits in a file "sha256:<digits>"; NULL if there are none. */
static char *read_digest(const char *path)
{
	char text[80];
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 71)
		return NULL;
	text[71] = 0;
	return strncmp(text, "sha256:", 7) == 0 && strspn(text + 7, "0123456789abcdef") == 64 ? strdup(text + 7) : NULL;
}

static int use_image(struct build_action *action, const char *image)
{
	size_t i;

	for (i = 0; action->argv[i]; i++) {
		if (strcmp(action->argv[i], BUILD_IMAGE) != 0)
			continue;
		free(action->argv[i]);
		action->argv[i] = strdup(image);
		if (!action->argv[i])
			return -ENOMEM;
	}
	return 0;
}

static int prepare_path(const struct build_action *action, struct nomad_error **err)
{
	if (action->partial && unlink(action->partial) < 0 && errno != ENOENT)
		return nomad_error_errno(err, errno, "remove '%s'", action->partial);
	return 0;
}

/* 1 if there is nothing to do. */
static int prepare(struct build_inside *in, struct build_action *action, const struct build_result *result,
		   struct nomad_error **err)
{
	if (result->image_id && use_image(action, result->image_id) < 0)
		return nomad_error_errno(err, ENOMEM, "run the engine");
	return (action->kind == BUILD_PULL) == in->pulling ? prepare_path(action, err) : 1;
}

/* Of what was just written, where nothing but the image itself tells.  1 if it is not of a kind that does. */
static int look_at_image(const struct build_action *action, const char *path, struct build_image *ret,
			 struct nomad_error **err)
{
	if (action->type && strcmp(action->type, "oci-archive") == 0)
		return build_image_in_archive(path, ret, err);
	if (action->type && strcmp(action->type, "oci") == 0)
		return build_image_in_layout(path, action->reference, ret, err);
	return 1;
}

/* One event says all that was done. */
static void add_to_summary(struct build_result *result, const char *what, const char *object, const char *digest)
{
	const char *before = result->summary;
	char *longer =
		nomad_strdupf("%s%s%s %s%s%s%s", before ? before : "", before ? "; " : "", what, object,
			      before && digest ? ", digest" : "", digest ? " sha256:" : "", digest ? digest : "");

	if (!longer)
		return;
	free(result->summary);
	result->summary = longer;
}

static int conclude_writing(struct build_run *run, struct build_action *action, char **ret_digest,
			    struct nomad_error **err)
{
	struct build_result *result = run->result;

	*ret_digest = action->digest_file ? read_digest(action->digest_file) : strdup(result->image.digest);
	if (!*ret_digest)
		return nomad_error_set(err, EIO, "the engine did not tell the image's digest");
	if (!result->digest)
		result->digest = strdup(*ret_digest);
	if (action->partial && rename(action->partial, action->path) < 0)
		return nomad_error_errno(err, errno, "write '%s'", action->path);
	add_to_summary(result, action->kind == BUILD_PUSH ? "pushed" : "wrote",
		       action->kind == BUILD_PUSH ? action->reference : action->path + 1, *ret_digest);
	return 0;
}

static int conclude_build(struct build_run *run, struct build_action *action, char **ret_digest,
			  struct nomad_error **err)
{
	struct build_result *result = run->result;
	int r;

	if (run->plan->platforms) { /* each has an id of its own */
		add_to_summary(result, "Built", "images of all platforms", NULL);
		return 0;
	}
	r = look_at_image(action, action->partial ? action->partial : action->path, &result->image, err);
	if (r < 0)
		return r;
	result->image_id = r ? read_digest(BUILD_IID_FILE) : strdup(result->image.id);
	if (!result->image_id)
		return nomad_error_set(err, EIO, "the engine did not tell the image's id");
	add_to_summary(result, "Built", "image", result->image_id);
	return r ? 0 : conclude_writing(run, action, ret_digest, err);
}

static int conclude_verify(struct build_run *run, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *second = read_digest(BUILD_IID_FILE);
	int r = second ? build_verify(run->plan, run->result->image_id, second, err)
		       : nomad_error_set(err, EIO, "the engine did not tell the image's id");

	if (r >= 0)
		add_to_summary(run->result, "verified", "by a second build", NULL);
	return r;
}

static int conclude_export(struct build_run *run, struct build_action *action, struct nomad_error **err)
{
	if (action->partial && rename(action->partial, action->path) < 0)
		return nomad_error_errno(err, errno, "write '%s'", action->path);
	add_to_summary(run->result, "wrote", action->path + 1, NULL);
	return 0;
}

/* After one that went well. */
static int conclude(struct build_run *run, struct build_action *action, char **ret_digest, struct nomad_error **err)
{
	switch (action->kind) {
	case BUILD_BUILD:
		return conclude_build(run, action, ret_digest, err);
	case BUILD_VERIFY:
		return conclude_verify(run, err);
	case BUILD_WRITE:
	case BUILD_PUSH:
		return conclude_writing(run, action, ret_digest, err);
	case BUILD_EXPORT:
		return conclude_export(run, action, err);
	default:
		return 0;
	}
}

/* As the first archive or layout tells, else as it is in the store. */
static int find_image(struct build_inside *in, struct build_result *result, struct nomad_error **err)
{
	size_t i;
	int r = 1;

	for (i = 0; i < in->plan->n_actions && !result->image.id && r > 0; i++)
		r = look_at_image(&in->plan->actions[i], in->plan->actions[i].path, &result->image, err);
	if (r < 0 || result->image.id)
		return r < 0 ? r : 0;
	if (in->plan->cache && build_image_in_store(BUILD_CACHE, result->image_id, &result->image, NULL) >= 0)
		return 0;
	return build_image_in_store(BUILD_ROOT, result->image_id, &result->image, err);
}

static int write_text(const char *path, char *take_text, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *partial = nomad_strdupf("%s.partial", path), *text = take_text;
	int fd, r = 0;
	size_t n;

	if (!text || !partial)
		return nomad_error_errno(err, ENOMEM, "write '%s'", path);
	(void)unlink(partial);
	n = strlen(text);
	fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n || rename(partial, path) < 0) {
		r = nomad_error_errno(err, errno, "write '%s'", path);
		(void)unlink(partial);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* Each time after twice as long. */
static int push(struct build_run *run, const struct build_action *action, struct nomad_error **err)
{
	long retry = action->retry ? strtol(action->retry, NULL, 10) : 0, n;
	int r = build_run_action(run, action, err);

	for (n = 0; n < retry && run->again; n++) {
		build_run_event(run, "Trying the push to %s again in %d s (%ld of %ld)", action->reference,
				RETRY_S << n, n + 1, retry);
		if (build_run_pause(run, INT64_C(1000) * (RETRY_S << n)))
			return 128 + SIGTERM;
		run->stuck = false;
		r = build_run_action(run, action, err);
	}
	return r;
}

static int run_action(struct build_run *run, const struct build_action *action, struct nomad_error **err)
{
	int r;

	if (action->kind == BUILD_PUSH)
		return push(run, action, err);
	if (action->kind != BUILD_EXPORT)
		return build_run_action(run, action, err);
	r = build_rootfs_mount(run->plan, run->result->image_id, err);
	if (r >= 0)
		r = build_run_action(run, action, err);
	build_rootfs_unmount();
	return r;
}

static int write_sbom(struct build_inside *in, struct build_run *run, struct nomad_error **err)
{
	int r = build_rootfs_mount(in->plan, run->result->image_id, err);
	NOMAD_AUTO_FD int root = r < 0 ? -1 : open(BUILD_ROOTFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *left_out = NULL;

	if (root >= 0)
		r = write_text(in->plan->sbom, build_sbom(root, in->plan, run->result, &left_out), err);
	else if (r >= 0)
		r = nomad_error_errno(err, errno, "open '%s'", BUILD_ROOTFS);
	if (left_out)
		build_run_event(run, "sbom_file lacks the packages of /%s in the image, which is not read", left_out);
	build_rootfs_unmount();
	return r;
}

/* The files about the image. */
static int write_files(struct build_inside *in, struct build_run *run, char *const *digests, struct nomad_error **err)
{
	const struct build_plan *plan = in->plan;
	int r = 0;

	if (!plan->metadata && !plan->sbom && !plan->provenance)
		return 0;
	if (!plan->platforms)
		r = find_image(in, run->result, err);
	if (r >= 0 && plan->sbom)
		r = write_sbom(in, run, err);
	if (r >= 0 && plan->provenance)
		r = write_text(plan->provenance, build_provenance(plan, run->result, digests), err);
	if (r >= 0 && plan->metadata)
		r = write_text(plan->metadata, build_metadata(plan, run->result, digests), err);
	return r;
}

/* The exit status of the whole, or a negative errno. */
static int run_all(struct build_inside *in, struct build_run *run, char **digests, struct nomad_error **err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < in->plan->n_actions; i++) {
		struct build_action *action = &in->plan->actions[i];

		r = prepare(in, action, run->result, err);
		if (r > 0)
			continue;
		if (r >= 0)
			r = run_action(run, action, err);
		if (action->kind == BUILD_PULL && r > 0 && !run->stopping && !run->stuck)
			r = 0; /* the build says why, if it needs the image */
		if (!r)
			r = conclude(run, action, &digests[i], err);
		if (r && action->partial)
			(void)unlink(action->partial);
		if (run->stopping && (!r || in->pulling))
			r = 128 + SIGTERM; /* told to stop between two steps */
		if (r)
			return r;
	}
	return in->pulling ? 0 : write_files(in, run, digests, err);
}

/* For the one outside; all that a Containerfile has started is gone. */
static void write_used(const struct build_result *result)
{
	NOMAD_AUTO_FD int fd = -1;

	if (!result->n_used)
		return;
	(void)unlink(BUILD_USED_FILE);
	fd = open(BUILD_USED_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	for (size_t i = 0; fd >= 0 && i < result->n_used; i++)
		dprintf(fd, "%s\n", result->used[i]);
}

int build_inside(struct build_inside *in, sigset_t *mask)
{
	struct build_result result = { .began = time(NULL) };
	struct build_run run = {
		.plan = in->plan, .result = &result, .events = in->events, .progress_ms = PROGRESS_MS
	};
	char **digests = calloc(in->plan->n_actions, sizeof(*digests));
	struct nomad_error *err = NULL;
	size_t i;
	int r;

	run.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	run.signals = signalfd(-1, mask, SFD_CLOEXEC);
	if (!digests || run.null < 0 || run.signals < 0)
		r = nomad_error_errno(&err, errno, "prepare");
	else
		r = build_jail_enter(in->plan, in->secrets, &err);
	for (i = 0; in->secrets && in->secrets[i]; i++)
		explicit_bzero(in->secrets[i], strlen(in->secrets[i]));
	if (r >= 0 && in->plan->slirp)
		r = build_network_wait(in->network, &err);
	if (r >= 0)
		r = run_all(in, &run, digests, &err);
	write_used(&result);
	if (result.summary)
		build_run_event(&run, "%s", result.summary);
	if (r < 0) {
		build_run_event(&run, "%s", nomad_error_message(err));
		fprintf(stderr, "nomad-driver-build: %s\n", nomad_error_message(err));
		nomad_error_free(err);
		r = BUILD_FAILED;
	}
	for (i = 0; digests && i < in->plan->n_actions; i++)
		free(digests[i]);
	free(digests);
	build_result_done(&result);
	return r;
}
