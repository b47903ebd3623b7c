# SPDX-License-Identifier: MPL-2.0
# durable_test counts how often the disk is waited for.
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
