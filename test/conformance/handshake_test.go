// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// bare runs the plugin without go-plugin.
type bare struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr *logBuffer
	line   string
}

func pluginEnv(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.Getenv("TMPDIR"), cookieKey + "=" + cookieValue,
		"PLUGIN_PROTOCOL_VERSIONS=2", "PLUGIN_MIN_PORT=10000", "PLUGIN_MAX_PORT=25000"}, more...)
}

func startBare(t *testing.T, env ...string) *bare {
	t.Helper()
	b := &bare{cmd: exec.Command(pluginPath), stderr: &logBuffer{}}
	b.cmd.Env = pluginEnv(env...)
	b.cmd.Stderr = b.stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.cmd.Stdout = w
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b.out = bufio.NewReader(r)
	t.Cleanup(func() { b.cmd.Process.Kill(); b.cmd.Wait(); r.Close() })
	within(t, patience, "handshake", func() { b.line, _ = b.out.ReadString('\n') })
	return b
}

func (b *bare) socket(t *testing.T) string {
	t.Helper()
	f := strings.Split(b.line, "|")
	if len(f) < 5 || f[0] != "1" || f[1] != "2" || f[2] != "unix" || strings.TrimSpace(f[4]) != "grpc" {
		t.Fatalf("handshake line %q, stderr %s", b.line, b.stderr.text())
	}
	return f[3]
}

func dial(t *testing.T, socket string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///unused", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func shutdown(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := invoke(ctx, conn, "/plugin.GRPCController/Shutdown", M{}); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func (b *bare) mustEnd(t *testing.T) int {
	t.Helper()
	within(t, patience, "end of the plugin", func() { b.cmd.Wait() })
	return b.cmd.ProcessState.ExitCode()
}

func TestHandshakeLine(t *testing.T) {
	b := startBare(t)
	if want := "1|2|unix|" + b.socket(t) + "|grpc|\n"; b.line != want {
		t.Errorf("got %q, want %q", b.line, want)
	}
	info, err := os.Stat(b.socket(t))
	if err != nil || info.Mode()&os.ModeSocket == 0 || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("socket: %v %v", info, err)
	}
	if dir := filepath.Dir(b.socket(t)); !strings.HasPrefix(dir, os.Getenv("TMPDIR")) {
		t.Errorf("the socket is not below $TMPDIR: %s", dir)
	}
	shutdown(t, dial(t, b.socket(t)))
	if code := b.mustEnd(t); code != 0 {
		t.Errorf("exit code %d: %s", code, b.stderr.text())
	}
	if _, err := os.Lstat(b.socket(t)); !os.IsNotExist(err) {
		t.Errorf("the socket is still there")
	}
	if rest, _ := io.ReadAll(b.out); len(rest) > 0 {
		t.Errorf("stdout after the handshake: %q", rest)
	}
}

