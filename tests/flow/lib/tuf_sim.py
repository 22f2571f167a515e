"""A TUF repository in memory behind an HTTP server, whose every byte a test can change, and a runner of yagura-tuf.

Bodies ("signed" parts) are plain dicts in Repo.bodies; publish() gives them the next version, signs them and lists them
one level up. Keys are named: key "root" is one key wherever it is used.
"""
import copy
import datetime
import hashlib
import http.server
import json
import subprocess
import threading
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

import site_parts as parts

TOP = ("root", "targets", "snapshot", "timestamp")
PROGRAM = parts.BIN / "yagura-tuf"


def canonical(value):
    """OLPC's canonical JSON: unlike json.dumps it escapes nothing but quotes and backslashes."""
    if isinstance(value, dict):
        return b"{" + b",".join(canonical(k) + b":" + canonical(value[k]) for k in sorted(value)) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, str):
        return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    return json.dumps(value).encode()


def days(n):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=n)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class Key:
    def __init__(self, kind="ed25519"):
        self.kind = kind
        if kind == "ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
            text = self.private.public_key().public_bytes(serialization.Encoding.Raw,
                                                          serialization.PublicFormat.Raw).hex()
            keytype = scheme = "ed25519"
        else:
            self.private = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else \
                rsa.generate_private_key(65537, 2048)
            text = self.private.public_key().public_bytes(serialization.Encoding.PEM,
                                                          serialization.PublicFormat.SubjectPublicKeyInfo).decode()
            keytype, scheme = (kind, "ecdsa-sha2-nistp256") if kind == "ecdsa" else ("rsa", "rsassa-pss-sha256")
        self.public = {"keytype": keytype, "scheme": scheme, "keyval": {"public": text}}
        self.id = hashlib.sha256(canonical(self.public)).hexdigest()

    def sign(self, data):
        if self.kind == "ed25519":
            return self.private.sign(data).hex()
        if self.kind == "ecdsa":
            return self.private.sign(data, ec.ECDSA(hashes.SHA256())).hex()
        return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()).hex()


