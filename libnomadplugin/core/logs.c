/* SPDX-License-Identifier: MPL-2.0
 *
 * Nomad's logmon opens both pipes to read and waits for a writer.  Without a
 * writer it times out at the task's end, and the agent logs a warning for
 * each pipe.  (Nomad's client/logmon; with NOMAD_OWN_LOGS there is no logmon.) */
#include "core/logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/task.h"

void nomad__logs_end(const struct nomad_task_info *info)
{
	const char *const paths[] = { info->stdout_path, info->stderr_path };

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(paths); i++) {
		struct stat st;
		int fd;

		/* Tasks of the allocation may write to the directory: to open a device could do something. */
		if (!paths[i] || lstat(paths[i], &st) < 0 || !S_ISFIFO(st.st_mode))
			continue;
		fd = open(paths[i], O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
	}
}
