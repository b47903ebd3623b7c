// SPDX-License-Identifier: MPL-2.0

//go:build nspawn

package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A hostile container and `nomad alloc exec`.  ATTACK is the static program of test/escape/attack.c, NSPAWN_ROOT a busybox tree.

// hostileRoot is a copy of the tree with the attack program in it.
func hostileRoot(t *testing.T) string {
	t.Helper()
	attack := os.Getenv("ATTACK")
	if attack == "" {
		t.Skip("ATTACK names no program")
	}
	root := filepath.Join(t.TempDir(), "root")
	if out, err := exec.Command("cp", "-a", os.Getenv("NSPAWN_ROOT"), root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, program := range []string{"attack", "impostor"} {
		if out, err := exec.Command("cp", filepath.Join(filepath.Dir(attack), program), filepath.Join(root, "bin")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for file, text := range map[string]string{"passwd": "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/tmp:/bin/sh\n",
		"group": "root:x:0:\ndaemon:x:1:\nextra:x:77:daemon\n"} {
		if err := os.WriteFile(filepath.Join(root, "etc", file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// canary is a file of the host that no container may find, by a name that no container has.
func canary(t *testing.T) string {
	t.Helper()
	name := "nomad-canary-" + random(8)
	path := "/" + name
	if err := os.WriteFile(path, []byte("secret of the host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
	return name
}

type variant struct {
	name  string
	users bool
	user  string
}

var variants = []variant{{"own users", true, ""}, {"own users, a user", true, "daemon"}, {"host users", false, ""}, {"host users, a user", false, "daemon"}}

func hostileTask(t *testing.T, root string, v variant, more M) *task {
	t.Helper()
	config := M{"image": root, "boot": false, "network_veth": false, "user_namespacing": v.users, "command": []string{"/bin/sleep", "999"}}
	if v.user != "" {
		config["user"] = v.user
	}
	for key, value := range more {
		config[key] = value
	}
	return newTask(t, sharedHost(t), config)
}

// TestNspawnIdentity compares what a task's command is with what a command in it is, line by line.
func TestNspawnIdentity(t *testing.T) {
	root := hostileRoot(t)
	if err := os.MkdirAll(filepath.Join(root, "srv/work"), 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(root, "srv/work"), 0o777)
	init := "#!/bin/sh\nattack identity >/tmp/identity.new; mv /tmp/identity.new /tmp/identity; exec sleep 999\n"
	if err := os.WriteFile(filepath.Join(root, "bin/tell"), []byte(init), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(root, "sbin/init"))
	if err := os.Symlink("/bin/tell", filepath.Join(root, "sbin/init")); err != nil {
		t.Fatal(err)
	}
	for _, v := range variants {
		for _, how := range []M{{"init": true}, {"init": false}, {"boot": true, "command": []string{}}} {
			if how["boot"] != nil && v.user != "" {
				continue // an init is root
			}
			t.Run(fmt.Sprintf("%s, %v", v.name, how), func(t *testing.T) {
				more := M{"rlimits": M{"NOFILE": "1234:4321"}, "system_call_filter": []string{"~@keyring"},
					"no_new_privileges": v.user != "", "command": []string{"/bin/tell"}}
				if how["boot"] == nil {
					more["working_directory"] = "/srv/work"
				}
				for key, value := range how {
					more[key] = value
				}
				k := hostileTask(t, root, v, more)
				k.mustStart(t)
				eventually(t, "the task has told who it is", func() bool {
					_, code := k.exec(t, "20s", "test", "-e", "/tmp/identity")
					return code == 0
				})
				// ExecTask gives 4096 bytes.
				k.exec(t, "20s", "attack", "identity", "/tmp/by-exec")
				want := k.read(t, "/tmp/identity")
				compare(t, "ExecTask", want, k.read(t, "/tmp/by-exec"))
				for _, tty := range []bool{false, true} {
					x := k.open(t, tty, "/bin/attack", "identity")
					x.mustEnd(0)
					compare(t, fmt.Sprintf("streaming, tty %v", tty), want, strings.ReplaceAll(x.out(), "\r\n", "\n"))
				}
				k.destroy(t)
			})
		}
	}
}

func (k *task) read(t *testing.T, file string) string {
	x := k.open(t, false, "/bin/cat", file)
	x.mustEnd(0)
	return x.out()
}

func compare(t *testing.T, what, want, got string) {
	t.Helper()
	in := func(text string) map[string]bool {
		lines := map[string]bool{}
		for _, l := range strings.Split(text, "\n") {
			// The shell between adds its own.
			switch name, _, _ := strings.Cut(strings.TrimPrefix(l, "env: "), "="); name {
			case "SHLVL", "_", "PWD", "OLDPWD", "NOTIFY_SOCKET": // the last is for an init that is booted
			default:
				lines[l] = true
			}
			if strings.HasPrefix(l, "inherited:") {
				t.Errorf("%s: %s", what, l)
			}
		}
		return lines
	}
	a, b := in(want), in(got)
	for l := range a {
		if !b[l] {
			t.Errorf("%s: only the task has: %s", what, l)
		}
	}
	for l := range b {
		if !a[l] {
			t.Errorf("%s: only the command has: %s", what, l)
		}
	}
	if len(b) < 40 {
		t.Errorf("%s: only %d lines:\n%s", what, len(b), got)
	}
}

// TestNspawnTerminal: what a person at a terminal in the container sees.
func TestNspawnTerminal(t *testing.T) {
	root := hostileRoot(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			k := hostileTask(t, root, v, nil)
			k.mustStart(t)
			x := k.open(t, true, "/bin/sh", "-c", "tty; ls -l $(tty) >/dev/null && echo is there; readlink /proc/self/fd/0; exec 3<>$(tty) && echo opens; stty -a </dev/tty >/dev/null && echo controls")
			x.mustEnd(0)
			for _, want := range []string{"/dev/pts/", "is there", "opens", "controls"} {
				if !strings.Contains(x.out(), want) {
					t.Errorf("no %q in %q", want, x.out())
				}
			}
			k.destroy(t)
		})
	}
}

// hostFiles may not change, whatever a container does.
var hostFiles = []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/etc/passwd", "/etc/shadow"}

func hostState() string {
	var b strings.Builder
	for _, f := range hostFiles {
		data, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "%s: %x\n", f, data)
	}
	return b.String()
}

// attacks on a running container, each as root in it.  The script attacks; then each way to run a command is used.  The word ESCAPED may
// not appear, the host may not change, the commands have to end in time, and the task has to be stoppable.
var attacks = []struct {
	name, script string
	exec         bool // the command itself has to work all the same
}{
	{"passwd is /dev/zero", "ln -sf /dev/zero /etc/passwd", true},
	{"passwd is a FIFO", "rm -f /etc/passwd; mkfifo /etc/passwd", true},
	{"passwd is a link to itself", "ln -sf passwd /etc/passwd", true},
	{"passwd is /proc/self/mem", "ln -sf /proc/self/mem /etc/passwd", true},
	{"passwd is huge", "rm -f /etc/passwd; truncate -s 10G /etc/passwd", true},
	{"group is /dev/zero", "ln -sf /dev/zero /etc/group", true},
	{"everybody is root", "echo 'daemon:x:0:0::/:/bin/sh' >/etc/passwd", true},
	{"the terminal is a FIFO", "rm -f /dev/ptmx; mkfifo /dev/ptmx", false},
	{"the terminal is a link to core_pattern", "ln -sf /proc/sys/kernel/core_pattern /dev/ptmx", false},
	{"devpts is a tmpfs", "umount -l /dev/pts; mount -t tmpfs none /dev/pts", false},
	{"/dev/null is a link to core_pattern", "rm -f /dev/null; ln -s /proc/sys/kernel/core_pattern /dev/null", false},
	{"/proc is a tmpfs", "mount -t tmpfs none /proc && mkdir -p /proc/self/attr /proc/1", false},
	{"/proc is gone", "umount -l /proc", false},
	{"the shell is a link to /proc/self/exe", "cp /bin/busybox /bin/b2; cp -a /bin/sh /bin/sh.real; ln -sf /proc/self/exe /bin/true", false},
	{"the program starts with #!/proc/self/exe", "printf '#!/proc/self/exe\\n' >/bin/true2; chmod +x /bin/true2", true},
	{"the broker is stopped", "attack signal nspawn-exec 19", false},
	{"the broker is killed", "attack signal nspawn-exec 9", false},
	{"the broker is seized", "attack steal CANARY 1 & sleep 2", true},
	{"the broker is replaced: its terminals block", "impostor terminal & sleep 2", false},
	{"the broker is replaced: descriptors that linger", "impostor linger & sleep 2", false},
	{"the broker is replaced: a flood", "impostor flood & sleep 2", false},
	{"the exit channel is taken", "sleep 1; impostor exit & sleep 2", true},
	{"init is written to", "echo x >/run/nomad/init; echo x >/proc/1/exe", true},
	{"descriptors of init are opened", "for n in 0 1 2 3 4 5 6 7 8 9; do (exec 8<>/proc/1/fd/$n && echo x >&8) 2>/dev/null; done", true},
	{"the exit file is filled", "for i in 1 2 3; do dd if=/dev/zero of=/run/nomad/exit bs=1M count=64; done", true},
	{"notify is flooded", "attack flood /run/host/notify 5000; attack flood $NOTIFY_SOCKET 100", true},
	{"a file handle of the host", "attack shocker CANARY", true},
	{"out of a chroot", "attack chroot CANARY", true},
	{"core_pattern", "echo '|/bin/sh' >/proc/sys/kernel/core_pattern", true},
	{"sysrq", "echo h >/proc/sysrq-trigger", true},
	{"sysctl of the host", "echo evil >/proc/sys/kernel/modprobe; echo evil >/proc/sys/kernel/hostname", true},
	{"release_agent", "mkdir -p /tmp/cg; mount -t cgroup -o memory none /tmp/cg && { echo /bin/sh >/tmp/cg/release_agent && echo ESCAPED; }; mount -t cgroup2 none /tmp/cg; umount /tmp/cg", true},
	{"a block device", "mknod /tmp/vda b 254 0; mknod /tmp/sda b 8 0; for d in vda sda; do dd if=/tmp/$d of=/dev/null bs=512 count=1 2>/dev/null && echo ESCAPED; done", true},
	{"memory of the host", "mknod /tmp/mem c 1 1; mknod /tmp/kmsg c 1 11; for d in mem kmsg; do (exec 8</tmp/$d) 2>/dev/null && echo ESCAPED; done", true},
	{"modules", "insmod /bin/busybox; modprobe dummy; attack calls | grep -E '_module done' && echo ESCAPED", true},
	{"kill everything", "kill -9 -1", false},
	{"root of process 1", "ls /proc/1/root/CANARY /proc/1/cwd/CANARY && echo ESCAPED", true},
	{"debugfs and tracefs", "mkdir /x; for f in debugfs tracefs securityfs; do mount -t $f none /x && echo ESCAPED; done", true},
	{"a kernel keyring", "attack calls | grep -E '^(keyctl|add_key) done' && echo ESCAPED", true},
	{"a procfs of its own", "mkdir /x; mount -t proc none /x; mount -o remount,rw /proc/sys; for p in /x /proc; do echo '|/bin/sh' >$p/sys/kernel/core_pattern; " +
		"echo evil >$p/sys/kernel/modprobe; echo h >$p/sysrq-trigger; done", true},
	{"init is mounted anew", "mount -o remount,bind,rw /run/nomad/init && echo ESCAPED; umount /run/nomad/init && echo ESCAPED; attack signal nspawn-exec 9; " +
		"echo x >>/run/nomad/init && echo ESCAPED", false},
	{"mounts that propagate", "mount --make-rshared /; mkdir /x; mount -t tmpfs none /x; mount --bind / /x; mount --rbind /x /mnt", true},
	{"a deep tree", "mkdir /deep; cd /deep; n=0; while [ $n -lt 400 ] && mkdir d && cd d; do n=$((n + 1)); done; dd if=/dev/zero of=file bs=1M count=1", true},
	{"deep cgroups", "for d in /sys/fs/cgroup /sys/fs/cgroup/systemd; do cd $d && n=0 && while [ $n -lt 100 ] && mkdir x && cd x; do n=$((n + 1)); done; " +
		"sleep 999 & echo $! >cgroup.procs; done", true},
	{"a frozen cgroup", "cd /sys/fs/cgroup; mkdir x && cd x && for p in 1 3 2; do echo $p >cgroup.procs; done; echo threaded >cgroup.type; echo 1 >cgroup.freeze", false},
}

// What an own user namespace refuses, and only that: see SECURITY.md.
const needsUsers = "debugfs and tracefs, a procfs of its own, init is mounted anew"

func TestNspawnAttacks(t *testing.T) {
	root := hostileRoot(t)
	name := canary(t)
	before := hostState()
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for _, v := range []variant{variants[0], variants[1], variants[2]} {
		for _, a := range attacks {
			if !v.users && (testing.Short() || strings.Contains(needsUsers, a.name)) {
				continue
			}
			if v.user != "" && !strings.Contains(a.script, "passwd") && !strings.Contains(a.script, "ptmx") {
				continue // it takes root
			}
			t.Run(v.name+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				k := hostileTask(t, root, variant{v.name, v.users, ""}, M{"command": []string{"/bin/sh", "-c",
					"exec >/tmp/said 2>&1; " + strings.ReplaceAll(a.script, "CANARY", name) + "; echo done; exec sleep 999"}})
				if v.user != "" {
					k = hostileTask(t, root, v, M{"tmpfs": []string{"/tmp"}})
				}
				k.mustStart(t)
				stolen := k.open(t, false, "/bin/attack", "steal", name, "3")
				look := []string{"/bin/busybox", "sh", "-c", "ls /" + name + " /proc/self/fd/*/../" + name + " && echo ESCAPED; exit 7"}
				// While the thief is at work a command may fail: root of the container may attach to what runs in it.
				for i := 0; i < 4; i++ {
					begin := time.Now()
					r, err := k.h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": look, "timeout": "5s"})
					if d := time.Since(begin); d > 25*time.Second {
						t.Errorf("ExecTask took %v", d)
					}
					if err == nil && strings.Contains(string(r.bytes("stdout")), "ESCAPED") {
						t.Errorf("ExecTask: %s", r.bytes("stdout"))
					}
				}
				x := k.open(t, true, "/bin/busybox", "sh", "-c", "tty; ls /proc/self/fd/0/../../"+name+" && echo ESCAPED")
				select {
				case <-x.done:
				case <-time.After(25 * time.Second):
					x.s.cancel()
				}
				select {
				case <-stolen.done:
				case <-time.After(25 * time.Second):
					stolen.s.cancel()
				}
				for what, s := range map[string]*session{"terminal": x, "steal": stolen} {
					if strings.Contains(s.out(), "ESCAPED") {
						t.Errorf("%s: %s", what, s.out())
					}
				}
				if r, err := k.h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": look, "timeout": "60s"}); a.exec && (err != nil || r.num("result.exit_code") != 7) {
					t.Errorf("ExecTask: %v, code %v", err, r.num("result.exit_code"))
				}
				out := "done"
				for end := time.Now().Add(30 * time.Second); v.user == "" && a.exec; time.Sleep(200 * time.Millisecond) {
					if out, _ = k.exec(t, "60s", "/bin/busybox", "cat", "/tmp/said"); strings.Contains(out, "done") || time.Now().After(end) {
						break
					}
				}
				if strings.Contains(out, "ESCAPED") || !strings.Contains(out, "done") {
					t.Errorf("the attack said: %s", out)
				}
				k.stop(t, "", "2s")
				k.destroy(t)
			})
		}
	}
	t.Cleanup(func() {
		// Others' mounts may have gone meanwhile.
		after, _ := os.ReadFile("/proc/self/mountinfo")
		for _, line := range strings.Split(string(after), "\n") {
			if !strings.Contains(string(mounts), line) {
				t.Errorf("mounted on the host: %s", line)
			}
		}
		if after := hostState(); after != before {
			t.Errorf("the host changed:\n%s\n%s", before, after)
		}
	})
}

// TestNspawnHostileImages: what the author of an image or of a job can name as a place.
func TestNspawnHostileImages(t *testing.T) {
	name := canary(t)
	places := []string{"/proc/self/cwd", "/proc/1/root", "/proc/1/cwd", "/proc/self/root/..", "/link-root", "/link-up"}
	for n := 0; n < 12; n++ {
		places = append(places, fmt.Sprintf("/proc/self/fd/%d", n), fmt.Sprintf("/link-%d", n))
	}
	root := hostileRoot(t)
	os.Symlink("/", filepath.Join(root, "link-root"))
	os.Symlink("../../../../../../..", filepath.Join(root, "link-up"))
	for n := 0; n < 12; n++ {
		os.Symlink(fmt.Sprintf("/proc/self/fd/%d", n), filepath.Join(root, fmt.Sprintf("link-%d", n)))
	}
	for _, users := range []bool{true, false} {
		if !users && testing.Short() {
			continue
		}
		for _, place := range places {
			t.Run(fmt.Sprintf("%v%s", users, place), func(t *testing.T) {
				t.Parallel()
				k := hostileTask(t, root, variant{"", users, ""}, M{"working_directory": place, "command": []string{"/bin/sh", "-c",
					"d=.; for i in 1 2 3 4 5 6 7 8; do [ ! -e $d/" + name + " ] || exit 66; d=$d/..; done; exec sleep 999"}})
				if err := k.start(); err != nil {
					k.clean(t)
					return // refused
				}
				t.Cleanup(func() { k.clean(t) })
				out, _ := k.exec(t, "10s", "/bin/sh", "-c", "d=.; for i in 1 2 3 4 5 6 7 8; do [ ! -e $d/"+name+" ] || echo ESCAPED; d=$d/..; done")
				if strings.Contains(out, "ESCAPED") {
					t.Error(out)
				}
				if state := k.inspect(t).str("task.state"); strings.Contains(strings.ToLower(state), "exited") {
					t.Errorf("the task found the host's file")
				}
				k.destroy(t)
			})
		}
	}
}

// TestNspawnAttackIsSeen shows that the attacks would work: the way in that this driver had before, by a root process that joins the
// container while it can be attached to and holds a directory of the host, is found by the same program.
func TestNspawnAttackIsSeen(t *testing.T) {
	old := os.Getenv("OLD_ENTER")
	if old == "" {
		t.Skip("OLD_ENTER names no program")
	}
	root := hostileRoot(t)
	name := canary(t)
	k := hostileTask(t, root, variants[0], nil)
	k.mustStart(t)
	x := k.open(t, false, "/bin/attack", "steal", name, "6")
	time.Sleep(time.Second)
	cmd := exec.Command(old, k.inspect(t).strings("driver.attributes")["pid"])
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	x.mustEnd(0)
	if !strings.Contains(x.out(), "ESCAPED") {
		t.Errorf("the attack does not find the old way in: %s", x.out())
	}
	k.destroy(t)
}

// TestNspawnHostileTrees: an image in which the places of mounts and of files that the driver or systemd-nspawn makes are links to the host.
func TestNspawnHostileTrees(t *testing.T) {
	if os.Getenv("ATTACK") == "" {
		t.Skip("ATTACK names no program")
	}
	before := hostState()
	for _, users := range []bool{true, false} {
		if !users && testing.Short() {
			continue
		}
		for _, place := range []string{"dev", "proc", "sys", "run", "tmp", "etc", "var", "root", "alloc", "local", "secrets", "run/nomad",
			"run/host", "etc/machine-id", "etc/resolv.conf", "etc/hosts", "etc/localtime", "dev/pts", "dev/shm", "sys/fs/cgroup", "var/log"} {
			for _, way := range []string{"/", strings.Repeat("../", 20)} {
				t.Run(fmt.Sprintf("%v/%s by %.2s", users, place, way), func(t *testing.T) {
					t.Parallel()
					name := "nomad-canary-" + random(8)
					if err := os.Mkdir("/"+name, 0o777); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { os.RemoveAll("/" + name) })
					root := hostileRoot(t)
					link := filepath.Join(root, place)
					if err := os.RemoveAll(link); err != nil {
						t.Fatal(err)
					}
					if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.Symlink(way+name, link); err != nil {
						t.Fatal(err)
					}
					k := hostileTask(t, root, variant{"", users, ""}, nil)
					if err := k.start(); err == nil {
						k.exec(t, "10s", "/bin/busybox", "touch", "/"+place+"/made")
						k.destroy(t)
					} else {
						k.clean(t)
					}
					if made, _ := os.ReadDir("/" + name); len(made) > 0 {
						t.Errorf("made on the host: %v", made)
					}
				})
			}
		}
	}
	t.Cleanup(func() {
		if after := hostState(); after != before {
			t.Errorf("the host changed:\n%s\n%s", before, after)
		}
	})
}

// TestNspawnHostileCommands: what one who may run commands in a task, and a task whose programs are run, can do to the plugin.
func TestNspawnHostileCommands(t *testing.T) {
	k := hostileTask(t, hostileRoot(t), variants[0], nil)
	k.mustStart(t)
	sh := func(script string) []string { return []string{"/bin/busybox", "sh", "-c", script} }
	huge := make([]string, 100000)
	for i := range huge {
		huge[i] = strings.Repeat("x", 30)
	}
	for name, c := range map[string]struct {
		argv []string
		code int64
	}{
		"a child keeps the output":             {sh("sleep 999 & exit 7"), 7},
		"a child in a session of its own does": {sh("setsid sleep 999 & exit 7"), 7},
		"the pipes are opened the other way":   {sh("(exec 8<>/proc/self/fd/0; echo x >&8); (exec 9<>/proc/self/fd/1; cat <&9) & sleep 1; exit 7"), 7},
		"3 MB of arguments":                    {append([]string{"/bin/true"}, huge...), -1},
		"one argument of 3 MB":                 {[]string{"/bin/true", strings.Repeat("x", 3<<20)}, -1},
		"a name with a newline":                {[]string{"/no\nsuch\x1b[2J/program"}, -1},
		"processes":                            {sh("i=0; while [ $i -lt 200 ]; do sleep 999 & i=$((i + 1)); done; exit 7"), 7},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			r, err := k.h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": c.argv, "timeout": "20s"})
			if d := time.Since(begin); d > 15*time.Second {
				t.Errorf("%v", d)
			}
			if c.code < 0 && (err == nil || strings.Contains(err.Error(), "\n")) {
				t.Errorf("not refused in one line: %v", err)
			}
			if c.code >= 0 && (err != nil || r.num("result.exit_code") != c.code) {
				t.Errorf("%v, code %v", err, r.num("result.exit_code"))
			}
		})
	}
	for n := 0; n < 12; n++ {
		if _, err := k.h.call(driverSvc+"ExecTask", M{"task_id": k.id, "command": []string{fmt.Sprintf("/proc/self/fd/%d", n), "-c", "exit 7"}, "timeout": "10s"}); err == nil {
			t.Errorf("descriptor %d was executed", n)
		}
	}
	k.destroy(t)
}
