// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// marked counts the processes whose command line has a word.
func marked(word string) (n int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, d := range dirs {
		// Not what keeps it: its own name has the task's.
		if text, err := os.ReadFile(d); err == nil && strings.Contains(string(text), word) && !strings.HasPrefix(string(text), "nomad-driver") {
			n++
		}
	}
	return n
}

// ready waits until a task's script has come to where it makes a file.
func (k *task) ready(t *testing.T) {
	t.Helper()
	eventually(t, "the script is ready", func() bool { _, err := os.Stat(filepath.Join(k.dir, k.name, "ready")); return err == nil })
}

// The plugin stands still while the agent gives up on a start; when it goes on there is one task, and its replay is that one.
func TestPluginStandsStill(t *testing.T) {
	t.Parallel()
	h := start(t, launch{})
	h.ready(t, M{})
	word := "stands-still-" + random(4)
	k := newTask(t, h, shell("exec sleep 1000 # "+word))
	t.Cleanup(func() { k.clean(t) })
	k.extra = M{}
	runs := startTask(t, h, shell("exec sleep 1000"))
	leader := runs.leader(t)
	if err := syscall.Kill(h.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	_, err := invoke(ctx, h.conn, driverSvc+"StartTask", M{"task": k.message()})
	cancel()
	syscall.Kill(h.pid, syscall.SIGCONT)
	wantCode(t, err, 4, "")
	if !alive(leader) {
		t.Error("a task ended while its plugin stood still")
	}
	if err := k.start(); err != nil {
		t.Fatalf("StartTask again: %v", err)
	}
	if err := k.start(); err != nil {
		t.Fatalf("StartTask a third time: %v", err)
	}
	// The first call may have come through as well, or not: the task is one.
	time.Sleep(300 * time.Millisecond)
	if k.inspect(t).str("task.state") != "RUNNING" || !alive(k.leader(t)) {
		t.Error("the task does not run")
	}
	dirs, _ := filepath.Glob(filepath.Join(h.stateDir, "tasks", "*"))
	if len(dirs) != 2 {
		t.Errorf("records of two tasks are wanted: %v", dirs)
	}
	k.destroy(t)
	runs.destroy(t)
	if n := marked(word); n != 0 {
		t.Errorf("%d processes of the task are left", n)
	}
}

// The supervisor is stopped: exec and signal fail, stop and destroy end the task all the same, an event says so.
func TestSupervisorStandsStill(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"StopTask", "DestroyTask"} {
		h := sharedHost(t)
		events := h.stream(t, driverSvc+"TaskEvents", M{}, false)
		word := "silent-" + random(4)
		k := startTask(t, h, shell("trap '' TERM; (exec sleep 1000 # "+word+"\n) & sleep 1000 & wait # "+word))
		leader := k.leader(t)
		supervisor := parent(t, leader)
		if supervisor <= 1 || supervisor == h.pid {
			t.Fatalf("the task's parent is %d", supervisor)
		}
		if err := syscall.Kill(supervisor, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if by == "StopTask" {
			_, err := h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": []string{"true"}})
			wantCode(t, err, 4, "does not answer")
			_, err = h.call(driverSvc+"SignalTask", M{"task_id": k.id, "signal": "USR1"})
			wantCode(t, err, 4, "does not answer")
			k.stop(t, "SIGTERM", "0.1s")
		} else {
			k.destroy(t)
		}
		if alive(leader) || alive(supervisor) || marked(word) != 0 {
			t.Errorf("the task or its supervisor lives after %s", by)
		}
		if by == "StopTask" {
			k.mustExit(t, 137, 9)
			k.destroy(t)
		}
		for found := false; !found; {
			r, err := events.recv()
			if err != nil {
				t.Fatalf("no event says that the supervisor does not answer: %v", err)
			}
			found = r.str("task_id") == k.id && strings.Contains(r.str("message"), "does not answer")
		}
		events.cancel()
	}
}

// Another executable takes the place of the one that runs, and the older one comes back: tasks go on through both.
func TestExecutableIsReplaced(t *testing.T) {
	t.Parallel()
	place := filepath.Join(t.TempDir(), "nomad-driver-test")
	install := func(more string) {
		in, err := os.Open(pluginPath)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := os.OpenFile(place+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.Copy(out, in); err == nil {
			_, err = io.WriteString(out, more)
		}
		if err2 := out.Close(); err == nil {
			err = err2
		}
		if err == nil {
			err = os.Rename(place+".new", place)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install("")
	h := start(t, launch{path: place})
	h.ready(t, M{})
	k := startTask(t, h, shell("trap 'exit 4' TERM; : >ready; while :; do sleep 0.1; done"))
	k.ready(t)
	leader := k.leader(t)
	for _, more := range []string{"a newer one", ""} {
		install(more)
		// The one that runs has no file any more, and still starts tasks.
		other := startTask(t, h, shell("exit 5"))
		other.mustExit(t, 5, 0)
		other.destroy(t)
		h.crash()
		next := start(t, launch{path: place, stateDir: h.stateDir})
		next.ready(t, M{})
		if err := k.recover(next, true); err != nil {
			t.Fatalf("RecoverTask: %v", err)
		}
		k.h, h = next, next
		if got := k.leader(t); got != leader {
			t.Fatalf("the task is another process: %d, was %d", got, leader)
		}
	}
	k.stop(t, "", "20s")
	k.mustExit(t, 4, 0)
	k.destroy(t)
}

// The plugin is told to end, in each of the ways, while a start is under way: it is gone at once, and what it had
// begun is taken over by the replay, or removed.
func TestEndsDuringStart(t *testing.T) {
	for _, way := range []string{"controller", "SIGTERM", "host gone"} {
		for _, then := range []string{"StartTask", "DestroyTask"} {
			t.Run(way+", "+then, func(t *testing.T) {
				t.Parallel()
				h := start(t, launch{})
				h.ready(t, M{})
				word := "ends-during-" + random(4)
				k := newTask(t, h, M{"mode": "slow", "delay_ms": 3000, "command": "exec sleep 1000 # " + word})
				t.Cleanup(func() { k.clean(t) })
				begun := make(chan error, 1)
				go func() { _, err := h.call(driverSvc+"StartTask", M{"task": k.message()}); begun <- err }()
				dirs := func() int { d, _ := filepath.Glob(filepath.Join(h.stateDir, "tasks", "*", "task")); return len(d) }
				eventually(t, "the start is recorded", func() bool { return dirs() == 1 })
				begin := time.Now()
				switch way {
				case "controller":
					h.must(t, driverSvc+"Shutdown", M{})
					h.kill()
				case "SIGTERM":
					syscall.Kill(h.pid, syscall.SIGTERM)
					eventually(t, "the plugin ends", func() bool { return !alive(h.pid) })
					h.kill()
				case "host gone":
					h.conn.Close()
					syscall.Kill(h.pid, syscall.SIGKILL) // as an agent's whole unit dies
					h.crash()
				}
				if d := time.Since(begin); d > 10*time.Second {
					t.Errorf("the end took %v", d)
				}
				if err := <-begun; err == nil {
					t.Error("StartTask succeeded though its plugin ended")
				}
				h2 := start(t, launch{stateDir: h.stateDir})
				h2.ready(t, M{})
				k.h = h2
				if then == "StartTask" {
					if err := k.start(); err != nil {
						t.Fatalf("the replay: %v", err)
					}
					if k.inspect(t).str("task.state") != "RUNNING" {
						t.Error("the task does not run")
					}
				}
				k.destroy(t)
				if dirs() != 0 || marked(word) != 0 {
					t.Errorf("%d records and %d processes are left", dirs(), marked(word))
				}
			})
		}
	}
}

// 200 tasks are stopped at once, and the plugin is ended in the midst of it.
func TestDrainWhilePluginEnds(t *testing.T) {
	const tasks = 200
	h := start(t, launch{})
	h.ready(t, M{})
	all := make([]*task, tasks)
	each := func(f func(i int, k *task) error) {
		t.Helper()
		var wait sync.WaitGroup
		places := make(chan struct{}, 50)
		for i, k := range all {
			wait.Add(1)
			places <- struct{}{}
			go func() {
				defer wait.Done()
				defer func() { <-places }()
				if err := f(i, k); err != nil {
					t.Errorf("task %d: %v", i, err)
				}
			}()
		}
		wait.Wait()
	}
	for i := range all {
		all[i] = newTask(t, h, shell(fmt.Sprintf("trap 'exit %d' TERM; : >ready; while :; do sleep 0.2; done", 1+i%100)))
	}
	each(func(_ int, k *task) error { return k.start() })
	t.Cleanup(func() {
		for _, k := range all {
			if t.Failed() {
				k.clean(t)
			}
		}
	})
	for _, k := range all {
		k.ready(t)
	}
	var stops sync.WaitGroup
	for _, k := range all {
		stops.Add(1)
		go func() { // answered or cut off
			defer stops.Done()
			h.call(driverSvc+"StopTask", M{"task_id": k.id, "timeout": "60s"})
		}()
	}
	time.Sleep(50 * time.Millisecond)
	syscall.Kill(h.pid, syscall.SIGTERM)
	eventually(t, "the plugin ends", func() bool { return !alive(h.pid) })
	h.kill()
	stops.Wait()
	h2 := start(t, launch{stateDir: h.stateDir})
	h2.ready(t, M{})
	each(func(_ int, k *task) error { k.h = h2; return k.recover(h2, true) })
	each(func(_ int, k *task) error {
		_, err := h2.call(driverSvc+"StopTask", M{"task_id": k.id, "timeout": "60s"})
		return err
	})
	each(func(i int, k *task) error {
		r, err := h2.call(driverSvc+"WaitTask", M{"task_id": k.id})
		if err == nil && (r.num("result.exit_code") != int64(1+i%100) || r.num("result.signal") != 0 || r.str("err") != "") {
			err = fmt.Errorf("its end: %v", r.json())
		}
		return err
	})
	each(func(_ int, k *task) error {
		_, err := h2.call(driverSvc+"DestroyTask", M{"task_id": k.id, "force": true})
		return err
	})
}

const clockShim = `
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
/* The wall clock of this process is off by as many seconds as the size of a file, less a million. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	long r = syscall(SYS_clock_gettime, id, t);
	const char *path = getenv("CLOCK_OFFSET");
	struct { long size; } st = { 0 };
	int fd;

	if (r == 0 && id == CLOCK_REALTIME && path && (fd = syscall(SYS_openat, -100, path, 0x80000)) >= 0) {
		st.size = lseek(fd, 0, SEEK_END);
		close(fd);
		t->tv_sec += st.size - 1000000;
	}
	return r;
}
`

// The wall clock jumps by an hour to either side: timeouts do not change, ends are told, intervals go on.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	if sanitized {
		t.Skip("sanitizers want to be the first library")
	}
	dir := t.TempDir()
	source, shim, offset := filepath.Join(dir, "shim.c"), filepath.Join(dir, "shim.so"), filepath.Join(dir, "offset")
	if err := os.WriteFile(source, []byte(clockShim), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", shim, source).CombinedOutput(); err != nil {
		t.Skipf("no C compiler: %v: %s", err, out)
	}
	jump := func(seconds int64) {
		t.Helper()
		f, err := os.OpenFile(offset, os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			err = f.Truncate(1000000 + seconds)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	jump(0)
	h := start(t, launch{env: append(os.Environ(), "LD_PRELOAD="+shim, "CLOCK_OFFSET="+offset)})
	h.ready(t, M{})
	for _, seconds := range []int64{3600, -3600} {
		jump(0)
		k := startTask(t, h, shell("trap '' TERM; : >ready; while :; do sleep 0.1; done"))
		k.ready(t)
		stats := h.stream(t, driverSvc+"TaskStats", M{"task_id": k.id, "collection_interval": "1s"}, false)
		if _, err := stats.recv(); err != nil {
			t.Fatal(err)
		}
		jump(seconds)
		for range 2 {
			if _, err := stats.recv(); err != nil {
				t.Fatalf("statistics after a jump by %d s: %v", seconds, err)
			}
		}
		begin := time.Now()
		k.stop(t, "", "2s")
		if d := time.Since(begin); d < 1900*time.Millisecond || d > patience {
			t.Errorf("a kill timeout of 2 s took %v after a jump by %d s", d, seconds)
		}
		k.mustExit(t, 137, 9)
		k.destroy(t)
		quick := startTask(t, h, shell("exit 6"))
		quick.mustExit(t, 6, 0)
		quick.destroy(t)
	}
}

// Somebody cleans /tmp: the connection goes on, and another agent finds the plugin again.
func TestSocketIsRemoved(t *testing.T) {
	t.Parallel()
	if os.Getenv("NOMAD_TEST_LONG") == "" {
		t.Skip("a minute: NOMAD_TEST_LONG=1")
	}
	h := start(t, launch{})
	h.ready(t, M{})
	k := startTask(t, h, shell("exec sleep 1000"))
	socket := h.client.ReattachConfig().Addr.String()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	k.inspect(t)
	eventually := time.Now().Add(patience + 90*time.Second)
	for {
		if _, err := os.Lstat(socket); err == nil {
			break
		}
		if time.Now().After(eventually) {
			t.Fatal("the socket is not made again")
		}
		time.Sleep(time.Second)
	}
	again := start(t, launch{reattach: h.client.ReattachConfig(), stateDir: h.stateDir})
	again.killed = true // it is the other's to end
	if r := again.must(t, driverSvc+"InspectTask", M{"task_id": k.id}); r.str("task.state") != "RUNNING" {
		t.Errorf("the task: %v", r.json())
	}
	again.conn.Close()
	k.destroy(t)
}
