// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var buildRounds = roundsOf("BUILD_ROUNDS", 15)

// A build that both ways of it do.
type recipe struct {
	name, containerfile string
	cached              bool // layers in a store that stays
}

const head = "FROM scratch\nADD rootfs.tar /\n"

var recipes = []recipe{
	{"COPY", "FROM scratch\nCOPY Containerfile /\n", false},
	{"ADD and one RUN", head + "RUN echo 1 >/one\n", false},
	{"ADD and three RUN", head + "RUN echo 1 >/one\nRUN echo 2 >/two\nRUN sleep 0.5; find / -xdev >/all\n", false},
	{"the same from a cache", head + "RUN echo 1 >/one\nRUN echo 2 >/two\nRUN sleep 0.5; find / -xdev >/all\n", true},
}

// Eight steps that do a little work each, as those that install and compile do.
const eight = "eight steps"

func eightSteps() string {
	text := head
	for i := 0; i < 8; i++ {
		text += fmt.Sprintf("RUN dd if=/dev/zero bs=1M count=60 2>/dev/null | sha256sum >/sum%d; find / -xdev >/all%d\n", i, i)
	}
	return text
}

// What has to be there for a build by hand and for a task.
type site struct {
	plugin                 *process
	buildah, driver, alloc string
	start                  float64 // StartTask took ms
}

// processorTime in ms of all that ran in our cgroup, which is the root of what we see, or NaN.
func processorTime() float64 {
	for _, dir := range []string{"cpuacct", "cpu,cpuacct"} {
		if data, err := os.ReadFile("/sys/fs/cgroup/" + dir + "/cpuacct.usage"); err == nil {
			v, _ := strconv.ParseFloat(strings.TrimSpace(string(data)), 64)
			return v / 1e6
		}
	}
	data, _ := os.ReadFile("/sys/fs/cgroup/cpu.stat")
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "usage_usec" {
			v, _ := strconv.ParseFloat(f[1], 64)
			return v / 1e3
		}
	}
	return math.NaN()
}

