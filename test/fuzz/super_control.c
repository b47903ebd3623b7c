/* SPDX-License-Identifier: MPL-2.0
 *
 * Control messages to a supervisor: "key=value" strings, each closed by a zero, an empty one between two messages.
 * The first byte is the state of the task. */
#include "fuzz.h"
#include "supervisor/program/orders.c"

static enum super_state state;
static struct task the_task = { .main.pid = 4242, .leader.pid = 4243 };

enum super_state state_now(void)
{
	return state;
}
void state_post(enum super_event event)
{
	fuzz_must(event == EV_STOP || event == EV_KILL);
}
int64_t spec_num(const char *key, int64_t otherwise)
{
	(void)key;
	return otherwise;
}
const struct task *task(void)
{
	return &the_task;
}
const char *notify_status(void)
{
	return "ready";
}
int clients_pollfd(int slot)
{
	(void)slot;
	return -1;
}
unsigned clients_id(int slot)
{
	return (unsigned)slot;
}
void clients_drop(int slot)
{
	(void)slot;
}
void end_release(void)
{
	fuzz_must(state == ST_OVER);
}
void clients_send(unsigned id, const struct nomad__fields *message, const int *fds, int n_fds)
{
	fuzz_must(id && !message->full && nomad__fields_get(message->buf, message->used, "op") && !fds && !n_fds);
}
void clients_answer(const struct nomad__fields *message)
{
	fuzz_must(!message->full);
}
void timer_set(enum super_timer timer, int64_t delay_ns)
{
	fuzz_must(timer == TIMER_STOP && delay_ns >= 0);
}
void timer_sooner(enum super_timer timer, int64_t delay_ns)
{
	fuzz_must(timer == TIMER_STOP && delay_ns >= 0);
}
void task_stop(int signal)
{
	fuzz_must(signal > 0 && signal < NOMAD__NSIG);
}
void task_signal(int signal)
{
	(void)signal; /* it checks */
}
void exec_start(unsigned client, const char *message, size_t size, const int *fds)
{
	(void)fds;
	fuzz_must(client && nomad__fields_get(message, size, "op"));
}
void exec_resize(unsigned client, const char *message, size_t size)
{
	(void)client;
	(void)message;
	(void)size;
}
void exec_signal(unsigned client, int64_t id, int signal)
{
	(void)client;
	(void)id;
	(void)signal; /* it checks */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int none[NOMAD__MAX_FDS] = { -1, -1, -1, -1 };
	struct fuzz_input in = { data, size };

	state = fuzz_byte(&in) % ST_MAX;
	orders_init();
	while (in.size) {
		const uint8_t *end = memmem(in.data, in.size, "\0\0", 2);
		uint8_t *message = fuzz_bytes(&in, end ? (size_t)(end - in.data) + 1 : in.size, &size);

		if (end)
			(void)fuzz_byte(&in);
		obey(1, (const char *)message, size < MESSAGE_SIZE ? size : MESSAGE_SIZE, none);
		orders_stop();
		orders_stop_sooner();
		free(message);
	}
	return 0;
}
