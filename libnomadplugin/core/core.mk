# SPDX-License-Identifier: MPL-2.0
# durable_test counts the waits for the disk.
test_wrap_durable = $(addprefix -Wl$(comma)--wrap=,fsync fdatasync)

# inject_test lets each call fail in turn, here and in a supervisor of its own: test/inject.
inject_both := mmap mkdir renameat pipe2 socket socketpair bind flock fsync connect accept4 write read sendmsg recvmsg poll \
	open openat fcntl fork execve syscall
inject_here := malloc calloc realloc reallocarray strdup strndup vasprintf __vasprintf_chk opendir fdopendir fopen epoll_ctl \
	posix_openpt ftruncate fdatasync pread waitpid pthread_create vfork
inject_wraps = $(addprefix -Wl$(comma)--wrap=,$(1))
inject_super_flags = $(call inject_wraps,$(inject_both))
test_wrap_inject = $(call inject_wraps,$(inject_both) $(inject_here))

$(BUILD)/$(L)/core/inject_test.o: cppflags += -Itest/inject
$(BUILD)/test/inject/inject.o: cppflags += -Itest/inject
inject := $(BUILD)/test/inject
$(inject)/super.o: test/inject/inject.c $(L)/supervisor/supervisor.mk
	@mkdir -p $(@D)
	$(call quiet,CC,$@)$(CC) $(cppflags) -Itest/inject -DINJECT_SUPERVISOR $(super_cflags) -MMD -MP -c -o $@ $<
$(BUILD)/$(L)/core/inject_test: $(inject)/inject.o $(inject)/super/blob.o
extra_src += test/inject/inject.c
-include $(inject)/super.d

# det_test runs the core in virtual time, under schedules that a seed decides: test/det.
det := $(BUILD)/test/det
det_wraps := $(addprefix pthread_,mutex_init mutex_destroy mutex_lock mutex_unlock cond_init cond_destroy cond_wait cond_timedwait \
	cond_signal cond_broadcast create join self sigmask) clock_gettime nanosleep poll malloc calloc realloc reallocarray strdup \
	strndup free vasprintf __vasprintf_chk open openat close read write pread lstat stat fstat fstatat mkdir unlinkat renameat \
	ftruncate fsync fdatasync flock opendir fdopendir readdir closedir dirfd waitpid nomad_log nomad_log_kv $(addprefix nomad__, \
	poller_new poller_free poller_add poller_mod poller_del poller_wait poller_wake same_mount boot_id supervisor_launch unix_connect \
	unix_send unix_receive keys_file spec_start hierarchies limits_plan process_find process_lives process_parent process_children \
	process_signal rivals_end caller_leave)
test_wrap_det = $(call inject_wraps,$(det_wraps))
det_src := $(wildcard test/det/*.c)
$(BUILD)/$(L)/core/det_test.o $(det_src:%.c=$(BUILD)/%.o): cppflags += -Itest/det
$(BUILD)/$(L)/core/det_test.o $(det_src:%.c=$(BUILD)/%.o): file_flags += -Wno-missing-prototypes
# longjmp() goes to other stacks.
$(det)/det.o: file_flags += -U_FORTIFY_SOURCE
$(BUILD)/$(L)/core/det_test: $(det_src:%.c=$(BUILD)/%.o)
extra_src += $(det_src)
