/* SPDX-License-Identifier: MPL-2.0
 *
 * What is bound where, and the files of ours; the library's view of a task
 * is told by the test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

/* files.c anew, with these instead of the library's. */
#define nspawn_bind_all test_bind_all
#define nspawn_bind_judged test_bind_judged
#define nspawn_bind_at test_bind_at
#define nspawn_env_path test_env_path
#define nspawn_make_resolv_conf test_make_resolv_conf
#define nspawn_make_names test_make_names
#define nspawn_make_spec test_make_spec
#define nspawn_make_network_file test_make_network_file
#define nomad_task_shared_dir test_shared_dir
#define nomad_task_local_dir test_local_dir
#define nomad_task_secrets_dir test_secrets_dir
#define nomad_task_state_dir test_state_dir
#define nspawn_can_idmap test_can_idmap
#define nomad_task_may test_may
#include "bind.c"
#include "files.c"

static char top[] = "/tmp/nspawn-files-XXXXXX", shared[64], local[64], secrets[64];
static struct nspawn_config config;
static struct nspawn_plugin_config site;
static struct nomad_task_info info;
static struct nspawn_start s;
static bool can_idmap;
static char judged[4096];
static const char *forbidden;

const char *test_shared_dir(const struct nomad_task *task)
{
	(void)task;
	return shared;
}
const char *test_local_dir(const struct nomad_task *task)
{
	(void)task;
	return local;
}
const char *test_secrets_dir(const struct nomad_task *task)
{
	(void)task;
	return secrets;
}
const char *test_state_dir(const struct nomad_task *task)
{
	(void)task;
	return top;
}

int test_may(const struct nomad_task *task, const char *option, const char *value, struct nomad_error **err)
{
	size_t n = strlen(judged);

	(void)task;
	snprintf(judged + n, sizeof(judged) - n, "%s %s\n", option, value);
	return forbidden && strcmp(forbidden, option) == 0 ? nomad_error_set(err, EACCES, "forbidden") : 0;
}

bool test_can_idmap(struct nspawn_data *data, const char *path, bool whole)
{
	(void)data;
	(void)path;
	(void)whole;
	return can_idmap;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof(top) - 7, "XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(shared, sizeof(shared), "%s/alloc", top);
	snprintf(local, sizeof(local), "%s/local", top);
	snprintf(secrets, sizeof(secrets), "%s/secrets", top);
	config = (struct nspawn_config){ .init = true, .user_namespacing = true };
	site = (struct nspawn_plugin_config){ .volumes = true };
	info = (struct nomad_task_info){ 0 };
	s = (struct nspawn_start){ .config = &config, .site = &site, .info = &info, .spec_fd = -1 };
	can_idmap = true;
	judged[0] = 0;
	forbidden = NULL;
	return mkdir(shared, 0700) || mkdir(local, 0700) || mkdir(secrets, 0700);
}

static int tear_down(void **state)
{
	(void)state;
	nspawn_machine_done(&s.machine);
	free(s.resolv_conf);
	return nomad_remove_tree(top, NULL);
}

static const struct nspawn_bind *at(const char *container)
{
	size_t i;

	for (i = 0; i < s.machine.n_binds; i++)
		if (strcmp(s.machine.binds[i].container, container) == 0)
			return &s.machine.binds[i];
	return NULL;
}

static void refused(const char *text)
{
	struct nomad_error *err = NULL;

	assert_true(test_bind_all(&s, &err) < 0);
	if (!strstr(nomad_error_message(err), text))
		fail_msg("%s", nomad_error_message(err));
	nomad_error_free(err);
}

static void test_task_dirs(void **state)
{
	struct nomad_pair env[] = {
		{ (char *)"NOMAD_ALLOC_DIR", (char *)"/mine" },
		{ (char *)"NOMAD_TASK_DIR", (char *)"relative" },
	};
	char logs[96];

	(void)state;
	info.env = (struct nomad_map){ env, 2 };
	assert_int_equal(test_bind_all(&s, NULL), 0);
	assert_int_equal(s.machine.n_binds, 3);
	assert_string_equal(at("/mine")->host, shared);
	assert_string_equal(at("/local")->host, local); /* what is no path counts for nothing */
	assert_string_equal(at("/secrets")->host, secrets);
	assert_true(at("/mine")->idmap);
	assert_false(at("/mine")->read_only);
	/* The pipes of the logs are there as soon as Nomad made them, and nobody's to replace. */
	nspawn_machine_done(&s.machine);
	s.machine.n_binds = 0;
	snprintf(logs, sizeof(logs), "%s/logs", shared);
	assert_int_equal(mkdir(logs, 0700), 0);
	assert_int_equal(test_bind_all(&s, NULL), 0);
	assert_true(at("/mine/logs")->read_only);
	nspawn_machine_done(&s.machine);
	s.machine.n_binds = 0;
	config.user_namespacing = false;
	assert_int_equal(test_bind_all(&s, NULL), 0);
	assert_false(at("/mine")->idmap);
}

