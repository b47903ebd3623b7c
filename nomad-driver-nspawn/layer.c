/* SPDX-License-Identifier: MPL-2.0
 *
 * Limits of layers.  A layer with a limit is a file system of its own in a
 * sparse file, which nspawn-init mounts by a loop device (init/launch.c): so
 * it takes no more than it may, and what the container deletes is given back
 * to the disk.  Project quotas would need a file system of the host that was
 * made for them.
 *
 * One that outlives the task (root = "sticky") lies in its local directory, where argv.c hides it from the container.
 *
 * mkfs takes longer than all else in a start.  For the size that most tasks
 * have, that of the policy, an empty file system is kept and copied, which
 * is a few blocks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "layer.h"
#include "tool.h"

int nspawn_copy_sparse(const char *from, const char *to)
{
	NOMAD_AUTO_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	NOMAD_AUTO_FD int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	off_t at = 0, end, to_at;
	struct stat st;
	ssize_t n;

	if (in < 0 || out < 0 || fstat(in, &st) < 0 || ftruncate(out, st.st_size) < 0)
		return -1;
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		end = lseek(in, at, SEEK_HOLE);
		for (to_at = at; at < end; at += n) {
			n = copy_file_range(in, &(off_t){ at }, out, &to_at, (size_t)(end - at), 0);
			if (n <= 0)
				return -1;
		}
	}
	return errno == ENXIO ? 0 : -1; /* no data behind that */
}

/* A journal is for what outlives the container, and maybe the host.  None grows: room for that would take 4 MiB. */
static int make_file_system(const char *path, int64_t mb, bool journal, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *mkfs = nomad_tool_find("mkfs.ext4");
	NOMAD_AUTO_FD int fd = -1;

	if (!mkfs)
		return nomad_error_set(err, ENOENT,
				       "option 'storage_mb': mkfs.ext4 is not installed; install e2fsprogs");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)mb << 20) < 0)
		return nomad_error_errno(err, errno, "create '%s'", path);
	return nspawn_tool_run(
		(const char *const[]){ mkfs, "-q", "-F", "-m", "0", "-O",
				       journal ? "has_journal,^resize_inode" : "^has_journal,^resize_inode", "-E",
				       "lazy_itable_init=1,nodiscard", path, NULL },
		&(struct nspawn_tool){ .what = "make the file system of the layer" }, NULL, err);
}

/* `name` is complete where it exists. */
static int make_template(const char *dir, const char *name, int64_t mb, const char *slug, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *work = nomad_strdupf("%s/.new-%s", dir, slug);
	int r;

	if (!access(name, F_OK))
		return 0;
	if (!work)
		return nomad_error_errno(err, ENOMEM, "make a layer");
	r = make_file_system(work, mb, false, err);
	if (r >= 0 && rename(work, name) < 0)
		r = nomad_error_errno(err, errno, "rename '%s'", work);
	if (r < 0)
		(void)unlink(work);
	return r;
}

static int make(struct nspawn_start *s, const char *dir, int64_t mb, bool by_default, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *name = nomad_strdupf("%s/.empty-%lld", dir, (long long)mb);
	int r;

	if (!name)
		return nomad_error_errno(err, ENOMEM, "make a layer");
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", dir);
	r = nomad_task_put(s->task, "layer", s->layer, err);
	if (r >= 0 && by_default)
		r = make_template(dir, name, mb, nomad_task_slug(s->task), err);
	if (r < 0)
		return r;
	if (!by_default)
		return make_file_system(s->layer, mb, false, err);
	return nspawn_copy_sparse(name, s->layer) < 0 ? nomad_error_errno(err, errno, "create '%s'", s->layer) : 0;
}

static bool possible(void)
{
	NOMAD_AUTO_FREE char *mkfs = nomad_tool_find("mkfs.ext4");

	return mkfs && !access("/dev/loop-control", R_OK | W_OK);
}

/* A task without the option may have made these, and a link would lead the overlay to another place of the host. */
static int sticky_check(const char *sticky, struct nomad_error **err)
{
	static const char *const names[] = { "", "/upper", "/work" };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s%s", sticky, names[i]);
		struct stat st;

		if (!path)
			return nomad_error_errno(err, ENOMEM, "make a layer");
		if (lstat(path, &st) < 0 ? errno != ENOENT : !S_ISDIR(st.st_mode))
			return nomad_error_set(err, ENOTDIR, "option 'root': '%s' is not a directory; remove it", path);
	}
	return 0;
}

/* In the local directory of the task, which Nomad keeps over restarts and moves with a sticky disk.  One that an
 * earlier run has left is hidden from a container with another kind of root, too: it could change the file system in
 * it. */
