// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	cookieKey   = "NOMAD_PLUGIN_MAGIC_COOKIE"
	cookieValue = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"
	apiVersion  = "v0.1.0"
)

var (
	pluginPath  string // the executable under test
	stateDirs   []string
	stateDirsMu sync.Mutex
	topDir      string // of everything the tests make
	sanitized   bool   // built with sanitizers: no limits on memory
	// How long anything may take that has no bound of its own.
	patience = 60 * time.Second
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	fail := func(err error) int { fmt.Fprintln(os.Stderr, err); return 1 }
	pluginPath = os.Getenv("PLUGIN")
	if pluginPath == "" {
		pluginPath = "../../build/test/nomad-driver-test"
	}
	sanitized = os.Getenv("SANITIZED") != ""
	if d, err := time.ParseDuration(os.Getenv("PATIENCE")); err == nil {
		patience = d
	}
	var err error
	if pluginPath, err = filepath.Abs(pluginPath); err != nil {
		return fail(err)
	}
	if _, err := os.Stat(pluginPath); err != nil {
		return fail(err)
	}
	protos := os.Getenv("PROTOS")
	if protos == "" {
		protos = "../../libnomadplugin/wire"
	}
	if err := loadProtos(protos); err != nil {
		return fail(err)
	}
	if topDir, err = os.MkdirTemp("", "ndc"); err != nil {
		return fail(err)
	}
	os.Setenv("TMPDIR", filepath.Join(topDir, "tmp"))
	os.Mkdir(filepath.Join(topDir, "tmp"), 0o755)
	code := m.Run()
	if shared != nil {
		shared.kill()
		checkLogs(shared.logs.text(), func(f string, a ...any) { fmt.Printf("--- "+f+"\n", a...); code = 1 })
	}
	if left := leftSockets(); code == 0 && len(left) > 0 {
		fmt.Printf("--- sockets are left: %v\nFAIL\n", left)
		code = 1
	}
	if os.Getenv("KEEP") == "" {
		for _, d := range append(stateDirs, topDir) {
			os.RemoveAll(d)
		}
	}
	return code
}

func leftSockets() (left []string) {
	filepath.Walk(filepath.Join(topDir, "tmp"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode()&os.ModeSocket != 0 {
			left = append(left, path)
		}
		return nil
	})
	return
}

// logBuffer is the plugin's stderr.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}
func (l *logBuffer) text() string { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }

// grpcPlugin gives the bare connection, on which we make the calls.
type grpcPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (grpcPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("not a server")
}
func (grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

var handshake = plugin.HandshakeConfig{ProtocolVersion: 2, MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}

// host is a Nomad agent, as far as the plugin can see.
type host struct {
	client   *plugin.Client
	proto    *plugin.GRPCClient
	conn     *grpc.ClientConn
	cmd      *exec.Cmd
	pid      int
	logs     *logBuffer
	stateDir string
	killed   bool
}

type launch struct {
	env      []string
	stateDir string
	reattach *plugin.ReattachConfig
	path     string // another executable than all the others
}

func clientConfig(l launch, cmd *exec.Cmd, logs io.Writer) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugin.PluginSet{"base": grpcPlugin{}, "driver": grpcPlugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Cmd:              cmd,
		Reattach:         l.reattach,
		Stderr:           logs,
		Logger:           hclog.NewNullLogger(),
	}
}

func (l launch) start() (*host, error) {
	h := &host{logs: &logBuffer{}, stateDir: l.stateDir}
	if h.stateDir == "" {
		h.stateDir, _ = stateDir()
	}
	if l.reattach == nil {
		h.cmd = exec.Command(pluginPath)
		if l.path != "" {
			h.cmd = exec.Command(l.path)
		}
		h.cmd.Env = l.env
	}
	h.client = plugin.NewClient(clientConfig(l, h.cmd, h.logs))
	p, err := h.client.Client()
	if err != nil {
		h.client.Kill()
		return nil, fmt.Errorf("%w; stderr: %s", err, h.logs.text())
	}
	h.proto = p.(*plugin.GRPCClient)
	raw, err := p.Dispense("driver")
	if err != nil {
		return nil, err
	}
	h.conn = raw.(*grpc.ClientConn)
	h.pid = h.client.ReattachConfig().Pid
	return h, nil
}

