/* SPDX-License-Identifier: MPL-2.0
 *
 * run.c: pot-run, carried inside the driver's executable.  Each task has a copy of its own in its state directory, so
 * that it goes with the task, and a newer driver does not change it under one that starts. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nomad/base.h"
#include "nomad/error.h"

__asm__(".section .rodata\n"
	".globl pot_run_begin\n"
	".globl pot_run_end\n"
	"pot_run_begin:\n"
	".incbin \"" POT_RUN_FILE "\"\n"
	"pot_run_end:\n"
	".byte 0\n"
	".previous\n");

extern const unsigned char pot_run_begin[], pot_run_end[];

int pot_run_write(const char *state_dir, char **ret_dir, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *dir = nomad_strdupf("%s/run", state_dir);
	NOMAD_AUTO_FREE char *file = nomad_strdupf("%s/run/run", state_dir);
	NOMAD_AUTO_FD int fd = -1;
	int r = 0;

	if (!dir || !file)
		return nomad_error_errno(err, ENOMEM, "write pot-run");
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return nomad_error_errno(err, errno, "create '%s'", dir);
	/* Not the file of a start that was cut: it may be running. */
	(void)unlink(file);
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0755);
	r = fd < 0 ? -errno : nomad_write_all(fd, pot_run_begin, (size_t)(pot_run_end - pot_run_begin));
	if (r == 0 && fchmod(fd, 0755) < 0)
		r = -errno;
	if (r < 0)
		return nomad_error_errno(err, -r, "write '%s'", file);
	*ret_dir = NOMAD_TAKE_PTR(dir);
	return 0;
}
