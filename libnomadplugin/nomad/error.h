/* SPDX-License-Identifier: MPL-2.0
 *
 * nomad/error.h: errors that carry text.
 *
 * A function that can fail takes `struct nomad_error **err` last and returns
 * 0 or a negative errno.  On failure it sets *err; on success it leaves *err
 * unchanged.  Callers that do not need the text pass NULL.  *err must be NULL
 * before the call.  The caller frees the error.
 *
 * A message has the form "act: object: fact; remedy": lower case, one line,
 * no full stop, text of users in quotes.  A caller that knows more wraps it:
 * "start machine 'web': mount image '/x': no such file or directory".  Never
 * put a secret into a message. */
#ifndef NOMAD_ERROR_H
#define NOMAD_ERROR_H

#include "nomad/base.h"

NOMAD_BEGIN_DECLS

struct nomad_error;

/* Sets *err to the formatted message with code `errnum` (positive errno).
 * Returns -errnum.  The errno becomes the gRPC status that Nomad shows:
 * EINVAL, ENOENT, EEXIST, EACCES/EPERM, ENOSYS/EOPNOTSUPP, ECANCELED,
 * ETIMEDOUT and the exhausted resources (ENOMEM, ENOSPC, EMFILE, ...) each
 * have a status; all others are INTERNAL. */
int nomad_error_set(struct nomad_error **err, int errnum, const char *fmt, ...) NOMAD_PRINTF(3, 4);
/* Does the same and appends ": " and the system's text for errnum. */
int nomad_error_errno(struct nomad_error **err, int errnum, const char *fmt, ...) NOMAD_PRINTF(3, 4);
/* Puts "message: " in front of an error's text.  Returns the error's negative
 * errno, or -EINVAL if err or *err is NULL. */
int nomad_error_wrap(struct nomad_error **err, const char *fmt, ...) NOMAD_PRINTF(2, 3);
/* Marks the error as one that a later attempt may not meet.  Nomad then
 * applies the job's restart policy instead of failing the task permanently.
 * Returns the same as nomad_error_wrap(). */
int nomad_error_retryable(struct nomad_error **err);

/* Returns the text, borrowed from the error.  Never NULL: "out of memory" if the text could not be allocated. */
const char *nomad_error_message(const struct nomad_error *err);
/* Returns the positive errno; EIO for NULL. */
int nomad_error_code(const struct nomad_error *err);
/* Returns the id of the error's class ("nd-missing"), a static string.  The id
 * follows from the code, is the same in all versions, and is listed in the
 * manuals. */
const char *nomad_error_id(const struct nomad_error *err);
/* Returns whether nomad_error_retryable() has marked the error. */
bool nomad_error_is_retryable(const struct nomad_error *err);
/* Frees the error; accepts NULL. */
void nomad_error_free(struct nomad_error *err);
void nomad_autoerror_(struct nomad_error **err);

#define NOMAD_AUTO_ERROR NOMAD_CLEANUP(nomad_autoerror_)

NOMAD_END_DECLS

#endif
