# SPDX-License-Identifier: MPL-2.0
# shellcheck shell=sh
# For the tests of nomadinit: TAP, the stand-in agent, images, QEMU, PID 1 in namespaces.
set -u
PATH=$PATH:/usr/sbin:/sbin
top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$top/$BUILD ;; esac
init=$BUILD/nomadinit/nomadinit
tests_dir=$BUILD/nomadinit-test
mkdir -p "$tests_dir"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/nomadinit-test.XXXXXX")
count=0
pids=''

ok() { count=$((count + 1)); echo "ok $count - $1"; }
not_ok() {
	count=$((count + 1))
	echo "not ok $count - $1"
	[ $# -lt 2 ] || printf '%s\n' "$2" | tail -n 40 | sed 's/^/# /'
}
skip() { count=$((count + 1)); echo "ok $count - $1 # SKIP $2"; }
# check WHAT COMMAND...: ok if the command succeeds
check() {
	what=$1
	shift
	if "$@" >"$tmp/check.out" 2>&1; then ok "$what"; else not_ok "$what" "$* failed: $(cat "$tmp/check.out"; [ ! -f "${console:-}" ] || tail -n 25 "$console")"; fi
}
skip_all() { echo "1..0 # SKIP $1"; echo "ok 1 - all of it # SKIP $1"; exit 0; }
needs() { for tool in "$@"; do command -v "$tool" >/dev/null || skip_all "no $tool here"; done; }
needs_root() { [ "$(id -u)" -eq 0 ] || skip_all "not root"; }

# What runs in the background is ended by its own id.
end_pid() {
	kill "$1" 2>/dev/null || return 0
	n=0
	while kill -0 "$1" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}
at_exit() {
	for p in $pids; do end_pid "$p"; done
	rm -rf "$tmp"
}
trap at_exit EXIT
trap 'exit 1' INT TERM

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	end=$(($(date +%s) + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt $end ] || return 1
		sleep 0.2
	done
}
free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }

standin=$tests_dir/agent
make_standin() {
	[ -x "$standin" ] && [ "$standin" -nt "$top/test/nomadinit/agent.c" ] && return
	# Under a name of its own: another test may do the same at this moment.
	${CC:-cc} -O2 -static -s -o "$tmp/agent" "$top/test/nomadinit/agent.c" && cp "$tmp/agent" "$standin.$$" && mv "$standin.$$" "$standin"
}

# http GET|POST URL [BODY]: the answer's body
http() {
	perl -MIO::Socket::INET -e '
		my ($method, $port, $path, $body) = @ARGV;
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 10) or exit 1;
		alarm 100;
		printf $s "%s %s HTTP/1.0\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", $method, $path, length $body, $body;
		local $/; my $answer = <$s>; exit 1 unless $answer =~ m{^HTTP/1.. 200};
		$answer =~ s/^.*?\r\n\r\n//s; print $answer' "$1" "$2" "$3" "${4:-}"
}
api_answers() { http GET "$port" /v1/agent/self | grep -q .; }
# Run a command in the guest; its output.
guest() { http POST "$port" /run "$1"; }

# ---- Images ----------------------------------------------------------------------------

# image NAME [BUILD OPTION...]: $tests_dir/NAME/nomadinit.*, built anew when an ingredient is newer
image() {
	image_dir=$tests_dir/$1
	shift
	make_standin
	stamp=$image_dir/stamp
	if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$*" ] && [ "$stamp" -nt "$init.stripped" ] && [ "$stamp" -nt "$standin" ] &&
		[ -z "$(find "$top/nomadinit/image" -newer "$stamp" -type f)" ]; then
		return 0
	fi
	rm -rf "$image_dir"
	"$top/nomadinit/image/build" --init "$init.stripped" --out "$image_dir" --cache "$BUILD/image-cache" --level 3 \
		--nomad "$standin" "$@" >"$tmp/image.log" 2>&1 || { cat "$tmp/image.log" >&2; return 1; }
	cp "$tmp/image.log" "$image_dir/sizes"
	echo "$*" >"$stamp"
}
image_tools="qemu-system-x86_64 qemu-img mksquashfs veritysetup sfdisk mcopy mkfs.vfat grub-mkimage objcopy cpio zstd busybox"

# ---- QEMU --------------------------------------------------------------------------------

# boot DISK [QEMU ARGUMENT...]: sets qemu (pid), port, console, monitor; one guest at a time.
# $memory in MiB, $disk_device and its $controller.
boot() {
	disk=$1
	shift
	port=$(free_port)
	console=$tmp/console
	monitor=$tmp/monitor
	rm -f "$monitor"
	: >"$console"
	case $disk in *.raw) format=raw ;; *) format=qcow2 ;; esac
	nice qemu-system-x86_64 -accel tcg -cpu max -smp 1 -m "${memory:-256}" -display none -no-reboot -nodefaults -vga std \
		-chardev "file,id=serial,path=$console" -serial chardev:serial \
		-qmp "unix:$monitor,server=on,wait=off" \
		-drive "file=$disk,format=$format,if=none,id=disk,cache=${cache:-writeback}" ${controller:+-device "$controller"} \
		-device "${disk_device:-virtio-blk-pci},drive=disk,bootindex=1" \
		-netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:4646" -device virtio-net-pci,netdev=net,romfile= \
		-device virtio-rng-pci -device i6300esb "$@" >"$tmp/qemu.log" 2>&1 &
	qemu=$!
	pids="$pids $qemu"
	sleep 1
	! qemu_ended || { echo "# QEMU did not start:"; sed 's/^/# /' "$tmp/qemu.log"; }
}
uefi_args() {
	cp /usr/share/OVMF/OVMF_VARS_4M.fd "$tmp/vars.fd"
	echo "-machine q35 -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd -drive if=pflash,format=raw,file=$tmp/vars.fd"
}
# qmp COMMAND [ARGUMENTS AS JSON]
qmp() {
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; alarm 10; $s->autoflush(1);
		<$s>; print $s qq({"execute":"qmp_capabilities"}\n); <$s>; print $s qq({"execute":"$ARGV[1]"$ARGV[2]}\n); <$s>' "$monitor" "$1" "${2:+,\"arguments\":$2}"
}
qemu_ended() { ! kill -0 "$qemu" 2>/dev/null; }
wait_up() { wait_for "${1:-240}" api_answers; }
wait_down() { wait_for "${1:-120}" qemu_ended; }
console_has() { grep -q -e "$1" "$console"; }
# A disk that a guest may write to, backed by a built image.
overlay() { qemu-img create -q -f qcow2 -b "$1" -F qcow2 "$2" ${3:+"$3"}; }
