/* SPDX-License-Identifier: MPL-2.0
 *
 * The jail of a build.  A Containerfile is a stranger's program, and the
 * engine, which follows it with all capabilities, has been talked into
 * mounting what it should not before.  So the engine itself lives where
 * there is nothing to take:
 *
 *	/		a small file system in memory, read-only once it is complete
 *	/usr, /lib ...	the host's, read-only by an overlay: the engine and its libraries
 *	/etc		a few generated files; copies of the host's registries.conf; no credentials
 *	/dev		null, zero, full, random, urandom, tty, pts, shm
 *	/proc		of the build's own pid namespace, read-only as a whole: as root of the
 *			host one could else write sysctls, and a bind mount of parts of it
 *			could be made writable again
 *	/sys		some copied lines about CPUs.  The real one cannot be made read-only
 *			against somebody who may mount, except for the whole host
 *	/build		storage and temporary files of this task alone; no device files work.  Its
 *			home is empty and read-only: configuration there would count more than /etc
 *	/Containerfile	its text, where that decides whether the result goes to a cache
 *	/cached		layers and images that earlier builds left, read-only: with isolation oci by a
 *			filter of system calls, because an overlay would hide whiteouts
 *	/cache		lists of them as they were when the build began, and links to them
 *	/task /local /alloc	the task's directories
 *	/secrets	the files that the job names as its build's secrets, and nothing else: not the
 *			token of Nomad's API, nor its socket.  A RUN can see all that is in the jail
 *
 * In new mount, pid, ipc and uts namespaces: all of it ends with its PID 1. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine.h"
#include "registries.h"
#include "step.h"
#include "store.h"

/* What is done goes on while r is 0; then `err` says why not. */
struct jail {
	const struct build_plan *plan;
	struct nomad_error **err;
	int r;
};

static void fail(struct jail *j, const char *act, const char *what)
{
	if (j->r >= 0)
		j->r = nomad_error_errno(j->err, errno, "jail: %s '%s'", act, what);
}

/* ---- Targets are relative to the new root, which is the working directory. ---- */

static void make_dir(struct jail *j, const char *path, mode_t mode)
{
	if (j->r >= 0 && ((mkdir(path, mode) < 0 && errno != EEXIST) || chmod(path, mode) < 0))
		fail(j, "make directory", path);
}

static void make_file(struct jail *j, const char *path, const char *text, size_t size, mode_t mode)
{
	int fd = j->r < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

	if (j->r >= 0 && (fd < 0 || write(fd, text, size) != (ssize_t)size))
		fail(j, "write", path);
	if (fd >= 0)
		close(fd);
}

static void make_text(struct jail *j, const char *path, const char *text)
{
	make_file(j, path, text, strlen(text), 0644);
}

static void make_link(struct jail *j, const char *to, const char *path)
{
	if (j->r >= 0 && symlink(to, path) < 0)
		fail(j, "make link", path);
}

static void mount_new(struct jail *j, const char *type, const char *at, unsigned long flags, const char *data)
{
	if (j->r >= 0 && mount(type, at, type, flags, data) < 0)
		fail(j, "mount on", at);
}

