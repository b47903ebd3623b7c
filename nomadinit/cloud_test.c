/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "azure.h"
#include "cloud.h"
#include "config.h"
#include "gpt.h"
#include "guestinfo.h"
#include "http.h"
#include "mdata.h"
#include "smbios.h"
#include "userdata.h"
#include "util.h"
#include "yaml.h"

/* ---- HTTP ------------------------------------------------------------------------- */

/* Feeds the text in pieces of `step` bytes; returns 1, or what is wrong. */
static int feed(const char *text, size_t step, struct http_parser *p)
{
	size_t len = strlen(text), at, n;
	int r = 0;

	memset(p, 0, sizeof(*p));
	p->max = 100;
	p->want = "X-Mark";
	for (at = 0; at < len && r == 0; at += n) {
		n = len - at < step ? len - at : step;
		r = http_feed(p, text + at, n);
	}
	return r == 0 ? http_end(p) : r;
}

static void http_answers_are_read_in_pieces_of_any_size(void **state)
{
	static const struct {
		const char *text, *body;
		int status;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-mark: M\r\n\r\nhello", "hello", 200 },
		{ "HTTP/1.0 404\r\nX-MARK:M\r\n\r\nto the end", "to the end", 404 },
		{ "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nX-Mark: M\n\n3\nabc\n2;x\nde\n0\nT: x\n\n", "abcde",
		  200 },
		{ "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 N\r\nX-Mark: M\r\n\r\n", "", 204 },
	};
	struct http_parser p;
	size_t i, step;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		for (step = 1; step < 40; step++) {
			assert_int_equal(feed(cases[i].text, step, &p), 1);
			assert_int_equal(p.answer.status, cases[i].status);
			assert_string_equal(p.answer.body, cases[i].body);
			assert_string_equal(p.answer.value, "M");
			free(p.answer.body);
		}
	}
}

static void http_answers_that_are_wrong_are_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ "", -EBADMSG },
		{ "SSH-2.0-x\r\n", -EBADMSG },
		{ "HTTP/2 200\r\n\r\n", -EBADMSG },
		{ "HTTP/1.1 099 x\r\n\r\n", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\na", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", -EBADMSG },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", -EFBIG },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", -EFBIG },
	};
	struct http_parser p;
	size_t i, step;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		for (step = 1; step < 9; step++) {
			assert_int_equal(feed(cases[i].text, step, &p), cases[i].error);
			free(p.answer.body);
		}
	}
}

/* ---- YAML --------------------------------------------------------------------------- */

static void yaml_is(const char *text, const char *json)
{
	int line;
	json_t *y = yaml_parse(text, strlen(text), &line), *want = json_loads(json, JSON_DECODE_ANY, NULL);

	if (!y)
		fail_msg("line %d of '%s' is not understood", line, text);
	if (!json_equal(y, want))
		fail_msg("'%s' became %s", text, json_dumps(y, JSON_ENCODE_ANY));
	json_decref(y);
	json_decref(want);
}

static void yaml_as_clouds_write_it(void **state)
{
	(void)state;
	yaml_is("", "{}");
	yaml_is("# nothing\n---\n", "{}");
	yaml_is("{\"a\": [1, \"b\"], \"c\": {}}", "{\"a\": [1, \"b\"], \"c\": {}}");
	yaml_is("a: 1\nb: x y # c\nc: 'it''s'\nd: \"q\\\"\\\\n\\n\"\ne:\n",
		"{\"a\": 1, \"b\": \"x y\", \"c\": \"it's\", "
		"\"d\": \"q\\\"\\\\n\\n\", \"e\": null}");
	yaml_is("a:\n- b: 1\n  c: true\n-   d: 010\n", "{\"a\": [{\"b\": 1, \"c\": true}, {\"d\": \"010\"}]}");
	yaml_is("a:\n  - - 1\n    - 2\n  - x\n", "{\"a\": [[1, 2], \"x\"]}");
	yaml_is("a: [x, {b: c, d: [1]}, 'e']\nf: g\r\n",
		"{\"a\": [\"x\", {\"b\": \"c\", \"d\": [1]}, \"e\"], \"f\": \"g\"}");
	yaml_is("m: 52:54:00:12:34:56\nv: fe80::1\nu: http://x/y\n",
		"{\"m\": \"52:54:00:12:34:56\", \"v\": \"fe80::1\", \"u\": \"http://x/y\"}");
	yaml_is("t: |\n  a\n    b\n\n  c\nu: >-\n  x\n  y\n", "{\"t\": \"a\\n  b\\n\\nc\\n\", \"u\": \"x y\"}");
}

