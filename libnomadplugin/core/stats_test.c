/* SPDX-License-Identifier: MPL-2.0 */
#include "core/testing.h"

struct samples {
	pthread_mutex_t lock;
	int n, gone;
	double ticks;
	uint64_t rss;
	unsigned measured;
	int64_t first_ns, last_ns;
};

#define SAMPLES_INIT                                                                                                   \
	{                                                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                                      \
	}

static void sample(void *ud, const struct nomad__stats_view *view)
{
	struct samples *s = ud;

	pthread_mutex_lock(&s->lock);
	assert_int_equal(s->gone, 0); /* nothing after the last */
	if (view) {
		s->n++;
		s->ticks = view->ticks_per_percent * view->stats->cpu_percent;
		s->rss = view->stats->rss_bytes;
		s->measured = view->stats->measured;
		s->last_ns = nomad_monotonic_ns();
		if (!s->first_ns)
			s->first_ns = s->last_ns;
	} else {
		s->gone++;
	}
	pthread_mutex_unlock(&s->lock);
}

static int samples_n(struct samples *s)
{
	int n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static uint64_t samples_rss(struct samples *s)
{
	uint64_t rss;

	pthread_mutex_lock(&s->lock);
	rss = s->rss;
	pthread_mutex_unlock(&s->lock);
	return rss;
}

static int samples_gone(struct samples *s)
{
	int gone;

	pthread_mutex_lock(&s->lock);
	gone = s->gone;
	pthread_mutex_unlock(&s->lock);
	return gone;
}

static void test_supervised(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct samples fast = SAMPLES_INIT, slow = SAMPLES_INIT, after = SAMPLES_INIT;
	struct nomad__sub *subs[3];

	(void)state;
	must_start(plugin, id, "{\"script\": \"while :; do :; done\"}", NULL);
	/* 1 ns is clamped: at least 100 ms lie between two. */
	assert_int_equal(nomad__stats_subscribe(plugin, id, 1, sample, &fast, &subs[0], NULL), 0);
	assert_int_equal(nomad__stats_subscribe(plugin, id, INT64_MAX, sample, &slow, &subs[1], NULL), 0);
	wait_until(samples_n(&fast) >= 4);
	assert_true(fast.last_ns - fast.first_ns >= 3 * INT64_C(90000000));
	assert_int_equal(samples_n(&slow), 1); /* the first at once */
	assert_true(fast.measured & NOMAD_STAT_CPU);
	assert_true(fast.measured & NOMAD_STAT_RSS);
	wait_until(samples_rss(&fast) > 0); /* the kernel sums up a group's pages every two seconds */
	assert_int_equal(stop_task(plugin, id, 0, ""), 0);
	wait_until(samples_gone(&fast) == 1 && samples_gone(&slow) == 1);
	/* A later subscriber gets the end at once. */
	assert_int_equal(nomad__stats_subscribe(plugin, id, 0, sample, &after, &subs[2], NULL), 0);
	wait_until(samples_gone(&after) == 1);
	assert_int_equal(after.n, 0);
	for (int i = 0; i < 3; i++)
		nomad__sub_cancel(subs[i]);
	must_destroy(plugin, id);
	nomad__plugin_free(plugin);
}

static void test_of_the_driver(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&remote_driver);
	const char *id = id_of("vm/1");
	struct samples s = SAMPLES_INIT;
	struct nomad__sub *sub;

	(void)state;
	must_start(plugin, id, "{\"remote\": true}", NULL);
	assert_int_equal(nomad__stats_subscribe(plugin, id, -5, sample, &s, &sub, NULL), 0);
	wait_until(samples_n(&s) >= 3);
	/* Half a core of four that make 8000 MHz. */
	assert_true(s.ticks > 999 && s.ticks < 1001);
	assert_int_equal(s.rss, 4096);
	must_destroy(plugin, id);
	assert_int_equal(samples_gone(&s), 1);
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin);
}

/* Without statistics the stream is silent until the task is gone. */
static void test_without(void **state)
{
	struct nomad_driver driver = remote_driver;
	struct nomad_plugin *plugin;
	const char *id = id_of("vm/1");
	struct samples s = SAMPLES_INIT;
	struct nomad__sub *sub;

	(void)state;
	driver.stats = NULL;
	plugin = plugin_up(&driver);
	must_start(plugin, id, "{\"remote\": true}", NULL);
	assert_int_equal(nomad__stats_subscribe(plugin, id, 1, sample, &s, &sub, NULL), 0);
	usleep(300000);
	assert_int_equal(samples_n(&s), 0);
	assert_int_equal(samples_gone(&s), 0);
	must_destroy(plugin, id);
	assert_int_equal(samples_gone(&s), 1);
	nomad__sub_cancel(sub);
	nomad__plugin_free(plugin);
}

static void on_wait_counted(void *ud, int r, const struct nomad_exit *result, const struct nomad_error *err)
{
	(void)r;
	(void)result;
	(void)err;
	__atomic_add_fetch((int *)ud, 1, __ATOMIC_SEQ_CST);
}

/* 10,000 come and go: of statistics and of waits; nothing stays. */
static void test_come_and_go(void **state)
{
	struct nomad_plugin *plugin = plugin_up(&script_driver);
	const char *id = id_of("web/1");
	struct samples s = SAMPLES_INIT;
	struct nomad__sub *sub, *kept[50];
	struct nomad_task *task;
	int calls = 0;

	(void)state;
	must_start(plugin, id, "{}", NULL);
	for (int i = 0; i < 10000; i++) {
		if (i % 2)
			assert_int_equal(nomad__stats_subscribe(plugin, id, 1, sample, &s, &sub, NULL), 0);
		else
			assert_int_equal(nomad__task_wait(plugin, id, on_wait_counted, &calls, &sub, NULL), 0);
		nomad__sub_cancel(sub);
	}
	task = nomad__task_find(plugin, id);
	wait_until(__atomic_load_n(&task->refs, __ATOMIC_SEQ_CST) == 2);
	nomad__task_unref(task);
	assert_int_equal(calls, 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(nomad__task_wait(plugin, id, on_wait_counted, &calls, &kept[i], NULL), 0);
	must_destroy(plugin, id);
	assert_int_equal(__atomic_load_n(&calls, __ATOMIC_SEQ_CST), 50);
	for (int i = 0; i < 50; i++)
		nomad__sub_cancel(kept[i]);
	nomad__plugin_free(plugin);
}

MAIN("stats", T(test_supervised), T(test_of_the_driver), T(test_without), T(test_come_and_go))
