/* SPDX-License-Identifier: MPL-2.0 */
#include "status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define STATUS_FILE "/run/nomadinit/status"

static const char *const names[STATUS_MAX] = { "network_online", "time_synced", "agent_starts", "agent_healthy" };
static int values[STATUS_MAX];

void status_note(enum status_item item, int value)
{
	char text[128];
	size_t i, n = 0;

	if (values[item] == value)
		return;
	values[item] = value;
	for (i = 0; i < STATUS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d", i ? " " : "", values[i]);
	util_replace_file(STATUS_FILE, text, n, 0444);
}

static void add_file(json_t *all, const char *key, const char *path)
{
	char text[256];

	if (util_read_line(path, text, sizeof(text)) > 0)
		json_object_set_new(all, key, json_string(text));
}

static void add_noted(json_t *all)
{
	char text[128], *save = NULL, *word;
	size_t i;
	long n;

	if (util_read_line(STATUS_FILE, text, sizeof(text)) <= 0)
		text[0] = '\0';
	word = strtok_r(text, " ", &save);
	for (i = 0; i < STATUS_MAX; i++, word = word ? strtok_r(NULL, " ", &save) : NULL) {
		n = 0;
		if (word && util_parse_long(word, 0, 1 << 30, &n) < 0)
			n = 0;
		json_object_set_new(all, names[i], i == STATUS_AGENT_STARTS ? json_integer(n) : json_boolean(n != 0));
	}
}

int status_main(int argc, char **argv)
{
	json_t *all = json_object(), *cloud = json_load_file("/run/nomadinit/cloud.json", 0, NULL);
	char text[64];

	(void)argc;
	(void)argv;
	add_file(all, "version", "/etc/nomadinit/version");
	add_file(all, "slot", "/run/nomadinit/slot");
	add_file(all, "disk", "/run/nomadinit/disk");
	add_file(all, "boot_id", "/proc/sys/kernel/random/boot_id");
	add_file(all, "machine_id", "/run/nomadinit/machine-id");
	add_file(all, "hostname", "/run/nomadinit/hostname");
	add_file(all, "kernel", "/proc/sys/kernel/osrelease");
	if (util_read_line("/proc/uptime", text, sizeof(text)) > 0)
		json_object_set_new(all, "uptime_seconds", json_integer(strtoll(text, NULL, 10)));
	json_object_set(all, "cloud_provider", json_object_get(cloud, "provider"));
	json_object_set(all, "cloud_instance_id", json_object_get(cloud, "instance_id"));
	add_noted(all);
	json_dumpf(all, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(cloud);
	json_decref(all);
	return 0;
}
