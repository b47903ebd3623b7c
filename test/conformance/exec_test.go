// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// exec runs a command by ExecTask.
func (k *task) exec(t testing.TB, timeout string, argv ...string) (string, int64) {
	t.Helper()
	r := k.h.must(t, driverSvc+"ExecTask", M{"task_id": k.id, "command": argv, "timeout": timeout})
	if !r.has("result") {
		t.Fatal("ExecTask without a result: the agent panics")
	}
	return string(r.bytes("stdout")), r.num("result.exit_code")
}

func TestExecTask(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := startTask(t, h, shell("sleep 99"))
	if out, code := k.exec(t, "20s", "/bin/sh", "-c", "echo out; echo err >&2; pwd; echo $NOMAD_ALLOC_ID $TESTDRIVER_EXEC; exit 3"); code != 3 ||
		out != "out\nerr\n"+filepath.Join(k.dir, k.name)+"\n"+k.alloc+" yes\n" {
		t.Errorf("%d %q", code, out)
	}
	if out, code := k.exec(t, "20s", "sh", "-c", "kill -9 $$"); code != 137 || out != "" {
		t.Errorf("by signal: %d %q", code, out)
	}
	// The end of long output is kept.
	if out, code := k.exec(t, "20s", "sh", "-c", "seq 100000; echo end"); code != 0 || !strings.HasSuffix(out, "\n100000\nend\n") || len(out) > 1<<20 {
		t.Errorf("long output: %d, %d bytes", code, len(out))
	}
	if out, code := k.exec(t, "20s", "cat"); code != 0 || out != "" {
		t.Errorf("stdin is not empty: %d %q", code, out)
	}
	for _, argv := range [][]string{{"/no/such/program"}, {"no-such-program"}, {""}, {}} {
		r, err := h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": argv, "timeout": "5s"})
		if err == nil && r.num("result.exit_code") == 0 {
			t.Errorf("%q succeeded", argv)
		}
	}
	// The timeout is ours to keep; children go as well.
	begin := time.Now()
	r, err := h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": []string{"sh", "-c", "sleep 993 & echo $!; sleep 992"}, "timeout": "0.5s"})
	if err == nil && r.num("result.exit_code") == 0 {
		t.Errorf("a timeout counts as success")
	}
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("the timeout took %v", d)
	}
	eventually(t, "nothing is left of it", func() bool { return !running("sleep\x00992") })
	k.destroy(t)
	if _, err := h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": []string{"true"}, "timeout": "5s"}); status.Code(err) != codes.NotFound {
		t.Errorf("ExecTask of a destroyed task: %v", err)
	}
}

// What the job says of user and directory holds without a word of the driver's, for the task and for commands in it.
func TestExecIsTheTask(t *testing.T) {
	t.Parallel()
	facts := []string{"Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "Umask:"}
	of := func(status string) string {
		var lines []string
		for _, l := range strings.Split(status, "\n") {
			for _, f := range facts {
				if strings.HasPrefix(l, f) {
					lines = append(lines, strings.TrimSpace(l))
				}
			}
		}
		return strings.Join(lines, "\n")
	}
	for _, user := range []string{"", "daemon", "nobody", "4711"} {
		t.Run("user "+user, func(t *testing.T) {
			h := sharedHost(t)
			k := newTask(t, h, shell("sleep 99"))
			k.extra = M{"user": user}
			k.mustStart(t)
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.leader(t)))
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]string{"": "0", "daemon": "1", "nobody": "65534", "4711": "4711"}[user]; !strings.Contains(of(string(status)), "Uid:\t"+want+"\t"+want) {
				t.Errorf("the task is not user %q:\n%s", user, of(string(status)))
			}
			if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", k.leader(t))); err != nil || got != filepath.Join(k.dir, k.name) {
				t.Errorf("the task's directory is %q, %v", got, err)
			}
			out, code := k.exec(t, "20s", "/bin/sh", "-c", "cat /proc/self/status; pwd; echo fds $(ls /proc/self/fd | wc -l)")
			if code != 0 || of(out) != of(string(status)) || !strings.Contains(out, filepath.Join(k.dir, k.name)+"\nfds 4\n") {
				t.Errorf("ExecTask: code %d, got\n%s\nwant\n%s\nall of it: %s", code, of(out), of(string(status)), out)
			}
			for _, tty := range []bool{false, true} {
				x := k.open(t, tty, "/bin/sh", "-c", "cat /proc/self/status")
				x.mustEnd(0)
				if got := of(strings.ReplaceAll(x.out(), "\r\n", "\n")); got != of(string(status)) {
					t.Errorf("streaming, tty %v: got\n%s\nwant\n%s", tty, got, of(string(status)))
				}
			}
			k.destroy(t)
		})
	}
}