static void yaml_that_is_not_understood_is_refused(void **state)
{
	static const char *const cases[] = { "a: [1, 2\n", "a: &x 1\n",	  "a: *x\n",	    "- a\nb: c\n",
					     "a: 'x\n",	   "a: {b\n",	  "a: 1\n  b: 2\n", "a: \"x\" y\n",
					     "\x80: 1\n",  "a: !!str 1\n" };
	char deep[200];
	size_t i;
	int line;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(cases); i++)
		if (yaml_parse(cases[i], strlen(cases[i]), &line))
			fail_msg("'%s' was taken", cases[i]);
	memset(deep, '[', sizeof(deep));
	assert_null(yaml_parse(deep, sizeof(deep), &line));
	for (i = 0; i < sizeof(deep); i++)
		deep[i] = i % 2 ? ' ' : '-';
	assert_null(yaml_parse(deep, sizeof(deep), &line));
}

/* ---- User-data ------------------------------------------------------------------------ */

static void user_data_is_found_in_all_forms(void **state)
{
	static const struct {
		const char *data, *json, *note;
	} cases[] = {
		{ " {}", "{}", "init.json" },
		{ "#nomadinit\n{\"a\": 1}", "{\"a\": 1}", "init.json" },
		{ "eyJhIjogMX0K", "{\"a\": 1}\n", "in base64" },
		{ "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n#!/bin/sh\n--b\nX: y\n\n#nomadinit\n{}\n--b--\n",
		  "{}\n", "in a part of a MIME message" },
		{ "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
		  NULL, "none of the 1 parts" },
		{ "#cloud-config\nhostname: x\n", NULL, "only cloud-init reads" },
		{ "#!/bin/sh\n{ true; }\n", NULL, "begins with \"#!/bin/sh\"" },
		{ "test", NULL, "begins with \"test\"" },
		{ "\x1f\x8b\x08", NULL, "damaged" },
		{ " \n", NULL, "empty" },
		{ "", NULL, "empty" },
	};
	struct userdata u;
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		userdata_find(cases[i].data, strlen(cases[i].data), &u);
		if (cases[i].json)
			assert_string_equal(u.json, cases[i].json);
		else
			assert_null(u.json);
		if (!strstr(u.note, cases[i].note))
			fail_msg("'%s': %s", cases[i].data, u.note);
		free(u.json);
	}
}

static void gzip_that_is_damaged_is_refused(void **state)
{
	/* gzip -n of "{}{}{}{}{}{}" */
	static const unsigned char whole[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 0xad, 0x46, 0x42, 0 };
	char copy[64], *out;
	size_t len, i;

	(void)state;
	for (i = 0; i <= sizeof(whole); i++) {
		memcpy(copy, whole, sizeof(whole));
		assert_true(userdata_gunzip(copy, i, 1000, &out, &len) < 0);
	}
}

/* ---- Detection, mapping ------------------------------------------------------------------ */

