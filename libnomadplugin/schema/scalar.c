/* SPDX-License-Identifier: MPL-2.0
 *
 * msgpack -> one string, number or boolean, in each form that can mean it,
 * held to its row's bounds, choices and check.  decode.c says why. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

int nomad__not_a(struct nomad__decoder *d, const msgpack_object *value, const struct nomad__path *path,
		 const char *kind)
{
	char shown[NOMAD__SHOWN_MAX_TEXT];

	if (value->type == MSGPACK_OBJECT_EXT)
		return nomad__fault(d->err, d->what, path, "the value was not known when the task was started");
	nomad__show(value, path->secret, shown);
	return nomad__fault(d->err, d->what, path, "%s is not %s", shown, kind);
}

/* ---- Text ---- */

int nomad__check_text(struct nomad__decoder *d, const struct nomad_option *option, const char *s,
		      const struct nomad__path *path)
{
	char shown[NOMAD__SHOWN_MAX_TEXT], allowed[1024] = "";
	const char *const *choice = option->choices;
	const char *expected;
	size_t used = 0;

	nomad__show_string(s, strlen(s), path->secret, shown);
	for (; choice && *choice && strcmp(*choice, s) != 0; choice++) {
		int r = snprintf(allowed + used, sizeof(allowed) - used, "%s%s", used ? ", " : "", *choice);

		if (r > 0 && (size_t)r < sizeof(allowed) - used)
			used += (size_t)r;
	}
	if (choice && !*choice)
		return nomad__fault(d->err, d->what, path, "%s is not one of %s", shown, allowed);
	expected = option->check ? option->check(s) : NULL;
	if (expected)
		return nomad__fault(d->err, d->what, path, "%s is not %s", shown, expected);
	return 0;
}

int nomad__decode_text(struct nomad__decoder *d, const msgpack_object *value, const struct nomad__path *path,
		       char **ret)
{
	char text[NOMAD__NUMBER_MAX_TEXT];
	struct nomad__number number;
	const char *s = text;
	size_t size;
	char *copy;

	switch (value->type) {
	case MSGPACK_OBJECT_STR:
		s = nomad__bytes(&value->via.str);
		size = value->via.str.size;
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		s = value->via.boolean ? "true" : "false";
		size = strlen(s);
		break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		size = (size_t)snprintf(text, sizeof(text), "%" PRIu64, value->via.u64);
		break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		size = (size_t)snprintf(text, sizeof(text), "%" PRId64, value->via.i64);
		break;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		nomad__number_from_double(value->via.f64, &number);
		nomad__number_text(&number, text);
		size = strlen(text);
		break;
	default:
		return nomad__not_a(d, value, path, "a string");
	}
	copy = malloc(size + 1);
	if (!copy)
		return nomad__fault_memory(d->err, d->what);
	memcpy(copy, s, size);
	copy[size] = '\0';
	*ret = copy;
	return 0;
}

int nomad__decode_string(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			 const struct nomad__path *path, char **field)
{
	int r;

	r = nomad__decode_text(d, value, path, field);
	if (r < 0)
		return r;
	if (option->non_empty && !**field)
		return nomad__fault(d->err, d->what, path, "it must not be empty");
	return nomad__check_text(d, option, *field, path);
}

/* ---- Numbers and booleans ---- */

static bool number_of(const msgpack_object *value, struct nomad__number *ret)
{
	switch (value->type) {
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		if (value->via.u64 > INT64_MAX)
			*ret = (struct nomad__number){ .real = (double)value->via.u64 };
		else
			*ret = (struct nomad__number){ .is_int = true,
						       .integer = (int64_t)value->via.u64,
						       .real = (double)value->via.u64 };
		return true;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		*ret = (struct nomad__number){ .is_int = true,
					       .integer = value->via.i64,
					       .real = (double)value->via.i64 };
		return true;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		nomad__number_from_double(value->via.f64, ret);
		return isfinite(ret->real);
	case MSGPACK_OBJECT_STR:
		return nomad__number_parse(nomad__bytes(&value->via.str), value->via.str.size, ret) == 0;
	default:
		return false;
	}
}

static int out_of_bounds(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			 const struct nomad__path *path)
{
	char shown[NOMAD__SHOWN_MAX_TEXT];
	const char *blank = option->unit ? " " : "", *unit = option->unit ? option->unit : "";

	nomad__show(value, path->secret, shown);
	if (option->max == INT64_MAX)
		return nomad__fault(d->err, d->what, path, "%s is less than %" PRId64 "%s%s", shown, option->min, blank,
				    unit);
	if (option->min == INT64_MIN)
		return nomad__fault(d->err, d->what, path, "%s is more than %" PRId64 "%s%s", shown, option->max, blank,
				    unit);
	return nomad__fault(d->err, d->what, path, "%s is not between %" PRId64 " and %" PRId64 "%s%s", shown,
			    option->min, option->max, blank, unit);
}

static bool is_bounded(const struct nomad_option *option)
{
	return option->min != 0 || option->max != 0;
}

int nomad__decode_int(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
		      const struct nomad__path *path, int64_t *ret)
{
	char shown[NOMAD__SHOWN_MAX_TEXT];
	struct nomad__number number;

	if (!number_of(value, &number) || (!number.is_int && !nomad__is_whole(number.real)))
		return nomad__not_a(d, value, path, "a whole number");
	if (is_bounded(option) && (!number.is_int || number.integer < option->min || number.integer > option->max))
		return out_of_bounds(d, option, value, path);
	/* The smallest one means "not given". */
	if (!number.is_int || number.integer == NOMAD_INT_UNSET) {
		nomad__show(value, path->secret, shown);
		return nomad__fault(d->err, d->what, path, "%s is out of range", shown);
	}
	*ret = number.integer;
	return 0;
}

int nomad__decode_number(struct nomad__decoder *d, const struct nomad_option *option, const msgpack_object *value,
			 const struct nomad__path *path, double *ret)
{
	struct nomad__number number;

	if (!number_of(value, &number))
		return nomad__not_a(d, value, path, "a number");
	if (is_bounded(option) &&
	    (number.is_int ? number.integer < option->min || number.integer > option->max
			   : number.real < (double)option->min || number.real > (double)option->max))
		return out_of_bounds(d, option, value, path);
	*ret = number.real;
	return 0;
}

int nomad__decode_bool(struct nomad__decoder *d, const msgpack_object *value, const struct nomad__path *path, bool *ret)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = { { "true", true }, { "false", false }, { "1", true }, { "0", false } };

	if (value->type == MSGPACK_OBJECT_BOOLEAN) {
		*ret = value->via.boolean;
		return 0;
	}
	for (size_t i = 0; value->type == MSGPACK_OBJECT_STR && i < NOMAD_ARRAY_LEN(words); i++)
		if (value->via.str.size == strlen(words[i].text) &&
		    memcmp(value->via.str.ptr, words[i].text, value->via.str.size) == 0) {
			*ret = words[i].value;
			return 0;
		}
	return nomad__not_a(d, value, path, "true or false");
}
