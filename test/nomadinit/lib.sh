# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh
# test/nomadinit/lib.sh: what the tests of nomadinit share beside test/lib.sh: the stand-in agent, images, QEMU.
. test/lib.sh
PATH=$PATH:/usr/sbin:/sbin
top=$(pwd)
init=$BUILD/nomadinit/nomadinit
tests_dir=$BUILD/nomadinit-test
mkdir -p "$tests_dir"
pids=''
# shellcheck disable=SC2016
cleanup 'for p in $pids; do end_pid "$p"; done'

# check WHAT COMMAND...: as run_test, and a failure shows the console
check() {
	_before=$_failed
	run_test "$@"
	[ $_failed -eq $_before ] || [ ! -f "${console:-}" ] || diag "$(tail -n 25 "$console")"
	[ $_failed -eq $_before ]
}
# must WHAT COMMAND...: nothing that follows makes sense without it
must() { check "$@" || done_testing; }
long_only() { [ "${NOMAD_TEST_LONG:-}" = 1 ] || skip_all "takes minutes under emulation: NOMAD_TEST_LONG=1"; }
requires_nomad_file() {
	nomad=${NOMAD:-$(command -v nomad || :)}
	[ -n "$nomad" ] && [ -f "$nomad" ] || skip_all "no Nomad binary; give NOMAD=path"
}
quietly() { "$@" >/dev/null 2>&1; }
# soon SECONDS COMMAND...: until it succeeds
soon() {
	_soon=$1
	shift
	wait_for "$_soon" "$*" quietly "$@"
}
fails() { ! "$@"; }
# prints PATTERN COMMAND...
prints() {
	_pattern=$1
	shift
	like "$("$@" 2>&1)" "$_pattern"
}
lacks() { ! grep -E -e "$2" "$1"; }
at_least() { [ "${1:-0}" -ge "$2" ] || { echo "$1 is less than $2"; return 1; }; }

# What runs in the background is ended by its own id.
end_pid() {
	kill "$1" 2>/dev/null || return 0
	soon 5 fails kill -0 "$1" >/dev/null
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}
free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

standin=$tests_dir/agent
make_standin() {
	[ -x "$standin" ] && [ "$standin" -nt test/nomadinit/agent.c ] && return
	# Under a name of its own: another test may do the same at this moment.
	${CC:-cc} -O2 -static -s -o "$standin.$$" test/nomadinit/agent.c && mv "$standin.$$" "$standin"
}

# http GET|POST PORT PATH [BODY]: the answer's body
http() {
	perl -MIO::Socket::INET -e '
		my ($method, $port, $path, $body) = @ARGV;
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 10) or exit 1;
		alarm 100;
		printf $s "%s %s HTTP/1.0\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s",
			$method, $path, length $body, $body;
		local $/; my $answer = <$s>; exit 1 unless $answer =~ m{^HTTP/1.. 200};
		$answer =~ s/^.*?\r\n\r\n//s; print $answer' "$1" "$2" "$3" "${4:-}"
}
api_answers() { http GET "$port" /v1/agent/self | grep -q .; }
# Run a command in the guest; its output.
guest() { http POST "$port" /run "$1"; }
# guest_is WANT COMMAND
guest_is() { is "$(guest "$2")" "$1"; }
node_ready() { http GET "$port" /v1/nodes | jq -e '.[] | select(.Status == "ready")'; }

# ---- Images ----------------------------------------------------------------------------

