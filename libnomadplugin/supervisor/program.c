/* SPDX-License-Identifier: MPL-2.0
 *
 * program.c: the supervisor program, from the executable's own data into
 * anonymous memory, once for each process. */
#include "supervisor/program.h"

#include <pthread.h>
#include <stddef.h>

#include "os/process.h"

/* the make fragment puts them there */
extern const unsigned char nomad__supervisor_blob[], nomad__supervisor_blob_end[];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int loaded = -1;

int nomad__supervisor_program(void)
{
	int r;

	pthread_mutex_lock(&lock);
	if (loaded < 0)
		loaded = nomad__program_load("nomad-supervisor", nomad__supervisor_blob,
					     (size_t)(nomad__supervisor_blob_end - nomad__supervisor_blob));
	r = loaded;
	pthread_mutex_unlock(&lock);
	return r;
}

void nomad__supervisor_blob_get(const char **ret_data, size_t *ret_size)
{
	*ret_data = (const char *)nomad__supervisor_blob;
	*ret_size = (size_t)(nomad__supervisor_blob_end - nomad__supervisor_blob);
}
