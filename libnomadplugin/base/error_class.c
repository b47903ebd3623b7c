/* SPDX-License-Identifier: MPL-2.0
 *
 * The table of error ids.  An id may get a better text, it never gets another
 * meaning, and none is ever used again. */
#include "base/error_class.h"

#include <errno.h>

#include "nomad/error.h"

const struct nomad__error_class nomad__error_classes[] = {
	{ "nd-invalid",
	  "What was asked for is wrong: an option of the job or of the plugin, or two that exclude each other.",
	  "Correct what the text names; `validate` checks a job without an agent, `schema` lists what may be said.",
	  { EINVAL, E2BIG, ERANGE, ENAMETOOLONG, EDOM } },
	{ "nd-missing",
	  "Something that is needed is not there: a file, an image, a program of the host, or the task itself.",
	  "See that what the text names exists on this node; `doctor` lists the programs that are missing.",
	  { ENOENT, ENOTDIR, ESRCH, ENODEV, ENXIO } },
	{ "nd-exists",
	  "Something that was to be made is there already, and not from this task.",
	  "Find out whose it is; `ps` shows what tasks hold, `gc --dry-run` what nobody claims.",
	  { EEXIST, EADDRINUSE } },
	{ "nd-denied",
	  "The system, a server or an option of the plugin forbids it.",
	  "Run the agent as root; see the plugin options that allow things, or the credentials that the text names.",
	  { EACCES, EPERM, EROFS } },
	{ "nd-unsupported",
	  "This driver, this version of a program or this kernel cannot do it.",
	  "Leave the option out, or update what the text names.",
	  { ENOSYS, EOPNOTSUPP, EAFNOSUPPORT } },
	{ "nd-cancelled",
	  "Whoever asked has taken it back: the agent stopped, or the call was cancelled.",
	  "Nothing is to be done.",
	  { ECANCELED, EINTR } },
	{ "nd-timeout",
	  "It took longer than it may.",
	  "Look at the load of the host or of the server; some limits are options, and the text says which.",
	  { ETIMEDOUT } },
	{ "nd-full",
	  "Something of the host is used up: memory, disk space, quota, descriptors, processes.",
	  "Free what the text names, or raise its limit.",
	  { ENOMEM, ENOSPC, EDQUOT, EMFILE, ENFILE, EAGAIN, ENOBUFS } },
	{ "nd-busy",
	  "Something is in use by others: a mount point, an image, a device.",
	  "Find its user (`fuser`, `findmnt`), and try again.",
	  { EBUSY, ETXTBSY } },
	{ "nd-network",
	  "A server could not be reached, or the connection broke.",
	  "See that it runs and that this node reaches it.",
	  { ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ENOTCONN, EPIPE } },
	{ "nd-failed",
	  "A program or a system call failed for a reason of its own, which the text tells.",
	  "Read the text to its end: it holds the last lines of the program; the agent's log has more with log_level "
	  "DEBUG.",
	  { EIO } },
};
const size_t nomad__error_classes_count = NOMAD_ARRAY_LEN(nomad__error_classes);

const struct nomad__error_class *nomad__error_class_of(int errnum)
{
	for (size_t i = 0; i < nomad__error_classes_count; i++)
		for (size_t j = 0; j < NOMAD_ARRAY_LEN(nomad__error_classes[i].codes); j++) {
			if (!nomad__error_classes[i].codes[j])
				break;
			if (nomad__error_classes[i].codes[j] == errnum)
				return &nomad__error_classes[i];
		}
	return &nomad__error_classes[nomad__error_classes_count - 1];
}

const char *nomad_error_id(const struct nomad_error *err)
{
	return nomad__error_class_of(nomad_error_code(err))->id;
}
