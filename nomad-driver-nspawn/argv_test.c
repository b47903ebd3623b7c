/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "argv.h"

static struct nspawn_config config;
static struct nspawn_machine machine;
static struct nspawn_oci oci;
static char **argv;

static int set_up(void **state)
{
	(void)state;
	config = (struct nspawn_config){ .image = (char *)"/img", .user_namespacing = true, .init = true };
	machine = (struct nspawn_machine){
		.version = 252,
		.nspawn = "/usr/bin/systemd-nspawn",
		.name = "web-1",
		.uuid = "0a-1b",
		.image = "/img",
		.init = "/s/init",
		.state_dir = "/s/web",
		.spec = "/proc/7/fd/9",
		.idmap_state = true,
		.idmap_image = true,
		.oci = &oci,
		.limit_devices = true,
	};
	argv = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nomad_strv_free(argv);
	nspawn_machine_done(&machine);
	oci = (struct nspawn_oci){ 0 };
	return 0;
}

static void build(void)
{
	struct nomad_error *err = NULL;

	nomad_strv_free(argv);
	argv = NULL;
	machine.users = nspawn_users_wanted(&config);
	if (machine.users.count && !machine.users.first)
		machine.users.first = 524288;
	assert_int_equal(nspawn_argv(&config, &machine, &argv, &err), 0);
	assert_null(err);
}

/* Index of an argument, -1 if there is none. */
static int at(const char *arg)
{
	int i;

	for (i = 0; argv[i]; i++)
		if (strcmp(argv[i], arg) == 0)
			return i;
	return -1;
}

