/* SPDX-License-Identifier: MPL-2.0
 *
 * The exact command line of each option and each step. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "nomad/error.h"
#include "pot-cli.h"

#define POT "/usr/local/bin/pot"
#define PREPARE POT "|prepare|-U|https://example.org/i|-p|nginx|-t|1.2|"
/* A list as the decoder makes it; nobody writes to it. */
#define V(...) ((char **)(uintptr_t)(const char *const[]){ __VA_ARGS__, NULL })

/* Compare with `take_argv`, shown with | between the words. */
#define expect(want, take_argv) expect_at(want, take_argv, __FILE__, __LINE__)
static void expect_at(const char *want, char **take_argv, const char *file, int line)
{
	char got[8192] = "";

	_assert_true(take_argv != NULL, "argv", file, line);
	for (char **arg = take_argv; *arg; arg++) {
		strcat(got, arg == take_argv ? "" : "|");
		strcat(got, *arg);
	}
	_assert_string_equal(got, want, file, line);
	nomad_strv_free(take_argv);
}

static char image[] = "https://example.org/i", name[] = "nginx", tag[] = "1.2";

static struct pot_task_config plain(void)
{
	return (struct pot_task_config){ .image = image, .pot = name, .tag = tag, .cpus = NOMAD_INT_UNSET };
}

static struct nomad_port job_ports[] = {
	{ .label = (char *)"http", .value = 21000, .to = 8080 },
	{ .label = (char *)"dns", .value = 21001 },
	{ .label = (char *)"my-port", .value = 21002, .to = 0 },
};
static const struct nomad_task_info job = { .resources = { .ports = job_ports, .n_ports = 3 } };

static char **prepare(const struct pot_task_config *c)
{
	struct pot_port *ports = NULL;
	struct nomad_error *err = NULL;
	char **argv;
	size_t n;

	assert_int_equal(pot_ports(c, &job, &ports, &n, &err), 0);
	argv = pot_argv_prepare(POT, c, ports, n, NULL, NULL, "web-1");
	free(ports);
	return argv;
}

static void test_prepare_plain(void **state)
{
	struct pot_task_config c = plain();

	(void)state;
	expect(PREPARE "-a|web-1|-n|nomad|-v", prepare(&c));
}

static void test_command(void **state)
{
	struct pot_task_config c = plain();

	(void)state;
	c.command = (char *)"nginx";
	expect(PREPARE "-c|\"/.nomad/run nginx\"|-a|web-1|-n|nomad|-v", prepare(&c));
	c.args = V("-g", "daemon off;", "'as is'", "it's", "$HOME `x` \"q\" \\", "");
	expect(PREPARE "-c|"
		       "\"/.nomad/run nginx '-g' 'daemon off;' 'as is' 'it'\\''s' '$HOME `x` \"q\" \\' "
		       "''\"|-a|web-1|-n|nomad|-v",
	       prepare(&c));
}

static void test_network_mode(void **state)
{
	struct pot_task_config c = plain();

	(void)state;
	c.network_mode = (char *)"host";
	expect(PREPARE "-N|host|-a|web-1|-n|nomad|-v", prepare(&c));
	c.network_mode = (char *)"public-bridge";
	expect(PREPARE "-N|public-bridge|-a|web-1|-n|nomad|-v", prepare(&c));
	c.network_mode = (char *)"alias";
	c.ip = V("em0|192.0.2.1", "192.0.2.2");
	c.network_stack = (char *)"ipv4";
	expect(PREPARE "-N|alias|-i|em0|192.0.2.1|-i|192.0.2.2|-S|ipv4"
		       "|-a|web-1|-n|nomad|-v",
	       prepare(&c));
	c.network_mode = (char *)"private-bridge";
	c.ip = NULL;
	c.network_stack = NULL;
	c.bridge = (char *)"back";
	expect(PREPARE "-N|private-bridge|-B|back|-a|web-1|-n|nomad|-v", prepare(&c));
}

