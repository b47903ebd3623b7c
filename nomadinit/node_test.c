/* SPDX-License-Identifier: MPL-2.0 */
/* The small parts of the node: shutdown's table, back-off, slots, archives, verity, names, mounts, df, log. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "blockdev.h"
#include "df.h"
#include "hardware.h"
#include "identity.h"
#include "kmsg.h"
#include "log.h"
#include "loop.h"
#include "mounts.h"
#include "node.h"
#include "service.h"
#include "shutdown.h"
#include "state.h"
#include "slot.h"
#include "update.h"
#include "util.h"
#include "verity.h"

static void shutdown_always_comes_to_an_end(void **state)
{
	enum shutdown_state s;
	int i;

	(void)state;
	/* every cell is within the table, never goes back, and time-outs alone lead to the end */
	for (s = SHUTDOWN_NONE; s < SHUTDOWN_STATE_MAX; s++)
		for (i = 0; i < SHUTDOWN_EVENT_MAX; i++)
			assert_in_range(shutdown_next(s, (enum shutdown_event)i), s, SHUTDOWN_DONE);
	s = shutdown_next(SHUTDOWN_NONE, SHUTDOWN_REQUEST);
	assert_int_equal(s, SHUTDOWN_AGENT);
	for (i = 0; i < 3; i++)
		s = shutdown_next(s, SHUTDOWN_TIMEOUT);
	assert_int_equal(s, SHUTDOWN_DONE);
	assert_int_equal(shutdown_next(SHUTDOWN_NONE, SHUTDOWN_NO_CHILDREN), SHUTDOWN_NONE);
	assert_int_equal(shutdown_next(SHUTDOWN_AGENT, SHUTDOWN_NO_CHILDREN), SHUTDOWN_AGENT);
	assert_int_equal(shutdown_next(SHUTDOWN_TERM, SHUTDOWN_NO_CHILDREN), SHUTDOWN_DONE);
}

static void back_off_doubles_to_a_limit_and_forgets(void **state)
{
	uint64_t w = 0;
	int i;

	(void)state;
	w = service_backoff(w, 0, 1000, 60000, 30000);
	assert_int_equal(w, 1000);
	w = service_backoff(w, 0, 1000, 60000, 30000);
	assert_int_equal(w, 2000);
	for (i = 0; i < 20; i++)
		w = service_backoff(w, 0, 1000, 60000, 30000);
	assert_int_equal(w, 60000);
	assert_int_equal(service_backoff(w, 30000, 1000, 60000, 30000), 1000);
}

static void exit_statuses_are_explained(void **state)
{
	char why[128];

	(void)state;
	service_explain(127 << 8, why, sizeof(why));
	assert_non_null(strstr(why, "missing"));
	service_explain(1 << 8, why, sizeof(why));
	assert_string_equal(why, "exit status 1");
	service_explain(SIGKILL, why, sizeof(why));
	assert_non_null(strstr(why, "killed by signal 9"));
}

static void slots_say_what_is_in_them(void **state)
{
	static const char good[] = "nomadinit-slot 1\nroothash=00ff\nhashoffset=8192\nversion=1.2\n";
	struct slot s;

	(void)state;
	assert_int_equal(slot_parse(good, sizeof(good), &s), 0);
	assert_string_equal(s.root_hash, "00ff");
	assert_int_equal(s.hash_offset, 8192);
	assert_string_equal(s.version, "1.2");
	assert_int_equal(slot_parse("", 0, &s), -EINVAL);
	assert_int_equal(slot_parse("nomadinit-slot 2\nx", 18, &s), -EINVAL);
	assert_int_equal(slot_parse("nomadinit-slot 1\nroothash=xyz\n", 30, &s), -EINVAL);
	assert_int_equal(slot_parse("nomadinit-slot 1\nhashoffset=17\n", 31, &s), -EINVAL);
}

static void tar_headers_are_checked(void **state)
{
	uint8_t b[512] = "root.img";
	struct tar_member m;
	unsigned int sum = 0, i;

	(void)state;
	assert_int_equal(update_parse_tar((const uint8_t[512]){ 0 }, &m), 1);
	memcpy(b + 124, "00000000123", 12);
	memset(b + 148, ' ', 8);
	for (i = 0; i < 512; i++)
		sum += b[i];
	snprintf((char *)b + 148, 8, "%06o", sum);
	assert_int_equal(update_parse_tar(b, &m), 0);
	assert_string_equal(m.name, "root.img");
	assert_int_equal(m.size, 0123);
	b[0]++;
	assert_int_equal(update_parse_tar(b, &m), -EINVAL);
}

