// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func grepTree(t *testing.T, dir, word string) {
	t.Helper()
	filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), word) {
			t.Errorf("%s contains %s", path, word)
		}
		return nil
	})
}

func TestTaskLife(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := startTask(t, h, shell(`echo out; echo err >&2; pwd; echo "$NOMAD_ALLOC_ID"; exit 0`))
	k.mustExit(t, 0, 0)
	if want := "out\n" + filepath.Join(k.dir, k.name) + "\n" + k.alloc + "\n"; k.stdout.all(t) != want {
		t.Errorf("stdout %q, want %q", k.stdout.text(), want)
	}
	if got := k.stderr.all(t); got != "err\n" {
		t.Errorf("stderr %q", got)
	}
	k.mustExit(t, 0, 0)
	if s := k.inspect(t); s.str("task.state") != "EXITED" {
		t.Errorf("%v", s.json())
	}
	k.destroy(t)
	_, err := h.call(driverSvc+"WaitTask", M{"task_id": k.id})
	wantCode(t, err, codes.NotFound, "task not found|"+k.id)
	k.destroy(t)
}

// The plugin's environment holds the agent's secrets: a task sees its own only.
func TestTaskEnvironment(t *testing.T) {
	t.Parallel()
	h := start(t, launch{env: []string{"AGENT_SECRET=canary"}})
	h.ready(t, M{})
	k := newTask(t, h, shell("env; echo; ls -l /proc/self/fd | wc -l"))
	k.env["MULTI"] = "a\nb=c"
	k.env["EMPTY"] = ""
	k.mustStart(t)
	k.mustExit(t, 0, 0)
	out := k.stdout.all(t)
	if strings.Contains(out, "canary") || strings.Contains(out, cookieKey) || strings.Contains(out, "PLUGIN_") {
		t.Errorf("the plugin's environment leaks: %s", out)
	}
	for _, want := range []string{"MULTI=a\nb=c\n", "EMPTY=\n", "NOMAD_TASK_NAME=web\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %s", want, out)
		}
	}
	k.destroy(t)
}

func TestExitCodes(t *testing.T) {
	h := sharedHost(t)
	for _, c := range []struct {
		command      string
		code, signal int64
	}{
		{"exit 0", 0, 0}, {"exit 7", 7, 0}, {"exit 255", 255, 0}, {"exit 137", 137, 0},
		{"kill -9 $$", 137, 9}, {"kill -15 $$", 143, 15}, {"kill -HUP $$", 129, 1}, {"kill -SEGV $$", 139, 11},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			k := startTask(t, h, shell(c.command))
			r := k.mustExit(t, c.code, c.signal)
			if r.boolean("result.oom_killed") {
				t.Error("oom_killed")
			}
			s := k.inspect(t)
			if s.num("task.result.exit_code") != c.code || s.num("task.result.signal") != c.signal {
				t.Errorf("InspectTask: %v", s.json())
			}
			k.destroy(t)
		})
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	before := time.Now().Add(-time.Second)
	k := startTask(t, h, shell("sleep 99"))
	s := k.inspect(t)
	started := time.Unix(s.num("task.started_at.seconds"), s.num("task.started_at.nanos"))
	if s.str("task.id") != k.id || s.str("task.name") != k.name || s.str("task.state") != "RUNNING" || !s.has("task.result") ||
		!s.has("driver") || started.Before(before) || started.After(time.Now().Add(time.Second)) {
		t.Errorf("running: %v", s.json())
	}
	// Go's zero time, not 1970.
	if s.num("task.completed_at.seconds") != -62135596800 || s.num("task.completed_at.nanos") != 0 {
		t.Errorf("completed_at of a running task: %v", s.json())
	}
	k.stop(t, "SIGKILL", "1s")
	k.mustExit(t, 137, 9)
	s = k.inspect(t)
	completed := time.Unix(s.num("task.completed_at.seconds"), s.num("task.completed_at.nanos"))
	if s.str("task.state") != "EXITED" || completed.Before(started) || completed.After(time.Now().Add(time.Second)) {
		t.Errorf("ended: %v", s.json())
	}
	k.destroy(t)
}

func TestWaiters(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := startTask(t, h, shell("exec sleep 99"))
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := make(chan error, 1)
	go func() { _, err := invoke(ctx, h.conn, driverSvc+"WaitTask", M{"task_id": k.id}); cancelled <- err }()
	short, cancel2 := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel2()
	_, err := invoke(short, h.conn, driverSvc+"WaitTask", M{"task_id": k.id})
	if c := status.Code(err); c != codes.DeadlineExceeded {
		t.Errorf("a deadline gives %v", err)
	}
	var wg sync.WaitGroup
	results := make([]int64, 5)
	for i := range results {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := h.call(driverSvc+"WaitTask", M{"task_id": k.id})
			if err != nil {
				t.Error(err)
				return
			}
			results[i] = r.num("result.exit_code")
		}()
	}
	cancel()
	if err := <-cancelled; status.Code(err) != codes.Canceled {
		t.Errorf("a cancelled wait gives %v", err)
	}
	k.stop(t, "SIGUSR1", "10s")
	wg.Wait()
	for _, code := range results {
		if code != 128+10 {
			t.Errorf("codes %v", results)
			break
		}
	}
	k.mustExit(t, 138, 10)
	k.destroy(t)
}

