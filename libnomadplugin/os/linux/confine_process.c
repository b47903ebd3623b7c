/* SPDX-License-Identifier: MPL-2.0
 *
 * What a process can give up without any file: capabilities and system calls.
 *
 * The filter is a list of what is forbidden, not of what is allowed: gRPC,
 * curl and libc call what they like from version to version, and a call
 * missing from a list of allowed ones would end tasks. */
#include "os/linux/confine_process.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nomad/base.h"
#include "os/confine.h"

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_CALLS 0x40000000u /* x32 */
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef OWN_ARCH
static const int forbidden[] = {
	/* Mounts and roots. */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsmount,
	SYS_fsconfig,
	SYS_fspick,
	SYS_swapon,
	SYS_swapoff,
	SYS_quotactl,
	SYS_name_to_handle_at,
	SYS_open_by_handle_at,
	/* Namespaces; see also clone below. */
	SYS_unshare,
	SYS_setns,
	/* The kernel. */
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_reboot,
	SYS_acct,
	SYS_userfaultfd,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	/* Time and names. */
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_sethostname,
	SYS_setdomainname,
	/* Other processes. */
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
#endif
};

/* In addition, for a process that will not start another one. */
static const int forbidden_starts[] = {
	SYS_execve, SYS_execveat, SYS_clone,
#ifdef SYS_fork
	SYS_fork,   SYS_vfork,
#endif
	SYS_socket, SYS_connect,  SYS_setuid, SYS_setresuid, SYS_setgroups,
};

#define NEW_NAMESPACES                                                                                                 \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)

bool nomad__calls_forbid(bool starts)
{
	enum { HEAD = 12 };
	struct sock_filter code[HEAD + 2 * (NOMAD_ARRAY_LEN(forbidden) + NOMAD_ARRAY_LEN(forbidden_starts)) + 1];
	struct sock_fprog program = { .filter = code };
	size_t n = 0;

#define ADD(...) (code[n++] = (struct sock_filter)__VA_ARGS__)
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
#ifdef FOREIGN_CALLS
	ADD(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_CALLS, 0, 1));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
#endif
	/* Its flags are in memory, where no filter looks: libc then takes clone. */
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(forbidden); i++) {
		ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)forbidden[i], 0, 1));
		ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
	}
	for (size_t i = 0; starts && i < NOMAD_ARRAY_LEN(forbidden_starts); i++) {
		ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)forbidden_starts[i], 0, 1));
		ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
	}
	ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
	/* The low half: all these architectures are little-endian. */
	ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
	ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NEW_NAMESPACES, 0, 1));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
	ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
#undef ADD
	program.len = (unsigned short)n;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}
#else
bool nomad__calls_forbid(bool starts)
{
	(void)starts;
	return false;
}
#endif

bool nomad__capabilities_keep(const int *kept, size_t count)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint32_t mask[2] = { 0, 0 };
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		mask[kept[i] / 32] |= 1u << kept[i] % 32;
	/* First the bounding set, which takes CAP_SETPCAP. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(mask[cap / 32 & 1] >> cap % 32 & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			ok = false;
	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= mask[i];
		data[i].effective &= mask[i];
		data[i].inheritable &= mask[i];
	}
	return syscall(SYS_capset, &header, data) == 0 && ok;
}

unsigned nomad__confine_waiting(void)
{
	/* Signals to a task of other users, and directories that it has made unreadable. */
	static const int kept[] = { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL };
	unsigned holds = 0;

	if (nomad__capabilities_keep(kept, NOMAD_ARRAY_LEN(kept)))
		holds |= NOMAD__FEWER_CAPABILITIES;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		holds |= NOMAD__NO_NEW_PRIVS;
	if (nomad__calls_forbid(true))
		holds |= NOMAD__FEWER_CALLS;
	return holds;
}
