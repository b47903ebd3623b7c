/* SPDX-License-Identifier: MPL-2.0
 *
 * A task's options against the policy block. */
#include "core/policy.h"

#include "core/options.h"
#include "core/testing.h"

#include <sys/sysmacros.h>

struct inner {
	char *url;
};

struct powers {
	char *path, *image, *users;
	char **read;
	bool safe;
	int64_t amount;
	struct nomad_block_list inner;
};

static const char *const safe_true[] = { "true", NULL }, *const some_urls[] = { "https://*", NULL };
static const struct nomad_power write_power = { .kind = NOMAD_POWER_WRITE, .rule = "allow_path" };
static const struct nomad_power strict_power = { .kind = NOMAD_POWER_READ, .rule = "allow_strict", .strict = true };
static const struct nomad_power own_dirs_power = {
	.kind = NOMAD_POWER_READ, .rule = "allow_strict", .strict = true, .own_dirs = true
};
static const struct nomad_power read_power = { .kind = NOMAD_POWER_READ, .rule = "allow_read", .also = "allow_path" };
static const struct nomad_power driver_power = { .kind = NOMAD_POWER_READ, .rule = "allow_image", .by_driver = true };
static const struct nomad_power user_power = { .kind = NOMAD_POWER_USER, .rule = "allow_users" };
static const struct nomad_power flag_power = { .kind = NOMAD_POWER_PRIVILEGE,
					       .rule = "allow_unsafe",
					       .safe = safe_true };
static const struct nomad_power amount_power = { .kind = NOMAD_POWER_AMOUNT, .rule = "max_amount", .maximum = 7 };
static const struct nomad_power url_power = { .kind = NOMAD_POWER_IMAGE, .rule = "allow_url", .otherwise = some_urls };

#define HELP .help = "What it does."
static const struct nomad_option inner_rows[] = {
	NOMAD_OPTION(struct inner, url, STRING, .power = &url_power, HELP),
};
static const struct nomad_schema inner_schema = NOMAD_SCHEMA(struct inner, inner_rows);
static const struct nomad_option power_rows[] = {
	NOMAD_OPTION(struct powers, path, STRING, .power = &write_power, HELP),
	NOMAD_OPTION(struct powers, image, STRING, .power = &driver_power, HELP),
	NOMAD_OPTION(struct powers, users, STRING, .power = &user_power, HELP),
	NOMAD_OPTION(struct powers, read, STRING_LIST, .power = &read_power, HELP),
	NOMAD_OPTION(struct powers, safe, BOOL, .def = "true", .power = &flag_power, HELP),
	NOMAD_OPTION(struct powers, amount, INT, .power = &amount_power, HELP),
	NOMAD_OPTION(struct powers, inner, BLOCK_LIST, .block = &inner_schema, HELP),
};
static const struct nomad_schema power_schema = NOMAD_SCHEMA(struct powers, power_rows);
static struct nomad_driver driver = { .name = "powers" };

static struct nomad_plugin *plugin_of(const char *policy)
{
	NOMAD_AUTO_FREE char *extra = policy ? nomad_strdupf("\"policy\": {%s}", policy) : NULL;

	driver.version = script_driver.version;
	driver.fingerprint = script_driver.fingerprint;
	driver.start = script_driver.start;
	driver.task_schema = &power_schema;
	return plugin_with(&driver, extra);
}

static struct nomad_task task_of(struct nomad_plugin *plugin, const char *namespace_name, const char *config)
{
	struct nomad_task task = { .plugin = plugin, .info = { .namespace_name = (char *)namespace_name } };
	NOMAD_AUTO_FREE void *data = NULL;
	size_t size;

	task.shared_dir = test_base;
	config_of(&power_schema, config, &data, &size);
	assert_int_equal(nomad__config_decode(&power_schema, "config", data, size, 0, &task.config, NULL), 0);
	return task;
}

