/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common.c"
#include "net.c"

static void test_plan(void **state)
{
	static const char *const bad[][6] = {
		{ "vp1", "10.88.0.2", "10.88.0.1", "0", "-", "-" },
		{ "vp1", "10.88.0.2", "10.88.0.1", "33", "-", "-" },
		{ "vp1", "10.88.0.2", "10.88.0.1", "x", "-", "-" },
		{ "vp1", "10.88.0", "10.88.0.1", "32", "-", "-" },
		{ "vp1", "10.88.0.2", "-", "32", "-", "-" },
		{ "vp1", "", "", "", "", "" },
		{ "vp1", "::1", "::2", "32", "-", "-" },
		{ "vp1", "10.88.0.2", "10.88.0.1", "32", "fd00::2", "-" },
		{ "vp1", "10.88.0.2", "10.88.0.1", "32", "10.88.0.2", "10.88.0.1" },
	};
	struct plan p;
	size_t i;

	(void)state;
	assert_int_equal(
		plan_parse(&p, (const char *[]){ "vp1", "10.88.0.2", "10.88.0.1", "24", "fd00::2", "fd00::1" }), 0);
	assert_string_equal(p.peer, "vp1");
	assert_memory_equal(p.ends[0].address, "\x0a\x58\0\x02", 4);
	assert_memory_equal(p.ends[0].gateway, "\x0a\x58\0\x01", 4);
	assert_int_equal(p.ends[0].bits, 24);
	assert_memory_equal(p.ends[1].address, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
	assert_int_equal(p.ends[1].bits, 120);
	/* Whoever is in there configures it. */
	assert_int_equal(plan_parse(&p, (const char *[]){ "vp1", "-", "-", "0", "-", "-" }), 0);
	assert_int_equal(p.ends[0].bits + p.ends[1].bits, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		assert_int_equal(plan_parse(&p, bad[i]), -1);
		assert_int_equal(errno, EINVAL);
	}
}

/* As the kernel walks through it. */
static void test_message(void **state)
{
	struct ifinfomsg body = { .ifi_index = 7 };
	struct rtattr *a;
	struct message m;
	int fd = 42, left;

	(void)state;
	begin(&m, RTM_SETLINK, NLM_F_CREATE, &body, sizeof(body));
	attribute(&m, IFLA_IFNAME, "host0", 6);
	attribute(&m, IFLA_NET_NS_FD, &fd, sizeof(fd));
	assert_int_equal(m.head.nlmsg_type, RTM_SETLINK);
	assert_int_equal(m.head.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE);
	assert_int_equal(((struct ifinfomsg *)NLMSG_DATA(&m.head))->ifi_index, 7);
	left = (int)m.head.nlmsg_len - (int)NLMSG_LENGTH(sizeof(body));
	a = (struct rtattr *)(void *)((char *)NLMSG_DATA(&m.head) + NLMSG_ALIGN(sizeof(body)));
	assert_true(RTA_OK(a, left));
	assert_int_equal(a->rta_type, IFLA_IFNAME);
	assert_string_equal(RTA_DATA(a), "host0");
	a = RTA_NEXT(a, left);
	assert_true(RTA_OK(a, left));
	assert_int_equal(a->rta_type, IFLA_NET_NS_FD);
	assert_memory_equal(RTA_DATA(a), &fd, sizeof(fd));
	(void)RTA_NEXT(a, left);
	assert_int_equal(left, 0);
}

/* The kernel's answers: a refusal is an errno. */
static void test_refused(void **state)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	const struct end e = { .family = AF_INET, .address = { 10, 88, 0, 2 }, .bits = 32 };

	(void)state;
	assert_true(fd >= 0);
	errno = 0;
	assert_int_equal(link_move(fd, "no-such-link", 0), -1);
	assert_int_equal(errno, ENODEV);
	errno = 0;
	assert_int_equal(address_add(fd, 0x7fffffff, &e), -1);
	assert_true(errno == ENODEV || errno == EPERM);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("nspawn/init/net", tests, NULL, NULL);
}
