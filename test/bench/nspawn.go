// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"syscall"
	"time"
)

// benchNspawn: what a start by our driver costs over a bare systemd-nspawn:
// from the StartTask call, or from fork(), to the first byte that the
// container's command writes.  Both take turns, with and without users of the
// container's own.  Each driver's task has its directories, its limits, its
// supervisor, and an image that stays as it is; the bare ones have none of it.
func benchNspawn(driverPath, root string) error {
	n := roundsOf("NSPAWN_ROUNDS", 40)
	// Made on the file system of the images; a bare start writes to it.
	tree := filepath.Join(tmp, "tree")
	if out, err := exec.Command("cp", "-a", root, tree).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	p, err := launch(driverPath)
	if err != nil {
		return err
	}
	defer p.end()
	p.configure(pack("policy"), "\x81"+pack("mode")+pack("open"))
	kinds := []struct {
		name string
		run  func() (time.Duration, error)
	}{
		{"bare", func() (time.Duration, error) { return bareStart(tree) }},
		{"driver", func() (time.Duration, error) { return p.nspawnStart(root, false) }},
		{"bare, own users", func() (time.Duration, error) { return bareStart(tree, "--private-users=pick") }},
		{"driver, own users", func() (time.Duration, error) { return p.nspawnStart(root, true) }},
	}
	times := make([][]float64, len(kinds))
	for i := 0; i < n+2; i++ {
		for k := range kinds {
			took, err := kinds[k].run()
			if err != nil {
				return fmt.Errorf("%s: %w", kinds[k].name, err)
			}
			if i > 1 {
				times[k] = append(times[k], float64(took.Microseconds())/1000)
			}
		}
	}
	fmt.Printf("\nstart of a container to its first byte, ms, %d each, taking turns\n\n%-28s%10s%10s%10s%10s\n", n, "", "lowest", "median", "p90",
		"overhead")
	for k := range kinds {
		sort.Float64s(times[k])
		record("container of nspawn", []string{"start to first byte, ms", "the same with users of its own, ms"}[k/2], []string{"bare", "driver"}[k%2],
			median(times[k]))
		fmt.Printf("%-28s%10.1f%10.1f%10.1f", kinds[k].name, times[k][0], median(times[k]), times[k][n*9/10])
		if k%2 == 1 {
			fmt.Printf("%10.1f", median(times[k])-median(times[k-1]))
		}
		fmt.Println()
	}
	fmt.Println("\nTo be at most: overhead 10.0.")
	return benchNspawnExec(p, root)
}

func bareStart(tree string, more ...string) (time.Duration, error) {
	args := append([]string{"--quiet", "--register=no", "--keep-unit", "--settings=no", "--console=pipe", "--machine=bench", "--as-pid2",
		"--directory=" + tree}, more...)
	cmd := exec.Command("systemd-nspawn", append(args, "--", "/bin/echo", "up")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, err = out.Read(make([]byte, 1))
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	return took, cmd.Wait()
}

func packList(words ...string) string {
	s := string([]byte{0x90 | byte(len(words))})
	for _, w := range words {
		s += pack(w)
	}
	return s
}

func nspawnConfig(root string, users bool, argv ...string) string {
	flag := map[bool]string{false: "\xc2", true: "\xc3"}
	return "\x85" + pack("image") + pack(root) + pack("boot") + flag[false] + pack("network_veth") + flag[false] +
		pack("user_namespacing") + flag[users] + pack("command") + packList(argv...)
}

func (p *process) nspawnStart(root string, users bool) (time.Duration, error) {
	fifo := filepath.Join(tmp, fmt.Sprintf("fifo%d", p.tasks))
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return 0, err
	}
	defer os.Remove(fifo)
	out, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	type started struct {
		id  string
		err error
	}
	answer := make(chan started, 1)
	read := make(chan time.Time, 1)
	task := p.taskConfig(nspawnConfig(root, users, "/bin/echo", "up"), fifo)
	begin := time.Now()
	go func() {
		id, err := p.start(task)
		answer <- started{id, err}
	}()
	go func() {
		if _, err := out.Read(make([]byte, 1)); err == nil {
			read <- time.Now()
		}
	}()
	a := <-answer
	if a.err != nil {
		return 0, a.err
	}
	took := (<-read).Sub(begin)
	p.destroyTask(a.id)
	return took, nil
}