static void test_mounts(void **state)
{
	struct nomad_mount mount = { .task_path = (char *)"/data", .host_path = (char *)"/usr", .readonly = true };
	struct nomad_pair bind = { (char *)"/etc", (char *)"/data" };

	(void)state;
	info.mounts = &mount;
	info.n_mounts = 1;
	assert_int_equal(test_bind_all(&s, NULL), 0);
	assert_true(at("/data")->read_only);
	assert_false(at("/data")->file);
	/* The job's own bind at the same place comes later. */
	config.bind = (struct nomad_map){ &bind, 1 };
	assert_int_equal(test_bind_all(&s, NULL), 0);
	assert_string_equal(at("/data")->host, "/etc");
	config.bind.count = 0;
	mount.propagation_mode = (char *)"bidirectional";
	refused("use host-to-task");
	mount.propagation_mode = (char *)"host-to-task";
	mount.host_path = (char *)"/no/such/volume";
	refused("bind '/no/such/volume'");
	site.volumes = false;
	refused("volumes are not enabled; cannot mount host paths");
}

static void test_devices(void **state)
{
	struct nomad_device given[] = {
		{ (char *)"/dev/inside", (char *)"/dev/null", (char *)"r" },
		{ (char *)"", (char *)"/dev/zero", (char *)"" },
	};
	char *wanted[] = { (char *)"/dev/full:/dev/other:rw", (char *)"/dev/random", NULL };
	char *file[] = { (char *)"/etc/passwd", NULL };

	(void)state;
	info.devices = given;
	info.n_devices = 2;
	config.devices = wanted;
	assert_int_equal(test_bind_all(&s, NULL), 0);
	assert_string_equal(at("/dev/inside")->access, "r");
	assert_int_equal(at("/dev/inside")->device, 'c');
	assert_int_equal(at("/dev/inside")->major, 1);
	assert_int_equal(at("/dev/inside")->minor, 3);
	assert_string_equal(at("/dev/zero")->access, "rwm"); /* its own path, all access */
	assert_string_equal(at("/dev/other")->host, "/dev/full");
	assert_string_equal(at("/dev/other")->access, "rw");
	assert_string_equal(at("/dev/random")->access, "rwm");
	config.devices = file;
	refused("device '/etc/passwd' is no device node");
}

/* What is judged is what is mounted: paths without links. */
static void test_judged(void **state)
{
	char link[96], logs[96], missing[96];
	struct nomad_pair binds[] = { { link, (char *)"/a" },
				      { (char *)"/dev/null", (char *)"/b" },
				      { missing, (char *)"/c" },
				      { (char *)"+/in/image", (char *)"/d" } };
	struct nomad_pair read_only = { (char *)"/usr/../etc", (char *)"/e" };
	char *device[] = { (char *)"/dev/full:/f", NULL };

	(void)state;
	snprintf(link, sizeof(link), "%s/link", top);
	snprintf(logs, sizeof(logs), "%s/logs", shared);
	snprintf(missing, sizeof(missing), "-%s/missing", top);
	assert_int_equal(symlink("/usr", link), 0);
	assert_int_equal(symlink("/", logs), 0);
	config.bind = (struct nomad_map){ binds, 4 };
	config.bind_read_only = (struct nomad_map){ &read_only, 1 };
	config.devices = device;
	assert_int_equal(test_bind_all(&s, NULL), 0);
	assert_string_equal(judged, "bind /usr\nbind /dev/null\ndevices /dev/null\nbind_read_only /etc\n"
				    "devices /dev/full\n");
	assert_string_equal(at("/a")->host, "/usr");
	assert_true(at("/a")->pinned && at("/b")->pinned && at("/e")->pinned && at("/f")->pinned);
	assert_null(at("/c")); /* what may be missing and is does not come later */
	assert_false(at("/d")->pinned);
	/* Nobody follows that link: the launcher fails. */
	assert_true(at("/alloc/logs")->pinned);
	assert_string_equal(at("/alloc/logs")->host, logs);
	for (size_t i = 0; i < 3; i++) {
		forbidden = (const char *[]){ "bind", "devices", "bind_read_only" }[i];
		refused("forbidden");
	}
}