static void test_port_map(void **state)
{
	struct nomad_pair pairs[] = {
		{ (char *)"http", (char *)"80" },
		{ (char *)"dns", (char *)"udp:53" },
		{ (char *)"my-port", (char *)"tcp:9" },
	};
	struct pot_task_config c = plain();

	(void)state;
	c.port_map = (struct nomad_map){ pairs, 1 };
	expect(PREPARE "-N|public-bridge|-i|auto|-e|80:21000|-a|web-1|-n|nomad|-v", prepare(&c));
	/* udp goes first. */
	c.port_map.count = 3;
	expect(PREPARE "-N|public-bridge|-i|auto|-e|udp:53:21001|-e|80:21000"
		       "|-e|9:21002|-a|web-1|-n|nomad|-v",
	       prepare(&c));
	c.network_mode = (char *)"public-bridge";
	c.port_map.count = 1;
	expect(PREPARE "-N|public-bridge|-e|80:21000|-a|web-1|-n|nomad|-v", prepare(&c));
	/* Without a network of its own there is nothing to map to. */
	c.network_mode = (char *)"host";
	expect(PREPARE "-N|host|-a|web-1|-n|nomad|-v", prepare(&c));
}

static void test_ports(void **state)
{
	struct pot_task_config c = plain();
	struct nomad_error *err = NULL;
	struct pot_port *ports = NULL;
	size_t n;

	(void)state;
	c.ports = V("http", "udp:dns");
	expect(PREPARE "-N|public-bridge|-i|auto|-e|udp:21001:21001|-e|8080:21000"
		       "|-a|web-1|-n|nomad|-v",
	       prepare(&c));
	c.ports = V("nope");
	assert_int_equal(pot_ports(&c, &job, &ports, &n, &err), -EINVAL);
	assert_non_null(strstr(nomad_error_message(err), "'nope'"));
	nomad_error_free(err);
}

static void test_dns_and_signature(void **state)
{
	struct pot_task_config c = plain();

	(void)state;
	c.dns = (char *)"off";
	c.signature_key = (char *)"/k.pub";
	expect(PREPARE "-d|off|-C|/k.pub|-a|web-1|-n|nomad|-v", pot_argv_prepare(POT, &c, NULL, 0, NULL, "", "web-1"));
	expect(PREPARE "-d|custom:/s/resolv.conf|-C|/k.pub|-a|web-1|-n|nomad|-v",
	       pot_argv_prepare(POT, &c, NULL, 0, "/s/resolv.conf", NULL, "web-1"));
}

static void test_steps(void **state)
{
	const char *const list[] = { "A=1", "B=x y", NULL }, *const hosts[] = { "h:192.0.2.7", NULL };

	(void)state;
	expect(POT "|set-attribute|-p|P|-A|mlock|-V|yes", pot_argv_set_attribute(POT, "P", "mlock", "yes"));
	expect(POT "|copy-in|-p|P|-s|/a b|-d|/c", pot_argv_copy_in(POT, "P", "/a b", "/c"));
	expect(POT "|mount-in|-p|P|-d|/a|-m|/b", pot_argv_mount_in(POT, "P", "/a", "/b", false));
	expect(POT "|mount-in|-p|P|-d|/a|-m|/b|-r", pot_argv_mount_in(POT, "P", "/a", "/b", true));
	expect(POT "|set-env|-p|P|-E|A=1|-E|B=x y", pot_argv_set_env(POT, "P", list));
	expect("env|POT_MKTMP_SUFFIX=.XXXXXXXX|" POT "|set-hosts|-p|P|-H|h:192.0.2.7",
	       pot_argv_set_hosts(POT, "P", hosts));
	expect(POT "|set-rss|-M|512M|-p|P", pot_argv_set_memory(POT, "P", 512));
	expect(POT "|set-rss|-C|2|-p|P", pot_argv_set_cpus(POT, "P", 2));
	expect(POT "|stop|-p|P", pot_argv_stop(POT, "P"));
	expect(POT "|destroy|-p|P|-F", pot_argv_destroy(POT, "P"));
	expect(POT "|destroy|-p|img_1_0", pot_argv_destroy_image(POT, "img_1_0"));
	expect(POT "|signal|-s|SIGHUP|-p|P", pot_argv_signal(POT, "P", "SIGHUP"));
	expect(POT "|info|-q|-p|P", pot_argv_exists(POT, "P"));
	expect(POT "|info|-E|-p|P", pot_argv_info_env(POT, "P"));
	expect(POT "|info|-q|-r|-p|P", pot_argv_is_running(POT, "P"));
	expect(POT "|set-status|-p|P|-s|doa", pot_argv_set_status(POT, "P", "doa"));
	expect("ifconfig|-a", pot_argv_interfaces());
	expect("ifconfig|p4a|destroy", pot_argv_interface_destroy("p4a"));
	expect("mount|-p", pot_argv_mounts());
	expect("umount|-f|/pot/jails/P/m/dev", pot_argv_unmount("/pot/jails/P/m/dev"));
	expect(POT "|version|-q", pot_argv_version(POT));
	expect(POT "|config|-q|-g|fs_root", pot_argv_config(POT, "fs_root"));
	expect("rctl|-a|jail:P:pcpu:deny=150", pot_argv_rctl_add("P", "pcpu", "deny", "150"));
	expect("rctl|-r|jail:P", pot_argv_rctl_remove("P"));
}

