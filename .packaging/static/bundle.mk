# SPDX-License-Identifier: MPL-2.0
# The libraries that a static build carries, as archives for one CPU.  Called by build, with:
#   OUT   where to build      SRC   the unpacked sources      CPU   x86_64 or aarch64      (and STATIC_* for cc)
# grpc.units lists what a server on a socket needs of gRPC; README.md tells how it was found.

here := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
cc := $(here)/cc
cxx := STATIC_LANG=c++ $(here)/cc
ar := $(STATIC_ZIG) ar
V ?=
quiet = $(if $(V),,@printf '  %-6s %s\n' $(1) $(patsubst $(OUT)/%,%,$@);)

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all tls
all: $(OUT)/lib/libgrpc.a $(OUT)/lib/libprotobuf-c.a $(OUT)/lib/libmsgpack-c.a $(OUT)/lib/libjansson.a $(OUT)/include/.done
tls: $(OUT)/lib/libssl.a $(OUT)/lib/libcurl.a

# The same bytes wherever the tree lies; no frames to unwind: nothing here throws.
common := -Os -g0 -w -DNDEBUG -ffunction-sections -fdata-sections -fvisibility=hidden -fno-unwind-tables \
	-fno-asynchronous-unwind-tables -ffile-prefix-map=$(SRC)/= -ffile-prefix-map=$(here)/= $(BUNDLE_CFLAGS)

define archive
	$(call quiet,AR)rm -f $@ && mkdir -p $(@D) && printf '%s\n' $(filter %.o,$^) >$@.list && $(ar) crsD $@ @$@.list && rm $@.list
endef

# ---- gRPC -------------------------------------------------------------------------
# ABSL_USE_UNSCALED_CYCLECLOCK: else a Mutex that waits for the first time sleeps 3 ms to measure the clock.

g := $(SRC)/grpcio
grpc.flags := $(common) -fno-stack-protector -DGRPC_ARES=0 -DGRPC_NO_XDS -DGRPC_NO_RLS -DGRPC_MINIMAL_LB_POLICY \
	-DOSATOMIC_USE_INLINED=1 -DHAVE_UNISTD_H -DABSL_USE_UNSCALED_CYCLECLOCK=0 -I$(g) -I$(g)/include \
	$(addprefix -I$(g)/third_party/,abseil-cpp upb utf8_range address_sorting/include zlib xxhash) \
	-I$(g)/src/core/ext/upb-gen -I$(g)/src/core/ext/upbdefs-gen
grpc.cxx := $(grpc.flags) -std=c++17 -fno-exceptions -fno-rtti -fvisibility-inlines-hidden -fpch-instantiate-templates
grpc.pch := $(OUT)/grpc/pch.h.pch
# grpc.units: "unit NAME", then the files that are compiled as one.  Most of a file's time goes into what headers
# instantiate; once for a dozen files it is a fifth of that.
grpc.units := $(shell awk '$$1 == "unit" { print $$2 }' $(wildcard $(here)/grpc.units) </dev/null)
grpc.src := $(grpc.units:%=$(OUT)/grpc/%)
grpc.obj := $(grpc.src:=.o) $(OUT)/grpc/registry.o $(OUT)/grpc/stubs.o

$(grpc.src) &: $(here)/grpc.units
	@mkdir -p $(OUT)/grpc && rm -f $(grpc.src)
	$(call quiet,GEN)awk -v d=$(OUT)/grpc '/^#/ || !NF { next } $$1 == "unit" { f = d "/" $$2; next } \
		{ print "#include \"" $$1 "\"" >f }' $<
$(grpc.pch): $(here)/pch.h
	@mkdir -p $(@D)
	$(call quiet,PCH)$(cxx) $(grpc.cxx) -x c++-header -c -o $@ $<
$(filter %.cc.o,$(grpc.obj)): %.cc.o: %.cc $(grpc.pch)
	$(call quiet,CXX)$(cxx) $(grpc.cxx) -include-pch $(grpc.pch) -c -o $@ $<
$(filter %.c.o,$(grpc.obj)): %.c.o: %.c
	$(call quiet,CC)$(cc) $(grpc.flags) -std=gnu11 -c -o $@ $<
$(OUT)/grpc/registry.o $(OUT)/grpc/stubs.o: $(OUT)/grpc/%.o: $(here)/%.cc $(grpc.pch)
	$(call quiet,CXX)$(cxx) $(grpc.cxx) -include-pch $(grpc.pch) -c -o $@ $<
# One file alone: find-units.
$(OUT)/find/%.cc.o: $(g)/%.cc $(grpc.pch)
	@mkdir -p $(@D)
	$(call quiet,CXX)$(cxx) $(grpc.cxx) -include-pch $(grpc.pch) -c -o $@ $<
$(OUT)/find/%.c.o: $(g)/%.c
	@mkdir -p $(@D)
	$(call quiet,CC)$(cc) $(grpc.flags) -std=gnu11 -c -o $@ $<
$(OUT)/lib/libgrpc.a: $(grpc.obj)
	$(archive)

# ---- The C libraries ---------------------------------------------------------------

c.flags := $(common) -std=gnu11 -fstack-protector-strong

protobuf-c.src := $(SRC)/protobuf-c/protobuf-c/protobuf-c.c
protobuf-c.flags := -I$(SRC)/protobuf-c
msgpack-c.src := $(addprefix $(SRC)/msgpack-c/src/,objectc.c unpack.c version.c vrefbuffer.c zone.c)
msgpack-c.flags := -I$(OUT)/include -I$(SRC)/msgpack-c/include
jansson.src := $(addprefix $(SRC)/jansson/src/,dump.c error.c hashtable.c hashtable_seed.c load.c memory.c pack_unpack.c \
	strbuffer.c strconv.c utf.c value.c version.c)
jansson.flags := -DHAVE_CONFIG_H -I$(here)/jansson -I$(SRC)/jansson/src

define c_library
$(1).obj := $$($(1).src:$(SRC)/%.c=$(OUT)/%.o)
$$($(1).obj): $(OUT)/%.o: $(SRC)/%.c $(OUT)/include/.done
	@mkdir -p $$(@D)
	$$(call quiet,CC)$(cc) $(c.flags) $$($(1).flags) -c -o $$@ $$<
$(OUT)/lib/lib$(1).a: $$($(1).obj)
	$$(archive)
endef
$(foreach l,protobuf-c msgpack-c jansson,$(eval $(call c_library,$(l))))

# Headers as they would be installed.  msgpack's two templates get their byte order here.
$(OUT)/include/.done: $(wildcard $(here)/jansson/*.h)
	@rm -rf $(@D) && mkdir -p $(@D)/protobuf-c
	$(call quiet,GEN)cp $(SRC)/protobuf-c/protobuf-c/protobuf-c.h $(@D)/protobuf-c/ && \
		cp -r $(g)/include/grpc $(SRC)/msgpack-c/include/msgpack $(SRC)/msgpack-c/include/msgpack.h $(@D)/ && \
		cp $(SRC)/jansson/src/jansson.h $(here)/jansson/jansson_config.h $(@D)/ && \
		for t in sysdep pack_template; do \
			sed 's/@MSGPACK_ENDIAN_BIG_BYTE@/0/; s/@MSGPACK_ENDIAN_LITTLE_BYTE@/1/' \
				$(SRC)/msgpack-c/cmake/$$t.h.in >$(@D)/msgpack/$$t.h || exit 1; \
		done
	@touch $@
