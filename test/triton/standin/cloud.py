# SPDX-License-Identifier: MPL-2.0
"""A data centre in memory: machines with states and delays, firewall rules, volumes, and CloudAPI's answers."""
import json
import random
import re
import threading
import time
import uuid as uuidlib

import fwrule

NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")
UUID = re.compile(r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")
TRITON_TAGS = {"triton.cns.services", "triton.cns.disable", "triton.cns.reverse_ptr", "triton.cmon.groups",
               "triton.network.public", "triton.network.public_ipv4", "triton.placement.exclude_virtual_servers"}
BOOL_TAGS = {"triton.cns.disable", "triton.placement.exclude_virtual_servers"}
CREATE_FIELDS = {"name", "package", "image", "networks", "firewall_enabled", "deletion_protection", "affinity", "locality",
                 "delegate_dataset", "volumes", "disks", "brand", "encrypted", "allow_shared_images"}
TAKEN = {"account", "machine", "uuid", "owner_uuid", "context", "image"}
LIST_STATES = {"provisioning", "stopping", "active", "stopped", "running", "unknown", "destroyed"}


class Error(Exception):
    def __init__(self, status, code, message, errors=None):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}
        if errors:
            self.body["errors"] = errors


class Answer:
    def __init__(self, status, body=None, headers=None):
        self.status, self.body, self.headers = status, body, headers or {}


def fixed(text):
    """A UUID that a name always has."""
    return str(uuidlib.uuid5(uuidlib.NAMESPACE_DNS, text))