static void test_exec(void **state)
{
	const char *const command[] = { "-p", "other pot", "$x", NULL }, *const env[] = { "A=b c", NULL };

	(void)state;
	/* An option in front must not become one of pot's. */
	expect(POT "|exec|-p|P|-e|A=b c|/bin/sh|-c|exec \"$@\"|sh|-p|other pot|$x",
	       pot_argv_exec(POT, "P", NULL, command, NULL, env));
	expect(POT "|exec|-p|P|/bin/sh|-c|exec \"$@\"|sh|-p|other pot|$x",
	       pot_argv_exec(POT, "P", NULL, command, NULL, NULL));
	expect(POT "|exec|-p|P|/bin/sh|-c|[ -r \"$0\" ] && . \"$0\"; exec \"$@\"|/secrets/e|-p|other pot|$x",
	       pot_argv_exec(POT, "P", NULL, command, "/secrets/e", env));
	expect(POT "|exec|-p|P|/bin/sh|-c|exec \"$@\"|sh|/.nomad/run|-u|www|-p|other pot|$x",
	       pot_argv_exec(POT, "P", "www", command, NULL, NULL));
}

/* ---- The supervised command, run with a pot that only plays one answer ---- */

static char dir[64];

static int run_start(const char *pot_script, char *end, size_t size)
{
	char pot[96], said[96], text[32] = "";
	int channel[2];
	ssize_t n;
	char **argv;
	FILE *f;
	pid_t pid;
	int status;

	snprintf(pot, sizeof(pot), "%s/p o t", dir);
	f = fopen(pot, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s", pot_script);
	fclose(f);
	chmod(pot, 0755);
	snprintf(said, sizeof(said), "%s/said", dir);
	argv = pot_argv_start(pot, "na me", said);
	assert_int_equal(pipe(channel), 0);
	assert_string_equal(argv[0], "/bin/sh");
	pid = fork();
	if (pid == 0) {
		if (dup2(channel[1], NOMAD_EXIT_FD) < 0)
			_exit(98);
		execv(argv[0], argv);
		_exit(99);
	}
	close(channel[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	nomad_strv_free(argv);
	n = read(channel[0], end, size - 1);
	end[n > 0 ? n : 0] = '\0';
	close(channel[0]);
	unlink(pot);
	f = fopen(said, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "===>  said\n");
	unlink(said);
	return WEXITSTATUS(status);
}

static void test_start(void **state)
{
	static const struct {
		const char *start, *stats;
		int status;
		const char *end;
	} cases[] = {
		{ "exit 0", "{ \"ExitCode\": 0 }", 0, "0 0 0\n" },
		{ "exit 125", "{ \"ExitCode\": 7 }", 7, "7 0 0\n" },
		{ "exit 125", "{ \"ExitCode\": 137 }", 137, "137 9 0\n" },
		{ "exit 125", "{ \"ExitCode\": 255 }", 255, "255 0 0\n" },
		/* A pot stop was faster. */
		{ "exit 0", "{ \"ExitCode\": 143 }", 143, "143 15 0\n" },
		{ "exit 1", "{ \"ExitCode\": 3 }", 3, "3 0 0\n" },
		/* It never ran. */
		{ "exit 1", "{}", 1, "" },
		{ "exit 0", "{}", 0, "" },
		{ "exit 1", "what? 12", 1, "" },
		{ "exit 1", "{ \"ExitCode\": }", 1, "" },
	};

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/pot-cli-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		char script[512], got[64];

		snprintf(script, sizeof(script),
			 "case \"$#:$*\" in\n"
			 "'2:start na me') echo '===>  said'; echo >&5; %s ;;\n"
			 "'3:last-run-stats -p na me') echo '%s' ;;\n"
			 "*) exit 98 ;;\nesac\n",
			 cases[i].start, cases[i].stats);
		assert_int_equal(run_start(script, got, sizeof(got)), cases[i].status);
		assert_string_equal(got, cases[i].end);
	}
	rmdir(dir);
}

static void test_address(void **state)
{
	static const char *const without[] = { "", "export _POT_IP=\n", "export _POT_IP=em0|192.0.2.1\n" };
	NOMAD_AUTO_FREE char *address =
		pot_parse_address("export _POT_NAME=a\nexport _POT_IP=10.192.0.3\nexport _POT_JID=1\n");

	(void)state;
	assert_non_null(address);
	assert_string_equal(address, "10.192.0.3");
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(without); i++)
		assert_null(pot_parse_address(without[i]));
}

static void test_first_complaint(void **state)
{
	char *s = pot_first_complaint("===>  importing a @ b\n###>  The 1.2.3.4 IP is not valid\n###>  Not able\n");

	(void)state;
	assert_string_equal(s, "The 1.2.3.4 IP is not valid");
	free(s);
	s = pot_first_complaint("###>x");
	assert_string_equal(s, "x");
	free(s);
	assert_null(pot_first_complaint("===>  fine\n x ###> y\n\n"));
	assert_null(pot_first_complaint(""));
	assert_null(pot_first_complaint(NULL));
}

static void an_interface_is_found_by_its_description(void **state)
{
	static const char *const lines[] = {
		"em0: flags=8863<UP,BROADCAST> metric 0 mtu 1500",
		"\tdescription: nomad_ab",
		"p4a: flags=8943<UP,BROADCAST> metric 0 mtu 1500",
		"\tether 02:00:00:00:00:0a",
		"\tdescription: nomad_a",
	};
	struct pot_interface interface = { .description = "nomad_a" };

	(void)state;
	assert_false(pot_find_interface(&interface, lines[4]));
	for (size_t i = 0; i < 4; i++)
		assert_false(pot_find_interface(&interface, lines[i]));
	assert_true(pot_find_interface(&interface, lines[4]));
	assert_string_equal(interface.name, "p4a");
}

static void a_mount_point_below_the_pot_is_found(void **state)
{
	static const char root[] = "/pot/jails/nomad_a/m/";
	static const struct {
		const char *line, *point;
	} cases[] = {
		{ "/srv/data  /pot/jails/nomad_a/m/data nullfs rw 0 0", "/pot/jails/nomad_a/m/data" },
		{ "devfs  /pot/jails/nomad_a/m/dev devfs rw 0 0", "/pot/jails/nomad_a/m/dev" },
		{ "/pot/jails/nomad_a/m/x  /pot/jails/nomad_a/m/y nullfs rw 0 0", "/pot/jails/nomad_a/m/y" },
		/* A source with a blank may look like another mount point of this pot, never like one of another. */
		{ "/srv/my data  /pot/jails/nomad_a/m/tmp/copy-in.1 nullfs ro 0 0",
		  "/pot/jails/nomad_a/m/tmp/copy-in.1" },
		{ "zroot/pot/jails/nomad_a/m  /pot/jails/nomad_a/m zfs rw 0 0", NULL },
		{ "zroot/x  /pot/jails/nomad_a/m/x zfs rw 0 0", NULL },
		{ "/srv/data  /pot/jails/nomad_ab/m/data nullfs rw 0 0", NULL },
		{ "/srv/data  /mnt/pot/jails/nomad_a/m/data nullfs rw 0 0", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		NOMAD_AUTO_FREE char *point = pot_mount_point_below(cases[i].line, root);

		if (cases[i].point)
			assert_string_equal(point, cases[i].point);
		else
			assert_null(point);
	}
}

static void test_signal_names(void **state)
{
	(void)state;
	assert_string_equal(pot_signal_name(SIGTERM), "SIGTERM");
	assert_string_equal(pot_signal_name(SIGUSR2), "SIGUSR2");
	assert_string_equal(pot_signal_name(SIGKILL), "SIGKILL");
	assert_null(pot_signal_name(0));
	assert_null(pot_signal_name(SIGRTMIN + 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prepare_plain),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_network_mode),
		cmocka_unit_test(test_port_map),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_dns_and_signature),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_first_complaint),
		cmocka_unit_test(test_signal_names),
		cmocka_unit_test(an_interface_is_found_by_its_description),
		cmocka_unit_test(a_mount_point_below_the_pot_is_found),
	};

	return cmocka_run_group_tests_name("pot command lines", tests, NULL, NULL);
}
