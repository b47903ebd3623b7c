/* SPDX-License-Identifier: MPL-2.0 */
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

int util_read_file(const char *path, char *buf, size_t size)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (;;) {
		n = read(fd, buf + have, size - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
		if (have >= size)
			return -EFBIG;
	}
	buf[have] = '\0';
	return (int)have;
}

int util_read_line(const char *path, char *buf, size_t size)
{
	int n = util_read_file(path, buf, size);

	while (n > 0 && isspace((unsigned char)buf[n - 1]))
		buf[--n] = '\0';
	return n;
}

int util_read_alloc(const char *path, size_t max, char **ret_data, size_t *ret_len)
{
	NOMAD_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *data = NULL, *bigger;
	size_t have = 0, size = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (;;) {
		if (have + 1 >= size) {
			size = size ? size * 2 : 4096;
			bigger = realloc(data, size);
			if (!bigger) {
				free(data);
				return -ENOMEM;
			}
			data = bigger;
		}
		n = read(fd, data + have, size - have - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
		if (have > max) {
			free(data);
			return -EFBIG;
		}
	}
	if (n < 0) {
		n = -errno;
		free(data);
		return (int)n;
	}
	data[have] = '\0';
	*ret_data = data;
	if (ret_len)
		*ret_len = have;
	return 0;
}

int util_pread_all(int fd, void *data, size_t len, uint64_t offset)
{
	char *p = data;
	ssize_t n;

	while (len > 0) {
		n = pread(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int util_pwrite_all(int fd, const void *data, size_t len, uint64_t offset)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int util_write_knob(const char *path, const char *text)
{
	NOMAD_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* One write: the kernel takes a knob's value whole or not at all. */
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int util_replace_file(const char *path, const void *data, size_t len, unsigned int mode)
{
	char temp[4096];
	int fd, r;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
		return -ENAMETOOLONG;
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = nomad_write_all(fd, data, len);
	if (r == 0 && fsync(fd) < 0 && errno != EINVAL)
		r = -errno;
	close(fd);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temp);
	return r;
}

void util_sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

int util_parse_long(const char *text, long min, long max, long *ret)
{
	char *end;
	long v;

	if (!isdigit((unsigned char)text[0]) && text[0] != '-')
		return -EINVAL;
	errno = 0;
	v = strtol(text, &end, 10);
	if (*end || end == text)
		return -EINVAL;
	if (errno || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

bool util_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len >= size) {
		memcpy(to, from, size - 1);
		to[size - 1] = '\0';
		return false;
	}
	memcpy(to, from, len + 1);
	return true;
}

bool util_is_hostname(const char *name)
{
	size_t label = 0, i;

	for (i = 0; name[i]; i++) {
		if (name[i] == '.') {
			if (label == 0 || name[i - 1] == '-')
				return false;
			label = 0;
		} else if (isalnum((unsigned char)name[i]) || (name[i] == '-' && label > 0)) {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return i > 0 && i <= 253 && label > 0 && name[i - 1] != '-';
}

int util_run(const char *const argv[], unsigned int timeout_ms)
{
	struct pollfd poll_fd = { .events = POLLIN };
	sigset_t none;
	int status, r;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	poll_fd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (poll_fd.fd >= 0) {
		uint64_t end = util_now_ms() + timeout_ms, now;

		while ((now = util_now_ms()) < end) {
			r = poll(&poll_fd, 1, (int)(end - now));
			if (r != -1 || errno != EINTR)
				break;
		}
		if (!(poll_fd.revents & POLLIN)) {
			kill(pid, SIGKILL);
			timeout_ms = 0;
		}
		close(poll_fd.fd);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (timeout_ms == 0)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* The pages from `start` to `end` come back from the page cache when they are touched.  Never the writable segment: its
 * read-only part was relocated and is nowhere else. */
static size_t find_segments(uintptr_t (*ranges)[2], size_t max)
{
	const ElfW(Ehdr) *e = &__ehdr_start;
	const ElfW(Phdr) *p = (const void *)((const char *)e + e->e_phoff);
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t n = 0;
	int i;

	for (i = 0; i < e->e_phnum && n < max; i++) {
		if (p[i].p_type != PT_LOAD || (p[i].p_flags & PF_W))
			continue;
		ranges[n][0] = ((uintptr_t)e + p[i].p_vaddr) & ~(page - 1);
		ranges[n][1] = ((uintptr_t)e + p[i].p_vaddr + p[i].p_filesz + page - 1) & ~(page - 1);
		n++;
	}
	return n;
}

void util_trim_memory(void)
{
	static uintptr_t ranges[8][2];
	static size_t n;
	size_t i;

	malloc_trim(0);
	if (n == 0)
		n = find_segments(ranges, NOMAD_ARRAY_LEN(ranges));
	for (i = 0; i < n; i++)
		madvise((void *)ranges[i][0], ranges[i][1] - ranges[i][0], MADV_DONTNEED);
}

void util_random(void *buf, size_t len)
{
	ssize_t n = getrandom(buf, len, GRND_NONBLOCK);

	if (n != (ssize_t)len) {
		NOMAD_AUTO_FD int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, buf, len) != (ssize_t)len)
			memset(buf, (int)util_now_ms(), len);
	}
}
