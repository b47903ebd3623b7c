// SPDX-License-Identifier: MPL-2.0

//go:build nspawn

package conformance

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
)

// These tests show what the driver can do; policy_test.go shows what an operator allows.
func init() { sharedConfig = M{"policy": M{"mode": "open"}} }

// What Nomad passes with StartTask beside the config, as it arrives in a container of nomad-driver-nspawn: the devices of device plugins and
// the mounts of volumes.  PLUGIN is that driver, NSPAWN_ROOT a busybox tree.
func nspawnTask(t *testing.T, users bool, extra M) *task {
	t.Helper()
	k := newTask(t, sharedHost(t), M{"image": os.Getenv("NSPAWN_ROOT"), "boot": false, "network_veth": false, "user_namespacing": users,
		"command": []string{"/bin/sleep", "99"}})
	k.extra = extra
	return k
}

// In a command that is run in the container, in as many lines as the script prints.
func (k *task) lines(t *testing.T, script string, want ...string) {
	t.Helper()
	if out, code := k.exec(t, "20s", "/bin/sh", "-c", script); code != 0 || out != strings.Join(want, "\n")+"\n" {
		t.Errorf("%d\n%s\nwant\n%s", code, out, strings.Join(want, "\n"))
	}
}

func eachKind(t *testing.T, test func(t *testing.T, users bool)) {
	t.Run("users of its own", func(t *testing.T) { test(t, true) })
	t.Run("users of the host", func(t *testing.T) { test(t, false) })
}

func node(t *testing.T, name string, mode uint32, major, minor, uid, gid int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := syscall.Mknod(path, syscall.S_IFCHR|mode, major<<8|minor); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, os.FileMode(mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

// The minor number of a device that anybody may open who has its node: autofs, btrfs-control, fuse.
func openable(t *testing.T) int {
	t.Helper()
	for _, minor := range []int{235, 234, 229} {
		if f, err := os.OpenFile(node(t, "try", 0o600, 10, minor, 0, 0), os.O_RDWR, 0); err == nil {
			f.Close()
			return minor
		}
	}
	t.Skip("this kernel has neither autofs nor btrfs-control nor fuse")
	return 0
}

func TestNspawnDevices(t *testing.T) {
	eachKind(t, func(t *testing.T, users bool) {
		// 10:237 is loop-control; neither is among the usual ones.
		minor := openable(t)
		control, other := node(t, "control", 0o640, 10, 237, 0, 77), node(t, "other", 0o600, 10, minor, 0, 0)
		k := nspawnTask(t, users, M{"devices": []M{
			{"task_path": "/dev/given/control", "host_path": control, "cgroup_permissions": "rw"},
			{"task_path": "/dev/given/other", "host_path": other, "cgroup_permissions": "r"},
		}})
		k.mustStart(t)
		k.lines(t, `cd /dev/given; stat -c '%n %u:%g %a %t:%T' control other
			for d in control other; do (exec 3<$d) 2>/dev/null && echo $d reads; (exec 3>$d) 2>/dev/null && echo $d writes; done; true`,
			"control 0:77 640 a:ed", fmt.Sprintf("other 0:0 600 a:%x", minor), "control reads", "control writes", "other reads")
		k.destroy(t)
		// What is not given: root of the container that has the host's users may make the node, and not use it.
		k = nspawnTask(t, users, nil)
		k.mustStart(t)
		k.lines(t, `mknod /n c 10 237 2>/dev/null; (exec 3</n) 2>/dev/null || echo refused`, "refused")
		k.destroy(t)
		k = nspawnTask(t, users, M{"devices": []M{{"task_path": "/dev/x", "host_path": "/dev/none-of-it", "cgroup_permissions": "r"}}})
		if err := k.start(); err == nil || !strings.Contains(err.Error(), "/dev/none-of-it") {
			t.Errorf("a device that is not there: %v", err)
		}
		k.clean(t)
	})
}

func TestNspawnMounts(t *testing.T) {
	eachKind(t, func(t *testing.T, users bool) {
		dir := t.TempDir()
		for _, d := range []string{"rw", "ro"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		os.WriteFile(filepath.Join(dir, "ro/file"), []byte("of the host\n"), 0o600)
		k := nspawnTask(t, users, M{"mounts": []M{
			{"task_path": "/data/deep", "host_path": filepath.Join(dir, "rw"), "readonly": false, "propagation_mode": "private"},
			{"task_path": "/ro", "host_path": filepath.Join(dir, "ro"), "readonly": true, "propagation_mode": "private"},
		}})
		k.mustStart(t)
		k.lines(t, `stat -c '%u:%g %a' /data/deep /ro; echo x >/data/deep/new && stat -c %u:%g /data/deep/new; cat /ro/file; touch /ro/x 2>/dev/null || echo read-only`,
			"0:0 700", "0:0 700", "0:0", "of the host", "read-only")
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(dir, "rw/new"), &st); err != nil || st.Uid != 0 || st.Gid != 0 {
			t.Errorf("on the host: %v, owner %d:%d", err, st.Uid, st.Gid)
		}
		k.destroy(t)
		k = nspawnTask(t, users, M{"mounts": []M{{"task_path": "/x", "host_path": dir, "propagation_mode": "bidirectional"}}})
		if err := k.start(); err == nil || !strings.Contains(err.Error(), "host-to-task") {
			t.Errorf("bidirectional: %v", err)
		}
		k.clean(t)
		k = nspawnTask(t, users, M{"mounts": []M{{"task_path": "/x", "host_path": filepath.Join(dir, "nowhere")}}})
		if err := k.start(); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("a volume that is not there: %v", err)
		}
		k.clean(t)
	})
}

// TestNspawnDownloadIsCancelled: a start whose download hangs, or that waits for such a download of another task, ends soon after Nomad
// stops it.
func TestNspawnDownloadIsCancelled(t *testing.T) {
	asked, end := make(chan bool, 8), make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte("abc"))
		w.(http.Flusher).Flush()
		asked <- true
		<-end
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(end) })
	h := start(t, launch{})
	h.ready(t, sharedConfig)
	config := M{"image": "hangs-" + random(6), "boot": false, "network_veth": false, "command": []string{"/bin/true"},
		"image_download": M{"url": server.URL + "/x.tar"}}
	first, second := newTask(t, h, config), newTask(t, h, config)
	ends := [2]chan error{make(chan error, 1), make(chan error, 1)}
	go func() { ends[0] <- first.start() }()
	<-asked
	go func() { ends[1] <- second.start() }()
	eventually(t, "the second start is recorded", func() bool { return records(h) >= 2 })
	for i, k := range []*task{second, first} {
		h.must(t, driverSvc+"StopTask", M{"task_id": k.id, "timeout": "3600s"})
		wantCode(t, <-ends[1-i], codes.Canceled, "cancelled: Nomad stops the task")
	}
}
