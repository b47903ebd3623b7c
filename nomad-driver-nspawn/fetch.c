/* SPDX-License-Identifier: MPL-2.0
 *
 * From a URL to a tree or a disk in a directory of work: fetch, verify,
 * unpack.  The transfer is curl's, which ends by itself when no byte moves
 * for long enough, or for a container image skopeo's, which is ended then.
 * What is fetched and what is unpacked from it together have a limit.  Every ten seconds an event tells how far
 * it is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "download.h"
#include "tool.h"

enum { DAY_MS = 24 * 3600 * 1000, EVENT_S = 10 };

#define RUN(d_, what_, tick_, err_, ...) run(d_, what_, (const char *const[]){ __VA_ARGS__, NULL }, tick_, err_)

int nspawn_need(const char *tool, char **ret, struct nomad_error **err)
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
		if (strncmp(file, "./", 2) == 0)
			file += 2;
		if (file > line + 64 && strncmp(file, name, n) == 0 && strchr("\r\n", file[n])) {
			memcpy(ret_digest, line, 64);
			ret_digest[64] = 0;
			return true;
		}
	}
	return false;
}

/* ---- Fetch ---- */

enum { DEPTH_MAX = 64, USE_DEPTH_MAX = 256, ENTRY_BYTES = 512 };

/* Takes the descriptor. Counts the bytes of files; with `use` those that they take on the disk, and some for each
 * entry: what is too deep to be counted takes too many. */
static int64_t bytes_below(int dir, int depth, bool use)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	struct stat st;
	int64_t sum = 0;

	if (!d)
		close(dir);
	while (d && sum < INT64_MAX / 2 && (e = readdir(d))) {
		int below;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (use)
			sum += 512 * (int64_t)st.st_blocks + ENTRY_BYTES;
		else if (S_ISREG(st.st_mode))
			sum += st.st_size;
		if (!S_ISDIR(st.st_mode))
			continue;
		if (depth >= (use ? USE_DEPTH_MAX : DEPTH_MAX)) {
			sum += use ? INT64_MAX / 2 : 0;
			continue;
		}
		below = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			sum += bytes_below(below, depth + 1, use);
	}
	if (d)
		closedir(d);
	return sum;
}

static int64_t count(const char *dir, bool use)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? 0 : bytes_below(fd, 0, use);
}

int64_t nspawn_tree_bytes(const char *dir)
{
	return count(dir, false);
}

int64_t nspawn_tree_use(const char *dir)
{
	return count(dir, true);
}

static void tell_bytes(struct nspawn_fetch *d, int64_t n)
{
	time_t now = time(NULL);
	char bytes[32];

	if (now - d->told < EVENT_S)
		return;
	d->told = now;
	snprintf(bytes, sizeof(bytes), "%lld", (long long)n);
	nomad_task_event_kv(d->task, "Downloading image", "image", d->name, "bytes", bytes, NULL);
}

static void begin(void *ud, pid_t pid)
{
	struct nspawn_fetch *d = ud;

	d->pid = pid;
	d->moved_ns = nomad_monotonic_ns();
}

/* Ends the tool if nobody wants its result any more, or it makes too much: all of it lies below d->work. */
static void look(void *ud)
{
	struct nspawn_fetch *d = ud;
	int64_t begun = nomad_monotonic_ns();

	if (d->max_bytes && begun >= d->next_count_ns) {
		d->too_large = d->too_large || nspawn_tree_use(d->work) > d->max_bytes;
		/* At most a tenth of the time goes into it. */
		d->next_count_ns = nomad_monotonic_ns() + 9 * (nomad_monotonic_ns() - begun);
	}
	if (nomad_task_is_cancelled(d->task) || d->too_large)
		kill(-d->pid, SIGKILL);
}

/* What a tool has made, and why it was ended. */
static int judge(struct nspawn_fetch *d, int r, struct nomad_error **err)
{
	if (r >= 0 && d->max_bytes && nspawn_tree_use(d->work) > d->max_bytes)
		d->too_large = true;
	if (!d->too_large)
		return r;
	if (err) {
		nomad_error_free(*err);
		*err = NULL;
	}
	return nomad_error_set(err, EFBIG, "it takes more than %lld MiB (plugin option download_max_mb)",
			       (long long)(d->max_bytes >> 20));
}

static void tell(void *ud)
{
	struct nspawn_fetch *d = ud;
	struct stat st;

	look(d);
	if (!stat(d->file, &st))
		tell_bytes(d, st.st_size);
}

