/* SPDX-License-Identifier: MPL-2.0
 *
 * The results of a fingerprint, and what subscribers get. */
#include "core/testing.h"

#include "core/fingerprint.h"

/* ---- One look ---- */

static void (*look_with)(struct nomad_fingerprint *fp);

static void print_whatever(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	(void)plugin;
	look_with(fp);
}

static struct nomad_fingerprint *look(struct nomad_plugin *plugin, void (*with)(struct nomad_fingerprint *fp))
{
	struct nomad_fingerprint *fp = NULL;

	look_with = with;
	assert_int_equal(nomad__fingerprint_look(plugin, &fp), 0);
	return fp;
}

static void some(struct nomad_fingerprint *fp)
{
	nomad_fp_int(fp, "zeta", 5, "MiB");
	nomad_fp_string(fp, "alpha", NULL);
	nomad_fp_bool(fp, "mid", false);
	nomad_fp_string(fp, "alpha", "first");
	nomad_fp_string(fp, "alpha", "last");
	nomad_fp_int(fp, "beta", -1, NULL);
}

static void other_order(struct nomad_fingerprint *fp)
{
	nomad_fp_int(fp, "beta", -1, NULL);
	nomad_fp_bool(fp, "mid", false);
	nomad_fp_string(fp, "alpha", "last");
	nomad_fp_int(fp, "zeta", 5, "MiB");
}

static void nearly(struct nomad_fingerprint *fp)
{
	other_order(fp);
	nomad_fp_int(fp, "zeta", 5, "GiB");
}

static void test_order(void **state)
{
	static const char *const keys[] = { "driver.script", "driver.script.alpha", "driver.script.beta",
					    "driver.script.mid", "driver.script.zeta" };
	struct nomad_driver driver = script_driver;
	struct nomad_plugin *plugin;
	struct nomad_fingerprint *a, *b, *c;

	(void)state;
	driver.fingerprint = print_whatever;
	driver.capabilities |= NOMAD_ALL_REMOTE; /* nothing of this host */
	plugin = plugin_up(&driver);
	a = look(plugin, some);
	assert_int_equal(a->health, NOMAD_HEALTHY);
	assert_string_equal(a->description, "Healthy");
	assert_int_equal(a->n_attributes, NOMAD_ARRAY_LEN(keys));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(keys); i++)
		assert_string_equal(a->attributes[i].key, keys[i]);
	assert_true(a->attributes[0].boolean);
	assert_string_equal(a->attributes[1].string, "last");
	assert_string_equal(a->attributes[4].unit, "MiB");
	b = look(plugin, other_order);
	assert_true(nomad__fingerprint_equal(a, b));
	c = look(plugin, nearly);
	assert_false(nomad__fingerprint_equal(a, c));
	nomad__fingerprint_free(a);
	nomad__fingerprint_free(b);
	nomad__fingerprint_free(c);
	nomad__fingerprint_free(NULL);
	nomad__plugin_free(plugin);
}

static void checks(struct nomad_fingerprint *fp)
{
	assert_true(nomad_fp_check(fp, "one", true, NOMAD_UNDETECTED, NULL, NULL));
	assert_false(nomad_fp_check(fp, "warning", false, NOMAD_HEALTHY, "meh", "shrug"));
	assert_false(nomad_fp_check(fp, "bad", false, NOMAD_UNHEALTHY, "no tool", "install it"));
	assert_false(nomad_fp_check(fp, "also bad", false, NOMAD_UNHEALTHY, "no disk", "buy it"));
}

static void checks_and_worse(struct nomad_fingerprint *fp)
{
	checks(fp);
	nomad_fp_check(fp, "worst", false, NOMAD_UNDETECTED, "no kernel", "");
	nomad_fp_check(fp, "better", false, NOMAD_UNHEALTHY, "x", "y");
}

static void test_checks(void **state)
{
	struct nomad_driver driver = script_driver;
	struct nomad_plugin *plugin;
	struct nomad_fingerprint *fp;

	(void)state;
	driver.fingerprint = print_whatever;
	driver.capabilities |= NOMAD_ALL_REMOTE; /* nothing of this host */
	plugin = plugin_up(&driver);
	fp = look(plugin, checks);
	assert_int_equal(fp->health, NOMAD_UNHEALTHY);
	assert_string_equal(fp->description, "no tool; install it");
	assert_int_equal(fp->n_checks, 4);
	assert_int_equal(fp->n_attributes, 1);
	nomad__fingerprint_free(fp);
	fp = look(plugin, checks_and_worse);
	assert_int_equal(fp->health, NOMAD_UNDETECTED);
	assert_string_equal(fp->description, "no kernel");
	assert_int_equal(fp->n_attributes, 0); /* driver.script too */
	nomad__fingerprint_free(fp);
	nomad__plugin_free(plugin);
}

