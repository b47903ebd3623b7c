/* SPDX-License-Identifier: MPL-2.0
 *
 * SetConfig and Init. */
#include "core/testing.h"

static int bad_init_calls;

static int bad_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	(void)plugin;
	*ret_data = &bad_init_calls;
	return ++bad_init_calls < 3 ? nomad_error_set(err, EIO, "told to fail") : 0;
}

static void test_init(void **state)
{
	struct nomad_driver driver = script_driver;
	NOMAD_AUTO_FREE char *state_dir = nomad_strdupf("%s/state", test_base);
	struct nomad_plugin *plugin;
	struct nomad_error *err = NULL;

	(void)state;
	bad_init_calls = 0;
	driver.init = bad_init;
	plugin = plugin_up(&driver);
	assert_int_equal(access(state_dir, F_OK), -1); /* nothing is touched before */
	assert_int_equal(nomad__plugin_init(plugin, &err), -EIO);
	assert_string_equal(nomad_error_message(err), "initialise driver 'script': told to fail");
	nomad_error_free(err);
	err = NULL;
	assert_int_equal(nomad__task_destroy(plugin, "x/y/z", true, NULL), -EIO);
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0); /* the next time it does not fail */
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	assert_int_equal(bad_init_calls, 3);
	assert_ptr_equal(nomad_plugin_data(plugin), &bad_init_calls);
	nomad__plugin_free(plugin);
}

/* Nobody else may write where we believe what we read. */
static void test_state_dir_is_private(void **state)
{
	static const mode_t modes[] = { 0777, 0770, 0720, 0707, 0702 };
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/state", test_base);
	struct nomad_plugin *plugin = plugin_up(&script_driver);

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(modes); i++) {
		NOMAD_AUTO_ERROR struct nomad_error *err = NULL;

		assert_int_equal(chmod(dir, modes[i]), 0);
		assert_int_equal(nomad__plugin_init(plugin, &err), -EPERM);
		assert_non_null(strstr(nomad_error_message(err), dir));
	}
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	nomad__plugin_free(plugin);
}

static void test_trial(void **state)
{
	struct nomad_plugin *plugin = nomad__plugin_new(&script_driver, NULL);

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(nomad__plugin_configure(plugin, NULL, 0, NULL, NULL), 0);
	assert_int_equal(nomad__plugin_configure(plugin, "\xc1", 1, NULL, NULL), -EINVAL);
	assert_int_equal(nomad__plugin_capabilities(plugin), NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC);
	nomad__plugin_free(plugin);
	assert_int_equal(fini_calls, 0);
	plugin = plugin_with(&script_driver, "\"log_collection\": \"driver\"");
	assert_true(nomad__plugin_capabilities(plugin) & NOMAD_OWN_LOGS);
	nomad__plugin_free(plugin);
}

static void test_bad_drivers(void **state)
{
	struct nomad_driver driver = script_driver;
	struct nomad_error *err = NULL;

	(void)state;
	driver.start = NULL;
	assert_null(nomad__plugin_new(&driver, &err));
	assert_non_null(strstr(nomad_error_message(err), "start"));
	nomad_error_free(err);
}

struct word_config {
	char *word;
};
static const struct nomad_option word_rows[] = {
	NOMAD_OPTION(struct word_config, word, STRING, .def = "\"none\"", .help = "A word."),
};
static const struct nomad_schema word_schema = NOMAD_SCHEMA(struct word_config, word_rows);

/* A driver keeps pointers into its configuration. */
static void test_running_driver_keeps_config(void **state)
{
	struct nomad_driver driver = script_driver;
	struct nomad_plugin *plugin;
	const struct word_config *config;
	const char *word;

	(void)state;
	driver.config_schema = &word_schema;
	plugin = plugin_with(&driver, "\"word\": \"first\"");
	configure(plugin, "state", "\"word\": \"second\""); /* before Init, the last one counts */
	assert_int_equal(nomad__plugin_init(plugin, NULL), 0);
	config = nomad_plugin_config(plugin);
	word = config->word;
	configure(plugin, "other", "\"word\": \"third\", \"log_collection\": \"driver\"");
	assert_ptr_equal(nomad_plugin_config(plugin), config);
	assert_ptr_equal(config->word, word);
	assert_string_equal(word, "second");
	assert_null(strstr(nomad_plugin_state_dir(plugin), "/other"));
	assert_false(nomad__plugin_capabilities(plugin) & NOMAD_OWN_LOGS);
	nomad__plugin_free(plugin);
}

MAIN("init", T(test_init), T(test_state_dir_is_private), T(test_running_driver_keeps_config), T(test_trial),
     T(test_bad_drivers))
