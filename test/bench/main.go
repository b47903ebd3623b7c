// SPDX-License-Identifier: MPL-2.0

// Measure plugins in turn, interleaved, so that whatever else the
// machine does hits all alike: time from start to handshake, memory when
// idle, latency of calls.  Medians, and ratios to the first plugin named.
//
// usage: bench NAME=EXECUTABLE...
//
//	bench tasks TEST-DRIVER GO-PLUGIN NOMAD
//	bench nspawn DRIVER ROOT
//	bench builds BUILD-DRIVER ROOTFS.tar	(in namespaces of its own: test/bench/builds)
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	calls  = 100
	cookie = "NOMAD_PLUGIN_MAGIC_COOKIE=e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"
	base   = "/hashicorp.nomad.plugins.base.proto.BasePlugin/"
	driver = "/hashicorp.nomad.plugins.drivers.proto.Driver/"
)

type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

type process struct {
	cmd   *exec.Cmd
	conn  *grpc.ClientConn
	took  time.Duration
	task  string
	tasks int
}

var tmp string

// roundsOf is how often something is measured: as the variable says, else as
// BENCH_RUNS, which is for all of it.
func roundsOf(variable string, otherwise int) int {
	for _, name := range []string{variable, "BENCH_RUNS"} {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
			return n
		}
	}
	return otherwise
}

var rounds = roundsOf("PLUGIN_ROUNDS", 20)

func launch(path string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...)}
	p.cmd.Env = append(os.Environ(), cookie, "PLUGIN_PROTOCOL_VERSIONS=2", "PLUGIN_MIN_PORT=10000", "PLUGIN_MAX_PORT=25000", "TMPDIR="+tmp)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	p.took = time.Since(begin)
	f := strings.Split(line, "|")
	if err != nil || len(f) < 5 {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		return nil, fmt.Errorf("handshake %q: %v", line, err)
	}
	p.conn, err = grpc.NewClient("passthrough:///unused", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, f[2], f[3])
		}), grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	return p, err
}

func (p *process) call(method string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out []byte
	err := p.conn.Invoke(ctx, method, &in, &out)
	return out, err
}

// first waits for the first message of the fingerprint stream.
func (p *process) first() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, driver+"Fingerprint")
	if err != nil {
		return err
	}
	var in, out []byte
	if err := s.SendMsg(&in); err != nil {
		return err
	}
	s.CloseSend()
	return s.RecvMsg(&out)
}

func (p *process) end() {
	p.call("/plugin.GRPCController/Shutdown", nil)
	p.conn.Close()
	done := make(chan bool)
	go func() { p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-done
	}
}

// memory in KiB: the process' own pages, and those shared with others.
func (p *process) memory() (private, shared float64) {
	m := smaps(p.cmd.Process.Pid)
	return m["Private_Clean"] + m["Private_Dirty"], m["Shared_Clean"] + m["Shared_Dirty"]
}

// memoryOf in KiB: its own pages, and its share of all.
func memoryOf(pid int) (private, pss float64) {
	m := smaps(pid)
	return m["Private_Clean"] + m["Private_Dirty"], m["Pss"]
}

func smaps(pid int) map[string]float64 {
	values := map[string]float64{}
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for _, m := range regexp.MustCompile(`(?m)^(\w+): *(\d+) kB`).FindAllStringSubmatch(string(data), -1) {
		values[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	return values
}

func text(n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), s)
}

func pack(s string) string { return string([]byte{0xd9, byte(len(s))}) + s }

// configure brings a plugin to where it can run a task.  `options` are more of the plugin block, in msgpack.
func (p *process) configure(options ...string) {
	config := string([]byte{0x81 + byte(len(options)/2)}) + pack("state_dir") + pack(tmp) + strings.Join(options, "")
	if _, err := p.call(base+"SetConfig", append(text(1, config), append(text(2, string(text(1, ""))), text(3, "v0.1.0")...)...)); err != nil {
		fmt.Fprintln(os.Stderr, "SetConfig:", err)
	}
	p.call(driver+"Init", nil)
}

// prepare also starts a task if it is the test driver; the Go plugin answers
// all alike.
func (p *process) prepare() {
	p.configure()
	p.task, _ = p.startTask("sleep 600")
}

// aTask is a StartTask request and the id in it.
type aTask struct {
	id      string
	request []byte
}

func (p *process) taskConfig(config, stdout string) (t aTask) {
	p.tasks++
	alloc := "01234567-89ab-cdef-0123-456789abcdef"
	name := fmt.Sprintf("web%d", p.tasks) // a second task of a name ends the first
	t.id = alloc + "/" + name + "/" + fmt.Sprintf("%08x", p.cmd.Process.Pid<<8+p.tasks)
	dir := filepath.Join(tmp, alloc)
	for _, d := range []string{name + "/local", name + "/secrets", "alloc/logs"} {
		os.MkdirAll(filepath.Join(dir, d), 0o755)
	}
	var task []byte
	for n, s := range map[protowire.Number]string{1: t.id, 2: name, 3: config, 10: dir, 11: stdout, 12: "/dev/null", 15: alloc} {
		task = append(task, text(n, s)...)
	}
	t.request = text(1, string(task))
	return
}

