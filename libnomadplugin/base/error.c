/* SPDX-License-Identifier: MPL-2.0
 *
 * The error object of nomad/error.h.  One that cannot be allocated is
 * replaced by a static one, so that a failure never looks like a success. */
#include "nomad/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nomad_error {
	int code;
	bool retryable;
	char *message;
};

static struct nomad_error out_of_memory = { .code = ENOMEM, .message = (char *)"out of memory" };

/* One line without control characters, whatever a program's own text had in it: it is shown on terminals. */
static void make_printable(char *text)
{
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
		else if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
}

/* Takes the message, which is NULL if out of memory. */
static int error_put(struct nomad_error **err, int code, char *take_message)
{
	struct nomad_error *e;

	if (!err) {
		free(take_message);
		return -code;
	}
	nomad_error_free(*err);
	e = take_message ? malloc(sizeof(*e)) : NULL;
	if (!e) {
		free(take_message);
		*err = &out_of_memory;
		return -code;
	}
	make_printable(take_message);
	*e = (struct nomad_error){ .code = code, .message = take_message };
	*err = e;
	return -code;
}

static char *format(const char *fmt, va_list args) NOMAD_PRINTF(1, 0);
static char *format(const char *fmt, va_list args)
{
	char *s;

	return vasprintf(&s, fmt, args) < 0 ? NULL : s;
}

int nomad_error_set(struct nomad_error **err, int errnum, const char *fmt, ...)
{
	va_list args;
	char *message;

	va_start(args, fmt);
	message = err ? format(fmt, args) : NULL;
	va_end(args);
	return error_put(err, errnum ? errnum : EIO, message);
}

int nomad_error_errno(struct nomad_error **err, int errnum, const char *fmt, ...)
{
	va_list args;
	char *message, *whole = NULL;

	va_start(args, fmt);
	message = err ? format(fmt, args) : NULL;
	va_end(args);
	if (message) {
		char text[128];
#if defined(__GLIBC__) /* _GNU_SOURCE makes it return the text */
		whole = nomad_strdupf("%s: %s", message, strerror_r(errnum, text, sizeof(text)));
#else
		if (strerror_r(errnum, text, sizeof(text)))
			snprintf(text, sizeof(text), "error %d", errnum);
		whole = nomad_strdupf("%s: %s", message, text);
#endif
		for (char *p = whole ? whole + strlen(message) + 2 : NULL; p && *p >= 'A' && *p <= 'Z'; p = NULL)
			*p = (char)(*p - 'A' + 'a');
		free(message);
	}
	return error_put(err, errnum ? errnum : EIO, whole);
}

int nomad_error_wrap(struct nomad_error **err, const char *fmt, ...)
{
	struct nomad_error *old;
	va_list args;
	char *prefix, *whole;

	if (!err || !*err)
		return -EINVAL;
	old = *err;
	if (old == &out_of_memory)
		return -old->code;
	va_start(args, fmt);
	prefix = format(fmt, args);
	va_end(args);
	whole = prefix ? nomad_strdupf("%s: %s", prefix, old->message) : NULL;
	free(prefix);
	if (whole) {
		make_printable(whole);
		free(old->message);
		old->message = whole;
	}
	return -old->code;
}

int nomad_error_retryable(struct nomad_error **err)
{
	if (!err || !*err)
		return -EINVAL;
	if (*err != &out_of_memory)
		(*err)->retryable = true;
	return -(*err)->code;
}

const char *nomad_error_message(const struct nomad_error *err)
{
	return err ? err->message : "unknown error";
}

int nomad_error_code(const struct nomad_error *err)
{
	return err ? err->code : EIO;
}

bool nomad_error_is_retryable(const struct nomad_error *err)
{
	/* Memory may be there later. */
	return err && (err->retryable || err == &out_of_memory);
}

void nomad_error_free(struct nomad_error *err)
{
	if (!err || err == &out_of_memory)
		return;
	free(err->message);
	free(err);
}

void nomad_autoerror_(struct nomad_error **err)
{
	nomad_error_free(*err);
}