/* The config in a namespace under a policy: NULL if it is allowed, else the error has to say `refusal`. */
static void judged(const char *policy, const char *namespace_name, const char *config, const char *refusal)
{
	struct nomad_plugin *plugin = plugin_of(policy);
	struct nomad_task task = task_of(plugin, namespace_name, config);
	struct nomad_error *err = NULL;
	int r = nomad__policy_check(&task, &err);

	if (r != (refusal ? -EACCES : 0) || (refusal && !strstr(nomad_error_message(err), refusal)))
		fail_msg("{%s} %s: %s", policy ? policy : "-", config, nomad_error_message(err));
	if (r >= 0)
		assert_null(err);
	nomad_error_free(err);
	nomad__config_free(&power_schema, task.config);
	nomad__plugin_free(plugin);
}

static void test_defaults(void **state)
{
	(void)state;
	judged(NULL, "default", "{}", NULL);
	judged(NULL, "default", "{\"path\": \"/usr\"}",
	       "policy of this node: option 'path': \"/usr\" is not allowed by the rule allow_path; to allow it, write "
	       "into the plugin block: policy { allow_path = [\"/usr\"] }");
	judged(NULL, "default", "{\"read\": [\"/usr\", \"/etc\"]}",
	       "option 'read': \"/usr\", option 'read': \"/etc\" is not allowed by the rule allow_read; to allow it, "
	       "write into the plugin block: policy { allow_read = [\"/usr\", \"/etc\"] }");
	judged(NULL, "default", "{\"path\": \"/usr\", \"safe\": false}",
	       "in policy: allow_path = [\"/usr\"]; option 'safe': \"false\" is not allowed by the rule allow_unsafe; "
	       "to "
	       "allow it, write into the plugin block, in policy: allow_unsafe = true");
	judged(NULL, "default", "{\"safe\": false}", "policy { allow_unsafe = true }");
	judged(NULL, "default", "{\"amount\": 7}", NULL);
	judged(NULL, "default", "{\"amount\": 8}", "policy { max_amount = 8 }");
	judged(NULL, "default", "{\"users\": \"1000:10\"}", "policy { allow_users = [\"1000-1009\"] }");
	judged(NULL, "default", "{\"inner\": [{\"url\": \"https://a\"}, {\"url\": \"http://b\"}]}",
	       "option 'inner.url': \"http://b\" is not allowed by the rule allow_url; to allow it, write into the "
	       "plugin "
	       "block: policy { allow_url = [\"https://*\", \"http://b\"] }");
	judged(NULL, "default", "{\"image\": \"/etc\"}", NULL); /* its driver asks */
	judged(NULL, "default", "{\"users\": \"a\\\"${b}\\n\"}", "allow_users = [\"a\\\"$${b}\\x0a\"]");
}

static void test_rules(void **state)
{
	(void)state;
	judged("\"mode\": \"open\"", "default", "{\"path\": \"/\", \"safe\": false, \"amount\": 1000000}", NULL);
	judged("\"allow_path\": [\"/usr\"]", "default", "{\"path\": \"/usr/share\"}", NULL);
	judged("\"allow_path\": [\"/usr\"]", "default", "{\"read\": [\"/usr/share\"]}", NULL);
	judged("\"allow_read\": [\"/usr\"]", "default", "{\"path\": \"/usr/share\"}",
	       "in policy: allow_path = [\"/usr/share\"]");
	judged("\"allow_path\": [\"/usr\"]", "default", "{\"path\": \"/usr/../etc\"}",
	       "allow_path = [\"/usr\", \"/etc\"]");
	judged("\"allow_unsafe\": true", "default", "{\"safe\": false}", NULL);
	judged("\"max_amount\": 8", "default", "{\"amount\": 8}", NULL);
	judged("\"max_amount\": 0", "default", "{\"amount\": 1000}", NULL);
	judged("\"max_amount\": 3", "default", "{\"amount\": 4}", "in policy: max_amount = 4");
	judged("\"allow_url\": []", "default", "{\"inner\": [{\"url\": \"https://a\"}]}",
	       "allow_url = [\"https://a\"]");
	judged("\"allow_users\": [\"1000-1999\"]", "default", "{\"users\": \"1000:1000\"}", NULL);
}

