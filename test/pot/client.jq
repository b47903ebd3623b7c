# SPDX-License-Identifier: MPL-2.0
# The driver under test, for test/conformance/client_world_test.go.
{ Name: "pot", Plugin: ($config | del(.state_dir)), Task: $task, Alone: true, StopCodes: [7],
Variants: [{}, {}, { network_mode: "inherit" }, { tag: "none", fails: true }],
Payload: "^/bin/sh -c : mark=", Left: "\($pot)/bin/pot-census", Engine: "\($pot)/bin/pot " }