static void providers_are_told_by_the_firmware(void **state)
{
	static const struct {
		const char *file, *value, *name;
	} cases[] = {
		{ "sys_vendor", "Amazon EC2", "ec2" },
		{ "product_uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF", "ec2" },
		{ "product_uuid", "45E12AEC-DCD1-B213-94ED-012345ABCDEF", "ec2" },
		{ "product_name", "Google Compute Engine", "gce" },
		{ "product_serial", "GoogleCloud-123", "gce" },
		{ "chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure" },
		{ "sys_vendor", "DigitalOcean", "digitalocean" },
		{ "sys_vendor", "Hetzner", "hetzner" },
		{ "chassis_asset_tag", "OracleCloud.com", "oracle" },
		{ "product_name", "OpenStack Nova", "openstack" },
		{ "product_name", "SmartDC HVM", "triton" },
		{ "sys_vendor", "QEMU", NULL },
		{ "product_uuid", "4C4C4544-0042-4810-8057-B4C04F4E3232", NULL },
	};
	const struct cloud_provider *p;
	char dir[] = "/tmp/nomadinit-dmi.XXXXXX", path[128];
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, cases[i].file);
		assert_int_equal(util_replace_file(path, cases[i].value, strlen(cases[i].value), 0600), 0);
		p = cloud_detect(dir, "/nonexistent");
		if (!cases[i].name)
			assert_true(!p || p->hypervisor);
		else
			assert_string_equal(p ? p->name : "none", cases[i].name);
		unlink(path);
	}
	/* A drive comes before a service. */
	snprintf(path, sizeof(path), "%s/sys_vendor", dir);
	util_replace_file(path, "Amazon EC2", 10, 0600);
	snprintf(path, sizeof(path), "%s/meta-data", dir);
	util_replace_file(path, "", 0, 0600);
	assert_string_equal(cloud_detect(dir, dir)->name, "nocloud");
	unlink(path);
	snprintf(path, sizeof(path), "%s/sys_vendor", dir);
	unlink(path);
	rmdir(dir);
}

static void each_row_of_the_table_is_whole(void **state)
{
	const struct cloud_provider *p;

	(void)state;
	for (p = cloud_providers; p < cloud_providers + cloud_n_providers; p++) {
		assert_ptr_equal(cloud_by_name(p->name), p);
		assert_non_null(p->title);
		assert_true(p->dmi[0] || p->files[0] || p->hypervisor);
		assert_true(p->addresses[0] || p->get);
		assert_non_null(p->gets[0].path);
		assert_null(p->gets[CLOUD_GETS_MAX - 1].path);
	}
}

static void version_1_of_network_config(void **state)
{
	static const char text[] =
		"version: 1\nconfig:\n- type: physical\n  name: eth0\n  mac_address: '02:00:00:00:00:01'\n"
		"  mtu: 1400\n  subnets:\n  - type: static\n    address: 192.0.2.7\n"
		"    netmask: 255.255.255.0\n    gateway: 192.0.2.1\n    routes:\n"
		"    - network: 10.0.0.0\n      netmask: 255.0.0.0\n      gateway: 192.0.2.2\n"
		"- type: bond\n  name: bond0\n  bond_interfaces: [eth1, eth2]\n"
		"  params:\n    bond-mode: active-backup\n  subnets:\n  - type: dhcp4\n"
		"- type: vlan\n  name: v7\n  vlan_id: 7\n  vlan_link: bond0\n"
		"- type: nameserver\n  address: [192.0.2.53]\n  search: [example.com]\n"
		"- type: bridge\n  name: br0\n";
	static const char want[] =
		"{\"network\": {\"02:00:00:00:00:01\": {\"mtu\": 1400, \"dhcp\": false, \"addresses\": "
		"[\"192.0.2.7/24\"], "
		"\"gateways\": [\"192.0.2.1\"], \"routes\": [\"10.0.0.0/8 via 192.0.2.2\"]}, "
		"\"bond0\": {\"bond\": [\"eth1\", \"eth2\"], \"bond_mode\": \"active-backup\", \"dhcp\": true}, "
		"\"v7\": {\"vlan\": 7, \"parent\": \"bond0\", \"dhcp\": false}}, \"dns\": [\"192.0.2.53\"], "
		"\"search\": [\"example.com\"]}";
	json_t *config = json_pack("{s:{}}", "nomadinit"), *w = json_loads(want, 0, NULL), *y;
	int line;

	(void)state;
	y = yaml_parse(text, strlen(text), &line);
	assert_non_null(y);
	cloud_map_network_config(y, config);
	if (!json_equal(json_object_get(config, "nomadinit"), w))
		fail_msg("%s", json_dumps(config, JSON_INDENT(1)));
	json_decref(config);
	json_decref(w);
	json_decref(y);
}

