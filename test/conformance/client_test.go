// SPDX-License-Identifier: MPL-2.0

//go:build model

package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A model of Nomad's client, as far as a driver can see it.  One client is one life of an agent: it ends in the middle of
// whatever it does, and the next one finds only what was stored.

// run is one invocation of a task: one call of StartTask, and a second one where the plugin died under the first.
type run struct {
	*task
	alloc *allocation

	recovers sync.Mutex
	mu       sync.Mutex
	on       *host   // the plugin that has the task
	by       *client // the life of the agent that has asked it for the task
	at       string  // the last call
	// Why it may end.
	finish  int64 // the exit code that it was told to end with; -1: none
	stopped bool  // by StopTask
	killed  bool  // its supervisor or its engine
	dropped bool  // Nomad has no handle of it (any more), or destroyed it
	told    *outcome
}

func (r *run) set(f func(r *run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

// allocation is what the servers know of it, and what the client has stored.
type allocation struct {
	id, dir string
	config  string        // of the task, with placeholders
	fails   bool          // its starts fail
	gap     time.Duration // between the answer to StartTask and its storing
	wanted  bool
	again   bool // a restart is wanted
	done    bool
	left    int // restarts
	run     *run
	kick    chan struct{} // wanted or again have changed
}

type client struct {
	w    *clientWorld
	ctx  context.Context
	die  context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	host    *host // of the plugin that runs; or nil
	changed chan struct{}
}

func newClient(w *clientWorld) *client {
	c := &client{w: w, changed: make(chan struct{})}
	c.ctx, c.die = context.WithCancel(context.Background())
	c.spawn(c.manage)
	for _, a := range w.allocs {
		c.take(a)
	}
	return c
}

func (c *client) spawn(f func()) {
	c.work.Add(1)
	go func() { defer c.work.Done(); f() }()
}

func (c *client) lives() bool { return c.ctx.Err() == nil }

func (c *client) sleep(d time.Duration) {
	select {
	case <-c.ctx.Done():
	case <-time.After(d):
	}
}

// store changes the client's database; false: the client died before.
func (c *client) store(f func()) bool {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if !c.lives() {
		return false
	}
	f()
	return true
}

// kill ends the client between two instructions; its connection is closed.
func (c *client) kill() {
	c.w.mu.Lock()
	c.die()
	c.w.mu.Unlock()
	c.mu.Lock()
	h := c.host
	c.mu.Unlock()
	if h != nil {
		h.conn.Close()
	}
	c.work.Wait()
}

// ---- The plugin ----

func (c *client) set(h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.host = h
	close(c.changed)
	c.changed = make(chan struct{})
}

// there waits for a plugin other than `old`; nil: the client has died.
func (c *client) there(old *host) *host {
	for {
		c.mu.Lock()
		h, changed := c.host, c.changed
		c.mu.Unlock()
		if !c.lives() {
			return nil
		}
		if h != nil && h != old {
			return h
		}
		select {
		case <-c.ctx.Done():
		case <-changed:
		}
	}
}

func (c *client) dispense() (*host, error) {
	c.w.mu.Lock()
	re := c.w.reattach
	c.w.mu.Unlock()
	if re != nil {
		if h, err := (launch{reattach: re, stateDir: c.w.stateDir}).start(); err == nil {
			h.pid = re.Pid
			_, err = invoke(c.ctx, h.conn, driverSvc+"Init", M{})
			return h, err
		}
	}
	h, err := (launch{stateDir: c.w.stateDir}).start()
	if err != nil {
		return nil, err
	}
	c.w.mu.Lock()
	c.w.plugins = append(c.w.plugins, h)
	c.w.mu.Unlock()
	if err = c.w.configure(h); err == nil {
		c.store(func() { c.w.reattach = h.client.ReattachConfig() })
	}
	return h, err
}

// manage keeps a plugin running.
func (c *client) manage() {
	for c.lives() {
		h, err := c.dispense()
		if err == nil {
			c.set(h)
			err = c.listen(h)
			c.set(nil)
		}
		if h != nil {
			h.conn.Close()
		}
		// One that was killed takes a moment to be gone.
		for i := 0; c.lives() && h != nil && alive(h.pid); i++ {
			if i == 300 {
				c.w.fail("the plugin lives, but does not serve: %v", err)
				return
			}
			c.sleep(10 * time.Millisecond)
		}
		if err != nil && h == nil && c.lives() {
			c.w.fail("the plugin does not start: %v", err)
			return
		}
		c.store(func() { c.w.reattach = nil })
	}
}

func (c *client) listen(h *host) error {
	events, err := openStream(c.ctx, h.conn, driverSvc+"TaskEvents", M{}, false)
	if err != nil {
		return err
	}
	c.spawn(func() {
		for err := error(nil); err == nil; {
			_, err = events.recv()
		}
	})
	prints, err := openStream(c.ctx, h.conn, driverSvc+"Fingerprint", M{}, false)
	for err == nil {
		_, err = prints.recv()
	}
	return err
}

// call repeats a call on the next plugin if one dies under it.
func (c *client) call(r *run, method string, in M) (R, error) {
	for h := c.there(nil); h != nil; h = c.there(h) {
		if err := c.recover(r, h); err != nil {
			if c.died(h, err) {
				continue
			}
			return R{}, err
		}
		r.set(func(r *run) { r.at = method })
		reply, err := invoke(c.ctx, h.conn, driverSvc+method, in)
		if err == nil || !c.died(h, err) {
			return reply, err
		}
	}
	return R{}, context.Canceled
}

// died: the call failed because its plugin is dead.
func (c *client) died(h *host, err error) bool {
	if code := status.Code(err); code != codes.Unavailable && code != codes.Canceled {
		return false
	}
	for i := 0; i < 300 && c.lives(); i++ {
		if !alive(h.pid) {
			return true
		}
		c.sleep(10 * time.Millisecond)
	}
	return false
}

// ---- Allocations ----

func (c *client) take(a *allocation) { c.spawn(func() { c.keep(a) }) }

func (c *client) keep(a *allocation) {
	var r *run
	c.store(func() { r = a.run })
	for c.lives() {
		if r == nil {
			goOn := false
			if !c.store(func() { goOn = a.wanted && a.left > 0; a.left--; a.done = !goOn }) || !goOn {
				return
			}
			if r = c.start(a); r == nil {
				c.sleep(20 * time.Millisecond)
				continue
			}
		}
		c.await(a, r)
		if !c.lives() {
			return
		}
		c.destroy(r)
		r = nil
	}
}

func (c *client) start(a *allocation) *run {
	r, err := c.w.newRun(a, c)
	if err != nil {
		return nil // the client has died, or the plugin
	}
	began := time.Now()
	reply, err, twice := R{}, error(nil), false
	for h := c.there(nil); h != nil; h = c.there(h) {
		r.set(func(r *run) { r.on, r.by, r.at = h, c, "StartTask" })
		if reply, err = invoke(c.ctx, h.conn, driverSvc+"StartTask", M{"task": r.message()}); err == nil || twice || !c.died(h, err) {
			break
		}
		twice = true
	}
	if !c.lives() {
		r.set(func(r *run) { r.dropped = true })
		return nil
	}
	if err != nil {
		r.set(func(r *run) { r.dropped = true })
		code := status.Code(err)
		if code != codes.Unavailable && code != codes.Canceled {
			if !a.fails && !c.w.disturbed(began) {
				c.w.fail("StartTask %s: %v", r.id, err)
			}
			if n := watch.living(r.id); n != 0 {
				c.w.fail("StartTask %s failed and left %d instances: %v", r.id, n, err)
			}
		}
		return nil
	}
	r.handle = reply.sub("handle")
	c.sleep(a.gap)
	if !c.store(func() { a.run = r }) {
		r.set(func(r *run) { r.dropped = true })
		return nil
	}
	return r
}

// recover gives the plugin the task, if that is another one than had it; once, of all that want to call it.
func (c *client) recover(r *run, h *host) error {
	r.recovers.Lock()
	defer r.recovers.Unlock()
	known := false
	r.set(func(r *run) { known, r.at = r.on == h && r.by == c, "RecoverTask" })
	if known {
		return nil
	}
	config := r.message()
	delete(config, "msgpack_driver_config")
	_, err := invoke(c.ctx, h.conn, driverSvc+"RecoverTask", M{"handle": M{"version": r.handle.num("version"), "config": config,
		"state": "RUNNING", "driver_state": r.handle.bytes("driver_state")}})
	if err != nil && c.lives() && !c.died(h, err) {
		r.set(func(r *run) {
			if !r.killed && !r.dropped {
				c.w.fail("RecoverTask %s: %v", r.id, err)
			}
		})
	}
	if err == nil {
		r.set(func(r *run) { r.on, r.by = h, c })
	}
	return err
}

func (c *client) destroy(r *run) {
	r.set(func(r *run) { r.dropped = true })
	for h := c.there(nil); h != nil; h = c.there(h) {
		r.set(func(r *run) { r.at = "DestroyTask" })
		_, err := invoke(c.ctx, h.conn, driverSvc+"DestroyTask", M{"task_id": r.id, "force": true})
		if err != nil && c.lives() && c.died(h, err) {
			continue
		}
		if err != nil && c.lives() && !c.w.disturbed(time.Now()) {
			c.w.fail("DestroyTask %s: %v", r.id, err)
		}
		break
	}
	c.store(func() { r.alloc.run = nil })
}

// await ends when the task has ended, or the client.
func (c *client) await(a *allocation, r *run) {
	ended := make(chan struct{})
	c.spawn(func() {
		defer close(ended)
		reply, err := c.call(r, "WaitTask", M{"task_id": r.id})
		if !c.lives() {
			return
		}
		c.w.heard(r, reply, err)
	})
	for {
		stop, again := false, false
		if !c.store(func() { stop, again, a.again = !a.wanted, a.again, false }) {
			return
		}
		if stop || again {
			r.set(func(r *run) { r.stopped = true })
			_, err := c.call(r, "StopTask", M{"task_id": r.id, "timeout": "5s", "signal": "SIGTERM"})
			if err != nil && c.lives() {
				r.set(func(r *run) {
					if !r.killed && !r.dropped {
						c.w.fail("StopTask %s: %v", r.id, err)
					}
				})
			}
			select {
			case <-ended:
			case <-c.ctx.Done():
			case <-time.After(patience / 2):
				c.w.fail("WaitTask %s does not return after StopTask", r.id)
			}
			return
		}
		select {
		case <-ended:
			return
		case <-a.kick:
		case <-c.ctx.Done():
			return
		}
	}
}

// ---- What a run is made of ----

func (w *clientWorld) newRun(a *allocation, c *client) (*run, error) {
	k := &task{name: "web", alloc: a.id, dir: a.dir, stdout: &fifo{path: "/dev/null"}, stderr: &fifo{path: "/dev/null"}}
	k.id = a.id + "/" + k.name + "/" + random(4)
	local := filepath.Join(a.dir, k.name, "local")
	k.extra = M{"node_id": w.node}
	k.env = map[string]string{"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "NOMAD_ALLOC_ID": a.id, "NOMAD_TASK_NAME": k.name,
		"NOMAD_TASK_DIR": local, "NOMAD_ALLOC_DIR": filepath.Join(a.dir, "alloc"), "NOMAD_SECRETS_DIR": filepath.Join(a.dir, k.name, "secrets")}
	for _, d := range []string{"alloc/logs", "alloc/tmp", "alloc/data", k.name + "/local", k.name + "/tmp", k.name + "/secrets"} {
		os.MkdirAll(filepath.Join(a.dir, d), 0o777)
	}
	r := &run{task: k, alloc: a, finish: -1}
	old := syscall.Umask(0)
	syscall.Mkfifo(r.fifo(), 0o666)
	syscall.Umask(old)
	h := c.there(nil)
	if h == nil {
		return nil, context.Canceled
	}
	schema, err := invoke(c.ctx, h.conn, driverSvc+"TaskConfigSchema", M{})
	if err != nil {
		return nil, err
	}
	text := strings.NewReplacer("@ID@", k.id, "@ALLOC@", a.id, "@GO@", "go."+filepath.Base(k.id)).Replace(a.config)
	if k.config, err = encodeConfig(schema.sub("spec"), parse(text), nil); err != nil {
		w.fail("task config: %v", err)
		return nil, err
	}
	w.mu.Lock()
	w.runs = append(w.runs, r)
	w.mu.Unlock()
	return r, nil
}

func (r *run) fifo() string { return filepath.Join(r.dir, r.name, "local", "go."+filepath.Base(r.id)) }

// end tells the task to end with that code; nothing, if it does not listen.
func (r *run) end(code int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(r.fifo(), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err = fmt.Fprintln(f, code); err == nil && r.finish < 0 {
		r.finish = code
	}
}

// heard compares the end of a task with why it may have ended.
func (w *clientWorld) heard(r *run, reply R, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if !r.killed && !r.dropped {
			w.fail("WaitTask %s: %v", r.id, err)
		}
		return
	}
	o := outcome{code: reply.num("result.exit_code"), signal: reply.num("result.signal"), lost: reply.str("err") != ""}
	if r.told != nil && *r.told != o {
		w.fail("WaitTask %s: %v, and before that %v", r.id, o, *r.told)
	}
	r.told = &o
	good := r.killed || r.dropped
	if w.subject.Ends != nil {
		good = good || o == outcome{code: *w.subject.Ends}
	}
	if r.finish >= 0 {
		good = good || o == outcome{code: r.finish}
	}
	if r.stopped {
		good = good || !o.lost && (o.signal == 15 || o.signal == 9)
		for _, code := range w.subject.StopCodes {
			good = good || o == outcome{code: code}
		}
	}
	if !good {
		w.fail("WaitTask %s: %v; told to end with %d, stopped %v", r.id, reply.json(), r.finish, r.stopped)
	}
	if n := watch.living(r.id); n != 0 && !o.lost {
		w.fail("WaitTask %s: ended, but %d instances live", r.id, n)
	}
}
