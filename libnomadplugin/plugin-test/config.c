/* SPDX-License-Identifier: MPL-2.0
 *
 * A job's config by a plugin's hclspec, as Nomad encodes it: every key of an object, null where nothing is given,
 * defaults in their place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin-test/host.h"
#include "schema/inner.h"

struct packer {
	msgpack_packer pk;
	struct nomad_error **err;
	int result;
};

static void pack(struct packer *p, const Pb__Spec *spec, const char *key, const json_t *body);

static void pack_text(struct packer *p, const char *s)
{
	msgpack_pack_str(&p->pk, strlen(s));
	msgpack_pack_str_body(&p->pk, s, strlen(s));
}

static void pack_json(struct packer *p, const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_OBJECT:
		msgpack_pack_map(&p->pk, json_object_size(value));
		json_object_foreach((json_t *)value, key, item)
		{
			pack_text(p, key);
			pack_json(p, item);
		}
		break;
	case JSON_ARRAY:
		msgpack_pack_array(&p->pk, json_array_size(value));
		json_array_foreach(value, i, item) pack_json(p, item);
		break;
	case JSON_STRING:
		pack_text(p, json_string_value(value));
		break;
	case JSON_INTEGER:
		msgpack_pack_int64(&p->pk, json_integer_value(value));
		break;
	case JSON_REAL:
		msgpack_pack_double(&p->pk, json_real_value(value));
		break;
	case JSON_TRUE:
		msgpack_pack_true(&p->pk);
		break;
	case JSON_FALSE:
		msgpack_pack_false(&p->pk);
		break;
	default:
		msgpack_pack_nil(&p->pk);
	}
}

/* One block: Nomad's parser makes a list of each. */
static const json_t *block(const json_t *value, size_t i)
{
	return json_is_array(value) ? json_array_get(value, i) : i == 0 ? value : NULL;
}

static size_t blocks(const json_t *value)
{
	return json_is_array(value) ? json_array_size(value) : value ? 1 : 0;
}

static void pack_object(struct packer *p, const Pb__Object *object, const json_t *body)
{
	msgpack_pack_map(&p->pk, object->n_attributes);
	for (size_t i = 0; i < object->n_attributes; i++) {
		pack_text(p, object->attributes[i]->key);
		pack(p, object->attributes[i]->value, object->attributes[i]->key, body);
	}
}

static void pack_list(struct packer *p, const json_t *value, const Pb__Spec *nested)
{
	msgpack_pack_array(&p->pk, blocks(value));
	for (size_t i = 0; i < blocks(value); i++)
		pack(p, nested, "", block(value, i));
}

static const json_t *member(const json_t *body, const char *name, const char *key)
{
	return json_object_get(body, name && *name ? name : key);
}

/* Whether the primary of a default has a value. */
static bool given(const Pb__Spec *spec, const char *key, const json_t *body)
{
	const json_t *value =
		spec->block_case == PB__SPEC__BLOCK_ATTR	  ? member(body, spec->attr->name, key)
		: spec->block_case == PB__SPEC__BLOCK_BLOCK_VALUE ? member(body, spec->block_value->name, key)
		: spec->block_case == PB__SPEC__BLOCK_BLOCK_ATTRS ? member(body, spec->block_attrs->name, key)
								  : json_null();

	return value && !json_is_null(value);
}

static void pack(struct packer *p, const Pb__Spec *spec, const char *key, const json_t *body)
{
	const json_t *value;

	switch ((int)spec->block_case) {
	case PB__SPEC__BLOCK_OBJECT:
		pack_object(p, spec->object, body);
		break;
	case PB__SPEC__BLOCK_ATTR:
		value = member(body, spec->attr->name, key);
		if (!value && spec->attr->required && p->result >= 0)
			p->result =
				nomad_error_set(p->err, EINVAL, "the job's config has no '%s', which is required", key);
		/* A literal { } arrives as a list of one. */
		if (json_is_object(value) && strncmp(spec->attr->type, "list(map", 8) == 0)
			msgpack_pack_array(&p->pk, 1);
		pack_json(p, value);
		break;
	case PB__SPEC__BLOCK_BLOCK_VALUE:
		value = block(member(body, spec->block_value->name, key), 0);
		if (value)
			pack(p, spec->block_value->nested, key, value);
		else
			msgpack_pack_nil(&p->pk);
		break;
	case PB__SPEC__BLOCK_BLOCK_ATTRS:
		pack_json(p, block(member(body, spec->block_attrs->name, key), 0));
		break;
	case PB__SPEC__BLOCK_BLOCK_LIST:
		pack_list(p, member(body, spec->block_list->name, key), spec->block_list->nested);
		break;
	case PB__SPEC__BLOCK_BLOCK_SET:
		pack_list(p, member(body, spec->block_set->name, key), spec->block_set->nested);
		break;
	case PB__SPEC__BLOCK_DEFAULT:
		pack(p, given(spec->default_->primary, key, body) ? spec->default_->primary : spec->default_->default_,
		     key, body);
		break;
	case PB__SPEC__BLOCK_LITERAL:
		if (p->result >= 0)
			p->result = nomad__literal_pack(&p->pk, spec->literal->value, p->err);
		break;
	default: /* block maps and arrays: an empty one */
		msgpack_pack_map(&p->pk, 0);
	}
}

int config_pack(const Pb__Spec *spec, const json_t *config, void **ret, size_t *ret_size, struct nomad_error **err)
{
	struct packer p = { .err = err };
	msgpack_sbuffer buffer;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&p.pk, &buffer, msgpack_sbuffer_write);
	pack(&p, spec, "", config);
	*ret_size = buffer.size;
	*ret = msgpack_sbuffer_release(&buffer);
	return p.result;
}

const char *config_spec_fault(const Pb__Spec *spec, int depth)
{
	const char *fault = NULL;

	if (!spec || depth > 16)
		return "a part of it is empty or nested too deeply";
	switch ((int)spec->block_case) {
	case PB__SPEC__BLOCK_OBJECT:
		for (size_t i = 0; i < spec->object->n_attributes && !fault; i++)
			fault = config_spec_fault(spec->object->attributes[i]->value, depth + 1);
		return fault;
	case PB__SPEC__BLOCK_ATTR:
		return *spec->attr->type ? NULL : "an attribute has no type";
	case PB__SPEC__BLOCK_BLOCK_VALUE:
		return config_spec_fault(spec->block_value->nested, depth + 1);
	case PB__SPEC__BLOCK_BLOCK_LIST:
		return config_spec_fault(spec->block_list->nested, depth + 1);
	case PB__SPEC__BLOCK_BLOCK_ATTRS:
		return *spec->block_attrs->type ? NULL : "free attributes have no type";
	case PB__SPEC__BLOCK_DEFAULT:
		/* Within a default, the name is not taken from the key. */
		if (spec->default_->primary && spec->default_->primary->block_case == PB__SPEC__BLOCK_ATTR &&
		    !*spec->default_->primary->attr->name)
			return "an attribute with a default has no name";
		fault = config_spec_fault(spec->default_->primary, depth + 1);
		return fault ? fault : config_spec_fault(spec->default_->default_, depth + 1);
	case PB__SPEC__BLOCK__NOT_SET:
		return "a part of it has an unknown kind";
	default:
		return NULL;
	}
}
