/* SPDX-License-Identifier: MPL-2.0 */
/* The order of things:
 *
 *   mounts, modules for the hardware, signals, buttons
 *     -> configuration (broken? say why, read it again every 10 s)
 *     -> sysctl, modules, state partition (not there? by configuration wait or go on in memory)
 *     -> log ring, random seed; the cloud's metadata, if we are at one, and the configuration with it
 *     -> machine id, host name, watchdog
 *     -> network, time
 *     -> the cluster's keys; when there is an address (or after a while) the agent
 *     -> the agent ran for a while and has registered: the slot we run from is good
 *
 * From the configuration on all is driven by the event loop, so signals and the power
 * button work at any moment, and nothing that fails ends this program. */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "blockdev.h"
#include "bootenv.h"
#include "cluster.h"
#include "cmdline.h"
#include "confdrive.h"
#include "config.h"
#include "hardware.h"
#include "health.h"
#include "helper.h"
#include "identity.h"
#include "kmsg.h"
#include "log.h"
#include "loop.h"
#include "metadata.h"
#include "modules.h"
#include "mounts.h"
#include "net.h"
#include "ntp.h"
#include "rescue.h"
#include "service.h"
#include "shutdown.h"
#include "state.h"
#include "status.h"
#include "base/tree.h"
#include "util.h"

#define CONFIG_RETRY_MS 10000
#define TRIAL_MS (10 * 60 * 1000)
#define TRIM_MS 3000
#define CHECK_MS 5000
#define HELPER_MS 60000

static struct config config;
static bool in_container, clock_was_wrong, agent_started, just_trimmed;
/* Healthy is an agent that ran for a while, has registered, and passes the user's check. */
static bool healthy, agent_can_be_asked, agent_settled, agent_checked;
static char dhcp_name[254];
static pid_t rescue;
static int signals;
static int64_t build_time;
static struct loop_timer config_timer, agent_timer, check_timer, trial_timer, settled_timer;
static uint64_t agent_deadline;

int node_sysctl(const char *root, const char *key, const char *value)
{
	char path[512];
	int n, i;

	n = snprintf(path, sizeof(path), "%s/", root);
	if (n + strlen(key) >= sizeof(path) || !*key || *key == '.' || strstr(key, "..") || strchr(key, '/'))
		return -EINVAL;
	for (i = n; *key; key++, i++)
		path[i] = *key == '.' ? '/' : *key;
	path[i] = '\0';
	return util_write_knob(path, value);
}

/* Run one of our own commands in a process of its own: it may have to wait for a disk or a server. */
static void run_self(const char *command, const char *argument, helper_fn *done)
{
	const char *const argv[] = { "", command, argument, NULL };
	int r = helper_run(argv, HELPER_MS, done, NULL);

	if (r < 0) {
		log_warn("cannot run 'nomadinit %s': %s", command, strerror(-r));
		if (done)
			done(NULL, r);
	}
}

static void on_trial_end(void *data)
{
	(void)data;
	if (!healthy && !shutdown_is_under_way())
		run_self("trial-failed", NULL, NULL);
}

/* What is done once or seldom (a lease, a log line, a dead child) leaves its code in our memory: it goes again. */
static void on_settled(void *data)
{
	(void)data;
	util_trim_memory();
	just_trimmed = true;
}

static void consider_health(void)
{
	if (healthy || !agent_settled || !agent_checked)
		return;
	healthy = true;
	status_note(STATUS_HEALTHY, 1);
	log_info("the agent is healthy");
	run_self("bless", NULL, NULL);
}

static void on_user_checked(void *data, int status)
{
	(void)data;
	agent_checked = status == 0;
	if (agent_checked)
		consider_health();
	else
		loop_timer_set(&check_timer, CHECK_MS);
}

static void on_registered(void *data, int status)
{
	int r;

	if (status != 0 || !config.agent.health_command) {
		on_user_checked(data, status);
		return;
	}
	r = helper_run((const char *const *)config.agent.health_command, HELPER_MS, on_user_checked, NULL);
	if (r < 0)
		on_user_checked(data, r);
}

static void check_agent(void *data)
{
	if (agent_checked || shutdown_is_under_way())
		return;
	if (agent_can_be_asked)
		run_self("agent-check", config.agent.command[0], on_registered);
	else
		on_registered(data, 0);
}

