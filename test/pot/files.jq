# SPDX-License-Identifier: MPL-2.0
# Options that bring files in, and others that the stand-in notes.
{ copy: [$t + "/file:/copied", $t + "/tree:/copied-tree"], mount: [$t + "/data:/data"],
	mount_read_only: [$t + "/ro:/ro"], extra_hosts: ["db:192.0.2.7", "six:2001:db8::1"],
	attributes: ["mlock:yes", "devfs_ruleset:7", "exec_stop:/bin/true a:b"] }
