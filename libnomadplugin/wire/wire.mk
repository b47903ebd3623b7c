# SPDX-License-Identifier: MPL-2.0
# The gRPC side of the library: how its messages are generated, and which gRPC programs link with.

W := libnomadplugin/wire

# ---- Messages: *.proto -> *.pb-c.[ch] below $(BUILD) ----
# protoc-c makes C names of the package; those of HashiCorp's packages would
# be 45 characters long.  So it gets a copy in which each package is "pb".

wire.proto := $(sort $(wildcard $(W)/*.proto))
wire.pb := $(wire.proto:$(W)/%.proto=$(BUILD)/$(W)/%.pb-c)

$(BUILD)/$(W)/proto/%.proto: $(W)/%.proto
	@mkdir -p $(@D)
	$(call quiet,GEN,$@)sed -E -e 's/hashicorp\.nomad\.plugins\.(base\.proto|drivers\.proto|shared\.hclspec|shared\.structs)/pb/' \
		-e 's/google\.(protobuf|rpc)/pb/; s/^package (plugin|grpc\.health\.v1);/package pb;/' $< >$@

$(BUILD)/$(W)/%.pb-c.c: $(wire.proto:$(W)/%.proto=$(BUILD)/$(W)/proto/%.proto)
	$(call quiet,GEN,$@)$(PROTOC_C) -I$(BUILD)/$(W)/proto --c_out=$(BUILD)/$(W) $*.proto
$(BUILD)/$(W)/%.pb-c.h: $(BUILD)/$(W)/%.pb-c.c ;

# Foreign code: our flags for code generation, none of our warnings.
$(BUILD)/$(W)/%.pb-c.o: $(BUILD)/$(W)/%.pb-c.c
	$(call quiet,CC,$@)$(CC) -I$(BUILD)/$(W) $(cppflags) -std=gnu11 -w $(hardened) $(sanitize) -ffunction-sections \
		-fdata-sections $(CFLAGS) -c -o $@ $<

generated += $(wire.pb:=.h)
lib_generated_obj += $(wire.pb:=.o)

# ---- Which gRPC: GRPC=static, unsecure or secure ----
# static:   gRPC without TLS and what it needs from archives; libc and the
#           rest stay shared.  No 60 libraries to load and relocate.
# unsecure: libgrpc_unsecure.so    secure: libgrpc.so
# Measured on Debian 12 with a bare server, process start to handshake / pages
# of its own / of these written to: static 1.6 ms, 3.6 MB, 0.5 MB; unsecure
# 6.1 ms, 5.2 MB, 1.0 MB; secure 8.5 ms, 8.5 MB, 1.6 MB.  Static without PIE
# gains nothing more.  serve.c then gives the code of the start back: 2.1 MB
# for a whole driver.

wire.archive = $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a))
wire.static_names := grpc_unsecure gpr address_sorting upb re2 cares z stdc++
ifeq ($(GRPC),)
ifneq ($(findstring thread,$(SANITIZE)),)
# TSan can leave out what a library of its own does, not what an archive does.
GRPC := unsecure
else ifneq ($(words $(foreach l,$(wire.static_names),$(call wire.archive,$(l)))),$(words $(wire.static_names)))
GRPC := $(if $(shell $(PKG_CONFIG) --exists grpc_unsecure && echo yes),unsecure,secure)
else
GRPC := static
endif
endif
wire.absl = $(sort $(wildcard $(dir $(call wire.archive,grpc_unsecure))libabsl_*.a))
grpc.pc := $(if $(filter secure,$(GRPC)),grpc,grpc_unsecure)

ifeq ($(GRPC),static)
grpc.libs = -Wl,--start-group $(patsubst %,-l:lib%.a,$(filter-out stdc++,$(wire.static_names))) \
	$(addprefix -l:,$(notdir $(wire.absl))) -Wl,--end-group -l:libstdc++.a -lm -lrt
else
grpc.libs = $(shell $(PKG_CONFIG) --libs $(grpc.pc))
endif

# smoke_test refuses one allocation.
test_wrap_smoke := -Wl,--wrap=calloc