static void on_agent_started(void *data)
{
	static int starts;

	(void)data;
	status_note(STATUS_AGENT_STARTS, ++starts);
	agent_settled = false;
	if (!healthy)
		loop_timer_set(&check_timer, CHECK_MS);
}

static void on_agent_settled(void *data)
{
	(void)data;
	agent_settled = true;
	consider_health();
}

static void on_agent_gone(void *data)
{
	(void)data;
	shutdown_event(SHUTDOWN_AGENT_GONE);
}

static void start_agent(void)
{
	static const struct service_hooks hooks = { .started = on_agent_started,
						    .settled = on_agent_settled,
						    .gone = on_agent_gone };

	if (agent_started || shutdown_is_under_way())
		return;
	agent_started = true;
	loop_timer_stop(&agent_timer);
	service_start(&config, &hooks);
}

static void consider_agent(void *data)
{
	bool late = util_now_ms() >= agent_deadline;

	(void)data;
	if (agent_started || rescue > 0 || !cluster_is_ready())
		return;
	if (late && !net_is_online())
		log_warn("there is no network yet; the agent starts without");
	else if (late && clock_was_wrong && !ntp_is_synced())
		log_warn("the time is not known yet; the agent starts all the same, but TLS may fail");
	if (late || (net_is_settled() && (!clock_was_wrong || ntp_is_synced())))
		start_agent();
	else
		loop_timer_set(&agent_timer, net_is_online() ? 250 : agent_deadline - util_now_ms() + 1);
}

static void on_net_changed(void *data)
{
	(void)data;
	status_note(STATUS_ONLINE, net_is_online());
	if (net_is_online())
		ntp_kick();
	if (agent_deadline)
		consider_agent(NULL);
}

static void on_synced(void *data, bool is_first)
{
	(void)data;
	status_note(STATUS_TIME, 1);
	if (is_first)
		consider_agent(NULL);
}

static void on_dhcp_hostname(void *data, const char *name)
{
	char now[65] = "";

	(void)data;
	gethostname(now, sizeof(now) - 1);
	/* The node's name must not change under a running agent. */
	util_copy(dhcp_name, sizeof(dhcp_name), name);
	if (config.hostname || agent_started || strcmp(now, name) == 0)
		return;
	if (identity_set_hostname(name) == 0)
		log_info("host name '%s' by DHCP", name);
}

/* ---- The parts that need the configuration ---------------------------------------- */

static void apply_sysctl(void)
{
	size_t i;
	int r;

	for (i = 0; i < config.sysctl.count; i++) {
		const struct nomad_pair *p = &config.sysctl.pairs[i];

		r = node_sysctl("/proc/sys", p->key, p->value);
		if (r < 0)
			log_warn("cannot set '%s' to '%s': %s", p->key, p->value, strerror(-r));
	}
}

static void apply_modules(void)
{
	if (!in_container)
		modules_load_named(config.modules);
}

static void set_names(void)
{
	char id[33], name[64];
	int r;

	identity_machine_id(id);
	snprintf(name, sizeof(name), "nomad-%.8s", id);
	r = identity_set_hostname(config.hostname ? config.hostname : dhcp_name[0] ? dhcp_name : name);
	if (r < 0)
		log_warn("cannot set the host name: %s", strerror(-r));
}

static void write_agent_config(void)
{
	char *text = health_mark(config.agent_json, &agent_can_be_asked);
	int r;

	mkdir("/run/nomad", 0700);
	r = text ? util_replace_file("/run/nomad/agent.json", text, strlen(text), 0600) : -ENOMEM;
	if (r < 0)
		log_error("cannot write '/run/nomad/agent.json': %s", strerror(-r));
	free(text);
	free(config.agent_json);
	config.agent_json = NULL;
}

static void open_log(void)
{
	char boot_id[64] = "unknown", version[64] = "unknown", mark[256];
	struct utsname u;
	int r;

	if (!config.log_bytes)
		return;
	uname(&u);
	util_read_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));
	util_read_line("/etc/nomadinit/version", version, sizeof(version));
	snprintf(mark, sizeof(mark), "---- boot %s, version '%s', kernel %s ----", boot_id, version, u.release);
	r = log_ring_open("/state/log", (size_t)config.log_bytes, mark);
	if (r < 0)
		log_warn("cannot keep the log in '/state/log': %s", strerror(-r));
	if (r == 0 && !in_container) {
		kmsg_follow();
		kmsg_keep_crashes("/state/log/crash");
	}
}

