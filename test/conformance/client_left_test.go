// SPDX-License-Identifier: MPL-2.0

//go:build model

package conformance

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A plugin is killed while it starts a task of which Nomad never speaks again: the next plugin removes what is left within
// seconds, with a gc_grace of minutes.
func TestClientLeftovers(t *testing.T) {
	s := readSubject(t)
	s.Grace = 300
	longest, cut, lost := time.Duration(0), 0, 0
	for i := 0; i < 12; i++ {
		w := &clientWorld{subject: &s, node: uuid()}
		w.stateDir, _ = stateDir()
		before := sharedOnHost()
		started := killInStart(t, w, time.Duration(i*i)*5*time.Millisecond)
		if !started && recordedStart(w) {
			started = true
			lost++
		}
		h, err := (launch{stateDir: w.stateDir}).start()
		if err != nil {
			t.Fatal(err)
		}
		w.plugins = append(w.plugins, h)
		if err := w.configure(h); err != nil {
			t.Fatal(err)
		}
		if started { // Nomad has the handle, or lost it with the answer: then only gc_grace ends the task
			h.must(t, driverSvc+"DestroyTask", M{"task_id": w.runs[0].id, "force": true})
		}
		began, left := time.Now(), []string(nil)
		for left = w.left(before); len(left) > 0; left = w.left(before) {
			if time.Since(began) > patience/4 {
				t.Errorf("killed after %d ms, left:\n%s", i*i*5, strings.Join(left, "\n"))
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if !started {
			cut++
			longest = max(longest, time.Since(began))
		}
		h.kill()
		w.clean()
	}
	if cut == 0 {
		t.Error("no start was killed")
	}
	t.Logf("%d starts were killed, %d only lost their answers; leftovers were removed within %v", cut, lost,
		longest.Round(10*time.Millisecond))
}

// A busy machine can end the start and kill the plugin before it sends the answer.
func recordedStart(w *clientWorld) bool {
	records, _ := filepath.Glob(filepath.Join(w.stateDir, "tasks", "*", "task"))
	for _, path := range records {
		text, _ := os.ReadFile(path)
		if strings.Contains(string(text), "\nstarted") {
			return true
		}
	}
	return false
}

func killInStart(t *testing.T, w *clientWorld, after time.Duration) (started bool) {
	h, err := (launch{stateDir: w.stateDir}).start()
	if err == nil {
		err = w.configure(h)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.plugins = append(w.plugins, h)
	w.submit(0)
	c := &client{w: w, host: h, changed: make(chan struct{})}
	c.ctx, c.die = context.WithCancel(context.Background())
	defer c.die()
	r, err := w.newRun(w.allocs[0], c)
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := invoke(c.ctx, h.conn, driverSvc+"StartTask", M{"task": r.message()})
		answer <- err
	}()
	time.Sleep(after)
	syscall.Kill(h.pid, syscall.SIGKILL)
	for alive(h.pid) {
		time.Sleep(time.Millisecond)
	}
	return <-answer == nil
}
