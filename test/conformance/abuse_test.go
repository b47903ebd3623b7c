// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func procField(t testing.TB, pid int, name string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)`).FindSubmatch(data)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

type footprint struct{ threads, fds, rssKB int }

func (h *host) footprint(t testing.TB) footprint {
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.pid))
	return footprint{procField(t, h.pid, "Threads"), len(fds), procField(t, h.pid, "VmRSS")}
}

// settled waits until threads and descriptors are back where they were.
func (h *host) settled(t testing.TB, before footprint, moreKB int) {
	t.Helper()
	var now footprint
	defer func() { t.Logf("before %+v, after %+v", before, now) }()
	eventually(t, "descriptors are closed", func() bool {
		now = h.footprint(t)
		return now.fds <= before.fds+2
	})
	// Workers come as they are needed, and stay for a while; they have a bound.
	if now.threads > 100 {
		t.Errorf("threads: %d, were %d", now.threads, before.threads)
	}
	if !sanitized && now.rssKB > before.rssKB+moreKB {
		t.Errorf("memory: %d kB, was %d kB", now.rssKB, before.rssKB)
	}
}

func (h *host) alive(t testing.TB) {
	t.Helper()
	if r := h.must(t, baseSvc+"PluginInfo", M{}); r.str("name") != "testdriver" {
		t.Fatalf("PluginInfo: %v", r.json())
	}
}

// ---- Malformed messages to every method ----

// corpus: files of bytes, and what is derived from them.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	dirs := []string{"../corpus/request"}
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[f.Name()] = data
		}
	}
	if len(out) < 10 {
		t.Fatalf("the corpus holds %d files only", len(out))
	}
	return out
}

func (h *host) raw(method string, data []byte, streaming bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var out []byte
	if !streaming {
		return h.conn.Invoke(ctx, method, &data, &out, grpc.ForceCodec(rawCodec{}))
	}
	// A stream that was accepted stays open: a moment is enough.
	s, err := h.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodec(rawCodec{}))
	if err != nil {
		return err
	}
	if err := s.SendMsg(&data); err != nil {
		return err
	}
	got := make(chan error, 1)
	go func() { got <- s.RecvMsg(&out) }()
	select {
	case err := <-got:
		return err
	case <-time.After(50 * time.Millisecond):
		cancel()
		<-got
		return nil
	}
}

func TestMalformed(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	before := h.footprint(t)
	type job struct {
		method, name string
		data         []byte
		streaming    bool
	}
	var jobs []job
	for name, data := range corpus(t) {
		for _, m := range unaryMethods {
			jobs = append(jobs, job{m, name, data, false})
		}
		for _, m := range streamMethods {
			jobs = append(jobs, job{m, name, data, true})
		}
	}
	// Cut and bent versions of good requests.
	rnd := rand.New(rand.NewSource(1))
	good := messageOf(pkgDriver+".StartTaskRequest", M{"task": newTask(t, h, nil).message()})
	bytesOf, err := goodBytes(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 300; i++ {
		data := append([]byte(nil), bytesOf...)
		if i%3 == 0 {
			data = data[:rnd.Intn(len(data))]
		} else {
			for n := rnd.Intn(5); n >= 0; n-- {
				data[rnd.Intn(len(data))] = byte(rnd.Intn(256))
			}
		}
		jobs = append(jobs, job{driverSvc + "StartTask", "bent", data, false}, job{driverSvc + "RecoverTask", "bent", data, false})
	}
	work := make(chan job)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[codes.Code]int{}
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range work {
				err := h.raw(j.method, j.data, j.streaming)
				code := status.Code(err)
				mu.Lock()
				seen[code]++
				mu.Unlock()
				if code == codes.Unavailable || code == codes.DeadlineExceeded {
					t.Errorf("%s with %s: %v", j.method, j.name, err)
				}
				// Few of the bent ones make sense, and start a task.
				if j.name == "bent" && err == nil && strings.HasSuffix(j.method, "StartTask") {
					request := newMessage(pkgDriver + ".StartTaskRequest")
					if err := proto.Unmarshal(j.data, request); err != nil {
						t.Errorf("a request that cannot be read was served: %v", err)
						continue
					}
					if _, err := h.call(driverSvc+"DestroyTask", M{"task_id": R{request}.str("task.id"), "force": true}); err != nil &&
						status.Code(err) != codes.NotFound {
						t.Errorf("DestroyTask: %v", err)
					}
				}
				// What is no message must not succeed.
				if strings.HasPrefix(j.name, "bad-") && err == nil && !j.streaming {
					t.Errorf("%s with %s succeeded", j.method, j.name)
				}
			}
		}()
	}
	for _, j := range jobs {
		work <- j
	}
	close(work)
	wg.Wait()
	t.Logf("%d requests: %v", len(jobs), seen)
	h.alive(t)
	h.settled(t, before, 64<<10)
}

