/* SPDX-License-Identifier: MPL-2.0
 *
 * spec.c: what to run, the specification: a list of keys in a file in memory,
 * which comes as a descriptor; and why it cannot be run. */
#include "supervisor/program/super.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/socket.h"

static struct spec ours;
static char why[512];
static int why_errno;

void text_act(struct nomad__text *text, const char *act, const char *object)
{
	nomad__text_add(text, act);
	if (object) {
		nomad__text_add(text, " '");
		nomad__text_add(text, object);
		nomad__text_add(text, "'");
	}
}

int fail(int errnum, const char *act, const char *object)
{
	struct nomad__text t;

	if (!failed()) {
		why_errno = errnum;
		nomad__text_init(&t, why, sizeof(why));
		text_act(&t, act, object);
	}
	return -errnum;
}

bool failed(void)
{
	return why[0] != 0;
}

const char *failure(int *ret_errnum)
{
	*ret_errnum = why_errno;
	return why;
}

int spec_map(int fd, struct spec *ret)
{
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
		return -EPROTO;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret = (struct spec){ .data = map, .size = (size_t)st.st_size };
	return 0;
}

void spec_unmap(struct spec *spec)
{
	(void)munmap((void *)spec->data, spec->size);
	*spec = (struct spec){ 0 };
}

int spec_receive(int fd)
{
	char message[256];
	int fds[NOMAD__MAX_FDS], r;
	ssize_t n = nomad__unix_receive(fd, message, sizeof(message), fds, true);

	if (n <= 0 || fds[0] < 0)
		return fail(n < 0 ? (int)-n : EPROTO, "receive the specification", NULL);
	r = spec_map(fds[0], &ours);
	close(fds[0]);
	return r < 0 ? fail(-r, "map the specification", NULL) : 0;
}

const struct spec *spec_of_task(void)
{
	return &ours;
}

const char *spec_get(const char *key)
{
	return nomad__fields_get(ours.data, ours.size, key);
}

int64_t spec_num(const char *key, int64_t otherwise)
{
	return nomad__fields_get_num(ours.data, ours.size, key, otherwise);
}

const char *spec_next(const char *key, size_t *pos)
{
	return nomad__fields_next(ours.data, ours.size, key, pos);
}
