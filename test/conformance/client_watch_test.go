// SPDX-License-Identifier: MPL-2.0

//go:build model

package conformance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The observer: what there is, by /proc and by the books of a stand-in, and nothing of ours.

// instance is a process that carries a task's mark in its arguments, and whose parent does not.
type instance struct {
	pid  int
	born string // tells it from another process with that number
	id   string // of the run
}

type observer struct {
	mu      sync.Mutex
	payload *regexp.Regexp
	books   string // a command that prints ALLOCATION/TASK/INVOCATION INSTANCE for each one that lives
	seen    map[string][]instance
	twice   map[string]string // allocation/task: what was seen
}

var (
	watch  = &observer{seen: map[string][]instance{}, twice: map[string]string{}}
	markRE = regexp.MustCompile(`mark=([0-9a-f-]{36}/\w+/[0-9a-f]+)`)
)

type process struct {
	pid, parent int
	born        string
	command     []byte // arguments, with blanks
}

func processOf(pid int) (p process, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if f[0] == "Z" || f[0] == "X" {
		return
	}
	p.pid, p.born = pid, f[19]
	p.parent, _ = strconv.Atoi(f[1])
	return p, true
}

func processes(filter func(command []byte) bool) (all []process) {
	names, _ := os.ReadDir("/proc")
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		command = bytes.ReplaceAll(command, []byte{0}, []byte{' '})
		if !filter(command) {
			continue
		}
		if p, ok := processOf(pid); ok {
			p.command = command
			all = append(all, p)
		}
	}
	return
}

func (o *observer) inProc() map[string][]instance {
	marks := map[int]string{}
	all := processes(func(command []byte) bool {
		return bytes.Contains(command, []byte("mark=")) && (o.payload == nil || o.payload.Match(command))
	})
	for _, p := range all {
		if m := markRE.FindSubmatch(p.command); m != nil {
			marks[p.pid] = string(m[1])
		}
	}
	found := map[string][]instance{}
	for _, p := range all {
		if id := marks[p.pid]; id != "" && marks[p.parent] != id {
			key := filepath.Dir(id)
			found[key] = append(found[key], instance{p.pid, p.born, id})
		}
	}
	return found
}

func (o *observer) inBooks() map[string][]instance {
	found := map[string][]instance{}
	if o.books == "" {
		return found
	}
	out, _ := exec.Command("sh", "-c", o.books).Output()
	for _, line := range strings.Split(string(out), "\n") {
		if f := strings.Fields(line); len(f) == 2 {
			key := filepath.Dir(f[0])
			found[key] = append(found[key], instance{0, f[1], f[0]})
		}
	}
	return found
}

// look: two instances of a task were there at the same time if both still are after both were found.
func (o *observer) look() {
	found := o.inProc()
	for key, list := range found {
		if len(list) < 2 {
			continue
		}
		kept := list[:0]
		for _, i := range list {
			if p, ok := processOf(i.pid); ok && p.born == i.born {
				kept = append(kept, i)
			}
		}
		found[key] = kept
	}
	for key, list := range o.inBooks() {
		found[key] = append(found[key], list...)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, list := range found {
		if len(list) > 1 && o.twice[key] == "" {
			o.twice[key] = fmt.Sprintf("%v", list)
		}
	}
	o.seen = found
}

func (o *observer) run(interval time.Duration, done chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(interval):
			o.look()
		}
	}
}

// living counts the instances of a run, now.
func (o *observer) living(id string) (n int) {
	for _, found := range []map[string][]instance{o.inProc(), o.inBooks()} {
		for _, i := range found[filepath.Dir(id)] {
			if i.id == id {
				n++
			}
		}
	}
	return
}

// ---- What is left ----

// traces lists what carries one of the words in its name: processes, cgroups, mounts.
func traces(words []string) (left []string) {
	has := func(text string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	for _, p := range processes(func(command []byte) bool { return has(string(command)) }) {
		left = append(left, fmt.Sprintf("process %d: %s", p.pid, p.command))
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(mounts), "\n") {
		if has(line) {
			left = append(left, "mount: "+line)
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && has(d.Name()) {
			left = append(left, "cgroup: "+path)
		}
		return nil
	})
	return
}

// sharedOnHost lists what has no task's name: links and rules of the firewall.
func sharedOnHost() []string {
	out, _ := exec.Command("sh", "-c", `ip -o link 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/link: \1/'
		nft list ruleset 2>/dev/null | sed 's/counter packets [0-9]* bytes [0-9]*//; s/^/nft: /'`).Output()
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
