/* SPDX-License-Identifier: MPL-2.0
 *
 * Devices of a cgroup v2.  It has no file for them: the kernel asks a small
 * BPF program, which is attached to the directory, each time a process opens
 * or makes a device file.  The program is put together here, a few
 * instructions for each rule; loaded and attached it belongs to the cgroup, goes with it,
 * and needs no library.  (cgroup v1 has devices.allow and devices.deny.) */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "base/fields.h"

static const char *number(const char *s, int32_t *ret)
{
	int64_t value = 0;

	if (*s == '*') {
		*ret = -1;
		return s + 1;
	}
	if (*s < '0' || *s > '9')
		return NULL;
	for (; *s >= '0' && *s <= '9' && value < INT32_MAX; s++)
		value = value * 10 + (*s - '0');
	*ret = (int32_t)value;
	return value < INT32_MAX ? s : NULL;
}

int nomad__device_number(const char *path, char *ret, size_t size)
{
	struct nomad__text t;
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENODEV;
	nomad__text_init(&t, ret, size);
	nomad__text_add(&t, S_ISCHR(st.st_mode) ? "c " : "b ");
	nomad__text_num(&t, major(st.st_rdev));
	nomad__text_add(&t, ":");
	nomad__text_num(&t, minor(st.st_rdev));
	return t.full ? -ENAMETOOLONG : 0;
}

int nomad__device_rule_add(struct nomad__device_rules *rules, const char *text)
{
	struct nomad__device_rule rule = { .type = text[0] };
	const char *s;

	if (rules->count == NOMAD__MAX_DEVICE_RULES)
		return -E2BIG;
	if ((rule.type != 'c' && rule.type != 'b') || text[1] != ' ')
		return -EINVAL;
	s = number(text + 2, &rule.major);
	if (!s || *s != ':')
		return -EINVAL;
	s = number(s + 1, &rule.minor);
	if (!s || *s != ' ')
		return -EINVAL;
	for (s++; *s; s++) {
		if (*s == 'm')
			rule.access |= NOMAD__MAY_MKNOD;
		else if (*s == 'r')
			rule.access |= NOMAD__MAY_READ;
		else if (*s == 'w')
			rule.access |= NOMAD__MAY_WRITE;
		else
			return -EINVAL;
	}
	if (!rule.access)
		return -EINVAL;
	rules->list[rules->count++] = rule;
	return 0;
}

_Static_assert((int)NOMAD__MAY_MKNOD == BPF_DEVCG_ACC_MKNOD && (int)NOMAD__MAY_READ == BPF_DEVCG_ACC_READ &&
		       (int)NOMAD__MAY_WRITE == BPF_DEVCG_ACC_WRITE,
	       "the kernel's numbers");

enum { INSNS_OF_RULE = 9, MAX_INSNS = 16 + INSNS_OF_RULE * NOMAD__MAX_DEVICE_RULES };

struct program {
	struct bpf_insn list[MAX_INSNS];
	int count;
};

static void emit(struct program *p, unsigned code, unsigned dst, unsigned src, int offset, int32_t value)
{
	p->list[p->count++] = (struct bpf_insn){
		.code = (uint8_t)code,
		.dst_reg = dst & 15,
		.src_reg = src & 15,
		.off = (int16_t)offset,
		.imm = value,
	};
}

/* r1 points to the request, r2 is the type, r3 the access, r4 and r5 major and minor. */
static void assemble(struct program *p, const struct nomad__device_rules *rules)
{
	enum {
		LOAD = BPF_LDX | BPF_MEM | BPF_W,
		NOT_VALUE = BPF_JMP | BPF_JNE | BPF_K,
		NOT_SAME = BPF_JMP | BPF_JNE | BPF_X
	};

	emit(p, LOAD, 2, 1, 0, 0);
	emit(p, BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
	emit(p, LOAD, 3, 1, 0, 0);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
	emit(p, LOAD, 4, 1, 4, 0);
	emit(p, LOAD, 5, 1, 8, 0);
	for (int i = 0; i < rules->count; i++) {
		const struct nomad__device_rule *rule = &rules->list[i];
		/* Where the next rule begins. */
		int next = p->count + 1 + 3 + (rule->major >= 0) + (rule->minor >= 0) + 2;

		emit(p, NOT_VALUE, 2, 0, next - p->count - 1,
		     rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
		emit(p, BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0);
		emit(p, BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, (int32_t)rule->access);
		emit(p, NOT_SAME, 1, 3, next - p->count - 1, 0);
		if (rule->major >= 0)
			emit(p, NOT_VALUE, 4, 0, next - p->count - 1, rule->major);
		if (rule->minor >= 0)
			emit(p, NOT_VALUE, 5, 0, next - p->count - 1, rule->minor);
		emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
		emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	}
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int bpf(int command, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

static int load(const struct nomad__device_rules *rules)
{
	static const char license[] = "MPL-2.0";
	static struct program program;
	union bpf_attr attr;

	program.count = 0;
	assemble(&program, rules);
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)program.list;
	attr.insn_cnt = (uint32_t)program.count;
	attr.license = (uintptr_t)license;
	return bpf(BPF_PROG_LOAD, &attr); /* close-on-exec always */
}

int nomad__cgroup_allow_devices(const struct nomad__cgroup *cgroup, const struct nomad__device_rules *rules)
{
	int dir = open(cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), program, r;
	union bpf_attr attr;

	if (dir < 0)
		return -errno;
	program = load(rules);
	if (program < 0) {
		close(dir);
		return program;
	}
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)dir;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	/* The host's own rules above, and those that the task may make below, hold as well. */
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	r = bpf(BPF_PROG_ATTACH, &attr);
	close(program);
	close(dir);
	return r < 0 ? r : 0;
}
