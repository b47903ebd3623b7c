/* SPDX-License-Identifier: MPL-2.0 */
#include "hardware.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/netlink.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "log.h"
#include "loop.h"
#include "modules.h"
#include "util.h"

static void (*on_pressed)(void);
static int watchdog = -1, uevents = -1;
static long watchdog_ms;
static struct loop_timer watchdog_timer, buttons_timer;
static char watched_buttons[256];

bool hardware_is_power_button(const char *name)
{
	return strcmp(name, "Power Button") == 0 || strstr(name, "gpio-keys") || strstr(name, "Power Key");
}

static void on_button(void *data)
{
	struct input_event e[16];
	int fd = (int)(intptr_t)data;
	ssize_t n = read(fd, e, sizeof(e)), i;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		loop_unwatch(fd);
		close(fd);
		return;
	}
	for (i = 0; n > 0 && i < n / (ssize_t)sizeof(e[0]); i++)
		if (e[i].type == EV_KEY && e[i].code == KEY_POWER && e[i].value == 1)
			on_pressed();
}

static void find_buttons(void *data)
{
	char path[300], name[128];
	struct dirent *d;
	DIR *dir = opendir("/dev/input");
	int fd;

	(void)data;
	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, "event", 5) != 0 || strlen(d->d_name) > 10)
			continue;
		snprintf(path, sizeof(path), "/sys/class/input/%s/device/name", d->d_name);
		if (util_read_line(path, name, sizeof(name)) <= 0 || !hardware_is_power_button(name))
			continue;
		snprintf(path, sizeof(path), " %s ", d->d_name);
		if (strstr(watched_buttons, path) || strlen(watched_buttons) + strlen(path) >= sizeof(watched_buttons))
			continue;
		strcat(watched_buttons, path);
		snprintf(path, sizeof(path), "/dev/input/%s", d->d_name);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || loop_watch(fd, on_button, (void *)(intptr_t)fd) < 0)
			log_warn("cannot watch the power button '%s'", path);
	}
	if (dir)
		closedir(dir);
}

void hardware_watch_buttons(void (*pressed)(void))
{
	on_pressed = pressed;
	buttons_timer.fn = find_buttons;
	find_buttons(NULL);
}

static void feed(void *data)
{
	(void)data;
	ioctl(watchdog, WDIOC_KEEPALIVE, 0);
	loop_timer_set(&watchdog_timer, (uint64_t)watchdog_ms / 4);
}

void hardware_start_watchdog(long seconds)
{
	struct watchdog_info info = { 0 };
	int timeout = (int)seconds;

	if (seconds == 0)
		return;
	watchdog = open("/dev/watchdog0", O_WRONLY | O_CLOEXEC);
	if (watchdog < 0) {
		if (errno != ENOENT)
			log_warn("cannot open the watchdog: %s", strerror(errno));
		return;
	}
	if (ioctl(watchdog, WDIOC_SETTIMEOUT, &timeout) < 0 && ioctl(watchdog, WDIOC_GETTIMEOUT, &timeout) < 0)
		timeout = 10;
	ioctl(watchdog, WDIOC_GETSUPPORT, &info);
	log_info("watchdog '%s' starts the machine anew if we hang for %d s", (const char *)info.identity, timeout);
	watchdog_ms = timeout * 1000L;
	watchdog_timer.fn = feed;
	feed(NULL);
}

const char *hardware_uevent_get(const char *event, size_t len, const char *key)
{
	size_t klen = strlen(key), at, n;

	for (at = 0; at < len; at += n + 1) {
		n = strnlen(event + at, len - at);
		if (at + n >= len)
			break;
		if (n > klen && memcmp(event + at, key, klen) == 0 && event[at + klen] == '=')
			return event + at + klen + 1;
	}
	return NULL;
}

static void on_uevent(void *data)
{
	struct sockaddr_nl from;
	socklen_t size = sizeof(from);
	const char *action, *alias, *subsystem;
	struct modules m;
	char buf[4096];
	ssize_t n;

	(void)data;
	n = recvfrom(uevents, buf, sizeof(buf) - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
	if (n <= 0 || from.nl_pid != 0)
		return;
	buf[n] = '\0';
	action = hardware_uevent_get(buf, (size_t)n + 1, "ACTION");
	if (!action || strcmp(action, "add") != 0)
		return;
	alias = hardware_uevent_get(buf, (size_t)n + 1, "MODALIAS");
	if (alias && modules_open(&m, "") == 0) {
		modules_load(&m, alias);
		modules_close(&m);
	}
	subsystem = hardware_uevent_get(buf, (size_t)n + 1, "SUBSYSTEM");
	/* The node in /dev comes a moment later. */
	if (subsystem && strcmp(subsystem, "input") == 0 && on_pressed)
		loop_timer_set(&buttons_timer, 200);
}

void hardware_watch_hotplug(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = 1 };

	uevents = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (uevents < 0 || bind(uevents, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    loop_watch(uevents, on_uevent, NULL) < 0)
		log_warn("cannot watch for new devices: %s", strerror(errno));
}
