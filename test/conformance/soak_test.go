// SPDX-License-Identifier: MPL-2.0

//go:build soak

package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// What many tasks and many rounds cost.  Prints figures into $FIGURES and
// fails where one is beyond what is promised.  SOAK_TASKS at once,
// SOAK_SECONDS or SOAK_ROUNDS of tasks one after another, SOAK_KILLS of the plugin.

func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func figure(t *testing.T, what, format string, a ...any) {
	t.Helper()
	line := fmt.Sprintf("%-58s %s\n", what, fmt.Sprintf(format, a...))
	t.Log(line)
	if f, err := os.OpenFile(os.Getenv("FIGURES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
		f.WriteString(line)
		f.Close()
	}
}

// atMost states a figure and its limit.
func atMost(t *testing.T, what string, got, limit float64, unit string) {
	t.Helper()
	figure(t, what, "%.2f %s (at most %g)", got, unit, limit)
	if got > limit {
		t.Errorf("%s: %.2f %s, at most %g", what, got, unit, limit)
	}
}

// memory of a process in KiB: its share of all, and what is its own.
func memory(pid int) (pss, private float64) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for _, m := range regexp.MustCompile(`(?m)^(Pss|Private_Clean|Private_Dirty): *(\d+) kB`).FindAllStringSubmatch(string(data), -1) {
		n, _ := strconv.ParseFloat(m[2], 64)
		if m[1] == "Pss" {
			pss += n
		} else {
			private += n
		}
	}
	return
}

// cpu is what a process has used, in seconds.
func cpu(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100
}

func available() float64 {
	data, _ := os.ReadFile("/proc/meminfo")
	n, _ := strconv.ParseFloat(string(regexp.MustCompile(`MemAvailable: *(\d+)`).FindSubmatch(data)[1]), 64)
	return n
}

// quietTask has no log readers of ours: these would be a thread each.
func quietTask(h *host, config []byte) *task {
	k := &task{h: h, name: "web", alloc: uuid(), config: config}
	k.id = k.alloc + "/" + k.name + "/" + random(4)
	k.dir = filepath.Join(topDir, "allocs", k.alloc)
	for _, d := range []string{"alloc/logs", k.name + "/local", k.name + "/secrets"} {
		os.MkdirAll(filepath.Join(k.dir, d), 0o777)
	}
	k.stdout, k.stderr = &fifo{path: "/dev/null"}, &fifo{path: "/dev/null"}
	k.env = map[string]string{"PATH": "/usr/bin:/bin"}
	return k
}

