// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// scrape reads a plugin's metrics from its socket.
func scrape(path string) (string, error) {
	conn, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(conn)
	if err == nil && !bytes.HasSuffix(text, []byte("\n# EOF\n")) {
		err = fmt.Errorf("cut off: %q", text)
	}
	return string(text), err
}

// strict runs test/openmetrics over a text.
func strict(text string) error {
	cmd := exec.Command("../openmetrics", "2000")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s\n%s", err, out, text)
	}
	return nil
}

// value is that of a sample, its labels in the order of the text; -1 if there is none.
func value(text, sample string) float64 {
	for _, line := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "nomad_driver_"+sample+" "); ok {
			if v, err := strconv.ParseFloat(rest, 64); err == nil {
				return v
			}
		}
	}
	return -1
}

func grpcLabels(method string) string {
	return `driver="testdriver",grpc_service="hashicorp.nomad.plugins.drivers.proto.Driver",grpc_method="` + method + `"`
}

func metricsHost(t *testing.T) (h *host, socket string, block M) {
	h = start(t, launch{})
	socket = filepath.Join(h.stateDir, "m.sock")
	block = M{"metrics": M{"socket": socket, "file": filepath.Join(h.stateDir, "m.prom"), "interval": "1s"}}
	h.setConfig(t, block, false) // a trial launch serves nothing
	if _, err := os.Stat(socket); err == nil {
		t.Error("a trial launch has made the socket")
	}
	h.ready(t, block)
	eventually(t, "it answers", func() bool { _, err := scrape(socket); return err == nil })
	return h, socket, block
}

// Tasks start, end, are stopped and destroyed while eight clients look; the sums are right, and each text is.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h, socket, block := metricsHost(t)
	events := h.stream(t, driverSvc+"TaskEvents", M{}, false)
	_ = events
	done := make(chan struct{})
	var scrapers, workers sync.WaitGroup
	texts := make([]string, 8)
	for i := range texts {
		scrapers.Add(1)
		go func() {
			defer scrapers.Done()
			for {
				text, err := scrape(socket)
				if err != nil {
					t.Errorf("scrape: %v", err)
					return
				}
				texts[i] = text
				select {
				case <-done:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
	}
	const each = 5
	for _, command := range []string{"exit 0", "exit 3", "kill -9 $$"} {
		for range each {
			k := newTask(t, h, shell(command))
			workers.Add(1)
			go func() {
				defer workers.Done()
				if err := k.start(); err != nil {
					t.Errorf("StartTask: %v", err)
					return
				}
				k.wait(t)
				h.call(driverSvc+"DestroyTask", M{"task_id": k.id, "force": true})
			}()
		}
	}
	workers.Wait()
	close(done)
	scrapers.Wait()
	running := startTask(t, h, shell("exec sleep 1000"))
	if err := newTask(t, h, M{"mode": "fail"}).start(); err == nil {
		t.Error("a start that is to fail does not")
	}
	h.call(driverSvc+"InspectTask", M{"task_id": "unknown"})
	waiting := make(chan struct{})
	go func() { // until the plugin is killed
		h.call(driverSvc+"WaitTask", M{"task_id": running.id})
		close(waiting)
	}()
	inFlight := "grpc_server_in_flight{" + grpcLabels("WaitTask") + "}"
	var text string
	eventually(t, "a call is open", func() bool { text, _ = scrape(socket); return value(text, inFlight) == 1 })
	for sample, want := range map[string]float64{
		`tasks{driver="testdriver",state="running"}`:                                              1,
		`tasks{driver="testdriver",state="exited"}`:                                               0,
		`task_starts_total{driver="testdriver",result="started"}`:                                 3*each + 1,
		`task_starts_total{driver="testdriver",result="failed"}`:                                  1,
		`task_ends_total{driver="testdriver",kind="exit"}`:                                        2 * each,
		`task_ends_total{driver="testdriver",kind="signal"}`:                                      each,
		`task_ends_total{driver="testdriver",kind="lost"}`:                                        0,
		`testdriver_modes_total{driver="testdriver",mode="run"}`:                                  3*each + 1,
		`testdriver_modes_total{driver="testdriver",mode="fail"}`:                                 1,
		`grpc_server_started_total{` + grpcLabels("StartTask") + `}`:                              3*each + 2,
		`grpc_server_handled_total{` + grpcLabels("StartTask") + `,grpc_code="OK"}`:               3*each + 1,
		`grpc_server_handled_total{` + grpcLabels("StartTask") + `,grpc_code="INVALID_ARGUMENT"}`: 1,
		`grpc_server_handled_total{` + grpcLabels("InspectTask") + `,grpc_code="NOT_FOUND"}`:      1,
		`grpc_server_handling_seconds_count{` + grpcLabels("StartTask") + `}`:                     3*each + 2,
		`grpc_server_handled_total{` + grpcLabels("WaitTask") + `,grpc_code="OK"}`:                3 * each,
		`grpc_server_handling_seconds_count{` + grpcLabels("WaitTask") + `}`:                      -1,
		`grpc_server_in_flight{` + grpcLabels("StartTask") + `}`:                                  0,
		`grpc_server_in_flight{` + grpcLabels("TaskEvents") + `}`:                                 1,
		`supervisors_found_dead_total{driver="testdriver"}`:                                       0,
	} {
		if got := value(text, sample); got != want {
			t.Errorf("%s: got %v, want %v", sample, got, want)
		}
	}
	if sum := value(text, `grpc_server_handling_seconds_sum{`+grpcLabels("StartTask")+`}`); sum <= 0 || sum > 1000 {
		t.Errorf("all StartTask together took %v s", sum)
	}
	if rss := value(text, `process_resident_memory_bytes{driver="testdriver"}`); rss < 1<<20 {
		t.Errorf("resident memory: %v", rss)
	}
	if fds := value(text, `process_open_fds{driver="testdriver"}`); fds < 5 || fds > 500 {
		t.Errorf("descriptors: %v", fds)
	}
	for _, id := range []string{running.id, running.alloc} {
		if strings.Contains(text, id) {
			t.Errorf("the text names a task: %s", id)
		}
	}
	for _, text := range append(texts, text) {
		if err := strict(text); err != nil {
			t.Error(err)
		}
	}
	file := block["metrics"].(M)["file"].(string)
	eventually(t, "the file tells the same", func() bool {
		data, err := os.ReadFile(file)
		return err == nil && strict(string(data)) == nil && value(string(data), inFlight) == 1
	})
	out, err := exec.Command(pluginPath, "metrics", "--socket", socket).CombinedOutput()
	if err != nil || strict(string(out)) != nil {
		t.Errorf("metrics --socket: %v: %s", err, out)
	}

	// Another plugin takes the task and the socket over, and counts anew.
	h.crash()
	<-waiting
	h2 := start(t, launch{stateDir: h.stateDir})
	h2.ready(t, block)
	if err := running.recover(h2, true); err != nil {
		t.Fatalf("RecoverTask: %v", err)
	}
	eventually(t, "the recovery is counted", func() bool {
		text, err := scrape(socket)
		return err == nil && value(text, `task_recovers_total{driver="testdriver",result="recovered"}`) == 1 &&
			value(text, `task_starts_total{driver="testdriver",result="started"}`) == 0
	})
	running.h = h2
	running.destroy(t)
	h2.kill()
	for _, path := range []string{socket, file} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left behind", path)
		}
	}
}

