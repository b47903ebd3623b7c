#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# What pages show is true: HCL is parsed, tasks in it are valid for their
# driver, commands exist with these subcommands, options, targets and files.
# Commands that are run are so elsewhere: README's Install by 30-install, its
# `make demo` by 12-examples, QEMU's by nomadinit/25-examples.
. test/lib.sh
requires perl jq
require_nomad
make --no-print-directory BUILD="$BUILD" man >"$T/make" 2>&1 || { cat "$T/make"; exit 1; }
mkdir "$T/blocks"
test/ship/texts "$T/blocks" README.md ./*/*.md examples/*/README.md "$BUILD"/man/*.[58].pod || exit 1
where() { sed -n '1s/^# //p' "$1"; }

# Lines of nothing but dots stand for what is left out.
t_hcl() {
	[ "$(find "$T/blocks" -name '*.hcl' | wc -l)" -ge 20 ] || return 1
	for f in "$T"/blocks/*.hcl; do
		sed '1d; s/^ *\.\.\.$//' "$f" | "$NOMAD" fmt - >/dev/null 2>"$T/said" ||
			{ where "$f"; cat "$T/said"; return 1; }
	done
}
t_json() {
	for f in "$T"/blocks/*.json; do
		[ -e "$f" ] || continue
		sed 1d "$f" | jq -e . >/dev/null 2>"$T/said" || { where "$f"; cat "$T/said"; return 1; }
	done
}
# A task, a config block of a page of a driver, or a whole job.
t_tasks() {
	tasks=0
	for f in "$T"/blocks/*.hcl; do
		! grep -qx ' *\.\.\.' "$f" || continue
		driver=$(where "$f" | sed -n 's/.*nomad-driver-\([a-z]*\)[./].*/\1/p')
		case $(sed -n '2p' "$f") in
		job*) sed 1d "$f" >"$T/job.hcl" ;;
		task*) { echo 'job "j" {'; echo 'group "g" {'; sed 1d "$f"; printf '}\n}\n'; } >"$T/job.hcl" ;;
		config*) { echo 'job "j" {'; echo 'group "g" {'; printf 'task "t" {\ndriver = "%s"\n' "$driver"
			sed 1d "$f"; printf '}\n}\n}\n'; } >"$T/job.hcl" ;;
		*) continue ;;
		esac
		"$NOMAD" job run -output "$T/job.hcl" >"$T/job.json" 2>"$T/said" ||
			{ where "$f"; cat "$T/job.hcl" "$T/said"; return 1; }
		for driver in $(jq -r '.Job.TaskGroups[].Tasks[].Driver' "$T/job.json" | sort -u); do
			[ -x "$BUILD/plugins/nomad-driver-$driver" ] || continue
			"$BUILD/plugins/nomad-driver-$driver" validate "$T/job.json" >"$T/said" 2>&1 ||
				{ where "$f"; cat "$T/said"; return 1; }
			tasks=$((tasks + 1))
		done
	done
	[ $tasks -ge 5 ] || { echo "only $tasks tasks were found"; return 1; }
}
# The lines of commands, one a line: a note behind two blanks is none of it, nor what is in brackets or dots.
commands() {
	sed '1d' "$1" | sed '/<<.END./,/^END$/d' | sed -e ':a' -e '/\\$/N; s/\\\n */ /; ta' |
		sed 's/   *[^ ].*//; s/ *[[].*//; s/^\.\.\. //; s/ \.\.\.$//; s/ && /\n/g' | grep -v '^ *$\|^-'
}
known() {	# WORD...
	while :; do case $1 in *=*) shift ;; *) break ;; esac; done
	[ $# -gt 0 ] || return 0
	command=$1; shift
	case $command in
	make | gmake)
		for word in "$@"; do
			case $word in
			*=* | '$('* | *')' | -*) ;;
			v | nomad) ;;	# of $(command -v nomad)
			*) "$MAKE" --no-print-directory -n "$word" >/dev/null 2>&1 ||
				{ echo "there is no target $word"; return 1; } ;;
			esac
		done ;;
	nomad-driver-*)
		"$BUILD/plugins/$command" --help >"$T/help" || return 1
		grep -q "^    $command $1\b" "$T/help" || { echo "$command has no command $1"; return 1; }
		for word in "$@"; do case $word in --*) grep -q -e "$word" "$T/help" ||
			{ echo "$command has no option $word"; return 1; } ;; esac; done ;;
	nomadinit | build/nomadinit/nomadinit)
		"$BUILD/nomadinit/nomadinit" help 2>&1 | grep -q "^  $1 " ||
			{ echo "nomadinit has no command $1"; return 1; } ;;
	nomadinit-keys)
		"$BUILD/nomadinit/nomadinit-keys" 2>&1 | grep -q "nomadinit-keys $1 " ||
			{ echo "nomadinit-keys has no command $1"; return 1; } ;;
	nomad)
		set -- $(echo "$*" | sed 's/ -.*\|[>|].*//')	# its subcommands, up to the first option
		case $1 in job | alloc | node) set -- "$1" "$2" ;; *) set -- "$1" ;; esac
		"$NOMAD" "$@" -help >/dev/null 2>&1 || { echo "nomad has no command $*"; return 1; } ;;
	build/*) "$MAKE" --no-print-directory -n "$BUILD/${command#build/}" >/dev/null 2>&1 ||
		{ echo "nothing makes $command"; return 1; } ;;
	test/* | nomadinit/* | examples/*) [ -x "$command" ] || { echo "there is no $command"; return 1; } ;;
	./*) [ -x "examples/nspawn/$command" ] || { echo "there is no $command"; return 1; } ;;
	perl) [ -e "$1" ] || { echo "there is no $1"; return 1; } ;;
	apt | pkg | systemctl | ssh-keygen | cd | cp | gdb | tr | openssl | jq | printf | cat | .) ;;
	mkfs.vfat | mcopy | qemu-img | qemu-system-x86_64) ;;
	*) echo "nobody knows $command"; return 1 ;;
	esac
}
t_commands() {
	[ "$(find "$T/blocks" -name '*.sh' | wc -l)" -ge 20 ] || return 1
	for f in "$T"/blocks/*.sh; do
		commands "$f" >"$T/lines"
		while IFS= read -r line; do
			set -f
			# shellcheck disable=SC2086
			known $line >"$T/said" 2>&1 || { set +f; where "$f"; echo "$line"; cat "$T/said"; return 1; }
			set +f
		done <"$T/lines"
		sed 's/^/+ /' "$T/lines" >>"$T/all"
	done
	[ "$(wc -l <"$T/all")" -ge 50 ]
}

run_test 'HCL of pages is parsed' t_hcl
run_test 'JSON, too' t_json
run_test 'tasks in it are valid' t_tasks
run_test 'commands of pages are there' t_commands
[ -z "${KEEP:-}" ] || cat "$T/all"
done_testing
