/* SPDX-License-Identifier: MPL-2.0 */
#ifndef NOMADINIT_AZURE_H
#define NOMADINIT_AZURE_H

#include <stdbool.h>
#include <stddef.h>

/* The text of the first element of that name (with any prefix), its entities resolved and blanks around it removed.
 * False if there is none, or it does not fit. */
bool azure_xml_text(const char *xml, const char *name, char *buf, size_t size);
/* Writes text with & < > as entities; false if it does not fit. */
bool azure_xml_escape(const char *text, char *buf, size_t size);

#endif