class Repo:
    def __init__(self):
        self.keys, self.signers = {}, {}
        self.bodies, self.files, self.versions = {}, {}, {}
        self.artifacts, self.requests = {}, []
        self.with_hashes = False
        for role in TOP:
            self.bodies[role] = self.body(role)
        self.root.update(consistent_snapshot=True, keys={}, roles={})
        self.snapshot["meta"], self.timestamp["meta"] = {}, {}
        for role in TOP:
            self.roles(role, [role])
        self.publish("targets", "snapshot", "timestamp", "root")

    root = property(lambda self: self.bodies["root"])
    targets = property(lambda self: self.bodies["targets"])
    snapshot = property(lambda self: self.bodies["snapshot"])
    timestamp = property(lambda self: self.bodies["timestamp"])

    @staticmethod
    def body(role, expires=30):
        made = {"_type": role if role in TOP else "targets", "spec_version": "1.0.34", "version": 0,
                "expires": days(expires)}
        if made["_type"] == "targets":
            made["targets"] = {}
        return made

    def key(self, name, kind="ed25519"):
        return self.keys.setdefault(name, Key(kind))

    def roles(self, role, names, threshold=1, signers=None):
        """Give a top-level role its keys, and say which of them sign."""
        for name in names:
            self.root["keys"][self.key(name).id] = self.key(name).public
        self.root["roles"][role] = {"keyids": [self.key(name).id for name in names], "threshold": threshold}
        self.signers[role] = list(names if signers is None else signers)

    def delegate(self, by, role, *paths, terminating=False, key=None, **more):
        """One more delegation of `by`, whose role gets a body of its own when it has none."""
        key = self.key(key or role)
        delegations = self.bodies[by].setdefault("delegations", {"keys": {}, "roles": []})
        delegations["keys"][key.id] = key.public
        entry = {"name": role, "keyids": [key.id], "threshold": 1, "terminating": terminating, **more}
        if paths:
            entry["paths"] = list(paths)
        delegations["roles"].append(entry)
        self.bodies.setdefault(role, self.body(role))
        self.signers.setdefault(role, [role])

    def add(self, role, path, data=b"content", algorithms=("sha256",)):
        self.bodies[role]["targets"][path] = {
            "length": len(data), "hashes": {name: hashlib.new(name, data).hexdigest() for name in algorithms}}
        self.artifacts[path] = data

    def sign(self, role):
        body = copy.deepcopy(self.bodies[role])
        signatures = [{"keyid": self.key(name).id, "sig": self.key(name).sign(canonical(body))}
                      for name in self.signers[role]]
        return json.dumps({"signatures": signatures, "signed": body}, indent=1).encode()

    def publish(self, *roles, bump=True):
        for role in roles or ("targets", "snapshot", "timestamp"):
            body = self.bodies[role]
            body["version"] += bump
            text = self.files[role, body["version"]] = self.sign(role)
            self.versions[role] = body["version"]
            entry = {"version": body["version"]}
            if self.with_hashes:
                entry.update(length=len(text), hashes={"sha256": hashlib.sha256(text).hexdigest()})
            if role == "snapshot":
                self.timestamp["meta"] = {"snapshot.json": entry}
            elif role not in TOP or role == "targets":
                self.snapshot["meta"][f"{role}.json"] = entry

    def get(self, path):
        """What the server has at "metadata/…" or "targets/…"; None: 404."""
        kind, _, name = path.partition("/")
        consistent = self.root["consistent_snapshot"]
        if kind == "targets":
            folder, slash, name = urllib.parse.unquote(name).rpartition("/")
            digest, _, rest = name.partition(".") if consistent else (None, None, name)
            data = self.artifacts.get(folder + slash + rest)
            known = self.digests(folder + slash + rest)
            return data if data is not None and (not consistent or digest in known) else None
        name = name.removesuffix(".json")
        version, _, role = name.partition(".")
        if name == "timestamp" or not (consistent or role == "root"):
            role = urllib.parse.unquote(name)
            return self.files.get((role, self.versions.get(role)))
        return self.files.get((urllib.parse.unquote(role), int(version)))

    def digests(self, path):
        return [digest for body in self.bodies.values() for digest in
                body.get("targets", {}).get(path, {}).get("hashes", {}).values()]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        repo = self.server.repo
        repo.requests.append(self.path[1:].removeprefix("metadata/"))
        data = repo.get(self.path[1:])
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_HEAD(self):
        self.server.repo.requests.append("HEAD " + self.path)
        self.send_error(405)

    def log_message(self, *args):
        pass


class Client:
    """A repository, its server and a client's folders."""

    def __init__(self, folder):
        self.repo = Repo()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.repo = self.repo
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.metadata, self.targets, self.root = folder / "metadata", folder / "targets", folder / "root.json"
        self.error = ""

    def __repr__(self):
        """What a test that fails shows of it."""
        return f"<after {self.repo.requests}: {self.error!r}>"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def run(self, *args, before=()):
        self.repo.requests.clear()
        done = subprocess.run([*before, PROGRAM, "--metadata-dir", self.metadata, *args], capture_output=True,
                              text=True, timeout=60)
        self.error = done.stderr
        assert done.stdout == ""
        assert (done.returncode, len(done.stderr.splitlines())) in ((0, 0), (1, 1)), done.stderr
        return done.returncode == 0

    def init(self, version=1):
        self.root.write_bytes(self.repo.files["root", version])
        return self.run("init", self.root)

    def refresh(self, before=()):
        return self.run("--metadata-url", self.url + "/metadata/", "refresh", before=before)

    def download(self, *paths, before=()):
        names = [word for path in paths for word in ("--target-name", path)]
        return self.run("--metadata-url", self.url + "/metadata", *names, "--target-base-url", self.url + "/targets",
                        "--target-dir", self.targets, "download", before=before)

    def kept(self):
        """Name to version of what the client trusts."""
        return {path.name.removesuffix(".json"): json.loads(path.read_text())["signed"]["version"]
                for path in sorted(self.metadata.glob("*.json"))}

    def got(self):
        return sorted(path.read_bytes() for path in self.targets.glob("*")) if self.targets.exists() else []