func TestStop(t *testing.T) {
	h := sharedHost(t)
	trap := `trap 'echo got TERM; exit 3' TERM; trap 'echo got INT; exit 4' INT; trap 'echo got USR2; exit 5' USR2; echo ready; while :; do sleep 0.05; done`
	deaf := `trap '' TERM INT HUP USR1; echo ready; while :; do sleep 0.05; done`
	for _, c := range []struct {
		name, command, signal, timeout string
		config                         M
		code, sig                      int64
	}{
		{"default", trap, "", "20s", nil, 3, 0},
		{"own default", trap, "", "20s", M{"stop_signal": "SIGINT"}, 4, 0},
		{"SIGINT", trap, "SIGINT", "20s", nil, 4, 0},
		{"usr2 in lower case without SIG", trap, "usr2", "20s", nil, 5, 0},
		{"timeout", deaf, "SIGTERM", "0.3s", nil, 137, 9},
		{"no timeout", deaf, "SIGTERM", "0s", nil, 137, 9},
		{"SIGKILL", deaf, "SIGKILL", "20s", nil, 137, 9},
		{"stopped", "(until grep -q 'State:.T' /proc/$$/status; do sleep 0.05; done; echo ready) & kill -STOP $$", "SIGTERM", "0.3s", nil, 137, 9},
		{"children that ignore", "(trap '' TERM; sleep 1000) & (trap '' TERM; setsid sleep 1001) & echo ready; wait; exit 6", "SIGTERM", "0.3s", nil, 143, 15},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := shell(c.command)
			for k, v := range c.config {
				config[k] = v
			}
			k := startTask(t, h, config)
			eventually(t, "the task is ready", func() bool { return strings.Contains(k.stdout.text(), "ready") })
			k.stop(t, c.signal, c.timeout)
			k.mustExit(t, c.code, c.sig)
			k.stop(t, c.signal, c.timeout) // has ended: fine
			k.destroy(t)
			// Whatever it started is gone, so nobody holds the pipes.
			k.stdout.all(t)
		})
	}
	t.Run("unknown signal", func(t *testing.T) {
		k := startTask(t, h, shell("sleep 99"))
		_, err := h.call(driverSvc+"StopTask", M{"task_id": k.id, "signal": "SIGFOO", "timeout": "1s"})
		wantCode(t, err, codes.InvalidArgument, "SIGFOO")
		if s := k.inspect(t); s.str("task.state") != "RUNNING" {
			t.Error("the task was stopped")
		}
		k.destroy(t)
	})
}

// DestroyTask ends whatever runs.
func TestDestroyRunning(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := startTask(t, h, shell("trap '' TERM; sleep 999 & sleep 999"))
	leader := k.leader(t)
	k.destroy(t)
	if alive(leader) {
		t.Error("the task is alive")
	}
	k.stdout.all(t)
}

func TestSignals(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := startTask(t, h, shell(`trap 'echo HUP' HUP; trap 'echo USR1' USR1; trap 'echo WINCH' WINCH; echo ready; while :; do sleep 0.02; done`))
	eventually(t, "the task is ready", func() bool { return strings.Contains(k.stdout.text(), "ready") })
	for name, want := range map[string]string{"SIGHUP": "HUP", "usr1": "USR1", "SIGWINCH": "WINCH"} {
		h.must(t, driverSvc+"SignalTask", M{"task_id": k.id, "signal": name})
		eventually(t, name+" arrived", func() bool { return strings.Contains(k.stdout.text(), want+"\n") })
	}
	for _, name := range []string{"SIGFOO", "", "SIG", "-1", "999", "SIGHUP\n"} {
		_, err := h.call(driverSvc+"SignalTask", M{"task_id": k.id, "signal": name})
		wantCode(t, err, codes.InvalidArgument, "signal")
	}
	h.must(t, driverSvc+"SignalTask", M{"task_id": k.id, "signal": "SIGKILL"})
	k.mustExit(t, 137, 9)
	if _, err := h.call(driverSvc+"SignalTask", M{"task_id": k.id, "signal": "SIGHUP"}); err == nil {
		t.Error("a signal to an ended task succeeded")
	}
	k.destroy(t)
}

