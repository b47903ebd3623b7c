# SPDX-License-Identifier: MPL-2.0
# The same group with checks that are scripts.
.Job.ID = "script" | .Job.Name = "script" | .Job.TaskGroups[0] |= (.Services = [] |
	.Tasks[0].Services = [{ Name: "checked", Provider: "consul", PortLabel: "http",
	Checks: [{ Name: "passes", Type: "script", Command: "/bin/sh", Args: ["-c", $script],
		Interval: 1000000000, Timeout: 20000000000 },
		{ Name: "fails", Type: "script", Command: "/bin/sh", Args: ["-c", "echo no; exit 2"],
			Interval: 1000000000, Timeout: 20000000000 }] }])
