// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"io"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestStats(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := startTask(t, h, shell("while :; do :; done"))
	s := h.stream(t, driverSvc+"TaskStats", M{"task_id": k.id, "collection_interval": "0.2s"}, false)
	var last R
	before := time.Now().Add(-2 * time.Second)
	busy := false
	for i := 0; i < 5 || (!busy && i < 100); i++ {
		r, err := s.recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"stats", "stats.agg_resource_usage", "stats.timestamp", "stats.agg_resource_usage.cpu", "stats.agg_resource_usage.memory"} {
			if !r.has(field) {
				t.Fatalf("%s is missing: the agent panics or drops it", field)
			}
		}
		at := time.Unix(r.num("stats.timestamp.seconds"), r.num("stats.timestamp.nanos"))
		if at.Before(before) || at.After(time.Now().Add(time.Second)) || r.str("stats.id") != k.id {
			t.Errorf("%v", r.json())
		}
		before = at
		busy = r.float("stats.agg_resource_usage.cpu.percent") > 1
		last = r
	}
	u := last.sub("stats.agg_resource_usage")
	cpus, _, _ := u.at("cpu.measured_fields")
	mems, _, _ := u.at("memory.measured_fields")
	if !busy || cpus.List().Len() == 0 || mems.List().Len() == 0 {
		t.Errorf("%v", last.json())
	}
	if rss := u.num("memory.rss") + u.num("memory.usage"); rss < 100<<10 || rss > 1<<30 {
		t.Errorf("memory %d: %v", rss, last.json())
	}
	if p, ticks := u.float("cpu.percent"), u.float("cpu.total_ticks"); p > 0 && (ticks < p/100*2000*0.9 || ticks > p/100*2000*1.1) {
		t.Errorf("%f %% are %f MHz of a core of 2000", p, ticks)
	}
	pids, _, _ := last.at("stats.resource_usage_by_pid")
	if pids.Map().Len() == 0 {
		t.Errorf("no process: %v", last.json())
	}
	pids.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		if _, err := os.Stat("/proc/" + key.String()); err != nil {
			t.Errorf("process %v: %v", key, err)
		}
		return true
	})
	// The stream ends with the task.
	k.stop(t, "SIGKILL", "1s")
	for {
		_, err := s.recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Errorf("the end of the stream: %v", err)
			break
		}
	}
	k.mustExit(t, 137, 9)
	k.destroy(t)
}

func TestStatsIntervals(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := startTask(t, h, shell("sleep 99"))
	for _, interval := range []string{"", "0s", "0.000000001s", "3600s", "-1s", "315576000000s"} {
		in := M{"task_id": k.id}
		if interval != "" {
			in["collection_interval"] = interval
		}
		s := h.stream(t, driverSvc+"TaskStats", in, false)
		within(t, patience, "first sample", func() {
			if _, err := s.recv(); err != nil && status.Code(err) != codes.InvalidArgument {
				t.Errorf("interval %q: %v", interval, err)
			}
		})
		s.cancel()
	}
	// A tiny interval is no flood.
	s := h.stream(t, driverSvc+"TaskStats", M{"task_id": k.id, "collection_interval": "0.000000001s"}, false)
	n := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); n++ {
		if _, err := s.recv(); err != nil {
			break
		}
	}
	s.cancel()
	if n > 50 {
		t.Errorf("%d samples a second", n)
	}
	k.destroy(t)
}

func TestOOM(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	k := newTask(t, h, shell("exec perl -e '$x = \"x\" x (1 << 20); push @a, $x . $_ for 1 .. 400; sleep 1'"))
	k.extra = M{"resources": M{
		"allocated_resources": M{"cpu": M{"cpu_shares": 100}, "memory": M{"memory_mb": 32}},
		"linux_resources":     M{"cpu_shares": 100, "memory_limit_bytes": 32 << 20},
	}}
	k.mustStart(t)
	r := k.wait(t)
	if r.num("result.exit_code") == 0 {
		t.Skip("no limit on memory here: no cgroup with a memory controller")
	}
	if !r.boolean("result.oom_killed") || r.num("result.signal") != 9 {
		t.Errorf("%v", r.json())
	}
	k.destroy(t)
}
