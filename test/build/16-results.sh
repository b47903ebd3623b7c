#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Files that a build writes: the image's own, and those about it.
. test/lib.sh
. test/build/lib-build.sh
isolate "$@"
need_build

containerfile plain <<'C'
FROM scratch
ADD rootfs.tar /
RUN mkdir /d && echo first >/d/kept && echo gone >/d/removed && echo old >/d/changed && ln -s kept /d/link && \
	chmod 4750 /d/kept && mkdir /whole && touch /whole/gone
RUN rm /d/removed && echo new >/d/changed && rm -r /whole && mkdir /whole && touch /whole/there
C
OUT='output: [{ type: "local", path: "alloc/tree" }, { type: "tar", path: "alloc/tree.tar" },
	{ path: "alloc/image.tar" }]'
# Both outputs hold what an unpacked image has.
same_as_image() {
	rm -rf "$T/image" "$T/tar" && unpack "$A/image.tar" "$T/image" && mkdir "$T/tar" &&
		tar -C "$T/tar" -xpf "$A/tree.tar" || return 1
	for dir in "$T/image/rootfs" "$A/tree" "$T/tar"; do
		(cd "$dir" && find . -mindepth 1 -printf '%p %y %m %u %l\n' | sort; cat d/changed d/kept) >"$T/list.${dir##*/}"
	done
	file_has "$T/list.rootfs" '^\./d/kept f 4750 root' && file_has "$T/list.rootfs" '^\./whole/there' &&
		! grep -q gone "$T/list.rootfs" &&
		diff "$T/list.rootfs" "$T/list.tree" && diff "$T/list.rootfs" "$T/list.tar"
}
t_tree() {
	builds "{ context: \"alloc/plain\", $OUT, metadata_file: \"alloc/meta.json\" }" && same_as_image &&
		is "$(jq -c '[.outputs[] | [.type, .path, .digest == null]]' "$A/meta.json")" \
		'[["local","alloc/tree",true],["tar","alloc/tree.tar",true],["oci-archive","alloc/image.tar",false]]' &&
		file_has "$T/err" '^event: Built .*; wrote alloc/tree; wrote alloc/tree.tar; wrote alloc/image.tar, digest '
}
# The engine's own --output leaves out what its layer cache holds.
t_tree_cached() {
	for i in 1 2; do
		rm -rf "$A/tree" "$A/tree.tar"
		builds "{ context: \"alloc/plain\", cache: \"c\", $OUT }" && same_as_image || return 1
	done
	file_has "$T/out" '^--> Using cache'
}
t_tree_vfs() {
	plugin_config '{ storage_driver: "vfs" }' && rm -rf "$A/tree" &&
		builds "{ context: \"alloc/plain\", cache: \"c\", $OUT }" && same_as_image
	_r=$?; plugin_config '{}'; return $_r
}
t_tar_again() {
	one='{ context: "alloc/plain", timestamp: 0, output: [{ type: "tar", path: "alloc/one.tar" }] }'
	builds "$one" && cp "$A/one.tar" "$T/first.tar" && builds "$one" && cmp "$A/one.tar" "$T/first.tar"
}
t_tree_exists() {
	rm -rf "$A/tree" && mkdir "$A/tree" && touch "$A/tree/mine" &&
		builds '{ context: "alloc/plain", output: [{ type: "local", path: "alloc/tree" }] }' &&
		[ -e "$A/tree/mine" ] && [ -e "$A/tree/d/kept" ] && ln -s /etc "$A/to-etc" &&
		fails '{ context: "alloc/plain", output: [{ type: "local", path: "alloc/to-etc" }] }' \
			"output: 'alloc/to-etc' is not a directory" &&
		rm -rf "$A/tree" && mkdir "$A/tree" && ln -s /local "$A/tree/d" &&
		fails '{ context: "alloc/plain", output: [{ type: "local", path: "alloc/tree" }] }' \
			'^event: Writing the files failed with exit code 1: .*alloc/tree/d'
}
run_test 'output: a directory and a tar archive of the files' t_tree
run_test 'output: the same from a cache' t_tree_cached
run_test 'output: the same with storage driver vfs' t_tree_vfs
run_test 'output tar: the same bytes twice' t_tar_again
run_test 'output local: added to a directory; follows no link' t_tree_exists

# ---- verify
VERIFY='timestamp: 0, verify: true, output: [{ path: "alloc/verified.tar" }]'
containerfile random <<'C'
FROM scratch
ADD rootfs.tar /
RUN echo same >/same
RUN head -c 8 /dev/urandom >/random
RUN touch /later
C
t_verify() {
	rm -f "$A/verified.tar" && builds "{ context: \"alloc/plain\", $VERIFY }" && [ -e "$A/verified.tar" ] &&
		file_has "$T/err" '^event: Built .*; verified by a second build; wrote alloc/verified.tar' &&
		is "$(grep -c '^STEP 1/4' "$T/out")" 2 || return 1
	# Also where the first build comes from a cache.
	for i in 1 2; do builds "{ context: \"alloc/plain\", cache: \"v\", $VERIFY }" || return 1; done
	file_has "$T/out" '^--> Using cache' && is "$(grep -c 'Using cache' "$T/out")" 3
}
t_verify_differs() {
	rm -f "$A/verified.tar"
	for options in 'layers: true' 'cache: "v"'; do
		fails "{ context: \"alloc/random\", $VERIFY, $options }" \
			'^event: .*verify: two builds made different images, .*: layer 3 differs: .*head -c 8' &&
			is "$CODE" 125 && [ ! -e "$A/verified.tar" ] || return 1
	done
}
t_verify_refused() { fails '{ context: "alloc/plain", verify: true }' 'verify: .* set timestamp'; }
run_test 'verify: the same image twice' t_verify
run_test 'verify: names the step that differs, and writes nothing' t_verify_differs
run_test 'verify: needs timestamp' t_verify_refused

