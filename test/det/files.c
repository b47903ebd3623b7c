/* SPDX-License-Identifier: MPL-2.0
 *
 * files.c: a small file system in memory: directories, files, flock(2),
 * descriptors.  What is written is there, whoever dies. */
#include "det.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NODES = 512, FILES = 512, FIRST_FD = 1000, NAME_BYTES = 96, MAX_BYTES = 1 << 16 };

struct node {
	bool used, dir, linked;
	char name[NAME_BYTES];
	unsigned serial; /* the inode number */
	struct node *parent, *first, *next;
	char *data; /* kept from run to run */
	size_t size, room;
	int opens, lock; /* the descriptor that has it; 0: none */
	int64_t mtime;
};

struct file {
	bool used;
	struct node *node; /* NULL: a socket */
	int socket, flags;
	size_t at;
	unsigned last_serial; /* of readdir() */
	enum det_group group;
	struct det_thread *thread;
	struct dirent entry;
};

static struct node nodes[NODES], *root;
static struct file files[FILES];
static unsigned serials, n_nodes, n_files;

int __real_close(int fd);
ssize_t __real_write(int fd, const void *p, size_t size);
void *__real_realloc(void *p, size_t size);

/* ---- Nodes ---- */

static struct node *node_new(struct node *parent, const char *name, size_t size, bool dir)
{
	struct node *n = nodes;

	while (n < nodes + NODES && n->used)
		n++;
	if (n == nodes + NODES || size >= NAME_BYTES)
		det_fail("the file system is full");
	if ((unsigned)(n - nodes) >= n_nodes)
		n_nodes = (unsigned)(n - nodes) + 1;
	*n = (struct node){ .used = true,
			    .dir = dir,
			    .linked = true,
			    .serial = ++serials,
			    .parent = parent,
			    .data = n->data,
			    .room = n->room,
			    .mtime = det_wall() };
	memcpy(n->name, name, size);
	if (parent) {
		struct node **p = &parent->first;

		while (*p)
			p = &(*p)->next;
		*p = n;
	}
	return n;
}

static void node_drop(struct node *n)
{
	if (!n->linked && !n->opens)
		n->used = false;
}

static void node_unlink(struct node *n)
{
	struct node **p = &n->parent->first;

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	n->linked = false;
	node_drop(n);
}

static struct node *child(const struct node *dir, const char *name, size_t size)
{
	struct node *n = dir->first;

	while (n && (strncmp(n->name, name, size) != 0 || n->name[size]))
		n = n->next;
	return n;
}

static struct file *file_of(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + FILES && files[fd - FIRST_FD].used ? &files[fd - FIRST_FD] : NULL;
}

/* The directory of the last part of the path, and that part; NULL and errno. */
static struct node *walk(int dirfd, const char *path, const char **ret_name)
{
	struct node *at = root;

	if (*path != '/') {
		struct file *file = file_of(dirfd);

		at = file ? file->node : NULL;
	}
	while (*path == '/')
		path++;
	for (const char *slash; at && at->dir && (slash = strchr(path, '/')); path = slash + 1)
		at = child(at, path, (size_t)(slash - path));
	if (!at || !at->dir || !at->linked) {
		errno = at && !at->dir ? ENOTDIR : ENOENT;
		return NULL;
	}
	*ret_name = path;
	return at;
}

static struct node *find(int dirfd, const char *path)
{
	const char *name;
	struct node *dir = walk(dirfd, path, &name), *found;

	if (!dir || !*name)
		return dir;
	found = child(dir, name, strlen(name));
	if (!found)
		errno = ENOENT;
	return found;
}

static void stat_of(const struct node *n, struct stat *st)
{
	*st = (struct stat){ .st_ino = n->serial,
			     .st_dev = 1,
			     .st_mode = n->dir ? S_IFDIR | 0700 : S_IFREG | 0600,
			     .st_size = (off_t)n->size,
			     .st_uid = geteuid() };
	st->st_mtim.tv_sec = n->mtime / 1000000000;
	st->st_mtim.tv_nsec = n->mtime % 1000000000;
}

static bool call(const char *name, int errnum)
{
	det_point();
	return errnum && det_fault(name, errnum);
}

/* The loop thread reads at most. */
static bool change(const char *name, int errnum)
{
	if (det_is_loop())
		det_fail("the loop thread calls %s()", name);
	return call(name, errnum);
}

/* ---- Descriptors ---- */

