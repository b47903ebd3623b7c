/* SPDX-License-Identifier: MPL-2.0
 *
 * What metadata services, hypervisors and drives send, by the first byte: HTTP in pieces, YAML, user-data, a document
 * to map, frames of mdata, the XML of Azure, SMBIOS tables. */
#include "fuzz.h"
#include "nomadinit/azure.h"
#include "nomadinit/cloud.h"
#include "nomadinit/config.h"
#include "nomadinit/http.h"
#include "nomadinit/mdata.h"
#include "nomadinit/smbios.h"
#include "nomadinit/userdata.h"
#include "nomadinit/yaml.h"

static void fuzz_http(struct fuzz_input *in)
{
	struct http_parser p = { .want = "metadata-flavor", .max = 1000 };
	int r = 0;

	while (in->size && r == 0) {
		size_t n = 1 + fuzz_byte(in) % 40;

		n = n < in->size ? n : in->size;
		r = http_feed(&p, (const char *)in->data, n);
		in->data += n;
		in->size -= n;
	}
	if (r == 0)
		r = http_end(&p);
	fuzz_must(r != 1 || (p.answer.body && p.answer.len <= 1000 && p.answer.body[p.answer.len] == '\0'));
	free(p.answer.body);
}

/* What is mapped must be a configuration, whatever the document was. */
static void fuzz_map(struct fuzz_input *in, bool is_yaml)
{
	const struct cloud_provider *p = &cloud_providers[fuzz_byte(in) % cloud_n_providers];
	char error[CONFIG_ERROR_SIZE], *text;
	const char *const name = "cloud";
	struct config c;
	json_t *document, *config;
	int line;

	document = is_yaml ? yaml_parse((const char *)in->data, in->size, &line)
			   : json_loadb((const char *)in->data, in->size, 0, NULL);
	if (is_yaml && document) {
		json_t *outer = json_pack("{s:o}", "network_config", document);

		document = outer;
	}
	if (!document)
		return;
	config = cloud_map(p, document);
	text = json_dumps(config, 0);
	fuzz_must(text);
	fuzz_must(config_parse((const char *const *)&text, &name, 1, &c, error) == 0);
	config_done(&c);
	(void)cloud_instance_id(p, document);
	free(text);
	json_decref(config);
	json_decref(document);
}

static void fuzz_user_data(struct fuzz_input *in)
{
	struct userdata u;

	userdata_find((const char *)in->data, in->size, &u);
	fuzz_must(u.note[0] && (!u.json || strlen(u.json) <= CONFIG_MAX_BYTES + in->size));
	free(u.json);
}

static void fuzz_texts(struct fuzz_input *in, unsigned how)
{
	char *text = fuzz_text(in, 0, NULL), *value = NULL, buf[64];
	size_t len;

	if (how == 5) {
		if (mdata_parse(text, strlen(text), 1, &value, &len) == 0)
			free(value);
	} else if (how == 6) {
		if (azure_xml_text(text, "InstanceId", buf, sizeof(buf)))
			fuzz_must(buf[0] && strlen(buf) < sizeof(buf));
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned how = fuzz_byte(&in) % 8;
	char *found;

	if (how == 0)
		fuzz_http(&in);
	else if (how == 1 || how == 2)
		fuzz_map(&in, how == 2);
	else if (how == 3 || how == 4)
		fuzz_user_data(&in);
	else if (how == 7)
		free(found = smbios_find((const char *)in.data, in.size));
	else
		fuzz_texts(&in, how);
	return 0;
}
