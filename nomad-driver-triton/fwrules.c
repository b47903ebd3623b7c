/* SPDX-License-Identifier: MPL-2.0
 *
 * The language of firewall rules.
 *
 *	FROM targets TO targets ALLOW|BLOCK protocol what [PRIORITY n]
 *
 * The server keeps no text: it answers in a canonical form of its own.  To
 * find a rule again, both the text of the job and that of the server are
 * brought into our canonical form, which follows the server's; as both sides
 * pass through here, a difference in taste does no harm.
 *
 * The parser goes once through the text, holds a bounded number of targets
 * and ports, and keeps what it has in arrays that are sorted at the end.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "fwrules.h"
#include "text.h"

enum { TARGETS_MAX = 24, PORTS_MAX = 24, RULE_MAX = 8192 };

enum kind { ANY, ALL_VMS, IP, SUBNET, TAG, VM };

struct target {
	enum kind kind;
	char *key, *value; /* TAG: both or key; others: value */
};

struct range {
	int from, to; /* -1: all; ICMP: type and code (-1: none) */
};

struct rule {
	struct target targets[2][TARGETS_MAX];
	size_t n_targets[2];
	struct range ports[PORTS_MAX];
	size_t n_ports;
	bool block;
	char protocol[8];
	int priority;
};

struct parser {
	const char *at;
	char token[1100];
	bool quoted; /* the token was a string */
	bool end;
	const char *wrong; /* static text of what is expected */
};

static const char no_memory[] = "more memory";

static void fail(struct parser *parser, const char *expected)
{
	if (!parser->wrong)
		parser->wrong = expected;
	parser->end = true;
	parser->token[0] = '\0';
}

static void next(struct parser *parser)
{
	size_t n = 0;

	parser->quoted = false;
	parser->token[0] = '\0';
	while (isspace((unsigned char)*parser->at))
		parser->at++;
	if (parser->wrong || !*parser->at) {
		parser->end = true;
		return;
	}
	if (strchr("()=,", *parser->at)) {
		parser->token[0] = *parser->at++;
		parser->token[1] = '\0';
		return;
	}
	if (*parser->at == '"') {
		parser->quoted = true;
		for (parser->at++; *parser->at != '"'; parser->at++) {
			if (*parser->at == '\\' && parser->at[1])
				parser->at++;
			if (!*parser->at) {
				fail(parser, "a closing quote");
				return;
			}
			if (n + 1 >= sizeof(parser->token)) {
				fail(parser, "a shorter name of a tag");
				return;
			}
			parser->token[n++] = *parser->at;
		}
		parser->at++;
		parser->token[n] = '\0';
		return;
	}
	while (*parser->at && !isspace((unsigned char)*parser->at) && !strchr("()=,\"", *parser->at)) {
		if (n + 1 >= sizeof(parser->token)) {
			fail(parser, "a shorter word");
			return;
		}
		parser->token[n++] = *parser->at++;
	}
	parser->token[n] = '\0';
}

/* A keyword is all upper or all lower case. */
static bool is(const struct parser *parser, const char *word)
{
	bool upper = true, lower = true;

	if (parser->end || parser->quoted || strcasecmp(parser->token, word) != 0)
		return false;
	for (const char *p = parser->token; *p; p++) {
		upper &= !islower((unsigned char)*p);
		lower &= !isupper((unsigned char)*p);
	}
	return upper || lower;
}

static bool take(struct parser *parser, const char *word)
{
	if (!is(parser, word))
		return false;
	next(parser);
	return true;
}

static int number(struct parser *parser, int min, int max, const char *expected)
{
	char *end;
	long n;

	if (parser->end || parser->quoted || !isdigit((unsigned char)parser->token[0]) || strlen(parser->token) > 6) {
		fail(parser, expected);
		return 0;
	}
	n = strtol(parser->token, &end, 10);
	if (*end || n < min || n > max) {
		fail(parser, expected);
		return 0;
	}
	next(parser);
	return (int)n;
}

static char *keep(struct parser *parser, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		fail(parser, no_memory);
	return copy;
}

