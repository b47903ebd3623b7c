// SPDX-License-Identifier: MPL-2.0

//go:build crash

package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Plugin or supervisor die by SIGKILL at a named step; then comes what Nomad
// does: a new plugin, StartTask again or RecoverTask, WaitTask, DestroyTask.
// There is one instance of the task, its exit code is true or it is said to
// be lost, and nothing is left.

var (
	startSteps = []string{"core-start-intent", "core-start-recorded", "core-run-recorded", "start-recorded", "start-launched",
		"start-sent", "start-answered", "core-run-started", "core-start-driver", "core-start-done"}
	bornSteps   = []string{"super-detached", "super-recorded", "super-listening", "super-cgroups", "super-forked", "super-main"}
	lateSteps   = []string{"super-execed", "super-started"}
	endSteps    = []string{"super-stop", "super-kill", "super-empty", "super-written", "super-exit"}
	execSteps   = []string{"super-exec"}
	attachSteps = []string{"attach-connected", "core-recover-attached"}
	tidySteps   = []string{"core-tidy-begin", "clean-begin", "clean-killed", "clean-removed", "core-tidy-killed", "core-tidy-destroyed",
		"core-tidy-removed"}
)

func TestAllCrashPointsHaveACase(t *testing.T) {
	known := map[string]bool{}
	for _, list := range [][]string{startSteps, bornSteps, lateSteps, endSteps, execSteps, attachSteps, tidySteps} {
		for _, step := range list {
			known[step] = true
		}
	}
	call := regexp.MustCompile(`nomad__crash_at\("([^"]+)"\)`)
	found := 0
	filepath.Walk("../../libnomadplugin", func(path string, info os.FileInfo, err error) error {
		if err != nil || filepath.Ext(path) != ".c" {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range call.FindAllSubmatch(data, -1) {
			if found++; !known[string(m[1])] {
				t.Errorf("%s: nobody tests a death at %q", path, m[1])
			}
			delete(known, string(m[1]))
		}
		return err
	})
	if found == 0 || len(known) > 0 {
		t.Errorf("%d steps in the sources; not there: %v", found, known)
	}
}

// crashTask is a task that can be counted: its command has an argument that
// nothing else on this machine has.
type crashTask struct {
	*task
	marker string
}

func dyingAt(t *testing.T, step, stateDir string) *host {
	t.Helper()
	l := launch{stateDir: stateDir}
	if step != "" {
		l.env = []string{"NOMAD_DRIVER_CRASH_AT=" + step}
	}
	h := start(t, l)
	h.ready(t, M{})
	return h
}

func newCrashTask(t *testing.T, h *host, command string) crashTask {
	t.Helper()
	k := crashTask{marker: "marker-" + random(8)}
	k.task = newTask(t, h, M{"command": command, "args": []string{k.marker}})
	k.extra = M{"stdout_path": "/dev/null", "stderr_path": "/dev/null"}
	syscall.Mkfifo(filepath.Join(k.dir, k.name, "go"), 0o600)
	t.Cleanup(func() { k.clean(t) })
	return k
}

const (
	readThen42 = "read x < go; exit 42"
	deaf42     = "trap '' TERM; : > deaf; " + readThen42
)

func (k crashTask) mustBeDeaf(t *testing.T) {
	eventually(t, "the task ignores SIGTERM", func() bool {
		_, err := os.Stat(filepath.Join(k.dir, k.name, "deaf"))
		return err == nil
	})
}

func (k crashTask) instances() (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		data, _ := os.ReadFile(d + "/cmdline")
		pid, _ := strconv.Atoi(filepath.Base(d))
		for _, arg := range bytes.Split(data, []byte{0}) {
			if string(arg) == k.marker && alive(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return
}

func (k crashTask) mustRunOnce(t *testing.T) int {
	t.Helper()
	pids := k.instances()
	if len(pids) != 1 {
		t.Fatalf("there are %d instances of the task: %v", len(pids), pids)
	}
	return pids[0]
}

func (k crashTask) finish(t *testing.T) {
	t.Helper()
	// Without a reader (the task is gone) this would wait for ever.
	eventually(t, "the task reads its fifo", func() bool {
		f, err := os.OpenFile(filepath.Join(k.dir, k.name, "go"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = f.WriteString("x\n")
		return err == nil
	})
	k.mustExit(t, 42, 0)
}

// left names what there still is of the task.
func (k crashTask) left() (left []string) {
	for _, pid := range k.instances() {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	filepath.Walk("/sys/fs/cgroup", func(path string, info os.FileInfo, err error) error {
		if err == nil && info.IsDir() && strings.Contains(path, k.alloc[:8]) { // the library's and Nomad's begin so
			left = append(left, path)
		}
		return nil
	})
	tasks, _ := os.ReadDir(filepath.Join(k.h.stateDir, "tasks"))
	for _, d := range tasks {
		left = append(left, "state directory "+d.Name())
	}
	return
}

func (k crashTask) mustBeGone(t *testing.T) {
	t.Helper()
	var left []string
	for end := time.Now().Add(patience / 4); ; time.Sleep(20 * time.Millisecond) {
		if left = k.left(); len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left: %v", left)
		}
	}
}

// mustDie: the call was answered by the death of the plugin.
func (h *host) mustDie(t *testing.T, err error) {
	t.Helper()
	if status.Code(err) != codes.Unavailable {
		t.Fatalf("the plugin was to die in the call, but it answered: %v", err)
	}
	eventually(t, "the plugin is dead", func() bool { return !alive(h.pid) })
	h.crash()
}

// mustBeLost: the end is told as a failure, and why.
func (k crashTask) mustBeLost(t *testing.T) {
	t.Helper()
	r := k.wait(t)
	text := r.str("err") + " " + fmt.Sprint(r.json())
	if r.num("result.exit_code") == 0 && r.num("result.signal") == 0 && r.str("err") == "" {
		t.Errorf("counts as success: %v", r.json())
	}
	if !strings.Contains(text, "supervisor") {
		t.Errorf("does not say why: %v", r.json())
	}
}

func (k crashTask) force(t *testing.T) error {
	_, err := k.h.call(driverSvc+"DestroyTask", M{"task_id": k.id, "force": true})
	return err
}

func each(t *testing.T, steps []string, f func(t *testing.T, step string)) {
	for _, step := range steps {
		t.Run(step, func(t *testing.T) { t.Parallel(); f(t, step) })
	}
}

// The plugin dies in StartTask; Nomad sends it again.
func TestPluginDiesInStart(t *testing.T) {
	each(t, startSteps, func(t *testing.T, step string) {
		h := dyingAt(t, step, "")
		k := newCrashTask(t, h, readThen42)
		h.mustDie(t, k.start())
		k.h = dyingAt(t, "", h.stateDir)
		if err := k.start(); err != nil {
			t.Fatalf("StartTask again: %v", err)
		}
		pid := k.mustRunOnce(t)
		// And once more, as if the answer was lost.
		if err := k.start(); err != nil || k.mustRunOnce(t) != pid {
			t.Errorf("StartTask for the third time: %v", err)
		}
		k.finish(t)
		k.destroy(t)
		k.mustBeGone(t)
	})
}

// The plugin dies in StartTask, and the job is gone before it is back.
func TestPluginDiesInStartThenDestroy(t *testing.T) {
	each(t, startSteps, func(t *testing.T, step string) {
		h := dyingAt(t, step, "")
		k := newCrashTask(t, h, readThen42)
		h.mustDie(t, k.start())
		k.h = dyingAt(t, "", h.stateDir)
		k.destroy(t)
		k.mustBeGone(t)
	})
}

// The plugin dies in StartTask, and again when the next one clears away.
func TestPluginDiesInReplay(t *testing.T) {
	each(t, tidySteps, func(t *testing.T, step string) {
		h := dyingAt(t, "core-run-started", "")
		k := newCrashTask(t, h, readThen42)
		h.mustDie(t, k.start())
		k.h = dyingAt(t, step, h.stateDir)
		k.h.mustDie(t, k.start())
		k.h = dyingAt(t, "", h.stateDir)
		if err := k.start(); err != nil {
			t.Fatalf("StartTask for the third time: %v", err)
		}
		k.mustRunOnce(t)
		k.finish(t)
		k.destroy(t)
		k.mustBeGone(t)
	})
}

// The supervisor dies before the task runs: StartTask fails, and since Nomad
// never speaks of such a task again nothing of it may be there.
func TestSupervisorDiesInStart(t *testing.T) {
	each(t, bornSteps, func(t *testing.T, step string) {
		h := dyingAt(t, step, "")
		k := newCrashTask(t, h, readThen42)
		err := k.start()
		if err == nil {
			t.Fatal("StartTask succeeded without a supervisor")
		}
		if !strings.Contains(status.Convert(err).Message(), "supervisor") || !alive(h.pid) {
			t.Errorf("StartTask: %v", err)
		}
		k.mustBeGone(t)
		h.kill()
		k.h = dyingAt(t, "", h.stateDir)
		if err := k.start(); err != nil {
			t.Fatalf("StartTask again: %v", err)
		}
		k.mustRunOnce(t)
		k.finish(t)
		k.destroy(t)
		k.mustBeGone(t)
	})
}

// It dies as soon as the task runs: either StartTask fails or WaitTask tells.
func TestSupervisorDiesEarly(t *testing.T) {
	each(t, lateSteps, func(t *testing.T, step string) {
		h := dyingAt(t, step, "")
		k := newCrashTask(t, h, readThen42)
		if err := k.start(); err == nil {
			k.mustBeLost(t)
			k.destroy(t)
		} else if !strings.Contains(status.Convert(err).Message(), "supervisor") {
			t.Errorf("StartTask: %v", err)
		}
		k.mustBeGone(t)
		h.alive(t)
	})
}

// It dies while the task is stopped, or ends.
func TestSupervisorDiesAtTheEnd(t *testing.T) {
	for ends, steps := range map[string][]string{"killed": endSteps, "stopped": {"super-stop", "super-empty", "super-written", "super-exit"},
		"by itself": {"super-empty", "super-written", "super-exit"}} {
		each(t, steps, func(t *testing.T, step string) {
			h := dyingAt(t, step, "")
			k := newCrashTask(t, h, map[bool]string{true: deaf42, false: readThen42}[ends == "killed"])
			if err := k.start(); err != nil {
				t.Fatal(err)
			}
			k.mustRunOnce(t)
			if ends == "killed" {
				k.mustBeDeaf(t)
			}
			if ends == "by itself" {
				os.WriteFile(filepath.Join(k.dir, k.name, "go"), []byte("x\n"), 0)
			} else {
				h.call(driverSvc+"StopTask", M{"task_id": k.id, "timeout": "0.3s", "signal": "SIGTERM"})
			}
			switch {
			case step != "super-exit" && step != "super-written":
				k.mustBeLost(t)
			case ends == "by itself":
				k.mustExit(t, 42, 0)
			case ends == "stopped":
				k.mustExit(t, 143, 15)
			default:
				k.mustExit(t, 137, 9)
			}
			k.destroy(t)
			k.mustBeGone(t)
			h.alive(t)
		})
	}
}

func TestSupervisorDiesInExec(t *testing.T) {
	each(t, execSteps, func(t *testing.T, step string) {
		h := dyingAt(t, step, "")
		k := newCrashTask(t, h, readThen42)
		if err := k.start(); err != nil {
			t.Fatal(err)
		}
		r, err := h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": []string{"sleep", "99"}, "timeout": "60s"})
		if err == nil && r.num("result.exit_code") == 0 {
			t.Errorf("ExecTask counts as success: %v", r.json())
		}
		k.mustBeLost(t)
		k.destroy(t)
		k.mustBeGone(t)
		h.alive(t)
	})
}

// The plugin dies in RecoverTask, or in a StartTask that is to adopt.
func TestPluginDiesInRecover(t *testing.T) {
	for how, steps := range map[string][]string{"RecoverTask": attachSteps, "StartTask": attachSteps[:1]} {
		each(t, steps, func(t *testing.T, step string) {
			h := dyingAt(t, "", "")
			k := newCrashTask(t, h, readThen42)
			again := func(h *host) error {
				if k.h = h; how == "StartTask" {
					return k.start()
				}
				return k.recover(h, false)
			}
			if err := k.start(); err != nil {
				t.Fatal(err)
			}
			pid := k.mustRunOnce(t)
			h.crash()
			h = dyingAt(t, step, h.stateDir)
			h.mustDie(t, again(h))
			if err := again(dyingAt(t, "", h.stateDir)); err != nil {
				t.Fatalf("%s again: %v", how, err)
			}
			if now := k.mustRunOnce(t); now != pid {
				t.Errorf("the task's process is %d, was %d", now, pid)
			}
			k.finish(t)
			k.destroy(t)
			k.mustBeGone(t)
		})
	}
}

// The plugin dies in DestroyTask, of a task that runs or is over.  Nomad tries
// RecoverTask, since it has the handle, and destroys what cannot be recovered.
func TestPluginDiesInDestroy(t *testing.T) {
	for _, state := range []string{"running", "over", "recover"} {
		each(t, tidySteps, func(t *testing.T, step string) {
			h := dyingAt(t, step, "")
			k := newCrashTask(t, h, readThen42)
			if err := k.start(); err != nil {
				t.Fatal(err)
			}
			k.mustRunOnce(t)
			if state == "over" {
				k.finish(t)
			}
			h.mustDie(t, k.force(t))
			k.h = dyingAt(t, "", h.stateDir)
			if state == "recover" && k.recover(k.h, false) == nil {
				// Killed before the death or thereafter, or not at all yet.
				k.stop(t, "SIGKILL", "1s")
				if r := k.wait(t); r.num("result.exit_code") == 0 && r.str("err") == "" {
					t.Errorf("counts as success: %v", r.json())
				}
			}
			k.destroy(t)
			k.mustBeGone(t)
			k.destroy(t)
		})
	}
}

// Both die, one after the other.
func TestBothDie(t *testing.T) {
	each(t, []string{"the plugin first", "the supervisor first"}, func(t *testing.T, order string) {
		h := dyingAt(t, "", "")
		k := newCrashTask(t, h, deaf42)
		if err := k.start(); err != nil {
			t.Fatal(err)
		}
		supervisor := parent(t, k.mustRunOnce(t))
		if supervisor <= 1 || supervisor == h.pid {
			t.Fatalf("the task's parent is %d", supervisor)
		}
		if left := fmt.Sprint(k.left()); !strings.Contains(left, "process ") || !strings.Contains(left, "/sys/fs/cgroup/") ||
			!strings.Contains(left, "state directory ") {
			t.Fatalf("the census does not see a task that runs: %s", left)
		}
		if order == "the plugin first" {
			h.crash()
			syscall.Kill(supervisor, syscall.SIGKILL)
		} else {
			syscall.Kill(h.pid, syscall.SIGSTOP) // it does not see it
			syscall.Kill(supervisor, syscall.SIGKILL)
			h.crash()
		}
		h = dyingAt(t, "", h.stateDir)
		if err := k.recover(h, false); err == nil {
			k.mustBeLost(t)
		} else if !strings.Contains(status.Convert(err).Message(), "lost") {
			t.Errorf("RecoverTask: %v", err)
		}
		k.destroy(t)
		k.mustBeGone(t)
	})
}
