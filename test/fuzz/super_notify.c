/* SPDX-License-Identifier: MPL-2.0
 *
 * A datagram of sd_notify(3).  Process n is a child of process n / 2; the supervisor is 2, the task's process 5. */
#include <errno.h>

#include "fuzz.h"
#include "os/process.h"

static int fuzz_parent(int pid)
{
	return pid < 1000 ? pid / 2 : -ESRCH;
}

#define getpid() 2
#define nomad__process_parent fuzz_parent
#include "supervisor/program/notify.c"

static const struct task the_task = { .main.pid = 5 };

void task_lead(int pid)
{
	while (pid > 2)
		pid /= 2;
	fuzz_must(pid == 2);
}
/* clang-format off */
const struct task *task(void) { return &the_task; }
const char *spec_get(const char *key) { return strcmp(key, "dir") == 0 ? "/d" : "X_NSPAWN_LEADER_PID"; }
int fail(int errnum, const char *act, const char *object) { (void)act; (void)object; return -errnum; }
int directory(void) { return -1; }
void spawn_read_status(void) {}
void channel_begin(void) {}
bool channel_end(void) { return false; }
void state_post(enum super_event event) { (void)event; }
bool clients_any(void) { return true; }
void clients_notice(const char *text, int64_t lost) { fuzz_must(text && lost == 0); }
/* clang-format on */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char *message = fuzz_text(&in, -1, NULL);

	(void)handle(message);
	fuzz_must(strlen(notify_status()) < sizeof(status));
	free(message);
	return 0;
}