build_image() {
	nomadinit/image/build --init "$init.stripped" --cache "$BUILD/image-cache" "$@" >"$T/image.log" 2>&1 ||
		{ cat "$T/image.log"; return 1; }
}
# image NAME [BUILD OPTION...]: $tests_dir/NAME/nomadinit.*, built anew when an ingredient is newer
image() {
	image_dir=$tests_dir/$1
	shift
	make_standin
	_stamp=$image_dir/stamp
	if [ -f "$_stamp" ] && [ "$(cat "$_stamp")" = "$*" ] && [ "$_stamp" -nt "$init.stripped" ] &&
		[ "$_stamp" -nt "$standin" ] && [ -z "$(find nomadinit/image -newer "$_stamp" -type f)" ]; then
		return 0
	fi
	rm -rf "$image_dir"
	build_image --out "$image_dir" --level 3 --nomad "$standin" "$@" || return 1
	echo "$*" >"$_stamp"
}
# plain_image: the one that most tests start from; sets base
plain_image() {
	must "an image is built" image plain --formats qcow2
	base=$image_dir/nomadinit.qcow2
}
requires_image_tools() {
	requires qemu-system-x86_64 qemu-img mksquashfs veritysetup sfdisk mcopy mkfs.vfat grub-mkimage objcopy cpio \
		zstd busybox
}

# ---- QEMU --------------------------------------------------------------------------------

# boot DISK [QEMU ARGUMENT...]: sets qemu (pid), port, console, monitor; one guest at a time, unless each has $guest, a
# name, and $netdev of its own, with $mac.  $memory in MiB, $disk_device and its $controller.
boot() {
	disk=$1
	shift
	port=$(free_port)
	console=$T/console${guest:+.$guest}
	monitor=$T/monitor${guest:+.$guest}
	rm -f "$monitor"
	: >"$console"
	case $disk in *.raw) format=raw ;; *) format=qcow2 ;; esac
	nice qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m "${memory:-256}" -display none -no-reboot -nodefaults \
		-vga std -chardev "file,id=serial,path=$console" -serial chardev:serial \
		-qmp "unix:$monitor,server=on,wait=off" \
		-drive "file=$disk,format=$format,if=none,id=disk,cache=${cache:-writeback}${drive_options:+,$drive_options}" \
		${controller:+-device "$controller"} \
		-device "${disk_device:-virtio-blk-pci},drive=disk,bootindex=1" \
		-netdev "${netdev:-user,hostfwd=tcp:127.0.0.1:$port-:4646},id=net" \
		-device "virtio-net-pci,netdev=net,romfile=${mac:+,mac=$mac}" \
		-device virtio-rng-pci -device i6300esb "$@" >"$T/qemu.log" 2>&1 &
	qemu=$!
	pids="$pids $qemu"
	sleep 1
	! qemu_ended || { echo "# QEMU did not start:"; sed 's/^/# /' "$T/qemu.log"; }
}
uefi_args() {
	cp /usr/share/OVMF/OVMF_VARS_4M.fd "$T/vars.fd"
	flash=if=pflash,format=raw
	echo "-machine q35 -drive $flash,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd -drive $flash,file=$T/vars.fd"
}
# qmp COMMAND [ARGUMENTS AS JSON]
qmp() {
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; alarm 10; $s->autoflush(1);
		<$s>; print $s qq({"execute":"qmp_capabilities"}\n);
		<$s>; print $s qq({"execute":"$ARGV[1]"$ARGV[2]}\n); <$s>' "$monitor" "$1" "${2:+,\"arguments\":$2}"
}
qemu_ended() { ! kill -0 "$qemu" 2>/dev/null; }
wait_up() { soon "${1:-240}" api_answers; }
wait_down() { soon "${1:-120}" qemu_ended; }
end_qemu() { end_pid "$qemu"; }
cut_power() {
	kill -9 "$qemu"
	wait "$qemu" 2>/dev/null
}
press_power() {
	qmp system_powerdown
	wait_down "${1:-120}"
}
console_has() { grep -Eq -e "$1" "$console"; }
console_lacks() { lacks "$console" "$1"; }
unmounted() { console_lacks 'stay busy' && console_has 'power off'; }
agent_is_ready() { console_has "the agent is ready"; }
# A disk that a guest may write to, backed by a built image.
overlay() { qemu-img create -q -f qcow2 -b "$(realpath "$1")" -F qcow2 "$2" ${3:+"$3"}; }