func (p *process) start(t aTask) (id string, err error) {
	if _, err = p.call(driver+"StartTask", t.request); err != nil {
		return "", err
	}
	return t.id, nil
}

func (p *process) startTask(command string) (id string, err error) {
	return p.start(p.taskConfig("\x81"+pack("command")+pack(command), "/dev/null"))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sort.Float64s(v)
	return v[len(v)/2]
}

func main() {
	var names []string
	paths := map[string]string{}
	if len(os.Args) == 4 && os.Args[1] == "builds" {
		tmp, _ = os.MkdirTemp("", "ndbench")
		defer os.RemoveAll(tmp)
		if err := benchBuilds(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "builds:", err)
		}
		return
	}
	if len(os.Args) == 5 && os.Args[1] == "tasks" {
		tmp, _ = os.MkdirTemp("", "ndbench")
		defer os.RemoveAll(tmp)
		if err := benchTasks(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, "tasks:", err)
		}
		return
	}
	if len(os.Args) == 4 && os.Args[1] == "nspawn" {
		tmp, _ = os.MkdirTemp("", "ndbench")
		defer os.RemoveAll(tmp)
		if err := benchNspawn(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "nspawn:", err)
		}
		return
	}
	for _, a := range os.Args[1:] {
		name, path, _ := strings.Cut(a, "=")
		if _, err := os.Stat(path); err == nil {
			names = append(names, name)
			paths[name] = path
		}
	}
	if len(names) == 0 {
		fmt.Fprintln(os.Stderr, "usage: bench NAME=EXECUTABLE...")
		os.Exit(2)
	}
	tmp, _ = os.MkdirTemp("", "ndbench")
	defer os.RemoveAll(tmp)
	values := map[string]map[string][]float64{} // row, plugin
	var rows []string
	note := func(row, name string, v float64) {
		if values[row] == nil {
			values[row] = map[string][]float64{}
			rows = append(rows, row)
		}
		values[row][name] = append(values[row][name], v)
	}
	for i := 0; i < rounds+1; i++ {
		// One is started when the one before it has nothing to do any more; then all are idle together.
		started := map[string]*process{}
		for _, name := range names {
			p, err := launch(paths[name])
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
				os.Exit(1)
			}
			started[name] = p
			p.call(base+"PluginInfo", nil)
			p.first()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second) // what a runtime gives back by itself is given back
		for _, name := range names {
			p := started[name]
			private, shared := p.memory()
			p.end()
			if i == 0 {
				continue // files are read into memory
			}
			note("start to handshake, ms", name, float64(p.took.Microseconds())/1000)
			note("private memory idle, KiB", name, private)
			note("shared memory idle, KiB", name, shared)
		}
	}
	running := map[string]*process{}
	for _, name := range names {
		p, err := launch(paths[name])
		if err != nil {
			continue
		}
		p.prepare()
		running[name] = p
	}
	for i := 0; i < rounds+1; i++ {
		for _, name := range names {
			p := running[name]
			measure := func(row string, f func() error) {
				begin := time.Now()
				for n := 0; n < calls; n++ {
					if f() != nil {
						return
					}
				}
				if i > 0 {
					note(row, name, float64(time.Since(begin).Microseconds())/calls)
				}
			}
			measure("PluginInfo, µs", func() error { _, err := p.call(base+"PluginInfo", nil); return err })
			measure("Fingerprint first, µs", p.first)
			if p.task != "" {
				measure("InspectTask, µs", func() error { _, err := p.call(driver+"InspectTask", text(1, p.task)); return err })
			}
		}
	}
	for _, name := range names {
		p := running[name]
		if p.task != "" {
			p.destroyTask(p.task)
		}
		p.end()
	}
	fmt.Printf("medians of %d interleaved runs; in brackets: ratio to %s\n\n%-28s", rounds, names[0], "")
	for _, name := range names {
		fmt.Printf("%20s", name)
	}
	fmt.Println()
	for _, row := range rows {
		fmt.Printf("%-28s", row)
		first := median(values[row][names[0]])
		for i, name := range names {
			m := median(values[row][name])
			if len(values[row][name]) > 0 {
				record("plugin process", row, name, m)
			}
			switch {
			case len(values[row][name]) == 0:
				fmt.Printf("%20s", "-")
			case i == 0 || first == 0:
				fmt.Printf("%20s", fmt.Sprintf("%.1f        ", m))
			default:
				fmt.Printf("%20s", fmt.Sprintf("%.1f (%.2f)", m, m/first))
			}
		}
		fmt.Println()
	}
	fmt.Println("\nTo be at most: start to handshake 0.50, private memory 0.33.")
}