static int file_new(struct node *node, int socket, int flags)
{
	int i = 0;

	while (i < FILES && files[i].used)
		i++;
	if (i == FILES)
		det_fail("more than %d descriptors", FILES);
	if ((unsigned)i >= n_files)
		n_files = (unsigned)i + 1;
	files[i] = (struct file){
		.used = true, .node = node, .socket = socket, .flags = flags, .group = det_group(), .thread = det_self()
	};
	if (node)
		node->opens++;
	return FIRST_FD + i;
}

static void file_close(struct file *file)
{
	struct node *node = file->node;

	file->used = false;
	if (!node) {
		host_socket_closed(file->socket);
		return;
	}
	if (node->lock == (int)(file - files) + FIRST_FD)
		node->lock = 0;
	node->opens--;
	node_drop(node);
}

void files_close_of(enum det_group group, const struct det_thread *thread)
{
	for (unsigned i = 0; i < n_files; i++)
		if (files[i].used && files[i].group == group && (!thread || files[i].thread == thread))
			file_close(&files[i]);
}

unsigned files_open_of(enum det_group group)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_files; i++)
		n += files[i].used && files[i].group == group;
	return n;
}

int files_add_socket(int number)
{
	return file_new(NULL, number, 0);
}

int files_socket(int fd)
{
	struct file *file = file_of(fd);

	return file && !file->node ? file->socket : -1;
}

int files_node(int fd)
{
	struct file *file = file_of(fd);

	return file && file->node ? (int)file->node->serial : -1;
}

unsigned files_count(const char *path)
{
	struct node *dir = find(-1, path);
	unsigned count = 0;

	for (const struct node *n = dir ? dir->first : NULL; n; n = n->next)
		count++;
	return count;
}

void files_show(const char *path)
{
	const struct node *dir = find(-1, path);

	for (const struct node *n = dir ? dir->first : NULL; n; n = n->next) {
		det_trace("there is %s/%s", path, n->name);
		for (const struct node *f = n->first; f; f = f->next)
			det_trace("\t%s: %.*s", f->name, (int)f->size, f->data ? f->data : "");
	}
}

void files_reset(void)
{
	for (unsigned i = 0; i < n_nodes; i++)
		nodes[i].used = false;
	for (unsigned i = 0; i < n_files; i++)
		files[i].used = false;
	serials = n_nodes = n_files = 0;
	root = node_new(NULL, "", 0, true);
}

/* ---- The calls ---- */

static int open_at(int dirfd, const char *path, int flags)
{
	const char *name;
	struct node *dir, *node;

	if (call(flags & O_CREAT ? "open (new)" : "open", flags & O_CREAT ? ENOSPC : EMFILE))
		return -1;
	dir = walk(dirfd, path, &name);
	if (!dir)
		return -1;
	node = *name ? child(dir, name, strlen(name)) : dir;
	if (!node && !(flags & O_CREAT)) {
		errno = ENOENT;
		return -1;
	}
	if (node && (flags & O_DIRECTORY) && !node->dir) {
		errno = ENOTDIR;
		return -1;
	}
	if (!node)
		node = node_new(dir, name, strlen(name), false);
	if (flags & O_TRUNC)
		node->size = 0;
	return file_new(node, -1, flags);
}

int __wrap_open(const char *path, int flags, ...)
{
	return open_at(-1, path, flags);
}

int __wrap_openat(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags);
}

int __wrap_close(int fd)
{
	struct file *file = file_of(fd);

	if (!file && fd < FIRST_FD)
		return __real_close(fd);
	if (!file)
		det_fail("close() of a descriptor that is not open");
	file_close(file);
	return 0;
}

ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t at)
{
	const struct node *node = file_of(fd)->node;

	if (call("pread", EIO))
		return -1;
	if ((size_t)at >= node->size)
		return 0;
	size = node->size - (size_t)at < size ? node->size - (size_t)at : size;
	memcpy(buf, node->data + at, size);
	return (ssize_t)size;
}

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	struct file *file = file_of(fd);
	ssize_t n = __wrap_pread(fd, buf, size, (off_t)file->at);

	file->at += n > 0 ? (size_t)n : 0;
	return n;
}

