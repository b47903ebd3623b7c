# SPDX-License-Identifier: MPL-2.0
"""Firewall rules in the server's canonical form; a parser of its own, not that of the driver."""
import ipaddress
import re

TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([()=,])|([^\s()=,"]+))')
UUID = re.compile(r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")
KINDS = {"wildcard": 0, "ip": 1, "subnet": 2, "tag": 3, "vm": 4}


class Bad(Exception):
    pass


class Rule:
    def __init__(self, text):
        self.tokens = []
        at = 0
        text = text.strip()
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:
                raise Bad("cannot read %r" % text[at:])
            self.tokens.append(("string", re.sub(r"\\(.)", r"\1", m.group(1))) if m.group(1) is not None
                               else ("word", m.group(2) or m.group(3)))
            at = m.end()
        self.at = 0
        self.parse()

    def peek(self, word=None):
        token = self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")
        if word is None:
            return token
        return token[0] == "word" and token[1] in (word.upper(), word.lower())

    def take(self, word):
        if self.peek(word):
            self.at += 1
            return True
        return False

    def need(self, word):
        if not self.take(word):
            raise Bad("expected %s, not %r" % (word, self.peek()[1]))

    def next(self):
        token = self.peek()
        if token[0] == "end":
            raise Bad("unexpected end")
        self.at += 1
        return token[1]

    def target(self):
        if self.take("any"):
            return ("wildcard", "any")
        if self.take("all"):
            self.need("vms")
            return ("wildcard", "vmall")
        if self.take("ip"):
            return ("ip", str(ipaddress.ip_address(self.next())))
        if self.take("subnet"):
            text = self.next()
            ipaddress.ip_network(text, strict=False)
            return ("subnet", text)
        if self.take("vm"):
            uuid = self.next().lower()
            if not UUID.match(uuid):
                raise Bad("bad uuid")
            return ("vm", uuid)
        if self.take("tag"):
            key = self.next()
            value = None
            if self.take("="):
                value = self.next()
            return ("tag", key, value)
        raise Bad("bad target %r" % self.peek()[1])

    def targets(self):
        out = []
        if self.take("("):
            out.append(self.target())
            while self.take("OR"):
                out.append(self.target())
            self.need(")")
        else:
            out.append(self.target())
        if len(out) > 24:
            raise Bad("too many targets")
        return sorted(set(out), key=lambda t: (KINDS[t[0]], t[1], t[2] if len(t) > 2 and t[2] else ""))

    def ports(self):
        if self.take("PORTS"):
            out = []
            while True:
                first = self.next()
                if "-" in first and first != "-":
                    a, b = first.split("-")
                elif self.peek() == ("word", "-"):
                    self.next()
                    a, b = first, self.next()
                else:
                    a = b = first
                out.append((int(a), int(b)))
                if not self.take(","):
                    break
        else:
            several = self.take("(")
            out = []
            while True:
                self.need("PORT")
                if self.take("all"):
                    out.append(("all", "all"))
                else:
                    n = int(self.next())
                    out.append((n, n))
                if not (several and self.take("AND")):
                    break
            if several:
                self.need(")")
        for a, b in out:
            if a != "all" and not 1 <= a <= b <= 65535:
                raise Bad("bad port")
        return sorted(set(out), key=lambda p: (0, 0) if p[0] == "all" else p)

    def types(self):
        several = self.take("(")
        out = []
        while True:
            self.need("TYPE")
            kind = self.next()
            code = self.next() if self.take("CODE") else None
            out.append((int(kind) if kind.lower() != "all" else -1, int(code) if code is not None else -1))
            if not (several and self.take("AND")):
                break
        if several:
            self.need(")")
        return sorted(set(out))

    def parse(self):
        try:
            self.need("FROM")
            self.source = self.targets()
            self.need("TO")
            self.destination = self.targets()
            self.action = "ALLOW" if self.take("ALLOW") else "BLOCK"
            if self.action == "BLOCK":
                self.need("BLOCK")
            self.protocol = self.next().lower()
            if self.protocol in ("tcp", "udp"):
                self.what = self.ports()
            elif self.protocol in ("icmp", "icmp6"):
                self.what = self.types()
            elif self.protocol in ("ah", "esp"):
                self.what = []
            else:
                raise Bad("bad protocol")
            self.priority = int(self.next()) if self.take("PRIORITY") else 0
        except ValueError as why:
            raise Bad(str(why)) from None
        if self.at != len(self.tokens) or not 0 <= self.priority <= 100:
            raise Bad("text behind the rule")
        if not any(t[0] in ("tag", "vm") or t[1] == "vmall" for t in self.source + self.destination):
            raise Bad("rule does not affect VMs")

    @staticmethod
    def quote(text):
        return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')

    def show_targets(self, targets):
        out = []
        for t in targets:
            if t[0] == "wildcard":
                out.append("any" if t[1] == "any" else "all vms")
            elif t[0] == "tag":
                out.append("tag " + self.quote(t[1]) + (" = " + self.quote(t[2]) if t[2] is not None else ""))
            else:
                out.append("%s %s" % (t[0], t[1]))
        return out[0] if len(out) == 1 else "(" + " OR ".join(out) + ")"

    def text(self):
        if self.protocol in ("tcp", "udp"):
            if any(a != b for a, b in self.what):
                what = " PORTS " + ", ".join("%s" % a if a == b else "%s - %s" % (a, b) for a, b in self.what)
            elif len(self.what) == 1:
                what = " PORT %s" % self.what[0][0]
            else:
                what = " (" + " AND ".join("PORT %s" % a for a, _ in self.what) + ")"
        elif self.what:
            shown = ["TYPE %s%s" % ("all" if a < 0 else a, " CODE %s" % b if b >= 0 else "") for a, b in self.what]
            what = " " + shown[0] if len(shown) == 1 else " (" + " AND ".join(shown) + ")"
        else:
            what = ""
        return "FROM %s TO %s %s %s%s%s" % (
            self.show_targets(self.source), self.show_targets(self.destination), self.action, self.protocol, what,
            " PRIORITY %d" % self.priority if self.priority else "")

    def touches(self, machine):
        for t in self.source + self.destination:
            if t[1] == "vmall" or (t[0] == "vm" and t[1] == machine["id"]):
                return True
            if t[0] == "tag" and t[1] in machine["tags"]:
                if t[2] is None or str(machine["tags"][t[1]]) == t[2]:
                    return True
        return False
