// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// run makes another run of the same task: Nomad's next id for it.
func (k *task) run(h *host) *task {
	next := *k
	next.h = h
	next.id = k.alloc + "/" + k.name + "/" + random(4)
	next.handle = R{}
	return &next
}

// next is the agent that comes after the one of h, and finds its plugin alive.
func (h *host) next(t *testing.T, re *plugin.ReattachConfig) *host {
	t.Helper()
	h.conn.Close()
	n := start(t, launch{reattach: re, stateDir: h.stateDir})
	n.killed = true
	n.must(t, driverSvc+"Init", M{})
	n.stream(t, driverSvc+"Fingerprint", M{}, false)
	return n
}

func records(h *host) int {
	found, _ := filepath.Glob(filepath.Join(h.stateDir, "tasks", "*", "task"))
	return len(found)
}

// mustBeOne: one instance of the task, besides others.  A shell that forks is two for a moment.
func mustBeOne(t *testing.T, h *host, word string, others ...*task) {
	t.Helper()
	eventually(t, "there is one instance", func() bool { return records(h) == 1+len(others) && marked(word) == 1 })
}

func mustLeaveNothing(t *testing.T, h *host, word string) {
	t.Helper()
	if r, m := records(h), marked(word); r != 0 || m != 0 {
		t.Errorf("%d records and %d processes are left", r, m)
	}
}

// An agent dies while StartTask runs, and its plugin lives on.  The next agent has no handle, and starts the task again
// with another id: one instance lives.
func TestAgentDiesInStart(t *testing.T) {
	for _, mode := range []string{"slow", "waits"} {
		for _, then := range []string{"at once", "later", "never"} {
			t.Run(mode+", the next start comes "+then, func(t *testing.T) {
				t.Parallel()
				h := start(t, launch{})
				h.ready(t, M{})
				h.stream(t, driverSvc+"Fingerprint", M{}, false)
				re := h.client.ReattachConfig()
				word := "agent-dies-" + random(4)
				delay := map[string]int{"slow": 3000, "waits": 3600000}[mode]
				k := newTask(t, h, M{"mode": mode, "delay_ms": delay, "command": "sleep 1000; : " + word})
				ctx, die := context.WithCancel(context.Background())
				begun := make(chan error, 1)
				go func() { _, err := invoke(ctx, h.conn, driverSvc+"StartTask", M{"task": k.message()}); begun <- err }()
				eventually(t, "the start is recorded", func() bool { return records(h) == 1 })
				die()
				if err := <-begun; status.Code(err) != codes.Canceled {
					t.Fatalf("StartTask: %v", err)
				}
				h2 := h.next(t, re)
				t.Cleanup(func() { h2.client.Kill() })
				k2 := k.run(h2)
				k2.config = newTask(t, h2, shell("sleep 1000; : "+word)).config
				if then != "at once" {
					eventually(t, "the start is undone", func() bool { return records(h2) == 0 && marked(word) == 0 })
				}
				if then != "never" {
					k2.mustStart(t)
					mustBeOne(t, h2, word)
					if _, err := h2.call(driverSvc+"InspectTask", M{"task_id": k.id}); status.Code(err) != codes.NotFound {
						t.Errorf("the first start is still known: %v", err)
					}
					k2.stop(t, "SIGKILL", "1s")
					k2.mustExit(t, 137, 9)
					k2.destroy(t)
				}
				mustLeaveNothing(t, h2, word)
			})
		}
	}
}

// The answer to StartTask was sent, and the agent died before it stored it: the next run ends that one, also under a new
// plugin, and one that has ended by itself.
func TestAgentForgetsTask(t *testing.T) {
	for _, command := range []string{"sleep 1000", "exit 3"} {
		for _, dies := range []string{"agent", "both"} {
			t.Run(command+", "+dies, func(t *testing.T) {
				t.Parallel()
				h := start(t, launch{})
				h.ready(t, M{})
				word := "forgets-" + random(4)
				k := startTask(t, h, shell(command+"; : "+word))
				other := startTask(t, h, shell("exec sleep 1000"))
				if strings.HasPrefix(command, "exit") {
					k.mustExit(t, 3, 0)
				}
				var h2 *host
				if re := h.client.ReattachConfig(); dies == "agent" {
					h2 = h.next(t, re)
					t.Cleanup(func() { h2.client.Kill() })
				} else {
					h.crash()
					h2 = start(t, launch{stateDir: h.stateDir})
					h2.ready(t, M{})
				}
				k2 := k.run(h2)
				k2.config = newTask(t, h2, shell("sleep 1000; : "+word)).config
				k2.mustStart(t)
				mustBeOne(t, h2, word, other)
				other.h = h2
				if err := other.recover(h2, false); err != nil {
					t.Errorf("RecoverTask of another task: %v", err)
				}
				for _, x := range []*task{k2, other} {
					x.stop(t, "SIGKILL", "1s")
					x.mustExit(t, 137, 9)
					x.destroy(t)
				}
				mustLeaveNothing(t, h2, word)
			})
		}
	}
}

// Nomad's StopTask or DestroyTask ends a start that hangs, in seconds.
func TestStopDuringStart(t *testing.T) {
	for _, method := range []string{"StopTask", "DestroyTask"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			h := start(t, launch{})
			h.ready(t, M{})
			k := newTask(t, h, M{"mode": "waits", "delay_ms": 3600000, "command": "exec sleep 1000"})
			begun := make(chan error, 1)
			go func() { begun <- k.start() }()
			eventually(t, "the start is recorded", func() bool { return records(h) == 1 })
			h.must(t, driverSvc+method, M{"task_id": k.id, "force": true, "timeout": "3600s"}.only(method))
			wantCode(t, <-begun, codes.Canceled, "cancelled: Nomad (stops|destroys) the task")
			if n := records(h); n != 0 {
				t.Errorf("%d records are left", n)
			}
		})
	}
}

// only is what the request of that method has of it.
func (m M) only(method string) M {
	field := map[string]string{"StopTask": "timeout", "DestroyTask": "force"}[method]
	return M{"task_id": m["task_id"], field: m[field]}
}

// Starts of one task by agents that die at any moment: never two instances, and at the end one.
func TestAgentsDieAtRandom(t *testing.T) {
	t.Parallel()
	h := start(t, launch{})
	h.ready(t, M{})
	re := h.client.ReattachConfig()
	word := "at-random-" + random(4)
	k := newTask(t, h, M{"mode": "slow", "delay_ms": 20, "command": "sleep 1000; : " + word})
	for i := 0; i < 20; i++ {
		k = k.run(h)
		ctx, die := context.WithTimeout(context.Background(), time.Duration(i*5)*time.Millisecond)
		invoke(ctx, h.conn, driverSvc+"StartTask", M{"task": k.message()})
		die()
		h = h.next(t, re)
	}
	t.Cleanup(func() { h.client.Kill() })
	k = k.run(h)
	k.mustStart(t)
	mustBeOne(t, h, word)
	k.destroy(t)
	mustLeaveNothing(t, h, word)
}
