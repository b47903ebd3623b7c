/* SPDX-License-Identifier: MPL-2.0
 *
 * Numbers as HCL sees them: decimal, of any length.  What a 64-bit integer
 * or a double holds without loss travels as such, all else (0.1!) as text.
 * No conversion here can overflow: each is preceded by its range check. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/inner.h"

static size_t digits(const char *s, size_t size)
{
	size_t n = 0;

	while (n < size && s[n] >= '0' && s[n] <= '9')
		n++;
	return n;
}

/* [+-]?(D+.?D*|.D+)([eE][+-]?D+)?  and nothing around it, as cty has it. */
static bool is_decimal(const char *s, size_t size, bool *ret_integer)
{
	size_t i = 0, whole, fraction = 0, n;

	*ret_integer = true;
	if (i < size && (s[i] == '-' || s[i] == '+'))
		i++;
	whole = digits(s + i, size - i);
	i += whole;
	if (i < size && s[i] == '.') {
		*ret_integer = false;
		i++;
		fraction = digits(s + i, size - i);
		i += fraction;
	}
	if (whole + fraction == 0)
		return false;
	if (i < size && (s[i] == 'e' || s[i] == 'E')) {
		*ret_integer = false;
		i++;
		if (i < size && (s[i] == '+' || s[i] == '-'))
			i++;
		n = digits(s + i, size - i);
		if (n == 0)
			return false;
		i += n;
	}
	return i == size;
}

/* Digits without leading and trailing zeros, and where the point stands:
 * value = 0.DIGITS * 10^exponent.  False if the text is out of reason. */
static bool significant(const char *s, char *buf, size_t buf_size, long *ret_exponent)
{
	long exponent = 0, written;
	bool point = false;
	size_t n = 0;

	for (; *s && *s != 'e' && *s != 'E'; s++) {
		if (*s == '-' || *s == '+')
			continue;
		if (*s == '.') {
			point = true;
			continue;
		}
		if (n == 0 && *s == '0') {
			exponent -= point;
			continue;
		}
		if (n + 1 >= buf_size)
			return false;
		buf[n++] = *s;
		exponent += !point;
	}
	if (*s) {
		errno = 0;
		written = strtol(s + 1, NULL, 10);
		if (errno || written > 100000 || written < -100000)
			return false;
		exponent += written;
	}
	while (n > 0 && buf[n - 1] == '0')
		n--;
	buf[n] = '\0';
	*ret_exponent = n ? exponent : 0;
	return true;
}

/* Does the decimal text denote exactly this double?  printf() writes a
 * double's exact value if given the places: at most 767 digits matter. */
static bool is_exact(const char *text, double real)
{
	char all[800], want[800], got[800];
	long want_exponent, got_exponent;

	snprintf(all, sizeof(all), "%.780e", real);
	return significant(text, want, sizeof(want), &want_exponent) &&
	       significant(all, got, sizeof(got), &got_exponent) && want_exponent == got_exponent &&
	       strcmp(want, got) == 0;
}

/* Without libm: beyond 2^53 every double is a whole number. */
bool nomad__is_whole(double real)
{
	return isfinite(real) && (real >= 0x1p53 || real <= -0x1p53 || real == (double)(int64_t)real);
}

void nomad__number_from_double(double real, struct nomad__number *ret)
{
	*ret = (struct nomad__number){ .real = real, .exact = true };
	/* 2^63 itself is a double and does not fit. */
	if (nomad__is_whole(real) && real >= -0x1p63 && real < 0x1p63) {
		ret->is_int = true;
		ret->integer = (int64_t)real;
	}
}

int nomad__number_parse(const char *s, size_t size, struct nomad__number *ret)
{
	char text[NOMAD__NUMBER_MAX_TEXT], *end;
	struct nomad__number number = { .exact = true };
	bool integer;

	if (size >= sizeof(text) || !is_decimal(s, size, &integer))
		return -EINVAL;
	memcpy(text, s, size);
	text[size] = '\0';
	if (integer) {
		errno = 0;
		number.integer = strtoll(text, &end, 10);
		if (errno == 0) {
			number.is_int = true;
			number.real = (double)number.integer;
			*ret = number;
			return 0;
		}
	}
	number.real = strtod(text, &end);
	if (*end)
		return -EINVAL;
	if (!isfinite(number.real))
		return -ERANGE;
	number.exact = is_exact(text, number.real);
	if (number.exact)
		nomad__number_from_double(number.real, &number);
	*ret = number;
	return 0;
}

void nomad__number_text(const struct nomad__number *number, char text[NOMAD__NUMBER_MAX_TEXT])
{
	char shortest[40], d[40];
	long exponent, n;
	char *p = text;

	if (number->is_int) {
		snprintf(text, NOMAD__NUMBER_MAX_TEXT, "%" PRId64, number->integer);
		return;
	}
	if (!isfinite(number->real)) {
		strcpy(text, isnan(number->real) ? "nan" : number->real > 0 ? "inf" : "-inf");
		return;
	}
	if (number->exact && nomad__is_whole(number->real)) {
		snprintf(text, NOMAD__NUMBER_MAX_TEXT, "%.0f", number->real);
		return;
	}
	for (int places = 0; places < 17; places++) {
		snprintf(shortest, sizeof(shortest), "%.*e", places, number->real);
		if (strtod(shortest, NULL) == number->real)
			break;
	}
	if (!significant(shortest, d, sizeof(d), &exponent) || !d[0]) {
		strcpy(text, "0");
		return;
	}
	n = (long)strlen(d);
	if (signbit(number->real))
		*p++ = '-';
	if (exponent <= 0) {
		*p++ = '0';
		*p++ = '.';
		for (; exponent < 0; exponent++)
			*p++ = '0';
		memcpy(p, d, (size_t)n + 1);
		return;
	}
	for (long i = 0; i < exponent || i < n; i++) {
		if (i == exponent)
			*p++ = '.';
		*p++ = i < n ? d[i] : '0';
	}
	*p = '\0';
}

int nomad__number_pack(msgpack_packer *pk, const struct nomad__number *number)
{
	char text[NOMAD__NUMBER_MAX_TEXT];
	size_t length;

	if (number->is_int)
		return msgpack_pack_int64(pk, number->integer);
	if (number->exact && !nomad__is_whole(number->real))
		return msgpack_pack_double(pk, number->real);
	nomad__number_text(number, text);
	length = strlen(text);
	return msgpack_pack_str(pk, length) || msgpack_pack_str_body(pk, text, length) ? -1 : 0;
}