/* What all drivers tell; a remote one has only the policy, and this one none. */
static void test_shared(void **state)
{
	static const char *const keys[] = { "driver.script.cgroup",  "driver.script.idmapped_mounts",
					    "driver.script.seccomp", "driver.script.storage",
					    "driver.script.systemd", "driver.script.user_namespaces" };
	struct nomad_driver driver = script_driver;
	struct nomad_plugin *plugin;
	struct nomad_fingerprint *fp;
	size_t found = 0;

	(void)state;
	driver.fingerprint = print_whatever;
	plugin = plugin_up(&driver);
	fp = look(plugin, other_order);
	for (size_t i = 0; i < fp->n_attributes; i++)
		for (size_t k = 0; k < NOMAD_ARRAY_LEN(keys); k++)
			found += strcmp(fp->attributes[i].key, keys[k]) == 0;
	assert_int_equal(found, NOMAD_ARRAY_LEN(keys));
	nomad__fingerprint_free(fp);
	nomad__plugin_free(plugin);
}

/* ---- The stream ---- */

struct heard {
	pthread_mutex_t lock;
	int n;
	char text[512];
};

#define HEARD_INIT                                                                                                     \
	{                                                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                                      \
	}

static void hear(void *ud, const struct nomad__fingerprint_view *fp)
{
	struct heard *h = ud;
	size_t used = 0;

	pthread_mutex_lock(&h->lock);
	used = (size_t)snprintf(h->text, sizeof(h->text), "%d:%s", fp->health, fp->description);
	for (size_t i = 0; i < fp->n_attributes; i++) {
		const struct nomad__attribute *a = &fp->attributes[i];

		if (i)
			assert_true(strcmp(fp->attributes[i - 1].key, a->key) < 0);
		used += (size_t)snprintf(h->text + used, sizeof(h->text) - used, " %s=%s", a->key,
					 a->type == NOMAD__ATTR_STRING ? a->string : "!");
	}
	h->n++;
	pthread_mutex_unlock(&h->lock);
}

static int heard_n(struct heard *h)
{
	int n;

	pthread_mutex_lock(&h->lock);
	n = h->n;
	pthread_mutex_unlock(&h->lock);
	return n;
}

static bool heard_healthy(struct heard *h)
{
	bool healthy;

	pthread_mutex_lock(&h->lock);
	healthy = strncmp(h->text, "2:", 2) == 0;
	pthread_mutex_unlock(&h->lock);
	return healthy;
}

static int variant, looks; /* atomic */

static void print_variant(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	int v = __atomic_load_n(&variant, __ATOMIC_SEQ_CST);

	(void)plugin;
	nomad_fp_string(fp, "m", "1");
	if (v == 1)
		nomad_fp_string(fp, "a", "x");
	if (v == 2)
		nomad_fp_check(fp, "c", false, NOMAD_UNDETECTED, "gone", "come back");
	__atomic_add_fetch(&looks, 1, __ATOMIC_SEQ_CST);
}

static void look_again(struct nomad_plugin *plugin)
{
	int before = __atomic_load_n(&looks, __ATOMIC_SEQ_CST);

	nomad_plugin_refresh_fingerprint(plugin);
	wait_until(__atomic_load_n(&looks, __ATOMIC_SEQ_CST) > before);
}

static void test_stream(void **state)
{
	struct nomad_driver driver = script_driver;
	struct heard h = HEARD_INIT, late = HEARD_INIT;
	struct nomad__sub *sub, *sub_late;
	struct nomad_plugin *plugin;
	int n;

	(void)state;
	variant = 1;
	looks = 0;
	driver.fingerprint = print_variant;
	driver.capabilities |= NOMAD_ALL_REMOTE; /* nothing of this host */
	driver.fingerprint_interval_s = 3600;
	plugin = plugin_up(&driver);
	assert_int_equal(looks, 0); /* not before somebody asks */
	sub = nomad__fingerprint_subscribe(plugin, hear, &h);
	wait_until(heard_n(&h) > 0);
	assert_string_equal(h.text, "2:Healthy driver.script=! driver.script.a=x driver.script.m=1");
	/* The same again is not sent. */
	n = heard_n(&h);
	look_again(plugin);
	look_again(plugin);
	usleep(50000);
	assert_int_equal(heard_n(&h), n);
	/* What is gone is sent, once, empty, in its place. */
	__atomic_store_n(&variant, 0, __ATOMIC_SEQ_CST);
	look_again(plugin);
	wait_until(heard_n(&h) == n + 1);
	assert_string_equal(h.text, "2:Healthy driver.script=! driver.script.a= driver.script.m=1");
	__atomic_store_n(&variant, 2, __ATOMIC_SEQ_CST);
	look_again(plugin);
	wait_until(heard_n(&h) == n + 2);
	assert_string_equal(h.text, "0:gone; come back driver.script= driver.script.m=1");
	/* A late one hears what is known, at once. */
	sub_late = nomad__fingerprint_subscribe(plugin, hear, &late);
	wait_until(heard_n(&late) > 0);
	assert_string_equal(late.text, "0:gone; come back driver.script.m=1");
	nomad__sub_cancel(sub_late);
	n = heard_n(&late);
	__atomic_store_n(&variant, 1, __ATOMIC_SEQ_CST);
	look_again(plugin);
	wait_until(heard_healthy(&h));
	assert_int_equal(heard_n(&late), n);
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin);
}

