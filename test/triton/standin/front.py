# SPDX-License-Identifier: MPL-2.0
"""What sdc-docker does differently, in front of a real Docker Engine.

Errors are plain text; create is answered with 200; wrong states are 500; the result of an exec is told once; a log
has no length, always both streams, and must be given `tail`; containers are machines of CloudAPI, labels are tags.
"""
import base64
import http.client
import json
import re
import select
import socket
import ssl
import threading
import urllib.parse
import uuid


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Engine:
    def __init__(self, path):
        self.path = path
        self.execs_told = set()
        self.pulled = set()             # NAME@DIGEST

    def ask(self, method, target, body=None, headers=None):
        connection = Connection(self.path)
        try:
            data = json.dumps(body).encode() if body is not None else None
            connection.request(method, "/v1.24" + target, data, dict(headers or {}, **({"Content-Type": "application/json"} if data else {})))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def state(self, container):
        status, body = self.ask("GET", "/containers/%s/json" % container)
        if status == 404:
            return "gone"
        if status != 200:
            return None
        state = json.loads(body)["State"]
        if state["Running"]:
            return "running"
        return "stopped"

    def remove(self, container):
        self.ask("DELETE", "/containers/%s?force=1&v=1" % container)

    def stop(self, container):
        self.ask("POST", "/containers/%s/stop?t=10" % container)


def machine_uuid(container):
    return "-".join((container[:8], container[8:12], container[12:16], container[16:20], container[20:32]))


