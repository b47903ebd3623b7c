/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/error.h: errors that carry text.
 *
 * A function that can fail takes `struct nomad_error **err` last and returns
 * 0 or a negative errno.  On success it does not touch *err; on failure it
 * sets *err, unless err is NULL, which means "I do not care why".  *err must
 * be NULL before the call.  The caller frees the error.
 *
 * A message names the act and the object and, where there is one, the
 * remedy: lower case, one line, no full stop, user text in quotes.  A layer
 * that knows more wraps it: "start machine 'web': mount image '/x': no such
 * file or directory".  Never put a secret into a message. */
#ifndef NOMAD_ERROR_H
#define NOMAD_ERROR_H

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_error;

/* Set *err to the formatted message with code `errnum` (positive errno).
 * Returns -errnum.  The errno becomes the gRPC status that Nomad shows:
 * EINVAL, ENOENT, EEXIST, EACCES/EPERM, ENOSYS/EOPNOTSUPP, ECANCELED,
 * ETIMEDOUT and the exhausted resources (ENOMEM, ENOSPC, EMFILE, ...) have a
 * status of their own, all others are INTERNAL. */
int nomad_error_set(struct nomad_error **err, int errnum, const char *fmt, ...) NOMAD_PRINTF(3, 4);
/* The same, with ": " and the system's text for errnum appended. */
int nomad_error_errno(struct nomad_error **err, int errnum, const char *fmt, ...) NOMAD_PRINTF(3, 4);
/* Put "message: " in front of an error's text.  Returns the error's negative
 * errno, or -EINVAL where err is NULL or holds none. */
int nomad_error_wrap(struct nomad_error **err, const char *fmt, ...) NOMAD_PRINTF(2, 3);
/* Say that a later attempt may succeed: Nomad then applies the job's restart
 * policy where it would fail the task for good.  Returns as nomad_error_wrap(). */
int nomad_error_retryable(struct nomad_error **err);

/* The text, never NULL; borrowed from the error ("out of memory" if even it could not be made). */
const char *nomad_error_message(const struct nomad_error *err);
/* The positive errno; EIO for NULL. */
int nomad_error_code(const struct nomad_error *err);
/* The id of its class ("nd-missing"), which follows from the code, never
 * changes from version to version, and stands in the manuals; static. */
const char *nomad_error_id(const struct nomad_error *err);
/* Whether nomad_error_retryable() was said of it. */
bool nomad_error_is_retryable(const struct nomad_error *err);
/* Free it; NULL is fine. */
void nomad_error_free(struct nomad_error *err);
void nomad_autoerror_(struct nomad_error **err);

#define NOMAD_AUTO_ERROR NOMAD_CLEANUP(nomad_autoerror_)

NOMAD_END_DECLS

#endif