static void verity_superblocks_are_checked(void **state)
{
	uint8_t sb[512] = "verity";
	struct verity v;
	char table[256];

	(void)state;
	sb[8] = sb[12] = 1;
	memcpy(sb + 32, "sha256", 7);
	sb[65] = sb[69] = 0x10; /* 4096 */
	sb[72] = 5;
	sb[80] = 2;
	sb[88] = 0xab;
	sb[89] = 0x01;
	assert_int_equal(verity_parse(sb, sizeof(sb), &v), 0);
	assert_int_equal(verity_table(&v, 254, 3, 20480, "00ff", table, sizeof(table)), 0);
	assert_string_equal(table, "1 254:3 254:3 4096 4096 5 6 sha256 00ff ab01 1 panic_on_corruption");
	assert_int_equal(verity_table(&v, 254, 3, 20480, "00ff; x", table, sizeof(table)), -EINVAL);
	assert_int_equal(verity_table(&v, 254, 3, 20480, "00ff", table, 20), -ENOSPC);
	assert_int_equal(verity_parse(sb, 100, &v), -EINVAL);
	sb[81] = 2; /* a salt longer than there is room */
	assert_int_equal(verity_parse(sb, sizeof(sb), &v), -EINVAL);
	sb[81] = 0;
	sb[33] = ' ';
	assert_int_equal(verity_parse(sb, sizeof(sb), &v), -EINVAL);
}

static void firmware_ids_that_mean_nothing_are_refused(void **state)
{
	char id[33];

	(void)state;
	assert_true(identity_from_uuid("4C4C4544-0042-3510-8052-B4C04F4A5931", id));
	assert_string_equal(id, "4c4c4544004235108052b4c04f4a5931");
	assert_false(identity_from_uuid("00000000-0000-0000-0000-000000000000", id));
	assert_false(identity_from_uuid("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", id));
	assert_false(identity_from_uuid("03060708-090a-0b0c-0d0e-0f1011121314x", id));
	assert_false(identity_from_uuid("Not Settable", id));
	assert_false(identity_from_uuid("", id));
}

static void mount_lines_are_parsed(void **state)
{
	char line[] = "36 35 98:0 / /mnt/a\\040b rw,noatime master:1 - ext4 /dev/x rw", *point, *type, *source;
	char bad[][32] = { "", "1 2", "1 2 3 / /x rw", "1 2 3 / /x rw - ext4" };
	size_t i;

	(void)state;
	assert_true(mounts_parse_line(line, &point, &type, &source));
	assert_string_equal(point, "/mnt/a b");
	assert_string_equal(type, "ext4");
	assert_string_equal(source, "/dev/x");
	for (i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_false(mounts_parse_line(bad[i], &point, &type, &source));
}

static void df_finds_the_nearest_mount(void **state)
{
	char text[] = "1 0 8:1 / / rw - ext4 /dev/root rw\n2 1 8:2 / /state rw - ext4 /dev/old rw\n"
		      "3 1 8:3 / /state rw - ext4 /dev/new rw\n4 1 8:4 / /stat rw - tmpfs tmpfs rw\n";
	char *source, *point;

	(void)state;
	assert_true(df_find(text, "/state/nomad", &source, &point));
	assert_string_equal(source, "/dev/new");
	assert_string_equal(point, "/state");
}

static void sysctl_stays_below_its_root(void **state)
{
	char dir[] = "/tmp/nomadinit-sysctl.XXXXXX", path[64], buf[16];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/net", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/net/x", dir);
	assert_int_equal(util_replace_file(path, "0", 1, 0600), 0);
	assert_int_equal(node_sysctl(dir, "net.x", "1"), 0);
	assert_int_equal(util_read_file(path, buf, sizeof(buf)), 1);
	assert_string_equal(buf, "1");
	assert_int_equal(node_sysctl(dir, "net.y", "1"), -ENOENT);
	assert_int_equal(node_sysctl(dir, "..etc.passwd", "1"), -EINVAL);
	assert_int_equal(node_sysctl(dir, "net/x", "1"), -EINVAL);
	assert_int_equal(node_sysctl(dir, "", "1"), -EINVAL);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(dir);
}

static void power_buttons_are_known(void **state)
{
	(void)state;
	assert_true(hardware_is_power_button("Power Button"));
	assert_false(hardware_is_power_button("AT Translated Set 2 keyboard"));
}

static void uevents_are_read(void **state)
{
	static const char event[] = "add@/devices/x\0ACTION=add\0MODALIAS=virtio:d1v2\0SUBSYSTEM=virtio";

	(void)state;
	assert_string_equal(hardware_uevent_get(event, sizeof(event), "MODALIAS"), "virtio:d1v2");
	assert_string_equal(hardware_uevent_get(event, sizeof(event), "SUBSYSTEM"), "virtio");
	assert_null(hardware_uevent_get(event, sizeof(event), "ACT"));
	assert_null(hardware_uevent_get(event, sizeof(event) - 1, "SUBSYSTEM"));
}

