# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/vm/lib-guest.sh: what scripts in a virtual machine share, after
# test/lib.sh.  The machine is ours alone: no isolation, the census is exact.
#
#   relay NAME FILE              turn another program's TAP into lines of ours
#   unit PROGRAM                 a unit test
#   task OPTIONS RESOURCES SCRIPT    one task of the test driver by `run`: sets CODE, output in $T/out and $T/err
#   spawn_task ...               the same in the background: TASK_PID
#   task_cgroup                  directory of the one task that runs

# shellcheck disable=SC2154,SC2034
relay() {
	while IFS= read -r _line; do
		case $_line in
		ok\ * | 'not ok '*) ;;
		*) continue ;;
		esac
		_text=$(printf '%s\n' "$_line" | sed 's/^\(not \)*ok *[0-9]* *-* *//')
		case $_line in
		# Older cmocka: "# SKIP name".
		*'# SKIP'* | *'# skip'*)
			_why=${_text#*# [Ss][Kk][Ii][Pp]} _text=${_text%%#*}
			skip "$1: ${_text:-$_why}" "${_why:-it says so}" ;;
		ok\ *) ok "$1: $_text" ;;
		*) not_ok "$1: $_text" "$(grep -v '^ok ' "$2" | tail -n 30)" ;;
		esac
	done <"$2"
}
# shellcheck disable=SC2154
unit() {
	_before=$_n _bad=$_failed _name=${1#*/libnomadplugin/}
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$1" >"$T/unit.log" 2>&1
	_status=$?
	relay "$_name" "$T/unit.log"
	if [ $_n -eq $_before ]; then not_ok "$_name says something" "$(tail -n 30 "$T/unit.log")"
	elif [ $_status -ne 0 ] && [ $_bad -eq $_failed ]; then not_ok "$_name ends with 0 and not $_status" \
		"$(tail -n 30 "$T/unit.log")"
	fi
}
job_of_task() {
	jq -n --argjson options "$1" --argjson resources "$2" --arg command "$3" -f test/vm/job.jq >"$T/job.json"
}
# shellcheck disable=SC2034
task() {
	job_of_task "$@" || return 1
	timeout 120 "$DRIVER" run --config "$T/plugin.json" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null
	CODE=$?
	cat "$T/out" "$T/err"
}
spawn_task() {
	job_of_task "$@" || return 1
	: >"$T/out"
	"$DRIVER" run --config "$T/plugin.json" "$T/job.json" >"$T/out" 2>"$T/err" </dev/null &
	TASK_PID=$!
}
# shellcheck disable=SC2034
end_task() {
	[ -z "${1:-}" ] || kill -"$1" "$TASK_PID"
	wait "$TASK_PID"
	CODE=$?
}
said() { grep -Eq "$1" "$T/out"; }
task_cgroup() { find /sys/fs/cgroup/nomad-drivers -mindepth 1 -maxdepth 1 -type d ! -name supervisors; }