static char *text_of(const char *path)
{
	static char text[1000];
	FILE *in = fopen(path, "r");
	size_t n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;

	assert_non_null(in);
	fclose(in);
	text[n] = 0;
	return text;
}

static void test_resolv_conf(void **state)
{
	char *servers[] = { (char *)"192.0.2.53", (char *)"2001:db8::53", NULL };
	char *searches[] = { (char *)"a.example", (char *)"b.example", NULL };
	char *options[] = { (char *)"ndots:2", (char *)"rotate", NULL };

	(void)state;
	info.has_dns = true;
	info.dns_servers = servers;
	info.dns_searches = searches;
	info.dns_options = options;
	assert_int_equal(test_make_resolv_conf(&s, NULL), 0);
	assert_string_equal(text_of(s.machine.resolv_conf),
			    "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch a.example b.example\n"
			    "options ndots:2 rotate\n");
	free(s.resolv_conf);
	s.resolv_conf = NULL;
	/* An empty block is a block: the host's servers are not meant. */
	info.dns_servers = info.dns_searches = info.dns_options = NULL;
	assert_int_equal(test_make_resolv_conf(&s, NULL), 0);
	assert_string_equal(text_of(s.machine.resolv_conf), "");
}

static void test_network_file(void **state)
{
	static const char place[] = "/etc/systemd/network/10-nomad.network";

	(void)state;
	s.network = (struct nspawn_network){ .address = "10.88.0.2", .gateway = "10.88.0.1", .bits = 32 };
	assert_int_equal(test_make_network_file(&s, NULL), 0);
	assert_null(at(place)); /* no systemd in there */
	config.boot = true;
	assert_int_equal(test_make_network_file(&s, NULL), 0);
	assert_non_null(strstr(text_of(at(place)->host), "Address=10.88.0.2/32\n"));
	assert_true(at(place)->read_only);
	nspawn_machine_done(&s.machine);
	s.machine = (struct nspawn_machine){ 0 };
	config.writable_image = true; /* it would stay in the image */
	assert_int_equal(test_make_network_file(&s, NULL), 0);
	assert_null(at(place));
}

static void again(void)
{
	nspawn_machine_done(&s.machine);
	s.machine = (struct nspawn_machine){ .name = "web-1a2b" };
	assert_int_equal(test_make_names(&s, NULL), 0);
}

static void test_names(void **state)
{
	char path[128], host[4096], hosts[80];

	(void)state;
	strcpy(host, text_of("/etc/hosts"));
	snprintf(hosts, sizeof(hosts), "%s/hosts", top);
	s.image.path = local;
	s.network = (struct nspawn_network){ .kind = NSPAWN_NET_OWN, .address = "10.88.0.2" };
	again();
	assert_string_equal(text_of(hosts), "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
					    "ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n10.88.0.2 web-1a2b\n");
	assert_true(at("/etc/hosts")->read_only);
	assert_null(at("/etc/hostname"));
	config.hostname = (char *)"www";
	config.boot = true;
	s.network.address[0] = 0;
	again();
	assert_non_null(strstr(text_of(hosts), "\n127.0.1.1 www\n"));
	assert_string_equal(text_of(at("/etc/hostname")->host), "www\n");
	/* Who shares the host's network knows the host's neighbours. */
	s.network.kind = NSPAWN_NET_HOST;
	again();
	assert_int_equal(strncmp(text_of(hosts), host, strlen(host)), 0);
	assert_non_null(strstr(text_of(hosts), "127.0.1.1 www\n"));
	/* A group's address is in its namespace; here the test's own, with or without a link. */
	s.network = (struct nspawn_network){ .kind = NSPAWN_NET_JOINED, .netns = (char *)"/proc/self/ns/net" };
	again();
	assert_non_null(strstr(text_of(hosts), " www\n"));
	s.network.netns = NULL;
	/* The job's own file is left alone, and so is an image that would get a new file. */
	assert_int_equal(unlink(hosts), 0);
	assert_int_equal(nspawn_machine_bind(&s.machine, "/x", "/etc/hosts", true, NULL), 0);
	assert_int_equal(test_make_names(&s, NULL), 0);
	assert_int_equal(access(hosts, F_OK), -1);
	config.writable_image = true;
	again();
	assert_null(at("/etc/hosts"));
	assert_null(at("/etc/hostname"));
	snprintf(path, sizeof(path), "%s/etc", local);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/etc/hosts", local);
	fclose(fopen(path, "w"));
	again();
	assert_non_null(at("/etc/hosts"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_task_dirs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mounts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_devices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_judged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_resolv_conf, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_network_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("nspawn/files", tests, NULL, NULL);
}