func TestUnknownTask(t *testing.T) {
	h := sharedHost(t)
	for _, id := range []string{uuid() + "/web/00000000", "", "../../etc", strings.Repeat("x", 100000)} {
		for _, method := range []string{"StopTask", "DestroyTask"} {
			if _, err := h.call(driverSvc+method, M{"task_id": id}); err != nil && id != "" && !strings.Contains(id, "..") && len(id) < 1000 {
				t.Errorf("%s of an unknown task: %v", method, err)
			}
		}
		short := id
		if len(short) > 50 {
			short = short[:50]
		}
		for _, method := range []string{"WaitTask", "InspectTask", "SignalTask", "ExecTask"} {
			in := M{"task_id": id}
			if method == "SignalTask" {
				in["signal"] = "SIGHUP"
			} else if method == "ExecTask" {
				in["command"] = []string{"true"}
			}
			if _, err := h.call(driverSvc+method, in); status.Code(err) != codes.NotFound {
				t.Errorf("%s of unknown task %q: %v", method, short, err)
			}
		}
	}
	s := h.stream(t, driverSvc+"TaskStats", M{"task_id": "x", "collection_interval": "1s"}, false)
	if _, err := s.recv(); status.Code(err) != codes.NotFound {
		t.Errorf("TaskStats: %v", err)
	}
}

// After a crash Nomad repeats StartTask with the same id: there is one
// instance afterwards, never two.
func TestReplay(t *testing.T) {
	t.Parallel()
	h := start(t, launch{})
	h.ready(t, M{})
	k := startTask(t, h, shell("echo start >> starts; exec sleep 998"))
	first := k.leader(t)
	h.crash()
	h2 := start(t, launch{stateDir: h.stateDir})
	h2.ready(t, M{})
	k.h = h2
	if err := k.start(); err != nil {
		t.Fatalf("replay: %v", err)
	}
	second := k.leader(t)
	if first != second && alive(first) {
		t.Errorf("two instances: %d and %d", first, second)
	}
	if !alive(second) {
		t.Error("no instance")
	}
	k.destroy(t)
	if alive(first) || alive(second) {
		t.Error("an instance is left")
	}
	// Twice within one life: the second is refused or adopts.
	k2 := startTask(t, h2, shell("sleep 997"))
	leader := k2.leader(t)
	err := k2.start()
	if err != nil && status.Code(err) != codes.AlreadyExists {
		t.Errorf("second StartTask: %v", err)
	}
	if k2.leader(t) != leader && alive(leader) {
		t.Error("two instances")
	}
	k2.destroy(t)
}

func TestFailedStart(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	plain := newTask(t, h, M{"mode": "fail"})
	err := plain.start()
	wantCode(t, err, codes.InvalidArgument, "start 'web': told to fail")
	if recoverable(t, err) {
		t.Error("a plain error is recoverable")
	}
	again := newTask(t, h, M{"mode": "fail-retryable"})
	err = again.start()
	if !recoverable(t, err) || !strings.Contains(err.Error(), "told to fail for now") {
		t.Errorf("not recoverable: %v", err)
	}
	for _, c := range []struct {
		config M
		err    string
	}{
		{M{"command": "true", "user": "no-such-user"}, "no-such-user"},
		{M{"command": "echo oh no >&2; sleep 99", "notify": true, "ready_timeout_ms": 300}, ""},
		{M{"command": "echo it broke >&2; exit 3", "notify": true}, "it broke"},
	} {
		k := newTask(t, h, c.config)
		if err := k.start(); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v: %v", c.config, err)
		}
		k.stdout.release()
		k.stdout.all(t)
	}
	// A missing log directory, and an id that cannot be a file name.
	k := newTask(t, h, shell("true"))
	k.extra = M{"stdout_path": "/no/such/dir/fifo"}
	if err := k.start(); err == nil || !strings.Contains(err.Error(), "/no/such/dir/fifo") {
		t.Errorf("stdout_path: %v", err)
	}
}

// recoverable reads the detail that Nomad reads: it has to be the first.
func recoverable(t *testing.T, err error) bool {
	t.Helper()
	for i, any := range status.Convert(err).Proto().GetDetails() {
		if any.GetTypeUrl() == "type.googleapis.com/hashicorp.nomad.plugins.shared.structs.RecoverableError" && i == 0 {
			v := string(any.GetValue())
			if v != "" && v != "\x08\x01" && v != "\x08\x00" {
				t.Errorf("RecoverableError %q", v)
			}
			return v == "\x08\x01"
		}
	}
	return false
}

