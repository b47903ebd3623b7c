/* SPDX-License-Identifier: MPL-2.0 */
/* The answer is kept on the state partition: should the service be silent at another boot, the node starts as it was.
 */
#include "metadata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloud.h"
#include "confdrive.h"
#include "helper.h"
#include "identity.h"
#include "log.h"
#include "loop.h"
#include "net.h"
#include "util.h"

#define DMI "/sys/class/dmi/id"
#define RESULT_NEW METADATA_RESULT ".new"
#define KEPT "/state/nomadinit/cloud.json"
#define RESULT_MAX (2u << 20)
#define POLL_MS 250
#define NETWORK_MS 10000 /* then a link-local address has to do */
#define REPORT_SECONDS "1200"
#define MORE_MS 10000

static struct {
	const struct config *config;
	const struct cloud_provider *provider;
	uint64_t began_ms;
	bool is_busy;
	void (*done)(void);
	struct loop_timer timer;
} md;

static const struct cloud_provider *find_provider(const struct config *c, bool in_container)
{
	const struct cloud_provider *p;

	if (strcmp(c->cloud.provider, "none") == 0)
		return NULL;
	if (strcmp(c->cloud.provider, "auto") == 0)
		return in_container ? NULL : cloud_detect(DMI, CONFDRIVE_FILES);
	p = cloud_by_name(c->cloud.provider);
	if (!p)
		log_error("there is no provider '%s'; `nomadinit clouds` lists them", c->cloud.provider);
	return p;
}

bool metadata_needs_network(const struct config *c, bool in_container)
{
	const struct cloud_provider *p = find_provider(c, in_container);

	return p && cloud_needs_network(p);
}

static void keep_result(void)
{
	json_t *all = json_load_file(METADATA_RESULT, 0, NULL);
	char *text, id[256];
	size_t len;

	identity_note_instance(cloud_text(json_object_get(all, "instance_id"), id, sizeof(id)));
	json_decref(all);
	if (util_read_alloc(METADATA_RESULT, RESULT_MAX, &text, &len) < 0)
		return;
	if (util_replace_file(KEPT, text, len, 0600) < 0)
		log_warn("cannot keep the cloud's answer for the next boot");
	free(text);
}

static void use_kept(void)
{
	char *text;
	size_t len;

	if (util_read_alloc(KEPT, RESULT_MAX, &text, &len) < 0) {
		log_error("the cloud gave no metadata: the node starts with the configuration that it has otherwise");
		return;
	}
	log_warn("the cloud gave no metadata: what it said at an earlier boot counts");
	util_replace_file(METADATA_RESULT, text, len, 0600);
	free(text);
}

static void on_fetched(void *data, int status)
{
	(void)data;
	md.is_busy = false;
	net_set_link_local(false);
	if (status == 0 && rename(RESULT_NEW, METADATA_RESULT) == 0)
		keep_result();
	else if (access(METADATA_RESULT, F_OK) != 0)
		use_kept();
	unlink(RESULT_NEW);
	md.done();
}

static void fetch(void)
{
	const struct cloud_provider *p = md.provider;
	char seconds[24];
	const char *const argv[] = {
		"",  "cloud", "fetch", p->name, seconds, RESULT_NEW, p->files[0] ? "--files" : NULL, CONFDRIVE_FILES,
		NULL
	};
	int r;

	snprintf(seconds, sizeof(seconds), "%lld", (long long)md.config->cloud.wait_seconds);
	unlink(RESULT_NEW);
	log_info("asking %s for metadata", p->title);
	r = helper_run(argv, (unsigned int)md.config->cloud.wait_seconds * 1000 + MORE_MS, on_fetched, NULL);
	if (r < 0) {
		log_error("cannot ask for metadata: %s", strerror(-r));
		on_fetched(NULL, r);
	}
}

/* There is an address, or there will be none. */
static void wait_for_network(void *data)
{
	bool is_late = util_now_ms() >= md.began_ms + NETWORK_MS;

	(void)data;
	if (!net_is_settled() && !is_late) {
		loop_timer_set(&md.timer, POLL_MS);
		return;
	}
	if (!net_is_online()) {
		log_warn("no address yet: asking for metadata from a link-local one");
		net_set_link_local(true);
	}
	fetch();
}

void metadata_start(const struct config *c, bool in_container, void (*done)(void))
{
	if (md.is_busy)
		return;
	md.config = c;
	md.done = done;
	md.provider = find_provider(c, in_container);
	md.timer.fn = wait_for_network;
	if (!md.provider) {
		done();
		return;
	}
	md.is_busy = true;
	md.began_ms = util_now_ms();
	if (cloud_needs_network(md.provider))
		wait_for_network(NULL);
	else
		fetch();
}

void metadata_report(const struct config *c)
{
	const char *wireserver = net_wireserver();
	const char *const argv[] = { "",
				     "cloud",
				     "report",
				     md.provider ? md.provider->name : "",
				     REPORT_SECONDS,
				     "/dev/null",
				     wireserver ? "--wireserver" : NULL,
				     wireserver,
				     NULL };
	int r;

	if (!md.provider || !md.provider->report || !c->cloud.report)
		return;
	r = helper_run(argv, (unsigned int)atoi(REPORT_SECONDS) * 1000 + MORE_MS, NULL, NULL);
	if (r < 0)
		log_error("cannot report to %s that the machine is up: %s", md.provider->title, strerror(-r));
}

void metadata_read(const char *path, char **ret_config, char **ret_user_data, char *ret_name)
{
	json_t *all = json_load_file(path, 0, NULL), *config = json_object_get(all, "config");
	const char *text = json_string_value(json_object_get(all, "user_data"));

	*ret_config = json_is_object(config) ? json_dumps(config, 0) : NULL;
	*ret_user_data = text && strlen(text) < CONFIG_MAX_BYTES ? strdup(text) : NULL;
	cloud_text(json_object_get(all, "provider"), ret_name, 64);
	json_decref(all);
}
