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
all: $(addprefix $(OUT)/lib/lib,grpc.a protobuf-c.a msgpack-c.a jansson.a z.a) $(OUT)/include/.done
tls: $(OUT)/lib/libssl.a $(OUT)/lib/libcurl.a

# The same bytes wherever the tree lies; no frames to unwind: nothing here throws.
common := -Os -g0 -w -DNDEBUG -ffunction-sections -fdata-sections -fvisibility=hidden -fno-unwind-tables \
	-fno-asynchronous-unwind-tables -ffile-prefix-map=$(SRC)/= -ffile-prefix-map=$(here)/= $(BUNDLE_CFLAGS)

define archive
	$(call quiet,AR)rm -f $@ && mkdir -p $(@D) && printf '%s\n' $(filter %.o,$^) >$@.list && $(ar) crsD $@ @$@.list && rm $@.list
endef

# ---- gRPC -------------------------------------------------------------------------
# ABSL_USE_UNSCALED_CYCLECLOCK: else a Mutex that waits for the first time sleeps 3 ms to measure the clock.
# ABSL_MIN_LOG_LEVEL: errors only, as the library asks for at run time; the rest of the texts would be 0.2 MB.

g := $(SRC)/grpcio
grpc.flags := $(common) -fno-stack-protector -DGRPC_ARES=0 -DGRPC_NO_XDS -DGRPC_NO_RLS -DGRPC_MINIMAL_LB_POLICY \
	-DOSATOMIC_USE_INLINED=1 -DHAVE_UNISTD_H -DABSL_USE_UNSCALED_CYCLECLOCK=0 -DABSL_MIN_LOG_LEVEL=2 \
	-I$(g) -I$(g)/include \
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
	$(call quiet,PCH)$(cxx) $(grpc.cxx) -x c++-header -o $@ $<
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
# gRPC's package has it.
z.src := $(addprefix $(g)/third_party/zlib/,adler32.c crc32.c deflate.c gzclose.c gzlib.c gzread.c gzwrite.c inffast.c \
	inflate.c inftrees.c trees.c zutil.c)
z.flags := -DHAVE_UNISTD_H -D_LARGEFILE64_SOURCE
jansson.flags := -DHAVE_CONFIG_H -I$(here)/jansson -I$(SRC)/jansson/src

define c_library
$(1).obj := $$($(1).src:$(SRC)/%.c=$(OUT)/%.o)
$$($(1).obj): $(OUT)/%.o: $(SRC)/%.c $(OUT)/include/.done
	@mkdir -p $$(@D)
	$$(call quiet,CC)$(cc) $(c.flags) $$($(1).flags) -c -o $$@ $$<
$(OUT)/lib/lib$(1).a: $$($(1).obj)
	$$(archive)
endef
$(foreach l,protobuf-c msgpack-c jansson z,$(eval $(call c_library,$(l))))

# ---- TLS and HTTP, for the triton driver ----------------------------------------------
# Their own configure scripts know the CPU.  What is switched off: what CloudAPI and Docker servers of today do not use.
# And assembler: it would be 0.5 MB, for one signature a request.

openssl.off := asm shared tests dso engine legacy dtls srp psk ct ocsp cms ts cmp srtp nextprotoneg comp ssl3 \
	tls1 tls1_1 idea rc2 rc4 rc5 camellia seed aria bf cast md2 md4 mdc2 whirlpool rmd160 sm2 sm3 sm4 gost dsa ec2m siphash \
	ui-console async autoload-config rfc3779 capieng uplink
curl.off := shared ftp file ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher mqtt manual ntlm ntlm-wb tls-srp \
	doh alt-svc hsts netrc cookies dateparse progress-meter get-easy-options libcurl-option aws kerberos-auth \
	negotiate-auth digest-auth symbol-hiding dnsshuffle socketpair mime form-api headers-api
curl.without := zlib brotli zstd nghttp2 libpsl libidn2 librtmp libssh2 libgsasl ca-bundle ca-path

