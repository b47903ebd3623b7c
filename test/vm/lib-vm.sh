# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# test/vm/lib-vm.sh: the host's side, after test/lib.sh.
#   run_vm KIND SCRIPT FILE...   show the TAP of a guest as ours, and end
run_vm() {
	test/vm/run ${VM_OPTIONS:-} "$@" 2>"$T/vm.err"
	status=$?
	case $status in
	0 | 1) cat "$T/vm.err" >&2; exit $status ;;
	77) skip_all "$(tail -n 1 "$T/vm.err")" ;;
	esac
	not_ok "the machine tells how the script ended" "$(cat "$T/vm.err")"
	exit 1
}
