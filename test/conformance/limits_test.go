// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"os"
	"strings"
	"testing"
)

// restrictsDevices says whether there is a devices controller, or cgroup v2, to restrict devices with.
func restrictsDevices() bool {
	data, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) > 3 && (f[2] == "cgroup2" || f[2] == "cgroup" && strings.Contains(","+f[3]+",", ",devices,")) {
			return true
		}
	}
	return false
}

// Devices that Nomad gives to a task open, with the permissions it says; a command that is run in the task is under the same rules.
func TestDevices(t *testing.T) {
	t.Parallel()
	if !restrictsDevices() {
		t.Skip("no cgroup restricts devices")
	}
	h := sharedHost(t)
	k := newTask(t, h, M{"command": "sleep 99", "device_policy": "listed", "ulimit": M{"nofile": "123"}, "oom_score_adj": 77})
	k.extra = M{"devices": []M{{"task_path": "/dev/kmsg", "host_path": "/dev/kmsg", "cgroup_permissions": "r"}}}
	k.mustStart(t)
	out, code := k.exec(t, "20s", "/bin/sh", "-c", `for d in /dev/null /dev/kmsg /dev/loop-control; do
		[ ! -e $d ] || { (exec 3<$d) 2>/dev/null && echo $d reads; (exec 3>$d) 2>/dev/null && echo $d writes; }; done; ulimit -n; cat /proc/self/oom_score_adj`)
	if want := "/dev/null reads\n/dev/null writes\n/dev/kmsg reads\n123\n77\n"; code != 0 || out != want {
		t.Errorf("%d %q, want %q", code, out, want)
	}
	k.destroy(t)
	bad := newTask(t, h, M{"command": "true", "device_policy": "listed"})
	bad.extra = M{"devices": []M{{"task_path": "/dev/x", "host_path": "/dev/none-of-it", "cgroup_permissions": "r"}}}
	if err := bad.start(); err == nil || !strings.Contains(err.Error(), "/dev/none-of-it") {
		t.Errorf("a device that is not there: %v", err)
	}
}

// CPU: what Nomad says of shares, of the node's part, of reserved cores.
func TestCPULimits(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := newTask(t, h, M{"command": "sleep 99"})
	k.extra = M{"resources": M{
		"allocated_resources": M{"cpu": M{"cpu_shares": 100}, "memory": M{"memory_mb": 64}},
		"linux_resources":     M{"cpu_shares": 100, "memory_limit_bytes": 64 << 20, "PercentTicks": 0.5, "cpuset_cpus": "0"},
	}}
	k.mustStart(t)
	if out, code := k.exec(t, "20s", "/bin/sh", "-c", "sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status"); code != 0 || out != "0\n" {
		t.Errorf("cores: %d %q", code, out)
	}
	k.destroy(t)
}