static void watch(void *ud)
{
	struct nspawn_fetch *d = ud;
	int64_t bytes = nspawn_tree_bytes(d->work);
	int64_t now = nomad_monotonic_ns();

	look(d);
	tell_bytes(d, bytes);
	if (bytes != d->bytes) {
		d->bytes = bytes;
		d->moved_ns = now;
	} else if (now - d->moved_ns > d->idle_s * INT64_C(1000000000) && !d->stalled) {
		d->stalled = true;
		kill(-d->pid, SIGKILL);
	}
}

/* A tool that may take long: it is ended when nobody wants the start any more, or it makes too much. */
static int run(struct nspawn_fetch *d, const char *what, const char *const *argv, void (*tick)(void *),
	       struct nomad_error **err)
{
	int64_t left = d->deadline_ns ? (d->deadline_ns - nomad_monotonic_ns()) / 1000000 : DAY_MS;
	int r;

	if (left <= 0)
		return nomad_error_set(err, ETIMEDOUT, "image_pull_timeout is over");
	r = nspawn_tool_run(argv,
			    &(struct nspawn_tool){ .what = what,
						   .timeout_ms = left < DAY_MS ? (int)left : DAY_MS,
						   .started = begin,
						   .tick = tick,
						   .ud = d },
			    NULL, err);
	return judge(d, r, err);
}

int nspawn_fetch_tool(struct nspawn_fetch *d, const char *what, const char *const *argv, bool transfers,
		      struct nomad_error **err)
{
	return run(d, what, argv, transfers ? watch : look, err);
}

static int fetch(struct nspawn_fetch *d, const char *url, const char *file, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *curl = NULL;
	char idle[32];
	int r = nspawn_need("curl", &curl, err);

	if (r < 0)
		return r;
	snprintf(idle, sizeof(idle), "%lld", (long long)d->idle_s);
	r = RUN(d, "curl", tell, err, curl, "--fail", "--silent", "--show-error", "--location", "--proto",
		"=http,https", "--proto-redir", "=http,https", "--connect-timeout", "30", "--speed-limit", "1",
		"--speed-time", idle, "--retry", "2", "--output", file, "--url", url);
	return r < 0 ? nomad_error_wrap(err, "download") : 0;
}

/* ---- Verify ---- */

static int check_digest(const char *file, const char *algorithm, const char *want, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tool = NULL, *name = nomad_strdupf("%ssum", algorithm), *out = NULL;
	size_t n = strlen(want);
	int r = name ? nspawn_need(name, &tool, err) : nomad_error_errno(err, ENOMEM, "verify");

	if (r >= 0)
		r = nspawn_tool_run((const char *const[]){ tool, "-b", file, NULL },
				    &(struct nspawn_tool){ .timeout_ms = DAY_MS }, &out, err);
	if (r < 0)
		return r;
	/* A backslash begins the line if there are odd characters in the name of the file. */
	if (strncasecmp(out + (*out == '\\'), want, n) != 0)
		return nomad_error_set(err, EBADMSG, "the %s digest of what was downloaded is %.*s, not %s", algorithm,
				       (int)n, out + (*out == '\\'), want);
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
	int r = nspawn_need("gpgv", &gpgv, err);

	for (i = 0; i < NOMAD_ARRAY_LEN(rings) && r >= 0; i++)
		if (!access(rings[i], R_OK))
			return nspawn_tool_run(
				(const char *const[]){ gpgv, "--keyring", rings[i], signature, sums, NULL },
				&(struct nspawn_tool){ .what = "verify the signature of SHA256SUMS" }, NULL, err);
	return r < 0 ? r : nomad_error_set(err, ENOENT, "verify the signature: there is no keyring '%s'", rings[0]);
}

/* SHA256SUMS beside the file, as systemd-importd wants it. */
static int check_sums(struct nspawn_fetch *d, struct nomad_error **err)
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
	if (r >= 0 && strcmp(d->want->verify, "signature") == 0) {
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

static int verify(struct nspawn_fetch *d, struct nomad_error **err)
{
	const char *pin = d->want->checksum;
	int r = 0;

	if (pin)
		r = check_digest(d->file, strncmp(pin, "sha512:", 7) == 0 ? "sha512" : "sha256", pin + 7, err);
	if (r >= 0 && strcmp(d->want->verify, "no") != 0)
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
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !n++)
			only = nomad_strdupf("%s/%s", dir, e->d_name);
	if (d)
		closedir(d);
	return n == 1 && only && !lstat(only, &st) && S_ISDIR(st.st_mode) ? NOMAD_TAKE_PTR(only) : strdup(dir);
}