// HTTP/2 frames that no client would send, straight to the socket.
func TestHTTP2Garbage(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	socket := h.client.ReattachConfig().Addr.String()
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frame := func(typ, flags byte, stream uint32, payload string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
		b = append(b[1:], typ, flags)
		return string(binary.BigEndian.AppendUint32(b, stream)) + payload
	}
	settings := frame(4, 0, 0, "")
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	resets := ""
	for i := uint32(1); i < 2000; i += 2 {
		resets += frame(1, 4, i, "\x82") + frame(3, 0, i, "\x00\x00\x00\x08")
	}
	rnd := rand.New(rand.NewSource(2))
	noise := make([]byte, 100000)
	rnd.Read(noise)
	attacks := map[string]string{
		"nothing":             "",
		"noise":               string(noise),
		"HTTP/1":              "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"cut preface":         preface[:10],
		"preface, noise":      preface + settings + string(noise),
		"long frame":          preface + settings + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",
		"continuation alone":  preface + settings + frame(9, 0, 1, "x"),
		"continuation flood":  preface + settings + frame(1, 0, 1, "\x82") + many(frame(9, 0, 1, ""), 10000),
		"rapid reset":         preface + settings + resets,
		"ping flood":          preface + settings + many(frame(6, 0, 0, "12345678"), 10000),
		"settings flood":      preface + many(settings, 10000),
		"bad settings":        preface + frame(4, 0, 0, "\x00\x04\xff\xff\xff\xff"),
		"window overflow":     preface + settings + many(frame(8, 0, 0, "\x7f\xff\xff\xff"), 3),
		"stream 0":            preface + settings + frame(1, 4, 0, "\x82"),
		"even stream":         preface + settings + frame(1, 4, 2, "\x82"),
		"largest stream":      preface + settings + frame(1, 4, 0x7fffffff, "\x82"),
		"bad HPACK":           preface + settings + frame(1, 4, 1, "\xff\xff\xff\xff\xff\xff"),
		"HPACK bomb":          preface + settings + frame(1, 0, 1, "\x40\x01a\x7f\xff\x1f"+many("a", 8000)) + many(frame(9, 0, 1, many("\xbe", 16000)), 20),
		"data before headers": preface + settings + frame(0, 1, 1, "x"),
		"goaway":              preface + settings + frame(7, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		"priority on itself":  preface + settings + frame(2, 0, 1, "\x00\x00\x00\x01\x00"),
		"unknown frames":      preface + settings + many(frame(200, 255, 0, "x"), 1000),
		"half a request":      preface + settings + frame(1, 4, 1, "\x83\x86"),
	}
	attack := func() {
		for name, data := range attacks {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			conn.Write([]byte(data))
			// A server may keep an idle connection: it has to bear with us, not we with it.
			conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			buf := make([]byte, 65536)
			for {
				if _, err := conn.Read(buf); err != nil {
					break
				}
			}
			conn.Close()
			h.alive(t)
		}
		// Connections that say nothing do not keep others out.
		var idle []net.Conn
		for i := 0; i < 100; i++ {
			var conn net.Conn
			eventually(t, "a connection is accepted", func() bool {
				var err error
				conn, err = net.Dial("unix", socket)
				return err == nil
			})
			idle = append(idle, conn)
		}
		h.alive(t)
		for _, c := range idle {
			c.Close()
		}
	}
	// What gRPC takes once it keeps; it must not take it each time.
	attack()
	before := h.footprint(t)
	attack()
	attack()
	h.settled(t, before, 192<<10)
}

// ---- Sizes and numbers ----

func TestLargeMessages(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	k := newTask(t, h, shell("sleep 99"))
	before := h.footprint(t)
	k.extra = M{"device_env": M{"BIG": strings.Repeat("x", 5<<20)}}
	if err := k.start(); err != nil {
		t.Fatalf("a request of 5 MiB: %v", err)
	}
	t.Cleanup(func() { k.destroy(t) })
	k.destroy(t)
	// An environment that execve refuses: said, not crashed.
	k = newTask(t, h, shell("true"))
	k.env["BIG"] = strings.Repeat("x", 3<<20)
	if err := k.start(); err == nil || status.Code(err) == codes.Unavailable {
		t.Errorf("an environment of 3 MiB: %v", err)
		if err == nil {
			k.destroy(t)
		}
	}
	// Bytes of any kind arrive as they are.
	k = newTask(t, h, M{"command": `printf %s "$1" | wc -c`, "args": []string{strings.Repeat("ü", 50000)}})
	k.mustStart(t)
	k.mustExit(t, 0, 0)
	if out := strings.TrimSpace(k.stdout.all(t)); out != "100000" {
		t.Errorf("%s bytes", out)
	}
	k.destroy(t)
	// Hostile sizes.
	for _, n := range []int{1 << 20, 16 << 20} {
		k := newTask(t, h, nil)
		k.config = bytes.Repeat([]byte{0x91}, n)
		wantCode(t, k.start(), codes.InvalidArgument, "")
	}
	h.alive(t)
	h.settled(t, before, 96<<10)
	// Nor does what was refused stay in memory: by the decoder, and by gRPC.
	for size, code := range map[int]codes.Code{40 << 20: codes.InvalidArgument, 70 << 20: codes.ResourceExhausted} {
		k := newTask(t, h, nil)
		k.config = bytes.Repeat([]byte{0x91}, size)
		wantCode(t, k.start(), code, "")
		if !sanitized {
			eventually(t, "memory is given back", func() bool { return h.footprint(t).rssKB < before.rssKB+6<<10 })
		}
	}
	h.alive(t)
}

// No thread each: hundreds of calls may be open.
func TestManyStreams(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	k := startTask(t, h, shell("exec sleep 99"))
	before := h.footprint(t)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	n := 500
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var err error
			if i%5 == 4 {
				var s *stream
				if s, err = openStream(ctx, h.conn, driverSvc+[]string{"TaskEvents", "Fingerprint"}[i/5%2], M{}, false); err == nil {
					for err == nil {
						_, err = s.recv()
					}
				}
			} else {
				_, err = invoke(ctx, h.conn, driverSvc+"WaitTask", M{"task_id": k.id})
			}
			if err != nil && status.Code(err) != codes.Canceled {
				t.Errorf("%d: %v", i, err)
			}
		}()
	}
	time.Sleep(time.Second)
	h.alive(t)
	during := h.footprint(t)
	t.Logf("%d open calls: %+v, before %+v", n, during, before)
	if during.threads > before.threads+16 {
		t.Errorf("%d threads for %d calls", during.threads, n)
	}
	k.stop(t, "SIGKILL", "1s")
	k.mustExit(t, 137, 9)
	cancel()
	wg.Wait()
	k.destroy(t)
	h.settled(t, before, 64<<10)
}

