/* SPDX-License-Identifier: MPL-2.0
 *
 * Downloads.  In the directory of images:
 *
 *	NAME, NAME.raw		an image, complete: it gets its name by rename()
 *	.new-NAME/		one in the making, removed by the next start of the plugin
 *	.lock-NAME		held while somebody makes it: the others wait, and then find it
 *	.use-NAME/SLUG		a task that uses it, which keeps it from being removed
 *
 * The transfer is curl's (a container image's skopeo's), which ends by
 * itself when no byte moves for long enough; there is no limit on the whole.
 * Every ten seconds an event tells how far it is. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "download.h"
#include "tool.h"

static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

enum { DAY_MS = 24 * 3600 * 1000, EVENT_S = 10 };

struct download {
	struct nomad_task *task;
	const struct nspawn_download *want;
	const char *name, *dir;
	int64_t idle_s;
	char *work;			/* .new-NAME */
	char *file;			/* what was fetched, in it */
	time_t told;
};

#define RUN(what_, tick_, ud_, ...) \
	nspawn_tool_run((const char *const []) { __VA_ARGS__, NULL }, \
			&(struct nspawn_tool) { .what = what_, .timeout_ms = DAY_MS, .tick = tick_, .ud = ud_ }, \
			NULL, err)

static int need(const char *tool, char **ret, struct nomad_error **err)
{
	*ret = nomad_tool_find(tool);
	return *ret ? 0 : nomad_error_set(err, ENOENT, "'%s' is not installed; install the package %s", tool, tool);
}

char *nspawn_url_name(const char *url)
{
	size_t n = strcspn(url, "?#"), begin = n;

	while (begin > 0 && url[begin - 1] != '/')
		begin--;
	return strndup(url + begin, n - begin);
}

bool nspawn_sums_find(const char *sums, const char *name, char ret_digest[65])
{
	size_t n = strlen(name);
	const char *line;

	for (line = sums; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
		const char *file = line + 64;

		if (strspn(line, "0123456789abcdefABCDEF") != 64)
			continue;
		while (*file == ' ' || *file == '*')
			file++;
		if (!strncmp(file, "./", 2))
			file += 2;
		if (file > line + 64 && !strncmp(file, name, n) && strchr("\r\n", file[n])) {
			memcpy(ret_digest, line, 64);
			ret_digest[64] = 0;
			return true;
		}
	}
	return false;
}

static void remove_tree(const char *path)
{
	(void)nspawn_tool_run((const char *const []) { "/bin/rm", "-rf", "--one-file-system", "--", path, NULL },
			      &(struct nspawn_tool) { .timeout_ms = 600000 }, NULL, NULL);
}

/* ---- Fetch ---- */

static void tell(void *ud)
{
	struct download *d = ud;
	time_t now = time(NULL);
	struct stat st;
	char bytes[32];

	if (now - d->told < EVENT_S)
		return;
	d->told = now;
	if (d->file && !stat(d->file, &st)) {
		snprintf(bytes, sizeof(bytes), "%lld", (long long)st.st_size);
		nomad_task_event_kv(d->task, "Downloading image", "image", d->name, "bytes", bytes, NULL);
	} else {
		nomad_task_event_kv(d->task, "Downloading image", "image", d->name, NULL);
	}
}

static int fetch(struct download *d, const char *url, const char *file, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *curl = NULL;
	char idle[32];
	int r = need("curl", &curl, err);

	if (r < 0)
		return r;
	snprintf(idle, sizeof(idle), "%lld", (long long)d->idle_s);
	r = RUN("curl", tell, d, curl, "--fail", "--silent", "--show-error", "--location", "--proto", "=http,https",
		"--proto-redir", "=http,https", "--connect-timeout", "30", "--speed-limit", "1", "--speed-time", idle,
		"--retry", "2", "--output", file, "--url", url);
	return r < 0 ? nomad_error_wrap(err, "download") : 0;
}

/* ---- Verify ---- */

