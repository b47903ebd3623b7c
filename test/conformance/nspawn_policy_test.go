// SPDX-License-Identifier: MPL-2.0

//go:build nspawn

package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
)

// What an operator's policy lets a job do.  The policy is written as in an agent's configuration and goes through real HCL.

// policyHost has the policy of these lines; none: no policy block.
func policyHost(t *testing.T, stateDir string, lines ...string) *host {
	t.Helper()
	h := start(t, launch{stateDir: stateDir})
	config := map[string]any{}
	if len(lines) > 0 {
		var err error
		if config, err = jobConfig("policy {\n" + strings.Join(lines, "\n") + "\n}\n"); err != nil {
			t.Fatalf("%v: %v", lines, err)
		}
	}
	h.ready(t, config)
	return h
}

func policyTask(t *testing.T, h *host, more M) *task {
	t.Helper()
	config := M{"image": os.Getenv("NSPAWN_ROOT"), "boot": false, "network_veth": false, "command": []string{"/bin/sleep", "99"}}
	for key, value := range more {
		config[key] = value
	}
	return newTask(t, h, config)
}

func allowImage() string { return fmt.Sprintf("allow_image = [%q]", os.Getenv("NSPAWN_ROOT")) }

var (
	lineInPolicy = regexp.MustCompile(`write into the plugin block, in policy: (\w+ = .*) \[nd-denied\]$`)
	wholePolicy  = regexp.MustCompile(`write into the plugin block: policy \{ (\w+ = .*) \} \[nd-denied\]$`)
)

