# SPDX-License-Identifier: MPL-2.0
# A task before the build gives it a context, $tar and the Containerfile $text.
.Job.TaskGroups[0].Tasks += [{ Name: "prepare", Driver: "raw_exec", Lifecycle: { Hook: "prestart" },
	Resources: { CPU: 50, MemoryMB: 64 },
	Templates: [{ DestPath: "local/c", EmbeddedTmpl: $text }],
	Config: { command: "/bin/sh", args: ["-c", "mkdir -p $NOMAD_ALLOC_DIR/src && "
		+ "cp \($tar) $NOMAD_ALLOC_DIR/src/rootfs.tar && cp local/c $NOMAD_ALLOC_DIR/src/Containerfile; "
		+ "readlink /proc/self/ns/net"] } }] |
.Job.TaskGroups[0].Tasks[0].Resources.MemoryMB = 300 | .Job.TaskGroups[0].EphemeralDisk = { SizeMB: 300 }