static void test_namespaces(void **state)
{
	const char *policy = "\"allow_path\": [\"/usr\"], \"namespace\": ["
			     "{\"name\": \"ops-*\", \"allow_path\": [\"/etc\"], \"allow_unsafe\": true},"
			     "{\"name\": \"ops-2\", \"mode\": \"open\"},"
			     "{\"name\": \"all\", \"mode\": \"open\"}]";

	(void)state;
	judged(policy, "default", "{\"path\": \"/usr\"}", NULL);
	judged(policy, "default", "{\"path\": \"/etc\"}", "in policy: allow_path = [\"/usr\", \"/etc\"]");
	judged(policy, "ops-1", "{\"path\": \"/etc\", \"safe\": false}", NULL);
	judged(policy, "ops-1", "{\"path\": \"/usr\"}",
	       "the block namespace \"ops-*\" of policy in the plugin block: allow_path = [\"/etc\", \"/usr\"]");
	judged(policy, "ops-2", "{\"path\": \"/\"}", "namespace \"ops-*\""); /* the first one counts */
	judged(policy, "all", "{\"path\": \"/\", \"safe\": false}", NULL);
	judged("\"mode\": \"open\", \"namespace\": [{\"name\": \"dev\", \"mode\": \"default\"}]", "dev",
	       "{\"path\": \"/\"}", "allow_path = [\"/\"]");
}

/* What Nomad has given; not so device nodes, and not where a row is strict. */
static void test_given(void **state)
{
	struct nomad_plugin *plugin = plugin_of(NULL);
	struct nomad_task task = task_of(plugin, "default", "{}");
	struct nomad_mount mounts[] = { { .host_path = (char *)"/usr", .readonly = true },
					{ .host_path = (char *)"/etc" } };
	NOMAD_AUTO_FREE char *thing = nomad_strdupf("%s/things", test_base);
	NOMAD_AUTO_FREE char *node = nomad_strdupf("%s/node", test_base);
	NOMAD_AUTO_FREE char *logs = nomad_strdupf("%s/logs", test_base);

	(void)state;
	assert_int_equal(nomad_task_may(&task, "path", thing, NULL), 0);
	assert_int_equal(nomad_task_may(&task, "image", thing, NULL), 0);
	assert_int_equal(nomad_task_may(&task, "path", "/usr", NULL), -EACCES);
	/* A job may write neither to the logs nor to a directory that holds them. */
	assert_int_equal(mkdir(logs, 0700), 0);
	assert_int_equal(nomad_task_may(&task, "path", test_base, NULL), -EACCES);
	assert_int_equal(nomad_task_may(&task, "path", logs, NULL), -EACCES);
	assert_int_equal(nomad_task_may(&task, "read", test_base, NULL), 0);
	assert_int_equal(nomad_task_may(&task, "read", logs, NULL), 0);
	task.local_dir = (char *)"/usr/share";
	assert_int_equal(nomad_task_may(&task, "path", "/usr/share", NULL), 0);
	task.info.mounts = mounts;
	task.info.n_mounts = 2;
	assert_int_equal(nomad_task_may(&task, "path", "/usr", NULL), -EACCES);
	assert_int_equal(nomad_task_may(&task, "read", "/usr", NULL), 0);
	assert_int_equal(nomad_task_may(&task, "path", "/etc", NULL), 0);
	assert_int_equal(nomad_task_may(&task, "path", "/etc/no-such-file", NULL), -EACCES);
	if (mknod(node, S_IFCHR | 0600, makedev(1, 3)) == 0)
		assert_int_equal(nomad_task_may(&task, "path", node, NULL), -EACCES);
	assert_int_equal(nomad_task_may(&task, "none", thing, NULL), -EINVAL);
	assert_int_equal(nomad_task_limit(&task, "amount", 0), 7);
	assert_int_equal(nomad_task_limit(&task, "amount", 3), 3);
	nomad__config_free(&power_schema, task.config);
	nomad__plugin_free(plugin);
}