/* The agent waits for them at boot, and reads them again on SIGHUP. */
static void on_keys(void)
{
	if (agent_started)
		service_signal(SIGHUP);
	else if (agent_deadline)
		consider_agent(NULL);
}

static const struct net_hooks net = { .changed = on_net_changed, .hostname = on_dhcp_hostname };

static void go_on(void)
{
	static const struct ntp_source time_source = { .names = net_time_servers,
						       .resolvers = net_name_servers,
						       .synced = on_synced };

	set_names();
	write_agent_config();
	if (!in_container)
		hardware_start_watchdog(config.watchdog_seconds);
	rescue = rescue_open();
	agent_timer.fn = consider_agent;
	check_timer.fn = check_agent;
	ntp_start(&time_source, build_time, in_container);
	if (!net_is_started())
		net_start(&config, &net);
	if (net_is_online())
		ntp_kick();
	agent_deadline = util_now_ms() + (uint64_t)config.wait_network_seconds * 1000;
	cluster_make_keys(&config, on_keys);
	trial_timer.fn = on_trial_end;
	settled_timer.fn = on_settled;
	loop_timer_set(&trial_timer, TRIAL_MS + (uint64_t)config.agent.healthy_seconds * 1000);
	metadata_report(&config);
}

/* The configuration once more, with what the cloud said.  The old one is in use until the network has the new one. */
static int take_config(void)
{
	char error[CONFIG_ERROR_SIZE];
	struct config old = config, new;

	if (confdrive_load(&new, in_container, error) < 0) {
		log_error("the configuration is broken: %s", error);
		return -EINVAL;
	}
	config = new;
	net_reconfigure(&config);
	config_done(&old);
	return 0;
}

static void ask_cloud(void *data);
static void on_metadata(void)
{
	if (access(METADATA_RESULT, F_OK) == 0 && take_config() < 0) {
		log_error("reading it again in %d s", CONFIG_RETRY_MS / 1000);
		config_timer.fn = ask_cloud;
		loop_timer_set(&config_timer, CONFIG_RETRY_MS);
		return;
	}
	apply_modules();
	apply_sysctl();
	go_on();
}

static void ask_cloud(void *data)
{
	(void)data;
	metadata_start(&config, in_container, on_metadata);
}

static void on_state(void)
{
	state_prepare();
	open_log();
	if (!in_container)
		identity_load_seed();
	if (metadata_needs_network(&config, in_container))
		net_start(&config, &net);
	ask_cloud(NULL);
}

static void try_config(void *data)
{
	char error[CONFIG_ERROR_SIZE];

	(void)data;
	if (confdrive_load(&config, in_container, error) < 0) {
		log_error("the configuration is broken: %s; reading it again in %d s", error, CONFIG_RETRY_MS / 1000);
		loop_timer_set(&config_timer, CONFIG_RETRY_MS);
		return;
	}
	shutdown_init(&config, in_container);
	apply_modules();
	apply_sysctl();
	state_start(&config, in_container, on_state);
}

/* The agent's part and the kernel settings; what else is ours counts from the next boot. */
static void on_reloaded(void)
{
	char error[CONFIG_ERROR_SIZE], *agent_json;
	struct nomad_map sysctl;
	struct config new;

	if (confdrive_load(&new, in_container, error) < 0) {
		log_error("the configuration is broken: %s; the agent keeps the one it has", error);
		return;
	}
	agent_json = config.agent_json;
	sysctl = config.sysctl;
	config.agent_json = new.agent_json;
	config.sysctl = new.sysctl;
	new.agent_json = agent_json;
	new.sysctl = sysctl;
	config_done(&new);
	write_agent_config();
	apply_sysctl();
	cluster_make_keys(&config, on_keys);
}

static void reload(void)
{
	if (agent_started)
		metadata_start(&config, in_container, on_reloaded);
}