/* The address in its usual spelling, so that 2001:DB8::0 and 2001:db8:: are one. */
static void address(struct parser *parser, struct target *target, bool subnet)
{
	static const char expected[] = "an IP address", expected_net[] = "a subnet such as 10.0.0.0/8";
	unsigned char raw[16];
	char text[INET6_ADDRSTRLEN], out[INET6_ADDRSTRLEN + 8];
	char *slash = strchr(parser->token, '/');
	long bits = 0;
	int family;
	char *end;

	if (parser->end || !!slash != subnet) {
		fail(parser, subnet ? expected_net : expected);
		return;
	}
	if (slash) {
		*slash = '\0';
		bits = isdigit((unsigned char)slash[1]) ? strtol(slash + 1, &end, 10) : -1;
	}
	family = strchr(parser->token, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, parser->token, raw) != 1 || !inet_ntop(family, raw, text, sizeof(text)) ||
	    (subnet && (bits < 0 || *end || bits > (family == AF_INET ? 32 : 128)))) {
		fail(parser, subnet ? expected_net : expected);
		return;
	}
	if (subnet)
		snprintf(out, sizeof(out), "%s/%ld", text, bits);
	else
		snprintf(out, sizeof(out), "%s", text);
	target->value = keep(parser, out);
	next(parser);
}

static void parse_target(struct parser *parser, struct target *target)
{
	if (take(parser, "any")) {
		target->kind = ANY;
	} else if (take(parser, "all")) {
		target->kind = ALL_VMS;
		if (!take(parser, "vms"))
			fail(parser, "'all vms'");
	} else if (take(parser, "ip")) {
		target->kind = IP;
		address(parser, target, false);
	} else if (take(parser, "subnet")) {
		target->kind = SUBNET;
		address(parser, target, true);
	} else if (take(parser, "vm")) {
		target->kind = VM;
		for (char *p = parser->token; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!triton_is_uuid(parser->token)) {
			fail(parser, "the UUID of a vm");
			return;
		}
		target->value = keep(parser, parser->token);
		next(parser);
	} else if (take(parser, "tag")) {
		target->kind = TAG;
		if (parser->end ||
		    (!parser->quoted && !isalnum((unsigned char)*parser->token) && !strchr("-_", *parser->token))) {
			fail(parser, "the name of a tag");
			return;
		}
		target->key = keep(parser, parser->token);
		next(parser);
		if (!parser->quoted && take(parser, "=")) {
			if (parser->end || (!parser->quoted && strchr("()=,", *parser->token))) {
				fail(parser, "the value of a tag");
				return;
			}
			target->value = keep(parser, parser->token);
			next(parser);
		}
	} else {
		fail(parser, "a target: any, all vms, ip, subnet, tag or vm");
	}
}

static void parse_targets(struct parser *parser, struct rule *rule, int side)
{
	bool several = take(parser, "(");

	do {
		if (rule->n_targets[side] == TARGETS_MAX) {
			fail(parser, "at most 24 targets a side");
			return;
		}
		/* Counted first: what a target holds is freed with the rule. */
		parse_target(parser, &rule->targets[side][rule->n_targets[side]++]);
	} while (several && take(parser, "OR"));
	if (several && !take(parser, ")"))
		fail(parser, "OR or a closing parenthesis");
}

static void add_port(struct parser *parser, struct rule *rule, int from, int to)
{
	if (rule->n_ports == PORTS_MAX) {
		fail(parser, "at most 24 ports");
		return;
	}
	rule->ports[rule->n_ports++] = (struct range){ from, to };
}

/* "80", "80 - 90", "80-90": the blanks are a matter of taste. */
static void parse_range(struct parser *parser, struct rule *rule)
{
	static const char expected[] = "ports such as 80, 8000 - 8080";
	char *dash = parser->quoted ? NULL : strchr(parser->token, '-');
	int from, to;

	if (dash && dash != parser->token) {
		const char *rest = dash + 1;

		*dash = '\0';
		from = triton_parse_port(parser->token);
		if (*rest) {
			to = triton_parse_port(rest);
			next(parser);
		} else {
			next(parser);
			to = number(parser, 1, 65535, expected);
		}
	} else {
		from = to = number(parser, 1, 65535, expected);
		if (!parser->end && !parser->quoted && parser->token[0] == '-') {
			if (parser->token[1]) {
				to = triton_parse_port(parser->token + 1);
				next(parser);
			} else {
				next(parser);
				to = number(parser, 1, 65535, expected);
			}
		}
	}
	if (parser->wrong)
		return;
	if (from < 1 || to < from)
		fail(parser, expected);
	else
		add_port(parser, rule, from, to);
}

