# SPDX-License-Identifier: MPL-2.0
# A service job $id of the tasks that are read, each a name and a config.
{ Job: { ID: $id, Name: $id, Type: "service", Datacenters: ["dc1"], TaskGroups: [{ Name: "group", Count: 1,
	RestartPolicy: { Attempts: 3, Interval: 600000000000, Delay: 1000000000, Mode: "fail" },
	ReschedulePolicy: { Attempts: 0, Unlimited: false }, EphemeralDisk: { SizeMB: 10 },
	Tasks: map({ Name: .name, Driver: "triton", Config: .config, KillTimeout: 10000000000,
		LogConfig: { MaxFiles: 2, MaxFileSizeMB: 2 }, Resources: { CPU: 20, MemoryMB: 16 },
		Services: [{ Name: ($id + "-" + .name), Provider: "nomad", AddressMode: "driver",
			PortLabel: "80" }] }) }] } }
