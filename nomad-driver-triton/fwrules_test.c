/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fwrules.h"

static void canonical(const char *text, const char *want)
{
	struct nomad_error *err = NULL;
	char *form = NULL, *again = NULL;

	if (triton_fwrule_canonical(text, &form, &err) < 0)
		fail_msg("%s", nomad_error_message(err));
	assert_string_equal(form, want);
	/* It is its own canonical form. */
	assert_int_equal(triton_fwrule_canonical(form, &again, NULL), 0);
	assert_string_equal(again, want);
	free(form);
	free(again);
}

static void test_canonical(void **state)
{
	(void)state;
	canonical("FROM any TO tag role = web ALLOW tcp PORT 80",
		  "FROM any TO tag \"role\" = \"web\" ALLOW tcp PORT 80");
	canonical("from any to tag \"role\" allow TCP port all", "FROM any TO tag \"role\" ALLOW tcp PORT all");
	canonical("FROM (tag b OR tag a = \"x y\" OR ip 10.0.0.2 OR tag b) TO all vms BLOCK udp (PORT 443 AND PORT 80 "
		  "AND PORT 443)",
		  "FROM (ip 10.0.0.2 OR tag \"a\" = \"x y\" OR tag \"b\") TO all vms BLOCK udp (PORT 80 AND PORT 443)");
	canonical("FROM subnet 10.0.0.0/8 TO vm 0F5E4132-59e2-9521-7d07-51a855d3b345 ALLOW tcp PORTS 8080, 80-90 "
		  "PRIORITY 3",
		  "FROM subnet 10.0.0.0/8 TO vm 0f5e4132-59e2-9521-7d07-51a855d3b345 ALLOW tcp PORTS 80 - 90, 8080 "
		  "PRIORITY 3");
	canonical("FROM ip 2001:DB8:0::1 TO tag a ALLOW icmp6 TYPE all",
		  "FROM ip 2001:db8::1 TO tag \"a\" ALLOW icmp6 TYPE all");
	canonical("FROM any TO tag a ALLOW icmp (TYPE 8 CODE 0 AND TYPE 0)",
		  "FROM any TO tag \"a\" ALLOW icmp (TYPE 0 AND TYPE 8 CODE 0)");
	canonical("FROM (any) TO tag a ALLOW esp PRIORITY 0", "FROM any TO tag \"a\" ALLOW esp");
	canonical("FROM any TO tag \"a\\\"b\" ALLOW tcp PORTS 1 - 2",
		  "FROM any TO tag \"a\\\"b\" ALLOW tcp PORTS 1 - 2");
}

static void test_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"FROM",
		"FROM any TO any ALLOW tcp PORT 80",
		"FROM any TO tag a ALLOW tcp",
		"FROM any TO tag a ALLOW tcp PORT 0",
		"FROM any TO tag a ALLOW tcp PORT 65536",
		"From any TO tag a ALLOW tcp PORT 1",
		"FROM any TO tag ALLOW tcp PORT 80",
		"FROM any TO tag a PERMIT tcp PORT 1",
		"FROM any TO tag a ALLOW sctp PORT 1",
		"FROM any TO tag a ALLOW tcp PORT 1 x",
		"FROM (any TO tag a ALLOW tcp PORT 1",
		"FROM ip 1.2.3 TO tag a ALLOW tcp PORT 1",
		"FROM any TO vm abc ALLOW tcp PORT 1",
		"FROM any TO tag \"a ALLOW tcp PORT 1",
		"FROM subnet 10.0.0.0 TO tag a ALLOW tcp PORT 1",
		"FROM subnet 10.0.0.0/33 TO tag a ALLOW tcp PORT 1",
		"FROM any TO tag a ALLOW tcp PORT 1 PRIORITY 101",
		"FROM any TO tag a ALLOW icmp TYPE 256",
		"FROM any TO tag a ALLOW tcp PORTS 9 - 8",
		"FROM any TO tag a = ( ALLOW tcp PORT 1",
	};
	(void)state;

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(wrong); i++)
		if (!triton_fwrule_check(wrong[i]))
			fail_msg("accepted: %s", wrong[i]);
}

static void test_many(void **state)
{
	char text[4096] = "FROM (";
	(void)state;

	for (int i = 0; i < 25; i++)
		sprintf(text + strlen(text), "%sip 10.0.0.%d", i ? " OR " : "", i);
	strcat(text, ") TO tag a ALLOW tcp PORT 1");
	assert_string_equal(triton_fwrule_check(text), "at most 24 targets a side");
}

static void test_published(void **state)
{
	static const char uuid[] = "0f5e4132-59e2-9521-7d07-51a855d3b345";
	(void)state;

	assert_true(triton_fwrule_is_published("FROM any TO vm 0f5e4132-59e2-9521-7d07-51a855d3b345 ALLOW tcp PORTS 80",
					       uuid));
	assert_false(triton_fwrule_is_published(
		"FROM any TO vm 1f5e4132-59e2-9521-7d07-51a855d3b345 ALLOW tcp PORTS 80", uuid));
	assert_false(triton_fwrule_is_published("FROM any TO all vms ALLOW tcp PORT 22", uuid));
	assert_false(triton_fwrule_is_published("FROM tag sdc_docker TO tag sdc_docker ALLOW tcp PORT all", uuid));
	assert_false(triton_fwrule_is_published(
		"FROM any TO (vm 0f5e4132-59e2-9521-7d07-51a855d3b345 OR tag a) ALLOW tcp PORT 80", uuid));
	assert_false(triton_fwrule_is_published("nonsense", uuid));
}

static void test_hash(void **state)
{
	char a[TRITON_FWRULE_HASH_SIZE], b[TRITON_FWRULE_HASH_SIZE];
	(void)state;

	assert_int_equal(triton_fwrule_hash("x", a), 0);
	assert_int_equal(triton_fwrule_hash("y", b), 0);
	assert_int_equal(strlen(a), 16);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical), cmocka_unit_test(test_refused), cmocka_unit_test(test_many),
		cmocka_unit_test(test_published), cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests_name("triton fwrules", tests, NULL, NULL);
}
