/* SPDX-License-Identifier: MPL-2.0
 *
 * Errors as the host sees them: a code, a text, and a detail for the one
 * property that Nomad acts on: a later attempt may succeed.
 *
 * The detail travels in the trailer grpc-status-details-bin: a
 * google.rpc.Status whose first detail is a RecoverableError.  Its code has
 * to equal grpc-status, or grpc-go makes INTERNAL of the whole. */
#include "wire/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

#define RECOVERABLE_URL "type.googleapis.com/hashicorp.nomad.plugins.shared.structs.RecoverableError"

enum {
	MESSAGE_MAX = 4096, /* it becomes an HTTP/2 header */
	ID_MAX = 32,
};

grpc_status_code nomad__status_code(int errnum)
{
	switch (errnum) {
	case EINVAL:
		return GRPC_STATUS_INVALID_ARGUMENT;
	case ENOENT:
		return GRPC_STATUS_NOT_FOUND;
	case EEXIST:
		return GRPC_STATUS_ALREADY_EXISTS;
	case EACCES:
	case EPERM:
		return GRPC_STATUS_PERMISSION_DENIED;
	case ENOSYS:
	case EOPNOTSUPP:
		return GRPC_STATUS_UNIMPLEMENTED;
	case ECANCELED:
		return GRPC_STATUS_CANCELLED;
	case ETIMEDOUT:
		return GRPC_STATUS_DEADLINE_EXCEEDED;
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
	case ENOBUFS:
		return GRPC_STATUS_RESOURCE_EXHAUSTED;
	default:
		return GRPC_STATUS_INTERNAL;
	}
}

const char *nomad__status_name(grpc_status_code code)
{
	static const char *const names[] = {
		"OK",	     "CANCELLED",	"UNKNOWN",	     "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
		"NOT_FOUND", "ALREADY_EXISTS",	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
		"ABORTED",   "OUT_OF_RANGE",	"UNIMPLEMENTED",     "INTERNAL",	   "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED",
	};

	return (size_t)code < NOMAD_ARRAY_LEN(names) ? names[code] : "UNKNOWN";
}

void nomad__status_set(struct nomad__status *ret, grpc_status_code code, const char *message)
{
	size_t size = strlen(message);

	*ret = (struct nomad__status){ .code = code, .message = strndup(message, MESSAGE_MAX) };
	if (!ret->message)
		return;
	if (size > MESSAGE_MAX) {
		/* Not in the middle of a character. */
		size = MESSAGE_MAX;
		while (size > MESSAGE_MAX - 4 && ((unsigned char)message[size] & 0xc0) == 0x80)
			size--;
		ret->message[size] = '\0';
	}
	nomad__utf8_repair(ret->message);
}

static void *details_alloc(void *ud, size_t size)
{
	struct nomad__status *status = ud;

	status->details = malloc(size);
	status->details_size = size;
	return status->details;
}

void nomad__status_of(const struct nomad_error *err, struct nomad__status *ret)
{
	Pb__RecoverableError recoverable = PB__RECOVERABLE_ERROR__INIT;
	Pb__Any any = PB__ANY__INIT, *details[] = { &any };
	Pb__Status status = PB__STATUS__INIT;
	uint8_t value[8];
	NOMAD_AUTO_FREE char *text =
		nomad_strdupf("%.*s [%s]", MESSAGE_MAX - ID_MAX, nomad_error_message(err), nomad_error_id(err));

	nomad__status_set(ret, nomad__status_code(nomad_error_code(err)), text ? text : nomad_error_message(err));
	if (!nomad_error_is_retryable(err))
		return;

	ret->code = GRPC_STATUS_FAILED_PRECONDITION; /* as Nomad's own */
	recoverable.recoverable = true;
	any.type_url = (char *)RECOVERABLE_URL;
	any.value.data = value;
	any.value.len = pb__recoverable_error__pack(&recoverable, value);
	status.code = ret->code;
	status.message = ret->message ? ret->message : (char *)"";
	status.details = details;
	status.n_details = 1;
	if (nomad__message_pack(&status.base, details_alloc, ret) < 0)
		ret->details = NULL; /* then it is a plain error */
}

void nomad__status_done(struct nomad__status *status)
{
	free(status->message);
	free(status->details);
	*status = (struct nomad__status){ 0 };
}
