/* SPDX-License-Identifier: MPL-2.0
 *
 * What the program of a task reports of its payload's end. */
#include <sys/socket.h>

#include "fuzz.h"
#include "supervisor/program/channels.c"

int fail(int errnum, const char *act, const char *object)
{
	(void)act;
	(void)object;
	return -errnum;
}

int64_t spec_num(const char *key, int64_t otherwise)
{
	return strcmp(key, "exit_channel") == 0 ? 1 : otherwise;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int code = 300, sig = 300;

	fuzz_must(channels_open() >= 0);
	if (size && size < 65536)
		(void)send(exit_channel.theirs, data, size, MSG_DONTWAIT);
	channel_exit_read(&code, &sig);
	fuzz_must((code >= 0 && code < 65536 && sig >= 0 && sig < NOMAD__NSIG) || (code == 300 && sig == 300));
	close(exit_channel.ours);
	channels_given();
	return 0;
}
