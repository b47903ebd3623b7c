/* SPDX-License-Identifier: MPL-2.0 */
/* gzip (RFC 1952) around deflate (RFC 1951): canonical Huffman codes, read bit by bit.  Small, not fast: user-data has
 * some kilobytes. */
#include "userdata.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gpt.h"

#define MAX_BITS 15

struct inflate {
	const uint8_t *in, *end;
	uint32_t bits;
	unsigned int n_bits;
	uint8_t *out;
	size_t len, room, max;
	int error;
};

/* Symbols by length and value: count[n] codes have n bits. */
struct code {
	uint16_t count[MAX_BITS + 1], symbol[288];
};

static int bad(struct inflate *z, int error)
{
	if (!z->error)
		z->error = error;
	return 0;
}

/* 0 beyond the end, with the error set. */
static unsigned int take_bits(struct inflate *z, unsigned int n)
{
	unsigned int v;

	while (z->n_bits < n) {
		if (z->in >= z->end)
			return (unsigned int)bad(z, -EBADMSG);
		z->bits |= (uint32_t)*z->in++ << z->n_bits;
		z->n_bits += 8;
	}
	v = z->bits & ((1u << n) - 1);
	z->bits >>= n;
	z->n_bits -= n;
	return v;
}

static void put_byte(struct inflate *z, uint8_t byte)
{
	if (z->len == z->room) {
		size_t room = z->room ? z->room * 2 : 4096;
		uint8_t *larger;

		if (z->len >= z->max) {
			bad(z, -EFBIG);
			return;
		}
		larger = realloc(z->out, room + 1);
		if (!larger) {
			bad(z, -ENOMEM);
			return;
		}
		z->out = larger;
		z->room = room;
	}
	if (z->len >= z->max)
		bad(z, -EFBIG);
	else
		z->out[z->len++] = byte;
}

/* An over-subscribed set is an error; an incomplete one fails where a code is read that is not there. */
static bool make_code(struct code *c, const uint8_t *lengths, unsigned int n)
{
	uint16_t at[MAX_BITS + 2] = { 0 };
	unsigned int i;
	int left = 1;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < n; i++)
		c->count[lengths[i]]++;
	c->count[0] = 0;
	for (i = 1; i <= MAX_BITS; i++) {
		left = left * 2 - c->count[i];
		if (left < 0)
			return false;
		at[i + 1] = (uint16_t)(at[i] + c->count[i]);
	}
	for (i = 0; i < n; i++)
		if (lengths[i])
			c->symbol[at[lengths[i]]++] = (uint16_t)i;
	return true;
}

static unsigned int take_symbol(struct inflate *z, const struct code *c)
{
	int value = 0, first = 0, index = 0;
	unsigned int n;

	for (n = 1; n <= MAX_BITS && !z->error; n++) {
		value |= (int)take_bits(z, 1);
		if (value - c->count[n] < first)
			return c->symbol[index + value - first];
		index += c->count[n];
		first = (first + c->count[n]) << 1;
		value <<= 1;
	}
	return (unsigned int)bad(z, -EBADMSG);
}