/* ---- Signals ----------------------------------------------------------------------- */

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (service_reaped(pid, status) || helper_reaped(pid, status))
			continue;
		if (pid == rescue) {
			rescue = 0;
			log_info("the rescue shell has ended");
			consider_agent(NULL);
		}
	}
	if (pid < 0 && errno == ECHILD)
		shutdown_event(SHUTDOWN_NO_CHILDREN);
}

static void on_signal(void *data)
{
	struct signalfd_siginfo s;
	int sig;

	(void)data;
	while (read(signals, &s, sizeof(s)) == sizeof(s)) {
		sig = (int)s.ssi_signo;
		if (sig == SIGCHLD)
			reap();
		else if (sig == SIGHUP)
			reload();
		else if (sig == SIGINT)
			shutdown_request(SHUTDOWN_REBOOT, s.ssi_code == SI_KERNEL ? "ctrl-alt-del" : "SIGINT");
		else if (sig == SIGRTMIN + 5)
			shutdown_request(SHUTDOWN_REBOOT, "reboot was asked for");
		else if (sig == SIGRTMIN + 4 || sig == SIGUSR2)
			shutdown_request(SHUTDOWN_POWEROFF, "poweroff was asked for");
		else if (sig == SIGTERM || sig == SIGPWR)
			shutdown_request(SHUTDOWN_POWEROFF, sig == SIGTERM ? "SIGTERM" : "SIGPWR");
	}
}

static void watch_signals(void)
{
	static const int wanted[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGPWR, SIGUSR2 };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < NOMAD_ARRAY_LEN(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigaddset(&set, SIGRTMIN + 4);
	sigaddset(&set, SIGRTMIN + 5);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || loop_watch(signals, on_signal, NULL) < 0)
		log_error("cannot watch for signals: %s", strerror(errno));
}

static void on_power_button(void)
{
	shutdown_request(SHUTDOWN_POWEROFF, "power button");
}

static void find_hardware(void)
{
	static const char *const always[] = { "evdev", "button" };
	struct modules m;
	size_t i;
	int n;

	if (modules_open(&m, "") == 0) {
		n = modules_load_hardware(&m);
		for (i = 0; i < NOMAD_ARRAY_LEN(always); i++)
			modules_load(&m, always[i]);
		log_info("%d more kernel modules for the hardware", n);
		modules_close(&m);
	}
	hardware_watch_hotplug();
	hardware_watch_buttons(on_power_button);
	reboot(RB_DISABLE_CAD);
}

/* What the first stage found. */
static void note_slot(void)
{
	const char *slot = getenv("NOMADINIT_SLOT"), *disk = getenv("NOMADINIT_DISK");
	char text[4];

	nomad__make_dirs("/run/nomadinit", 0755);
	if (slot && (*slot == 'a' || *slot == 'b') && !slot[1]) {
		snprintf(text, sizeof(text), "%c\n", *slot);
		util_replace_file("/run/nomadinit/slot", text, 2, 0444);
	}
	if (disk)
		blockdev_set_boot_disk(disk);
}

static void keep_standard_fds(void)
{
	int fd = open("/dev/null", O_RDWR);

	if (in_container || fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
}

void node_main(void)
{
	char text[64];
	int r;

	in_container = getenv("container") != NULL;
	umask(022);
	r = mounts_early();
	if (!in_container)
		log_open_consoles();
	if (r < 0)
		log_error("cannot mount the kernel's file systems: %s", strerror(-r));
	keep_standard_fds();
	cmdline_load();
	mounts_late(in_container);
	note_slot();
	while ((r = loop_init()) < 0) {
		log_error("cannot make an event loop: %s", strerror(-r));
		util_sleep_ms(1000);
	}
	watch_signals();
	shutdown_init(NULL, in_container);
	if (!in_container)
		find_hardware();
	if (util_read_line("/etc/nomadinit/build-time", text, sizeof(text)) > 0)
		build_time = strtoll(text, NULL, 10);
	clock_was_wrong = ntp_apply_floor(build_time, in_container);
	config_timer.fn = try_config;
	try_config(NULL);
	for (;;) {
		r = loop_once(-1);
		if (r < 0) {
			log_error("event loop: %s", strerror(-r));
			util_sleep_ms(1000);
		}
		if (healthy && !just_trimmed && !settled_timer.armed)
			loop_timer_set(&settled_timer, TRIM_MS);
		just_trimmed = false;
	}
}
