#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""A data centre for tests: CloudAPI, the Docker API (in front of a real engine), and a way to make them fail.

    standin.py DIRECTORY

DIRECTORY holds config.json: {"account", "keys": [.pub files], "users": {name: [.pub files]}, and optional
"tls": {"cert", "key", "ca"}, "docker": {"socket", "cert", "key", "ca"}}.  Once all is up, ports.json is written there:
{"cloudapi", "control", "nomad" (the control again, for clients with a certificate), "docker"}.  Loopback only.

Control (plain HTTP, JSON):
    GET  /state /requests /counts      what there is, what was asked
    POST /set {"delays": {}, "fail_provision": n, "skew": s, "cns": bool, "limits": [], "throttle": requests a second, "latency": s}
    POST /faults [{"method", "path" (regular expression), "count", "kind", "status", "after", "seconds", "retry_after", "location"}]
         kind: status | hang | reset | midbody | truncated | html | lost (done, but no answer) |
         gzip (100 MB of zeros, packed) | headers (1 MB of them) | deep (10,000 brackets) | same (a thousand machines, always
         the same) | endless (machines without end) |
         kill (SIGKILL to the pid in the file "pid_file", "when": before or after it is done)
    POST /keys [.pub files]            of the account
    POST /machine/ID/ACTION            delete, stop, reboot, fail, purge, offline: from outside
    POST /machine/ID/patch {...}       what CloudAPI shows of it
    POST /populate {"count", "tags"}   so many machines that run, of nobody's making
    POST /reset                        nothing is there any more
    POST /rule {"rule", "enabled", "description"}
    POST /nomad {"status", "allocs": {ID: [ClientStatus, DesiredStatus]}}  what Nomad says from now on; a status but 0 is its only answer
    GET  /v1/allocation/ID             Nomad's HTTP API (https://developer.hashicorp.com/nomad/api-docs/allocations)
"""
import functools
import http.server
import json
import os
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import uuid
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cloud as cloudlib
import front as frontlib
import signature


class State:
    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)
        self.docker = frontlib.Engine(self.config["docker"]["socket"]) if self.config.get("docker") else None
        self.cloud = cloudlib.Cloud(self.config["account"], self.docker)
        self.faults, self.requests, self.skew = [], [], 0
        self.nomad = {"status": 0, "allocs": {}}
        self.throttle, self.tokens, self.filled, self.latency = 0, 0, 0, 0
        self.lock = threading.Lock()
        self.accounts = {self.config["account"]: {
            "keys": self.load(self.config["keys"]),
            "users": {name: self.load(files) for name, files in self.config.get("users", {}).items()}}}

    @staticmethod
    def load(files):
        keys = []
        for name in files:
            with open(name, encoding="utf-8") as f:
                keys.append(signature.Key(f.read()))
        return keys

    def fault(self, api, method, path):
        """The fault that is due for a request, or None."""
        with self.lock:
            for fault in self.faults:
                if fault.get("api", "cloudapi") != api and (fault.get("api") != "*" or api == "logs"):
                    continue
                if fault.get("method", method) != method:
                    continue
                if not re.search(fault.get("path", "."), path):
                    continue
                if fault.get("after", 0) > 0:
                    fault["after"] -= 1
                    continue
                if fault.get("count", 1) == 0:
                    continue
                fault["count"] = fault.get("count", 1) - 1
                return fault
        return None

    def refused(self):
        """A token bucket for the account, as restify's throttle has it: 429 without Retry-After."""
        with self.lock:
            now = time.time()
            if not self.throttle:
                return False
            self.tokens = min(self.throttle * 2, self.tokens + (now - self.filled) * self.throttle)
            self.filled = now
            if self.tokens < 1:
                return True
            self.tokens -= 1
            return False

    def note(self, api, method, path, status, body=None, auth=None):
        with self.lock:
            self.requests.append({"api": api, "method": method, "path": path, "status": status, "time": time.time(), "body": body,
                                  "auth": auth})