ssize_t __wrap_write(int fd, const void *buf, size_t size)
{
	struct file *file = file_of(fd);
	struct node *node;

	if (!file)
		return __real_write(fd, buf, size);
	node = file->node;
	if (change("write", ENOSPC)) {
		if (det_one_in(2))
			return -1;
		size = det_random(size); /* what there is room for */
		if (!size)
			return -1;
	}
	if (file->flags & O_APPEND)
		file->at = node->size;
	if (file->at + size > MAX_BYTES)
		det_fail("a file of more than %d bytes", MAX_BYTES);
	if (file->at + size > node->room) {
		node->room = (file->at + size) * 2;
		node->data = __real_realloc(node->data, node->room);
	}
	memcpy(node->data + file->at, buf, size);
	file->at += size;
	node->size = file->at > node->size ? file->at : node->size;
	node->mtime = det_wall();
	return (ssize_t)size;
}

static int stat_at(int dirfd, const char *path, struct stat *st)
{
	const struct node *node;

	if (call("stat", 0))
		return -1;
	node = find(dirfd, path);
	if (!node)
		return -1;
	stat_of(node, st);
	return 0;
}

int __wrap_lstat(const char *path, struct stat *st)
{
	return stat_at(-1, path, st);
}

int __wrap_stat(const char *path, struct stat *st)
{
	return stat_at(-1, path, st);
}

int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	(void)flags;
	return stat_at(dirfd, path, st);
}

int __wrap_fstat(int fd, struct stat *st)
{
	stat_of(file_of(fd)->node, st);
	return 0;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	const char *name;
	struct node *dir;

	(void)mode;
	if (change("mkdir", 0))
		return -1;
	dir = walk(-1, path, &name);
	if (!dir)
		return -1;
	if (!*name || child(dir, name, strlen(name))) {
		errno = EEXIST;
		return -1;
	}
	if (det_fault("mkdir", ENOSPC))
		return -1;
	(void)node_new(dir, name, strlen(name), true);
	return 0;
}

int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
	struct node *node;

	if (change("unlinkat", EIO))
		return -1;
	node = find(dirfd, path);
	if (!node)
		return -1;
	if (node->dir != !!(flags & AT_REMOVEDIR) || node->first) {
		errno = node->first ? ENOTEMPTY : node->dir ? EISDIR : ENOTDIR;
		return -1;
	}
	node_unlink(node);
	return 0;
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	struct node *node, *dir, *before, **p;
	const char *name;

	if (change("renameat", ENOSPC))
		return -1;
	node = find(from_fd, from);
	dir = walk(to_fd, to, &name);
	if (!node || !dir)
		return -1;
	before = child(dir, name, strlen(name));
	if (before)
		node_unlink(before);
	for (p = &node->parent->first; *p != node; p = &(*p)->next)
		;
	*p = node->next;
	node->next = dir->first;
	dir->first = node;
	node->parent = dir;
	snprintf(node->name, sizeof(node->name), "%s", name);
	return 0;
}

int __wrap_ftruncate(int fd, off_t size)
{
	if (change("ftruncate", EIO))
		return -1;
	file_of(fd)->node->size = (size_t)size;
	return 0;
}

int __wrap_fsync(int fd)
{
	(void)fd;
	return call("fsync", EIO) ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	return call("fdatasync", ENOSPC) ? -1 : 0;
}

int __wrap_flock(int fd, int operation)
{
	struct node *node = file_of(fd)->node;

	(void)operation; /* always LOCK_EX | LOCK_NB */
	if (change("flock", ENOLCK))
		return -1;
	if (node->lock && node->lock != fd) {
		errno = EWOULDBLOCK;
		return -1;
	}
	node->lock = fd;
	return 0;
}

/* ---- Directories: a DIR is a struct file ---- */

DIR *__wrap_fdopendir(int fd)
{
	if (call("fdopendir", ENOMEM))
		return NULL;
	return (DIR *)file_of(fd);
}

DIR *__wrap_opendir(const char *path)
{
	int fd = open_at(-1, path, O_DIRECTORY);

	return fd < 0 ? NULL : (DIR *)file_of(fd);
}

struct dirent *__wrap_readdir(DIR *dir)
{
	struct file *file = (struct file *)dir;
	const struct node *next = NULL;

	det_point();
	/* In the order in which they were made; what comes or goes meanwhile does not matter. */
	for (const struct node *n = file->node->first; n; n = n->next)
		if (n->serial > file->last_serial && (!next || n->serial < next->serial))
			next = n;
	if (!next)
		return NULL;
	file->last_serial = next->serial;
	snprintf(file->entry.d_name, sizeof(file->entry.d_name), "%s", next->name);
	return &file->entry;
}

int __wrap_closedir(DIR *dir)
{
	file_close((struct file *)dir);
	return 0;
}

int __wrap_dirfd(DIR *dir)
{
	return (int)((struct file *)dir - files) + FIRST_FD;
}