// running looks for a process by its arguments.
func running(cmdline string) bool {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		data, _ := os.ReadFile(d + "/cmdline")
		pid, _ := strconv.Atoi(filepath.Base(d))
		if strings.Contains(string(data), cmdline) && !strings.Contains(string(data), "-c\x00") && alive(pid) {
			return true
		}
	}
	return false
}

// session is an ExecTaskStreaming under way.
type session struct {
	s              *stream
	mu             sync.Mutex
	stdout, stderr bytes.Buffer
	exited         bool
	code           int64
	err            error
	done           chan struct{}
	t              testing.TB
}

func (k *task) open(t testing.TB, tty bool, argv ...string) *session {
	t.Helper()
	x := &session{s: k.h.stream(t, driverSvc+"ExecTaskStreaming", nil, true), done: make(chan struct{}), t: t}
	x.send(M{"setup": M{"task_id": k.id, "command": argv, "tty": tty}})
	go func() {
		defer close(x.done)
		closed := map[string]bool{}
		for {
			r, err := x.s.recv()
			x.mu.Lock()
			if err != nil {
				if err != io.EOF {
					x.err = err
				}
				x.mu.Unlock()
				return
			}
			n := 0
			for name, buf := range map[string]*bytes.Buffer{"stdout": &x.stdout, "stderr": &x.stderr} {
				if r.has(name) {
					n++
					if closed[name] {
						t.Errorf("%s goes on after its end", name)
					}
					closed[name] = closed[name] || r.boolean(name+".close")
					buf.Write(r.bytes(name + ".data"))
				}
			}
			if r.boolean("exited") {
				n++
				if x.exited || !r.has("result") {
					t.Errorf("exited: %v", r.json())
				}
				x.exited, x.code = true, r.num("result.exit_code")
			}
			if n != 1 {
				t.Errorf("not one thing in a message: %v", r.json())
			}
			x.mu.Unlock()
		}
	}()
	return x
}

func (x *session) send(m M) {
	x.t.Helper()
	if err := x.s.send(m); err != nil && err != io.EOF {
		x.t.Fatalf("send: %v", err)
	}
}
func (x *session) input(data string) { x.t.Helper(); x.send(M{"stdin": M{"data": []byte(data)}}) }
func (x *session) closeInput()       { x.t.Helper(); x.send(M{"stdin": M{"close": true}}) }
func (x *session) out() string       { x.mu.Lock(); defer x.mu.Unlock(); return x.stdout.String() }
func (x *session) errs() string      { x.mu.Lock(); defer x.mu.Unlock(); return x.stderr.String() }
func (x *session) waitOut(text string) {
	x.t.Helper()
	eventually(x.t, fmt.Sprintf("output %q", text), func() bool { return strings.Contains(x.out(), text) })
}
func (x *session) mustEnd(code int64) {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(patience):
		x.t.Fatalf("the command does not end; output %q", x.out())
	}
	if x.err != nil || !x.exited || x.code != code {
		x.t.Errorf("ended with %v, exited %v, code %d; want %d; stdout %q stderr %q", x.err, x.exited, x.code, code, x.out(), x.errs())
	}
}

