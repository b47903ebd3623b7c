# SPDX-License-Identifier: MPL-2.0
# The driver under test, for test/conformance/client_world_test.go.
{ Name: "nspawn", Plugin: { policy: { mode: "open" } }, StopCodes: [7], Alone: true,
Task: { image: $image, boot: false, network_veth: false, command: ["/bin/sh", "-c",
	": mark=@ID@; trap \"exit 7\" TERM; while :; do if read x </local/@GO@; then exit $x; fi; done"] },
Variants: [{}, { network_veth: true }, { ephemeral: true }, { network_veth: true, user_namespacing: false },
	{ command: ["/no/such/program"], fails: true }],
Payload: "^/bin/sh -c : mark=", Engine: "^[^ ]*systemd-nspawn .*@ALLOC@" }