static void copy_back(struct inflate *z, unsigned int symbol, const struct code *distances)
{
	static const uint16_t length_base[] = { 3,  4,	5,  6,	7,  8,	9,  10, 11,  13,  15,  17,  19,	 23, 27,
						31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258 };
	static const uint8_t length_bits[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
					       2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
	static const uint16_t distance_base[] = { 1,	2,    3,    4,	  5,	7,    9,    13,	   17,	  25,
						  33,	49,   65,   97,	  129,	193,  257,  385,   513,	  769,
						  1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };
	unsigned int length, distance;

	symbol -= 257;
	if (symbol >= NOMAD_ARRAY_LEN(length_base)) {
		bad(z, -EBADMSG);
		return;
	}
	length = length_base[symbol] + take_bits(z, length_bits[symbol]);
	symbol = take_symbol(z, distances);
	if (z->error || symbol >= NOMAD_ARRAY_LEN(distance_base)) {
		bad(z, -EBADMSG);
		return;
	}
	distance = distance_base[symbol] + take_bits(z, symbol < 2 ? 0 : symbol / 2 - 1);
	if (distance > z->len)
		bad(z, -EBADMSG);
	while (length-- > 0 && !z->error)
		put_byte(z, z->out[z->len - distance]);
}

static void inflate_codes(struct inflate *z, const struct code *literals, const struct code *distances)
{
	unsigned int symbol;

	while (!z->error) {
		symbol = take_symbol(z, literals);
		if (z->error || symbol == 256)
			return;
		if (symbol < 256)
			put_byte(z, (uint8_t)symbol);
		else
			copy_back(z, symbol, distances);
	}
}

static void inflate_fixed(struct inflate *z)
{
	struct code literals, distances;
	uint8_t lengths[288];

	memset(lengths, 8, 144);
	memset(lengths + 144, 9, 112);
	memset(lengths + 256, 7, 24);
	memset(lengths + 280, 8, 8);
	make_code(&literals, lengths, 288);
	memset(lengths, 5, 30);
	make_code(&distances, lengths, 30);
	inflate_codes(z, &literals, &distances);
}

static void inflate_dynamic(struct inflate *z)
{
	static const uint8_t order[] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
	unsigned int n_literals = take_bits(z, 5) + 257, n_distances = take_bits(z, 5) + 1,
		     n_codes = take_bits(z, 4) + 4;
	unsigned int i, n = 0, symbol, repeat;
	uint8_t lengths[320 + 138] = { 0 }, value;
	struct code code, literals, distances;

	for (i = 0; i < n_codes; i++)
		lengths[order[i]] = (uint8_t)take_bits(z, 3);
	if (z->error || n_literals > 286 || n_distances > 30 || !make_code(&code, lengths, 19)) {
		bad(z, -EBADMSG);
		return;
	}
	memset(lengths, 0, sizeof(lengths));
	while (n < n_literals + n_distances && !z->error) {
		symbol = take_symbol(z, &code);
		value = symbol < 16 ? (uint8_t)symbol : 0;
		if (symbol == 16 && n == 0)
			bad(z, -EBADMSG);
		else if (symbol == 16)
			value = lengths[n - 1];
		repeat = symbol < 16	? 1
			 : symbol == 16 ? 3 + take_bits(z, 2)
			 : symbol == 17 ? 3 + take_bits(z, 3)
					: 11 + take_bits(z, 7);
		memset(lengths + n, value, repeat);
		n += repeat;
	}
	if (z->error || n > n_literals + n_distances || !make_code(&literals, lengths, n_literals) ||
	    !make_code(&distances, lengths + n_literals, n_distances))
		bad(z, -EBADMSG);
	else
		inflate_codes(z, &literals, &distances);
}

static void inflate_stored(struct inflate *z)
{
	size_t n;

	z->n_bits = z->bits = 0;
	if (z->end - z->in < 4 || (z->in[0] ^ z->in[2]) != 0xff || (z->in[1] ^ z->in[3]) != 0xff) {
		bad(z, -EBADMSG);
		return;
	}
	n = (size_t)(z->in[0] | z->in[1] << 8);
	z->in += 4;
	if (n > (size_t)(z->end - z->in))
		bad(z, -EBADMSG);
	while (n-- > 0 && !z->error)
		put_byte(z, *z->in++);
}

/* Behind the header, or NULL. */
static const uint8_t *skip_header(const uint8_t *p, const uint8_t *end)
{
	unsigned int flags, i;

	if (end - p < 18 || p[0] != 0x1f || p[1] != 0x8b || p[2] != 8)
		return NULL;
	flags = p[3];
	p += 10;
	if (flags & 4) {
		if (end - p < 2 || end - p < 2 + (p[0] | p[1] << 8))
			return NULL;
		p += 2 + (p[0] | p[1] << 8);
	}
	/* File name, comment. */
	for (i = 8; i <= 16; i *= 2) {
		if (!(flags & i))
			continue;
		p = memchr(p, 0, (size_t)(end - p));
		if (!p++)
			return NULL;
	}
	if (flags & 2)
		p += 2;
	return p < end ? p : NULL;
}

int userdata_gunzip(const char *data, size_t len, size_t max, char **ret, size_t *ret_len)
{
	struct inflate z = { .in = (const uint8_t *)data, .end = (const uint8_t *)data + len, .max = max };
	bool is_last = false;
	uint32_t crc;

	z.in = skip_header(z.in, z.end);
	if (!z.in)
		return -EBADMSG;
	while (!is_last && !z.error) {
		is_last = take_bits(&z, 1);
		switch (take_bits(&z, 2)) {
		case 0:
			inflate_stored(&z);
			break;
		case 1:
			inflate_fixed(&z);
			break;
		case 2:
			inflate_dynamic(&z);
			break;
		default:
			bad(&z, -EBADMSG);
		}
	}
	z.in -= z.n_bits / 8;
	if (!z.error && (z.end - z.in < 8 || !z.out))
		z.error = -EBADMSG;
	if (!z.error) {
		crc = z.in[0] | (uint32_t)z.in[1] << 8 | (uint32_t)z.in[2] << 16 | (uint32_t)z.in[3] << 24;
		if (crc != gpt_crc32(z.out, z.len))
			z.error = -EBADMSG;
	}
	if (z.error) {
		free(z.out);
		return z.error;
	}
	z.out[z.len] = '\0';
	*ret = (char *)z.out;
	*ret_len = z.len;
	return 0;
}
