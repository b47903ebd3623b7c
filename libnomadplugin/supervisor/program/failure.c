/* SPDX-License-Identifier: MPL-2.0
 *
 * failure.c: why the start of the task fails: the first reason counts. */
#include "supervisor/program/super.h"

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
