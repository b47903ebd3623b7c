// SPDX-License-Identifier: MPL-2.0

//go:build model

package conformance

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Random sequences of calls, ends and deaths, and next to them a model that
// is small enough to be believed: a task is not there, runs, or has ended in
// a known way.  Every answer is compared with it.  A sequence that fails is
// made as short as it can be, and printed with its seed.

type phase int

const (
	none phase = iota
	running_
	ended
)

// What a task does with a signal.
type nature int

const (
	polite nature = iota // exit 7 on SIGTERM, goes on after SIGUSR1
	plain                // dies of both
	deaf                 // ignores SIGTERM
	natures
)

var commands = [natures]string{
	polite: "trap 'exit 7' TERM; trap : USR1; ",
	plain:  "",
	deaf:   "trap '' TERM; ",
}

type outcome struct {
	code, signal int64
	lost         bool
}

type modelTask struct {
	*task
	phase   phase
	nature  nature
	pid     int
	outcome outcome
	run     int
}

type opKind int

const (
	opStart opKind = iota
	opStop
	opSignal
	opBadSignal
	opWait
	opInspect
	opStats
	opExec
	opDestroy
	opDestroyGently
	opFinish
	opKillPlugin
	opKillSupervisor
	opKinds
)

var opNames = [opKinds]string{"StartTask", "StopTask", "SignalTask", "SignalTask(bad)", "WaitTask", "InspectTask", "TaskStats", "ExecTask",
	"DestroyTask(force)", "DestroyTask", "the task exits", "the plugin is killed", "the supervisor is killed"}

// An op's argument says what kind of it, as far as there are several.
type op struct {
	kind opKind
	slot int
	arg  int
}

func (o op) String() string { return fmt.Sprintf("%s task %d, %d", opNames[o.kind], o.slot, o.arg) }

const slots = 3

type world struct {
	h        *host
	stateDir string
	marker   string
	tasks    [slots]*modelTask
	run      int
	dirs     []string
}

func newWorld() (*world, error) {
	w := &world{marker: "model-" + random(8)}
	w.stateDir, _ = stateDir()
	return w, w.launch()
}

func (w *world) launch() (err error) {
	if w.h, err = (launch{stateDir: w.stateDir}).start(); err != nil {
		return err
	}
	schema, err := w.h.call(baseSvc+"ConfigSchema", M{})
	if err != nil {
		return err
	}
	data, err := encodeConfig(schema.sub("spec"), M{"state_dir": w.stateDir}, nil)
	if err != nil {
		return err
	}
	in := M{"msgpack_config": data, "plugin_api_version": apiVersion, "nomad_config": nomadConfig()}
	if _, err = w.h.call(baseSvc+"SetConfig", in); err == nil {
		_, err = w.h.call(driverSvc+"Init", M{})
	}
	return err
}

func (w *world) newTask(slot int, n nature) (*modelTask, error) {
	k := &task{h: w.h, name: "t" + strconv.Itoa(slot), alloc: uuid()}
	k.id = k.alloc + "/" + k.name + "/" + random(4)
	k.dir = filepath.Join(topDir, "allocs", k.alloc)
	w.dirs = append(w.dirs, k.dir)
	for _, d := range []string{"alloc/logs", k.name + "/local", k.name + "/secrets"} {
		os.MkdirAll(filepath.Join(k.dir, d), 0o777)
	}
	k.stdout, k.stderr = &fifo{path: "/dev/null"}, &fifo{path: "/dev/null"}
	k.env = map[string]string{"PATH": "/usr/bin:/bin"}
	schema, err := w.h.call(driverSvc+"TaskConfigSchema", M{})
	if err != nil {
		return nil, err
	}
	command := commands[n] + ": > up; while :; do if read x < go; then exit $x; fi; done"
	k.config, err = encodeConfig(schema.sub("spec"), M{"command": command, "args": []string{w.marker}}, nil)
	return &modelTask{task: k, nature: n}, err
}

func (k *modelTask) path(name string) string { return filepath.Join(k.dir, k.name, name) }

func soon(what string, is func() bool) error {
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("waited in vain: %s", what)
		}
	}
	return nil
}

func wants(what string, err error, want ...codes.Code) error {
	for _, c := range want {
		if status.Code(err) == c {
			if c != codes.OK && len(status.Convert(err).Message()) < 12 {
				return fmt.Errorf("%s: an error that says nothing: %v", what, err)
			}
			return nil
		}
	}
	return fmt.Errorf("%s: got %v, want %v", what, err, want)
}

