/* SPDX-License-Identifier: MPL-2.0
 *
 * base/error_class.h: the classes of errors: for each an id that stays the
 * same from version to version, what it means and what helps.  The manuals
 * are made of this table (`nomad-driver-NAME errors --pod`). */
#ifndef NOMAD_CORE_ERROR_CLASS_H
#define NOMAD_CORE_ERROR_CLASS_H

#include <stddef.h>

struct nomad__error_class {
	const char *id;
	const char *meaning, *remedy; /* whole sentences */
	int codes[8];		      /* positive errnos, closed by 0 */
};

/* The last one is for all codes that no other has. */
extern const struct nomad__error_class nomad__error_classes[];
extern const size_t nomad__error_classes_count;

/* Never NULL. */
const struct nomad__error_class *nomad__error_class_of(int errnum);

#endif
