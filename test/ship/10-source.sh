#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What is shipped as source: whole, repeatable, accounted for; and that those
# who name one another (README, workflow, scripts, packages) agree.
. test/lib.sh
requires git jq sha256sum
VERSION=$(sed -n 's/^VERSION := //p' Makefile)
export VERSION BUILD

t_twice() {
	.packaging/source "$T/a" && cp -R "$(git rev-parse --show-toplevel)/.packaging" "$T/" || return 1
	TZ=Asia/Tokyo LC_ALL=C umask 077
	(umask 077; TZ=Asia/Tokyo .packaging/source "$T/b") && cmp "$T"/a/*.tar.gz "$T"/b/*.tar.gz
}
t_whole() {
	tar -tzf "$T"/a/*.tar.gz | sed 's|^[^/]*/||' | sort >"$T/has"
	git ls-files | while IFS= read -r f; do [ ! -e "$f" ] || echo "$f"; done | sort >"$T/wants"
	[ "$(wc -l <"$T/wants")" -gt 300 ] && [ -z "$(comm -13 "$T/has" "$T/wants")" ] ||
		{ comm -13 "$T/has" "$T/wants"; return 1; }
}
t_without_git() {
	mkdir "$T/tree" && tar -C "$T/tree" --strip-components=1 -xzf "$T"/a/*.tar.gz &&
		(cd "$T/tree" && GIT_DIR=/nonexistent .packaging/source "$T/c") && cmp "$T"/a/*.tar.gz "$T"/c/*.tar.gz
}
t_sbom() {
	.packaging/sbom "$T/a" >"$T/sbom" && jq -e -f test/ship/sbom.jq "$T/sbom" &&
		is "$(jq -r '.packages[0].checksums[0].checksumValue' "$T/sbom")" \
		"$(sha256sum "$T"/a/*.tar.gz | cut -d' ' -f1)"
}
t_versions() {
	is "$(sed -n '1s/.*(\(.*\)).*/\1/p' .packaging/debian/changelog)" "$VERSION" &&
		is "$(sed -n 's/^DISTVERSION=[[:space:]]*//p' nomad-driver-pot/freebsd/Makefile)" "$VERSION"
}
# Each driver has a script, a job in the workflow, a package in both formats.
t_agree() {
	for part in nomad-driver-build nomad-driver-triton nomad-driver-nspawn nomad-driver-pot nomadinit \
		libnomadplugin; do
		[ -x ".ci/$part" ] || { echo "there is no .ci/$part"; return 1; }
		is "$(grep -c "part: .*\b$part\b" .github/workflows/ci.yml)" 2 || return 1
		file_has .packaging/debian/control "^Package: $part(-dev)?\$" &&
			file_has .packaging/rpm/nomad-drivers-c.spec "^%package -n $part(-devel)?\$" || return 1
	done
}
# What a step of the workflow runs is a script that is there, one for each part of the matrix, a target of the
# Makefile, or apt-get.
t_workflow() {
	sed -n 's/^ *- run: //p' .github/workflows/ci.yml | sed 's/ && /\n/g' >"$T/runs"
	[ "$(wc -l <"$T/runs")" -ge 8 ] && ! grep -q 'run: |' .github/workflows/ci.yml || return 1
	while read -r command word _; do
		case $command in
		'.ci/${{') ;;
		.ci/*) [ -x "$command" ] || { echo "the workflow calls $command, which is not there"; return 1; } ;;
		make) "$MAKE" --no-print-directory -n "$word" >/dev/null 2>&1 ||
			{ echo "the workflow calls make $word, which is not there"; return 1; } ;;
		apt-get | git) ;;
		*) echo "the workflow calls $command"; return 1 ;;
		esac
	done <"$T/runs"
	for script in .ci/*; do
		part=${script##*/}
		[ "$part" = build ] || grep -Eq "$script\b|part:.*[[ ]${part}[],]" .github/workflows/ci.yml ||
			{ echo "no step of the workflow calls $script"; return 1; }
	done
}
# By a program of its own, a Go module; where the time does not matter, as it has to be fetched.
t_actionlint() {
	lint=$(command -v actionlint || echo "$PWD/build/cache/bin/actionlint")
	if [ ! -x "$lint" ]; then
		PATH=$PATH:/usr/local/go/bin:/usr/lib/go/bin
		command -v go >/dev/null || { skip_this 'neither actionlint nor go'; return 0; }
		GOTOOLCHAIN=local GOBIN=$PWD/build/cache/bin timeout 300 go install \
			github.com/rhysd/actionlint/cmd/actionlint@v1.7.3 >"$T/go" 2>&1 ||
			{ skip_this "actionlint cannot be had: $(tail -n 1 "$T/go")"; return 0; }
	fi
	"$lint" -shellcheck= -pyflakes= .github/workflows/*.yml
}
# What a part is built with is what its package says that it is built with.
t_depends() {
	sed -n '/^Build-Depends:/,/^[A-Z][^:]*:/p' .packaging/debian/control | sed '$d' >"$T/depends"
	for package in $(sed -n 's/^lib="\(.*\)"/\1/p; s/.*packages="$lib \(.*\)" ;;/\1/p; s/^nomadinit) packages="\(.*\)" ;;/\1/p' .ci/build | tr ' ' '\n' | sort -u); do
		case $package in
		gcc | g++ | make | libc6-dev) ;;	# build-essential
		libmsgpack) file_has "$T/depends" libmsgpack-dev || return 1 ;;
		*) grep -q "$package" "$T/depends" ||
			{ echo "the packages do not depend on $package to be built"; return 1; } ;;
		esac
	done
}
t_readme_links() {
	grep -o '](\([^):#]*\))' README.md | sed 's/](//; s/)//' | while IFS= read -r f; do
		[ -e "$f" ] || { echo "README.md leads to $f, which is not there"; exit 1; }
	done
}

# Options that a page names in code with a value, `name = value`, are options.
t_migration() {
	for driver in build nspawn triton pot; do
		page=nomad-driver-$driver/MIGRATION.md exe=$BUILD/plugins/nomad-driver-$driver
		file_has README.md "$page" && file_has "$page" 'nomad node drain|Nothing has to be drained' || return 1
		[ -x "$exe" ] || continue
		{ "$exe" schema --json --task; "$exe" schema --json --plugin; } |
			jq -r '.. | objects | .properties? | objects | keys[]' >"$T/options"
		for option in $(grep -o '`[a-z_]* = [^`]*`' "$page" | sed 's/^`\([a-z_]*\) .*/\1/' |
			grep -vx 'driver\|type\|image\|nomad_user' | sort -u); do
			grep -qx "$option" "$T/options" || { echo "$page: there is no option '$option'"; return 1; }
		done
	done
}
run_test 'the source is the same twice' t_twice
run_test 'all that git knows is in it' t_whole
run_test 'it makes itself again, without git' t_without_git
run_test 'the bill of materials is whole' t_sbom
run_test 'one version everywhere' t_versions
run_test 'scripts, workflow and packages know the same parts' t_agree
run_test 'each step of the workflow is there' t_workflow
[ -z "${NOMAD_TEST_LONG:-}" ] || run_test 'actionlint has nothing to say of it' t_actionlint
run_test 'scripts and packages build with the same' t_depends
run_test 'links of the README lead somewhere' t_readme_links
run_test 'a page for each driver on how to come from others' t_migration
done_testing
