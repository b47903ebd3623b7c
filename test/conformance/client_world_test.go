// SPDX-License-Identifier: MPL-2.0

//go:build model

package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
)

// Random schedules of what happens to a node: jobs come and go, tasks end, agent, plugin, supervisors and engines die at any
// moment, also inside a call, and the client's state is lost.  The driver is a parameter (CLIENT_DRIVER, a JSON file);
// the rules are the same for all:
//
//   - of an allocation and task there are never two instances;
//   - each end is told, once and as it was, or as lost if supervisor or engine were killed; nothing ends without a reason;
//   - a start that fails leaves nothing;
//   - when all jobs are stopped, nothing is left within seconds;
//   - the task of another plugin of this host never notices.

// subject is the driver under test.  In strings of a task's config, @ID@ is the run's id, @GO@ the FIFO in the task's local
// directory whose line is the code to end with.  The command's arguments contain mark=@ID@.
type subject struct {
	Name      string
	Plugin    M
	Task      M
	Variants  []M     // each is laid over Task; "fails": true says that such a start fails
	StopCodes []int64 // of a task that is stopped, besides its death by the signal
	Payload   string  // regular expression: arguments of a task's process, and not of who starts it
	Books     string  // shell command: ALLOCATION/TASK/INVOCATION INSTANCE for each instance that has no process here
	Left      string  // shell command: prints what is left
	Engine    string  // regular expression: processes that may be killed; @ALLOC@ is the first part of an allocation's id
	Outage    string  // shell command: the engine fails
	Mend      string  // it works again
	Alone     bool    // one schedule at a time
	Prepare   string  // shell command: makes what a task needs in ALLOC_DIR
	Ends      *int64  // tasks end by themselves, with this code
	Grace     int     // seconds: gc_grace
}

const local = `: mark=@ID@; trap 'exit 7' TERM; while :; do if read x <local/@GO@; then exit $x; fi; done`

var testSubject = subject{
	Name:   "testdriver",
	Task:   M{"command": local},
	Plugin: M{},
	Variants: []M{{"mode": "slow", "delay_ms": 50}, {}, {}, {"mode": "slow", "delay_ms": 400}, {"mode": "waits", "delay_ms": 200},
		{"mode": "fail", "fails": true}, {"mode": "fail-retryable", "fails": true}},
	StopCodes: []int64{7},
}

func readSubject(t *testing.T) subject {
	path := os.Getenv("CLIENT_DRIVER")
	if path == "" {
		return testSubject
	}
	s := subject{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		t.Fatalf("CLIENT_DRIVER: %v", err)
	}
	return s
}

func parse(text string) (m M) {
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		panic(err)
	}
	return
}

type clientWorld struct {
	subject  *subject
	stateDir string
	allocs   []*allocation

	mu       sync.Mutex
	node     string
	reattach *plugin.ReattachConfig
	runs     []*run
	plugins  []*host
	client   *client
	broken   error
	trouble  time.Time // when something was done that lets calls fail
	words    []string
}

func (w *clientWorld) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
	}
}

func (w *clientWorld) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	watch.mu.Lock()
	defer watch.mu.Unlock()
	for _, a := range w.allocs {
		if text := watch.twice[a.id+"/web"]; text != "" && w.broken == nil {
			w.broken = fmt.Errorf("two instances: %s", text)
		}
	}
	return w.broken
}

// disturbed: calls may have failed since then by what was done to supervisors and engines.
func (w *clientWorld) disturbed(since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble.After(since.Add(-2 * time.Second))
}

func (w *clientWorld) disturb() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = time.Now()
}

func (w *clientWorld) configure(h *host) error {
	schema, err := h.call(baseSvc+"ConfigSchema", M{})
	if err != nil {
		return err
	}
	grace := w.subject.Grace
	if grace == 0 {
		grace = 2
	}
	config := M{"state_dir": w.stateDir, "gc_grace": grace}
	for k, v := range w.subject.Plugin {
		config[k] = v
	}
	data, err := encodeConfig(schema.sub("spec"), config, nil)
	if err != nil {
		return err
	}
	in := M{"msgpack_config": data, "plugin_api_version": apiVersion, "nomad_config": nomadConfig()}
	if _, err = h.call(baseSvc+"SetConfig", in); err == nil {
		_, err = h.call(driverSvc+"Init", M{})
	}
	return err
}