static void parse_ports(struct parser *parser, struct rule *rule)
{
	bool several;

	if (take(parser, "PORTS")) {
		do
			parse_range(parser, rule);
		while (take(parser, ","));
		return;
	}
	several = take(parser, "(");
	do {
		if (!take(parser, "PORT")) {
			fail(parser, "PORT or PORTS");
			return;
		}
		if (take(parser, "all")) {
			add_port(parser, rule, -1, -1);
		} else {
			int port = number(parser, 1, 65535, "a port from 1 to 65535, or all");

			add_port(parser, rule, port, port);
		}
	} while (several && take(parser, "AND"));
	if (several && !take(parser, ")"))
		fail(parser, "AND or a closing parenthesis");
}

static void parse_types(struct parser *parser, struct rule *rule)
{
	bool several = take(parser, "(");

	do {
		int type = -1, code = -1;

		if (!take(parser, "TYPE")) {
			fail(parser, "TYPE");
			return;
		}
		if (!take(parser, "all")) {
			type = number(parser, 0, 255, "an ICMP type from 0 to 255, or all");
			if (take(parser, "CODE"))
				code = number(parser, 0, 255, "an ICMP code from 0 to 255");
		}
		add_port(parser, rule, type, code);
	} while (several && take(parser, "AND"));
	if (several && !take(parser, ")"))
		fail(parser, "AND or a closing parenthesis");
}

static void parse_rule(struct parser *parser, struct rule *rule)
{
	static const char *const protocols[] = { "tcp", "udp", "icmp", "icmp6", "ah", "esp" };
	bool names = false;

	next(parser);
	if (!take(parser, "FROM"))
		fail(parser, "FROM");
	parse_targets(parser, rule, 0);
	if (!take(parser, "TO"))
		fail(parser, "TO");
	parse_targets(parser, rule, 1);
	rule->block = is(parser, "BLOCK");
	if (!take(parser, "ALLOW") && !take(parser, "BLOCK"))
		fail(parser, "ALLOW or BLOCK");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(protocols); i++)
		if (!*rule->protocol && take(parser, protocols[i]))
			strcpy(rule->protocol, protocols[i]);
	if (!*rule->protocol)
		fail(parser, "a protocol: tcp, udp, icmp, icmp6, ah or esp");
	else if (rule->protocol[0] == 't' || rule->protocol[0] == 'u')
		parse_ports(parser, rule);
	else if (rule->protocol[0] == 'i')
		parse_types(parser, rule);
	if (take(parser, "PRIORITY"))
		rule->priority = number(parser, 0, 100, "a priority from 0 to 100");
	if (!parser->end)
		fail(parser, "nothing more");
	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < rule->n_targets[side]; i++)
			names |= rule->targets[side][i].kind == ALL_VMS || rule->targets[side][i].kind >= TAG;
	if (!names)
		fail(parser, "a tag, a vm or all vms on one side at least");
}

/* ---- The canonical form ---- */

static int compare_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : !!a - !!b;
}

static int compare_targets(const void *pa, const void *pb)
{
	const struct target *a = pa, *b = pb;
	int n = (int)a->kind - (int)b->kind;

	if (!n)
		n = compare_text(a->key, b->key);
	return n ? n : compare_text(a->value, b->value);
}

static int compare_ranges(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	return a->from != b->from ? a->from - b->from : a->to - b->to;
}

static void write_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void write_target(FILE *out, const struct target *target)
{
	static const char *const words[] = { "any", "all vms", "ip ", "subnet ", "tag ", "vm " };

	fputs(words[target->kind], out);
	if (target->kind != TAG) {
		fputs(target->value ? target->value : "", out);
		return;
	}
	write_quoted(out, target->key);
	if (target->value) {
		fputs(" = ", out);
		write_quoted(out, target->value);
	}
}

static void write_targets(FILE *out, struct target *targets, size_t count)
{
	size_t distinct = 0;

	qsort(targets, count, sizeof(*targets), compare_targets);
	for (size_t i = 0; i < count; i++)
		distinct += !i || compare_targets(&targets[i - 1], &targets[i]) != 0;
	if (distinct > 1)
		fputc('(', out);
	for (size_t i = 0; i < count; i++) {
		if (i && !compare_targets(&targets[i - 1], &targets[i]))
			continue;
		fputs(i ? " OR " : "", out);
		write_target(out, &targets[i]);
	}
	if (distinct > 1)
		fputc(')', out);
}

