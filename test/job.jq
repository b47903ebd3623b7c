# SPDX-License-Identifier: MPL-2.0
# job_json of test/lib.sh: a job with one task.
{ Job: {
	ID: $id, Name: $id, Type: $type, Datacenters: ["dc1"],
	TaskGroups: [{ Name: "group", Count: 1,
		RestartPolicy: { Attempts: 0, Mode: "fail" },
		ReschedulePolicy: { Attempts: 0, Unlimited: false },
		EphemeralDisk: { SizeMB: 10 },
		Tasks: [{ Name: "task", Driver: $driver, Config: $config,
			KillTimeout: 5000000000,
			LogConfig: { MaxFiles: 2, MaxFileSizeMB: 2 },
			Resources: { CPU: 50, MemoryMB: 64 } }] }] } }