/* A directory or file of the host, without what is mounted below it. */
static void bind_at(struct jail *j, const char *from, const char *at, unsigned long flags)
{
	if (j->r < 0)
		return;
	if (mount(from, at, NULL, MS_BIND, NULL) < 0)
		fail(j, "bind", from);
	else if (flags && mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		fail(j, "bind with fewer rights", from);
}

static void bind_dir(struct jail *j, const char *from, const char *at, unsigned long flags)
{
	make_dir(j, at, 0755);
	bind_at(j, from, at, flags);
}

/* A directory of the host, to be read.  The flag of a bind mount is not enough: an OCI runtime takes it away from a
 * bind of its own that is to be writable, and a Containerfile can make it bind what the engine sees.  An overlay
 * without an upper layer cannot be written to, whatever its flags.  It takes two lower ones: "proc" is empty below its
 * mount. */
static void show_dir(struct jail *j, const char *from, const char *at, unsigned long flags)
{
	char options[4200];

	make_dir(j, "proc", 0555);
	make_dir(j, at, 0755);
	snprintf(options, sizeof(options), "lowerdir=%s:proc", from);
	flags |= MS_RDONLY | MS_NODEV;
	if (j->r < 0 || !mount("overlay", at, "overlay", flags, options))
		return;
	if (strcmp(j->plan->isolation, "oci") == 0)
		fail(j, "show read-only, by an overlay without an upper layer,", from);
	else
		bind_at(j, from, at, flags);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISDIR(st.st_mode);
}

/* Small files of the host whose contents are no secret. */
static void copy_file(struct jail *j, const char *from, const char *to)
{
	enum { MAX = 4 << 20 };
	int fd = j->r < 0 ? -1 : open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd < 0 ? NULL : malloc(MAX);
	size_t size = 0;
	ssize_t n = 0;

	while (text && size < MAX && (n = read(fd, text + size, MAX - size)) > 0)
		size += (size_t)n;
	if (text && n == 0)
		make_file(j, to, text, size, 0644);
	free(text);
	if (fd >= 0)
		close(fd);
}

/* ---- The parts ---- */

static void make_programs(struct jail *j)
{
	static const char *const names[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };
	char host[16], to[256];
	size_t i;

	show_dir(j, "/usr", "usr", 0);
	for (i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		ssize_t n;

		snprintf(host, sizeof(host), "/%s", names[i]);
		n = readlink(host, to, sizeof(to) - 1);
		if (n > 0) {
			to[n] = 0;
			make_link(j, to, names[i]);
		} else if (is_dir(host)) {
			show_dir(j, host, names[i], 0);
		}
	}
}

/* One file of the host, at `path`, whose directories are made. */
static void bind_file(struct jail *j, const char *from, char *path, unsigned long flags)
{
	char *p;

	for (p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		make_dir(j, path, 0755);
		*p = '/';
	}
	make_text(j, path, "");
	bind_at(j, from, path, flags);
}

/* An engine that is not in /usr: the file alone, at its path. */
static void make_engine(struct jail *j)
{
	static const char dir[] = "engine"; /* gone when the jail is complete */
	NOMAD_AUTO_FREE char *from = strdup(j->plan->engine), *path = strdup(j->plan->engine + 1), *file = NULL;
	char *slash = from ? strrchr(from, '/') : NULL;

	if (!slash || !path || slash == from || strncmp(path, "usr/", 4) == 0 || strncmp(path, "bin/", 4) == 0 ||
	    strncmp(path, "sbin/", 5) == 0)
		return;
	*slash = 0;
	file = nomad_strdupf("%s/%s", dir, slash + 1);
	if (!file) {
		fail(j, "show", j->plan->engine);
		return;
	}
	show_dir(j, from, dir, 0);
	bind_file(j, file, path, 0);
	if (j->r >= 0 && (umount2(dir, MNT_DETACH) < 0 || rmdir(dir) < 0))
		fail(j, "leave", dir);
}

/* containers.conf(5).  RUN gets no device files and no raw sockets. */
static const char engine_conf[] =
	"[network]\nnetwork_config_dir = \"/build/networks\"\n"
	"[containers]\ndefault_capabilities = [\"CHOWN\", \"DAC_OVERRIDE\", \"FOWNER\", \"FSETID\", \"KILL\", "
	"\"NET_BIND_SERVICE\", \"SETFCAP\", \"SETGID\", \"SETPCAP\", \"SETUID\", \"SYS_CHROOT\"]\n";

static bool copy_drop_in(void *arg, const char *path, const char *name)
{
	struct jail *j = arg;
	char to[300];

	if (snprintf(to, sizeof(to), "etc/containers/registries.conf.d/%s", name) < (int)sizeof(to))
		copy_file(j, path, to);
	return j->r >= 0;
}

/* The node's, and what the driver adds to it: the engine reads drop-ins in the order of their names. */
static void make_registries(struct jail *j)
{
	make_text(j, "etc/containers/registries.conf", "");
	copy_file(j, j->plan->registries_conf, "etc/containers/registries.conf");
	make_dir(j, "etc/containers/registries.conf.d", 0755);
	build_registries_each(j->plan->registries_conf, copy_drop_in, j);
	make_text(j, "etc/containers/registries.conf.d/zzzz-nomad-driver-build.conf", j->plan->registries);
	/* For a lock, without which the engine resolves no short name. */
	make_dir(j, "var", 0755);
	make_dir(j, "var/cache", 0755);
	make_dir(j, "var/cache/containers", 0755);
	mount_new(j, "tmpfs", "var/cache/containers", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700,size=64k");
}

static void make_etc(struct jail *j)
{
	static const char *const copies[] = { "ld.so.cache", "nsswitch.conf", "host.conf", "hosts",
					      "localtime",   "services",      "protocols", "mime.types" };
	static const char *const certificates[] = { "ssl",
						    "ssl/certs",
						    "pki",
						    "pki/tls",
						    "pki/tls/certs",
						    "pki/ca-trust",
						    "pki/ca-trust/extracted",
						    "ca-certificates",
						    "ca-certificates/extracted" };
	char from[64], to[64];
	struct stat st;
	size_t i;

	make_dir(j, "etc", 0755);
	for (i = 0; i < NOMAD_ARRAY_LEN(copies); i++) {
		snprintf(from, sizeof(from), "/etc/%s", copies[i]);
		copy_file(j, from, from + 1);
	}
	for (i = 0; i < NOMAD_ARRAY_LEN(certificates); i++) {
		bool leaf = strstr(certificates[i], "/certs") || strstr(certificates[i], "/extracted");

		snprintf(from, sizeof(from), "/etc/%s", certificates[i]);
		snprintf(to, sizeof(to), "etc/%s", certificates[i]);
		if (stat(from, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (leaf)
			show_dir(j, from, to, MS_NOSUID | MS_NOEXEC);
		else
			make_dir(j, to, 0755);
	}
	if (j->plan->resolv_conf)
		make_text(j, "etc/resolv.conf", j->plan->resolv_conf);
	else
		copy_file(j, "/etc/resolv.conf", "etc/resolv.conf");
	make_text(j, "etc/passwd", "root:x:0:0:root:/build/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
	make_text(j, "etc/group", "root:x:0:\nnogroup:x:65534:\n");
	make_dir(j, "etc/containers", 0755);
	make_text(j, "etc/containers/policy.json", j->plan->policy);
	make_registries(j);
	make_text(j, "etc/containers/containers.conf", engine_conf);
}

static void make_dev(struct jail *j)
{
	static const char *const nodes[] = { "null", "zero", "full", "random", "urandom", "tty" };
	char from[32];
	size_t i;

	make_dir(j, "dev", 0755);
	/* The nodes are mounts of their own: new ones are of no use. */
	mount_new(j, "tmpfs", "dev", MS_NOSUID | MS_NODEV, "mode=755,size=64k");
	for (i = 0; i < NOMAD_ARRAY_LEN(nodes); i++) {
		snprintf(from, sizeof(from), "/dev/%s", nodes[i]);
		make_text(j, from + 1, "");
		bind_at(j, from, from + 1, 0);
	}
	make_dir(j, "dev/pts", 0755);
	mount_new(j, "devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620");
	make_link(j, "pts/ptmx", "dev/ptmx");
	make_dir(j, "dev/shm", 01777);
	mount_new(j, "tmpfs", "dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	make_link(j, "/proc/self/fd", "dev/fd");
	make_link(j, "/proc/self/fd/0", "dev/stdin");
	make_link(j, "/proc/self/fd/1", "dev/stdout");
	make_link(j, "/proc/self/fd/2", "dev/stderr");
}

static void make_kernel(struct jail *j)
{
	static const char *const dirs[] = { "sys",    "sys/devices",  "sys/devices/system", "sys/devices/system/cpu",
					    "sys/fs", "sys/fs/cgroup" };
	static const char *const files[] = { "online", "possible", "present" };
	char from[64];
	size_t i;

	make_dir(j, "proc", 0555);
	mount_new(j, "proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	for (i = 0; i < NOMAD_ARRAY_LEN(dirs); i++)
		make_dir(j, dirs[i], 0755);
	for (i = 0; i < NOMAD_ARRAY_LEN(files); i++) {
		snprintf(from, sizeof(from), "/sys/devices/system/cpu/%s", files[i]);
		copy_file(j, from, from + 1);
	}
}

/* In notes of which the engine reads the names. */
static void make_features(struct jail *j)
{
	char path[256];
	size_t i;

	make_dir(j, "build/runroot/overlay", 0700);
	for (i = 0; j->plan->features && j->plan->features[i]; i++) {
		snprintf(path, sizeof(path), "build/runroot/overlay/%s", j->plan->features[i]);
		make_text(j, path, "");
	}
}

static void make_build(struct jail *j)
{
	static const char *const dirs[] = { "build/root", "build/runroot", "build/tmp",
					    "build/home", "build/run",	   "build/networks" };
	size_t i;

	bind_dir(j, j->plan->work, "build", MS_NODEV);
	for (i = 0; i < NOMAD_ARRAY_LEN(dirs); i++)
		make_dir(j, dirs[i], strcmp(dirs[i], "build/tmp") ? 0700 : 01777);
	bind_at(j, j->plan->root, "build/root", MS_NODEV);
	if (j->plan->containerfile)
		make_text(j, &BUILD_CONTAINERFILE[1], j->plan->containerfile);
	if (j->plan->cache) {
		bind_dir(j, j->plan->cache, &BUILD_CACHED[1], MS_RDONLY | MS_NODEV | MS_NOSUID);
		make_dir(j, &BUILD_CACHE[1], 0755);
		if (j->r >= 0)
			j->r = build_store_view(j->plan->cache, j->plan->driver, &BUILD_CACHE[1], BUILD_CACHED, j->err);
	}
	if (j->plan->mounts)
		bind_dir(j, j->plan->mounts, "build/tmp/buildah-cache", MS_NODEV);
	if (j->plan->features)
		make_features(j);
	make_text(j, &BUILD_AUTH_FILE[1], "{}");
	/* Empty for good: nothing of a build is to become the engine's policy or registries. */
	mount_new(j, "tmpfs", "build/home", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=700");
	make_link(j, "/build/tmp", "tmp");
	make_link(j, "/build/tmp", "var/tmp");
	make_link(j, "/run", "var/run");
}

/* Nothing but Nomad looks into the log pipes' directory, and into other secrets. */
static void hide(struct jail *j, const char *path)
{
	if (j->r >= 0 && is_dir(path))
		mount_new(j, "tmpfs", path, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=000");
}

static void make_task(struct jail *j)
{
	const unsigned long flags = MS_NODEV | MS_NOSUID;

	bind_dir(j, j->plan->task, "task", flags);
	hide(j, "task/secrets");
	hide(j, "task/private");
	hide(j, "task/alloc");
	bind_dir(j, j->plan->local, "local", flags);
	bind_dir(j, j->plan->alloc, "alloc", flags);
	hide(j, "alloc/logs");
}

/* The engine writes each secret to a file there while a step has it. */
static void make_containers(struct jail *j)
{
	char path[64];

	if ((!j->plan->secret_files || !j->plan->secret_files[0]) && (!j->plan->secret_ids || !j->plan->secret_ids[0]))
		return;
	snprintf(path, sizeof(path), "build/root/%s-containers", j->plan->driver);
	make_dir(j, path, 0700);
	mount_new(j, "tmpfs", path, MS_NOSUID | MS_NODEV, "mode=700");
}

static void make_secrets(struct jail *j, char *const *secrets)
{
	char path[400];
	size_t i;

	make_containers(j);
	make_dir(j, "secrets", 0700);
	for (i = 0; j->plan->secret_files && j->plan->secret_files[i] && j->r >= 0; i++) {
		const char *file = j->plan->secret_files[i];
		NOMAD_AUTO_FREE char *from = nomad_strdupf("%s%s", j->plan->secrets, file + strlen("/secrets"));
		NOMAD_AUTO_FREE char *to = strdup(file + 1);

		if (!from || !to)
			fail(j, "bind", file);
		else
			bind_file(j, from, to, MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC);
	}
	make_dir(j, "run", 0755);
	mount_new(j, "tmpfs", "run", MS_NOSUID | MS_NODEV, "mode=755,size=16m");
	make_dir(j, &BUILD_SECRET_DIR[1], 0700);
	for (i = 0; j->plan->secret_ids && j->plan->secret_ids[i] && j->r >= 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", &BUILD_SECRET_DIR[1], j->plan->secret_ids[i]);
		make_file(j, path, secrets[i], strlen(secrets[i]), 0400);
	}
}

static void leave_host(struct jail *j)
{
	if (j->r < 0)
		return;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		fail(j, "leave", "/");
	/* All of it, not this mount alone: see show_dir(). */
	else if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=755,size=64m") < 0)
		fail(j, "make read-only", "/");
}

/* What building an image never takes. */
static void drop_rights(struct jail *j)
{
	static const int caps[] = { CAP_SYS_MODULE, CAP_SYS_RAWIO,  CAP_SYS_BOOT,	 CAP_SYS_TIME,
				    CAP_SYSLOG,	    CAP_MAC_ADMIN,  CAP_MAC_OVERRIDE,	 CAP_AUDIT_CONTROL,
				    CAP_AUDIT_READ, CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND,	 CAP_BPF,
				    CAP_PERFMON,    CAP_SYS_PACCT,  CAP_LINUX_IMMUTABLE, CAP_CHECKPOINT_RESTORE };
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(caps) && j->r >= 0; i++)
		if (prctl(PR_CAPBSET_DROP, caps[i], 0, 0, 0) < 0 && errno != EINVAL) /* EINVAL: an older kernel */
			fail(j, "drop", "capabilities");
	/* Its routes keep a private network from the node. */
	if (j->r >= 0 && j->plan->slirp &&
	    (prctl(PR_CAPBSET_DROP, CAP_NET_ADMIN, 0, 0, 0) < 0 || prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0) < 0))
		fail(j, "drop", "capabilities");
	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
	(void)!sethostname("build", 5);
}

int build_jail_enter(const struct build_plan *plan, char *const *secrets, struct nomad_error **err)
{
	struct jail j = { .plan = plan, .err = err };
	NOMAD_AUTO_FREE char *top = nomad_strdupf("%s/jail", plan->work);

	if (!top)
		return nomad_error_errno(err, ENOMEM, "jail");
	umask(022);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail(&j, "make mounts private below", "/");
	make_dir(&j, top, 0755);
	mount_new(&j, "tmpfs", top, MS_NOSUID | MS_NODEV, "mode=755,size=64m");
	if (j.r >= 0 && chdir(top) < 0)
		fail(&j, "change to", top);
	make_programs(&j);
	make_etc(&j);
	make_dev(&j);
	make_kernel(&j);
	make_build(&j);
	make_task(&j);
	make_secrets(&j, secrets);
	make_engine(&j);
	leave_host(&j);
	drop_rights(&j);
	return j.r;
}

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#else
#define NATIVE_ARCH 0 /* of none: all calls pass */
#endif

/* The calls answer 0 at once.  Others, and those of other architectures, are as ever. */
void build_jail_skip_syncs(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fdatasync, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_syncfs, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sync, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO), /* with error 0 */
	};
	struct sock_fprog program = { .len = NOMAD_ARRAY_LEN(code), .filter = code };

	(void)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program); /* without it, it is slower */
}

int build_jail_keep_read_only(void)
{
	/* mount(2): a bind mount that gets new flags, MS_RDONLY not among them, keeps the old ones.  mount_setattr(2)
	 * is not there. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount_setattr, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, MS_REMOUNT | MS_BIND | MS_RDONLY),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MS_REMOUNT | MS_BIND, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO), /* with error 0 */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	struct sock_fprog program = { .len = NOMAD_ARRAY_LEN(code), .filter = code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int build_jail_probe(const char *dir, struct nomad_error **err)
{
	static const char *const names[] = { "lower", "upper", "work", "merged" };
	struct jail j = { .err = err };
	size_t i;

	if (chdir(dir) < 0)
		fail(&j, "change to", dir);
	if (j.r >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail(&j, "make mounts private below", "/");
	for (i = 0; i < NOMAD_ARRAY_LEN(names); i++)
		make_dir(&j, names[i], 0700);
	mount_new(&j, "overlay", "merged", 0, "lowerdir=lower,upperdir=upper,workdir=work");
	make_text(&j, "merged/file", "");
	(void)umount2("merged", MNT_DETACH);
	return j.r;
}
