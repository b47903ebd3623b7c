/* SPDX-License-Identifier: MPL-2.0
 *
 * The table of error ids.  An id may get a better text, it never gets another
 * meaning, and none is ever used again. */
#include "base/error_class.h"

#include <errno.h>

#include "nomad/error.h"

const struct nomad__error_class nomad__error_classes[] = {
	{ "nd-invalid",
	  "The request is invalid: an option of the job or of the plugin has a wrong value, or two options exclude "
	  "each other.",
	  "Correct the option that the text names; `validate` checks a job without an agent, `schema` lists all "
	  "options.",
	  { EINVAL, E2BIG, ERANGE, ENAMETOOLONG, EDOM } },
	{ "nd-missing",
	  "Something required is missing: a file, an image, a program of the host, or the task itself.",
	  "Check that the object in the text exists on this node; `doctor` lists missing programs.",
	  { ENOENT, ENOTDIR, ESRCH, ENODEV, ENXIO } },
	{ "nd-exists",
	  "The object exists already and does not belong to this task.",
	  "Find its owner: `ps` lists tasks and their resources, `gc --dry-run` lists unclaimed leftovers.",
	  { EEXIST, EADDRINUSE } },
	{ "nd-denied",
	  "The system, a server or an option of the plugin forbids it.",
	  "Run the agent as root; check the plugin's policy options, or the credentials that the text names.",
	  { EACCES, EPERM, EROFS } },
	{ "nd-unsupported",
	  "This driver, this version of a program or this kernel cannot do it.",
	  "Remove the option, or update the program or kernel that the text names.",
	  { ENOSYS, EOPNOTSUPP, EAFNOSUPPORT } },
	{ "nd-cancelled",
	  "The caller cancelled the request, or the agent stopped.",
	  "No action is required.",
	  { ECANCELED, EINTR } },
	{ "nd-timeout",
	  "The operation did not end within its timeout.",
	  "Check the load of the host or of the server; some timeouts are options, which the text names.",
	  { ETIMEDOUT } },
	{ "nd-full",
	  "A resource of the host is exhausted: memory, disk space, quota, descriptors, processes.",
	  "Free the resource that the text names, or raise its limit.",
	  { ENOMEM, ENOSPC, EDQUOT, EMFILE, ENFILE, EAGAIN, ENOBUFS } },
	{ "nd-busy",
	  "The object is in use: a mount point, an image, a device.",
	  "Find the process that uses it (`fuser`, `findmnt`), and try again.",
	  { EBUSY, ETXTBSY } },
	{ "nd-network",
	  "A server is unreachable, or the connection was lost.",
	  "Check that the server runs and that this node can reach it.",
	  { ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ENOTCONN, EPIPE } },
	{ "nd-failed",
	  "A program or a system call failed for another reason, which the text gives.",
	  "Read the end of the text: it has the last lines of the program's output; the agent's log has more with "
	  "log_level DEBUG.",
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