static int check_digest(const char *file, const char *algorithm, const char *want, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tool = NULL, *name = nomad_strdupf("%ssum", algorithm), *out = NULL;
	size_t n = strlen(want);
	int r = name ? need(name, &tool, err) : nomad_error_errno(err, ENOMEM, "verify");

	if (r >= 0)
		r = nspawn_tool_run((const char *const []) { tool, "-b", file, NULL },
				    &(struct nspawn_tool) { .timeout_ms = DAY_MS }, &out, err);
	if (r < 0)
		return r;
	/* A backslash begins the line if there are odd characters in the name of the file. */
	if (strncasecmp(out + (*out == '\\'), want, n))
		return nomad_error_set(err, EBADMSG, "the %s digest of what was downloaded is %.*s, not %s",
				       algorithm, (int)n,
				       out + (*out == '\\'), want);
	return 0;
}

static char *read_text(const char *path)
{
	enum { MAX = 1 << 20 };
	char *text = malloc(MAX + 1);
	FILE *file = fopen(path, "re");
	size_t n = text && file ? fread(text, 1, MAX, file) : 0;

	if (text)
		text[n] = 0;
	if (file)
		fclose(file);
	return text;
}

static int check_signature(const char *sums, const char *signature, struct nomad_error **err)
{
	static const char *const rings[] = { "/etc/systemd/import-pubring.gpg", "/usr/lib/systemd/import-pubring.gpg",
					     "/lib/systemd/import-pubring.gpg" };
	NOMAD_AUTO_FREE char *gpgv = NULL;
	size_t i;
	int r = need("gpgv", &gpgv, err);

	for (i = 0; i < NOMAD_ARRAY_LEN(rings) && r >= 0; i++)
		if (!access(rings[i], R_OK))
			return RUN("verify the signature of SHA256SUMS", NULL, NULL, gpgv, "--keyring", rings[i],
				   signature, sums);
	return r < 0 ? r : nomad_error_set(err, ENOENT, "verify the signature: there is no keyring '%s'", rings[0]);
}

/* SHA256SUMS beside the file, as systemd-importd wants it. */
static int check_sums(struct download *d, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *name = nspawn_url_name(d->want->url), *text = NULL;
	NOMAD_AUTO_FREE char *sums = nomad_strdupf("%s/SHA256SUMS", d->work);
	NOMAD_AUTO_FREE char *signature = nomad_strdupf("%s/SHA256SUMS.gpg", d->work);
	int base = (int)(strcspn(d->want->url, "?#") - (name ? strlen(name) : 0));
	NOMAD_AUTO_FREE char *url = nomad_strdupf("%.*sSHA256SUMS", base, d->want->url);
	NOMAD_AUTO_FREE char *signature_url = nomad_strdupf("%.*sSHA256SUMS.gpg", base, d->want->url);
	char digest[65];
	int r;

	if (!name || !sums || !signature || !url || !signature_url)
		return nomad_error_errno(err, ENOMEM, "verify");
	r = fetch(d, url, sums, err);
	if (r >= 0 && !strcmp(d->want->verify, "signature")) {
		r = fetch(d, signature_url, signature, err);
		if (r >= 0)
			r = check_signature(sums, signature, err);
	}
	if (r < 0)
		return nomad_error_wrap(err, "verify");
	text = read_text(sums);
	if (!text || !nspawn_sums_find(text, name, digest))
		return nomad_error_set(err, EBADMSG, "verify: SHA256SUMS does not name '%s'", name);
	return check_digest(d->file, "sha256", digest, err);
}

static int verify(struct download *d, struct nomad_error **err)
{
	const char *pin = d->want->checksum;
	int r = 0;

	if (pin)
		r = check_digest(d->file, !strncmp(pin, "sha512:", 7) ? "sha512" : "sha256", pin + 7, err);
	if (r >= 0 && strcmp(d->want->verify, "no"))
		r = check_sums(d, err);
	return r;
}

/* ---- Unpack ---- */