// refused: what cannot be done now is said to be so, and not by a plugin that is gone.
func refused(what string, err error) error {
	return wants(what, err, codes.FailedPrecondition, codes.Internal, codes.Aborted, codes.NotFound)
}

func (w *world) leaderOf(k *modelTask) (int, error) {
	r, err := w.h.call(driverSvc+"InspectTask", M{"task_id": k.id})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(r.strings("driver.attributes")["leader"])
}

func (w *world) mustBePid(k *modelTask) error {
	pid, err := w.leaderOf(k)
	if err == nil && (pid != k.pid || !alive(pid)) {
		err = fmt.Errorf("the task's process is %d, was %d", pid, k.pid)
	}
	return err
}

// checkEnd waits for a task that is to end, or has, and compares.
func (w *world) checkEnd(k *modelTask) error {
	r, err := w.h.call(driverSvc+"WaitTask", M{"task_id": k.id})
	if err != nil {
		return fmt.Errorf("WaitTask: %v", err)
	}
	code, signal, said := r.num("result.exit_code"), r.num("result.signal"), r.str("err")
	if k.outcome.lost {
		if code == 0 && signal == 0 && said == "" {
			return fmt.Errorf("WaitTask: a lost task counts as success: %v", r.json())
		}
		return nil
	}
	if said != "" || code != k.outcome.code || signal != k.outcome.signal {
		return fmt.Errorf("WaitTask: got %v, want exit code %d, signal %d", r.json(), k.outcome.code, k.outcome.signal)
	}
	return nil
}

func (w *world) ends(k *modelTask, o outcome) error {
	k.phase, k.outcome = ended, o
	return w.checkEnd(k)
}

