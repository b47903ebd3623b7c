# SPDX-License-Identifier: MPL-2.0
# The driver under test, for test/conformance/client_world_test.go.
"curl -sS -m 2 -f \($control)/state | jq" as $state |
{ Name: "triton", Plugin: ($config | del(.state_dir)), Task: $task, Alone: true, StopCodes: [0],
Variants: [{}, {}, { package: { name: "none" }, fails: true }],
Books: "\($state) -r '.machines[] | select(.state == \"provisioning\" or .state == \"running\") |
	\"\\(.tags.nomad_task) \\(.id)\"'",
Left: "\($state) -c '.machines[] | select(.state != \"deleted\") | [.name, .state]'",
Outage: "kill -STOP \($pid)", Mend: "kill -CONT \($pid)" }