/* The directory in `dir` that is the root: itself, or its one and only entry. */
static char *root_in(const char *dir)
{
	NOMAD_AUTO_FREE char *usr = nomad_strdupf("%s/usr", dir);
	NOMAD_AUTO_FREE char *only = NULL;
	struct stat st;
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	if (!usr || !lstat(usr, &st))
		return strdup(dir);
	d = opendir(dir);
	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && !n++)
			only = nomad_strdupf("%s/%s", dir, e->d_name);
	if (d)
		closedir(d);
	return n == 1 && only && !lstat(only, &st) && S_ISDIR(st.st_mode) ? NOMAD_TAKE_PTR(only) : strdup(dir);
}

static int unpack_tar(struct download *d, char **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tar = NULL, *tree = nomad_strdupf("%s/tree", d->work);
	int r = need("tar", &tar, err);

	if (r < 0)
		return r;
	if (!tree || (mkdir(tree, 0755) < 0 && errno != EEXIST))
		return nomad_error_errno(err, errno, "create '%s'", tree ? tree : "tree");
	r = RUN("tar", NULL, NULL, tar, "--extract", "--numeric-owner", "--same-permissions", "--xattrs",
		"--xattrs-include=*",
		"--directory", tree, "--file", d->file);
	if (r < 0)
		return nomad_error_wrap(err, "unpack");
	*ret = root_in(tree);
	return *ret ? 0 : nomad_error_errno(err, ENOMEM, "unpack");
}

static int unpack_raw(struct download *d, char **ret, struct nomad_error **err)
{
	static const struct {
		const char *magic;
		size_t n;
		const char *tool;
	} packers[] = {
		{ "\xfd" "7zXZ", 5, "xz" }, { "\x1f\x8b", 2, "gzip" }, { "\x28\xb5\x2f\xfd", 4, "zstd" },
		{ "BZh", 3, "bzip2" },
	};
	NOMAD_AUTO_FREE char *disk = nomad_strdupf("%s/disk", d->work), *tool = NULL;
	char magic[8] = "";
	FILE *file = fopen(d->file, "re");
	size_t i;
	int r;

	if (!disk)
		return nomad_error_errno(err, ENOMEM, "unpack");
	if (!file || fread(magic, 1, sizeof(magic), file) < sizeof(magic)) {
		if (file)
			fclose(file);
		return nomad_error_set(err, EBADMSG, "what was downloaded is no image: it is too short");
	}
	fclose(file);
	for (i = 0; i < NOMAD_ARRAY_LEN(packers); i++)
		if (!memcmp(magic, packers[i].magic, packers[i].n))
			break;
	if (i == NOMAD_ARRAY_LEN(packers)) {
		if (rename(d->file, disk) < 0)
			return nomad_error_errno(err, errno, "rename '%s'", d->file);
	} else {
		r = need(packers[i].tool, &tool, err);
		if (r >= 0)
			r = RUN("unpack", NULL, NULL, "/bin/sh", "-c", "exec \"$1\" -dc <\"$2\" >\"$3\"", "sh", tool,
				d->file, disk);
		if (r < 0)
			return r;
	}
	*ret = NOMAD_TAKE_PTR(disk);
	return 0;
}

static int fetch_oci(struct download *d, char **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *skopeo = NULL, *umoci = NULL, *bundle = nomad_strdupf("%s/bundle", d->work);
	NOMAD_AUTO_FREE char *from = nomad_strdupf("%s%s", strstr(d->want->url, "://") ? "" : "docker://",
						   d->want->url);
	NOMAD_AUTO_FREE char *layout = nomad_strdupf("%s/layout", d->work);
	NOMAD_AUTO_FREE char *to = nomad_strdupf("oci:%s/layout:image", d->work);
	NOMAD_AUTO_FREE char *image = nomad_strdupf("%s/layout:image", d->work);
	int r = need("skopeo", &skopeo, err);

	if (r >= 0)
		r = need("umoci", &umoci, err);
	if (r < 0)
		return r;
	if (!bundle || !from || !layout || !to || !image)
		return nomad_error_errno(err, ENOMEM, "download");
	if (!strncmp(d->want->url, "oci:", 4)) {	/* a layout on this host, as builds leave it */
		free(from);
		from = strdup(d->want->url);
	}
	d->file = NULL;
	r = RUN("skopeo", tell, d, skopeo, "copy", "--quiet", from, to);
	if (r >= 0)
		r = RUN("umoci", tell, d, umoci, "unpack", "--image", image, bundle);
	if (r < 0)
		return nomad_error_wrap(err, "download");
	*ret = nomad_strdupf("%s/rootfs", bundle);
	return *ret ? 0 : nomad_error_errno(err, ENOMEM, "download");
}

