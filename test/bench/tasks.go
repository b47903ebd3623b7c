// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

var taskRounds = 1 + roundsOf("TASK_ROUNDS", 20) // the first is not counted

// processWith finds the process with this command line.
func processWith(argv ...string) int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if data, _ := os.ReadFile(d + "/cmdline"); string(data) == strings.Join(argv, "\x00")+"\x00" {
			pid, _ := strconv.Atoi(filepath.Base(d))
			return pid
		}
	}
	return 0
}

// parentOf finds the process with this argument, and who started it.
func parentOf(argument string) (parent int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		data, _ := os.ReadFile(d + "/cmdline")
		if !strings.Contains(string(data), "\x00"+argument+"\x00") {
			continue
		}
		stat, _ := os.ReadFile(d + "/stat")
		if f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(f) > 1 {
			parent, _ = strconv.Atoi(f[1])
		}
	}
	return
}

// benchTasks: what a task costs beside its own process.  Ours is a supervisor,
// started by StartTask; Nomad's way is a Go process that is a plugin itself
// (the executor), and a second one for the logs (logmon).  Those are measured
// from their start to the handshake and idle: what they need at least.
func benchTasks(driverPath, goPath, nomad string) error {
	type kind struct {
		name string
		path string
		args []string
	}
	kinds := []kind{{"Go process for each task", goPath, nil}}
	if nomad != "" {
		kinds = append(kinds, kind{"nomad executor", nomad, []string{"executor", `{"LogFile":"/dev/null","LogLevel":"error"}`}},
			kind{"nomad logmon", nomad, []string{"logmon"}})
	}
	p, err := launch(driverPath)
	if err != nil {
		return err
	}
	defer p.end()
	p.prepare()
	times, privates, shares := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	const ours = "supervisor (StartTask)"
	var running []*process
	var ids []string
	for i := 0; i < taskRounds; i++ {
		marker := fmt.Sprintf("%d.%d", 600+i, os.Getpid())
		begin := time.Now()
		id, err := p.startTask("exec sleep " + marker)
		if err != nil {
			return err
		}
		if i > 0 {
			times[ours] = append(times[ours], float64(time.Since(begin).Microseconds())/1000)
		}
		ids = append(ids, id)
		time.Sleep(100 * time.Millisecond)
		private, pss := memoryOf(parentOf(marker))
		privates[ours], shares[ours] = append(privates[ours], private), append(shares[ours], pss)
		for _, k := range kinds {
			q, err := launch(k.path, k.args...)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			running = append(running, q)
			if i > 0 {
				times[k.name] = append(times[k.name], float64(q.took.Microseconds())/1000)
			}
			time.Sleep(100 * time.Millisecond)
			private, pss := memoryOf(q.cmd.Process.Pid)
			privates[k.name], shares[k.name] = append(privates[k.name], private), append(shares[k.name], pss)
		}
	}
	fmt.Printf("\nfor each of %d tasks, medians; in brackets: ratio to the supervisor\n\n%-28s%20s%20s%20s\n", taskRounds, "",
		"start, ms", "own memory, KiB", "its share, KiB")
	for _, name := range []string{ours, "Go process for each task", "nomad executor", "nomad logmon"} {
		if len(times[name]) == 0 {
			continue
		}
		fmt.Printf("%-28s", name)
		for _, v := range []map[string][]float64{times, privates, shares} {
			fmt.Printf("%20s", fmt.Sprintf("%.1f (%.1f)", median(v[name]), median(v[name])/median(v[ours])))
		}
		fmt.Println()
	}
	for _, name := range []string{"nomad executor", "nomad logmon", "Go process for each task", ours} {
		if len(times[name]) > 0 {
			record("for each task", "start, ms", name, median(times[name]))
			record("for each task", "own memory, KiB", name, median(privates[name]))
		}
	}
	if err := benchTaskExec(p, goPath, p.task); err != nil {
		return err
	}
	for _, q := range running {
		q.cmd.Process.Kill()
		q.conn.Close()
		q.cmd.Wait()
	}
	for _, id := range append(ids, p.task) {
		p.destroyTask(id)
	}
	return nil
}

func (p *process) destroyTask(id string) {
	p.call(driver+"DestroyTask", append(text(1, id), protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)...))
}
