/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/spec.h: the hclspec tree of schema/ as protobuf. */
#ifndef NOMAD_WIRE_SPEC_H
#define NOMAD_WIRE_SPEC_H

#include "schema/schema.h"
#include "wire/message.h"

/* *ret shares the strings of `tree`, which has to outlive it. */
int nomad__spec_to_message(const struct nomad__spec *tree, Pb__Spec **ret, struct nomad_error **err) NOMAD_MUST_CHECK;
void nomad__spec_message_free(Pb__Spec *spec);

#endif