func TestHandshakeEnvironment(t *testing.T) {
	dir := t.TempDir()
	short, err := os.MkdirTemp(topDir, "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("PLUGIN_UNIX_SOCKET_DIR", func(t *testing.T) {
		b := startBare(t, "PLUGIN_UNIX_SOCKET_DIR="+short)
		if !strings.HasPrefix(b.socket(t), short+"/") {
			t.Errorf("socket %s is not in %s", b.socket(t), short)
		}
		shutdown(t, dial(t, b.socket(t)))
		b.mustEnd(t)
		if left, _ := os.ReadDir(short); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	for _, group := range []string{"daemon", "1"} {
		t.Run("PLUGIN_UNIX_SOCKET_GROUP="+group, func(t *testing.T) {
			if os.Getuid() != 0 {
				t.Skip("not root")
			}
			b := startBare(t, "PLUGIN_UNIX_SOCKET_DIR="+short, "PLUGIN_UNIX_SOCKET_GROUP="+group)
			info, err := os.Stat(b.socket(t))
			if err != nil || info.Mode().Perm() != 0o660 || info.Sys().(*syscall.Stat_t).Gid != 1 {
				t.Errorf("socket: %v %v", info, err)
			}
			shutdown(t, dial(t, b.socket(t)))
			b.mustEnd(t)
		})
	}
	t.Run("PLUGIN_MULTIPLEX_GRPC", func(t *testing.T) {
		b := startBare(t, "PLUGIN_MULTIPLEX_GRPC=true")
		if !strings.HasSuffix(b.line, "|grpc||false\n") {
			t.Errorf("handshake %q", b.line)
		}
		shutdown(t, dial(t, b.socket(t)))
		b.mustEnd(t)
	})
	refused := func(name, pattern string, env ...string) {
		t.Run(name, func(t *testing.T) {
			b := startBare(t, env...)
			if code := b.mustEnd(t); b.line != "" || code != 1 {
				t.Errorf("handshake %q, exit code %d", b.line, code)
			}
			if !strings.Contains(b.stderr.text(), pattern) {
				t.Errorf("stderr does not tell of %s: %q", pattern, b.stderr.text())
			}
		})
	}
	refused("PLUGIN_CLIENT_CERT", "PLUGIN_CLIENT_CERT", "PLUGIN_CLIENT_CERT=-----BEGIN CERTIFICATE-----")
	refused("no common version", "'3,4'", "PLUGIN_PROTOCOL_VERSIONS=3,4")
	refused("unknown group", "no-such-group", "PLUGIN_UNIX_SOCKET_GROUP=no-such-group")
	refused("missing directory", "/no/such/dir", "PLUGIN_UNIX_SOCKET_DIR=/no/such/dir")
	long := filepath.Join(dir, strings.Repeat("d", 120))
	os.Mkdir(long, 0o755)
	refused("long directory", "ddddd", "PLUGIN_UNIX_SOCKET_DIR="+long)
}

// A person who starts the file gets a hint instead of a handshake.
func TestNoCookie(t *testing.T) {
	for _, env := range []string{cookieKey + "=wrong", "NOTHING=1"} {
		cmd := exec.Command(pluginPath)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.Getenv("TMPDIR"), env}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		within(t, patience, "plugin without cookie", func() { cmd.Run() })
		if cmd.ProcessState.ExitCode() == 0 || strings.Contains(stdout.String(), "|grpc") {
			t.Errorf("%s: exit code %d, stdout %q", env, cmd.ProcessState.ExitCode(), stdout.String())
		}
		if !strings.Contains(strings.ToLower(stderr.String()), "nomad") {
			t.Errorf("%s: no hint on stderr: %q", env, stderr.String())
		}
	}
}

func TestHealth(t *testing.T) {
	h := sharedHost(t)
	for _, service := range []string{"plugin", ""} {
		r := h.must(t, "/grpc.health.v1.Health/Check", M{"service": service})
		if r.str("status") != "SERVING" {
			t.Errorf("%q: %v", service, r.json())
		}
	}
	_, err := h.call("/grpc.health.v1.Health/Check", M{"service": "other"})
	wantCode(t, err, codes.NotFound, "")
}