// ---- What happens ----

type clientOp struct {
	what  string
	arg   int
	pause int // ms, after it
}

func (o clientOp) String() string { return fmt.Sprintf("%s %d; %d ms", o.what, o.arg, o.pause) }

// Weights: how often each thing happens.
var clientOps = []struct {
	what   string
	weight int
}{{"submit", 14}, {"stop", 5}, {"finish", 6}, {"restart", 3}, {"agent dies", 8}, {"agent ends", 2}, {"agent comes", 10},
	{"plugin dies", 6}, {"both die", 4}, {"supervisor dies", 3}, {"engine dies", 3}, {"state is lost", 1}, {"drain", 1}, {"outage", 1}}

func clientSchedule(seed int64) (s []clientOp) {
	r := rand.New(rand.NewSource(seed))
	sum := 0
	for _, o := range clientOps {
		sum += o.weight
	}
	s = append(s, clientOp{"submit", r.Intn(1 << 16), r.Intn(100)})
	for n := 4 + r.Intn(20); n > 0; n-- {
		at := r.Intn(sum)
		for _, o := range clientOps {
			if at -= o.weight; at < 0 {
				// Most pauses are short: what follows hits a call.
				s = append(s, clientOp{o.what, r.Intn(1 << 16), []int{r.Intn(5), r.Intn(30), r.Intn(100), r.Intn(500)}[r.Intn(4)]})
				break
			}
		}
	}
	return
}

func (w *clientWorld) pick(arg int) *allocation {
	if len(w.allocs) == 0 {
		return nil
	}
	return w.allocs[arg%len(w.allocs)]
}

func (w *clientWorld) change(a *allocation, f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

func (w *clientWorld) submit(arg int) {
	a := &allocation{id: uuid(), wanted: true, left: 1 + arg%5, kick: make(chan struct{}, 1), gap: []time.Duration{0, 0, 5, 50}[arg/8%4] * time.Millisecond}
	a.dir = filepath.Join(topDir, "allocs", a.id)
	config := M{}
	for _, part := range []M{w.subject.Task, w.subject.Variants[arg/64%len(w.subject.Variants)]} {
		for k, v := range part {
			config[k] = v
		}
	}
	a.fails = config["fails"] == true
	delete(config, "fails")
	text, _ := json.Marshal(config)
	a.config = string(text)
	if w.subject.Prepare != "" {
		command := exec.Command("sh", "-c", w.subject.Prepare)
		command.Env = append(os.Environ(), "ALLOC_DIR="+a.dir)
		if out, err := command.CombinedOutput(); err != nil {
			w.fail("%v: %s", err, out)
		}
	}
	w.mu.Lock()
	w.allocs = append(w.allocs, a)
	w.words = append(w.words, a.id[:8])
	w.mu.Unlock()
	if w.client != nil {
		w.client.take(a)
	}
}

func (w *clientWorld) runsOf(a *allocation) (list []*run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		if r.alloc == a {
			list = append(list, r)
		}
	}
	return
}

// killOne kills one of the processes that match, and says of which tasks it may be.
func (w *clientWorld) killOne(pattern string, a *allocation, arg int) {
	re := regexp.MustCompile(strings.ReplaceAll(pattern, "@ALLOC@", a.id[:8]))
	found := processes(re.Match)
	if len(found) == 0 {
		return
	}
	of := []*allocation{a}
	if !strings.Contains(pattern, "@ALLOC@") {
		of = w.allocs
	}
	for _, a := range of {
		for _, r := range w.runsOf(a) {
			r.set(func(r *run) { r.killed = true })
		}
	}
	w.disturb()
	syscall.Kill(found[arg/16%len(found)].pid, syscall.SIGKILL)
}

func (w *clientWorld) plugin() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reattach == nil {
		return 0
	}
	return w.reattach.Pid
}

