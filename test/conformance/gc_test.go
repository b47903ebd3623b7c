// SPDX-License-Identifier: MPL-2.0

package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command runs `PLUGIN NAME --config ... ARGS` beside the plugin, as an operator does.
func (h *host) command(t testing.TB, name string, args ...string) string {
	t.Helper()
	config := filepath.Join(h.stateDir, "plugin.json")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(`{"state_dir": %q}`, h.stateDir)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, pluginPath, append([]string{name, "--config", config}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// onDisk is what `ps --json` tells of a task.
type onDisk struct {
	ID      string `json:"id"`
	Alloc   string `json:"alloc"`
	Name    string `json:"name"`
	Job     string `json:"job"`
	Node    string `json:"node"`
	State   string `json:"state"`
	Claimed bool   `json:"claimed"`
	Claim   struct {
		By   string `json:"by"`
		Pid  int    `json:"pid"`
		AgeS int64  `json:"age_s"`
	} `json:"claim"`
	SupervisorPid int               `json:"supervisor_pid"`
	Pid           int               `json:"pid"`
	AgeS          int64             `json:"age_s"`
	CPUMHz        int64             `json:"cpu_mhz"`
	MemoryBytes   int64             `json:"memory_bytes"`
	ExitCode      int               `json:"exit_code"`
	Signal        int               `json:"signal"`
	Holds         map[string]string `json:"holds"`
}

func (h *host) ps(t testing.TB) map[string]onDisk {
	t.Helper()
	var list []onDisk
	text := h.command(t, "ps", "--json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("ps --json: %v: %s", err, text)
	}
	all := map[string]onDisk{}
	for _, d := range list {
		all[d.ID] = d
	}
	if len(all) != len(list) {
		t.Errorf("ps --json tells a task twice: %s", text)
	}
	return all
}

// files is all below the tasks' directory, but the places of exit records, which supervisors make in a while.
func (h *host) files() string {
	var list []string
	filepath.Walk(filepath.Join(h.stateDir, "tasks"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Name() != ".exit.new" {
			list = append(list, fmt.Sprint(path, info.Mode(), info.Size()))
		}
		return nil
	})
	return strings.Join(list, "\n")
}

func startOn(t testing.TB, h *host, node string, config M) *task {
	t.Helper()
	k := newTask(t, h, config)
	k.extra = M{"node_id": node}
	k.mustStart(t)
	return k
}

func TestPs(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	if out := h.command(t, "ps"); strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "ALLOC") {
		t.Errorf("without tasks: %q", out)
	}
	if all := h.ps(t); len(all) != 0 {
		t.Errorf("without tasks: %v", all)
	}
	k := startTask(t, h, shell("exec sleep 99"))
	e := startTask(t, h, shell("exit 7"))
	r := startTask(t, h, M{"mode": "remote", "delay_ms": 3600000})
	e.mustExit(t, 7, 0)
	all := h.ps(t)
	d := all[k.id]
	if len(all) != 3 || d.Alloc != k.alloc || d.Name != "web" || d.Job != "job" || d.Node != "n1" || d.State != "running" || !d.Claimed ||
		int64(d.Pid) != int64(k.leader(t)) || d.CPUMHz != 100 || d.MemoryBytes != 256<<20 || d.AgeS < 0 || d.AgeS > 600 {
		t.Errorf("running: %+v, leader %d", d, k.leader(t))
	}
	if cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.SupervisorPid)); !strings.Contains(string(cmd), "nomad-driver-testdriver: ") {
		t.Errorf("supervisor %d is %q", d.SupervisorPid, cmd)
	}
	if c := d.Claim; c.By != "agent" || c.Pid != h.pid || c.AgeS < 0 || c.AgeS > 600 {
		t.Errorf("claim: %+v", c)
	}
	if d := all[e.id]; d.State != "exited" || d.ExitCode != 7 || d.Pid != 0 || !d.Claimed {
		t.Errorf("exited: %+v", d)
	}
	if d := all[r.id]; d.State != "remote" || d.SupervisorPid != 0 || d.Holds["remote"] == "" {
		t.Errorf("remote: %+v", d)
	}
	out := h.command(t, "ps")
	for _, want := range []string{k.alloc[:8] + " +web +job +running +[0-9]+ +[0-9]+ +[0-9]+s +100 +256Mi agent \\(pid " + strconv.Itoa(h.pid) + "\\) for [0-9]+s", "exited", "remote"} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	h.crash()
	if d := h.ps(t)[k.id]; d.Claimed || d.State != "running" {
		t.Errorf("without its plugin: %+v", d)
	}
	h = newHost(t, h.stateDir)
	for _, k := range []*task{k, e, r} {
		k.h = h
		k.destroy(t)
	}
	if all := h.ps(t); len(all) != 0 {
		t.Errorf("after DestroyTask: %v", all)
	}
}