static void what_no_configuration_may_hold_is_left_out(void **state)
{
	static const char text[] =
		"version: 1\nconfig:\n- {type: vlan, name: v1, vlan_id: 5, vlan_link: 'a name that is too long'}\n"
		"- {type: vlan, name: v2, vlan_id: 5, vlan_link: eth0}\n- {type: bond, name: b, bond_interfaces: "
		"[../x, eth1],\n"
		"   params: {bond-mode: none-such}}\n";
	const struct cloud_provider *p = cloud_by_name("nocloud");
	const char *const name = "cloud";
	char error[CONFIG_ERROR_SIZE], *piece;
	json_t *y, *config;
	struct config c;
	int line;

	(void)state;
	y = json_pack("{s:o}", "network_config", yaml_parse(text, strlen(text), &line));
	assert_non_null(y);
	config = cloud_map(p, y);
	piece = json_dumps(config, 0);
	if (config_parse((const char *const *)&piece, &name, 1, &c, error) < 0)
		fail_msg("%s: %s", piece, error);
	assert_int_equal(c.n_interfaces, 2);
	assert_string_equal(c.interfaces[1].bond[0], "eth1");
	assert_string_equal(c.interfaces[1].bond_mode, "802.3ad");
	config_done(&c);
	free(piece);
	json_decref(config);
	json_decref(y);
}

/* ---- Triton -------------------------------------------------------------------------- */

static void mdata_frames(void **state)
{
	char *line, *value;
	size_t len;

	(void)state;
	assert_int_equal(mdata_format(0xdc4fae17, "GET", "sdc:uuid", &line), 0);
	assert_string_equal(line, "V2 25 8cf8e622 dc4fae17 GET c2RjOnV1aWQ=\n");
	free(line);
	assert_true(asprintf(&line, "V2 21 %08x 00000001 SUCCESS YWI=", gpt_crc32("00000001 SUCCESS YWI=", 21)) > 0);
	assert_int_equal(mdata_parse(line, strlen(line), 1, &value, &len), 0);
	assert_string_equal(value, "ab");
	free(value);
	assert_int_equal(mdata_parse(line, strlen(line), 2, &value, &len), -EBADMSG);
	line[5] ^= 1;
	assert_int_equal(mdata_parse(line, strlen(line), 1, &value, &len), -EBADMSG);
	free(line);
	assert_true(asprintf(&line, "V2 17 %08x 00000001 NOTFOUND", gpt_crc32("00000001 NOTFOUND", 17)) > 0);
	assert_int_equal(mdata_parse(line, strlen(line), 1, &value, &len), -ENOENT);
	assert_int_equal(mdata_parse(line, strlen(line) - 1, 1, &value, &len), -EBADMSG);
	free(line);
	assert_int_equal(mdata_parse("", 0, 1, &value, &len), -EBADMSG);
	assert_int_equal(mdata_parse("V2 99999999 0 0", 15, 1, &value, &len), -EBADMSG);
}

static void host_says(int fd, const char *id, const char *rest, int damage)
{
	char body[256];

	snprintf(body, sizeof(body), "%.8s %s", id, rest);
	dprintf(fd, "V2 %zu %08x %s\n", strlen(body), gpt_crc32(body, strlen(body)) ^ (unsigned int)damage, body);
}