static void test_strict(void **state)
{
	struct nomad_option rows[NOMAD_ARRAY_LEN(power_rows)];
	struct nomad_schema schema = power_schema;
	struct nomad_plugin *plugin;
	struct nomad_task task;

	(void)state;
	memcpy(rows, power_rows, sizeof(rows));
	rows[0].power = &strict_power;
	schema.options = rows;
	plugin = plugin_of(NULL);
	task = task_of(plugin, "default", "{}");
	nomad__plugin_free(plugin);
	driver.task_schema = &schema;
	plugin = plugin_with(&driver, NULL);
	task.plugin = plugin;
	assert_int_equal(nomad_task_may(&task, "path", test_base, NULL), -EACCES);
	assert_int_equal(nomad_task_may(&task, "image", test_base, NULL), 0);
	/* Its own directories, where the row says so; not those of the allocation. */
	task.local_dir = (char *)"/usr/share";
	assert_int_equal(nomad_task_may(&task, "path", "/usr/share", NULL), -EACCES);
	rows[0].power = &own_dirs_power;
	assert_int_equal(nomad_task_may(&task, "path", "/usr/share", NULL), 0);
	assert_int_equal(nomad_task_may(&task, "path", test_base, NULL), -EACCES);
	nomad__config_free(&power_schema, task.config);
	nomad__plugin_free(plugin);
}

/* An error names no more than eight, and no more of a value than it takes to know it. */
static void test_long(void **state)
{
	char value[2000], config[2100];
	struct nomad_plugin *plugin = plugin_of(NULL);
	struct nomad_error *err = NULL;
	struct nomad_task task;

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	snprintf(config, sizeof(config), "{\"users\": \"%s\"}", value);
	task = task_of(plugin, "default", config);
	assert_int_equal(nomad__policy_check(&task, &err), -EACCES);
	assert_true(strlen(nomad_error_message(err)) < 1400);
	assert_non_null(strstr(nomad_error_message(err), "xxx...\""));
	nomad_error_free(err);
	nomad__config_free(&power_schema, task.config);
	err = NULL;
	task = task_of(plugin, "default",
		       "{\"read\": [\"/1\",\"/2\",\"/3\",\"/4\",\"/5\",\"/6\",\"/7\",\"/8\",\"/9\"]}");
	assert_int_equal(nomad__policy_check(&task, &err), -EACCES);
	assert_non_null(strstr(nomad_error_message(err), "\"/8\""));
	assert_null(strstr(nomad_error_message(err), "\"/9\""));
	nomad_error_free(err);
	nomad__config_free(&power_schema, task.config);
	nomad__plugin_free(plugin);
}

static void test_print(void **state)
{
	struct nomad_plugin *plugin = plugin_of(
		"\"allow_path\": [\"/usr\", \"/srv\"], \"namespace\": [{\"name\": \"ops\", \"max_amount\": 9}]");
	NOMAD_AUTO_FREE char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_true(nomad__policy_print(plugin, "ops", out));
	fclose(out);
	for (const char *const *want =
		     (const char *const[]){ "  mode = \"default\" # default\n",
					    "  allow_path = [\"/usr\", \"/srv\"] # policy; for path\n",
					    "  max_amount = 9 # namespace; for amount\n",
					    "  allow_unsafe = false # default; for safe; always allowed: \"true\"\n",
					    "  allow_url = [\"https://*\"] # default; for inner.url\n", NULL };
	     *want; want++)
		if (!strstr(text, *want))
			fail_msg("no %sin\n%s", *want, text);
	/* The caller of `run` is the operator. */
	nomad__options_ignore_policy(plugin);
	assert_int_equal(nomad_task_may(&(struct nomad_task){ .plugin = plugin, .info.namespace_name = (char *)"" },
					"path", "/", NULL),
			 0);
	nomad__plugin_free(plugin);
	/* A driver whose rows say nothing has no policy, and refuses nothing. */
	plugin = plugin_up(&script_driver);
	assert_false(nomad__policy_print(plugin, "ops", stdout));
	assert_int_equal(nomad_task_may(&(struct nomad_task){ .plugin = plugin, .info.namespace_name = (char *)"" },
					"x", "/", NULL),
			 0);
	nomad__plugin_free(plugin);
}

MAIN("policy", T(test_defaults), T(test_rules), T(test_namespaces), T(test_given), T(test_strict), T(test_long),
     T(test_print))