// refusal: the start is refused, and nothing of it is left; the line that the error gives.
func refusal(t *testing.T, k *task, option, value string, line *regexp.Regexp) string {
	t.Helper()
	err := k.start()
	wantCode(t, err, codes.PermissionDenied, option)
	if !strings.Contains(err.Error(), value) {
		t.Errorf("%q is not named: %v", value, err)
	}
	found := line.FindStringSubmatch(err.Error())
	if found == nil {
		t.Fatalf("no line in: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(k.h.stateDir, "tasks")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	k.clean(t)
	return found[1]
}

// TestNspawnPolicy: each of these is refused by default, and runs with the line that the refusal gives.
func TestNspawnPolicy(t *testing.T) {
	dir := t.TempDir()
	os.Symlink("/etc", filepath.Join(dir, "link"))
	os.Mkdir(filepath.Join(dir, "up"), 0o700)
	os.Mkdir(filepath.Join(dir, "low"), 0o700)
	for _, c := range []struct {
		option, value string
		config        M
		line          string
	}{
		{"bind", "/", M{"bind": M{"/": "/host"}}, `allow_bind = ["/"]`},
		{"bind", "/etc", M{"bind": M{filepath.Join(dir, "link"): "/host"}}, `allow_bind = ["/etc"]`},
		{"bind", "/etc", M{"bind": M{dir + "/up/../link/../etc": "/host"}}, `allow_bind = ["/etc"]`},
		{"bind_read_only", "/etc", M{"bind_read_only": M{"/etc": "/host"}}, `allow_bind_read_only = ["/etc"]`},
		{"bind", "/etc", M{"bind": M{"-/etc": "/host"}}, `allow_bind = ["/etc"]`},
		{"overlay", dir, M{"user_namespacing": true, "overlay_read_only": []string{dir + "/low:" + dir + "/up:/both"}}, ""},
		{"user_namespacing", "false", M{"user_namespacing": false}, "allow_host_users = true"},
		{"private_users", "no", M{"private_users": "no"}, `allow_private_users = ["no"]`},
		{"private_users", "identity", M{"private_users": "identity"}, `allow_private_users = ["identity"]`},
		{"private_users", "655360:65536", M{"private_users": "655360:65536"}, `allow_private_users = ["655360-720895"]`},
		{"capability", "all", M{"capability": []string{"all"}}, `allow_capability = ["all"]`},
		{"capability", "CAP_SYS_BOOT", M{"capability": []string{"CAP_KILL,CAP_SYS_BOOT"}}, `allow_capability = ["CAP_SYS_BOOT"]`},
		{"device_policy", "open", M{"device_policy": "open"}, "allow_all_devices = true"},
		{"devices", "/dev/loop-control", M{"devices": []string{"/dev/loop-control:/dev/x:r"}}, `allow_devices = ["/dev/loop-control"]`},
		{"system_call_filter", "@keyring", M{"system_call_filter": []string{"@keyring"}}, `allow_system_calls = ["@keyring"]`},
		{"rlimits", "MEMLOCK", M{"rlimits": M{"MEMLOCK": "infinity"}}, `allow_rlimits = ["MEMLOCK"]`},
		{"bind", "/etc", M{"volumes": []string{"/etc:/x"}}, `allow_bind = ["/etc"]`},
		{"bind_read_only", "/etc", M{"mount": []M{{"type": "bind", "source": "/etc", "target": "/x", "readonly": true}}}, `allow_bind_read_only = ["/etc"]`},
		{"ulimit", "MEMLOCK", M{"ulimit": M{"memlock": "infinity"}}, `allow_rlimits = ["MEMLOCK"]`},
		{"ipc_mode", "host", M{"ipc_mode": "host"}, "allow_host_ipc = true"},
		{"storage_mb", "20000", M{"storage_mb": 20000}, "max_storage_mb = 20000"},
		{"pids_limit", "5000", M{"pids_limit": 5000}, "max_pids_limit = 5000"},
	} {
		t.Run(c.option+" "+c.value, func(t *testing.T) {
			h := policyHost(t, "", allowImage())
			if c.line == "" { // several values: all are named
				err := policyTask(t, h, c.config).start()
				wantCode(t, err, codes.PermissionDenied, dir+"/low")
				if !strings.Contains(err.Error(), dir+"/up") {
					t.Errorf("only one is named: %v", err)
				}
				return
			}
			line := refusal(t, policyTask(t, h, c.config), c.option, c.value, lineInPolicy)
			if line != c.line {
				t.Errorf("line %q, want %q", line, c.line)
			}
			h = policyHost(t, "", allowImage(), line)
			k := policyTask(t, h, c.config)
			k.mustStart(t)
			k.destroy(t)
		})
	}
}

// TestNspawnPolicyOfIssue is the job that was root on its host.
func TestNspawnPolicyOfIssue(t *testing.T) {
	job := M{"image": "/var/lib/machines/none", "bind": M{"/": "/host"}, "user_namespacing": false, "capability": []string{"all"}, "device_policy": "open"}
	err := policyTask(t, policyHost(t, ""), job).start()
	wantCode(t, err, codes.PermissionDenied, regexp.QuoteMeta(`in policy: allow_bind = ["/"]`))
	for _, line := range []string{"in policy: allow_host_users = true", `in policy: allow_capability = ["all"]`, "in policy: allow_all_devices = true"} {
		if !strings.Contains(err.Error(), line) {
			t.Errorf("no %s in: %v", line, err)
		}
	}
	job["image"] = os.Getenv("NSPAWN_ROOT")
	k := policyTask(t, policyHost(t, "", `mode = "open"`), job)
	k.mustStart(t)
	k.lines(t, "ls -d /host/proc/1 >/dev/null && grep -c . /host/etc/shadow >/dev/null && echo root", "root")
	k.destroy(t)
}

// TestNspawnPolicyImages: paths of the host are no images, unless the operator names them.
func TestNspawnPolicyImages(t *testing.T) {
	root := os.Getenv("NSPAWN_ROOT")
	h := policyHost(t, "")
	line := refusal(t, policyTask(t, h, nil), "image", root, wholePolicy)
	if want := allowImage(); line != want {
		t.Errorf("line %q, want %q", line, want)
	}
	refusal(t, policyTask(t, h, M{"image": "/", "ephemeral": true}), "image", `"/"`, wholePolicy)
	h = policyHost(t, "", line)
	k := policyTask(t, h, nil)
	k.mustStart(t)
	k.destroy(t)
	// Links do not get around it, and what is in the allocation needs no rule.
	k = policyTask(t, h, nil)
	link := filepath.Join(k.dir, "alloc/data/link")
	os.Symlink("/etc", link)
	k = again(t, k, M{"image": link})
	wantCode(t, k.start(), codes.PermissionDenied, "leads out of the allocation")
	k = policyTask(t, policyHost(t, ""), nil)
	tree := filepath.Join(k.dir, "alloc/data/tree")
	if err := os.CopyFS(tree, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	k = again(t, k, M{"image": tree, "command": []string{"/bin/busybox", "sleep", "99"}})
	k.mustStart(t)
	k.destroy(t)
	// Of a bundle the root counts.
	bundle := filepath.Join(root, "../policy-bundle-"+random(4))
	os.MkdirAll(bundle, 0o700)
	t.Cleanup(func() { os.RemoveAll(bundle) })
	os.WriteFile(filepath.Join(bundle, "config.json"), []byte(`{"ociVersion":"1.0.2","root":{"path":"/etc"},"process":{"args":["/bin/true"]}}`), 0o600)
	h = policyHost(t, "", fmt.Sprintf("allow_image = [%q]", bundle))
	refusal(t, policyTask(t, h, M{"image": bundle, "oci_bundle": true}), "image", "/etc", lineInPolicy)
	// So does a layout of the host that is to be unpacked.
	refusal(t, policyTask(t, h, M{"image": "x", "image_download": M{"type": "docker", "url": "oci:/etc:v1"}}), "image", "/etc", lineInPolicy)
}

// again: another config for the same allocation.
func again(t *testing.T, k *task, more M) *task {
	t.Helper()
	other := policyTask(t, k.h, more)
	os.RemoveAll(other.dir)
	k.config = other.config
	return k
}

// TestNspawnPolicyGiven: what Nomad has given to the task needs no rule; device nodes in it do.
func TestNspawnPolicyGiven(t *testing.T) {
	h := policyHost(t, "", allowImage())
	k := policyTask(t, h, nil)
	data, volume := filepath.Join(k.dir, "alloc/data"), t.TempDir()
	os.WriteFile(filepath.Join(data, "file"), []byte("of the job\n"), 0o644)
	os.WriteFile(filepath.Join(volume, "file"), []byte("of the volume\n"), 0o644)
	os.Chmod(volume, 0o755)
	k = again(t, k, M{"bind": M{data: "/data"}, "bind_read_only": M{volume: "/ro"}})
	k.extra = M{"mounts": []M{{"task_path": "/volume", "host_path": volume, "readonly": true, "propagation_mode": "private"}}}
	k.mustStart(t)
	k.lines(t, "cat /data/file /ro/file", "of the job", "of the volume")
	k.destroy(t)
	k = policyTask(t, h, nil)
	k = again(t, k, M{"bind": M{volume: "/rw"}})
	k.extra = M{"mounts": []M{{"task_path": "/volume", "host_path": volume, "readonly": true, "propagation_mode": "private"}}}
	refusal(t, k, "bind", volume, lineInPolicy)
	// Who writes to the logs, or above them, makes the agent open any file.
	for _, dir := range []string{"", "alloc", "alloc/logs"} {
		k = policyTask(t, h, nil)
		k = again(t, k, M{"bind": M{filepath.Join(k.dir, dir): "/x"}})
		refusal(t, k, "bind", filepath.Join(k.dir, dir), lineInPolicy)
	}
	k = policyTask(t, h, nil)
	node := filepath.Join(k.dir, "alloc/data/node")
	if err := syscall.Mknod(node, syscall.S_IFBLK|0o600, 7<<8); err != nil {
		t.Fatal(err)
	}
	k = again(t, k, M{"bind": M{node: "/dev/node"}})
	refusal(t, k, "bind", node, lineInPolicy)
	h = policyHost(t, "", allowImage(), fmt.Sprintf("allow_bind = [%q]", node))
	k = policyTask(t, h, nil)
	k = again(t, k, M{"bind": M{node: "/dev/node"}})
	refusal(t, k, "devices", node, lineInPolicy)
}

// TestNspawnPolicyNamespaces: the namespace is that of the allocation; the first block that matches counts.
func TestNspawnPolicyNamespaces(t *testing.T) {
	h := policyHost(t, "", allowImage(), `allow_bind = ["/srv"]`, `namespace {
		name = "ops-*"
		allow_bind = ["/etc"]
		allow_host_users = true
	}`, `namespace {
		name = "root"
		mode = "open"
	}`)
	in := func(namespace string, config M) *task {
		k := policyTask(t, h, config)
		k.extra = M{"namespace": namespace}
		return k
	}
	runs := func(namespace string, config M) {
		t.Helper()
		k := in(namespace, config)
		k.mustStart(t)
		k.destroy(t)
	}
	etc, srv := M{"bind": M{"/etc": "/host"}}, M{"bind": M{"/srv": "/host"}}
	runs("ops-1", etc)
	runs("default", srv)
	runs("root", M{"bind": M{"/": "/host"}})
	runs("ops-1", M{"user_namespacing": false})
	if line := refusal(t, in("default", etc), "bind", "/etc", lineInPolicy); line != `allow_bind = ["/srv", "/etc"]` {
		t.Errorf("what the rule says already is not in the line: %s", line)
	}
	refusal(t, in("ops-1", srv), "bind", "/srv", regexp.MustCompile(`block namespace "ops-\*" of policy in the plugin block: (.*)$`))
	refusal(t, in("default", M{"user_namespacing": false}), "user_namespacing", "false", lineInPolicy)
	// The environment is no proof.
	k := in("default", etc)
	k.env["NOMAD_NAMESPACE"] = "root"
	refusal(t, k, "bind", "/etc", lineInPolicy)
}

// TestNspawnPolicyLimits: a task that names no limit has the maximum.
func TestNspawnPolicyLimits(t *testing.T) {
	k := policyTask(t, policyHost(t, "", allowImage(), "max_pids_limit = 15"), M{"command": []string{"/bin/sh", "-c",
		"for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 99 & done 2>/tmp/err; echo done >>/tmp/err; exec sleep 99"}})
	k.mustStart(t)
	k.destroy(t)
	h := policyHost(t, "", allowImage(), "allow_host_network = false")
	refusal(t, policyTask(t, h, nil), "network_veth", "false", lineInPolicy)
}

// TestNspawnPolicyRecover: what runs is not refused by a policy that came later.
func TestNspawnPolicyRecover(t *testing.T) {
	h := policyHost(t, "", `mode = "open"`)
	k := policyTask(t, h, M{"user_namespacing": false})
	k.mustStart(t)
	h.crash()
	h = policyHost(t, h.stateDir)
	if err := k.recover(h, true); err != nil {
		t.Fatalf("RecoverTask: %v", err)
	}
	k.lines(t, "echo lives", "lives")
	// Nor is a start that is repeated because its answer was lost.
	h.crash()
	h = policyHost(t, h.stateDir)
	k.h = h
	if err := k.start(); err != nil {
		t.Errorf("StartTask again: %v", err)
	}
	k.destroy(t)
}

// swap exchanges `path`, a directory, for `link` and back, until the function that it returns is called.
func swap(path, link string) func() {
	dir := path + "-dir"
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		for {
			select {
			case <-stop:
				return
			default:
				os.Rename(path, dir)
				os.Rename(link, path)
				os.Rename(path, link)
				os.Rename(dir, path)
			}
		}
	}()
	return func() { close(stop); done.Wait() }
}

// TestNspawnPolicySwap: another task of the group swaps the source of a bind, or the image, for a link to the host, again and again.  A
// start may fail; it may never show the host.
func TestNspawnPolicySwap(t *testing.T) {
	name := canary(t)
	h := policyHost(t, "", allowImage())
	for _, what := range []string{"bind", "image"} {
		started := 0
		for i := 0; i < 12; i++ {
			k := policyTask(t, h, nil)
			source, link := filepath.Join(k.dir, "alloc/data/x"), filepath.Join(k.dir, "alloc/data/link")
			os.Mkdir(source, 0o755)
			os.Symlink("/", link)
			config, seen := M{"bind": M{source: "/x"}}, "/x/"+name
			if what == "image" {
				if err := os.CopyFS(source, os.DirFS(os.Getenv("NSPAWN_ROOT"))); err != nil {
					t.Fatal(err)
				}
				config, seen = M{"image": source, "command": []string{"/bin/busybox", "sleep", "99"}}, "/"+name
			}
			stop := swap(source, link)
			k = again(t, k, config)
			err := k.start()
			stop()
			if err == nil {
				started++
				k.lines(t, "/bin/busybox test -e "+seen+" || echo safe", "safe")
				k.destroy(t)
			} else {
				k.clean(t)
			}
		}
		t.Logf("%s: %d of 12 started", what, started)
	}
	// For certain: the logs of the allocation are a link.
	k := policyTask(t, h, nil)
	logs := filepath.Join(k.dir, "alloc/logs")
	os.Rename(logs, logs+"-away")
	os.Symlink("/", logs)
	if err := k.start(); err == nil {
		k.lines(t, "[ ! -e /alloc/logs/"+name+" ] && echo safe", "safe")
	}
	os.Remove(logs)
	os.Rename(logs+"-away", logs)
	k.clean(t)
}