$(OUT)/openssl/Makefile:
	@rm -rf $(@D) && mkdir -p $(@D)
	$(call quiet,CONF)cd $(@D) && CC='$(cc)' AR='$(STATIC_ZIG) ar' RANLIB=true CFLAGS='$(c.flags)' \
		perl $(SRC)/openssl/Configure linux-$(CPU) --prefix=/usr --openssldir=/etc/ssl --libdir=lib \
		$(addprefix no-,$(openssl.off)) >configure.log 2>&1 || { tail -n 20 configure.log; exit 1; }
$(OUT)/lib/libssl.a: $(OUT)/openssl/Makefile $(OUT)/include/.done
	@mkdir -p $(@D)
	@$(MAKE) -s -C $(OUT)/openssl build_generated crypto/buildinf.h >$(OUT)/openssl/make.log 2>&1
	@# What OPENSSL_info() says: without flags that name this machine's paths, and without the time.
	@SOURCE_DATE_EPOCH=0 perl $(SRC)/openssl/util/mkbuildinf.pl cc linux-$(CPU) >$(OUT)/openssl/crypto/buildinf.h
	$(call quiet,MAKE)$(MAKE) -s -C $(OUT)/openssl libcrypto.a libssl.a >>$(OUT)/openssl/make.log 2>&1 || \
		{ tail -n 20 $(OUT)/openssl/make.log; exit 1; }
	@cp -r $(SRC)/openssl/include/openssl $(OUT)/openssl/include/openssl $(OUT)/include/
	@cp $(OUT)/openssl/libcrypto.a $(OUT)/openssl/libssl.a $(@D)/
$(OUT)/curl/Makefile: $(OUT)/lib/libssl.a
	@rm -rf $(@D) && mkdir -p $(@D)
	$(call quiet,CONF)cd $(@D) && CC='$(cc)' AR='$(STATIC_ZIG) ar' RANLIB=true CFLAGS='$(c.flags)' \
		CPPFLAGS='-I$(OUT)/include' LDFLAGS='-L$(OUT)/lib' LIBS='-lssl -lcrypto' PKG_CONFIG=false \
		$(SRC)/curl/configure --build=$(shell uname -m)-linux-gnu --host=$(CPU)-linux-musl --prefix=/usr --with-openssl \
		--enable-threaded-resolver $(addprefix --disable-,$(curl.off)) $(addprefix --without-,$(curl.without)) \
		>configure.log 2>&1 || { tail -n 20 configure.log; exit 1; }
$(OUT)/lib/libcurl.a: $(OUT)/curl/Makefile
	$(call quiet,MAKE)$(MAKE) -s -C $(OUT)/curl/lib libcurl.la V=0 >$(OUT)/curl/make.log 2>&1 || \
		{ tail -n 20 $(OUT)/curl/make.log; exit 1; }
	@cp -r $(SRC)/curl/include/curl $(OUT)/include/
	@cp $(OUT)/curl/lib/.libs/libcurl.a $(@D)/

# Headers as they would be installed.  msgpack's two templates get their byte order here.
$(OUT)/include/.done: $(wildcard $(here)/jansson/*.h)
	@rm -rf $(@D) && mkdir -p $(@D)/protobuf-c
	$(call quiet,GEN)cp $(SRC)/protobuf-c/protobuf-c/protobuf-c.h $(@D)/protobuf-c/ && \
		cp -r $(g)/include/grpc $(SRC)/msgpack-c/include/msgpack $(SRC)/msgpack-c/include/msgpack.h $(@D)/ && \
		cp $(SRC)/jansson/src/jansson.h $(here)/jansson/jansson_config.h $(g)/third_party/zlib/zlib.h \
			$(g)/third_party/zlib/zconf.h $(@D)/ && \
		for t in sysdep pack_template; do \
			sed 's/@MSGPACK_ENDIAN_BIG_BYTE@/0/; s/@MSGPACK_ENDIAN_LITTLE_BYTE@/1/' \
				$(SRC)/msgpack-c/cmake/$$t.h.in >$(@D)/msgpack/$$t.h || exit 1; \
		done
	@touch $@