/* ---- Cache ---- */

static int make(struct download *d, struct nomad_error **err)
{
	bool raw = !strcmp(d->want->type, "raw");
	NOMAD_AUTO_FREE char *target = nomad_strdupf("%s/%s%s", d->dir, d->name, raw ? ".raw" : "");
	NOMAD_AUTO_FREE char *made = NULL, *file = NULL;
	int r;

	d->work = nomad_strdupf("%s/.new-%s", d->dir, d->name);
	file = d->work ? nomad_strdupf("%s/download", d->work) : NULL;
	if (!target || !file)
		return nomad_error_errno(err, ENOMEM, "download");
	d->file = file;
	remove_tree(d->work);
	if (mkdir(d->work, 0700) < 0)
		return nomad_error_errno(err, errno, "create '%s'", d->work);
	nomad_task_event_kv(d->task, "Downloading image", "image", d->name, "url", d->want->url, NULL);
	if (!strcmp(d->want->type, "docker")) {
		r = fetch_oci(d, &made, err);
	} else {
		r = fetch(d, d->want->url, d->file, err);
		if (r >= 0)
			r = verify(d, err);
		if (r >= 0)
			r = raw ? unpack_raw(d, &made, err) : unpack_tar(d, &made, err);
	}
	if (r >= 0 && !access(target, F_OK))
		remove_tree(target);	/* force */
	if (r >= 0 && rename(made, target) < 0)
		r = nomad_error_errno(err, errno, "rename '%s'", made);
	if (r >= 0)
		nomad_task_event_kv(d->task, "Downloaded image", "image", d->name, NULL);
	remove_tree(d->work);
	free(d->work);
	return r;
}

static bool in_use(const char *dir, const char *name)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/.use-%s", dir, name);
	DIR *d = path ? opendir(path) : NULL;
	struct dirent *e;
	bool used = !path;

	while (d && !used && (e = readdir(d)))
		used = e->d_name[0] != '.';
	if (d)
		closedir(d);
	return used;
}

static int64_t size_mb(const char *path)
{
	NOMAD_AUTO_FREE char *out = NULL;

	if (nspawn_tool_run((const char *const []) { "/usr/bin/du", "-sm", "--", path, NULL },
			    &(struct nspawn_tool) { .timeout_ms = 600000 }, &out, NULL) < 0)
		return 0;
	return atoll(out);
}

/* "debian.raw" -> "debian": what the other names are made of. */
static void strip_raw(char *name)
{
	size_t n = strlen(name);

	if (n > 4 && !strcmp(name + n - 4, ".raw"))
		name[n - 4] = 0;
}

/* Remove the images that were used longest ago and are not used now, until the rest is small enough. */
static void collect(const char *dir, int64_t limit_mb, const char *keep)
{
	int round;

	for (round = 0; round < 1000; round++) {
		NOMAD_AUTO_FREE char *oldest = NULL;
		int64_t total = 0;
		time_t when = 0;
		struct dirent *e;
		DIR *d = opendir(dir);

		while (d && (e = readdir(d))) {
			NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, e->d_name), *base = strdup(e->d_name);
			NOMAD_AUTO_FREE char *use = NULL;
			struct stat st;

			if (e->d_name[0] == '.' || !path || !base)
				continue;
			total += size_mb(path);
			strip_raw(base);
			use = nomad_strdupf("%s/.use-%s", dir, base);
			if (!strcmp(base, keep) || in_use(dir, base) || !use ||
			    (stat(use, &st) < 0 && stat(path, &st) < 0))
				continue;
			if (!oldest || st.st_mtime < when) {
				when = st.st_mtime;
				free(oldest);
				oldest = NOMAD_TAKE_PTR(path);
			}
		}
		if (d)
			closedir(d);
		if (total <= limit_mb || !oldest)
			return;
		remove_tree(oldest);
	}
}