func TestCancellations(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	k := startTask(t, h, shell("sleep 99"))
	n := 10000
	if sanitized {
		n = 2000
	}
	round := func(n int) {
		var wg sync.WaitGroup
		for w := 0; w < 20; w++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := 0; i < n/20; i++ {
					ctx, cancel := context.WithCancel(context.Background())
					done := make(chan struct{})
					go func() {
						defer close(done)
						switch i % 4 {
						case 0, 1:
							invoke(ctx, h.conn, driverSvc+"WaitTask", M{"task_id": k.id})
						case 2:
							if s, err := openStream(ctx, h.conn, driverSvc+"TaskStats", M{"task_id": k.id, "collection_interval": "1s"}, false); err == nil {
								s.recv()
								s.recv()
							}
						case 3:
							if s, err := openStream(ctx, h.conn, driverSvc+"TaskEvents", M{}, false); err == nil {
								s.recv()
							}
						}
					}()
					if i%3 == 0 {
						time.Sleep(time.Duration(i%7) * 100 * time.Microsecond)
					}
					cancel()
					<-done
				}
			}()
		}
		wg.Wait()
	}
	round(n / 5)
	before := h.footprint(t)
	round(n)
	h.alive(t)
	h.settled(t, before, 64<<10)
	if s := k.inspect(t); s.str("task.state") != "RUNNING" {
		t.Error("the task has ended")
	}
	k.destroy(t)
}