static int sticky_dir(struct nspawn_start *s, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *local = realpath(nomad_task_local_dir(s->task), NULL);
	const bool wanted = nspawn_sticky(s->config);
	struct stat st;

	if (!local && !wanted)
		return 0;
	s->sticky = local ? nomad_strdupf("%s/.nomad-root", local) : NULL;
	if (!s->sticky)
		return nomad_error_errno(err, errno, "find '%s'", nomad_task_local_dir(s->task));
	if (wanted && mkdir(s->sticky, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", s->sticky);
	if (wanted)
		s->machine.sticky = s->sticky;
	if (wanted || (!lstat(s->sticky, &st) && S_ISDIR(st.st_mode)))
		s->machine.hidden = s->sticky;
	return wanted ? sticky_check(s->sticky, err) : 0;
}

/* Only root of this host can give a file this mark. */
static const char sticky_mark[] = "trusted.nomad-driver-nspawn.layer";

/* The layer of an earlier run.  A job can put files into its local directory, and the kernel is not to mount a file
 * system that a stranger wrote, unless the operator lets jobs write to images. */
static int sticky_judge(struct nspawn_start *s, int64_t mb, struct nomad_error **err)
{
	struct stat st;
	char mark[8];
	int r;

	if (lstat(s->layer, &st) < 0)
		return nomad_error_errno(err, errno, "find '%s'", s->layer);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)mb << 20)
		return nomad_error_set(err, EFBIG,
				       "option 'root': the layer of an earlier run has %lld MiB, more than storage_mb "
				       "or the policy's max_storage_mb (%lld): raise it",
				       (long long)(st.st_size >> 20), (long long)mb);
	r = lgetxattr(s->layer, sticky_mark, mark, sizeof(mark)) >= 0 ? 0
								      : nomad_task_may(s->task, "root", "image", err);
	return r < 0 ? nomad_error_wrap(err, "option 'root': '%s' was not made on this node", s->layer) : 0;
}

/* Makes the file system, unless an earlier run of the task has. */
static int sticky_make(struct nspawn_start *s, int64_t mb, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *work = nomad_strdupf("%s/.new", s->sticky);
	struct stat st;
	int r;

	s->layer = nomad_strdupf("%s/layer", s->sticky);
	if (!s->layer || !work)
		return nomad_error_errno(err, ENOMEM, "make a layer");
	r = nomad_task_put(s->task, "sticky", s->layer, err);
	if (r < 0)
		return r;
	if (lstat(s->layer, &st) == 0)
		return sticky_judge(s, mb, err);
	r = make_file_system(work, mb, true, err);
	if (r >= 0 && lsetxattr(work, sticky_mark, "1", 1, 0) < 0)
		r = nomad_error_errno(err, errno, "mark '%s' as a layer of this node", work);
	if (r >= 0 && rename(work, s->layer) < 0)
		r = nomad_error_errno(err, errno, "rename '%s'", work);
	return r;
}

int nspawn_layer_make(struct nspawn_start *s, struct nomad_error **err)
{
	const struct nspawn_config *c = s->config;
	const char *state_dir = nomad_plugin_state_dir(nomad_task_plugin(s->task));
	int64_t mb = nomad_task_limit(s->task, "storage_mb", c->storage_mb);
	NOMAD_AUTO_FREE char *dir =
		s->site->layer_dir ? strdup(s->site->layer_dir) : nomad_strdupf("%s/layers", state_dir);
	int r;

	r = sticky_dir(s, err);
	if (r < 0)
		return r;
	/* The policy's own limit asks for nothing that the host lacks. */
	if (!mb || !nspawn_overlays(c) || nspawn_in_memory(c, s->image.path) || (!c->storage_mb && !possible()))
		return 0;
	if (nspawn_sticky(c)) {
		r = sticky_make(s, mb, err);
		s->machine.layer = s->layer;
		return r;
	}
	s->layer = dir ? nomad_strdupf("%s/%s", dir, nomad_task_slug(s->task)) : NULL;
	if (!s->layer)
		return nomad_error_errno(err, ENOMEM, "make a layer");
	r = make(s, dir, mb, !c->storage_mb, err);
	s->machine.layer = s->layer;
	return r < 0 ? nomad_error_retryable(err) : 0;
}

void nspawn_layer_remove(struct nomad_task *task)
{
	const char *path = nomad_task_get(task, "layer"), *sticky = nomad_task_get(task, "sticky");
	const char *any = path ? path : sticky;
	struct stat st;

	/* What the container had deleted is no longer in the file. */
	if (any && stat(any, &st) == 0 && 512 * (int64_t)st.st_blocks > st.st_size / 10 * 9)
		nomad_task_event(
			task, "The root of the container was full (%lld MiB): raise storage_mb, or write to a volume",
			(long long)(st.st_size >> 20));
	if (path && unlink(path) < 0 && errno != ENOENT)
		nomad_log(NOMAD_LOG_WARN, "cannot remove '%s'", path);
	nomad_task_forget(task, "layer");
	nomad_task_forget(task, "sticky");
}
