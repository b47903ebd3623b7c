/* SPDX-License-Identifier: MPL-2.0
 *
 * Calls and their queues, with a table of methods of the test's own. */
#include "wire/testing.h"

#include "wire/inner.h"

static int no_start(struct nomad_task *task, struct nomad_error **err)
{
	(void)task;
	return nomad_error_set(err, ENOSYS, "nothing starts here");
}

static void no_fingerprint(struct nomad_plugin *p, struct nomad_fingerprint *fp)
{
	(void)p;
	(void)fp;
}

static const struct nomad_schema no_options = { .size = 1 };
static const struct nomad_driver driver = {
	.name = "fake", .version = "0.1.0", .task_schema = &no_options, .start = no_start, .fingerprint = no_fingerprint
};

/* ---- Methods: the test answers the call that its handler kept ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct nomad__call *kept;
static unsigned drops, messages, drains;
static size_t queued_at_drain;
static bool more_goes_on; /* atomic */

static void add(unsigned *counter)
{
	pthread_mutex_lock(&lock);
	(*counter)++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void wait_for(const unsigned *counter, unsigned value)
{
	pthread_mutex_lock(&lock);
	while (*counter < value)
		pthread_cond_wait(&changed, &lock);
	assert_int_equal(*counter, value);
	pthread_mutex_unlock(&lock);
}

static void drop(struct nomad__call *call, void *data)
{
	(void)call;
	add(data);
}

static void keep(struct nomad__call *call, const ProtobufCMessage *request)
{
	assert_non_null(request);
	assert_true(nomad__call_attach(call, drop, &drops));
	pthread_mutex_lock(&lock);
	kept = nomad__call_ref(call);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static bool more(struct nomad__call *call, const ProtobufCMessage *request)
{
	if (!request)
		nomad__call_finish(call);
	add(&messages);
	return __atomic_load_n(&more_goes_on, __ATOMIC_SEQ_CST);
}

static const struct nomad__method methods[] = {
	{ "/test/Unary", NOMAD__UNARY, .request = &pb__driver_task_event__descriptor, .handle = keep },
	{ "/test/Blocking", NOMAD__UNARY, .request = &pb__empty__descriptor, .handle = keep, .blocks = true },
	{ "/test/Stream", NOMAD__STREAM, .request = &pb__empty__descriptor, .handle = keep },
	{ "/test/Bidi", NOMAD__BIDI, .request = &pb__empty__descriptor, .handle = keep, .more = more },
	{ "/test/Quiet", NOMAD__BIDI, .request = &pb__empty__descriptor, .handle = keep, .more = more,
	  .may_be_empty = true },
};

static int set_up(void **state)
{
	(void)state;
	kept = NULL;
	drops = messages = drains = 0;
	serve(&driver, methods, NOMAD_ARRAY_LEN(methods));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (kept)
		nomad__call_unref(kept);
	unserve();
	return 0;
}

static void open_kept(struct rpc *rpc, const char *path, bool last)
{
	Pb__Empty empty = PB__EMPTY__INIT;

	rpc_open(rpc, path);
	rpc_send(rpc, &empty, last);
	pthread_mutex_lock(&lock);
	while (!kept)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* Sends a message of `size` bytes that begins with `number`. */
static size_t send_number(int number, size_t size, enum nomad__send how)
{
	NOMAD_AUTO_FREE char *text = malloc(size + 1);
	Pb__DriverTaskEvent event = PB__DRIVER_TASK_EVENT__INIT;

	assert_non_null(text);
	memset(text, 'x', size);
	text[size] = '\0';
	text[sprintf(text, "%d", number)] = ' ';
	event.message = text;
	return nomad__call_send(kept, &event.base, how);
}

static int receive_number(struct rpc *rpc)
{
	Pb__DriverTaskEvent *event = rpc_receive(rpc, &pb__driver_task_event__descriptor);
	int number = event ? atoi(event->message) : -1;

	if (event)
		nomad__message_free(&event->base);
	return number;
}

static size_t queued_bytes(struct nomad__call *call, size_t *ret_count)
{
	size_t bytes;

	pthread_mutex_lock(&call->lock);
	bytes = call->queued_bytes;
	if (ret_count)
		*ret_count = call->queued;
	pthread_mutex_unlock(&call->lock);
	return bytes;
}

/* ---- Requests ---- */

static void wrong_requests_are_refused(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	char *huge = calloc(1, NOMAD__MESSAGE_MAX_SIZE + 1);
	struct rpc rpc;

	(void)state;
	assert_non_null(huge);
	assert_status(UNIMPLEMENTED, unary("/test/NoSuch", &empty, &pb__empty__descriptor, NULL, NULL));
	rpc_open(&rpc, "/test/Unary");
	assert_true(rpc_send_for(&rpc, "\x0a\xff\xff\xff\xff", 5, true, PATIENCE_MS));
	assert_status(INVALID_ARGUMENT, rpc_status(&rpc));
	assert_non_null(strstr(rpc.text, "DriverTaskEvent"));
	rpc_close(&rpc);
	rpc_open(&rpc, "/test/Unary");
	rpc_half_close(&rpc);
	assert_status(INVALID_ARGUMENT, rpc_status(&rpc));
	rpc_close(&rpc);
	rpc_open(&rpc, "/test/Unary");
	(void)rpc_send_for(&rpc, huge, NOMAD__MESSAGE_MAX_SIZE + 1, true, PATIENCE_MS);
	free(huge);
	assert_status(RESOURCE_EXHAUSTED, rpc_status(&rpc));
	rpc_close(&rpc);
	assert_null(kept);
}

static void a_stream_may_end_without_a_message(void **state)
{
	struct rpc rpc;

	(void)state;
	rpc_open(&rpc, "/test/Quiet");
	rpc_half_close(&rpc);
	assert_status(OK, rpc_status(&rpc));
	rpc_close(&rpc);
}

static void input_pauses_until_it_is_wanted(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	struct rpc rpc;

	(void)state;
	__atomic_store_n(&more_goes_on, false, __ATOMIC_SEQ_CST);
	open_kept(&rpc, "/test/Bidi", false);
	rpc_send(&rpc, &empty, false);
	rpc_send(&rpc, &empty, false);
	wait_for(&messages, 1);
	usleep(50000);
	wait_for(&messages, 1);
	__atomic_store_n(&more_goes_on, true, __ATOMIC_SEQ_CST);
	nomad__call_receive(kept);
	wait_for(&messages, 2);
	rpc_half_close(&rpc);
	assert_status(OK, rpc_status(&rpc));
	wait_for(&messages, 3);
	rpc_close(&rpc);
}

/* ---- Answers ---- */

static void only_the_first_answer_counts(void **state)
{
	Pb__Empty empty = PB__EMPTY__INIT;
	NOMAD_AUTO_ERROR struct nomad_error *err = NULL;
	struct rpc rpc;

	(void)state;
	open_kept(&rpc, "/test/Blocking", true);
	nomad__call_reply(kept, &empty.base);
	nomad_error_set(&err, EIO, "too late");
	nomad__call_fail(kept, err);
	nomad__call_reply(kept, &empty.base);
	nomad__message_free(rpc_receive(&rpc, &pb__empty__descriptor));
	assert_status(OK, rpc_status(&rpc));
	wait_for(&drops, 1);
	rpc_close(&rpc);
}

static void a_call_that_the_client_left_is_dropped_once(void **state)
{
	struct rpc rpc;

	(void)state;
	open_kept(&rpc, "/test/Stream", true);
	assert_int_equal(nomad__server_idle_ns(server), 0);
	rpc_close(&rpc);
	wait_for(&drops, 1);
	assert_false(nomad__call_attach(kept, drop, &drops));
	assert_int_equal(send_number(1, 100, NOMAD__SEND_ALL), 0);
	nomad__call_finish(kept);
	nomad__call_unref(NOMAD_TAKE_PTR(kept));
	wait_for(&drops, 1);
	while (nomad__server_idle_ns(server) == 0)
		usleep(1000);
}

/* ---- Queues: while the client does not read, gRPC's flow control stops the
 * server after at most some megabytes ---- */

enum { HIGH = 1 << 20, BLOCK = 32 << 10 };

static void drained(struct nomad__call *call)
{
	queued_at_drain = queued_bytes(call, NULL);
	add(&drains);
}

/* Sends `from` and so on until `size` bytes wait; returns the next number. */
static int fill(int from, size_t size)
{
	while (send_number(from++, BLOCK, NOMAD__SEND_ALL) < size)
		;
	return from;
}

static void a_full_queue_drains_to_half_before_more_is_wanted(void **state)
{
	struct rpc rpc;
	int sent = 0, got = 0;

	(void)state;
	open_kept(&rpc, "/test/Stream", true);
	nomad__call_on_drained(kept, HIGH, drained);
	for (unsigned round = 1; round <= 2; round++) {
		sent = fill(sent, HIGH);
		wait_for(&drains, round - 1);
		while (got < sent)
			assert_int_equal(receive_number(&rpc), got++);
		wait_for(&drains, round);
		assert_in_range(queued_at_drain, HIGH / 2 - 2 * BLOCK, HIGH / 2);
	}
	/* A queue that never was full does not drain. */
	sent = fill(sent, HIGH / 2 + 2 * BLOCK);
	while (got < sent)
		assert_int_equal(receive_number(&rpc), got++);
	nomad__call_finish(kept);
	assert_status(OK, rpc_status(&rpc));
	wait_for(&drains, 2);
	rpc_close(&rpc);
}

static void a_slow_reader_gets_the_latest(void **state)
{
	enum { TOTAL = 200 };
	struct rpc rpc;
	int n = 0, number = 0;

	(void)state;
	open_kept(&rpc, "/test/Stream", true);
	for (int i = 1; i <= TOTAL; i++)
		send_number(i, 200 << 10, NOMAD__SEND_LATEST);
	assert_true(queued_bytes(kept, NULL) <= 2 * (201 << 10)); /* one under way, one that waits */
	for (; number < TOTAL; n++) {
		int next = receive_number(&rpc);

		assert_true(next > number);
		number = next;
	}
	assert_true(n < TOTAL);
	rpc_close(&rpc);
}

static void a_bounded_queue_drops_the_oldest(void **state)
{
	enum { TOTAL = 8000, SIZE = 4096 };
	size_t queued;
	int n = 0, number = 0;
	struct rpc rpc;

	(void)state;
	open_kept(&rpc, "/test/Stream", true);
	for (int i = 1; i <= TOTAL; i++)
		send_number(i, SIZE, NOMAD__SEND_BOUNDED);
	(void)queued_bytes(kept, &queued);
	assert_in_range(queued, NOMAD__SEND_BOUND, NOMAD__SEND_BOUND + 1);
	for (; number < TOTAL; n++) {
		int next = receive_number(&rpc);

		assert_true(next > number);
		if (next > TOTAL - NOMAD__SEND_BOUND + 1)
			assert_int_equal(next, number + 1);
		number = next;
	}
	assert_in_range(n, NOMAD__SEND_BOUND, TOTAL - 1);
	rpc_close(&rpc);
}

static void what_is_sent_soon_comes_soon(void **state)
{
	struct rpc rpc;
	int number = 1;

	(void)state;
	open_kept(&rpc, "/test/Stream", true);
	send_number(1, 100, NOMAD__SEND_SOON);
	assert_int_equal(receive_number(&rpc), 1);
	for (int i = 2; i <= 100; i++)
		send_number(i, 100, NOMAD__SEND_SOON);
	while (number < 100) {
		int next = receive_number(&rpc);

		assert_true(next > number);
		number = next;
	}
	rpc_close(&rpc);
}

/* ---- The end ---- */

static void *stop(void *ret_stopped)
{
	*(bool *)ret_stopped = nomad__server_stop(server, PATIENCE_MS * INT64_C(1000000));
	return NULL;
}

static void a_stop_ends_open_calls_and_says_why(void **state)
{
	bool stopped = false;
	pthread_t thread;
	struct rpc rpc;

	(void)state;
	open_kept(&rpc, "/test/Stream", true);
	send_number(7, 100, NOMAD__SEND_ALL);
	assert_int_equal(pthread_create(&thread, NULL, stop, &stopped), 0);
	assert_int_equal(receive_number(&rpc), 7);
	assert_status(UNAVAILABLE, rpc_status(&rpc));
	assert_string_equal(rpc.text, "the plugin is shutting down");
	rpc_close(&rpc);
	wait_for(&drops, 1);
	nomad__call_unref(NOMAD_TAKE_PTR(kept)); /* it holds up the stop */
	pthread_join(thread, NULL);
	assert_true(stopped);
	unserve_stopped();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(wrong_requests_are_refused),
		TEST(a_stream_may_end_without_a_message),
		TEST(input_pauses_until_it_is_wanted),
		TEST(only_the_first_answer_counts),
		TEST(a_call_that_the_client_left_is_dropped_once),
		TEST(a_full_queue_drains_to_half_before_more_is_wanted),
		TEST(a_slow_reader_gets_the_latest),
		TEST(a_bounded_queue_drops_the_oldest),
		TEST(what_is_sent_soon_comes_soon),
		TEST(a_stop_ends_open_calls_and_says_why),
	};
	int r;

	grpc_init();
	r = cmocka_run_group_tests_name("server", tests, NULL, NULL);
	grpc_shutdown_blocking();
	return r;
}