static void write_types(FILE *out, const struct rule *rule)
{
	fputs(rule->n_ports > 1 ? " (" : " ", out);
	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct range *type = &rule->ports[i];

		if (type->from < 0)
			fprintf(out, "%sTYPE all", i ? " AND " : "");
		else
			fprintf(out, "%sTYPE %d", i ? " AND " : "", type->from);
		if (type->to >= 0)
			fprintf(out, " CODE %d", type->to);
	}
	fputs(rule->n_ports > 1 ? ")" : "", out);
}

static void write_ports(FILE *out, const struct rule *rule)
{
	bool ranges = false;

	for (size_t i = 0; i < rule->n_ports; i++)
		ranges |= rule->ports[i].from != rule->ports[i].to;
	if (!ranges && rule->n_ports > 1)
		fputs(" (", out);
	else
		fputs(ranges ? " PORTS " : " ", out);
	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct range *port = &rule->ports[i];

		if (i)
			fputs(ranges ? ", " : " AND ", out);
		if (!ranges)
			fputs("PORT ", out);
		if (port->from < 0)
			fputs("all", out);
		else if (port->from != port->to)
			fprintf(out, "%d - %d", port->from, port->to);
		else
			fprintf(out, "%d", port->from);
	}
	fputs(!ranges && rule->n_ports > 1 ? ")" : "", out);
}

static int write_rule(struct rule *rule, char **ret)
{
	size_t size = 0, n = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	fputs("FROM ", out);
	write_targets(out, rule->targets[0], rule->n_targets[0]);
	fputs(" TO ", out);
	write_targets(out, rule->targets[1], rule->n_targets[1]);
	fprintf(out, " %s %s", rule->block ? "BLOCK" : "ALLOW", rule->protocol);
	qsort(rule->ports, rule->n_ports, sizeof(rule->ports[0]), compare_ranges);
	for (size_t i = 0; i < rule->n_ports; i++)
		if (!i || compare_ranges(&rule->ports[i - 1], &rule->ports[i]))
			rule->ports[n++] = rule->ports[i];
	rule->n_ports = n;
	if (rule->n_ports && rule->protocol[0] == 'i')
		write_types(out, rule);
	else if (rule->n_ports)
		write_ports(out, rule);
	if (rule->priority)
		fprintf(out, " PRIORITY %d", rule->priority);
	if (fclose(out) || !text) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

static const char *canonical(const char *text, char **ret)
{
	struct parser parser = { .at = text };
	struct rule *rule;

	if (strlen(text) > RULE_MAX)
		return "a shorter rule";
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return no_memory;
	parse_rule(&parser, rule);
	if (!parser.wrong && write_rule(rule, ret) < 0)
		parser.wrong = no_memory;
	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; i < rule->n_targets[side]; i++) {
			free(rule->targets[side][i].key);
			free(rule->targets[side][i].value);
		}
	}
	free(rule);
	return parser.wrong;
}

int triton_fwrule_canonical(const char *text, char **ret, struct nomad_error **err)
{
	const char *wrong = canonical(text, ret);

	if (!wrong)
		return 0;
	return nomad_error_set(err, wrong == no_memory ? ENOMEM : EINVAL,
			       "read the firewall rule '%.200s': %s is expected", text, wrong);
}

const char *triton_fwrule_check(const char *text)
{
	NOMAD_AUTO_FREE char *unused = NULL;

	return canonical(text, &unused);
}

int triton_fwrule_hash(const char *text, char ret[TRITON_FWRULE_HASH_SIZE])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(text, strlen(text), hash, &n, EVP_sha256(), NULL) != 1)
		return -EIO;
	for (int i = 0; i < 8; i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

bool triton_fwrule_is_published(const char *text, const char *uuid)
{
	NOMAD_AUTO_FREE char *form = NULL, *begin = nomad_strdupf("FROM any TO vm %s ALLOW ", uuid);

	return begin && !canonical(text, &form) && strncmp(form, begin, strlen(begin)) == 0;
}
