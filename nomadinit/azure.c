/* SPDX-License-Identifier: MPL-2.0 */
/* Azure's wire server: without a report that the machine is ready it is started anew, and at last counts as failed.
 *
 *   GET /machine/?comp=goalstate -> ids of this machine -> POST /machine/?comp=health with them and "Ready"
 *
 * Source: Azure's page on images without an agent. */
#include "azure.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud.h"
#include "util.h"

#define HEADERS "x-ms-version: 2012-11-30\r\nx-ms-agent-name: nomadinit\r\n"
#define ANSWER_MAX (64 * 1024)
#define PAUSE_MS 2000

static const struct {
	char c;
	const char *entity;
} entities[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&apos;" } };

/* Behind the ">" of the element's start, or NULL. */
static const char *find_element(const char *xml, const char *name)
{
	size_t len = strlen(name);
	const char *p, *n;

	for (p = strchr(xml, '<'); p; p = strchr(p + 1, '<')) {
		n = p + 1;
		n += strcspn(n, ": >/");
		n = *n == ':' ? n + 1 : p + 1;
		if (strncmp(n, name, len) == 0 && (n[len] == '>' || isspace((unsigned char)n[len]))) {
			n = strchr(n, '>');
			return n && n[-1] != '/' ? n + 1 : NULL;
		}
	}
	return NULL;
}

static const char *resolve(const char *p, char *ret)
{
	size_t i, n;

	for (i = 0; *p == '&' && i < NOMAD_ARRAY_LEN(entities); i++) {
		n = strlen(entities[i].entity);
		if (strncmp(p, entities[i].entity, n) == 0) {
			*ret = entities[i].c;
			return p + n;
		}
	}
	*ret = *p;
	return p + 1;
}

bool azure_xml_text(const char *xml, const char *name, char *buf, size_t size)
{
	const char *p = find_element(xml, name);
	size_t n = 0;

	if (!p)
		return false;
	while (isspace((unsigned char)*p))
		p++;
	while (*p && *p != '<') {
		if (n + 1 >= size)
			return false;
		p = resolve(p, &buf[n++]);
	}
	while (n > 0 && isspace((unsigned char)buf[n - 1]))
		n--;
	buf[n] = '\0';
	return *p == '<' && n > 0;
}

bool azure_xml_escape(const char *text, char *buf, size_t size)
{
	size_t n = 0, i, len;

	for (; *text; text++) {
		for (i = 0; i < 3 && entities[i].c != *text; i++)
			;
		len = i < 3 ? strlen(entities[i].entity) : 1;
		if (n + len >= size)
			return false;
		memcpy(buf + n, i < 3 ? entities[i].entity : text, len);
		n += len;
	}
	buf[n] = '\0';
	return true;
}

static int take_ids(const char *xml, char ids[3][300])
{
	static const char *const names[] = { "Incarnation", "ContainerId", "InstanceId" };
	char text[128];
	size_t i;

	for (i = 0; i < NOMAD_ARRAY_LEN(names); i++)
		if (!azure_xml_text(xml, names[i], text, sizeof(text)) || !azure_xml_escape(text, ids[i], 300))
			return -EPROTO;
	return 0;
}

static int report_once(struct cloud_session *s)
{
	char ids[3][300], *answer = NULL, *body = NULL;
	size_t len;
	int status, r;

	status = cloud_http(s, "GET", "/machine/?comp=goalstate", HEADERS, NULL, ANSWER_MAX, &answer, &len);
	if (status < 0)
		return status;
	r = status == 200 ? take_ids(answer, ids) : -EPROTO;
	free(answer);
	if (r < 0) {
		snprintf(s->error, sizeof(s->error), "goal state: status %d%s", status,
			 status == 200 ? ", and no ids of this machine in it" : "");
		return r;
	}
	if (asprintf(&body,
		     "<?xml version=\"1.0\" "
		     "encoding=\"utf-8\"?>\n<Health><GoalStateIncarnation>%s</GoalStateIncarnation>"
		     "<Container><ContainerId>%s</ContainerId><RoleInstanceList><Role><InstanceId>%s</InstanceId>"
		     "<Health><State>Ready</State></Health></Role></RoleInstanceList></Container></Health>",
		     ids[0], ids[1], ids[2]) < 0)
		return -ENOMEM;
	answer = NULL;
	status = cloud_http(s, "POST", "/machine/?comp=health", HEADERS "Content-Type: text/xml;charset=utf-8\r\n",
			    body, ANSWER_MAX, &answer, &len);
	free(answer);
	free(body);
	if (status >= 0 && (status < 200 || status > 299)) {
		snprintf(s->error, sizeof(s->error), "report of health: status %d", status);
		return -EPROTO;
	}
	return status < 0 ? status : 0;
}

int azure_report(struct cloud_session *s)
{
	static struct cloud_provider wire = { .name = "azure",
					      .title = "Microsoft Azure",
					      .addresses = { "168.63.129.16" } };
	int r;

	s->provider = &wire;
	if (!s->has_address && s->wireserver.family) {
		s->at = s->wireserver;
		s->port = 80;
		s->has_address = true;
	}
	while ((r = report_once(s)) < 0 && util_now_ms() + PAUSE_MS < s->end_ms)
		util_sleep_ms(PAUSE_MS);
	if (r == 0)
		printf("Microsoft Azure: reported that the machine is ready\n");
	return r;
}