static int broken_init(struct nomad_plugin *plugin, void **ret_data, struct nomad_error **err)
{
	(void)plugin;
	(void)ret_data;
	return health == NOMAD_HEALTHY ? 0 : nomad_error_set(err, EIO, "the daemon is down");
}

/* A driver that cannot begin is unhealthy and says why; it is tried again. */
static void test_init_fails(void **state)
{
	struct nomad_driver driver = script_driver;
	struct heard h = HEARD_INIT;
	struct nomad_plugin *plugin;
	struct nomad__sub *sub;

	(void)state;
	driver.init = broken_init;
	driver.capabilities |= NOMAD_ALL_REMOTE; /* nothing of this host */
	health = NOMAD_UNHEALTHY;
	plugin = plugin_up(&driver);
	sub = nomad__fingerprint_subscribe(plugin, hear, &h);
	wait_until(heard_n(&h) > 0);
	assert_string_equal(h.text, "1:initialise driver 'script': the daemon is down");
	health = NOMAD_HEALTHY;
	nomad_plugin_refresh_fingerprint(plugin);
	wait_until(heard_n(&h) > 1);
	assert_string_equal(h.text, "2:Healthy driver.script=! driver.script.version=1");
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin);
}

/* ---- Events ---- */

struct told {
	pthread_mutex_t lock;
	int n;
	char first[64], last[256];
};

static void tell(void *ud, const struct nomad__event *event)
{
	struct told *t = ud;

	pthread_mutex_lock(&t->lock);
	if (!t->n++)
		snprintf(t->first, sizeof(t->first), "%s", event->message);
	snprintf(t->last, sizeof(t->last), "%s|%s|%s|%s", event->task_name, event->message,
		 event->annotations->count ? event->annotations->pairs[0].key : "",
		 event->annotations->count ? event->annotations->pairs[0].value : "");
	assert_true(event->time_ns > 0);
	pthread_mutex_unlock(&t->lock);
}

static int told_n(struct told *t)
{
	int n;

	pthread_mutex_lock(&t->lock);
	n = t->n;
	pthread_mutex_unlock(&t->lock);
	return n;
}

static struct nomad_task *a_task(struct nomad_plugin *plugin)
{
	struct nomad_task_info info = info_of(id_of("web/1"));
	struct nomad_task *task;

	assert_int_equal(nomad__task_new(plugin, &info, &task, NULL), 0);
	return task;
}

static void emit(struct nomad_task *task, int number)
{
	char message[32];

	snprintf(message, sizeof(message), "event %d", number);
	nomad_task_event_kv(task, message, "k", "v", NULL);
}

static void test_event_stream(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct told t = { .lock = PTHREAD_MUTEX_INITIALIZER }, late = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct nomad_task *task = a_task(plugin);
	struct nomad__sub *sub, *sub_late;

	(void)state;
	/* Kept while nobody listens, the newest 64. */
	for (int i = 0; i < 100; i++)
		emit(task, i);
	sub = nomad__events_subscribe(plugin, tell, &t);
	wait_until(told_n(&t) >= 64);
	assert_string_equal(t.first, "event 36");
	assert_string_equal(t.last, "web|event 99|k|v");
	emit(task, 100);
	assert_int_equal(told_n(&t), 65);
	sub_late = nomad__events_subscribe(plugin, tell, &late);
	emit(task, 101);
	assert_int_equal(told_n(&t), 66);
	wait_until(told_n(&late) == 1); /* what another has heard is not told again */
	nomad__sub_cancel(sub);
	nomad__sub_cancel(sub_late);
	emit(task, 102);
	sub = nomad__events_subscribe(plugin, tell, &t);
	wait_until(told_n(&t) == 67);
	assert_string_equal(t.last, "web|event 102|k|v");
	nomad__sub_cancel(sub);
	emit(task, 103); /* freed with the plugin */
	nomad__task_unref(task);
	nomad__plugin_free(plugin);
}

/* One who comes and goes at once takes nothing away. */
static void test_events_kept_for_who_stays(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	struct told gone = { .lock = PTHREAD_MUTEX_INITIALIZER }, t = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct nomad__sub *sub;
	struct nomad_task *task = a_task(plugin);
	int total = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		emit(task, i);
		nomad__sub_cancel(nomad__events_subscribe(plugin, tell, &gone));
		if (i % 20 == 19) {
			sub = nomad__events_subscribe(plugin, tell, &t);
			total = i + 1;
			wait_until(told_n(&gone) + told_n(&t) == total);
			nomad__sub_cancel(sub);
		}
	}
	nomad__task_unref(task);
	nomad__plugin_free(plugin);
}

MAIN("fingerprint", T(test_order), T(test_checks), T(test_shared), T(test_stream), T(test_init_fails),
     T(test_event_stream), T(test_events_kept_for_who_stays))
