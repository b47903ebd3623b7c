/* SPDX-License-Identifier: MPL-2.0
 *
 * nspawn-init, carried inside the driver's executable and written out once
 * into the plugin's state directory, under a name that its content gives: a
 * newer driver writes another file, and containers keep the one they have. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

__asm__(".section .rodata\n"
	".globl nspawn_init_begin\n"
	".globl nspawn_init_end\n"
	"nspawn_init_begin:\n"
	".incbin \"" NSPAWN_INIT_FILE "\"\n"
	"nspawn_init_end:\n"
	".byte 0\n"
	".previous\n");

extern const unsigned char nspawn_init_begin[], nspawn_init_end[];

int nspawn_init_write(const char *dir, char **ret_path, struct nomad_error **err)
{
	size_t size = (size_t)(nspawn_init_end - nspawn_init_begin);
	unsigned long long hash = nomad_hash64(nspawn_init_begin, size);
	NOMAD_AUTO_FREE char *path = NULL, *temporary = NULL;
	struct stat st;
	int fd, r;

	path = nomad_strdupf("%s/nspawn-init-%016llx", dir, hash);
	temporary = nomad_strdupf("%s/.nspawn-init-%016llx.%d", dir, hash, (int)getpid());
	if (!path || !temporary)
		return nomad_error_errno(err, ENOMEM, "write nspawn-init");
	if (stat(path, &st) < 0 || (size_t)st.st_size != size) {
		fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0755);
		if (fd < 0)
			return nomad_error_errno(err, errno, "create '%s'", temporary);
		r = nomad_write_all(fd, nspawn_init_begin, size);
		if (r >= 0 && fchmod(fd, 0755) < 0)
			r = -errno;
		close(fd);
		if (r >= 0 && rename(temporary, path) < 0)
			r = -errno;
		if (r < 0) {
			(void)unlink(temporary);
			return nomad_error_errno(err, -r, "write '%s'", path);
		}
	}
	*ret_path = NOMAD_TAKE_PTR(path);
	return 0;
}
