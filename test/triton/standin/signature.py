# SPDX-License-Identifier: MPL-2.0
"""HTTP signatures, checked as CloudAPI checks them, with a library of its own."""
import base64
import email.utils
import hashlib
import re
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

ALGORITHMS = {"rsa-sha1", "rsa-sha256", "rsa-sha512", "ecdsa-sha256", "ecdsa-sha512", "ed25519-sha512"}
HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha512": hashes.SHA512}


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Key:
    def __init__(self, line):
        parts = line.split()
        self.public = serialization.load_ssh_public_key(" ".join(parts[:2]).encode())
        digest = hashlib.md5(base64.b64decode(parts[1])).hexdigest()
        self.fingerprint = ":".join(digest[i : i + 2] for i in range(0, 32, 2))
        self.name = parts[2] if len(parts) > 2 else ""

    def verify(self, algorithm, signature, data):
        kind, _, hash_name = algorithm.partition("-")
        try:
            if kind == "rsa" and isinstance(self.public, rsa.RSAPublicKey):
                self.public.verify(signature, data, padding.PKCS1v15(), HASHES[hash_name]())
            elif kind == "ecdsa" and isinstance(self.public, ec.EllipticCurvePublicKey):
                self.public.verify(signature, data, ec.ECDSA(HASHES[hash_name]()))
            elif kind == "ed25519" and isinstance(self.public, ed25519.Ed25519PublicKey):
                self.public.verify(signature, data)
            else:
                return False
            return True
        except (InvalidSignature, ValueError):
            return False


def parse(header):
    if not header.startswith("Signature "):
        raise Refused(400, "InvalidHeader", "scheme was not Signature")
    fields = {}
    rest = header[len("Signature ") :]
    while rest:
        m = re.match(r'([A-Za-z]+)="([^"]*)"(,|$)', rest)
        if not m:
            raise Refused(400, "InvalidHeader", "bad param format")
        fields[m.group(1)] = m.group(2)
        rest = rest[m.end() :]
    for name in ("keyId", "algorithm", "signature"):
        if not fields.get(name):
            raise Refused(400, "InvalidHeader", name + " was not specified")
    return fields


def check(accounts, method, target, headers, now_offset=0):
    """The (account, subuser) that signed; `accounts` maps a login to {"keys": [...], "users": {name: [...]}}."""
    header = headers.get("Authorization")
    if not header:
        raise Refused(401, "InvalidCredentials", "You must make authenticated requests to use CloudAPI")
    fields = parse(header)
    algorithm = fields["algorithm"].lower()
    if algorithm not in ALGORITHMS:
        raise Refused(400, "InvalidHeader", algorithm + " is not supported")
    names = fields.get("headers", "date").split(" ")
    if "date" not in names:
        raise Refused(400, "InvalidHeader", "date was not a signed header")
    lines = []
    for name in names:
        if name == "(request-target)":
            lines.append("(request-target): %s %s" % (method.lower(), target))
        else:
            value = headers.get(name)
            if value is None:
                raise Refused(400, "InvalidHeader", name + " was not in the request")
            lines.append("%s: %s" % (name, value))
    parsed = email.utils.parsedate_to_datetime(headers["Date"])
    skew = abs(parsed.timestamp() - (time.time() + now_offset))
    if skew > 300:
        raise Refused(400, "InvalidHeader", "clock skew of %ds was greater than 300s" % skew)
    m = re.match(r"^/([^/]+)/(?:users/([^/]+)/)?keys/(.+)$", fields["keyId"])
    account = accounts.get(m.group(1)) if m else None
    keys = (account["users"].get(m.group(2), []) if m.group(2) else account["keys"]) if account else []
    for key in keys:
        if m.group(3) in (key.fingerprint, key.name):
            if key.verify(algorithm, base64.b64decode(fields["signature"]), "\n".join(lines).encode()):
                return m.group(1), m.group(2)
    raise Refused(401, "InvalidCredentials", "Invalid Signature")