func (w *clientWorld) agentDies() {
	if w.client != nil {
		w.client.kill()
		w.client = nil
	}
}

func (w *clientWorld) killPlugin() {
	if pid := w.plugin(); pid != 0 {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// agentEnds: as by SIGTERM.  Starts come to their end first, and the plugin ends, too.
func (w *clientWorld) agentEnds() {
	if w.client == nil {
		return
	}
	h := w.client.there(nil)
	w.agentDies()
	w.mu.Lock()
	w.reattach = nil
	w.mu.Unlock()
	for _, p := range w.plugins {
		if p.pid == h.pid {
			p.client.Kill()
		}
	}
}

// stateIsLost: the agent is a new one, on a disk without its files.
func (w *clientWorld) stateIsLost() {
	w.agentDies()
	w.killPlugin()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.node, w.reattach = uuid(), nil
	for _, r := range w.runs {
		r.set(func(r *run) { r.dropped = true })
	}
	for _, a := range w.allocs {
		a.run, a.done, a.wanted = nil, true, false
		os.RemoveAll(a.dir)
	}
}

func (w *clientWorld) do(o clientOp) {
	a := w.pick(o.arg)
	switch o.what {
	case "submit":
		w.submit(o.arg)
	case "agent dies":
		w.agentDies()
	case "agent ends":
		w.agentEnds()
	case "agent comes":
		if w.client == nil {
			w.client = newClient(w)
		}
	case "plugin dies":
		w.killPlugin()
	case "both die":
		if o.arg%2 == 0 {
			w.killPlugin()
		}
		w.agentDies()
		w.killPlugin()
	case "state is lost":
		w.stateIsLost()
	case "outage":
		if w.subject.Outage != "" {
			w.disturb()
			exec.Command("sh", "-c", w.subject.Outage).Run()
			time.Sleep(time.Duration(o.arg%1000) * time.Millisecond)
			exec.Command("sh", "-c", w.subject.Mend).Run()
			w.disturb()
		}
	case "drain":
		for _, a := range w.allocs {
			w.change(a, func() { a.wanted = false })
		}
	}
	if a == nil {
		return
	}
	switch o.what {
	case "stop":
		w.change(a, func() { a.wanted = false })
	case "restart":
		w.change(a, func() { a.again = a.run != nil })
	case "finish":
		for _, r := range w.runsOf(a) {
			r.end(int64(o.arg % 100))
		}
	case "supervisor dies":
		w.killOne(`^nomad-driver-\S+: .*@ALLOC@`, a, o.arg)
	case "engine dies":
		if w.subject.Engine != "" {
			w.killOne(w.subject.Engine, a, o.arg)
		}
	}
}

// ---- From the beginning to the end ----

func (w *clientWorld) quiet(before []string) error {
	w.do(clientOp{what: "agent comes"})
	w.do(clientOp{what: "drain"})
	end := time.Now().Add(patience)
	for all := false; !all; time.Sleep(10 * time.Millisecond) {
		all = true
		w.mu.Lock()
		for _, a := range w.allocs {
			all = all && a.done
		}
		w.mu.Unlock()
		if err := w.failed(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the jobs are stopped, but not all allocations have ended:%s", w.state())
		}
	}
	began, left := time.Now(), []string(nil)
	for {
		if left = w.left(before); len(left) == 0 {
			break
		}
		if time.Since(began) > patience/4 {
			return fmt.Errorf("left:\n%s", strings.Join(left, "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
	noteQuiet(time.Since(began))
	return w.failed()
}

// state says of each run what was the last call.
func (w *clientWorld) state() (text string) {
	for _, a := range w.allocs {
		for _, r := range w.runsOf(a) {
			r.set(func(r *run) {
				text += fmt.Sprintf("\n%s: %s, done %v, stopped %v, killed %v, dropped %v, told %v", r.id, r.at, a.done, r.stopped, r.killed, r.dropped, r.told)
			})
		}
	}
	return
}

func (w *clientWorld) left(before []string) (left []string) {
	tasks, _ := os.ReadDir(filepath.Join(w.stateDir, "tasks"))
	for _, t := range tasks {
		text, _ := os.ReadFile(filepath.Join(w.stateDir, "tasks", t.Name(), "task"))
		left = append(left, "record: "+t.Name()+"\n"+string(text))
	}
	if len(left) > 0 {
		return
	}
	left = traces(append(w.words, w.stateDir+"/"))
	if w.subject.Left != "" {
		out, err := exec.Command("sh", "-c", w.subject.Left).Output()
		if out = bytes.TrimSpace(out); len(out) > 0 || err != nil {
			left = append(left, fmt.Sprintf("%s: %s %v", w.subject.Left, out, err))
		}
	}
	if w.subject.Alone {
		if now := sharedOnHost(); strings.Join(now, "\n") != strings.Join(before, "\n") {
			left = append(left, "links and rules: "+strings.Join(now, "\n"))
		}
	}
	return
}

func playClient(s *subject, schedule []clientOp) (n int, err error) {
	w := &clientWorld{subject: s, node: uuid()}
	w.stateDir, _ = stateDir()
	before := []string(nil)
	if s.Alone {
		before = sharedOnHost()
	}
	defer w.clean()
	w.client = newClient(w)
	for i, o := range schedule {
		w.do(o)
		time.Sleep(time.Duration(o.pause) * time.Millisecond)
		if err := w.failed(); err != nil {
			return i, err
		}
	}
	if err := w.quiet(before); err != nil {
		for _, h := range w.plugins {
			err = fmt.Errorf("%w\n%d: %s", err, h.pid, h.logs.text())
		}
		return len(schedule), err
	}
	w.agentEnds()
	bad := error(nil)
	for _, h := range w.plugins {
		checkLogs(h.logs.text(), func(f string, a ...any) { bad = fmt.Errorf(f, a...) })
	}
	return len(schedule), bad
}

func (w *clientWorld) clean() {
	w.agentDies()
	if w.failed() != nil {
		if h, err := (launch{stateDir: w.stateDir}).start(); err == nil {
			w.killPlugin()
			w.configure(h)
			for _, r := range w.runs {
				h.call(driverSvc+"DestroyTask", M{"task_id": r.id, "force": true})
			}
			h.kill()
		}
	}
	for _, h := range w.plugins {
		if alive(h.pid) {
			h.crash()
		}
		os.Remove(h.client.ReattachConfig().Addr.String())
	}
	for _, a := range w.allocs {
		os.RemoveAll(a.dir)
	}
	if os.Getenv("KEEP") == "" {
		os.RemoveAll(w.stateDir)
	}
}

var (
	quietMu  sync.Mutex
	quietMax time.Duration
)

func noteQuiet(d time.Duration) {
	quietMu.Lock()
	defer quietMu.Unlock()
	quietMax = max(quietMax, d)
}

func TestClient(t *testing.T) {
	s := readSubject(t)
	if s.Payload != "" {
		watch.payload = regexp.MustCompile(s.Payload)
	}
	watch.books = s.Books
	done := make(chan struct{})
	defer close(done)
	interval := 10 * time.Millisecond
	if s.Books != "" {
		interval = 200 * time.Millisecond
	}
	go watch.run(interval, done)
	workers := int(number("CLIENT_WORKERS", 4))
	if s.Alone {
		workers = 1
	}
	seeds(t, workers, func(seed int64) (string, int) {
		schedule := clientSchedule(seed)
		n, err := playClient(&s, schedule)
		if err == nil {
			return "", len(schedule)
		}
		if n < len(schedule) {
			schedule = schedule[:n+1]
		}
		text := fmt.Sprintf("%v", err)
		if os.Getenv("SHRINK") != "0" {
			schedule = shrink(schedule, time.Now().Add(2*patience), func(o []clientOp) (int, error) { return playClient(&s, o) })
		}
		for _, o := range schedule {
			text += fmt.Sprintf("\n    %v", o)
		}
		return text, len(schedule)
	})
	t.Logf("the longest wait until nothing was left: %v", quietMax.Round(time.Millisecond))
}