class Reset(Exception):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None
    api = "cloudapi"

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reset(self):
        """Close with RST: nothing more comes."""
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        raise Reset

    def send(self, status, body=b"", headers=None, content_type="application/json", length=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def date_time_string(self, timestamp=None):
        return super().date_time_string((timestamp or time.time()) + self.state.skew)

    def inject(self, fault):
        """Fail as told.  True if the request was answered."""
        kind = fault["kind"]
        if kind == "status":
            status = fault.get("status", 500)
            code = {429: "RequestThrottled", 503: "ServiceUnavailableError"}.get(status, "InternalError")
            headers = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
            if "location" in fault:
                headers["Location"] = fault["location"]
            self.send(status, json.dumps({"code": code, "message": "a fault of the test"}).encode(), headers)
        elif kind == "hang":
            time.sleep(fault.get("seconds", 3600))
            self.reset()
        elif kind == "reset":
            self.reset()
        elif kind == "midbody":
            self.send(200, b'[{"id": "', length=1000)
            self.reset()
        elif kind == "truncated":
            self.send(200, b'[{"id": "truncat')
        elif kind == "html":
            self.send(fault.get("status", 502), b"<html><body><h1>502 Bad Gateway</h1></body></html>", content_type="text/html")
        elif kind == "kill":
            self.kill(fault)
        elif kind in ATTACKS:
            ATTACKS[kind](self)
        else:
            return False
        return True

    @staticmethod
    def comes_after(fault):
        """Is the fault one of the answer, and not of the request?"""
        return fault["kind"] == "lost" or (fault["kind"] == "kill" and fault.get("when") == "after")

    def kill(self, fault):
        """The client dies, and gets no answer."""
        with open(fault["pid_file"], encoding="ascii") as f:
            os.kill(int(f.read()), signal.SIGKILL)
        self.reset()

    def run(self):
        try:
            self.respond()
        except Reset:
            self.close_connection = True
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError, TimeoutError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = run

    def read_body(self):
        size = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(size) if size else b""


@functools.lru_cache
def bomb():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()


def attack_gzip(handler):
    handler.send(200, bomb(), {"Content-Encoding": "gzip"})


def attack_headers(handler):
    handler.send(200, b"[]", {"X-Header-%d" % i: "x" * 1000 for i in range(1000)})


def attack_deep(handler):
    handler.send(200, b'[{"id": "%s", "tags": {"a": %s%s}}]' % (uuid.uuid4().bytes.hex().encode(), b"[" * 10000, b"]" * 10000))


def attack_same(handler):
    machines = [{"id": str(uuid.UUID(int=i)), "state": "running", "tags": {}} for i in range(1000)]
    handler.send(200, json.dumps(machines).encode())


def attack_endless(handler):
    entries = b"".join(b'{"id": "%s", "state": "running"},' % str(uuid.UUID(int=i)).encode() for i in range(1000))
    handler.send(200, b"[", length=1 << 40)
    while True:
        handler.wfile.write(entries)


ATTACKS = {"gzip": attack_gzip, "headers": attack_headers, "deep": attack_deep, "same": attack_same, "endless": attack_endless}


class CloudHandler(Handler):
    def respond(self):
        raw = self.read_body()
        split = urllib.parse.urlsplit(self.path)
        if split.path == "/--ping":
            return self.send(200, json.dumps({"ping": "pong", "cloudapi": {"versions": ["9.0.0"]}}).encode())
        time.sleep(self.state.latency)
        fault = self.state.fault(self.api, self.command, self.path)
        if fault and not self.comes_after(fault):
            self.state.note(self.api, self.command, self.path, fault.get("status", fault["kind"]))
            self.inject(fault)
            return None
        if self.state.refused():
            self.state.note(self.api, self.command, self.path, 429)
            return self.inject({"kind": "status", "status": 429})
        try:
            answer = self.answer(split, raw)
            status, body, headers = answer.status, answer.body, answer.headers
        except signature.Refused as why:
            status, body, headers = why.status, {"code": why.code, "message": why.message}, {}
        except cloudlib.Gone as why:
            status, body, headers = 410, why.machine, {}
        except cloudlib.Error as why:
            status, body, headers = why.status, why.body, {}
        self.state.note(self.api, self.command, self.path, status, raw.decode("utf-8", "replace"), self.headers.get("Role-Tag"))
        if fault and fault["kind"] == "kill":
            self.kill(fault)
        elif fault:
            self.reset()
        headers = dict(headers)
        headers["Request-Id"] = str(uuid.uuid4())
        headers["Api-Version"] = "9.0.0"
        self.send(status, b"" if body is None else json.dumps(body).encode(), headers)
        return None

    def answer(self, split, raw):
        account, _ = signature.check(self.state.accounts, self.command, self.path, self.headers, self.state.skew)
        version = self.headers.get("Accept-Version")
        if version and not re.match(r"^(~?[789](\.\d)*|\*)(\|\|~?[789](\.\d)*)*$", version):
            raise cloudlib.Error(400, "InvalidVersion", "%s is not supported" % version)
        if len(raw) > 100000:
            raise cloudlib.Error(413, "PayloadTooLargeError", "Request body size exceeds 100000")
        params = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        kind = (self.headers.get("Content-Type") or "").split(";")[0]
        if raw and kind == "application/json":
            try:
                body = json.loads(raw)
            except ValueError:
                raise cloudlib.Error(400, "InvalidContent", "Invalid JSON") from None
            if not isinstance(body, dict):
                raise cloudlib.Error(400, "InvalidContent", "not an object")
            params.update(body)
        elif raw and kind == "application/x-www-form-urlencoded":
            params[raw.decode("utf-8", "replace")] = ""
        parts = [urllib.parse.unquote(p) for p in split.path.split("/")[1:]]
        # An operator may work in the account of a customer (node-triton's TRITON_ACT_AS).
        if parts[0] not in (account, "my", "customer"):
            raise cloudlib.Error(403, "NotAuthorized", "not your account")
        # Roles: sdc-cloudapi docs/index.md (as-role), lib/machines.js and lib/resources.js (header role-tag).
        for role in params.pop("as-role", "deploy").split(","):
            if role not in ("deploy", "read"):
                raise cloudlib.Error(401, "InvalidCredentials", "\"undefined\" not listed in user roles")
        return self.state.cloud.handle(self.command, parts[1:], params)


class ControlHandler(Handler):
    api = "control"

    def respond(self):
        body = self.read_body()
        data = json.loads(body) if body else None
        state, parts = self.state, self.path.strip("/").split("/")
        out = {}
        if self.path == "/state":
            out = state.cloud.state()
        elif self.path == "/requests":
            with state.lock:
                out = list(state.requests)
        elif self.path == "/forget":
            with state.lock:
                state.requests.clear()
        elif self.path == "/populate":
            with state.cloud.lock:
                for _ in range(data["count"]):
                    state.cloud.create({"package": "sample-128M", "image": state.cloud.images[2]["id"],
                                        "firewall_enabled": False, **{"tag." + k: v for k, v in data["tags"].items()}}, "running")
        elif self.path == "/reset":
            with state.cloud.lock:
                for machine in state.cloud.machines.values():
                    if machine.get("docker"):
                        state.docker.remove(machine["docker_id"])
                for store in (state.cloud.machines, state.cloud.rules, state.cloud.volumes, state.cloud.order, state.cloud.doubles,
                              state.faults):
                    store.clear()
        elif self.path == "/faults":
            with state.lock:
                state.faults = data or []
        elif self.path == "/set":
            state.cloud.delays.update(data.get("delays", {}))
            state.cloud.fail_provision = data.get("fail_provision", state.cloud.fail_provision)
            state.cloud.limits = data.get("limits", state.cloud.limits)
            state.cloud.cns = data.get("cns", state.cloud.cns)
            state.skew = data.get("skew", state.skew)
            state.throttle = data.get("throttle", state.throttle)
            state.latency = data.get("latency", state.latency)
        elif self.path == "/keys":
            state.accounts[state.config["account"]]["keys"] = state.load(data)
        elif self.path == "/nomad":
            state.nomad.update(data)
        elif self.path.startswith("/v1/allocation/"):
            return self.nomad(parts[2])
        elif self.path == "/rule":
            out = state.cloud.add_rule(data["rule"], data.get("enabled", True), data.get("description", ""))
        elif parts[0] == "machine":
            with state.cloud.lock:
                machine = state.cloud.get(parts[1], gone_too=True)
                if parts[2] == "delete":
                    machine["deletion_protection"] = False
                    state.cloud.destroy(machine)
                elif parts[2] == "purge":
                    del state.cloud.machines[parts[1]]
                    state.cloud.order.remove(parts[1])
                elif parts[2] == "patch":
                    machine.update(data)
                elif parts[2] in ("failed", "stopped", "offline", "running", "deleted", "unknown"):
                    machine["state"] = parts[2]
                else:
                    state.cloud.action(machine, parts[2])
        else:
            return self.send(404, b"{}")
        return self.send(200, json.dumps(out).encode())


    def nomad(self, alloc):
        """As Nomad's agent: errors are plain text (command/agent/alloc_endpoint.go)."""
        nomad = self.state.nomad
        self.state.note("nomad", "GET", self.path, nomad["status"] or 200, auth=self.headers.get("X-Nomad-Token"))
        if nomad["status"]:
            return self.send(nomad["status"], b"Permission denied", content_type="text/plain")
        if alloc not in nomad["allocs"]:
            return self.send(404, b"alloc not found", content_type="text/plain")
        status, desired = nomad["allocs"][alloc]
        return self.send(200, json.dumps({"ID": alloc, "ClientStatus": status, "DesiredStatus": desired}).encode())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, handler, state, tls=None):
        kind = type(handler.__name__, (handler,), {"state": state})
        super().__init__(("127.0.0.1", 0), kind)
        self.tls = tls

    def finish_request(self, request, client_address):
        if self.tls:
            request.settimeout(30)
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
            request.settimeout(None)
        try:
            super().finish_request(request, client_address)
        finally:
            try:
                request.close()
            except OSError:
                pass

    def handle_error(self, request, client_address):
        kind = sys.exc_info()[0]
        if kind not in (ConnectionResetError, BrokenPipeError, ssl.SSLError, OSError, ValueError):
            super().handle_error(request, client_address)


def tls_of(files, ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["cert"], files["key"])
    if ca:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def main():
    state = State(sys.argv[1])
    config = state.config
    servers = {"cloudapi": Server(CloudHandler, state, tls_of(config["tls"]) if config.get("tls") else None),
               "control": Server(ControlHandler, state)}
    if config.get("tls", {}).get("ca"):
        # Nomad's HTTP API with verify_https_client.
        servers["nomad"] = Server(ControlHandler, state, tls_of(config["tls"], config["tls"]["ca"]))
    if config.get("docker"):
        files = config["docker"]
        handler = frontlib.make_handler(Handler, Reset)
        servers["docker"] = Server(handler, state, tls_of(files, files["ca"]))
        state.cloud.docker_url = "tcp://127.0.0.1:%d" % servers["docker"].server_address[1]
    ports = {name: server.server_address[1] for name, server in servers.items()}
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    path = os.path.join(sys.argv[1], "ports.json")
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        json.dump(ports, f)
    os.rename(path + ".tmp", path)
    # To the end of who started us.
    sys.stdin.read()


if __name__ == "__main__":
    main()