// While clients of the metrics do what they should not, calls are answered.
func TestMetricsAbuse(t *testing.T) {
	t.Parallel()
	h, socket, _ := metricsHost(t)
	running := startTask(t, h, shell("exec sleep 1000"))
	for i := range 40 {
		go func() {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(3 * time.Second))
			switch i % 4 {
			case 0: // reads and stays
				io.Copy(io.Discard, conn)
				time.Sleep(time.Second)
			case 1: // a byte at a time
				for _, b := range bytes.Repeat([]byte("x"), 10000) {
					if _, err := conn.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			case 2: // does not read
				time.Sleep(2 * time.Second)
			case 3:
				conn.Write(bytes.Repeat([]byte{0, 255, '\n', 'G'}, 1<<18))
			}
		}()
	}
	within(t, patience, "calls beside bad clients", func() {
		for range 50 {
			running.inspect(t)
		}
	})
	eventually(t, "it answers again", func() bool { _, err := scrape(socket); return err == nil })
}

func TestMetricsConfig(t *testing.T) {
	t.Parallel()
	h := start(t, launch{})
	for _, c := range []struct {
		block M
		want  string
	}{
		{M{"socket": "/" + strings.Repeat("x", 103)}, "metrics.socket.*at most 103"},
		{M{"socket": "relative"}, "metrics.socket.*absolute"},
		{M{"file": "relative"}, "metrics.file.*absolute"},
		{M{"file": "/x", "interval": "0s"}, "metrics.interval.*1s.*24h"},
		{M{"file": "/x", "interval": "soon"}, "metrics.interval.*1s.*24h"},
		{M{"interval": "5s"}, "neither 'socket' nor 'file'"},
	} {
		_, err := h.call(baseSvc+"SetConfig", M{"msgpack_config": h.configBytes(t, M{"metrics": c.block}), "plugin_api_version": apiVersion,
			"nomad_config": nomadConfig()})
		wantCode(t, err, 3, c.want)
	}
	out, err := exec.Command(pluginPath, "metrics").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "metrics are off") || !strings.Contains(string(out), "[nd-missing]") {
		t.Errorf("metrics without configuration: %v: %s", err, out)
	}
	out, err = exec.Command(pluginPath, "metrics", "--socket", "/nonexistent").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "[nd-missing]") {
		t.Errorf("metrics of no socket: %v: %s", err, out)
	}
}