static void the_log_ring_keeps_its_limit(void **state)
{
	char dir[] = "/tmp/nomadinit-log.XXXXXX", path[64], old[64];
	struct log_splitter lines = { .len = 0 };
	struct stat a, b;
	int i, null, saved;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(old, sizeof(old), "%s/log.old", dir);
	assert_int_equal(log_ring_open(dir, 20000, "---- boot ----"), 0);
	/* the console is stderr here */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	saved = dup(2);
	dup2(null, 2);
	for (i = 0; i < 2000; i++)
		log_info("line %d", i);
	log_split(&lines, "agent", "two\nli", 6);
	log_split(&lines, "agent", "nes \033[31mred\n", 13);
	log_ring_close();
	dup2(saved, 2);
	close(saved);
	close(null);
	assert_int_equal(stat(path, &a), 0);
	assert_int_equal(stat(old, &b), 0);
	assert_true(a.st_size + b.st_size <= 20000);
	assert_true(b.st_size > 5000);
	{
		char *text;

		assert_int_equal(util_read_alloc(path, 20000, &text, NULL), 0);
		assert_non_null(strstr(text, "line 1999"));
		assert_non_null(strstr(text, "agent: two\n"));
		assert_non_null(strstr(text, "agent: lines ?[31mred\n"));
		free(text);
	}
	unlink(path);
	unlink(old);
	rmdir(dir);
}

static int fired[3];

static void fire(void *data)
{
	fired[(intptr_t)data]++;
}

static void on_fd(void *data)
{
	loop_unwatch((int)(intptr_t)data);
	fired[2]++;
}

