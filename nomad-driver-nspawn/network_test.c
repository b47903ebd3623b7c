/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "download.h"
#include "lease.h"
#include "network.h"

static struct nomad_port ports[] = {
	{ (char *)"http", 20001, 80, (char *)"" },
	{ (char *)"dns", 20002, 0, (char *)"" },
};
static struct nspawn_config config;
static struct nomad_task_info info;
static struct nspawn_network net;

static int set_up(void **state)
{
	(void)state;
	config = (struct nspawn_config){ 0 };
	info = (struct nomad_task_info){ .resources = { .ports = ports, .n_ports = 2 } };
	net = (struct nspawn_network){ 0 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nspawn_network_done(&net);
	return 0;
}

static int plan(struct nomad_error **err)
{
	return nspawn_network_plan(&config, &info, "web-1", &net, err);
}

static void test_kinds(void **state)
{
	char link[16];

	(void)state;
	assert_int_equal(plan(NULL), 0);
	assert_int_equal(net.kind, NSPAWN_NET_HOST);
	config.network_veth = true;
	assert_int_equal(plan(NULL), 0);
	assert_int_equal(net.kind, NSPAWN_NET_OWN);
	assert_int_equal(strncmp(net.link, "vn", 2), 0);
	assert_int_equal(strncmp(net.peer, "vp", 2), 0);
	assert_string_equal(net.peer + 2, net.link + 2);
	strcpy(link, net.link);
	assert_int_equal(nspawn_network_plan(&config, &info, "web-2", &net, NULL), 0);
	assert_string_not_equal(net.link, link);
	config.network_zone = (char *)"blue";
	assert_int_equal(plan(NULL), 0);
	assert_string_equal(net.bridge, "nz-blue");
	assert_true(net.zone);
	config.network_zone = (char *)"a-zone-with-a-long-name";
	assert_int_equal(plan(NULL), 0);
	assert_true(strlen(net.bridge) < 16);
	config.network_zone = (char *)"a b1"; /* the record of a network is words */
	assert_int_equal(plan(NULL), 0);
	assert_null(strpbrk(net.bridge, " /\n"));
	config.network_zone = (char *)"";
	assert_int_equal(plan(NULL), 0);
	assert_string_not_equal(net.bridge, "nz-");
	config.network_zone = NULL;
	config.network_bridge = (char *)"a b1";
	assert_int_equal(plan(NULL), -EINVAL);
	config.network_bridge = (char *)"br0";
	assert_int_equal(plan(NULL), 0);
	assert_string_equal(net.bridge, "br0");
	assert_false(net.zone);
	info.network.mode = NOMAD_NET_GROUP;
	info.network.path = (char *)"/run/netns/x";
	assert_int_equal(plan(NULL), 0);
	assert_int_equal(net.kind, NSPAWN_NET_JOINED);
	assert_string_equal(net.netns, "/run/netns/x");
	nspawn_network_done(&net);
	info.network.mode = NOMAD_NET_NONE;
	info.network.path = NULL;
	config.network_bridge = NULL;
	assert_int_equal(plan(NULL), 0);
	assert_int_equal(net.kind, NSPAWN_NET_OWN);
	assert_string_equal(net.link, "");
}

static void test_links(void **state)
{
	char top[] = "/tmp/nspawn-links-XXXXXX", links[64];
	struct nspawn_network other = { 0 };

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(links, sizeof(links), "%s/links", top);
	nspawn_link_name(&net, 0xffffffff);
	assert_int_equal(nspawn_link_choose(links, "/one", &net, NULL), 0);
	assert_string_equal(net.link, "vnffffffff");
	assert_int_equal(nspawn_lease_take(links, net.link, "/one", NULL), 1);
	/* The same hash, another task. */
	nspawn_link_name(&other, 0xffffffff);
	assert_int_equal(nspawn_link_choose(links, "/two", &other, NULL), 0);
	assert_string_equal(other.link, "vn00000000");
	assert_string_equal(other.peer, "vp00000000");
	assert_int_equal(nspawn_link_choose(links, "/one", &net, NULL), 0);
	assert_string_equal(net.link, "vnffffffff");
	/* And 200 more: a name that was leased would not be taken again. */
	for (int i = 0; i < 200; i++) {
		char owner[16];

		snprintf(owner, sizeof(owner), "/%d", i);
		nspawn_link_name(&other, 0xffffffff);
		assert_int_equal(nspawn_link_choose(links, owner, &other, NULL), 0);
		assert_int_equal(nspawn_lease_take(links, other.link, owner, NULL), 1);
	}
	assert_int_equal(nomad_remove_tree(top, NULL), 0);
}

static void test_ports(void **state)
{
	char *labels[] = { (char *)"http", (char *)"dns", NULL }, *unknown[] = { (char *)"nix", NULL };
	struct nomad_int_pair pair = { (char *)"dns", 5353 };
	struct nomad_error *err = NULL;

	(void)state;
	config.network_veth = true;
	config.ports = labels;
	assert_int_equal(plan(NULL), 0);
	assert_int_equal(net.n_ports, 2);
	assert_int_equal(net.ports[0].host, 20001);
	assert_int_equal(net.ports[0].container, 80);
	assert_int_equal(net.ports[1].container, 20002);
	nspawn_network_done(&net);
	config.ports = NULL;
	config.port_map = (struct nomad_int_map){ &pair, 1 };
	assert_int_equal(plan(NULL), 0);
	assert_int_equal(net.n_ports, 1);
	assert_int_equal(net.ports[0].host, 20002);
	assert_int_equal(net.ports[0].container, 5353);
	nspawn_network_done(&net);
	/* The host's network maps nothing. */
	config.network_veth = false;
	assert_int_equal(plan(&err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "network_veth = true"));
	nomad_error_free(err);
	err = NULL;
	config.port_map.count = 0;
	config.ports = unknown;
	assert_int_equal(plan(&err), -EINVAL);
	assert_string_equal(nomad_error_message(err), "Port \"nix\" not found, check network stanza");
	nomad_error_free(err);
	err = NULL;
	info.resources.n_ports = 0;
	assert_int_equal(plan(&err), -EINVAL);
	assert_string_equal(nomad_error_message(err), "No ports defined in network stanza");
	nomad_error_free(err);
}

static void test_record(void **state)
{
	static const struct nspawn_port some[] = { { 8080, 80 }, { 53, 5353 } };
	static const char *const bad[] = { "x", "1:", "0:1", "70000:1", "1:2;3:4", ":" };
	char *text = nspawn_ports_format(some, 2);
	struct nspawn_port *back = NULL;
	size_t n, i;

	(void)state;
	assert_string_equal(text, "8080:80,53:5353");
	assert_int_equal(nspawn_ports_parse(text, &back, &n), 0);
	assert_int_equal(n, 2);
	for (i = 0; i < n; i++)
		assert_true(back[i].host == some[i].host && back[i].container == some[i].container && !back[i].at[0]);
	free(text);
	free(back);
	back = NULL;
	assert_int_equal(nspawn_ports_parse("", &back, &n), 0);
	assert_int_equal(n, 0);
	free(back);
	for (i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_int_equal(nspawn_ports_parse(bad[i], &back, &n), -EINVAL);
}

static void test_downloads(void **state)
{
	static const char sums[] = "# a comment\n"
				   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  ./root.tar.xz\n"
				   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb *root.tar\n"
				   "short  other\n";
	static const struct {
		const char *url, *name;
	} rows[] = {
		{ "https://h/a/root.tar.xz?x=/y#z", "root.tar.xz" },
		{ "https://h/a/", "" },
		{ "root.raw", "root.raw" },
	};
	char digest[65];
	size_t i;

	(void)state;
	assert_true(nspawn_sums_find(sums, "root.tar", digest));
	assert_int_equal(digest[0], 'b');
	assert_true(nspawn_sums_find(sums, "root.tar.xz", digest));
	assert_int_equal(digest[0], 'a');
	assert_false(nspawn_sums_find(sums, "oot.tar", digest));
	assert_false(nspawn_sums_find(sums, "other", digest));
	for (i = 0; i < NOMAD_ARRAY_LEN(rows); i++) {
		char *name = nspawn_url_name(rows[i].url);

		assert_string_equal(name, rows[i].name);
		free(name);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- The lock ---- */

static bool no_memory;
char *__wrap_nomad_strdupf(const char *fmt, ...) NOMAD_PRINTF(1, 2);

char *__wrap_nomad_strdupf(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	if (no_memory)
		return NULL;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	return text;
}

static void test_lock(void **state)
{
	char dir[] = "/tmp/nspawn-network-XXXXXX", path[64];
	struct nomad_error *err = NULL;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = nspawn_lock(dir, NULL);
	assert_true(fd >= 0);
	close(fd);
	no_memory = true;
	errno = 0;
	assert_int_equal(nspawn_lock(dir, &err), -ENOMEM);
	assert_int_equal(nomad_error_code(err), ENOMEM);
	no_memory = false;
	nomad_error_free(err);
	snprintf(path, sizeof(path), "%s/lock", dir);
	assert_int_equal(unlink(path) | rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kinds),
		TEST(test_links),
		TEST(test_ports),
		TEST(test_record),
		TEST(test_downloads),
		TEST(test_lock),
	};

	return cmocka_run_group_tests_name("nspawn networks and downloads", tests, NULL, NULL);
}