func TestNotify(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := newTask(t, h, M{"command": `test -S "$NOTIFY_SOCKET" || exit 3; sleep 0.3; touch ready; exec perl -MSocket -e '
		socket(S, AF_UNIX, SOCK_DGRAM, 0); $a = $ENV{NOTIFY_SOCKET}; $a =~ s/^@/\0/;
		send(S, "READY=1", 0, pack_sockaddr_un($a)) or die "$!"; sleep 99'`, "notify": true})
	k.mustStart(t)
	if _, err := os.Stat(filepath.Join(k.dir, k.name, "ready")); err != nil {
		t.Error("StartTask returned before the task was ready")
	}
	k.destroy(t)
}

// FIFOs: checked, and /dev/null means no logs.
func TestLogPaths(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := newTask(t, h, shell("echo gone; exit 4"))
	k.extra = M{"stdout_path": "/dev/null", "stderr_path": "/dev/null"}
	k.mustStart(t)
	k.mustExit(t, 4, 0)
	k.destroy(t)
	victim := filepath.Join(topDir, "victim-"+random(4))
	os.WriteFile(victim, []byte("precious"), 0o600)
	for name, make := range map[string]func(string) error{
		"symlink":   func(p string) error { return os.Symlink(victim, p) },
		"file":      func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
	} {
		k := newTask(t, h, shell("echo attack; sleep 0.1"))
		path := filepath.Join(k.dir, "alloc/logs/bad")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		k.extra = M{"stdout_path": path}
		if err := k.start(); err == nil {
			t.Errorf("%s as stdout_path was accepted", name)
			k.destroy(t)
		}
	}
	if data, _ := os.ReadFile(victim); string(data) != "precious" {
		t.Errorf("the victim holds %q", data)
	}
}

// A reader that goes and comes again neither kills the task nor loses its end.
func TestLogReaderRestarts(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := newTask(t, h, shell(`i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i + 1)); done; read x < go; echo last; exit 5`))
	syscall.Mkfifo(filepath.Join(k.dir, k.name, "go"), 0o600)
	k.mustStart(t)
	eventually(t, "the first lines", func() bool { return strings.Contains(k.stdout.text(), "line 1999\n") })
	if err := os.WriteFile(filepath.Join(k.dir, k.name, "go"), []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	k.mustExit(t, 5, 0)
	text := k.stdout.all(t)
	var want strings.Builder
	for i := 0; i < 2000; i++ {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if text != want.String()+"last\n" {
		t.Errorf("the log has gaps or repeats: %d bytes", len(text))
	}
	k.destroy(t)
}

func TestRemoteTask(t *testing.T) {
	h := start(t, launch{env: []string{"TESTDRIVER_REMOTE=1"}})
	h.ready(t, M{})
	k := startTask(t, h, M{"mode": "remote", "delay_ms": 300, "exit_code": 12})
	k.mustExit(t, 12, 0)
	k.destroy(t)
	k = startTask(t, h, M{"mode": "remote", "delay_ms": 3600000})
	if s := k.inspect(t); s.str("task.state") != "RUNNING" {
		t.Errorf("%v", s.json())
	}
	h.must(t, driverSvc+"SignalTask", M{"task_id": k.id, "signal": "SIGUSR1"})
	_, err := h.call(driverSvc+"SignalTask", M{"task_id": k.id, "signal": "SIGHUP"})
	wantCode(t, err, codes.Unimplemented, "SIGUSR1 only")
	// The plugin itself runs the command, which takes the terminal by itself.
	x := k.open(t, true, "/usr/bin/setsid", "--ctty", "--wait", "/bin/sh", "-c",
		"until [ \"$(stty size)\" = '100 90' ]; do sleep 0.02; done; read x; echo got $x $TESTDRIVER_EXEC; exit 5")
	x.send(M{"tty_size": M{"height": 100, "width": 90}})
	x.input("abc\n")
	x.mustEnd(5)
	if x.out() != "abc\r\ngot abc yes\r\n" {
		t.Errorf("%q", x.out())
	}
	x = k.open(t, false, "/bin/sh", "-c", "cat; echo to stderr >&2; exit 6")
	x.input("abc\n")
	x.closeInput()
	x.mustEnd(6)
	if x.out() != "abc\n" || x.errs() != "to stderr\n" {
		t.Errorf("%q %q", x.out(), x.errs())
	}
	h.crash()
	h2 := start(t, launch{stateDir: h.stateDir, env: []string{"TESTDRIVER_REMOTE=1"}})
	h2.ready(t, M{})
	if err := k.recover(h2, false); err != nil {
		t.Fatal(err)
	}
	// No statistics: the stream stays open and is silent.
	s := h2.stream(t, driverSvc+"TaskStats", M{"task_id": k.id, "collection_interval": "0.1s"}, false)
	got := make(chan error, 1)
	go func() { _, err := s.recv(); got <- err }()
	select {
	case err := <-got:
		t.Errorf("TaskStats of a remote task: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	k.stop(t, "SIGINT", "5s")
	k.mustExit(t, 130, 2)
	k.destroy(t)
}
