#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The library under go-plugin's client and real HCL: test/conformance.  A script that sources this one may define
# `prepare`, called before the isolation, and `set_up`, called in it.
. test/lib.sh
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin:/usr/lib/go/bin
requires go
plugin=$PWD/${PLUGIN:-$BUILD/test/nomad-driver-test}
[ -x "$plugin" ] || skip_all "$plugin is not built"
GOFLAGS=-mod=readonly GOTOOLCHAIN=local
GOCACHE=${GOCACHE:-$(go env GOCACHE)} GOMODCACHE=${GOMODCACHE:-$(go env GOMODCACHE)}
export GOFLAGS GOTOOLCHAIN GOCACHE GOMODCACHE

# Without access to the modules the test is skipped.
program=$PWD/$BUILD/test/conformance${TAGS:+-$TAGS}.test
if [ -z "${NOMAD_TEST_DIR:-}" ]; then
	(cd test/conformance && go mod download) >"$T/download" 2>&1 ||
		skip_all "the Go modules cannot be downloaded: $(tail -n 1 "$T/download")"
	mkdir -p "$(dirname "$program")"
	(cd test/conformance && go vet ${TAGS:+-tags "$TAGS"} . &&
		go test ${TAGS:+-tags "$TAGS"} -c -o "$program" .) >"$T/build" 2>&1 || {
		not_ok 'the conformance tests compile' "$(cat "$T/build")"; done_testing; }
fi
[ -n "${NOMAD_TEST_DIR:-}" ] || ! command -v prepare >/dev/null || prepare
isolate "$@"
! command -v set_up >/dev/null || set_up
# The driver of test/conformance/client_world_test.go, if set_up describes one.
[ ! -e "$T/driver.json" ] || export CLIENT_DRIVER="$T/driver.json"

census_before
cd test/conformance || exit 1
PLUGIN=$plugin "$program" -test.v -test.timeout "${GO_TEST_TIMEOUT:-600s}" ${PARALLEL:+-test.parallel "$PARALLEL"} \
	${RUN:+-test.run "$RUN"} >"$T/out" 2>&1
cd ../.. || exit 1
cp "$T/out" "$BUILD/test/$(basename "$0" .sh).out"
test/go2tap "$T/out"
status=$?
count=$(grep -cE '^ *--- (PASS|FAIL|SKIP): ' "$T/out")
if census_after >"$T/census-diff"; then echo "ok $((count + 1)) - nothing is left behind"
else
	echo "not ok $((count + 1)) - nothing is left behind"
	sed 's/^/# /' "$T/census-diff"
	status=1
fi
echo "1..$((count + 1))"
exit $status
