// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

type execKind struct {
	name string
	run  func() error
}

// benchExec: how long a command takes that does nothing, from the call to the
// answer with its exit code, the kinds taking turns.
func benchExec(group, what string, kinds ...execKind) error {
	n := roundsOf("EXEC_ROUNDS", 200)
	times := make([][]float64, len(kinds))
	for i := 0; i < n+2; i++ {
		for k := range kinds {
			begin := time.Now()
			if err := kinds[k].run(); err != nil {
				return fmt.Errorf("exec, %s: %w", kinds[k].name, err)
			}
			if i > 1 {
				times[k] = append(times[k], float64(time.Since(begin).Microseconds())/1000)
			}
		}
	}
	fmt.Printf("\n%s, ms, %d each, taking turns\n\n%-28s%10s%10s%10s\n", what, n, "", "lowest", "median", "p90")
	for k := range kinds {
		sort.Float64s(times[k])
		record(group, "ExecTask of true, ms", kinds[k].name, median(times[k]))
		fmt.Printf("%-28s%10.2f%10.2f%10.2f\n", kinds[k].name, times[k][0], median(times[k]), times[k][n*9/10])
	}
	return nil
}

func (p *process) execTrue(id string) error {
	answer, err := p.call(driver+"ExecTask", append(append(text(1, id), text(2, "/bin/true")...), text(3, string(seconds(30)))...))
	// No output, and an exit result in which everything is 0.
	if err == nil && string(answer) != "\x1a\x00" {
		err = fmt.Errorf("unexpected answer %q", answer)
	}
	return err
}

func seconds(n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
}

func benchTaskExec(p *process, goPath, id string) error {
	q, err := launch(goPath)
	if err != nil {
		return err
	}
	defer q.end()
	return benchExec("for each task", "ExecTask of /bin/true in a task without a container",
		execKind{"Go plugin, os/exec alone", func() error { return q.execTrue(id) }},
		execKind{"driver", func() error { return p.execTrue(id) }})
}

func benchNspawnExec(p *process, root string) error {
	marker := fmt.Sprintf("600.%d", os.Getpid())
	id, err := p.start(p.taskConfig(nspawnConfig(root, true, "/bin/sleep", marker), "/dev/null"))
	if err != nil {
		return err
	}
	defer p.destroyTask(id)
	pid := 0
	for i := 0; i < 100 && pid == 0; i++ {
		time.Sleep(50 * time.Millisecond)
		pid = processWith("/bin/sleep", marker)
	}
	if pid == 0 {
		return fmt.Errorf("the container's command is not there")
	}
	return benchExec("container of nspawn", "ExecTask of /bin/true in a container with users of its own",
		execKind{"nsenter by hand", func() error {
			return exec.Command("nsenter", "--target", strconv.Itoa(pid), "--all", "/bin/true").Run()
		}},
		execKind{"driver", func() error { return p.execTrue(id) }})
}