# ---- sbom_file, provenance_file
mkdir -p "$A/packages/root/etc" "$A/packages/root/var/lib/dpkg/status.d" "$A/packages/root/lib/apk/db"
cd "$A/packages/root" || exit 1
printf 'NAME="x"\nVERSION_ID="12"\nID=debian\n' >etc/os-release
cat >var/lib/dpkg/status <<'S'
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4
Description: more
 Package: none

Package: gone
Status: deinstall ok config-files
Version: 1
Architecture: amd64

Package: tzdata
Status: install ok installed
Architecture: all
Version: 1:2024a
S
printf 'Package: base-files\nVersion: 12\nArchitecture: amd64\n' >var/lib/dpkg/status.d/base
printf 'C:Q1\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\n\nP:busybox\nV:1.36.1-r5\nA:x86_64\n\n' >lib/apk/db/installed
cd - >/dev/null
containerfile packages <<'C'
FROM scratch
ADD rootfs.tar /
COPY root /
RUN touch /var/lib/dpkg/status.d/empty
C
SBOM='sbom_file: "alloc/sbom.json", output: [{ path: "alloc/packages.tar" }]'
packages='libc6 2.36-9+deb12u4 pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12
tzdata 1:2024a pkg:deb/debian/tzdata@1%3A2024a?arch=all&distro=debian-12
base-files 12 pkg:deb/debian/base-files@12?arch=amd64&distro=debian-12
musl 1.2.4-r2 pkg:apk/debian/musl@1.2.4-r2?arch=x86_64&distro=debian-12
busybox 1.36.1-r5 pkg:apk/debian/busybox@1.36.1-r5?arch=x86_64&distro=debian-12'
t_sbom() {
	builds "{ context: \"alloc/packages\", tags: [\"example.org/p:1\"], $SBOM }" &&
		is "$(jq -r '.packages[1:][] | "\(.name) \(.versionInfo) \(.externalRefs[0].referenceLocator)"' \
		"$A/sbom.json")" "$packages" &&
		is "$(jq -r '.packages[0] | .name, .versionInfo' "$A/sbom.json")" "example.org/p:1
$(digest_of "$A/packages.tar")" &&
		jq -e '.spdxVersion == "SPDX-2.3" and (.relationships | length == 6) and
			([.packages[].SPDXID] | unique | length == 6) and (.creationInfo.created | fromdate > 0)' \
			"$A/sbom.json"
}
# Links of an image lead nowhere but into it; a database that is not read is told.
t_sbom_hostile() {
	containerfile links <<-'C' &&
	FROM scratch
	ADD rootfs.tar /
	RUN mkdir -p /var/lib/dpkg /var/lib/rpm && ln -s /alloc/packages/root/var/lib/dpkg/status /var/lib/dpkg/status
	C
		builds "{ context: \"alloc/links\", $SBOM }" && is "$(jq '.packages | length' "$A/sbom.json")" 1 &&
		file_has "$T/err" '^event: sbom_file lacks the packages of /var/lib/rpm in the image' &&
		jq -e '.comment | contains("/var/lib/rpm was not read")' "$A/sbom.json"
}
t_sbom_same() {
	for i in 1 2; do
		builds "{ context: \"alloc/packages\", timestamp: 7, cache: \"s\", $SBOM }" &&
			cp "$A/sbom.json" "$T/sbom.$i" || return 1
	done
	cmp "$T/sbom.1" "$T/sbom.2" && is "$(jq -r .creationInfo.created "$T/sbom.1")" 1970-01-01T00:00:07Z
}
t_provenance() {
	builds "{ context: \"alloc/packages\", args: { A: \"1\" }, secrets: { s: \"env:TOKEN\" }, timestamp: 0,
		provenance_file: \"alloc/from.json\", output: [{ path: \"alloc/packages.tar\" }] }" \
		'.Env = { TOKEN: "s3cr3t" }' && ! grep -q s3cr3t "$A/from.json" &&
		jq -e --arg digest "$(digest_of "$A/packages.tar" | cut -d: -f2)" --arg file \
			"$(sha256sum <"$A/packages/Containerfile" | cut -d' ' -f1)" \
			-f test/build/provenance.jq "$A/from.json" || { cat "$A/from.json"; return 1; }
}
run_test 'sbom_file: packages of dpkg and apk' t_sbom
run_test 'sbom_file: links stay in the image; RPM is told' t_sbom_hostile
run_test 'sbom_file: the same with a timestamp, from a cache' t_sbom_same
run_test 'provenance_file: results, options, Containerfile' t_provenance
run_test 'nothing is left' nothing_left
done_testing
