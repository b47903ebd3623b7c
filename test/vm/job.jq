# SPDX-License-Identifier: MPL-2.0
# A job with one task of the test driver, for its "run".
{ Job: { ID: "vm", Name: "vm", Type: "batch", Datacenters: ["*"], TaskGroups: [{ Name: "group",
	Tasks: [{ Name: "task", Driver: "testdriver", Config: ({ command: $command } + $options),
		Resources: $resources }] }] } }