// Streams of go-plugin's own that a host opens and forgets.
func TestIdleStreams(t *testing.T) {
	h := sharedHost(t)
	for _, method := range []string{"/plugin.GRPCStdio/StreamStdio", "/plugin.GRPCBroker/StartStream"} {
		bidi := strings.HasSuffix(method, "StartStream")
		in := M{}
		if bidi {
			in = M{"service_id": 1, "network": "unix", "address": "/x"}
		}
		s := h.stream(t, method, in, bidi)
		got := make(chan error, 1)
		go func() { _, err := s.recv(); got <- err }()
		select {
		case err := <-got:
			t.Errorf("%s: returned %v", method, err)
		case <-time.After(300 * time.Millisecond):
		}
		s.cancel()
		if err := <-got; status.Code(err) != codes.Canceled {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestUnknownMethod(t *testing.T) {
	h := sharedHost(t)
	for _, method := range []string{driverSvc + "Nothing", "/other.Service/Method"} {
		var in, out []byte
		err := h.conn.Invoke(context.Background(), method, &in, &out, grpc.ForceCodec(rawCodec{}))
		wantCode(t, err, codes.Unimplemented, "")
	}
}

// The host waits two seconds for the end, whatever is still open.
func TestShutdownWithOpenStreams(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	k := startTask(t, h, shell("sleep 60"))
	leader := k.leader(t)
	for _, m := range []string{"Fingerprint", "TaskEvents"} {
		h.stream(t, driverSvc+m, M{}, false)
	}
	h.stream(t, driverSvc+"TaskStats", M{"task_id": k.id, "collection_interval": "1s"}, false)
	h.stream(t, driverSvc+"ExecTaskStreaming", M{"setup": M{"task_id": k.id, "command": []string{"cat"}}}, true)
	waited := make(chan error, 1)
	go func() { _, err := h.call(driverSvc+"WaitTask", M{"task_id": k.id}); waited <- err }()
	time.Sleep(100 * time.Millisecond)
	h.must(t, driverSvc+"Shutdown", M{})
	begin := time.Now()
	h.kill()
	if d := time.Since(begin); d > 2*time.Second && !sanitized {
		t.Errorf("the end took %v: the host has killed it", d)
	}
	if err := <-waited; err == nil {
		t.Errorf("WaitTask succeeded though the task runs")
	}
	if !alive(leader) {
		t.Fatalf("the task has ended with its plugin")
	}
	h2 := start(t, launch{stateDir: h.stateDir})
	h2.ready(t, M{})
	if err := k.recover(h2, false); err != nil {
		t.Fatal(err)
	}
	k.stop(t, "", "1s")
	k.wait(t)
	k.destroy(t)
}

func TestReattach(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	k := startTask(t, h, shell("sleep 99"))
	re := h.client.ReattachConfig()
	for i := 0; i < 3; i++ {
		h.conn.Close()
		h2 := start(t, launch{reattach: re, stateDir: h.stateDir})
		h2.must(t, baseSvc+"PluginInfo", M{})
		h2.must(t, driverSvc+"Init", M{})
		f := h2.stream(t, driverSvc+"Fingerprint", M{}, false)
		if r, err := f.recv(); err != nil || r.str("health") != "HEALTHY" {
			t.Fatalf("fingerprint after reattach: %v", err)
		}
		h2.stream(t, driverSvc+"TaskEvents", M{}, false)
		if err := k.recover(h2, false); err != nil {
			t.Fatalf("RecoverTask of a known task: %v", err)
		}
		if s := k.inspect(t).str("task.state"); s != "RUNNING" {
			t.Fatalf("state %s", s)
		}
		if !alive(re.Pid) {
			t.Fatal("the plugin has ended")
		}
		h2.killed = true
		h = h2
	}
	k.stop(t, "SIGKILL", "1s")
	k.mustExit(t, 137, 9)
	k.destroy(t)
	h.client.Kill()
	eventually(t, "the plugin has ended", func() bool { return !alive(re.Pid) })
}

// The launches of an agent's start leave nothing and touch nothing.
func TestThreeLaunches(t *testing.T) {
	dir, err := stateDir()
	if err != nil {
		t.Fatal(err)
	}
	first := start(t, launch{stateDir: dir})
	info := first.must(t, baseSvc+"PluginInfo", M{})
	if info.str("name") != "testdriver" || info.str("type") != "DRIVER" || !strings.Contains(fmt.Sprint(info.json()), apiVersion) {
		t.Errorf("PluginInfo: %v", info.json())
	}
	if v := strings.Split(info.str("plugin_version"), "."); len(v) != 3 {
		t.Errorf("plugin_version %q", info.str("plugin_version"))
	} else if _, err := strconv.Atoi(v[1]); err != nil {
		t.Errorf("plugin_version %q", info.str("plugin_version"))
	}
	first.must(t, baseSvc+"ConfigSchema", M{})
	first.kill()

	second := start(t, launch{stateDir: dir})
	second.setConfig(t, M{"greeting": "hi"}, false)
	second.setConfig(t, M{"greeting": "hi"}, false)
	second.kill()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the trial launches have left files: %v", left)
	}

	third := start(t, launch{stateDir: dir})
	third.ready(t, M{"greeting": "hi"})
	f := third.stream(t, driverSvc+"Fingerprint", M{}, false)
	if _, err := f.recv(); err != nil {
		t.Error(err)
	}
	third.kill()
}

// A plugin that lives on after its agent was killed can be reattached: its
// broken pipes do not matter.
func TestHostDies(t *testing.T) {
	b := startBare(t)
	socket := b.socket(t)
	conn := dial(t, socket)
	call := func(method string, in M) (R, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return invoke(ctx, conn, method, in)
	}
	if _, err := call(baseSvc+"PluginInfo", M{}); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	b.cmd.Process.Signal(syscall.SIGINT)
	b.cmd.Process.Signal(syscall.SIGPIPE)
	time.Sleep(200 * time.Millisecond)
	conn = dial(t, socket)
	if _, err := call(baseSvc+"PluginInfo", M{}); err != nil {
		t.Fatalf("after SIGINT, SIGPIPE and a new connection: %v", err)
	}
	shutdown(t, conn)
	if code := b.mustEnd(t); code != 0 {
		t.Errorf("exit code %d: %s", code, b.stderr.text())
	}
}