/* A host that is noisy at first, and answers with what is not ours, or damaged, before what is. */
static void mdata_host(int fd)
{
	char line[512], *id;
	FILE *in = fdopen(fd, "r");

	while (fgets(line, sizeof(line), in)) {
		if (strcmp(line, "\n") == 0) {
			dprintf(fd, "login: \ninvalid command\n");
		} else if (strncmp(line, "NEGOTIATE V2", 12) == 0) {
			dprintf(fd, "V2_OK\n");
		} else if (strncmp(line, "V2 ", 3) == 0) {
			id = strchr(strchr(line + 3, ' ') + 1, ' ') + 1;
			host_says(fd, id, "SUCCESS YmFk", 1);
			host_says(fd, "00000000", "SUCCESS YmFk", 0);
			host_says(fd, id, strstr(line, "c2RjOnV1aWQ=") ? "SUCCESS Z29vZA==" : "NOTFOUND", 0);
		}
	}
}

static void mdata_finds_its_answer_among_others(void **state)
{
	struct cloud_session s = { .end_ms = util_now_ms() + 20000 };
	int pair[2], status;
	char *value;
	size_t len;
	pid_t host;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	host = fork();
	if (host == 0) {
		close(pair[0]);
		mdata_host(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	s.fd = pair[0];
	assert_int_equal(mdata_get(&s, "sdc:uuid", 100, &value, &len), 0);
	assert_string_equal(value, "good");
	free(value);
	assert_int_equal(mdata_get(&s, "sdc:uuid", 3, &value, &len), -EFBIG);
	assert_int_equal(mdata_get(&s, "user-data", 100, &value, &len), -ENOENT);
	close(pair[0]);
	assert_int_equal(waitpid(host, &status, 0), host);
}

static void mdata_gives_up_on_silence(void **state)
{
	struct cloud_session s = { .end_ms = util_now_ms() + 300 };
	int pair[2];
	char *value;
	size_t len;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s.fd = pair[0];
	assert_int_equal(mdata_get(&s, "sdc:uuid", 100, &value, &len), -ETIMEDOUT);
	close(pair[0]);
	close(pair[1]);
}

/* ---- VMware --------------------------------------------------------------------------- */

static struct {
	char in[256], out[256];
	size_t in_len, in_at, out_at;
	bool refuses, lies;
} vm;

static void answer(void)
{
	static const struct {
		const char *question, *answer;
	} all[] = { { "info-get guestinfo.userdata", "1 eyJhIjogMX0=" },
		    { "info-get guestinfo.userdata.encoding", "1 base64" },
		    { "info-get guestinfo.metadata", "1 instance-id: vm-7" },
		    { "info-get guestinfo.used", "1 ---" } };
	size_t i;

	snprintf(vm.out, sizeof(vm.out), "0 No value found");
	for (i = 0; i < NOMAD_ARRAY_LEN(all); i++)
		if (strncmp(vm.in, all[i].question, vm.in_len) == 0 && strlen(all[i].question) == vm.in_len)
			snprintf(vm.out, sizeof(vm.out), "%s", all[i].answer);
	vm.out_at = 0;
}

static void fake_port(struct guestinfo_registers *r)
{
	unsigned int type = r->c >> 16;

	assert_int_equal(r->a, 0x564d5868);
	assert_int_equal(r->c & 0xffff, 30);
	assert_int_equal(r->d & 0xffff, 0x5658);
	assert_int_equal(r->d >> 16, type == 0 ? 0 : 5);
	if (type == 0)
		r->d |= 5u << 16;
	if (type == 1) {
		vm.in_len = r->b;
		vm.in_at = 0;
	} else if (type == 2 && vm.in_at + 4 < sizeof(vm.in)) {
		memcpy(vm.in + vm.in_at, &r->b, 4);
		vm.in_at += 4;
	} else if (type == 3) {
		answer();
		r->b = vm.lies ? 0xffffffff : (uint32_t)strlen(vm.out);
	} else if (type == 4) {
		memcpy(&r->b, vm.out + vm.out_at, 4);
		vm.out_at += 4;
	}
	r->c = vm.refuses ? 0 : (1u | (type == 3 ? 2u : 0)) << 16;
}

static void guestinfo_values(void **state)
{
	char *value;
	size_t len;

	(void)state;
	guestinfo_port = fake_port;
	assert_int_equal(guestinfo_get(NULL, "guestinfo.userdata", 1000, &value, &len), 0);
	assert_string_equal(value, "{\"a\": 1}");
	free(value);
	assert_int_equal(guestinfo_get(NULL, "guestinfo.metadata", 1000, &value, &len), 0);
	assert_string_equal(value, "instance-id: vm-7");
	free(value);
	assert_int_equal(guestinfo_get(NULL, "guestinfo.used", 1000, &value, &len), -ENOENT);
	assert_int_equal(guestinfo_get(NULL, "guestinfo.none", 1000, &value, &len), -ENOENT);
	vm.lies = true;
	assert_int_equal(guestinfo_get(NULL, "guestinfo.metadata", 1000, &value, &len), -EFBIG);
	vm.refuses = true;
	assert_int_equal(guestinfo_get(NULL, "guestinfo.metadata", 1000, &value, &len), -EIO);
}

/* ---- Azure, SMBIOS ------------------------------------------------------------------------ */

static void xml_texts(void **state)
{
	char buf[64], tiny[4];

	(void)state;
	assert_true(azure_xml_text("<a:X><a:Incarnation >\n 7 &amp;&lt;&x; </a:Incarnation></a:X>", "Incarnation", buf,
				   sizeof(buf)));
	assert_string_equal(buf, "7 &<&x;");
	assert_false(azure_xml_text("<Incarnations>7</Incarnations>", "Incarnation", buf, sizeof(buf)));
	assert_false(azure_xml_text("<Incarnation/>", "Incarnation", buf, sizeof(buf)));
	assert_false(azure_xml_text("<Incarnation>7", "Incarnation", buf, sizeof(buf)));
	assert_false(azure_xml_text("<Incarnation> </Incarnation>", "Incarnation", buf, sizeof(buf)));
	assert_false(azure_xml_text("<Incarnation>12345</Incarnation>", "Incarnation", tiny, sizeof(tiny)));
	assert_true(azure_xml_escape("a<&>b", buf, sizeof(buf)));
	assert_string_equal(buf, "a&lt;&amp;&gt;b");
	assert_false(azure_xml_escape("a&", tiny, sizeof(tiny)));
}

static void smbios_strings(void **state)
{
	static const char table[] = "\x0b\x05\x00\x01\x03"
				    "vendor\0io.systemd.credential:other=1\0nomadinit.init.json={}\0";
	static const char binary[] = "\x0b\x05\x00\x01\x01"
				     "io.systemd.credential.binary:nomadinit.init.json=e30=\0";
	char *found;
	size_t i;

	(void)state;
	found = smbios_find(table, sizeof(table));
	assert_string_equal(found, "{}");
	free(found);
	found = smbios_find(binary, sizeof(binary));
	assert_string_equal(found, "{}");
	free(found);
	for (i = 0; i < sizeof(table) - 3; i++)
		assert_null(smbios_find(table, i));
	assert_null(smbios_find("\x01\x05\0\0\0nomadinit.init.json={}\0", 29));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_answers_are_read_in_pieces_of_any_size),
		cmocka_unit_test(http_answers_that_are_wrong_are_refused),
		cmocka_unit_test(yaml_as_clouds_write_it),
		cmocka_unit_test(yaml_that_is_not_understood_is_refused),
		cmocka_unit_test(user_data_is_found_in_all_forms),
		cmocka_unit_test(gzip_that_is_damaged_is_refused),
		cmocka_unit_test(providers_are_told_by_the_firmware),
		cmocka_unit_test(each_row_of_the_table_is_whole),
		cmocka_unit_test(version_1_of_network_config),
		cmocka_unit_test(what_no_configuration_may_hold_is_left_out),
		cmocka_unit_test(mdata_frames),
		cmocka_unit_test(mdata_finds_its_answer_among_others),
		cmocka_unit_test(mdata_gives_up_on_silence),
		cmocka_unit_test(guestinfo_values),
		cmocka_unit_test(xml_texts),
		cmocka_unit_test(smbios_strings),
	};

	return cmocka_run_group_tests_name("cloud", tests, NULL, NULL);
}