static void the_loop_calls_what_is_due(void **state)
{
	struct loop_timer one = { .fn = fire, .data = (void *)0 }, two = { .fn = fire, .data = (void *)1 };
	int fds[2];

	(void)state;
	assert_int_equal(loop_init(), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(loop_watch(fds[0], on_fd, (void *)(intptr_t)fds[0]), 0);
	loop_timer_set(&two, 100000);
	loop_timer_set(&one, 10);
	while (fired[0] == 0)
		assert_int_equal(loop_once(1000), 0);
	assert_int_equal(fired[1], 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	while (fired[2] == 0)
		assert_int_equal(loop_once(1000), 0);
	assert_int_equal(loop_once(0), 0);
	assert_int_equal(fired[2], 1);
	loop_timer_stop(&two);
	assert_false(two.armed);
	close(fds[0]);
	close(fds[1]);
}

static int pair[2][2];

/* Whichever is called first replaces the other, whose event was fetched with its own. */
static void on_either(void *data)
{
	int other = pair[!(intptr_t)data][0];

	fired[2]++;
	loop_unwatch(pair[0][0]);
	loop_unwatch(pair[1][0]);
	assert_int_equal(loop_watch(other, fire, (void *)0), 0);
}

static void an_event_does_not_reach_who_came_after(void **state)
{
	intptr_t i;

	(void)state;
	memset(fired, 0, sizeof(fired));
	assert_int_equal(loop_init(), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(pipe2(pair[i], O_CLOEXEC), 0);
		assert_int_equal(write(pair[i][1], "x", 1), 1);
		assert_int_equal(loop_watch(pair[i][0], on_either, (void *)i), 0);
	}
	assert_int_equal(loop_once(1000), 0);
	assert_int_equal(fired[2], 1);
	assert_int_equal(fired[0], 0);
	assert_int_equal(loop_once(1000), 0);
	assert_int_equal(fired[0], 1);
	for (i = 0; i < 2; i++) {
		close(pair[i][0]);
		close(pair[i][1]);
	}
}

static void file_systems_are_told_apart(void **state)
{
	struct blockdev_label l;
	uint8_t b[4096] = { 0 };
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_true(blockdev_probe(fd, &l) < 0);
	assert_int_equal(util_pwrite_all(fd, b, sizeof(b), 0), 0);
	assert_int_equal(blockdev_probe(fd, &l), 0);
	assert_int_equal(l.fs, FS_BLANK);
	b[100] = 1;
	assert_int_equal(util_pwrite_all(fd, b, sizeof(b), 0), 0);
	assert_int_equal(blockdev_probe(fd, &l), 0);
	assert_int_equal(l.fs, FS_UNKNOWN);
	b[1024 + 56] = 0x53;
	b[1024 + 57] = 0xef;
	b[1024 + 58] = 1;
	memcpy(b + 1024 + 120, "nomadstate", 10);
	assert_int_equal(util_pwrite_all(fd, b, sizeof(b), 0), 0);
	assert_int_equal(blockdev_probe(fd, &l), 0);
	assert_int_equal(l.fs, FS_EXT4);
	assert_string_equal(l.label, "nomadstate");
	assert_false(l.needs_check);
	b[1024 + 96] = 4;
	assert_int_equal(util_pwrite_all(fd, b, sizeof(b), 0), 0);
	assert_int_equal(blockdev_probe(fd, &l), 0);
	assert_true(l.needs_check);
	close(fd);
}

static void a_backup_of_the_superblock_is_found(void **state)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	const uint8_t magic[2] = { 0x53, 0xef }, size[2] = { 2, 0 };

	(void)state;
	assert_true(fd >= 0);
	assert_false(blockdev_has_backup(fd));
	assert_int_equal(util_pwrite_all(fd, magic, 2, 32768 * 4096ull + 56), 0);
	assert_int_equal(ftruncate(fd, 32769 * 4096ull), 0);
	/* A block size that is not what its place says: part of a file, say. */
	assert_false(blockdev_has_backup(fd));
	assert_int_equal(util_pwrite_all(fd, size, 2, 32768 * 4096ull + 24), 0);
	assert_true(blockdev_has_backup(fd));
	close(fd);
}

static void a_file_system_is_only_made_where_none_was(void **state)
{
	static const struct {
		enum blockdev_fs fs;
		bool needs_check, backup, had_state, may_replace;
		enum state_step want;
	} cases[] = {
		{ FS_EXT4, false, true, true, true, STATE_MOUNT },
		{ FS_EXT4, true, true, true, true, STATE_CHECK },
		{ FS_BLANK, false, false, false, false, STATE_MAKE },
		{ FS_BLANK, false, true, false, false, STATE_REPAIR },
		{ FS_UNKNOWN, false, true, true, true, STATE_REPAIR },
		{ FS_BLANK, false, false, true, false, STATE_LOST },
		{ FS_UNKNOWN, false, false, true, false, STATE_LOST },
		{ FS_VFAT, false, false, true, false, STATE_LOST },
		{ FS_BLANK, false, false, true, true, STATE_MAKE },
		{ FS_UNKNOWN, false, false, false, true, STATE_FOREIGN },
		{ FS_VFAT, false, false, false, false, STATE_FOREIGN },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NOMAD_ARRAY_LEN(cases); i++) {
		struct blockdev_label l = { .fs = cases[i].fs, .needs_check = cases[i].needs_check };

		assert_int_equal(state_decide(&l, cases[i].backup, cases[i].had_state, cases[i].may_replace),
				 cases[i].want);
	}
}

static void only_the_kernels_important_messages_are_kept(void **state)
{
	static const char good[] = "4,339,5140900,-;disk vda: I/O error\n SUBSYSTEM=block\n", cut[] = "2,1,1,-;x";
	static const char *const bad[] = { "6,1,1,-;chatter\n", "12,1,1,-;a program's\n", "4,1,1,-", "" };
	const char *text;
	size_t len, i;

	(void)state;
	text = kmsg_parse(good, sizeof(good) - 1, &len);
	assert_int_equal(len, strlen("disk vda: I/O error"));
	assert_memory_equal(text, "disk vda: I/O error", len);
	text = kmsg_parse(cut, sizeof(cut) - 1, &len);
	assert_int_equal(len, 1);
	assert_int_equal(*text, 'x');
	for (i = 0; i < NOMAD_ARRAY_LEN(bad); i++)
		assert_null(kmsg_parse(bad[i], strlen(bad[i]), &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shutdown_always_comes_to_an_end),
		cmocka_unit_test(back_off_doubles_to_a_limit_and_forgets),
		cmocka_unit_test(exit_statuses_are_explained),
		cmocka_unit_test(slots_say_what_is_in_them),
		cmocka_unit_test(tar_headers_are_checked),
		cmocka_unit_test(verity_superblocks_are_checked),
		cmocka_unit_test(firmware_ids_that_mean_nothing_are_refused),
		cmocka_unit_test(mount_lines_are_parsed),
		cmocka_unit_test(df_finds_the_nearest_mount),
		cmocka_unit_test(sysctl_stays_below_its_root),
		cmocka_unit_test(power_buttons_are_known),
		cmocka_unit_test(uevents_are_read),
		cmocka_unit_test(the_log_ring_keeps_its_limit),
		cmocka_unit_test(the_loop_calls_what_is_due),
		cmocka_unit_test(only_the_kernels_important_messages_are_kept),
		cmocka_unit_test(a_backup_of_the_superblock_is_found),
		cmocka_unit_test(a_file_system_is_only_made_where_none_was),
		cmocka_unit_test(an_event_does_not_reach_who_came_after),
		cmocka_unit_test(file_systems_are_told_apart),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