func (k *modelTask) finish(code int) error {
	return soon("the task reads its fifo", func() bool {
		f, err := os.OpenFile(k.path("go"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = fmt.Fprintln(f, code)
		return err == nil
	})
}

// One step in the world and in the model.
func (w *world) do(o op) error {
	k := w.tasks[o.slot]
	is := none
	if k != nil {
		is = k.phase
	}
	id := "00000000-0000-4000-8000-000000000000/nobody/1"
	if k != nil {
		id = k.id
	}
	gone := func(method string, in M) error {
		in["task_id"] = id
		_, err := w.h.call(driverSvc+method, in)
		return wants(method, err, codes.NotFound)
	}
	switch o.kind {
	case opStart:
		if k == nil { // else it is the same call again
			var err error
			if k, err = w.newTask(o.slot, nature(o.arg%int(natures))); err != nil {
				return err
			}
			syscall.Mkfifo(k.path("go"), 0o600)
			w.tasks[o.slot] = k
		}
		if err := k.start(); err != nil {
			return fmt.Errorf("StartTask: %v", err)
		}
		if is == running_ {
			return w.mustBePid(k)
		}
		if is == none {
			k.phase = running_
			if err := soon("the task is up", func() bool { _, err := os.Stat(k.path("up")); return err == nil }); err != nil {
				return err
			}
			var err error
			k.pid, err = w.leaderOf(k)
			return err
		}
		return w.checkEnd(k)
	case opStop:
		timeout := "60s"
		if k != nil && k.nature == deaf {
			timeout = "0.1s"
		}
		_, err := w.h.call(driverSvc+"StopTask", M{"task_id": id, "timeout": timeout, "signal": "SIGTERM"})
		if err != nil {
			return fmt.Errorf("StopTask: %v", err)
		}
		if is != running_ {
			return nil
		}
		return w.ends(k, [natures]outcome{polite: {code: 7}, plain: {code: 143, signal: 15}, deaf: {code: 137, signal: 9}}[k.nature])
	case opSignal:
		if is == none {
			return gone("SignalTask", M{"signal": "SIGUSR1"})
		}
		_, err := w.h.call(driverSvc+"SignalTask", M{"task_id": id, "signal": "SIGUSR1"})
		if is == ended {
			return refused("SignalTask", err)
		}
		if err != nil || k.nature == polite {
			return err
		}
		return w.ends(k, outcome{code: 138, signal: 10})
	case opBadSignal:
		_, err := w.h.call(driverSvc+"SignalTask", M{"task_id": id, "signal": "SIGNONSENSE"})
		return wants("SignalTask", err, codes.InvalidArgument)
	case opWait:
		if is == none {
			return gone("WaitTask", M{})
		}
		if is == ended {
			return w.checkEnd(k)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := invoke(ctx, w.h.conn, driverSvc+"WaitTask", M{"task_id": id})
		return wants("WaitTask", err, codes.DeadlineExceeded)
	case opInspect:
		if is == none {
			return gone("InspectTask", M{})
		}
		r, err := w.h.call(driverSvc+"InspectTask", M{"task_id": id})
		if err != nil {
			return err
		}
		want := map[phase]string{running_: "RUNNING", ended: "EXITED"}[is]
		if got := r.str("task.state"); got != want {
			return fmt.Errorf("InspectTask: %s, want %s", got, want)
		}
	case opStats:
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s, err := openStream(ctx, w.h.conn, driverSvc+"TaskStats", M{"task_id": id, "collection_interval": "0.1s"}, false)
		if err == nil {
			_, err = s.recv()
		}
		if is == running_ && err != nil {
			return fmt.Errorf("TaskStats: %v", err)
		}
		if is == none {
			return wants("TaskStats", err, codes.NotFound)
		}
	case opExec:
		if is == none {
			return gone("ExecTask", M{"command": []string{"true"}, "timeout": "60s"})
		}
		r, err := w.h.call(driverSvc+"ExecTask", M{"task_id": id, "timeout": "60s",
			"command": []string{"/bin/sh", "-c", "exit " + strconv.Itoa(o.arg%256)}})
		if is == ended {
			return refused("ExecTask", err)
		}
		if err != nil || r.num("result.exit_code") != int64(o.arg%256) {
			return fmt.Errorf("ExecTask: %v %v, want %d", r, err, o.arg%256)
		}
	case opDestroy:
		if _, err := w.h.call(driverSvc+"DestroyTask", M{"task_id": id, "force": true}); err != nil {
			return fmt.Errorf("DestroyTask: %v", err)
		}
		return w.forget(o.slot)
	case opDestroyGently:
		_, err := w.h.call(driverSvc+"DestroyTask", M{"task_id": id})
		if is == running_ {
			if err := refused("DestroyTask", err); err != nil {
				return err
			}
			return w.mustBePid(k)
		}
		if err != nil {
			return fmt.Errorf("DestroyTask: %v", err)
		}
		return w.forget(o.slot)
	case opFinish:
		if is != running_ {
			return nil
		}
		code := o.arg % 128
		if err := k.finish(code); err != nil {
			return err
		}
		return w.ends(k, outcome{code: int64(code)})
	case opKillSupervisor:
		if is != running_ {
			return nil
		}
		super, err := parentOf(k.pid)
		if err != nil {
			return err
		}
		syscall.Kill(super, syscall.SIGKILL)
		if err := w.ends(k, outcome{lost: true}); err != nil {
			return err
		}
		return soon("the task goes with its supervisor", func() bool { return !alive(k.pid) })
	case opKillPlugin:
		return w.killPlugin(o.arg)
	}
	return nil
}

func parentOf(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	return strconv.Atoi(f[1])
}

// forget: the task is no more.
func (w *world) forget(slot int) error {
	k := w.tasks[slot]
	w.tasks[slot] = nil
	if k == nil {
		return nil
	}
	return soon("the task's process is gone", func() bool { return k.pid == 0 || !alive(k.pid) })
}

// The bits of `arg`: which tasks end while the plugin is down; which are asked for
// by StartTask again instead of RecoverTask.
func (w *world) killPlugin(arg int) error {
	w.h.crash()
	for i, k := range w.tasks {
		if k == nil || k.phase != running_ || arg>>i&1 == 0 {
			continue
		}
		if err := k.finish(40 + i); err != nil {
			return err
		}
		if err := soon("the task has ended", func() bool { return !alive(k.pid) }); err != nil {
			return err
		}
		k.phase, k.outcome = ended, outcome{code: int64(40 + i)}
	}
	if err := w.launch(); err != nil {
		return fmt.Errorf("the plugin does not start again: %v", err)
	}
	for i, k := range w.tasks {
		if k == nil {
			continue
		}
		k.h = w.h
		replay := arg>>(slots+i)&1 == 1
		// A lost task that is asked for again is started anew: that is no model of a replay.
		if replay && !(k.phase == ended && k.outcome.lost) {
			if err := k.start(); err != nil {
				return fmt.Errorf("StartTask again of task %d: %v", i, err)
			}
		} else if err := k.recover(w.h, false); err != nil {
			if k.phase != ended || !k.outcome.lost {
				return fmt.Errorf("RecoverTask of task %d: %v", i, err)
			}
			if err := w.do(op{kind: opDestroy, slot: i}); err != nil {
				return err
			}
			continue
		}
		if k.phase == running_ {
			if err := w.mustBePid(k); err != nil {
				return fmt.Errorf("task %d: %v", i, err)
			}
		} else if err := w.checkEnd(k); err != nil {
			return fmt.Errorf("task %d: %v", i, err)
		}
	}
	return nil
}

// end: nothing is left of all that.
func (w *world) end() error {
	for i, k := range w.tasks {
		if k != nil {
			if err := w.do(op{kind: opDestroy, slot: i}); err != nil {
				return err
			}
		}
	}
	err := soon("nothing is left", func() bool {
		tasks, _ := os.ReadDir(filepath.Join(w.stateDir, "tasks"))
		return len(tasks) == 0 && !running(w.marker)
	})
	w.clean()
	return err
}

func (w *world) clean() {
	if w.h != nil && !w.h.killed {
		for _, k := range w.tasks {
			if k != nil {
				w.h.call(driverSvc+"DestroyTask", M{"task_id": k.id, "force": true})
			}
		}
		w.h.kill()
	}
	for _, d := range w.dirs {
		os.RemoveAll(d)
	}
	os.RemoveAll(w.stateDir)
}

func play(sequence []op) (int, error) {
	w, err := newWorld()
	if err != nil {
		return -1, err
	}
	defer w.clean()
	for i, o := range sequence {
		if err := w.do(o); err != nil {
			return i, fmt.Errorf("%v: %w", o, err)
		}
	}
	if err := w.end(); err != nil {
		return len(sequence), err
	}
	bad := error(nil)
	checkLogs(w.h.logs.text(), func(f string, a ...any) { bad = fmt.Errorf(f, a...) })
	return len(sequence), bad
}

func sequenceOf(seed int64) (sequence []op) {
	r := rand.New(rand.NewSource(seed))
	// Starts and kills come more often than by chance.
	weights := []opKind{opStart, opStart, opStart, opKillPlugin}
	for k := opKind(0); k < opKinds; k++ {
		weights = append(weights, k)
	}
	for n := 5 + r.Intn(25); n > 0; n-- {
		sequence = append(sequence, op{weights[r.Intn(len(weights))], r.Intn(slots), r.Intn(1 << 16)})
	}
	return
}

// shrink drops what is not needed for a failure: halves first, then single steps.
func shrink[T any](sequence []T, until time.Time, play func([]T) (int, error)) []T {
	for size := (len(sequence) + 1) / 2; size >= 1; {
		shorter := false
		for at := 0; at+size <= len(sequence) && time.Now().Before(until); {
			try := append(append([]T(nil), sequence[:at]...), sequence[at+size:]...)
			if n, err := play(try); err != nil {
				if n >= 0 && n < len(try) {
					try = try[:n+1]
				}
				sequence, shorter = try, true
			} else {
				at += size
			}
		}
		if !shorter {
			size /= 2
		}
		if time.Now().After(until) {
			break
		}
	}
	return sequence
}

func number(name string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// seeds plays one seed after the other, on several workers, for MODEL_SECONDS or MODEL_SEEDS of them, or MODEL_SEED alone.
// `play` returns what is wrong, and the number of steps.
func seeds(t *testing.T, workers int, play func(seed int64) (string, int)) {
	first, only := number("MODEL_SEED", 0), os.Getenv("MODEL_SEED") != ""
	if !only {
		first = time.Now().UnixNano() % 1_000_000_000
	}
	end := time.Now().Add(time.Duration(number("MODEL_SECONDS", 30)) * time.Second)
	last := first + number("MODEL_SEEDS", 1<<40)
	if only {
		last = first + number("MODEL_SEEDS", 1)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next, played, steps := first, 0, 0
	take := func() (int64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() || next >= last || (!only && time.Now().After(end)) {
			return 0, false
		}
		next++
		return next - 1, true
	}
	for worker := 0; worker < workers; worker++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for seed, ok := take(); ok; seed, ok = take() {
				bad, n := play(seed)
				mu.Lock()
				played, steps = played+1, steps+n
				mu.Unlock()
				if bad != "" {
					t.Errorf("MODEL_SEED=%d: %s", seed, bad)
				}
			}
		}()
	}
	wg.Wait()
	t.Logf("%d sequences, %d steps, seeds from %d", played, steps, first)
	if played == 0 {
		t.Error("no sequence was played")
	}
}

func TestModel(t *testing.T) {
	seeds(t, 2, func(seed int64) (string, int) {
		sequence := sequenceOf(seed)
		n, err := play(sequence)
		if err == nil {
			return "", len(sequence)
		}
		if n >= 0 && n < len(sequence) {
			sequence = sequence[:n+1]
		}
		short := shrink(sequence, time.Now().Add(2*patience), play)
		_, again := play(short)
		text := fmt.Sprintf("%v\nthe shortest that fails (%v):", err, again)
		for _, o := range short {
			text += fmt.Sprintf("\n    %v", o)
		}
		return text, len(sequence)
	})
}
