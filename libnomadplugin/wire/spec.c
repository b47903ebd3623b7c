/* SPDX-License-Identifier: MPL-2.0
 *
 * The hclspec tree of schema/ as protobuf: ConfigSchema and
 * TaskConfigSchema answer with it.  Strings are shared with the tree; the
 * messages, arrays and map entries are of our own. */
#include "wire/spec.h"

#include <errno.h>
#include <stdlib.h>

static int convert(const struct nomad__spec *tree, Pb__Spec **ret);

static void object_free(Pb__Object *object)
{
	for (size_t i = 0; i < object->n_attributes; i++) {
		nomad__spec_message_free(object->attributes[i]->value);
		free(object->attributes[i]);
	}
	free(object->attributes);
}

void nomad__spec_message_free(Pb__Spec *spec)
{
	if (!spec)
		return;
	switch (spec->block_case) {
	case PB__SPEC__BLOCK_OBJECT:
		object_free(spec->object);
		free(spec->object);
		break;
	case PB__SPEC__BLOCK_ATTR:
		free(spec->attr);
		break;
	case PB__SPEC__BLOCK_BLOCK_VALUE:
		nomad__spec_message_free(spec->block_value->nested);
		free(spec->block_value);
		break;
	case PB__SPEC__BLOCK_BLOCK_ATTRS:
		free(spec->block_attrs);
		break;
	case PB__SPEC__BLOCK_BLOCK_LIST:
		nomad__spec_message_free(spec->block_list->nested);
		free(spec->block_list);
		break;
	case PB__SPEC__BLOCK_DEFAULT:
		nomad__spec_message_free(spec->default_->primary);
		nomad__spec_message_free(spec->default_->default_);
		free(spec->default_);
		break;
	case PB__SPEC__BLOCK_LITERAL:
		free(spec->literal);
		break;
	default:
		break;
	}
	free(spec);
}

/* An empty message that the caller frees. */
static void *new_message(const ProtobufCMessageDescriptor *type)
{
	void *message = malloc(type->sizeof_message);

	if (message)
		protobuf_c_message_init(type, message);
	return message;
}

static int object_fill(const struct nomad__spec *tree, Pb__Object *object)
{
	if (tree->n_children == 0)
		return 0;
	object->attributes = calloc(tree->n_children, sizeof(*object->attributes));
	if (!object->attributes)
		return -ENOMEM;
	for (size_t i = 0; i < tree->n_children; i++) {
		Pb__Object__AttributesEntry *entry = new_message(&pb__object__attributes_entry__descriptor);
		int r;

		if (!entry)
			return -ENOMEM;
		object->attributes[object->n_attributes++] = entry;
		entry->key = tree->children[i]->name;
		r = convert(tree->children[i], &entry->value);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct nomad__spec *child(const struct nomad__spec *tree, size_t i)
{
	return i < tree->n_children ? tree->children[i] : NULL;
}

static int convert(const struct nomad__spec *tree, Pb__Spec **ret)
{
	Pb__Spec *spec;

	if (!tree)
		return -EINVAL;
	*ret = spec = new_message(&pb__spec__descriptor); /* even if incomplete: the root frees all */
	if (!spec)
		return -ENOMEM;

#define NEW(member, type, which)                                                                                       \
	do {                                                                                                           \
		spec->member = new_message(&pb__##type##__descriptor);                                                 \
		if (!spec->member)                                                                                     \
			return -ENOMEM;                                                                                \
		spec->block_case = PB__SPEC__BLOCK_##which;                                                            \
	} while (0)

	switch (tree->kind) {
	case NOMAD__SPEC_OBJECT:
		NEW(object, object, OBJECT);
		return object_fill(tree, spec->object);
	case NOMAD__SPEC_ATTR:
		NEW(attr, attr, ATTR);
		spec->attr->name = tree->name;
		spec->attr->type = tree->type;
		spec->attr->required = tree->required;
		return 0;
	case NOMAD__SPEC_BLOCK:
		NEW(block_value, block, BLOCK_VALUE);
		spec->block_value->name = tree->name;
		spec->block_value->required = tree->required;
		return convert(child(tree, 0), &spec->block_value->nested);
	case NOMAD__SPEC_BLOCK_LIST:
		NEW(block_list, block_list, BLOCK_LIST);
		spec->block_list->name = tree->name;
		spec->block_list->min_items = tree->min_items;
		spec->block_list->max_items = tree->max_items;
		return convert(child(tree, 0), &spec->block_list->nested);
	case NOMAD__SPEC_BLOCK_ATTRS:
		NEW(block_attrs, block_attrs, BLOCK_ATTRS);
		spec->block_attrs->name = tree->name;
		spec->block_attrs->type = tree->type;
		spec->block_attrs->required = tree->required;
		return 0;
	case NOMAD__SPEC_DEFAULT: {
		int r;

		NEW(default_, default, DEFAULT);
		r = convert(child(tree, 0), &spec->default_->primary);
		return r < 0 ? r : convert(child(tree, 1), &spec->default_->default_);
	}
	case NOMAD__SPEC_LITERAL:
		NEW(literal, literal, LITERAL);
		spec->literal->value = tree->literal;
		return 0;
	}
#undef NEW
	return -EINVAL;
}

int nomad__spec_to_message(const struct nomad__spec *tree, Pb__Spec **ret, struct nomad_error **err)
{
	Pb__Spec *spec = NULL;
	int r = convert(tree, &spec);

	if (r < 0) {
		nomad__spec_message_free(spec);
		return nomad_error_errno(err, -r, "encode the schema");
	}
	*ret = spec;
	return 0;
}