// Tasks come and go: nothing grows.
func TestManyTasks(t *testing.T) {
	h := start(t, launch{})
	h.ready(t, M{})
	round := func(n, parallel int) {
		var wg sync.WaitGroup
		for w := 0; w < parallel; w++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := 0; i < n/parallel; i++ {
					k := newTask(t, h, shell("echo x; exit 3"))
					if err := k.start(); err != nil {
						t.Error(err)
						return
					}
					r, err := h.call(driverSvc+"WaitTask", M{"task_id": k.id})
					if err != nil || r.num("result.exit_code") != 3 {
						t.Errorf("%v %v", r, err)
					}
					if _, err := h.call(driverSvc+"DestroyTask", M{"task_id": k.id, "force": true}); err != nil {
						t.Error(err)
					}
					if out := k.stdout.all(t); out != "x\n" {
						t.Errorf("%q", out)
					}
					os.RemoveAll(k.dir)
				}
			}()
		}
		wg.Wait()
	}
	round(100, 10)
	before := h.footprint(t)
	round(200, 20)
	h.settled(t, before, 8<<10)
	left := 0
	filepath.Walk(h.stateDir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			left++
		}
		return nil
	})
	if left > 5 {
		t.Errorf("%d files are left in the state directory", left)
	}
	// No zombie.
	for _, d := range children(h.pid) {
		if !alive(d) {
			t.Errorf("process %d is a zombie", d)
		}
	}
}

func children(pid int) (list []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		data, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(data)) {
			n, _ := strconv.Atoi(w)
			list = append(list, n)
		}
	}
	return
}

// The plugin's descriptors stay its own.
func TestDescriptorsAreClosed(t *testing.T) {
	h := sharedHost(t)
	k := startTask(t, h, shell("sleep 99"))
	for _, pid := range []int{k.leader(t), parent(t, k.leader(t))} {
		if pid == h.pid {
			continue
		}
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		for _, fd := range fds {
			target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
			for _, own := range []string{"1", "2"} {
				ours, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", h.pid, own))
				if target == ours && strings.HasPrefix(ours, "pipe:") {
					t.Errorf("process %d holds the plugin's descriptor %s: %s", pid, own, target)
				}
			}
		}
		if pid == k.leader(t) && len(fds) != 3 {
			t.Errorf("the task has %d descriptors", len(fds))
		}
	}
	k.destroy(t)
}