// stateDir is a short name: sockets are made in it.
func stateDir() (string, error) {
	base := os.Getenv("NOMAD_TEST_DIR")
	if base == "" {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "s")
	stateDirsMu.Lock()
	defer stateDirsMu.Unlock()
	stateDirs = append(stateDirs, dir)
	return dir, err
}

func (h *host) kill() { h.client.Kill(); h.killed = true }

// crash kills the plugin and waits until it is gone.
func (h *host) crash() {
	socket := h.client.ReattachConfig().Addr.String()
	syscall.Kill(h.pid, syscall.SIGKILL)
	h.client.Kill()
	h.killed = true
	os.Remove(socket) // it could not do so itself
}

func start(t testing.TB, l launch) *host {
	t.Helper()
	h, err := l.start()
	if err != nil {
		t.Fatalf("cannot start the plugin: %v", err)
	}
	t.Cleanup(func() {
		if !h.killed {
			h.kill()
		}
		if h.cmd != nil {
			checkLogs(h.logs.text(), t.Errorf)
		}
	})
	return h
}

// checkLogs: whatever goes to stderr is a line of hclog's, or else a
// sanitizer speaks.
func checkLogs(text string, errorf func(string, ...any)) {
	first, bad := "", []string(nil)
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line == "" {
			continue
		}
		if reason := badLogLine(line); reason != "" {
			if first == "" {
				first = reason
			}
			bad = append(bad, line)
		}
	}
	if len(bad) > 60 {
		bad = bad[:60]
	}
	if first != "" {
		errorf("stderr: %s:\n%s", first, strings.Join(bad, "\n"))
	}
}

// ready brings a plugin to where tasks can be started, as launch 3 does.
func (h *host) ready(t testing.TB, config M) {
	t.Helper()
	h.setConfig(t, config, true)
	h.must(t, driverSvc+"Init", M{})
}

func (h *host) configBytes(t testing.TB, config M) []byte {
	t.Helper()
	all := M{"state_dir": h.stateDir}
	for k, v := range config {
		all[k] = v
	}
	schema := h.must(t, baseSvc+"ConfigSchema", M{})
	data, err := encodeConfig(schema.sub("spec"), all, nil)
	if err != nil {
		t.Fatalf("plugin config: %v", err)
	}
	return data
}

func (h *host) setConfig(t testing.TB, config M, final bool) {
	t.Helper()
	in := M{"msgpack_config": h.configBytes(t, config), "plugin_api_version": apiVersion}
	if final {
		in["nomad_config"] = nomadConfig()
	}
	h.must(t, baseSvc+"SetConfig", in)
}

func nomadConfig() M {
	return M{"driver": M{"ClientMinPort": 14000, "ClientMaxPort": 14512, "Topology": M{
		"node_ids": []int{0}, "distances": M{"dimension": 1, "values": []int{10}},
		"cores": []M{{"core_id": 0, "base_speed": 2000}, {"core_id": 1, "base_speed": 2000}},
	}}}
}

func (h *host) call(method string, in M) (R, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return invoke(ctx, h.conn, method, in)
}

func (h *host) must(t testing.TB, method string, in M) R {
	t.Helper()
	r, err := h.call(method, in)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return r
}

func (h *host) stream(t testing.TB, method string, in M, bidi bool) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	s, err := openStream(ctx, h.conn, method, in, bidi)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	t.Cleanup(cancel)
	return s
}

// ---- One plugin for all tests that do not hurt it ----

var (
	shared     *host
	sharedOnce sync.Once
	sharedErr  error
	// The plugin block, where the driver under test needs more than the defaults.
	sharedConfig = M{}
)