static int mark_used(struct nomad_task *task, const char *dir, const char *name, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *uses = nomad_strdupf("%s/.use-%s", dir, name);
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/.use-%s/%s", dir, name, nomad_task_slug(task));
	int r, fd;

	if (!uses || !path)
		return nomad_error_errno(err, ENOMEM, "use image '%s'", name);
	r = nomad_task_put(task, "image", name, err);
	if (r < 0)
		return r;
	if (mkdir(uses, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", uses);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return nomad_error_errno(err, errno, "create '%s'", path);
	close(fd);
	return 0;
}

int nspawn_download(struct nomad_task *task, const char *dir, const struct nspawn_config *config,
		    const struct nspawn_plugin_config *site, struct nomad_error **err)
{
	const char *name = config->image;
	struct download d = { .task = task, .want = config->image_download, .name = name, .dir = dir,
			      .idle_s = site->download_idle_s, .told = time(NULL) };
	NOMAD_AUTO_FREE char *tree = nomad_strdupf("%s/%s", dir, name), *disk = nomad_strdupf("%s/%s.raw", dir, name);
	NOMAD_AUTO_FREE char *lock_path = nomad_strdupf("%s/.lock-%s", dir, name);
	NOMAD_AUTO_FD int lock = -1;
	bool there;
	int r;

	if (!*name || *name == '.' || strspn(name, name_characters) != strlen(name) ||
	    strlen(name) > 200)
		return nomad_error_set(err, EINVAL,
				       "image '%s': with image_download this is the name that the image gets: letters, "
				       "digits, dots, hyphens and underscores", name);
	if (!tree || !disk || !lock_path)
		return nomad_error_errno(err, ENOMEM, "download image '%s'", name);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", dir);
	lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return nomad_error_errno(err, errno, "lock '%s'", lock_path);
	there = !access(tree, F_OK) || !access(disk, F_OK);
	if (there && config->image_download->force && in_use(dir, name)) {
		nomad_task_event(task, "Image '%s' is in use by another task and is not downloaded anew", name);
	} else if (!there || config->image_download->force) {
		r = make(&d, err);
		if (r < 0) {
			(void)nomad_error_wrap(err, "image '%s' from '%s'", name, config->image_download->url);
			return nomad_error_code(err ? *err : NULL) == ENOENT ? r : nomad_error_retryable(err);
		}
	}
	r = mark_used(task, dir, name, err);
	if (r >= 0 && !there && site->image_cache_mb)
		collect(dir, site->image_cache_mb, name);
	return r;
}

void nspawn_download_release(struct nomad_task *task, const char *dir)
{
	const char *name = nomad_task_get(task, "image");
	NOMAD_AUTO_FREE char *path = name ? nomad_strdupf("%s/.use-%s/%s", dir, name, nomad_task_slug(task)) : NULL;
	NOMAD_AUTO_FREE char *uses = name ? nomad_strdupf("%s/.use-%s", dir, name) : NULL;

	if (!path || !uses)
		return;
	if (!unlink(path))
		(void)utimensat(AT_FDCWD, uses, NULL, 0);
	nomad_task_forget(task, "image");
}

/* Uses by tasks that ran before this machine was started. */
static void sweep_uses(const char *uses)
{
	struct timespec up, now;
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(uses);

	clock_gettime(CLOCK_BOOTTIME, &up);
	clock_gettime(CLOCK_REALTIME, &now);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    st.st_mtime < now.tv_sec - up.tv_sec - 1)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

void nspawn_download_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", dir, e->d_name);
		NOMAD_AUTO_FREE char *lock_path = NULL;
		NOMAD_AUTO_FD int lock = -1;

		if (path && !strncmp(e->d_name, ".use-", 5))
			sweep_uses(path);
		if (!path || strncmp(e->d_name, ".new-", 5))
			continue;
		lock_path = nomad_strdupf("%s/.lock-%s", dir, e->d_name + 5);
		lock = lock_path ? open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
		if (lock >= 0 && !flock(lock, LOCK_EX | LOCK_NB))
			remove_tree(path);
	}
	if (d)
		closedir(d);
}
