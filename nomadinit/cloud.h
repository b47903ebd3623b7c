/* SPDX-License-Identifier: MPL-2.0 */
/* Metadata of clouds and hypervisors: what a provider is, in one table (providers.c).
 *
 * A process of its own, without privileges, asks the provider (cloud.c), and maps what it says to a piece of
 * configuration (cloudmap.c).  PID 1 reads the result, which is JSON, like any other source of configuration. */
#ifndef NOMADINIT_CLOUD_H
#define NOMADINIT_CLOUD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink.h"
#include "nomad/base.h"

#define CLOUD_GETS_MAX 10
#define CLOUD_VALUE_MAX (64 * 1024)
#define CLOUD_USERDATA_MAX (256 * 1024)

enum cloud_form {
	CLOUD_TEXT, /* its first line */
	CLOUD_JSON,
	CLOUD_YAML,
	CLOUD_BLOB /* user-data */
};

/* One thing to ask for. */
struct cloud_get {
	const char *path;
	const char *as; /* member of the document under which the answer is put; '*' in both: see below */
	enum cloud_form form;
	bool is_required; /* without it the provider has not answered; asked for until there is no more time */
	/* A path with a '*' stands for many: what stands before it answers with a list, one name on a line, and each
	 * name takes the place of the '*'; the answers become members, by name, of an object. */
};

/* Network interfaces in a document: paths within each member of the array at `list`. */
struct cloud_nics {
	const char *list, *mac, *mtu;
	const char *address, *prefix, *gateway;	   /* IPv4; the prefix may be a netmask or a network */
	const char *address6, *prefix6, *gateway6; /* an address may be a list of addresses */
	bool is_static;				   /* no DHCP for those that have an IPv4 address here */
};

struct cloud_session;

struct cloud_provider {
	const char *name;
	const char *title; /* for people */
	/* "FILE=PATTERN" of /sys/class/dmi/id, any of them; '*' and '?' as in a shell, case does not matter. */
	const char *dmi[6];
	/* Paths below the directory of a config drive's files, any of them: the provider is such a drive. */
	const char *files[2];
	/* Name that CPUID gives the hypervisor. */
	const char *hypervisor;

	/* HTTP: where (tried in turn), what goes with each request, what each answer must bear. */
	const char *addresses[3];
	const char *header;	    /* lines with \r\n */
	const char *answer, *value; /* header of the answer and its value */
	struct {
		const char *path, *header, *name; /* PUT path with header gives a token, sent as header `name` */
	} token;
	bool missing_is_early; /* 404 and 410 mean "not yet" for what is required */
	/* Other ways than HTTP; `get` returns 0, -ENOENT if there is no such thing, -EAGAIN to ask again. */
	int (*open)(struct cloud_session *s);
	int (*get)(struct cloud_session *s, const char *path, size_t max, char **ret, size_t *ret_len);

	struct cloud_get gets[CLOUD_GETS_MAX];
	/* Facts by their path in the document, where it is not their name: "hostname=meta.local_hostname". */
	const char *facts[8];
	const char *user_data; /* path, if it is in the document */
	struct cloud_nics nics[2];
	/* What tables cannot say; adds to the configuration. */
	void (*map)(const json_t *document, json_t *config);
	const char *ntp[3];
	/* The cloud waits for a word that the machine is up. */
	int (*report)(struct cloud_session *s);
};

extern const struct cloud_provider cloud_providers[];
extern const size_t cloud_n_providers;

/* One run of the client. */
struct cloud_session {
	const struct cloud_provider *provider;
	const char *files;     /* directory of a config drive's files */
	struct net_address at; /* instead of the provider's own addresses, for tests */
	uint16_t port;
	bool has_address;
	struct net_address wireserver; /* Azure's, by DHCP */
	uint64_t end_ms;
	char token[512];
	int fd; /* of a transport */
	struct {
		char *text;
		size_t len;
		int error;
	} kept[CLOUD_GETS_MAX]; /* files, by the row of `gets` */
	char error[160];
};

/* cloudhttp.c */
/* Notes what is wrong in words; returns error. */
int cloud_fail(struct cloud_session *s, int error, const char *fmt, ...) NOMAD_PRINTF(3, 4);
/* Milliseconds until the session's end, at most max; 0 if it is over. */
unsigned int cloud_time_left(const struct cloud_session *s, unsigned int max);
/* One HTTP request to the provider, with its headers and token.  Returns the status, or a negative errno.  body and
 * more (header lines) may be NULL. */
int cloud_http(struct cloud_session *s, const char *method, const char *path, const char *more, const char *body,
	       size_t max, char **ret, size_t *ret_len);
int cloud_open_files(struct cloud_session *s);
int cloud_get_file(struct cloud_session *s, const char *path, size_t max, char **ret, size_t *ret_len);

/* cloud.c */
/* Asks until there is an answer or no more time.  Returns 0 with *ret_document (a new reference) and *ret_user_data
 * (fresh memory, or NULL if there is none); else a negative errno with s->error in words. */
int cloud_fetch(struct cloud_session *s, json_t **ret_document, char **ret_user_data, size_t *ret_len);
int cloud_main(int argc, char **argv);

/* cloudfind.c */
/* The provider by name, or NULL. */
const struct cloud_provider *cloud_by_name(const char *name);
/* The provider that this machine runs at, or NULL.  dmi: "/sys/class/dmi/id"; files: of a config drive. */
const struct cloud_provider *cloud_detect(const char *dmi, const char *files);
/* Does the provider need the network? */
bool cloud_needs_network(const struct cloud_provider *p);
/* `nomadinit clouds`: the table, for people. */
int cloud_list_main(int argc, char **argv);
bool cloud_match(const char *pattern, const char *text);

/* cloudmap.c */
/* The piece of configuration that the document stands for: {"nomadinit": {...}, "client": {"meta": {...}}}.  What is
 * not valid is left out.  Returns a new reference. */
json_t *cloud_map(const struct cloud_provider *p, const json_t *document);
/* The id of this machine that the cloud gives, or "". */
const char *cloud_instance_id(const struct cloud_provider *p, const json_t *document);
/* A value by its path, "a.b.0.c", or NULL. */
json_t *cloud_at(const json_t *from, const char *path);
/* A scalar as text in buf; "" if it is none. */
const char *cloud_text(const json_t *value, char *buf, size_t size);
/* The section of an interface by MAC address or name, made if it is not there; NULL if the name cannot be. */
json_t *cloud_interface(json_t *config, const char *name);
/* Appends an address (or gateway, name server) to a list of the section, if it is one. */
void cloud_add_address(json_t *section, const char *list, const char *address, const char *prefix);
void cloud_add_route(json_t *section, const char *to, const char *prefix, const char *via);
void cloud_add_to(json_t *object, const char *list, const char *text);

/* netconf.c */
/* cloud-init's network-config, version 1 and 2; OpenStack's network_data.json. */
void cloud_map_network_config(const json_t *network, json_t *config);
void cloud_map_openstack(const json_t *document, json_t *config);
void cloud_map_triton(const json_t *document, json_t *config);

/* mdata.c, guestinfo.c, azure.c: what is not HTTP, or not only */
int mdata_open(struct cloud_session *s);
int mdata_get(struct cloud_session *s, const char *key, size_t max, char **ret, size_t *ret_len);
int guestinfo_get(struct cloud_session *s, const char *key, size_t max, char **ret, size_t *ret_len);
int azure_report(struct cloud_session *s);

#endif