def make_handler(base, reset):
    class DockerHandler(base):
        api = "docker"

        def plain(self, status, code, message):
            text = "%s%s (%s)" % ("(%s) " % code if code else "", message, uuid.uuid4())
            self.send(status, text.encode(), content_type="text/plain")

        def respond(self):
            raw = self.read_body()
            split = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
            m = re.match(r"^/v(\d+)\.(\d+)(/.*)$", split.path)
            path = m.group(3) if m else split.path
            fault = self.state.fault(self.api, self.command, self.path)
            if fault and not self.comes_after(fault):
                self.state.note(self.api, self.command, self.path, fault.get("status", fault["kind"]))
                self.inject(fault)
                return
            self.lost = fault
            body = None
            if raw:
                if (self.headers.get("Content-Type") or "").split(";")[0] != "application/json":
                    self.plain(415, "UnsupportedMediaType", "no content type")
                    return
                body = json.loads(raw)
            auth = self.headers.get("X-Registry-Auth")
            auth = json.loads(base64.urlsafe_b64decode(auth + "==")) if auth else None
            self.state.note(self.api, self.command, self.path, 0, raw.decode("utf-8", "replace"), auth)
            self.route(path, query, body, m)

        def lose(self):
            """The answer, if that is the fault of this request."""
            if self.lost and self.lost["kind"] == "kill":
                self.kill(self.lost)
            elif self.lost:
                self.connection.close()
                raise reset

        def relay(self, method, target, body=None, wrong_state=500):
            """Ask the engine and answer in the front's manner."""
            status, data = self.state.docker.ask(method, target, body)
            self.lose()
            if status == 304:
                self.plain(500, None, "Container is in the wrong state")
            elif status >= 400:
                try:
                    message = json.loads(data)["message"]
                except (ValueError, KeyError):
                    message = data.decode("utf-8", "replace")
                self.plain({409: wrong_state}.get(status, status), "ResourceNotFound" if status == 404 else None, message)
            elif status == 204:
                self.send(204)
            else:
                self.send(200, data)

        def route(self, path, query, body, version):
            m = re.match(r"^/containers/([^/]+)(?:/(.*))?$", path)
            if path == "/_ping":
                self.send(200, b"OK", content_type="text/plain")
            elif path == "/images/create" and self.command == "POST":
                self.pull(query)
            elif path == "/containers/create":
                self.create(query, body)
            elif path == "/containers/json":
                self.relay("GET", path + "?all=1")
            elif m and self.command == "DELETE":
                self.plain(405, None, "this test removes by CloudAPI")
            elif m:
                self.container(m.group(1), m.group(2) or "", query, body)
            elif path.startswith("/exec/"):
                self.exec(path.split("/")[2], path.split("/")[3], query, body, version)
            else:
                self.plain(404, "ResourceNotFound", "%s does not exist" % path)

        def pull(self, query):
            if not query.get("tag"):
                self.plain(500, None, "pull of all tags is not supported")
                return
            # A digest is a tag of this form (sdc-docker lib/endpoints/images.js).  That of a manifest is here the
            # engine's id of the image, for nothing comes from a registry.
            digest = query["tag"].startswith("sha256:")
            name = "%s%s%s" % (query["fromImage"], "@" if digest else ":", query["tag"])
            status, _ = self.state.docker.ask("GET", "/images/%s/json" % (query["tag"] if digest else name))
            if digest and status == 200:
                self.state.docker.pulled.add(name)
            lines = [{"status": "Pulling repository"}]
            if status == 200 and not query["fromImage"].startswith("secret"):
                lines.append({"status": "Status: Image is up to date for " + name})
            else:
                text = "Error: image %s not found" % name
                lines.append({"errorDetail": {"message": text}, "error": text})
            self.lose()
            self.send(200, "\r\n".join(json.dumps(x) for x in lines).encode())

        def create(self, query, body):
            cloud = self.state.cloud
            labels, name = body.get("Labels") or {}, query.get("name")
            if "HostConfig" not in body:
                self.plain(500, None, "HostConfig is missing")
                return
            # By digest: lib/backends/sdc/images.js, imgFromName() and imgFromManifestDigest().
            if "@" in body["Image"]:
                if body["Image"] not in self.state.docker.pulled:
                    self.plain(404, "ResourceNotFound", "No image with manifest digest: " + body["Image"].split("@")[1])
                    return
                body["Image"] = body["Image"].split("@")[1]
            package = labels.pop("com.joyent.package", None)
            if package not in [p["id"] for p in cloud.packages]:
                self.plain(409, "ValidationFailed", "package %s does not exist" % package)
                return
            host = body["HostConfig"]
            policy = (host.get("RestartPolicy") or {}).get("Name", "")
            if policy == "unless-stopped":      # sdc-docker drops it without a word
                del host["RestartPolicy"]
            elif policy not in ("", "no", "always", "on-failure"):
                self.plain(500, None, "restart policy %s" % policy)
                return
            ports = host.pop("PortBindings", None) or {}
            network = host.get("NetworkMode", "")
            if labels.get("triton.network.public") and not ports:
                self.plain(422, None, "public network without published ports")
                return
            affinity = [e for e in body.get("Env", []) if e.startswith("affinity:")]
            body["Env"] = [e for e in body.get("Env", []) if not e.startswith("affinity:")]
            # The engine of the test runs all on the host's network, where these have no place.
            for key in ("Dns", "DnsSearch", "ExtraHosts", "PublishAllPorts", "LogConfig", "RestartPolicy", "Binds"):
                host.pop(key, None)
            for key in ("ExposedPorts", "Hostname", "Domainname"):
                body.pop(key, None)
            host["NetworkMode"] = "host"
            body["Labels"] = {k: v for k, v in labels.items() if not k.startswith("triton.")}
            body["Labels"]["standin"] = self.state.folder
            with cloud.lock:
                status, data = self.state.docker.ask("POST", "/containers/create?name=%s" % urllib.parse.quote(name), body)
                if status == 201:
                    container = json.loads(data)["Id"]
                    tags = {"sdc_docker": True}
                    for key, value in labels.items():
                        tags[key if key.startswith("triton.") else "docker:label:" + key] = value
                    cloud.last_ip += 1
                    machine = {
                        "id": machine_uuid(container), "name": name, "docker": True, "docker_id": container, "state": "stopped",
                        "tags": tags, "metadata": {}, "networks": [cloud.networks[1]["id"]], "firewall_enabled": True,
                        "deletion_protection": False, "image": "docker", "package": "", "brand": "lx", "ips": ["127.0.0.1"],
                        "primaryIp": "127.0.0.1", "affinity": affinity, "fabric": network}
                    cloud.machines[machine["id"]] = machine
                    cloud.order.append(machine["id"])
                    texts = [r["rule"] for r in cloud.rules.values()]
                    for protocol in ("tcp", "udp"):
                        text = 'FROM tag "sdc_docker" TO tag "sdc_docker" ALLOW %s PORT all' % protocol
                        if text not in texts:
                            cloud.add_rule(text, True, "allow all within a docker host")
                        numbers = sorted(int(p.split("/")[0]) for p in ports if p.endswith("/" + protocol))
                        if numbers:
                            cloud.add_rule("FROM any TO vm %s ALLOW %s PORTS %s" % (
                                machine["id"], protocol, ", ".join(str(n) for n in numbers)), True, "")
            self.lose()
            if status != 201:
                message = json.loads(data).get("message", "")
                self.plain(status, "ResourceNotFound" if status == 404 else "ConflictError", message)
                return
            self.send(200, json.dumps({"Id": container, "Warnings": []}).encode())

        def container(self, container, what, query, body):
            target = "/containers/%s/%s" % (container, what)
            if what == "json":
                self.relay("GET", target)
            elif what in ("start", "restart", "stop", "kill"):
                if what == "kill":
                    target += "?signal=" + query.get("signal", "SIGKILL")
                elif what != "start":
                    target += "?t=" + query.get("t", "10")
                self.relay("POST", target)
            elif what == "wait":
                self.relay("POST", target)
            elif what == "exec":
                self.relay("POST", target, body)
            elif what == "stats":
                self.relay("GET", target + "?stream=0")
            elif what == "logs":
                if not query.get("tail"):
                    self.plain(500, None, "tail is not a number")
                else:
                    self.logs(container, query)
            else:
                self.plain(404, "ResourceNotFound", "%s does not exist" % target)

        def logs(self, container, query):
            """Bytes without a length, until one side ends."""
            follow = "1" if query.get("follow") in ("1", "true") else "0"
            connection = Connection(self.state.docker.path)
            connection.request("GET", "/v1.24/containers/%s/logs?stdout=1&stderr=1&tail=%s&follow=%s" % (
                container, query["tail"], follow))
            answer = connection.getresponse()
            if answer.status != 200:
                self.plain(answer.status, None, answer.read().decode("utf-8", "replace"))
                return
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            left = None
            cut = self.state.fault("logs", "GET", self.path)
            if cut:
                left = cut.get("bytes", 100)

            def gone():
                # The client hung up: the engine's side ends as well.
                try:
                    self.connection.recv(1)
                except OSError:
                    pass
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except (OSError, AttributeError):
                    pass
            threading.Thread(target=gone, daemon=True).start()
            while True:
                data = answer.read1(16384)
                if not data:
                    break
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                self.wfile.write(data)
                self.wfile.flush()
                if left == 0:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.reset()
            connection.close()
            # The thread above still holds the connection: closing it would not end it.
            self.connection.shutdown(socket.SHUT_RDWR)

        def exec(self, exec_id, what, query, body, version):
            target = "/exec/%s/%s" % (exec_id, what)
            if what == "json":
                if exec_id in self.state.docker.execs_told:
                    self.plain(404, "ResourceNotFound", "No such exec")
                    return
                status, data = self.state.docker.ask("GET", target)
                if status == 200 and not json.loads(data)["Running"]:
                    self.state.docker.execs_told.add(exec_id)
                if status != 200:
                    self.plain(status, None, "no such exec")
                    return
                self.send(200, json.dumps({k: v for k, v in json.loads(data).items() if k in ("Running", "ExitCode")}).encode())
            elif what == "resize":
                status, _ = self.state.docker.ask("POST", target + "?h=%s&w=%s" % (query.get("h"), query.get("w")))
                self.send(200 if status < 300 else status)
            elif what == "start":
                if not version and "upgrade" not in (self.headers.get("Connection") or "").lower():
                    self.plain(500, None, "not taken over")
                    return
                self.tunnel(target, body)
            else:
                self.plain(404, None, "no such call")

        def tunnel(self, target, body):
            self.close_connection = True
            data = json.dumps(body).encode()
            engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            engine.connect(self.state.docker.path)
            engine.sendall(("POST /v1.24%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
                            "Content-Length: %d\r\n\r\n" % (target, len(data))).encode() + data)
            head = b""
            while b"\r\n\r\n" not in head:
                more = engine.recv(1)
                if not more:
                    break
                head += more
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.plain(500, None, "the engine did not upgrade")
                return
            self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                             b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            self.wfile.flush()
            client, open_in = self.connection, True
            while True:
                pending = isinstance(client, ssl.SSLSocket) and client.pending()
                readable = [client] if pending else select.select([engine] + ([client] if open_in else []), [], [])[0]
                if client in readable:
                    try:
                        more = client.recv(16384)
                    except OSError:
                        break
                    if more:
                        engine.sendall(more)
                    else:
                        open_in = False
                        engine.shutdown(socket.SHUT_WR)
                if engine in readable:
                    try:
                        more = engine.recv(16384)
                    except OSError:
                        break
                    if not more:
                        break
                    client.sendall(more)
            engine.close()

    return DockerHandler