static bool begins(const char *prefix)
{
	size_t i;

	for (i = 0; argv[i]; i++)
		if (strncmp(argv[i], prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

#define assert_has(arg)                                                                                                \
	do {                                                                                                           \
		build();                                                                                               \
		if (at(arg) < 0)                                                                                       \
			fail_msg("no argument %s", arg);                                                               \
	} while (0)
#define assert_hasnt(prefix)                                                                                           \
	do {                                                                                                           \
		build();                                                                                               \
		if (begins(prefix))                                                                                    \
			fail_msg("an argument %s...", prefix);                                                         \
	} while (0)

/* The arguments from `first` on are these. */
static void assert_run(int first, const char *const *want)
{
	size_t i;

	assert_true(first >= 0);
	for (i = 0; want[i]; i++) {
		assert_non_null(argv[first + (int)i]);
		assert_string_equal(argv[first + (int)i], want[i]);
	}
}
#define RUN(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_whole(void **state)
{
	char *command[] = { (char *)"--bind=/:/host", (char *)"x", NULL };
	static const char base[] = "524288";

	(void)state;
	config.command = command;
	build();
	assert_run(0, RUN("/s/init", "launch", "dir", "/s/web", "tmpfs", "/run/systemd/nspawn/propagate", "users", base,
			  "65536", "alone", "idmap", "/img", "lower0", base, "overlay", "1", ".", "root", "0", "mkdir",
			  "root", "/usr", base, "machine-id", "root", "0a-1b", base, "devices", "", "--",
			  "/usr/bin/systemd-nspawn", "--quiet", "--settings=no", "--keep-unit", "--register=no",
			  "--machine=web-1", "--uuid=0a-1b", "--kill-signal=SIGTERM", "--notify-ready=yes",
			  "--console=pipe", "--directory=/s/web/root"));
	/* No word of the command can become an option. */
	assert_run(at("--load-credential=nomad.task:/proc/7/fd/9"),
		   RUN("--load-credential=nomad.task:/proc/7/fd/9", "--bind-ro=/s/init:/run/nomad/init", "--",
		       "/run/nomad/init", "supervise", "--bind=/:/host", "x"));
}

static void test_modes(void **state)
{
	(void)state;
	config.boot = true;
	build();
	assert_run(at("/run/nomad/init"), RUN("/run/nomad/init", "boot"));
	assert_true(at("--kill-signal=SIGRTMIN+3") > 0 && at("--notify-ready=no") > 0);
	assert_false(begins("--boot"));
	config.journal = true;
	build();
	assert_run(at("/run/nomad/init"), RUN("/run/nomad/init", "boot-journal"));
	config.notify_ready = true;
	assert_has("--notify-ready=yes");
	config.boot = false;
	config.init = false;
	build();
	assert_run(at("/run/nomad/init"), RUN("/run/nomad/init", "exec"));
}

static void test_users(void **state)
{
	(void)state;
	assert_has("--private-users=524288:65536");
	assert_has("--private-users-ownership=off");

	config.private_users = (char *)"655360";
	assert_has("--private-users=655360");
	assert_run(at("idmap"), RUN("idmap", "/img", "lower0", "655360"));
	config.private_users = (char *)"655360:1000";
	assert_has("--private-users=655360:1000");
	assert_run(at("users"), RUN("users", "655360", "1000", "shared"));
	assert_run(at("idmap"), RUN("idmap", "/img", "lower0", "655360"));

	config.private_users = (char *)"identity";
	assert_has("--private-users=identity");
	assert_has("--private-users-ownership=auto");
	assert_run(at("clone"), RUN("clone", "/img", "lower0"));
	config.private_users = (char *)"no";
	assert_has("--private-users=no");
	assert_hasnt("--private-users-ownership");
	config.private_users = (char *)"pick";
	config.private_users_ownership = (char *)"chown";
	assert_has("--private-users-ownership=chown");
	assert_true(at("idmap") < 0);
	config.private_users_ownership = (char *)"map";
	assert_has("--private-users-ownership=off");
	/* Where the file system cannot, systemd-nspawn copies. */
	machine.idmap_image = false;
	assert_has("--private-users-ownership=map");
	assert_true(at("idmap") < 0);
	config.user_namespacing = false;
	assert_hasnt("--private-users");
}

static void test_layer(void **state)
{
	(void)state;
	config.user_namespacing = false;
	machine.layer = "/l/web-1";
	build();
	assert_run(at("clone"),
		   RUN("clone", "/img", "lower0", "layer", "/l/web-1", "layer", "overlay", "1", "layer", "root"));
	config.volatile_mode = (char *)"overlay";
	build();
	assert_true(at("layer") < 0);
}

static void test_sticky(void **state)
{
	struct nomad_error *err = NULL;
	char base[16];

	(void)state;
	machine.sticky = machine.hidden = "/a/web/local/.nomad-root";
	assert_int_equal(nspawn_machine_bind(&machine, "/a/web/local", "/local", false, &err), 0);
	assert_int_equal(nspawn_machine_bind(&machine, "/a/web/local/.nomad", "/other", false, &err), 0);
	build();
	snprintf(base, sizeof(base), "%u", machine.users.first);
	assert_run(at("clone"),
		   RUN("clone", "/a/web/local/.nomad-root", "layer", "overlay", "1", "layer", "root", base));
	assert_has("--tmpfs=/local/.nomad-root:mode=0700,ro");
	assert_hasnt("--tmpfs=/other");
	machine.layer = "/a/web/local/.nomad-root/layer";
	build();
	assert_run(at("layer"), RUN("layer", machine.layer, "layer", "overlay", "1", "layer", "root", base));
	machine.sticky = machine.layer = NULL;
	build();
	assert_true(at("layer") < 0);
	assert_has("--tmpfs=/local/.nomad-root:mode=0700,ro");
}

static void test_nodev(void **state)
{
	(void)state;
	build();
	assert_true(at("nodev") < 0);
	machine.limit_devices = false;
	build();
	assert_run(at("nodev"), RUN("nodev", "root"));
	config.writable_image = true;
	build();
	assert_run(at("nodev"), RUN("nodev", "image"));
	config.device_policy = (char *)"open";
	build();
	assert_true(at("nodev") < 0);
	config.device_policy = NULL;
	config.user_namespacing = false;
	build();
	assert_true(at("nodev") < 0);
}

static void test_dhcp(void **state)
{
	(void)state;
	config.user_namespacing = false;
	config.dhcp = true;
	build();
	assert_true(at("dhcp") < 0);
	machine.dhcp_link = "vn1";
	machine.peer = "vp1";
	machine.address = "10.88.0.2";
	machine.gateway = "10.88.0.1";
	machine.bits = 32;
	build();
	assert_run(at("dhcp"), RUN("dhcp", "vn1", "vp1", "10.88.0.2", "10.88.0.1", "32", "net", "vp1", "10.88.0.2",
				   "10.88.0.1", "32", "-", "-", "devices", "", "--"));
	machine.address6 = "fd00::2";
	machine.gateway6 = "fd00::1";
	build();
	assert_run(at("net"), RUN("net", "vp1", "10.88.0.2", "10.88.0.1", "32", "fd00::2", "fd00::1"));
	config.dhcp = false;
	build();
	assert_true(at("dhcp") < 0);
}

static void test_devices(void **state)
{
	(void)state;
	config.user_namespacing = false;
	assert_int_equal(nspawn_machine_bind(&machine, "/dev/fuse", "/dev/fuse", false, NULL), 0);
	assert_int_equal(nspawn_machine_bind(&machine, "/dev/sda", "/dev/disk", true, NULL), 0);
	assert_int_equal(nspawn_machine_bind(&machine, "/srv", "/srv", true, NULL), 0);
	machine.binds[0].device = 'c';
	machine.binds[0].major = 10;
	machine.binds[0].minor = 229;
	machine.binds[1].device = 'b';
	machine.binds[1].major = 8;
	build();
	assert_run(at("devices"), RUN("devices", "c10:229:rwm,b8:0:r", "--"));
	strcpy(machine.binds[1].access, "rw");
	build();
	assert_run(at("devices"), RUN("devices", "c10:229:rwm,b8:0:rw", "--"));
	/* With users of its own it gets nodes of its own. */
	config.user_namespacing = true;
	config.private_users = (char *)"655360";
	build();
	assert_run(at("node"), RUN("node", "/dev/fuse", "bind0", "655360", "node", "/dev/sda", "bind1", "655360"));
	assert_has("--bind=/s/web/nodes/bind0:/dev/fuse");
	assert_has("--bind-ro=/s/web/nodes/bind1:/dev/disk");
	config.device_policy = (char *)"open";
	build();
	assert_true(at("devices") < 0);
}

static void test_roots(void **state)
{
	(void)state;
	config.user_namespacing = false;
	config.read_only = true;
	assert_has("--read-only");
	config.read_only = false;
	config.volatile_mode = (char *)"state";
	assert_has("--volatile=state");
	config.volatile_mode = (char *)"yes";
	assert_has("--volatile=yes");
	config.volatile_mode = (char *)"overlay";
	assert_hasnt("--volatile");
	assert_run(at("tmpfs") + 2,
		   RUN("clone", "/img", "lower0", "tmpfs", "memory", "overlay", "1", "memory", "root"));
	config.volatile_mode = NULL;
	config.ephemeral = true;
	assert_hasnt("--ephemeral");
	machine.image = "/";
	build();
	assert_run(at("clone"), RUN("clone", "/", "lower0", "tmpfs", "memory", "overlay", "1", "memory", "root"));
	machine.image = "/img.raw";
	machine.image_kind = NSPAWN_RAW;
	build();
	assert_run(at("loop"), RUN("loop", "/img.raw", "image", "ro", "clone", "image", "lower0"));
	config.ephemeral = false;
	config.writable_image = true;
	build();
	assert_run(at("loop"), RUN("loop", "/img.raw", "image", "rw", "devices", "", "--"));
	assert_true(at("--directory=/s/web/image") > 0);
	machine.image_kind = NSPAWN_DIRECTORY;
	machine.image = "/img";
	assert_has("--directory=/s/web/image");
	assert_run(at("bind"), RUN("bind", "/img", "image"));
	assert_true(at("overlay") < 0 && at("mkdir") < 0 && at("machine-id") < 0);
	config.pivot_root = (char *)"/a:/b";
	assert_has("--pivot-root=/a:/b");
}

static void test_binds(void **state)
{
	(void)state;
	config.user_namespacing = false;
	assert_int_equal(nspawn_machine_bind(&machine, "/h/a:b", "/in:side", false, NULL), 0);
	assert_int_equal(nspawn_machine_bind(&machine, "/ro", "/tmp/ro", true, NULL), 0);
	assert_has("--bind=/h/a\\:b:/in\\:side");
	assert_has("--bind-ro=/ro:/tmp/ro");
	build();
	assert_run(at("/usr") - 2, RUN("mkdir", "root", "/usr", "0", "mkdir", "root", "/in:side", "0", "machine-id"));
	machine.binds[0].file = true;
	machine.binds[0].idmap = true;
	assert_has("--bind=/h/a\\:b:/in\\:side:idmap");
	assert_has("mkfile");
	/* The last one that is bound to a place is there. */
	assert_int_equal(nspawn_machine_bind(&machine, "/other", "/in:side", true, NULL), 0);
	assert_int_equal(machine.n_binds, 2);
	assert_has("--bind-ro=/other:/in\\:side");
	assert_hasnt("--bind=/h/");
	/* With users whose first one is known, owners are shifted before systemd-nspawn sees it. */
	config.user_namespacing = true;
	config.private_users = (char *)"655360";
	machine.binds[0].idmap = true;
	assert_has("--bind-ro=/s/web/bind0:/in\\:side");
	assert_run(at("bind0") - 2, RUN("idmap", "/other", "bind0", "655360"));
	config.private_users = (char *)"managed";
	assert_has("--bind-ro=/other:/in\\:side:idmap");
	config.user_namespacing = false;
	/* A path that was judged is mounted without links, and systemd-nspawn never sees it. */
	machine.binds[0].pinned = true;
	assert_has("--bind-ro=/s/web/bind0:/in\\:side:idmap");
	assert_run(at("bind0") - 2, RUN("bind", "/other", "bind0"));
	machine.binds[0].pinned = false;
	/* Marks of systemd-nspawn. */
	assert_int_equal(nspawn_machine_bind(&machine, "-/maybe", "/m", false, NULL), 0);
	assert_has("--bind=-/maybe:/m");
}

static void test_rights(void **state)
{
	char *caps[] = { (char *)"CAP_SYS_TIME", (char *)"cap_audit_read", NULL };
	char *drops[] = { (char *)"CAP_MKNOD", NULL }, *calls[] = { (char *)"~@mount", (char *)"bpf", NULL };
	struct nomad_pair limit = { (char *)"NOFILE", (char *)"10:20" };

	(void)state;
	assert_hasnt("--capability");
	config.capability = caps;
	assert_has("--capability=CAP_SYS_TIME,cap_audit_read");
	config.capability = NULL;
	assert_hasnt("--capability");
	config.drop_capability = drops;
	assert_has("--drop-capability=CAP_MKNOD");
	config.system_call_filter = calls;
	assert_has("--system-call-filter=~@mount");
	assert_has("--system-call-filter=bpf");
	config.no_new_privileges = true;
	assert_has("--no-new-privileges=yes");
	config.rlimits = (struct nomad_map){ &limit, 1 };
	assert_has("--rlimit=NOFILE=10:20");
}

static void test_network(void **state)
{
	(void)state;
	/* The host's, or that of the group. */
	assert_hasnt("--private-network");
	assert_hasnt("--network");
	config.network_veth = true;
	machine.own_network = true;
	assert_has("--private-network"); /* which adds CAP_NET_ADMIN by itself */
	assert_hasnt("--bind-ro=/s/web/net-socket");
	assert_hasnt("--resolv-conf");
	/* A link: the namespace is systemd-nspawn's all the same, and the host's name servers can be reached. */
	machine.peer = "vp1";
	assert_has("--private-network");
	assert_has("--bind-ro=/s/web/net-socket:/run/nomad/net");
	assert_has("--resolv-conf=copy-host");
	assert_hasnt("--network");
	assert_run(at("net"), RUN("net", "vp1", "-", "-", "0", "-", "-", "devices", "", "--"));
	config.read_only = true;
	assert_has("--resolv-conf=bind-host");
	config.resolv_conf = (char *)"auto";
	assert_has("--resolv-conf=bind-host");
	config.resolv_conf = (char *)"off";
	assert_has("--resolv-conf=off");
}

static void test_rest(void **state)
{
	char *tmpfs[] = { (char *)"/cache:size=1M", (char *)"/run/x", NULL };
	char *overlays[] = { (char *)"/a:/b:/c", NULL };

	(void)state;
	assert_hasnt("--resolv-conf");
	config.resolv_conf = (char *)"bind-host";
	assert_has("--resolv-conf=bind-host");
	machine.resolv_conf = "/s/web/resolv.conf";
	assert_has("--resolv-conf=off");
	assert_has("--bind-ro=/s/web/resolv.conf:/etc/resolv.conf");
	config.timezone = (char *)"off";
	assert_has("--timezone=off");
	config.hostname = (char *)"www";
	assert_has("--hostname=www");
	config.console = (char *)"read-only";
	assert_has("--console=read-only");
	config.tmpfs = tmpfs;
	assert_has("--tmpfs=/cache:size=1M");
	assert_has("/cache");
	assert_true(at("/run/x") < 0);
	config.overlay = overlays;
	config.overlay_read_only = overlays;
	assert_has("--overlay=/a:/b:/c");
	assert_has("--overlay-ro=/a:/b:/c");
}

/* Nothing of the environment may stand in the command line. */
static void test_spec(void **state)
{
	struct nomad_pair own[] = { { (char *)"A", (char *)"mine" }, { (char *)"B", (char *)"b" } };
	struct nomad_pair task[] = { { (char *)"A", (char *)"task's" }, { (char *)"x-y", (char *)"\xff\n" } };
	struct nomad_map env = { task, 2 };
	static const char want[] = "web\0/srv\0"
				   "7,video\0kernel.sem=1 2\n\0"
				   "0 0 0 0 0 0\0B=b\0A=task's\0x-y=\xff\n";
	struct nomad_pair sysctl = { (char *)"kernel.sem", (char *)"1 2" };
	char *groups[] = { (char *)"video", NULL };
	char *data;
	size_t size;

	(void)state;
	config.environment = (struct nomad_map){ own, 2 };
	config.working_directory = (char *)"/srv";
	machine.user = "web";
	config.group_add = groups;
	config.sysctl = (struct nomad_map){ &sysctl, 1 };
	oci.groups = (char *)"7";
	assert_int_equal(nspawn_spec(&config, &machine, &env, &data, &size, NULL), 0);
	assert_int_equal(size, sizeof(want));
	assert_memory_equal(data, want, size);
	free(data);
	oci.health = (char *[]){ (char *)"/bin/check", (char *)"a=b", NULL };
	memcpy(oci.health_ms, (int64_t[]){ 100, 20, 300, 4 }, sizeof(oci.health_ms));
	oci.health_retries = 5;
	assert_int_equal(nspawn_spec(&config, &machine, &env, &data, &size, NULL), 0);
	assert_memory_equal(data + 33, "100 20 300 4 5 2\0/bin/check\0a=b\0B=b", 36);
	free(data);
	config.user = (char *)"db:5";
	assert_int_equal(nspawn_spec(&config, &machine, &env, &data, &size, NULL), 0);
	assert_string_equal(data, "db:5");
	free(data);
	assert_hasnt("mine");
	config.boot = true;
	assert_int_equal(nspawn_spec(&config, &machine, &env, &data, &size, NULL), 0);
	assert_memory_equal(data, "\0\0\0kernel.sem=1 2\n\0", 19);
	free(data);
}

static void test_spec_limit(void **state)
{
	struct nomad_error *err = NULL;
	struct nomad_pair pair = { (char *)"BIG", NULL };
	struct nomad_map env = { &pair, 1 };
	char *data = NULL;
	size_t size;

	(void)state;
	pair.value = malloc((1 << 20) + 1);
	memset(pair.value, 'x', 1 << 20);
	pair.value[1 << 20] = 0;
	assert_int_equal(nspawn_spec(&config, &machine, &env, &data, &size, &err), -E2BIG);
	assert_non_null(strstr(nomad_error_message(err), "1 MiB"));
	nomad_error_free(err);
	free(pair.value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole),
		TEST(test_modes),
		TEST(test_users),
		TEST(test_devices),
		TEST(test_dhcp),
		TEST(test_layer),
		TEST(test_sticky),
		TEST(test_nodev),
		TEST(test_roots),
		TEST(test_binds),
		TEST(test_rights),
		TEST(test_network),
		TEST(test_rest),
		TEST(test_spec),
		TEST(test_spec_limit),
	};

	return cmocka_run_group_tests_name("nspawn argv", tests, NULL, NULL);
}
