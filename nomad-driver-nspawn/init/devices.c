/* SPDX-License-Identifier: MPL-2.0
 *
 * Which devices a container may use: a program of the kernel's cgroup v2,
 * attached to the cgroup that we are in before systemd-nspawn starts, so
 * that it counts for all that comes from it.  It needs no controller, works
 * beside cgroup v1, and goes with the cgroup.  The rules are those of
 * systemd's DevicePolicy=closed for a machine: the harmless pseudo devices,
 * terminals, tun; and what the job names. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { RULES_MAX = 256, PER_RULE = 9, ANY = -1 };

struct rule {
	int type, access; /* BPF_DEVCG_* */
	int major, minor;
};

static const struct rule usual[] = {
	{ BPF_DEVCG_DEV_CHAR, 7, 1, 3 },					    /* null */
	{ BPF_DEVCG_DEV_CHAR, 7, 1, 5 },					    /* zero */
	{ BPF_DEVCG_DEV_CHAR, 7, 1, 7 },					    /* full */
	{ BPF_DEVCG_DEV_CHAR, 7, 1, 8 },					    /* random */
	{ BPF_DEVCG_DEV_CHAR, 7, 1, 9 },					    /* urandom */
	{ BPF_DEVCG_DEV_CHAR, 7, 5, 0 },					    /* tty */
	{ BPF_DEVCG_DEV_CHAR, 7, 5, 2 },					    /* ptmx */
	{ BPF_DEVCG_DEV_CHAR, BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 136, ANY }, /* pts */
	{ BPF_DEVCG_DEV_CHAR, 7, 10, 200 },					    /* net/tun */
};

struct program {
	struct bpf_insn code[RULES_MAX * PER_RULE + 8];
	int n;
};

static void emit(struct program *p, int code, int dst, int src, int off, int imm)
{
	p->code[p->n++] = (struct bpf_insn){
		.code = (__u8)code,
		.dst_reg = (__u8)(dst & 15),
		.src_reg = (__u8)(src & 15),
		.off = (__s16)off,
		.imm = imm,
	};
}

/* r2 type, r3 access, r4 major, r5 minor; r6 is free. */
static void emit_rule(struct program *p, const struct rule *rule)
{
	int end = p->n + (rule->minor == ANY ? 7 : 8);

	emit(p, BPF_JMP | BPF_JNE | BPF_K, 2, 0, end - p->n - 1, rule->type);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 6, 3, 0, 0);
	emit(p, BPF_ALU64 | BPF_AND | BPF_K, 6, 0, 0, rule->access);
	emit(p, BPF_JMP | BPF_JNE | BPF_X, 6, 3, end - p->n - 1, 0);
	emit(p, BPF_JMP | BPF_JNE | BPF_K, 4, 0, end - p->n - 1, rule->major);
	if (rule->minor != ANY)
		emit(p, BPF_JMP | BPF_JNE | BPF_K, 5, 0, end - p->n - 1, rule->minor);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* "c10:200:rw,b7:0:r" */
static int rules_parse(const char *text, struct rule *rules, int max)
{
	int n = 0, used;
	char kind, access[4];
	const char *a;

	while (*text && n < max) {
		struct rule *rule = &rules[n];

		used = 0;
		if (sscanf(text, "%c%d:%d:%3[rwm]%n", &kind, &rule->major, &rule->minor, access, &used) != 4 ||
		    (kind != 'c' && kind != 'b') || (text[used] && text[used] != ','))
			return -1;
		rule->type = kind == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK;
		rule->access = 0;
		for (a = access; *a; a++)
			rule->access |= *a == 'r'   ? BPF_DEVCG_ACC_READ
					: *a == 'w' ? BPF_DEVCG_ACC_WRITE
						    : BPF_DEVCG_ACC_MKNOD;
		n++;
		text += used + (text[used] == ',');
	}
	return *text ? -1 : n;
}

/* The directory of the cgroup v2 that we are in. */
static int own_cgroup(char *path, size_t size)
{
	char line[4096], own[2048] = "";
	struct mntent *m, entry;
	FILE *file = fopen("/proc/self/cgroup", "re");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "0::", 3) == 0)
			snprintf(own, sizeof(own), "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
	if (file)
		fclose(file);
	file = *own ? setmntent("/proc/self/mounts", "re") : NULL;
	errno = ENOENT;
	while (file && (m = getmntent_r(file, &entry, line, sizeof(line))))
		if (strcmp(m->mnt_type, "cgroup2") == 0) {
			snprintf(path, size, "%s%s", m->mnt_dir, own);
			endmntent(file);
			return 0;
		}
	if (file)
		endmntent(file);
	return -1;
}

int devices_limit(const char *text)
{
	static struct program p;
	struct rule rules[RULES_MAX - (int)(sizeof(usual) / sizeof(usual[0]))];
	union bpf_attr load = { 0 }, attach = { 0 };
	int n = rules_parse(text, rules, (int)(sizeof(rules) / sizeof(rules[0]))), i, program, cgroup;
	char path[8192];

	if (n < 0) {
		errno = EINVAL;
		return -1;
	}
	if (own_cgroup(path, sizeof(path)) < 0)
		return -1;
	emit(&p, BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
	emit(&p, BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
	emit(&p, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
	emit(&p, BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16);
	emit(&p, BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);
	emit(&p, BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
	for (i = 0; i < (int)(sizeof(usual) / sizeof(usual[0])); i++)
		emit_rule(&p, &usual[i]);
	for (i = 0; i < n; i++)
		emit_rule(&p, &rules[i]);
	emit(&p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	emit(&p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	load.insns = (__u64)(unsigned long)p.code;
	load.insn_cnt = (__u32)p.n;
	load.license = (__u64)(unsigned long)"MPL-2.0";
	program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	cgroup = program < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return -1;
	attach.target_fd = (__u32)cgroup;
	attach.attach_bpf_fd = (__u32)program;
	attach.attach_type = BPF_CGROUP_DEVICE;
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	i = (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach));
	close(cgroup);
	close(program);
	return i;
}
