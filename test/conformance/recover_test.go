// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func newHost(t *testing.T, stateDir string) *host {
	t.Helper()
	h := start(t, launch{stateDir: stateDir})
	h.ready(t, M{})
	return h
}

// The plugin is killed and started again: same process, same logs, exec and
// signals go on, and the exit code is the true one.  Nomad gives the handle
// back without the config that we would understand.
func TestRecover(t *testing.T) {
	for name, keep := range map[string]bool{"after a crash of the plugin": true, "after a restart of the agent": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "")
			k := newTask(t, h, M{"command": "echo one; read x < go; echo two; exit 42", "count": 17})
			syscall.Mkfifo(filepath.Join(k.dir, k.name, "go"), 0o600)
			k.mustStart(t)
			leader := k.leader(t)
			for i := 0; i < 3; i++ {
				if i == 1 {
					h.kill() // in order
				} else {
					h.crash()
				}
				if !alive(leader) {
					t.Fatal("the task died with the plugin")
				}
				h = newHost(t, h.stateDir)
				if err := k.recover(h, keep); err != nil {
					t.Fatalf("RecoverTask: %v", err)
				}
				if err := k.recover(h, keep); err != nil {
					t.Fatalf("second RecoverTask: %v", err)
				}
				if got := k.leader(t); got != leader {
					t.Fatalf("leader %d, was %d", got, leader)
				}
				if got := k.inspect(t).strings("driver.attributes")["config.count"]; got != "17" {
					t.Errorf("the config is lost: count %q", got)
				}
				if out, code := k.exec(t, "10s", "sh", "-c", "echo $NOMAD_ALLOC_ID"); code != 0 || out != k.alloc+"\n" {
					t.Errorf("exec after recovery: %d %q", code, out)
				}
			}
			os.WriteFile(filepath.Join(k.dir, k.name, "go"), []byte("x\n"), 0)
			k.mustExit(t, 42, 0)
			if out := k.stdout.all(t); out != "one\ntwo\n" {
				t.Errorf("logs %q", out)
			}
			k.destroy(t)
		})
	}
}

func TestExitWhilePluginIsDown(t *testing.T) {
	for _, c := range []struct {
		command      string
		code, signal int64
	}{{"exit 0", 0, 0}, {"exit 23", 23, 0}, {"kill -9 $$", 137, 9}} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "")
			k := newTask(t, h, shell("read x < go; echo bye; "+c.command))
			syscall.Mkfifo(filepath.Join(k.dir, k.name, "go"), 0o600)
			k.mustStart(t)
			leader := k.leader(t)
			h.crash()
			os.WriteFile(filepath.Join(k.dir, k.name, "go"), []byte("x\n"), 0)
			eventually(t, "the task has ended", func() bool { return !alive(leader) })
			if out := k.stdout.all(t); out != "bye\n" {
				t.Errorf("logs %q", out)
			}
			ended := time.Now()
			time.Sleep(1100 * time.Millisecond)
			h2 := newHost(t, h.stateDir)
			if err := k.recover(h2, false); err != nil {
				t.Fatalf("RecoverTask: %v", err)
			}
			k.mustExit(t, c.code, c.signal)
			s := k.inspect(t)
			if at := time.Unix(s.num("task.completed_at.seconds"), s.num("task.completed_at.nanos")); at.After(ended.Add(time.Second)) {
				t.Errorf("completed_at is the time of the recovery: %v, the task ended before %v", at, ended)
			}
			k.destroy(t)
		})
	}
}

// A handle whose task is gone without a trace: an error, and DestroyTask
// afterwards finds what is left.
func TestRecoverLost(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	k := startTask(t, h, shell("sleep 99"))
	k.destroy(t)
	h.kill()
	h2 := newHost(t, h.stateDir)
	begin := time.Now()
	if err := k.recover(h2, false); err == nil {
		t.Error("a destroyed task was recovered")
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	k.destroy(t)
}

// DestroyTask of a task that this instance has not recovered.
func TestDestroyUnrecovered(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	k := startTask(t, h, shell("trap '' TERM; sleep 996; sleep 995"))
	leader := k.leader(t)
	h.crash()
	k.h = newHost(t, h.stateDir)
	k.destroy(t)
	eventually(t, "the task is gone", func() bool { return !alive(leader) })
	k.stdout.all(t)
	k.destroy(t)
}

func TestDamagedHandles(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	k := startTask(t, h, shell("sleep 99"))
	good := k.handle.bytes("driver_state")
	handle := func(version int, state []byte, id string) error {
		config := k.message()
		config["id"] = id
		delete(config, "msgpack_driver_config")
		_, err := h.call(driverSvc+"RecoverTask", M{"handle": M{"version": version, "config": config, "state": "RUNNING", "driver_state": state}})
		return err
	}
	other := uuid() + "/web/01234567"
	damaged := map[string][]byte{"empty": {}, "zero": {0}, "text": []byte("hello"), "nothing but maps": []byte(strings.Repeat("\x81", 9999)),
		"huge length": {0xdf, 0xff, 0xff, 0xff, 0xff}, "long": []byte(strings.Repeat("x", 9<<20))}
	for n := 0; n < len(good); n++ {
		damaged["cut at "+string(rune('0'+n%10))+strings.Repeat("+", n/10)] = good[:n]
	}
	for name, state := range damaged {
		if err := handle(1, state, other); err == nil || status.Code(err) == codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 0; i < len(good); i++ {
		flipped := append([]byte(nil), good...)
		flipped[i] ^= 0xff
		if err := handle(1, flipped, other); err == nil || status.Code(err) == codes.Unavailable {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	if err := handle(1, good, other); err == nil {
		t.Error("the handle of one task was accepted for another")
	}
	for _, in := range []M{{}, {"handle": M{}}, {"handle": M{"version": 1}}, {"handle": M{"version": 1, "driver_state": good}},
		{"handle": M{"version": 1, "config": M{"id": k.id}}}} {
		if _, err := h.call(driverSvc+"RecoverTask", in); in["handle"] == nil && err == nil {
			t.Errorf("RecoverTask without a handle succeeded")
		}
	}
	// Nothing of this has touched the real task.
	if s := k.inspect(t); s.str("task.state") != "RUNNING" {
		t.Error("the task has ended")
	}
	k.destroy(t)
}

// The supervisor dies: the task goes with it, and its end is told, once.
func TestSupervisorDies(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	k := startTask(t, h, shell("sleep 994"))
	leader := k.leader(t)
	supervisor := parent(t, leader)
	if supervisor == h.pid || supervisor <= 1 {
		t.Skipf("the task's parent is %d: no supervisor", supervisor)
	}
	syscall.Kill(supervisor, syscall.SIGKILL)
	r := k.wait(t)
	if r.num("result.exit_code") == 0 && r.num("result.signal") == 0 && r.str("err") == "" {
		t.Errorf("counts as success: %v", r.json())
	}
	eventually(t, "the task is gone", func() bool { return !alive(leader) })
	k.destroy(t)
	k.stdout.all(t)
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	return procField(t, pid, "PPid")
}