class Cloud:
    def __init__(self, account, docker=None):
        self.lock = threading.RLock()
        self.account, self.docker = account, docker
        self.account_id = fixed("account-" + account)
        self.machines, self.rules, self.volumes, self.audit = {}, {}, {}, {}
        self.order = []
        self.doubles = []               # machines that were made beside another one of their allocation
        self.delays = {"provision": 0.3, "stop": 0.2, "delete": 0.2, "tags": 0.1, "reboot": 1.0, "volume": 0.2}
        self.fail_provision = 0         # so many of the next machines end as failed
        self.cns = True
        self.limits = []
        self.docker_url = None
        self.last_ip = 10
        self.packages = [
            {"id": fixed("package-sample-128M"), "name": "sample-128M", "version": "1.0.0", "memory": 128, "disk": 1024},
            {"id": fixed("package-sample-1G"), "name": "sample-1G", "version": "1.0.0", "memory": 1024, "disk": 25600},
            {"id": fixed("package-two-1"), "name": "two", "version": "1.0.0", "memory": 256, "disk": 1024},
            {"id": fixed("package-two-2"), "name": "two", "version": "2.0.0", "memory": 256, "disk": 1024},
            {"id": fixed("package-flex"), "name": "flex-4G", "version": "1.0.0", "memory": 4096, "disk": 40960,
             "flexible_disk": True}]
        self.images = [
            {"id": fixed("image-base-1"), "name": "base-64", "version": "22.4.0", "published_at": "2023-01-10T10:00:00Z"},
            {"id": fixed("image-base-2"), "name": "base-64", "version": "9.9.9", "published_at": "2024-03-01T10:00:00Z"},
            {"id": fixed("image-one"), "name": "one", "version": "1.0.0", "published_at": "2022-01-01T00:00:00Z"},
            {"id": fixed("image-many-1"), "name": "many", "version": "1.0.0", "published_at": "2023-01-01T00:00:00Z",
             "owner": fixed("owner-1"), "os": "linux", "type": "lx-dataset", "public": True, "tags": {"role": "os"}},
            {"id": fixed("image-many-2"), "name": "many", "version": "2.0.0", "published_at": "2024-01-01T00:00:00Z",
             "owner": fixed("owner-2"), "os": "smartos", "type": "zone-dataset", "public": False,
             "tags": {"role": "db", "eol": True}},
            {"id": fixed("image-many-3"), "name": "many", "version": "3.0.0", "published_at": "2024-06-01T00:00:00Z",
             "owner": fixed("owner-1"), "os": "linux", "type": "zvol", "public": True, "state": "disabled",
             "image_size": 10240}]
        self.networks = [
            {"id": fixed("network-public"), "name": "external", "public": True, "fabric": False},
            {"id": fixed("network-fabric"), "name": "My-Fabric-Network", "public": False, "fabric": True},
            {"id": fixed("network-twin-1"), "name": "twin", "public": False, "fabric": True},
            {"id": fixed("network-twin-2"), "name": "twin", "public": False, "fabric": True}]

    # ---- Time ----

    def later(self, what, fn):
        timer = threading.Timer(self.delays.get(what, 0), self._locked, (fn,))
        timer.daemon = True
        timer.start()

    def _locked(self, fn):
        with self.lock:
            fn()

    def note(self, machine, action, success="yes"):
        self.audit.setdefault(machine["id"], []).insert(0, {
            "action": action, "success": success, "time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "caller": {"type": "signature"}})

    # ---- Machines ----

    def get(self, machine_id, gone_too=False):
        if not UUID.match(machine_id):
            raise Error(409, "ValidationFailed", "Invalid Parameters", [{"field": "uuid", "code": "Invalid", "message": "Invalid UUID"}])
        machine = self.machines.get(machine_id)
        if not machine:
            raise Error(404, "ResourceNotFound", "VM not found")
        self.refresh(machine)
        if machine["state"] == "deleted" and not gone_too:
            raise Gone(self.show(machine))
        return machine

    def refresh(self, machine):
        if machine.get("docker") and machine["state"] in ("running", "stopped") and self.docker:
            state = self.docker.state(machine["docker_id"])
            if state == "gone":
                machine["state"] = "deleted"
            elif state:
                machine["state"] = state

    def show(self, machine):
        out = {k: v for k, v in machine.items() if k not in ("docker_id", "busy")}
        if not machine.get("docker"):
            out.pop("docker", None)
        if machine["state"] == "deleted" or not machine["networks"]:
            out.pop("primaryIp", None)
        if self.cns and "triton.cns.services" in machine["tags"]:
            out["dns_names"] = ["%s.inst.%s.example.com" % (machine["id"], self.account_id)] + [
                "%s.svc.%s.example.com" % (s.split(":")[0], self.account_id)
                for s in machine["tags"]["triton.cns.services"].split(",")]
        return out

    def live(self):
        return [self.machines[i] for i in self.order if self.machines[i]["state"] not in ("deleted", "failed")]

    def check_name(self, name):
        limit = 63 if self.cns else 189
        if not isinstance(name, str) or not NAME.match(name) or len(name) > limit:
            raise Error(409, "ValidationFailed", "Invalid VM parameters",
                        [{"field": "alias", "code": "Invalid", "message": "String does not match regexp"}])
        for machine in self.live():
            if machine["name"] == name:
                raise Error(409, "ValidationFailed", "Invalid VM parameters",
                            [{"field": "alias", "code": "Duplicate", "message": "Already exists for this owner_uuid"}])

    def check_tags(self, tags, docker=False):
        for key, value in tags.items():
            if key in TAKEN:
                raise Error(409, "InvalidArgument", "Invalid tag %s" % key)
            if not isinstance(value, (str, bool, int, float)):
                raise Error(409, "InvalidArgument", "Invalid tag type %s" % key)
            if key.startswith("triton.") and key not in TRITON_TAGS:
                raise Error(409, "ValidationFailed", "Invalid VM parameters", [
                    {"field": "tags", "code": "Invalid", "message": "Unrecognized special triton tag \"%s\"" % key}])
            if key in BOOL_TAGS and not isinstance(value, bool):
                raise Error(409, "ValidationFailed", "Invalid VM parameters", [
                    {"field": "tags", "code": "Invalid", "message": "Triton tag \"%s\" value must be a boolean" % key}])
            if not docker and (key == "sdc_docker" or re.match(r"docker:label:(triton|com\.docker|io\.docker)\.", key)):
                raise Error(409, "ValidationFailed", "Special tag %s" % key)

    def check_kind(self, body, package, image):
        """Brand and disks: sdc-cloudapi lib/machines.js (getBrand, checkDisks), lib/validation/disk.js."""
        brand = body.get("brand")
        if brand and brand not in ("kvm", "bhyve"):
            raise Error(409, "InvalidArgument", 'Unknown brand "%s". Brand is restricted to one of ["kvm","bhyve"]' % brand)
        if body.get("delegate_dataset") not in (None, True, False):
            raise Error(409, "InvalidArgument", "delegate_dataset must be a boolean")
        disks = body.get("disks")
        if disks is None:
            return
        if brand == "bhyve" and not package.get("flexible_disk"):
            raise Error(409, "InvalidArgument", "The use of `disks` is only supported if the package has the flexible_disk attr set to true")
        if len(disks) > 8 or len([d for d in disks if d.get("size") == "remaining"]) > 1:
            raise Error(409, "InvalidArgument", "Only one disk.size can be set to `remaining`")
        total = 0
        for i, disk in enumerate(disks):
            size = disk.get("size", image.get("image_size", 1024) if i == 0 else None)
            if size is None:
                raise Error(409, "MissingParameter", "disk.size must be set if disk is not the boot disk")
            if size != "remaining" and not isinstance(size, int):
                raise Error(409, "InvalidArgument", "disk.size must be an integer")
            block = disk.get("block_size")
            if block is not None and (i == 0 or not isinstance(block, int) or block < 512 or block > 131072 or block & (block - 1)):
                raise Error(409, "InvalidArgument", "Invalid block_size: %s on disk: %d. Must be 512-131072 and a power of 2." % (block, i))
            total += 0 if size == "remaining" else size
        if total > package["disk"]:
            raise Error(409, "InvalidArgument", "The size of the disks must not be greater than the package quota")

    def network_of(self, network):
        """sdc-cloudapi lib/validation/networks.js."""
        uuid, ips = (network.get("ipv4_uuid"), network.get("ipv4_ips")) if isinstance(network, dict) else (network, None)
        if not uuid:
            raise Error(409, "MissingParameter", "network objects must contain ipv4_uuid")
        if not UUID.match(uuid):
            raise Error(500, "InternalError", "Internal error")
        known = [n for n in self.networks if n["id"] == uuid]
        if not known:
            raise Error(409, "InvalidArgument", "Invalid Networks")
        if ips is not None and (not isinstance(ips, list) or len(ips) != 1 or not isinstance(ips[0], str)):
            raise Error(409, "InvalidArgument", "ipv4_ips: network with ipv4_uuid %s should contain a single IP array" % uuid)
        if ips is not None and known[0]["public"]:
            raise Error(409, "InvalidArgument", "ipv4_uuid: %s cannot specify IP on a public network" % uuid)
        return uuid

    def create(self, body, state="provisioning"):
        for key in body:
            if key not in CREATE_FIELDS and not key.startswith(("tag.", "metadata.")):
                raise Error(409, "InvalidArgument", "unknown field %s" % key)
        if "package" not in body or "image" not in body:
            raise Error(409, "MissingParameter", "Request is missing required parameters: package or image")
        package = [p for p in self.packages if body["package"] in (p["id"], p["name"])]
        if not package:
            if UUID.match(body["package"]):
                raise Error(404, "ResourceNotFound", "Package does not exist")
            raise Error(409, "ValidationFailed", "Package does not exist")
        if not UUID.match(str(body["image"])):
            raise Error(409, "InvalidArgument", "%s is not a valid image" % body["image"])
        image = [i for i in self.images if i["id"] == body["image"]]
        if not image:
            raise Error(404, "ResourceNotFound", "image not found")
        if image[0].get("state", "active") != "active":
            raise Error(409, "ValidationFailed", "Image is not active")
        self.check_kind(body, package[0], image[0])
        name = body.get("name") or fixed(str(random.random()))[:8]
        if state == "provisioning":
            self.check_name(name)
        tags = {k[4:]: v for k, v in body.items() if k.startswith("tag.")}
        metadata = {k[9:]: v for k, v in body.items() if k.startswith("metadata.")}
        self.check_tags(tags)
        for key, value in metadata.items():
            if not isinstance(value, (str, bool, int, float)) or key in TAKEN:
                raise Error(409, "InvalidArgument", "Invalid metadata %s" % key)
        for key in ("firewall_enabled", "deletion_protection", "encrypted", "allow_shared_images"):
            if not isinstance(body.get(key, False), bool):
                raise Error(409, "InvalidArgument", "%s must be a boolean" % key)
        if "affinity" in body and "locality" in body:
            raise Error(409, "InvalidArgument", "affinity and locality cannot be given together")
        for rule in body.get("affinity", []):
            if not re.match(r"^[^=!]+(==|!=)~?.+$", rule):
                raise Error(409, "InvalidArgument", "invalid affinity %s" % rule)
        networks = []
        for network in body.get("networks", [{"ipv4_uuid": self.networks[0]["id"]}, {"ipv4_uuid": self.networks[1]["id"]}]):
            networks.append(self.network_of(network))
        mounts = []
        for volume in body.get("volumes", []):
            if not [v for v in self.volumes.values() if v["name"] == volume.get("name") and v["state"] == "ready"]:
                raise Error(409, "InvalidArgument", "volume %s does not exist" % volume.get("name"))
            if volume.get("mode", "rw") not in ("rw", "ro") or not volume.get("mountpoint", "").startswith("/"):
                raise Error(409, "InvalidArgument", "bad volume")
            mounts.append(volume)
        self.last_ip += 1
        machine_id = str(uuidlib.uuid4())
        machine = {
            "id": machine_id, "name": name, "type": "smartmachine", "brand": "joyent", "state": state,
            "image": body["image"], "package": package[0]["name"], "memory": package[0]["memory"], "disk": 1024,
            "ips": [], "networks": networks, "metadata": metadata, "tags": tags, "created": "2024-01-01T00:00:00Z",
            "updated": "2024-01-01T00:00:00Z", "firewall_enabled": body.get("firewall_enabled", False),
            "deletion_protection": body.get("deletion_protection", False), "compute_node": None,
            "affinity": body.get("affinity", []), "mounts": mounts,
            "primaryIp": "10.88.%d.%d" % (self.last_ip // 256, self.last_ip % 256)}
        alloc = tags.get("nomad_alloc")
        if alloc and [m for m in self.live() if m["tags"].get("nomad_alloc") == alloc]:
            self.doubles.append(machine_id)
        self.machines[machine_id] = machine
        self.order.append(machine_id)

        if state != "provisioning":
            return machine

        def up():
            if machine["state"] != "provisioning":
                return
            if self.fail_provision > 0:
                self.fail_provision -= 1
                machine["state"] = "failed"
                self.note(machine, "provision", "no")
            else:
                machine["state"] = "running"
                self.note(machine, "provision")
            if machine.pop("busy", None) == "delete":
                self.destroy(machine)
        self.later("provision", up)
        return machine

    def destroy(self, machine):
        def gone():
            if machine.get("docker") and self.docker:
                self.docker.remove(machine["docker_id"])
            machine["state"] = "deleted"
            self.note(machine, "destroy")
        self.later("delete", gone)

    def delete(self, machine):
        if machine["deletion_protection"]:
            raise Error(409, "CannotDestroyMachineError", "Cannot destroy machine with deletion_protection enabled")
        if machine["state"] == "provisioning":
            machine["busy"] = "delete"
        else:
            self.destroy(machine)

    def action(self, machine, action):
        if machine["state"] == "provisioning":
            raise Error(409, "UnallocatedVM", "Cannot %s a VM which has not yet been allocated to a server" % action)
        if action == "stop":
            if machine.get("docker") and self.docker:
                threading.Thread(target=self.docker.stop, args=(machine["docker_id"],), daemon=True).start()
                return
            if machine["state"] == "running":
                machine["state"] = "stopping"

                def stopped():
                    if machine["state"] == "stopping":
                        machine["state"] = "stopped"
                        self.note(machine, "stop")
                self.later("stop", stopped)
            else:
                self.note(machine, "stop", "no")
        elif action == "start":
            if machine["state"] == "stopped":
                machine["state"] = "running"
                self.note(machine, "start")
        elif action == "reboot":
            machine["state"] = "stopping"
            self.delays["half"] = self.delays["reboot"] / 2
            self.later("half", lambda: machine.update(state="stopped"))

            def back():
                machine["state"] = "running"
                self.note(machine, "reboot")
            self.later("reboot", back)
        elif action in ("enable_firewall", "disable_firewall"):
            machine["firewall_enabled"] = action.startswith("enable")
        elif action in ("enable_deletion_protection", "disable_deletion_protection"):
            self.later("tags", lambda: machine.update(deletion_protection=action.startswith("enable")))
        else:
            raise Error(409, "InvalidArgument", "Invalid action")

    def list(self, params):
        state = params.get("state")
        if state and state not in LIST_STATES:
            raise Error(409, "ValidationFailed", "Invalid Parameters", [{"field": "state", "code": "Invalid"}])
        out = []
        for machine_id in self.order:
            machine = self.machines[machine_id]
            self.refresh(machine)
            if machine["state"] in ("deleted", "failed") and params.get("tombstone") != "true":
                continue
            if "name" in params and machine["name"] != params["name"]:
                continue
            wanted = {k[4:]: v for k, v in params.items() if k.startswith("tag.")}
            shown = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in machine["tags"].items()}
            if any(shown.get(k) != v for k, v in wanted.items()):
                continue
            out.append(self.show(machine))
        limit, offset = int(params.get("limit", 1000)), int(params.get("offset", 0))
        if limit > 1000:
            raise Error(409, "InvalidArgument", "limit")
        return Answer(200, out[offset : offset + limit], {"x-query-limit": str(limit), "x-resource-count": str(len(out))})

    # ---- Everything else ----

    def rule_machines(self, rule):
        parsed = fwrule.Rule(rule["rule"])
        return [self.show(m) for m in self.live() if m["state"] != "provisioning" and parsed.touches(m)]

    def add_rule(self, text, enabled, description):
        try:
            text = fwrule.Rule(text).text()
        except fwrule.Bad as why:
            raise Error(422, "InvalidParameters", "Invalid rule: %s" % why) from None
        rule = {"id": str(uuidlib.uuid4()), "rule": text, "enabled": enabled, "global": False, "log": False,
                "description": description}
        self.rules[rule["id"]] = rule
        return rule

    def volume_json(self, volume):
        return {k: v for k, v in volume.items()}

    def handle(self, method, parts, params):
        """parts: the path behind the account; params: query and body together."""
        with self.lock:
            return self.route(method, parts, params)

    def route(self, method, parts, params):
        head = parts[0] if parts else ""
        if not parts and method == "GET":
            return Answer(200, {"id": self.account_id, "login": self.account, "email": "a@example.com",
                                "triton_cns_enabled": self.cns}, {"Triton-Datacenter-Name": "standin-1"})
        if head == "services" and method == "GET":
            services = {"cloudapi": "https://127.0.0.1"}
            if self.docker_url:
                services["docker"] = self.docker_url
            return Answer(200, services)
        if head == "limits" and method == "GET":
            # sdc-cloudapi docs/index.md, GetAccountLimits; lib/account.js answers [] without the plugin
            return Answer(200, self.limits)
        if head == "packages" and method == "GET":
            return self.find(self.packages, parts, params)
        if head == "images" and method == "GET":
            return self.find(self.images, parts, params)
        if head == "networks" and method == "GET":
            return self.find(self.networks, parts, {})
        if head == "machines":
            return self.route_machines(method, parts, params)
        if head == "fwrules":
            return self.route_rules(method, parts, params)
        if head == "volumes":
            return self.route_volumes(method, parts, params)
        raise Error(404, "ResourceNotFound", "/%s does not exist" % "/".join(parts))

    @staticmethod
    def find(things, parts, params):
        if len(parts) == 2:
            found = [t for t in things if parts[1] in (t["id"], t["name"])]
            if not found:
                raise Error(404, "ResourceNotFound", "%s not found" % parts[0])
            return Answer(200, found[-1])
        out = []
        for thing in things:
            name = params.get("name")
            if name and not (name[1:] in thing["name"] if name.startswith("~")
                             else re.match("^" + re.escape(name).replace("\\*", ".*") + "$", thing["name"])):
                continue
            if params.get("version") and thing.get("version") != params["version"]:
                continue
            # Of images: sdc-cloudapi lib/datasets.js, list().  Tags and dates are no filters.
            if parts[0] == "images":
                if params.get("state", "active") not in (thing.get("state", "active"), "all"):
                    continue
                if any(key in params and str(thing.get(key, "")).lower() != params[key] for key in ("owner", "os", "type", "public")):
                    continue
            out.append(thing)
        return Answer(200, out)

    def route_machines(self, method, parts, params):
        if len(parts) == 1:
            if method == "GET":
                return self.list(params)
            if method == "POST":
                machine = self.create(params)
                return Answer(201, self.show(machine), {"Location": "/%s/machines/%s" % (self.account, machine["id"])})
        machine = self.get(parts[1])
        if len(parts) == 2:
            if method == "GET":
                return Answer(200, self.show(machine))
            if method == "POST":
                self.action(machine, params.get("action"))
                return Answer(202)
            if method == "DELETE":
                self.delete(machine)
                return Answer(204)
        what = parts[2]
        if what in ("tags", "metadata") and len(parts) == 3:
            store = machine[what]
            if method == "GET":
                return Answer(200, store)
            if method == "POST":
                if what == "tags":
                    self.check_tags(params)
                if not params:
                    raise Error(409, "MissingParameter", "no %s" % what)
                self.later("tags", lambda: store.update(params))
                return Answer(200, dict(store, **params))
        if what == "audit" and method == "GET":
            return Answer(200, self.audit.get(machine["id"], []))
        if what == "fwrules" and method == "GET":
            return Answer(200, [r for r in self.rules.values() if fwrule.Rule(r["rule"]).touches(machine)])
        raise Error(404, "ResourceNotFound", "/%s does not exist" % "/".join(parts))

    def route_rules(self, method, parts, params):
        if len(parts) == 1:
            if method == "GET":
                return Answer(200, list(self.rules.values()))
            if method == "POST":
                if "rule" not in params:
                    raise Error(409, "MissingParameter", "rule is missing")
                return Answer(201, self.add_rule(params["rule"], params.get("enabled", False), params.get("description", "")))
        rule = self.rules.get(parts[1])
        if not rule:
            raise Error(404, "ResourceNotFound", "Rule not found")
        if len(parts) == 2 and method == "GET":
            return Answer(200, rule)
        if len(parts) == 2 and method == "DELETE":
            del self.rules[parts[1]]
            return Answer(204)
        if len(parts) == 3 and method == "POST" and parts[2] in ("enable", "disable"):
            rule["enabled"] = parts[2] == "enable"
            return Answer(200, rule)
        if len(parts) == 3 and method == "GET" and parts[2] == "machines":
            return Answer(200, self.rule_machines(rule))
        raise Error(404, "ResourceNotFound", "/%s does not exist" % "/".join(parts))

    def route_volumes(self, method, parts, params):
        if len(parts) == 1:
            if method == "GET":
                return Answer(200, [v for v in self.volumes.values() if params.get("name") in (None, v["name"])])
            if method == "POST":
                if not NAME.match(params.get("name", "")) or params.get("type") != "tritonnfs" or not isinstance(params.get("size"), int):
                    raise Error(409, "InvalidArgument", "bad volume")
                if [v for v in self.volumes.values() if v["name"] == params["name"]]:
                    raise Error(409, "VolumeAlreadyExists", "Volume with name %s already exists" % params["name"])
                volume = {"id": str(uuidlib.uuid4()), "name": params["name"], "size": params["size"], "state": "creating",
                          "type": "tritonnfs"}
                self.volumes[volume["id"]] = volume
                self.later("volume", lambda: volume.update(state="ready"))
                return Answer(201, volume)
        volume = self.volumes.get(parts[1])
        if not volume:
            raise Error(404, "VolumeNotFound", "Volume not found")
        if method == "GET":
            return Answer(200, volume)
        if method == "DELETE":
            for machine in self.live():
                if volume["name"] in [m["name"] for m in machine.get("mounts", [])]:
                    raise Error(409, "VolumeInUse", "Volume with name %s is used" % volume["name"])
            del self.volumes[parts[1]]
            return Answer(204)
        raise Error(404, "ResourceNotFound", "no such path")

    def state(self):
        with self.lock:
            for machine in self.machines.values():
                self.refresh(machine)
            return json.loads(json.dumps({"machines": [self.machines[i] for i in self.order], "rules": list(self.rules.values()),
                                          "volumes": list(self.volumes.values()), "doubles": self.doubles}))


class Gone(Exception):
    def __init__(self, machine):
        super().__init__("gone")
        self.machine = machine