func (h *host) encoded(t *testing.T, command string) []byte {
	t.Helper()
	data, err := encodeConfig(h.must(t, driverSvc+"TaskConfigSchema", M{}).sub("spec"), shell(command), nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (k *task) over() error {
	_, err := k.h.call(driverSvc+"DestroyTask", M{"task_id": k.id, "force": true})
	os.RemoveAll(k.dir)
	return err
}

// atOnce calls f for all tasks at the same time and says how long that took.
func atOnce(t *testing.T, tasks []*task, f func(k *task) error) time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	begin := time.Now()
	for _, k := range tasks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(k); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	return time.Since(begin)
}

func percentile(d []time.Duration, p float64) float64 {
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return float64(d[int(p*float64(len(d)-1))].Microseconds()) / 1000
}

func TestSoakManyTasks(t *testing.T) {
	n := setting("SOAK_TASKS", 1000)
	h := start(t, launch{})
	h.ready(t, M{})
	config := h.encoded(t, "exec sleep 99999")
	idle, _ := memory(h.pid)
	free := available()
	var tasks []*task
	for i := 0; i < n; i++ {
		tasks = append(tasks, quietTask(h, config))
	}
	t.Cleanup(func() {
		if t.Failed() {
			atOnce(t, tasks, (*task).over)
		}
	})
	took := atOnce(t, tasks, (*task).start)
	if t.Failed() {
		return
	}
	figure(t, fmt.Sprintf("%d starts at once", n), "%.2f s", took.Seconds())

	t.Run("memory", func(t *testing.T) {
		var supers, sleeps, worst, sum float64
		pss, private := memory(h.pid)
		for _, k := range tasks {
			leader := k.leader(t)
			super := parent(t, leader)
			a, own := memory(super)
			b, _ := memory(leader)
			supers, sleeps, sum = supers+a, sleeps+b, sum+own
			worst = max(worst, own)
		}
		figure(t, "plugin idle, share of memory", "%.1f MiB", idle/1024)
		figure(t, fmt.Sprintf("plugin with %d tasks, share of memory", n), "%.1f MiB (its own: %.1f)", pss/1024, private/1024)
		figure(t, "supervisors, share of memory", "%.1f MiB (each: %.0f KiB)", supers/1024, supers/float64(n))
		figure(t, "the tasks themselves (sleep), share of memory", "%.1f MiB", sleeps/1024)
		figure(t, "the machine's available memory went down by", "%.1f MiB", (free-available())/1024)
		figure(t, "private memory of a supervisor, mean", "%.0f KiB", sum/float64(n))
		atMost(t, "private memory of a supervisor, largest", worst/1024, 0.5, "MiB")
		atMost(t, fmt.Sprintf("%d tasks in all", n), (pss+supers+sleeps)/1024/1024, 0.8*float64(n)/1000, "GiB")
	})
	t.Run("ps lists them", func(t *testing.T) {
		file := filepath.Join(topDir, "config.json")
		os.WriteFile(file, []byte(fmt.Sprintf(`{"state_dir": %q}`, h.stateDir)), 0o600)
		begin := time.Now()
		out, err := exec.Command(pluginPath, "ps", "--config", file).CombinedOutput()
		if err != nil && regexp.MustCompile(`(?i)unknown|usage`).Match(out) {
			t.Skipf("the driver has no command ps: %s", out)
		}
		figure(t, fmt.Sprintf("ps of %d tasks", n), "%.2f s", time.Since(begin).Seconds())
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, k := range tasks {
			if !strings.Contains(string(out), k.alloc[:8]) {
				t.Fatalf("%s is not listed: %.2000s", k.id, out)
			}
		}
	})
	t.Run("statistics", func(t *testing.T) {
		var samples sync.Map
		var streams []*stream
		for _, k := range tasks {
			s := h.stream(t, driverSvc+"TaskStats", M{"task_id": k.id, "collection_interval": "1s"}, false)
			streams = append(streams, s)
			go func() {
				for i := 1; ; i++ {
					if _, err := s.recv(); err != nil {
						return
					}
					samples.Store(k.id, i)
				}
			}()
		}
		all := func() (sum int) {
			samples.Range(func(_, v any) bool { sum += v.(int); return true })
			return
		}
		eventually(t, "all streams have begun", func() bool { return all() >= n })
		before, begin, used := all(), time.Now(), cpu(h.pid)
		time.Sleep(20 * time.Second)
		used = (cpu(h.pid) - used) / time.Since(begin).Seconds() * 100
		got := float64(all()-before) / time.Since(begin).Seconds()
		figure(t, "samples", "%.0f/s", got)
		if got < 0.5*float64(n) {
			t.Errorf("%.0f samples a second of %d tasks", got, n)
		}
		for _, s := range streams {
			s.cancel()
		}
		atMost(t, fmt.Sprintf("plugin, statistics of %d tasks at 1 s", n), used, 5, "% of a core")
	})
	took = atOnce(t, tasks, func(k *task) error {
		if _, err := h.call(driverSvc+"StopTask", M{"task_id": k.id, "timeout": "60s", "signal": "SIGTERM"}); err != nil {
			return err
		}
		r, err := h.call(driverSvc+"WaitTask", M{"task_id": k.id})
		if err == nil && r.num("result.signal") != 15 {
			err = fmt.Errorf("ended otherwise: %v", r.json())
		}
		return err
	})
	figure(t, fmt.Sprintf("%d stops at once", n), "%.2f s", took.Seconds())
	took = atOnce(t, tasks, (*task).over)
	figure(t, fmt.Sprintf("%d destroys at once", n), "%.2f s", took.Seconds())
	pss, _ := memory(h.pid)
	figure(t, "plugin thereafter, share of memory", "%.1f MiB", pss/1024)
}

func TestSoakOneAfterAnother(t *testing.T) {
	rounds, seconds := setting("SOAK_ROUNDS", 10000), setting("SOAK_SECONDS", 60)
	t.Run("state on disk", func(t *testing.T) { oneAfterAnother(t, launch{}, rounds, seconds) })
	// What the disk has a part in: records are synced to it.
	if dir, err := os.MkdirTemp("/dev/shm", "s"); err == nil {
		defer os.RemoveAll(dir)
		t.Run("state in memory", func(t *testing.T) { oneAfterAnother(t, launch{stateDir: dir}, rounds, seconds/4) })
	}
}

func oneAfterAnother(t *testing.T, l launch, rounds, seconds int) {
	h := start(t, l)
	h.ready(t, M{})
	config := h.encoded(t, "exit 3")
	figure(t, "---- "+t.Name(), "")
	var starts, whole []time.Duration
	one := func() {
		k := quietTask(h, config)
		begin := time.Now()
		if err := k.start(); err != nil {
			t.Fatal(err)
		}
		starts = append(starts, time.Since(begin))
		k.mustExit(t, 3, 0)
		if err := k.over(); err != nil {
			t.Fatal(err)
		}
		whole = append(whole, time.Since(begin))
	}
	for i := 0; i < 500; i++ {
		one()
	}
	before := h.footprint(t)
	starts, whole = nil, nil
	for end := time.Now().Add(time.Duration(seconds) * time.Second); len(starts) < rounds && time.Now().Before(end); {
		one()
	}
	after := h.footprint(t)
	figure(t, "tasks one after another", "%d", len(starts))
	figure(t, "start, wait, destroy of a task that ends at once", "p50 %.2f ms, p99 %.2f ms", percentile(whole, 0.5), percentile(whole, 0.99))
	figure(t, "StartTask p99", "%.2f ms", percentile(starts, 0.99))
	atMost(t, "StartTask p50", percentile(starts, 0.5), 5, "ms")
	atMost(t, "growth of the plugin", float64(after.rssKB-before.rssKB)/1024, 1, "MiB")
	if after.fds > before.fds+2 || after.threads > before.threads+2 {
		t.Errorf("descriptors and threads: %+v, were %+v", after, before)
	}
}

func TestSoakKills(t *testing.T) {
	n, kills := 100, setting("SOAK_KILLS", 50)
	h := start(t, launch{})
	h.ready(t, M{})
	config := h.encoded(t, "while [ ! -e go ]; do sleep 1; done; exit 42")
	var tasks []*task
	for i := 0; i < n; i++ {
		tasks = append(tasks, quietTask(h, config))
	}
	atOnce(t, tasks, (*task).start)
	pids := map[string]int{}
	for _, k := range tasks {
		pids[k.id] = k.leader(t)
	}
	var down []time.Duration
	for i := 0; i < kills && !t.Failed(); i++ {
		begin := time.Now()
		h.crash()
		h = start(t, launch{stateDir: h.stateDir})
		h.ready(t, M{})
		atOnce(t, tasks, func(k *task) error { return k.recover(h, false) })
		down = append(down, time.Since(begin))
		for _, k := range tasks {
			if pid := k.leader(t); pid != pids[k.id] {
				t.Errorf("after %d kills: pid %d, was %d", i+1, pid, pids[k.id])
			}
		}
	}
	figure(t, fmt.Sprintf("%d times: plugin killed, started, %d tasks recovered", kills, n), "p50 %.0f ms, worst %.0f ms",
		percentile(down, 0.5), percentile(down, 1))
	for _, k := range tasks {
		os.WriteFile(filepath.Join(k.dir, k.name, "go"), nil, 0o644)
	}
	atOnce(t, tasks, func(k *task) error {
		r, err := h.call(driverSvc+"WaitTask", M{"task_id": k.id})
		if err == nil && r.num("result.exit_code") != 42 {
			err = fmt.Errorf("exit code: %v", r.json())
		}
		return err
	})
	atOnce(t, tasks, (*task).over)
}