static int unpack_tar(struct nspawn_fetch *d, char **ret, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tar = NULL, *tree = nomad_strdupf("%s/tree", d->work);
	int r = nspawn_need("tar", &tar, err);

	if (r < 0)
		return r;
	if (!tree || (mkdir(tree, 0755) < 0 && errno != EEXIST))
		return nomad_error_errno(err, errno, "create '%s'", tree ? tree : "tree");
	r = RUN(d, "tar", look, err, tar, "--extract", "--numeric-owner", "--same-permissions", "--xattrs",
		"--xattrs-include=*", "--directory", tree, "--file", d->file);
	if (r < 0)
		return nomad_error_wrap(err, "unpack");
	*ret = root_in(tree);
	return *ret ? 0 : nomad_error_errno(err, ENOMEM, "unpack");
}

bool nspawn_qcow2_is_alone(const unsigned char *head, size_t n)
{
	enum { VERSION = 7, BACKING = 8, FEATURES = 79, EXTERNAL_DATA = 4 };
	bool alone = n >= NSPAWN_QCOW2_HEAD;

	for (size_t i = 0; alone && i < 8; i++)
		alone = !head[BACKING + i];
	return alone && (head[VERSION] < 3 || !(head[FEATURES] & EXTERNAL_DATA));
}

static int unpack_qcow2(struct nspawn_fetch *d, const char *file, const char *disk, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *tool = NULL;
	unsigned char head[NSPAWN_QCOW2_HEAD] = "";
	FILE *in = fopen(file, "re");
	size_t n = in ? fread(head, 1, sizeof(head), in) : 0;
	int r = nspawn_need("qemu-img", &tool, err);

	if (in)
		fclose(in);
	if (r < 0)
		return r;
	if (!nspawn_qcow2_is_alone(head, n))
		return nomad_error_set(err, EBADMSG,
				       "the qcow2 image that was downloaded is incomplete or names other files");
	return RUN(d, "qemu-img", look, err, tool, "convert", "-q", "-f", "qcow2", "-O", "raw", file, disk);
}

static int unpack_raw(struct nspawn_fetch *d, char **ret, struct nomad_error **err)
{
	static const struct {
		const char *magic;
		size_t n;
		const char *tool;
	} packers[] = {
		{ "\xfd"
		  "7zXZ",
		  5, "xz" },
		{ "\x1f\x8b", 2, "gzip" },
		{ "\x28\xb5\x2f\xfd", 4, "zstd" },
		{ "BZh", 3, "bzip2" },
	};
	NOMAD_AUTO_FREE char *disk = nomad_strdupf("%s/disk", d->work), *tool = NULL;
	char magic[8] = "";
	FILE *file = fopen(d->file, "re");
	size_t i, n = file ? fread(magic, 1, sizeof(magic), file) : 0;
	int r = 0;

	if (file)
		fclose(file);
	if (!disk)
		return nomad_error_errno(err, ENOMEM, "unpack");
	if (n < sizeof(magic))
		return nomad_error_set(err, EBADMSG, "what was downloaded is no image: it is too short");
	for (i = 0; i < NOMAD_ARRAY_LEN(packers); i++)
		if (memcmp(magic, packers[i].magic, packers[i].n) == 0)
			break;
	if (memcmp(magic, "QFI\xfb", 4) == 0) {
		r = unpack_qcow2(d, d->file, disk, err);
	} else if (i == NOMAD_ARRAY_LEN(packers)) {
		if (rename(d->file, disk) < 0)
			r = nomad_error_errno(err, errno, "rename '%s'", d->file);
	} else {
		r = nspawn_need(packers[i].tool, &tool, err);
		if (r >= 0)
			r = RUN(d, "unpack", look, err, "/bin/sh", "-c", "exec \"$1\" -dc <\"$2\" >\"$3\"", "sh", tool,
				d->file, disk);
	}
	if (r >= 0)
		*ret = NOMAD_TAKE_PTR(disk);
	return r;
}

int nspawn_fetch(struct nspawn_fetch *d, char **ret, struct nomad_error **err)
{
	struct stat st;
	int r;

	r = fetch(d, d->want->url, d->file, err);
	if (r >= 0 && !stat(d->file, &st))
		d->bytes = st.st_size;
	if (r >= 0)
		r = verify(d, err);
	if (r < 0)
		return r;
	return strcmp(d->want->type, "raw") == 0 ? unpack_raw(d, ret, err) : unpack_tar(d, ret, err);
}
