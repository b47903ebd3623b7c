#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Jobs in a random loop on several nodes of one account, with all that can go wrong.

    loop.py DIRECTORY STEPS CONTROL_URL KEYS SEED JOBS

DIRECTORY holds plugin.json and config.json.  Each life of a plugin is one run of STEPS (steps.c).  Nomad is played here:
it starts a task again, gives an allocation up, forgets a node.  What must hold is checked by the stand-in at each create
(no second instance of an allocation), after each life, and at the end (nothing is left).  Prints what it did.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request

NODES = 3
LIVE = 5
KEYS = ["rsa", "ed25519", "p256"]
PATHS = ["/machines$", "machines[?]", "machines/[0-9a-f-]+$", "machines/[0-9a-f-]+[?]", "packages", "images", "fwrules",
         "tags$", "."]
LIFE_S = 150


class Wrong(Exception):
    pass


class World:
    def __init__(self, folder, steps, control, keys, seed):
        self.folder, self.steps, self.url, self.keys = folder, steps, control, keys
        self.random = random.Random(seed)
        self.allocs, self.live, self.made, self.lives, self.killed = {}, [], 0, 0, 0
        with open(os.path.join(folder, "plugin.json"), encoding="utf-8") as f:
            self.base = json.load(f)
        shutil.copy(os.path.join(keys, "rsa"), os.path.join(folder, "key"))
        for node in range(NODES):
            self.write_node(node)

    def write_node(self, node, **more):
        config = dict(self.base, state_dir=self.path("state-%s" % node), nomad_address=self.url, request_timeout=2,
                      key_file=self.path("key"), cluster="loop", **more)
        with open(self.path("node-%s.json" % node), "w", encoding="utf-8") as f:
            json.dump(config, f)

    def path(self, name):
        return os.path.join(self.folder, name)

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")

    def say(self, *words):
        print(*words, flush=True)

    # ---- What there is ----

    def machines(self, alloc=None):
        state = self.control("GET", "/state")
        if state["doubles"]:
            raise Wrong("a second instance was made: %s" % state["doubles"])
        return [m for m in state["machines"] if m["state"] != "deleted" and alloc in (None, m["tags"].get("nomad_alloc"))]

    def nomad(self, job, status, desired):
        if job.get("alloc"):
            self.allocs[job["alloc"]] = [status, desired]
            self.control("POST", "/nomad", {"allocs": self.allocs})

    # ---- One life ----

    def fault(self, job):
        """A list of faults, at random: none, one that passes by, or a death."""
        kind = self.random.choice(["none", "none", "lost", "reset", "status", "truncated", "html", "midbody", "hang",
                                   "kill", "kill", "kill", "kill"])
        if kind == "none":
            return []
        fault = {"kind": kind, "path": self.random.choice(PATHS), "after": self.random.randrange(6)}
        if kind == "kill":
            fault.update(path=".", after=self.random.randrange(14), pid_file=self.path(job["name"] + "/pid"), when=self.random.choice(["before", "after"]))
        elif kind == "status":
            fault.update(status=self.random.choice([429, 503, 500]), count=self.random.randrange(1, 4))
        elif kind == "hang":
            fault.update(seconds=3)
        elif kind == "lost":
            fault.update(method=self.random.choice(["POST", "DELETE", "GET"]))
        return [fault]

    def life(self, job, *words, faults=()):
        self.control("POST", "/faults", list(faults))
        out = self.path(job["name"] + ".log")
        with open(out, "w", encoding="utf-8") as log:
            done = subprocess.run([self.steps, self.path("node-%d.json" % job["node"]), self.path("config.json"),
                                   self.path(job["name"]), "run=" + job["run"], *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  timeout=LIFE_S, check=False)
        self.control("POST", "/faults", [])
        self.lives += 1
        self.killed += done.returncode < 0
        with open(self.path(job["name"] + "/alloc-id"), encoding="ascii") as f:
            job["alloc"] = f.read()
        self.say(job["name"], "node", job["node"], "run", job["run"], *words, [(f["kind"], f["path"]) for f in faults], "->",
                 done.returncode)
        if len(self.machines(job["alloc"])) > 1:
            raise Wrong("more than one instance of %s" % job["name"])
        return done.returncode

    # ---- What Nomad and the world do ----

    def new_run(self, job):
        job["run"] = "%08x" % self.random.getrandbits(32)

    def start(self):
        job = {"name": "job-%d" % self.made, "node": self.random.randrange(NODES), "run": "aabbccdd"}
        self.made += 1
        os.mkdir(self.path(job["name"]))
        self.again(job, self.life(job, "start", "up", faults=self.fault(job)))

    def again(self, job, code):
        """After a start: it runs; or Nomad replays it, starts another run, or gives the allocation up."""
        for _ in range(3):
            if code == 0:
                if len(self.machines(job["alloc"])) != 1:
                    raise Wrong("%s runs, and has no instance" % job["name"])
                self.live.append(job)
                return
            choice = self.random.choice(["replay", "restart", "give up"])
            if choice == "give up":
                break
            if choice == "restart":
                self.new_run(job)
            code = self.life(job, "start", "up", faults=self.fault(job) if self.random.random() < 0.3 else ())
        if code == 0:
            self.live.append(job)
            return
        self.nomad(job, "failed", "run")

    def recover(self, job):
        self.life(job, "recover", "up", faults=self.fault(job))

    def restart(self, job):
        """In place: the old run is stopped and destroyed, or its plugin dies in it; another run starts."""
        self.life(job, "recover", "stop", "destroy", faults=self.fault(job))
        self.new_run(job)
        self.again(job, self.life(job, "start", "up"))

    def end(self, job):
        code = self.life(job, "recover", "stop", "destroy", faults=self.fault(job))
        if code and self.random.random() < 0.5:
            code = self.life(job, "destroy")
        if code == 0 and self.machines(job["alloc"]):
            raise Wrong("%s was destroyed, and has an instance" % job["name"])
        self.nomad(job, "complete", "stop")

    def wipe(self, node):
        """The plugin's state is lost; Nomad's client may know its tasks still, and starts them again."""
        shutil.rmtree(self.path("state-%d" % node), ignore_errors=True)
        self.say("node", node, "wiped")
        for job in [j for j in self.live if j["node"] == node]:
            self.live.remove(job)
            if self.random.random() < 0.5:
                self.new_run(job)
                self.again(job, self.life(job, "start", "up"))
            else:
                self.nomad(job, "lost", "stop")

    def rotate(self):
        key = self.random.choice(KEYS)
        shutil.copy(os.path.join(self.keys, key), self.path("key"))
        self.control("POST", "/keys", [os.path.join(self.keys, key + ".pub")])
        self.say("key", key)

    def skew(self):
        self.control("POST", "/set", {"skew": self.random.randrange(-200, 200)})

    def step(self):
        dice = self.random.random()
        if dice < 0.03:
            self.wipe(self.random.randrange(NODES))
        elif dice < 0.08:
            self.rotate()
        elif dice < 0.12:
            self.skew()
        elif len(self.live) < LIVE and dice < 0.7:
            self.start()
        elif self.live:
            job = self.random.choice(self.live)
            what = self.random.choice(["recover", "restart", "end", "end"])
            if what != "recover":
                self.live.remove(job)
            getattr(self, what)(job)

    def finish(self):
        """All nodes are lost, and Nomad has given all up: one that comes new removes what they left."""
        for job in self.live:
            self.nomad(job, "lost", "stop")
        left = len(self.machines())
        self.write_node(99, lease_timeout=4)
        job = {"name": "sweeper", "node": 99, "run": "aabbccdd"}
        os.mkdir(self.path("sweeper"))
        sweeper = subprocess.Popen([self.steps, self.path("node-99.json"), self.path("config.json"), self.path("sweeper"), "start", "up",
                                    "rest", "stop", "destroy"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=open(self.path("sweeper.log"), "w", encoding="utf-8"))
        for _ in range(600):
            time.sleep(0.5)
            names = [m["tags"].get("nomad_alloc") for m in self.machines()]
            if len(names) == 1 and os.path.exists(self.path("sweeper/handle")):
                break
        else:
            raise Wrong("left: %s" % [(m["name"], m["state"]) for m in self.machines()])
        with open(self.path("sweeper/go"), "w", encoding="ascii"):
            pass
        if sweeper.wait(LIFE_S) or self.machines():
            raise Wrong("the last task did not end")
        self.say("%s: %d jobs, %d lives, %d killed, %d instances left by lost nodes and removed" %
                 (job["name"], self.made, self.lives, self.killed, left))


def main():
    folder, steps, control, keys, seed, jobs = sys.argv[1:7]
    world = World(folder, steps, control, keys, int(seed))
    try:
        while world.made < int(jobs):
            world.step()
        world.finish()
    except (Wrong, subprocess.TimeoutExpired) as why:
        world.say("WRONG with seed %s: %s" % (seed, why))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