func sharedHost(t testing.TB) *host {
	t.Helper()
	sharedOnce.Do(func() {
		var h *host
		if h, sharedErr = (launch{}).start(); sharedErr == nil {
			h.ready(t, sharedConfig)
			shared = h
		}
	})
	if shared == nil {
		t.Fatalf("cannot start the plugin: %v", sharedErr)
	}
	return shared
}

// ---- Tasks ----

type task struct {
	h              *host
	id, name       string
	alloc          string
	dir            string // of the alloc
	stdout, stderr *fifo
	env            map[string]string
	extra          M // more fields of TaskConfig
	config         []byte
	handle         R
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func uuid() string {
	x := random(16)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// newTask makes what Nomad has made when it calls StartTask.
func newTask(t testing.TB, h *host, config M) *task {
	t.Helper()
	k := &task{h: h, name: "web", alloc: uuid()}
	k.id = k.alloc + "/" + k.name + "/" + random(4)
	k.dir = filepath.Join(topDir, "allocs", k.alloc)
	for _, d := range []string{"alloc/logs", "alloc/tmp", "alloc/data", k.name + "/local", k.name + "/tmp", k.name + "/secrets"} {
		if err := os.MkdirAll(filepath.Join(k.dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	k.stdout = newFifo(t, filepath.Join(k.dir, "alloc/logs", "."+k.name+".stdout.fifo"))
	k.stderr = newFifo(t, filepath.Join(k.dir, "alloc/logs", "."+k.name+".stderr.fifo"))
	k.env = map[string]string{
		"NOMAD_ALLOC_ID": k.alloc, "NOMAD_TASK_NAME": k.name, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
		"NOMAD_ALLOC_DIR": filepath.Join(k.dir, "alloc"), "NOMAD_TASK_DIR": filepath.Join(k.dir, k.name, "local"),
		"NOMAD_SECRETS_DIR": filepath.Join(k.dir, k.name, "secrets"),
	}
	schema := h.must(t, driverSvc+"TaskConfigSchema", M{})
	if config == nil {
		config = M{}
	}
	data, err := encodeConfig(schema.sub("spec"), config, nil)
	if err != nil {
		t.Fatalf("task config: %v", err)
	}
	k.config = data
	return k
}

func (k *task) message() M {
	m := M{
		"id": k.id, "name": k.name, "alloc_id": k.alloc, "alloc_dir": k.dir, "msgpack_driver_config": k.config,
		"stdout_path": k.stdout.path, "stderr_path": k.stderr.path, "env": k.env,
		"job_name": "job", "job_id": "job", "task_group_name": "group", "namespace": "default",
		"node_id": "n1", "node_name": "node",
		"resources": M{
			"allocated_resources": M{"cpu": M{"cpu_shares": 100}, "memory": M{"memory_mb": 256}},
			"linux_resources":     M{"cpu_shares": 100, "memory_limit_bytes": 256 << 20, "PercentTicks": 0.025},
		},
	}
	for key, v := range k.extra {
		m[key] = v
	}
	return m
}

func (k *task) start() error {
	r, err := k.h.call(driverSvc+"StartTask", M{"task": k.message()})
	if err == nil {
		k.handle = r.sub("handle")
	}
	return err
}

func startTask(t testing.TB, h *host, config M) *task {
	t.Helper()
	k := newTask(t, h, config)
	k.mustStart(t)
	return k
}

func (k *task) mustStart(t testing.TB) {
	t.Helper()
	t.Cleanup(func() { k.clean(t) })
	if err := k.start(); err != nil {
		t.Fatalf("StartTask: %v", err)
	}
	if k.handle.m == nil || k.handle.num("version") < 1 || k.handle.str("config.id") != k.id ||
		k.handle.str("state") != "RUNNING" || len(k.handle.bytes("driver_state")) == 0 {
		t.Fatalf("StartTask: the handle is not complete: %v", k.handle)
	}
}

// clean destroys the task; where its plugin is gone by now, another does it.
func (k *task) clean(t testing.TB) {
	h := k.h
	if h.killed {
		var err error
		if h, err = (launch{stateDir: h.stateDir}).start(); err != nil {
			return
		}
		defer h.kill()
		h.ready(t, M{})
	}
	h.call(driverSvc+"DestroyTask", M{"task_id": k.id, "force": true})
}

func shell(command string) M { return M{"command": command} }

func (k *task) wait(t testing.TB) R {
	t.Helper()
	r, err := k.h.call(driverSvc+"WaitTask", M{"task_id": k.id})
	if err != nil {
		t.Fatalf("WaitTask: %v", err)
	}
	return r
}

func (k *task) mustExit(t testing.TB, code, signal int64) R {
	t.Helper()
	r := k.wait(t)
	if r.str("err") != "" || !r.has("result") || r.num("result.exit_code") != code || r.num("result.signal") != signal {
		t.Fatalf("WaitTask: got %v, want exit code %d, signal %d", r.json(), code, signal)
	}
	return r
}

func (k *task) stop(t testing.TB, signal, timeout string) {
	t.Helper()
	k.h.must(t, driverSvc+"StopTask", M{"task_id": k.id, "timeout": timeout, "signal": signal})
}
func (k *task) destroy(t testing.TB) {
	t.Helper()
	k.h.must(t, driverSvc+"DestroyTask", M{"task_id": k.id, "force": true})
}
func (k *task) inspect(t testing.TB) R {
	t.Helper()
	return k.h.must(t, driverSvc+"InspectTask", M{"task_id": k.id})
}

// leader is the pid of the task's first process.
func (k *task) leader(t testing.TB) int {
	t.Helper()
	pid, err := strconv.Atoi(k.inspect(t).strings("driver.attributes")["leader"])
	if err != nil || pid <= 1 {
		t.Fatalf("the task has no leader: %v", k.inspect(t).json())
	}
	return pid
}

// recover gives the handle to a plugin, as an agent does after its restart:
// the config that we could read is gone.
func (k *task) recover(h *host, keepConfig bool) error {
	config := k.message()
	if !keepConfig {
		delete(config, "msgpack_driver_config")
	}
	k.h = h
	_, err := h.call(driverSvc+"RecoverTask", M{"handle": M{
		"version": k.handle.num("version"), "config": config, "state": "RUNNING",
		"driver_state": k.handle.bytes("driver_state")}})
	return err
}

// fifo reads like logmon: from before the start until the last writer is gone.
type fifo struct {
	path string
	logBuffer
	done chan struct{}
}

func newFifo(t testing.TB, path string) *fifo {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fifo{path: path, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		file, err := os.OpenFile(path, os.O_RDONLY, 0)
		if err != nil {
			return
		}
		defer file.Close()
		io.Copy(&f.logBuffer, file)
	}()
	t.Cleanup(f.release)
	return f
}

// release lets a reader go that nobody ever wrote to.
func (f *fifo) release() {
	if w, err := os.OpenFile(f.path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		w.Close()
	}
}

// all is what was written, once the last writer is gone.
func (f *fifo) all(t testing.TB) string {
	t.Helper()
	select {
	case <-f.done:
	case <-time.After(patience):
		t.Fatalf("%s: a writer is left open", f.path)
	}
	return f.text()
}

// ---- Small things ----

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func wantCode(t testing.TB, err error, code codes.Code, pattern string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("got %v, want code %v", err, code)
	}
	if !regexp.MustCompile(pattern).MatchString(status.Convert(err).Message()) {
		t.Errorf("error text %q does not match %s", status.Convert(err).Message(), pattern)
	}
}

func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := data[bytes.LastIndexByte(data, ')')+2:]
	return rest[0] != 'Z' && rest[0] != 'X'
}

func within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s: did not end within %v", what, limit)
	}
}
