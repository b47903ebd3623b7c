/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "site.h"

static const char *const names[] = {
	"URL", "ACCOUNT", "USER", "KEY_ID", "KEY_MATERIAL", "INSECURE", "SKIP_TLS_VERIFY", "TLS_INSECURE", "TESTING",
};

static int clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++) {
		char key[64];

		snprintf(key, sizeof(key), "TRITON_%s", names[i]);
		unsetenv(key);
		snprintf(key, sizeof(key), "SDC_%s", names[i]);
		unsetenv(key);
	}
	unsetenv("DOCKER_HOST");
	unsetenv("DOCKER_CERT_PATH");
	unsetenv("DOCKER_TLS_VERIFY");
	unsetenv("SSH_AUTH_SOCK");
	return 0;
}

static struct triton_site *site_of(char *url, int insecure, int docker_insecure)
{
	const struct triton_config config = {
		.url = url,
		.insecure = insecure,
		.docker_insecure = docker_insecure,
		.requests_per_second = 10,
		.poll_interval = 5,
		.request_timeout = 30,
		.provision_timeout = 900,
	};
	struct triton_site *site = NULL;

	assert_int_equal(triton_site_new(&config, &site, NULL), 0);
	return site;
}

static void test_environment(void **state)
{
	struct triton_site *site;
	char url[] = "https://configured";

	(void)state;
	setenv("SDC_URL", "https://sdc", 1);
	setenv("SDC_ACCOUNT", "acme", 1);
	site = site_of(NULL, -1, -1);
	assert_string_equal(site->url, "https://sdc");
	assert_string_equal(site->account, "acme");
	assert_null(site->user);
	assert_false(site->insecure);
	triton_site_free(site);
	setenv("TRITON_URL", "https://triton", 1);
	site = site_of(NULL, -1, -1);
	assert_string_equal(site->url, "https://triton");
	triton_site_free(site);
	site = site_of(url, -1, -1);
	assert_string_equal(site->url, "https://configured");
	assert_int_equal(site->poll_interval_ms, 5000);
	triton_site_free(site);
}

static void test_key(void **state)
{
	struct triton_site *site;

	(void)state;
	setenv("SDC_KEY_MATERIAL", "/some/key", 1);
	site = site_of(NULL, -1, -1);
	assert_string_equal(site->key_file, "/some/key");
	assert_null(site->key_material);
	triton_site_free(site);
	setenv("SDC_KEY_MATERIAL", "-----BEGIN RSA PRIVATE KEY-----", 1);
	site = site_of(NULL, -1, -1);
	assert_null(site->key_file);
	assert_non_null(site->key_material);
	triton_site_free(site);
}

static void test_insecure(void **state)
{
	struct triton_site *site;

	(void)state;
	setenv("TRITON_INSECURE", "0", 1);
	site = site_of(NULL, -1, -1);
	assert_false(site->insecure);
	triton_site_free(site);
	setenv("SDC_TESTING", "", 1);
	site = site_of(NULL, -1, -1);
	assert_false(site->insecure);
	triton_site_free(site);
	/* What `triton env` writes is no boolean: any value counts. */
	setenv("SDC_TESTING", "0", 1);
	site = site_of(NULL, -1, -1);
	assert_true(site->insecure);
	assert_true(site->docker_insecure);
	triton_site_free(site);
	setenv("DOCKER_TLS_VERIFY", "1", 1);
	site = site_of(NULL, -1, -1);
	assert_false(site->docker_insecure);
	triton_site_free(site);
	/* What is configured wins. */
	site = site_of(NULL, 0, 1);
	assert_false(site->insecure);
	assert_true(site->docker_insecure);
	triton_site_free(site);
}

static void test_missing(void **state)
{
	char url[] = "https://127.0.0.1:1", nonsense[] = "no url";
	struct nomad_error *err = NULL;
	struct triton_docker docker;
	struct triton_cloud cloud;
	struct triton_site *site;

	(void)state;
	site = site_of(NULL, -1, -1);
	assert_true(triton_site_cloud(site, &cloud, &err) < 0);
	assert_non_null(strstr(nomad_error_message(err), "TRITON_URL"));
	nomad_error_free(err);
	triton_site_free(site);
	setenv("DOCKER_HOST", "tcp://127.0.0.1:2376", 1);
	setenv("SDC_ACCOUNT", "acme", 1);
	site = site_of(url, -1, -1);
	err = NULL;
	assert_true(triton_site_cloud(site, &cloud, &err) < 0);
	assert_non_null(strstr(nomad_error_message(err), "key"));
	nomad_error_free(err);
	err = NULL;
	assert_true(triton_site_docker(site, &docker, &err) < 0);
	assert_non_null(strstr(nomad_error_message(err), "docker_cert_path"));
	nomad_error_free(err);
	triton_site_free(site);
	setenv("SDC_ACCOUNT", "acme\r\nX-Header: 1", 1);
	site = site_of(url, -1, -1);
	err = NULL;
	assert_true(triton_site_cloud(site, &cloud, &err) < 0);
	assert_non_null(strstr(nomad_error_message(err), "not a login name"));
	assert_null(strstr(nomad_error_message(err), "X-Header"));
	nomad_error_free(err);
	triton_site_free(site);
	setenv("SDC_ACCOUNT", "acme", 1);
	site = site_of(nonsense, -1, -1);
	assert_true(triton_site_cloud(site, &cloud, NULL) < 0);
	triton_site_free(site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_environment, clean),
		cmocka_unit_test_setup(test_key, clean),
		cmocka_unit_test_setup(test_insecure, clean),
		cmocka_unit_test_setup(test_missing, clean),
	};

	return cmocka_run_group_tests_name("site", tests, NULL, NULL);
}