func TestExecStreaming(t *testing.T) {
	h := sharedHost(t)
	k := startTask(t, h, shell("sleep 99"))
	run := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { f(t) })
	}
	run("exit code with both streams", func(t *testing.T) {
		x := k.open(t, false, "/bin/sh", "-c", "echo to stdout; echo to stderr >&2; exit 43")
		x.mustEnd(43)
		if x.out() != "to stdout\n" || x.errs() != "to stderr\n" {
			t.Errorf("%q %q", x.out(), x.errs())
		}
	})
	run("exit code with a tty", func(t *testing.T) {
		x := k.open(t, true, "/bin/sh", "-c", "echo to stdout; echo to stderr >&2; exit 43")
		x.mustEnd(43)
		if x.out() != "to stdout\r\nto stderr\r\n" || x.errs() != "" {
			t.Errorf("%q %q", x.out(), x.errs())
		}
	})
	run("output comes while it runs", func(t *testing.T) {
		x := k.open(t, false, "/bin/sh", "-c", "echo one; read x; echo two $x; exit 0")
		x.waitOut("one\n")
		x.input("go\n")
		x.mustEnd(0)
		if x.out() != "one\ntwo go\n" {
			t.Errorf("%q", x.out())
		}
	})
	run("a child's output after the exit, without stderr", func(t *testing.T) {
		x := k.open(t, false, "/bin/sh", "-c", "exec 2>&-; (for i in 1 2 3; do sleep 0.2; echo $i; done) & exit 4")
		x.closeInput()
		x.mustEnd(4)
		if x.out() != "1\n2\n3\n" {
			t.Errorf("%q", x.out())
		}
	})
	run("stty size without a tty", func(t *testing.T) {
		x := k.open(t, false, "/bin/sh", "-c", "stty size; echo code $?")
		x.closeInput()
		x.mustEnd(0)
		if strings.Contains(x.out(), "code 0") || x.errs() == "" {
			t.Errorf("%q %q", x.out(), x.errs())
		}
	})
	run("stty size with a tty", func(t *testing.T) {
		x := k.open(t, true, "/bin/sh", "-c", "until [ \"$(stty size)\" = '100 100' ]; do sleep 0.02; done; stty size")
		x.send(M{"tty_size": M{"height": 100, "width": 100}})
		x.mustEnd(0)
		if x.out() != "100 100\r\n" {
			t.Errorf("%q", x.out())
		}
	})
	run("resize storm", func(t *testing.T) {
		x := k.open(t, true, "/bin/sh", "-c", "until [ \"$(stty size)\" = '43 77' ]; do sleep 0.02; done")
		for i := 0; i < 300; i++ {
			x.send(M{"tty_size": M{"height": i % 50, "width": -i}})
		}
		x.send(M{"tty_size": M{"height": 2147483647, "width": 2147483647}})
		x.send(M{"tty_size": M{"height": 43, "width": 77}})
		x.mustEnd(0)
	})
	run("head -n1", func(t *testing.T) {
		x := k.open(t, false, "head", "-n1")
		x.input("hello from stdin\nmore\n")
		x.mustEnd(0)
		if x.out() != "hello from stdin\n" {
			t.Errorf("%q", x.out())
		}
	})
	run("end of input", func(t *testing.T) {
		x := k.open(t, false, "sort", "-n")
		x.input("2\n")
		x.send(M{})
		x.send(M{"stdin": M{"data": []byte("1\n"), "close": true}})
		x.mustEnd(0)
		if x.out() != "1\n2\n" {
			t.Errorf("%q", x.out())
		}
	})
	run("tty echo", func(t *testing.T) {
		x := k.open(t, true, "/bin/sh", "-c", "echo ready; read x; echo got $x")
		x.waitOut("ready\r\n")
		x.input("abc\n")
		x.mustEnd(0)
		if x.out() != "ready\r\nabc\r\ngot abc\r\n" {
			t.Errorf("%q", x.out())
		}
	})
	run("tty end of input and interrupt", func(t *testing.T) {
		x := k.open(t, true, "cat")
		x.input("x\n")
		x.waitOut("x\r\nx\r\n")
		x.input("\x04")
		x.mustEnd(0)
		y := k.open(t, true, "/bin/sh", "-c", "echo ready; exec sleep 991")
		y.waitOut("ready")
		y.input("\x03")
		y.mustEnd(130)
	})
	run("close with a tty", func(t *testing.T) {
		x := k.open(t, true, "cat")
		x.input("x\n")
		x.waitOut("x\r\nx\r\n")
		x.closeInput()
		x.mustEnd(0)
	})
	run("binary data", func(t *testing.T) {
		data := make([]byte, 3<<20)
		rand.Read(data)
		x := k.open(t, false, "cat")
		go func() {
			for i := 0; i < len(data); i += 100000 {
				x.send(M{"stdin": M{"data": data[i:min(i+100000, len(data))]}})
			}
			x.closeInput()
		}()
		x.mustEnd(0)
		if !bytes.Equal([]byte(x.out()), data) {
			t.Errorf("%d bytes came back changed, of %d", len(x.out()), len(data))
		}
	})
	run("input that nobody reads", func(t *testing.T) {
		x := k.open(t, false, "true")
		for i := 0; i < 100; i++ {
			x.input(strings.Repeat("x", 10000))
		}
		x.mustEnd(0)
	})
	run("death by signal", func(t *testing.T) {
		k.open(t, false, "/bin/sh", "-c", "kill -9 $$").mustEnd(137)
		k.open(t, false, "/bin/sh", "-c", "exit 255").mustEnd(255)
	})
	run("a background holder of the tty", func(t *testing.T) {
		x := k.open(t, true, "/bin/sh", "-c", "trap '' HUP; sleep 5 & echo lead; exit 6")
		x.mustEnd(6)
	})
	run("children of the command, with a tty", func(t *testing.T) {
		x := k.open(t, true, "/bin/sh", "-c", "( ( sleep 60; echo from background ) & ); echo from main; exec sleep 1")
		x.mustEnd(0)
		if x.out() != "from main\r\n" {
			t.Errorf("%q", x.out())
		}
	})
	run("output comes while it runs, with a tty", func(t *testing.T) {
		x := k.open(t, true, "/bin/sh", "-c", "for n in 1 2 3; do echo $n; read x; done")
		for _, n := range []string{"1", "2", "3"} {
			x.waitOut(n + "\r\n")
			x.input("\n")
		}
		x.mustEnd(0)
	})
	run("working directory and environment", func(t *testing.T) {
		x := k.open(t, false, "/bin/sh", "-c", "pwd; echo $NOMAD_ALLOC_ID; tty; ls /proc/self/fd | wc -l")
		x.closeInput()
		x.mustEnd(0)
		if want := filepath.Join(k.dir, k.name) + "\n" + k.alloc + "\nnot a tty\n4\n"; x.out() != want {
			t.Errorf("%q, want %q", x.out(), want)
		}
	})
	run("no such command", func(t *testing.T) {
		x := k.open(t, false, "/no/such/command")
		<-x.done
		if x.exited && x.code == 0 || !x.exited && x.err == nil {
			t.Errorf("%v %d %v", x.exited, x.code, x.err)
		}
		if text := x.out() + x.errs(); !strings.Contains(text, "/no/such/command") {
			t.Errorf("the command is not named: %q", text)
		}
	})
	run("a refusal is written to standard error as well", func(t *testing.T) {
		k2 := startTask(t, h, shell("true"))
		k2.wait(t)
		x := k2.open(t, false, "true")
		within(t, patience, "end of the exec", func() { <-x.done })
		text, ok := strings.CutSuffix(x.errs(), "\r\n")
		if x.exited || !ok || text == "" || !strings.HasPrefix(status.Convert(x.err).Message(), text) {
			t.Errorf("exited %v, %v, stderr %q", x.exited, x.err, x.errs())
		}
		k2.destroy(t)
	})
	run("no setup", func(t *testing.T) {
		for _, m := range []M{{}, {"stdin": M{"close": true}}, {"setup": M{}}, {"setup": M{"task_id": k.id}}, {"setup": M{"command": []string{"true"}}}} {
			s := k.h.stream(t, driverSvc+"ExecTaskStreaming", m, true)
			_, err := s.recv()
			for err == nil {
				_, err = s.recv()
			}
			if err == io.EOF || status.Code(err) == codes.Unavailable {
				t.Errorf("%v: %v", m, err)
			}
		}
	})
	run("client vanishes", func(t *testing.T) {
		for _, tty := range []bool{false, true} {
			x := k.open(t, tty, "/bin/sh", "-c", "trap '' HUP TERM; echo $$; while :; do sleep 0.05; done")
			x.waitOut("\n")
			pid, err := strconv.Atoi(strings.TrimSpace(x.out()))
			if err != nil {
				t.Fatal(err)
			}
			x.s.cancel()
			<-x.done
			eventually(t, "the command is killed", func() bool { return !alive(pid) })
		}
	})
	run("slow reader", func(t *testing.T) {
		s := k.h.stream(t, driverSvc+"ExecTaskStreaming", M{"setup": M{"task_id": k.id, "command": []string{"sh", "-c", "head -c 20000000 /dev/zero"}}}, true)
		time.Sleep(500 * time.Millisecond)
		total := 0
		for {
			r, err := s.recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			total += len(r.bytes("stdout.data"))
		}
		if total != 20000000 {
			t.Errorf("%d bytes", total)
		}
	})
	run("parallel", func(t *testing.T) {
		n := 100
		if sanitized {
			n = 30
		}
		var list []*session
		for i := 0; i < n; i++ {
			list = append(list, k.open(t, i%2 == 0, "/bin/sh", "-c", fmt.Sprintf("read x; echo got $x; exit %d", i)))
		}
		for i, x := range list {
			x.input(fmt.Sprintf("%d\n", i))
		}
		for i, x := range list {
			x.mustEnd(int64(i))
			if !strings.Contains(x.out(), fmt.Sprintf("got %d", i)) {
				t.Errorf("%d: %q", i, x.out())
			}
		}
	})
	run("the task ends below it", func(t *testing.T) {
		k2 := startTask(t, h, shell("sleep 99"))
		x := k2.open(t, false, "/bin/sh", "-c", "echo $$; sleep 990; sleep 989")
		x.waitOut("\n")
		pid, _ := strconv.Atoi(strings.TrimSpace(x.out()))
		k2.stop(t, "SIGKILL", "1s")
		k2.destroy(t)
		within(t, patience, "end of the exec", func() { <-x.done })
		eventually(t, "the command is gone", func() bool { return !alive(pid) })
	})
	k.destroy(t)
}