// byHand is what somebody would type: a store of its own, the same storage driver, options and archive.
func (s *site) byHand(r recipe, round int) error {
	dir := filepath.Join(tmp, "hand", fmt.Sprint(round))
	if r.cached {
		dir = filepath.Join(tmp, "hand", "cache")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	engine := func(args ...string) error {
		cmd := exec.Command(s.buildah, append([]string{"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", s.driver}, args...)...)
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
		return nil
	}
	archive := "oci-archive:" + s.alloc + "/hand.tar"
	os.Remove(s.alloc + "/hand.tar")
	context := filepath.Join(s.alloc, strings.ReplaceAll(r.name, " ", "-"))
	if !r.cached {
		return engine("build", "--isolation", "chroot", "--layers=false", "--disable-compression=false", "--tag", archive, context)
	}
	if err := engine("build", "--isolation", "chroot", "--layers=true", "--iidfile", dir+"/id", context); err != nil {
		return err
	}
	id, err := os.ReadFile(dir + "/id")
	if err != nil {
		return err
	}
	return engine("push", "--digestfile", dir+"/digest", strings.TrimPrefix(string(id), "sha256:"), archive)
}

// byTask starts a task and waits for its end; what DestroyTask does comes after it, as rm -r does by hand.
func (s *site) byTask(r recipe) (id string, err error) {
	config := "\x82" + pack("context") + pack("alloc/"+strings.ReplaceAll(r.name, " ", "-")) +
		pack("output") + "\x91\x81" + pack("path") + pack("alloc/task.tar")
	if r.cached {
		config = "\x83" + config[1:] + pack("cache") + pack("bench")
	}
	t := s.plugin.taskConfig(config, "/dev/null")
	begin := time.Now()
	if _, err = s.plugin.call(driver+"StartTask", t.request); err != nil {
		return
	}
	id = t.id
	s.start = float64(time.Since(begin).Microseconds()) / 1000
	out, err := s.plugin.call(driver+"WaitTask", text(1, id))
	if _, missing := os.Stat(s.alloc + "/task.tar"); err == nil && missing != nil {
		err = fmt.Errorf("the task wrote nothing: %q", out)
	}
	return
}

// benchBuilds: what a build costs as a task and by hand.
func benchBuilds(driverPath, rootfs string) error {
	s := &site{driver: "overlay"}
	var err error
	if s.buildah, err = exec.LookPath("buildah"); err != nil {
		fmt.Println("builds are left out: there is no buildah on PATH")
		return nil
	}
	if s.plugin, err = launch(driverPath); err != nil {
		return err
	}
	defer s.plugin.end()
	s.plugin.configure()
	s.alloc = filepath.Join(tmp, strings.Split(s.plugin.taskConfig("", "").id, "/")[0], "alloc")
	for _, r := range append([]recipe{{eight, eightSteps(), false}}, recipes...) {
		dir := filepath.Join(s.alloc, strings.ReplaceAll(r.name, " ", "-"))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/Containerfile", []byte(r.containerfile), 0o644); err != nil {
			return err
		}
		if err := os.Link(rootfs, dir+"/rootfs.tar"); err != nil {
			return err
		}
	}
	fmt.Printf("\nbuilds, overlay, chroot, an OCI archive; %d interleaved rounds; ms: median / fastest / processor time\n\n"+
		"%-24s%22s%22s%20s%20s%12s%12s\n", buildRounds, "", "by hand", "as a task", "medians", "fastest", "pairs", "StartTask")
	for _, r := range recipes {
		if !strings.Contains(r.name, os.Getenv("RUN")) {
			continue
		}
		if err := s.compare(r); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	fmt.Println("\nTo be at most: 20 ms or 5 % of the time by hand.")
	if !strings.Contains(eight, os.Getenv("RUN")) {
		return nil
	}
	return s.fromCache()
}

// fromCache: the same task without and with a cache that has its layers.
func (s *site) fromCache() error {
	rounds := roundsOf("CACHE_ROUNDS", 5)
	var times [2][]float64
	for i := 0; i <= rounds; i++ {
		for way := 0; way < 2; way++ {
			begin := time.Now()
			id, err := s.byTask(recipe{name: eight, cached: way == 1})
			took := float64(time.Since(begin).Microseconds()) / 1000
			if id != "" {
				s.plugin.destroyTask(id)
			}
			s.tidy()
			if err != nil {
				return err
			}
			if i > 0 { // the first fills the cache
				times[way] = append(times[way], took)
			}
		}
	}
	without, with := median(times[0]), median(times[1])
	fmt.Printf("\n%s, as a task: %.0f ms without a cache, %.0f ms from it: %.1f times as fast (at least: 5)\n", eight, without, with, without/with)
	record("build, ms", eight+", as a task", "without a cache", without)
	record("build, ms", eight+", as a task", "from a cache", with)
	return nil
}

func (s *site) compare(r recipe) error {
	var times, loads [2][]float64
	var starts []float64
	for i := 0; i < buildRounds+1; i++ {
		for j := 0; j < 2; j++ {
			way := (i + j) % 2 // each comes first as often
			load, begin := processorTime(), time.Now()
			var err error
			id := ""
			if way == 0 {
				err = s.byHand(r, i)
			} else {
				id, err = s.byTask(r)
				starts = append(starts, s.start)
			}
			took := float64(time.Since(begin).Microseconds()) / 1000
			load = processorTime() - load
			if id != "" {
				s.plugin.destroyTask(id)
			}
			s.tidy()
			if err != nil {
				return err
			}
			if i > 0 { // first, files are read into memory
				times[way], loads[way] = append(times[way], took), append(loads[way], load)
			}
		}
	}
	show := func(i int) string {
		return fmt.Sprintf("%.0f / %.0f / %.0f", median(times[i]), slices.Min(times[i]), median(loads[i]))
	}
	more := func(hand, task float64) string {
		return fmt.Sprintf("%+.0f ms (%+.1f %%)", task-hand, (task/hand-1)*100)
	}
	pairs := make([]float64, len(times[0]))
	for i := range pairs {
		pairs[i] = times[1][i] - times[0][i]
	}
	record("build, ms", r.name, "by hand", median(times[0]))
	record("build, ms", r.name, "as a task", median(times[1]))
	fmt.Printf("%-24s%22s%22s%20s%20s%+9.0f ms%12.0f\n", r.name, show(0), show(1), more(median(times[0]), median(times[1])),
		more(slices.Min(times[0]), slices.Min(times[1])), median(pairs), median(starts))
	return nil
}

// tidy takes away what builds by hand leave.
func (s *site) tidy() {
	os.Remove(s.alloc + "/hand.tar")
	os.Remove(s.alloc + "/task.tar")
	dirs, _ := filepath.Glob(filepath.Join(tmp, "hand", "[0-9]*"))
	for _, dir := range dirs {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		exec.CommandContext(ctx, "umount", dir+"/root/overlay").Run()
		cancel()
		os.RemoveAll(dir)
	}
}
