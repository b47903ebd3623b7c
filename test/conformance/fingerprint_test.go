// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// attribute is the text that Nomad makes of it; "" where it is not there.
func attribute(r R, key string) string {
	v, _, _ := r.at("attributes")
	a := v.Map().Get(protoreflect.ValueOfString(key).MapKey())
	if !a.IsValid() {
		return ""
	}
	m := R{a.Message()}
	fd := m.m.WhichOneof(m.m.Descriptor().Oneofs().ByName("value"))
	if fd == nil {
		return ""
	}
	return m.m.Get(fd).String() + m.str("unit")
}

func TestFingerprint(t *testing.T) {
	health := filepath.Join(t.TempDir(), "health")
	h := start(t, launch{})
	h.ready(t, M{"health_file": health})
	a := h.stream(t, driverSvc+"Fingerprint", M{}, false)
	b := h.stream(t, driverSvc+"Fingerprint", M{}, false)
	for _, s := range []*stream{a, b} {
		r, err := s.recv()
		if err != nil {
			t.Fatal(err)
		}
		if r.str("health") != "HEALTHY" || r.str("err") != "" || r.str("health_description") == "" {
			t.Errorf("%v", r.json())
		}
		for key, want := range map[string]string{"driver.testdriver": "true", "driver.testdriver.greeting": "hello",
			"driver.testdriver.limit": "5", "driver.testdriver.flag": "true", "driver.testdriver.memory": "64MiB"} {
			if got := attribute(r, key); got != want {
				t.Errorf("%s: got %q, want %q", key, got, want)
			}
		}
	}
	// Nothing comes while nothing changes, though the host is looked at each second.
	type answer struct {
		r   R
		err error
	}
	next := make(chan answer, 10)
	go func() {
		for {
			r, err := a.recv()
			next <- answer{r, err}
			if err != nil {
				return
			}
		}
	}()
	select {
	case x := <-next:
		t.Fatalf("unasked: %v %v", x.r, x.err)
	case <-time.After(2500 * time.Millisecond):
	}
	for _, c := range []struct{ word, health, description string }{
		{"unhealthy", "UNHEALTHY", "the daemon does not answer; start it"},
		{"undetected", "UNDETECTED", "the backend is not installed; install it"},
		{"healthy", "HEALTHY", ""},
	} {
		if err := os.WriteFile(health+".new", []byte(c.word+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Rename(health+".new", health)
		select {
		case x := <-next:
			if x.err != nil || x.r.str("health") != c.health || !strings.Contains(x.r.str("health_description"), c.description) {
				t.Errorf("%s: %v %v", c.word, x.err, x.r.json())
			}
		case <-time.After(patience):
			t.Fatalf("%s: the change is not told", c.word)
		}
	}
	a.cancel()
	for x := range next {
		if x.err != nil {
			if status.Code(x.err) != codes.Canceled {
				t.Error(x.err)
			}
			break
		}
	}
}

// A subscriber before SetConfig and Init, as after a reattach, must not hang.
func TestFingerprintUnconfigured(t *testing.T) {
	h := start(t, launch{})
	s := h.stream(t, driverSvc+"Fingerprint", M{}, false)
	within(t, patience, "first fingerprint", func() {
		if _, err := s.recv(); err != nil {
			t.Error(err)
		}
	})
}

func TestTaskEvents(t *testing.T) {
	h := sharedHost(t)
	s := h.stream(t, driverSvc+"TaskEvents", M{}, false)
	other := h.stream(t, driverSvc+"TaskEvents", M{}, false)
	events := make(chan R, 1000)
	go func() {
		for {
			r, err := s.recv()
			if err != nil {
				close(events)
				return
			}
			events <- r
		}
	}()
	// The stream is open at the server once it has answered a later call.
	time.Sleep(100 * time.Millisecond)
	other.cancel()
	k := startTask(t, h, shell("true"))
	k.wait(t)
	deadline := time.After(patience)
	for found := false; !found; {
		select {
		case r, ok := <-events:
			if !ok {
				t.Fatal("the stream has ended")
			}
			if r.str("task_id") != k.id {
				continue
			}
			found = strings.Contains(r.str("message"), "starting web")
			now := time.Now().Unix()
			if r.str("alloc_id") != k.alloc || r.str("task_name") != k.name || r.num("timestamp.seconds") < now-120 || r.num("timestamp.seconds") > now+1 {
				t.Errorf("%v", r.json())
			}
		case <-deadline:
			t.Fatal("no event")
		}
	}
	s.cancel()
}
