# SPDX-License-Identifier: MPL-2.0
# A group of two tasks in a bridge network, with a volume, a template and checks.
def task(name; config): { Name: name, Driver: "nspawn", Config: config,
	Resources: { CPU: 50, MemoryMB: 64 }, LogConfig: { MaxFiles: 1, MaxFileSizeMB: 1 } };
{ Job: { ID: "group", Name: "group", Type: "service", Datacenters: ["dc1"], TaskGroups: [{ Name: "group",
	EphemeralDisk: { SizeMB: 10 },
	Networks: [{ Mode: "bridge", DNS: { Servers: ["192.0.2.53"], Searches: ["a.example", "b.example"],
		Options: ["ndots:2"] }, DynamicPorts: [{ Label: "http", To: 80 }] }],
	Volumes: { data: { Name: "data", Type: "host", Source: "data", ReadOnly: true } },
	Services: [{ Name: "web", Provider: "nomad", PortLabel: "http",
		Checks: [{ Name: "page", Type: "http", Path: "/", Interval: 2000000000, Timeout: 2000000000 },
			{ Name: "listens", Type: "tcp", Interval: 2000000000, Timeout: 2000000000 }] }],
	Tasks: [task("web"; $web) + { VolumeMounts: [{ Volume: "data", Destination: "/data", ReadOnly: true }],
			Templates: [{ DestPath: "local/www/index.html",
				EmbeddedTmpl: "page of {{ env \"NOMAD_TASK_NAME\" }}\n" }] },
		task("side"; $side)] }] } }