// What no agent claims any more goes, and only that.
func TestGC(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	ran, ended, lost := startTask(t, h, shell("exec sleep 99")), newTask(t, h, shell("read x < go")), startTask(t, h, shell("exec sleep 99"))
	remote := startTask(t, h, M{"mode": "remote", "delay_ms": 3600000})
	syscall.Mkfifo(filepath.Join(ended.dir, ended.name, "go"), 0o600)
	ended.mustStart(t)
	// A command beside them: nothing is anybody's to take.
	if out := h.command(t, "gc"); out != "" {
		t.Errorf("gc while the plugin claims all: %q", out)
	}
	h.crash()
	// The instance of another node, which shares the directory.
	other := newHost(t, h.stateDir)
	theirs, over := startOn(t, other, "n2", shell("exec sleep 99")), startOn(t, other, "n2", shell("exit 3"))
	over.mustExit(t, 3, 0)
	all := other.ps(t)
	syscall.Kill(all[lost.id].SupervisorPid, syscall.SIGKILL)
	os.WriteFile(filepath.Join(ended.dir, ended.name, "go"), []byte("x\n"), 0)
	eventually(t, "one is lost, one has ended", func() bool {
		all = other.ps(t)
		return all[lost.id].State == "lost" && all[ended.id].State == "exited" && !alive(all[ended.id].SupervisorPid)
	})
	before := other.files()
	dry := other.command(t, "gc", "--dry-run")
	for id, state := range map[string]string{ended.id: "exited", lost.id: "lost"} {
		if !strings.Contains(dry, "would remove "+id+" ("+state+"): ") {
			t.Errorf("gc --dry-run does not name %s: %q", state, dry)
		}
	}
	if strings.Count(dry, "\n") != 2 || other.files() != before {
		t.Errorf("gc --dry-run: %q, or it changed something", dry)
	}
	if out := other.command(t, "gc"); strings.Replace(out, "removed", "would remove", -1) != dry {
		t.Errorf("gc: %q, --dry-run said %q", out, dry)
	}
	if out := other.command(t, "gc"); out != "" {
		t.Errorf("gc again: %q", out)
	}
	all = other.ps(t)
	if len(all) != 4 || all[ran.id].State != "running" || all[theirs.id].State != "running" || all[over.id].State != "exited" ||
		all[remote.id].State != "remote" {
		t.Errorf("after gc: %v", all)
	}
	if !alive(all[ran.id].Pid) {
		t.Error("gc ended a task that runs")
	}
	// An agent that is down claims nothing: what runs is ended if that is said.
	if out := other.command(t, "gc", "--running"); out != "removed "+ran.id+" (running): no plugin claims this running task\n" || alive(all[ran.id].Pid) {
		t.Errorf("gc --running: %q", out)
	}
	if !alive(all[theirs.id].Pid) {
		t.Error("gc --running ended the task of another agent")
	}
	for _, k := range []*task{theirs, over, remote} {
		k.h = other
		k.destroy(t)
	}
}

// When its agent has been there for the grace time, the plugin does it by itself, with what is of its own node.  Not in the trial launches.
func TestGCByItself(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	startOn(t, h, "n1", shell("exec sleep 99"))
	ended := startOn(t, h, "n1", shell("exit 1"))
	kept, keptEnd := startOn(t, h, "n2", shell("exec sleep 99")), startOn(t, h, "n2", shell("exit 2"))
	ended.mustExit(t, 1, 0)
	keptEnd.mustExit(t, 2, 0)
	h.crash()
	for i := 0; i < 2; i++ {
		trial := start(t, launch{stateDir: h.stateDir})
		trial.setConfig(t, M{"gc_grace": 1}, false)
		trial.setConfig(t, M{"gc_grace": 1}, false)
		time.Sleep(2 * time.Second)
		if all := trial.ps(t); len(all) != 4 {
			t.Errorf("a trial launch cleared away: %v", all)
		}
		trial.kill()
	}
	// The same bytes again, as the agent sends them: the third launch is the one that counts, and it has to wait.
	h = start(t, launch{stateDir: h.stateDir})
	h.ready(t, M{"gc_grace": 3600})
	now := startOn(t, h, "n1", shell("exec sleep 99"))
	time.Sleep(2 * time.Second)
	if all := h.ps(t); len(all) != 5 {
		t.Errorf("within the grace time it cleared away: %v", all)
	}
	h.crash()
	h = start(t, launch{stateDir: h.stateDir})
	h.ready(t, M{"gc_grace": 3})
	h.stream(t, driverSvc+"Fingerprint", M{}, false)
	// The agent asks for one that it knows; for the other it does not.
	if err := now.recover(h, true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what nobody claims is gone", func() bool { return len(h.ps(t)) == 3 })
	// Never what is of another node.
	all := h.ps(t)
	for _, k := range []*task{now, kept} {
		if d := all[k.id]; d.State != "running" || !alive(d.Pid) {
			t.Errorf("left: %v", all)
		}
	}
	if all[keptEnd.id].State != "exited" {
		t.Errorf("left: %v", all)
	}
	for _, k := range []*task{now, kept, keptEnd} {
		k.h = h
		k.destroy(t)
	}
}
