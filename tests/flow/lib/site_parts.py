"""A whole installation on one machine, for the demo and the flow tests: publisher, update source,
Manager, relay and agents, each with a folder of its own, all gone when it is closed.

Processes are the real ones, started as a service manager would start them: `keep=True` starts one
again when it dies. They die with us, however we die.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("YAGURA_BUILD", TOP / "build"))
BIN = pathlib.Path(os.environ.get("YAGURA_OUT", BUILD / "release")) / "bin"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

# The EICAR test string, put together only here, so that no scanner takes this file for it.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE" + b"!$H+H*"


class Failed(Exception):
    """Something did not happen; the text says what, and where to look."""


def until(what, condition, seconds=60, step=0.05):
    """Wait for condition() to be true; its value. A generous bound, never a measurement."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"gave up after {seconds} s waiting for {what}")
        time.sleep(step)


def _die_with_parent():
    os.setpgid(0, 0)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# What sanitizers print, in a build that has them; every such text fails the test (conftest.py).
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: \w+Sanitizer|LeakSanitizer|DEADLYSIGNAL")
reports = {}  # log or command: the first lines of a report in it


def note_reports(name, text):
    lines = text.splitlines()
    at = next((n for n, line in enumerate(lines) if SANITIZER.search(line)), None)
    if at is not None:
        reports[str(name)] = "\n".join(lines[at:at + 60])


class Process:
    """A program that runs until stop(); with keep, it is started again when it dies."""

    running = set()  # also those whose maker was interrupted before it could keep them

    def __init__(self, name, command, log, keep=False, env=None):
        self.name, self.command, self.log, self.keep = name, [str(c) for c in command], log, keep
        self.env = {**clean_environment(), **(env or {})}
        self.stopping = False
        self.starts = 0
        self.child = None
        self._lock = threading.Lock()
        Process.running.add(self)
        # PR_SET_PDEATHSIG follows the thread that forked: one thread starts and keeps the process.
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self):
        while not self.stopping:
            with open(self.log, "ab") as out, self._lock:
                if self.stopping:
                    break
                try:
                    self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out,
                                                  stderr=out, env=self.env, preexec_fn=_die_with_parent)
                except OSError as why:
                    out.write(f"cannot start: {why}\n".encode())
            self.starts += 1
            self._started.set()
            if self.child is None:
                return
            self.child.wait()
            if not self.keep:
                return
            time.sleep(0.2)

    @property
    def pid(self):
        return self.child.pid if self.child else None

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def kill(self, signo=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, AttributeError):
            self.child.send_signal(signo)

    def stop(self, seconds=15):
        with self._lock:
            self.stopping = True
        self.kill(signal.SIGTERM)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self.kill()
            self._thread.join(5)
        if self.child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)
        Process.running.discard(self)
        with contextlib.suppress(FileNotFoundError):
            note_reports(self.log, pathlib.Path(self.log).read_text(errors="replace"))

    def tail(self, lines=25):
        return "\n".join(pathlib.Path(self.log).read_text(errors="replace").splitlines()[-lines:])


def clean_environment():
    keep = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")
    return {k: os.environ[k] for k in keep if k in os.environ}


def run(*command, check=True, **more):
    """Run a program of ours to its end; its standard output."""
    command = [str(c) for c in command]
    if "/" not in command[0]:
        command[0] = str(BIN / command[0])
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=clean_environment(), timeout=more.pop("timeout", 300), **more)
    note_reports(command[0], done.stderr)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done if not check else done.stdout


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def port_or_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return port
        except OSError:
            return free_port()


def children(pid):
    """Process ids below this one, by the kernel's own list."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def role_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        for n, word in enumerate(words):
            if word == b"--role":
                return words[n + 1].decode()
    return None


class Source:
    """The update source: the publisher's repository behind an HTTPS web server."""

    def __init__(self, folder, repository):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.cert, self.key = (self.folder / n for n in ("ca.pem", "cert.pem", "key.pem"))
        self._certificates()
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        self.access_log = self.folder / "access.log"
        self.process = Process("source", [TOP / "tools/serve-https", repository, "--cert", self.cert, "--key",
                                          self.key, "--port-file", port_file, "--log", self.access_log],
                               self.folder / "log")
        until("the update source to listen", port_file.exists)
        self.url = f"https://localhost:{port_file.read_text()}"

    def _certificates(self):
        def openssl(*words):
            subprocess.run(["openssl", *[str(w) for w in words]], check=True, capture_output=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                "-subj", "/CN=Update source test CA", "-keyout", self.folder / "ca.key", "-out", self.ca)
        request, extensions = self.folder / "csr.pem", self.folder / "ext"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=localhost", "-keyout", self.key, "-out", request)
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                "-days", 30, "-extfile", extensions, "-out", self.cert)

    def close(self):
        self.process.stop()


class Publisher:
    """An update repository and the keys that sign it. More words are for its init."""

    def __init__(self, folder, *more):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.repository, self.keys = self.folder / "repository", self.folder / "keys"
        run("yagura-publish", "init", self.repository, "--keys", self.keys, *more)
        self.trust = self.folder / "root.json"
        run("yagura-publish", "trust", self.repository, "--out", self.trust)

    def release(self, source, *more, component="am-pattern"):
        return run("yagura-publish", "release", self.repository, component, "--keys", self.keys, "--from", source, *more)


class Manager:
    """A Manager under its own root, and an administrator's way to its REST API."""

    def __init__(self, root, trust=None, conf="", ports=(0, 0), keep=False, host="localhost", bind="127.0.0.1", wrap=()):
        """`wrap` is the command that runs it somewhere else (with another network, another clock)."""
        self.root, self.host, self.wrap = pathlib.Path(root), host, wrap
        state = self.root / "var/opt/yagura/manager"
        state.mkdir(parents=True, exist_ok=True)
        if trust:
            shutil.copy(trust, state / "root.json")
        self.conf = self.root / "etc/yagura/manager.conf"
        self.conf.parent.mkdir(parents=True, exist_ok=True)
        self.conf.write_text(f"[manager]\nuser =\nnames = {host if wrap else ''}\n[web]\nbind = {bind}\nport = {ports[0]}\n"
                             f"[session]\nbind = {bind}\nport = {ports[1]}\n{conf}")
        self.ports_file, self.ca = self.root / "run/ports.json", self.root / "run/ca.pem"
        self.key_file = self.root / "admin.key"
        self.keep = keep
        self.start()

    def start(self):
        self.ports_file.unlink(missing_ok=True)
        self.process = Process("manager", [*self.wrap, BIN / "yagura-manager", "--root", self.root, "--config", self.conf,
                                           "--print-key-to", self.key_file], self.root / "log", keep=self.keep)
        self.wait_ready()

    def wait_ready(self):
        until(f"the Manager to listen ({self.process.log})",
              lambda: self.ports_file.exists() and self.ca.exists() and self.ca.stat().st_size > 0
              and self.key_file.exists() and self._answers())
        self.key = self.key_file.read_text().strip()

    def _answers(self):
        with contextlib.suppress(OSError, ValueError, KeyError):
            self.ports = json.loads(self.ports_file.read_text())
            self.url = f"https://{self.host}:{self.ports['web']}"
            self.agent_url = f"https://{self.host}:{self.ports['session']}"
            self.key = self.key_file.read_text().strip()
            return self.call("GET", "/status")
        return False

    def request(self, method, path, body=None, key=None, headers=None, timeout=30):
        """(status, parsed body) of one API call."""
        context = ssl.create_default_context(cafile=str(self.ca))
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data=data, method=method, headers={
            "Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json", **(headers or {})})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, json.loads(answer.read() or b"null")

    def call(self, method, path, body=None, **more):
        status, answer = self.request(method, path, body, **more)
        if status >= 400:
            raise Failed(f"{method} {path}: {status} {answer}")
        return answer

    def events(self, lang="en", **filters):
        query = urllib.parse.urlencode({"limit": 500, "lang": lang, **filters})
        return self.call("GET", f"/events?{query}")["items"]

    def event_ids(self, **filters):
        return [e["id"] for e in self.events(**filters)]

    def job(self, kind="update", computers="all", **more):
        return self.call("POST", "/jobs", {"kind": kind, "computers": computers, **more})

    def wait_job(self, job, seconds=120):
        return until(f"job {job['kind']} to end", lambda: (lambda j: j if j["state"] == "done" else None)(
            self.call("GET", f"/jobs/{job['id']}")), seconds)

    def computer(self, name):
        return next((c for c in self.call("GET", "/computers?limit=500")["items"] if c["name"] == name), None)

    def token(self, **more):
        return self.call("POST", "/tokens", {"uses": 1000, **more})["token"]

    def cli(self, *words, check=True, lang="en"):
        return run("yagura", "--url", self.url, "--key", self.key, "--ca", self.ca, "--lang", lang, *words, check=check)

    def close(self):
        self.process.stop()


class Agent:
    """An agent under its own root."""

    def __init__(self, root, trust, relay_port=None, conf="", keep=False, wrap=()):
        self.root, self.wrap = pathlib.Path(root), wrap
        self.name = self.root.name
        self.state = self.root / "var/opt/yagura/agent"
        etc = self.root / "etc/yagura"
        etc.mkdir(parents=True, exist_ok=True)
        shutil.copy(trust, etc / "root.json")
        relay = f"[relay]\nenabled = yes\nport = {relay_port}\n" if relay_port is not None else ""
        self.conf = etc / "agent.conf"
        self.conf.write_text(f"[agent]\nuser =\n{relay}{conf}")
        self.socket = self.root / "run/yagura/control.sock"
        self.keep = keep
        self.start()

    def start(self):
        log = self.root / "log"
        ready = log.read_text(errors="replace").count("agent.ready: ") if log.exists() else 0
        self.process = Process(self.name, [*self.wrap, BIN / "yagura-agent", "--root", self.root, "--config", self.conf],
                               self.root / "log", keep=self.keep)
        until(f"agent {self.name} to answer ({self.process.log})", self._answers)
        # It answers before all its roles have begun; what looks at its folder wants them to have.
        until(f"all roles of {self.name} to run ({self.process.log})",
              lambda: pathlib.Path(self.process.log).read_text(errors="replace").count("agent.ready: ") > ready)

    def _answers(self):
        return self.socket.exists() and self.cli("status", check=False).returncode == 0

    def cli(self, *words, check=True, lang="en"):
        return run("yagura", "--lang", lang, "--root", self.root, "agent", *words, check=check)

    def status(self):
        return json.loads(run("yagura", "--json", "--root", self.root, "agent", "status"))

    def components(self):
        answer = json.loads(run("yagura", "--json", "--root", self.root, "agent", "components"))
        return {c["name"]: c["version"] for c in answer["items" if "items" in answer else "components"]}

    def activate(self, manager, token=None, name=None):
        return self.cli("activate", "--url", manager.agent_url, "--token", token or manager.token(),
                        "--name", name or self.name)

    def log(self, name):
        return (self.state / "iaulogs" / name).read_text()

    def roles(self):
        """Role name to process id, of what runs now."""
        return {role_of(pid): pid for pid in children(self.process.pid) if role_of(pid)}

    def lib(self):
        """The digest of the live set, or None."""
        with contextlib.suppress(FileNotFoundError):
            return pathlib.Path(os.readlink(self.state / "lib")).name
        return None

    def close(self):
        self.process.stop()


class Site(contextlib.ExitStack):
    """Everything together, under one folder that is removed at the end unless keep_files."""

    def __init__(self, folder, keep_files=False):
        super().__init__()
        self.folder = pathlib.Path(folder)
        if not keep_files:
            self.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.agents = []

    def _with(self, thing):
        self.callback(thing.close)
        return thing

    def add_publisher(self, name="publisher", *more):
        self.publisher = Publisher(self.folder / name, *more)
        return self.publisher

    def add_source(self):
        self.source = self._with(Source(self.folder / "source", self.publisher.repository))
        return self.source

    def add_manager(self, **more):
        self.manager = self._with(Manager(self.folder / "manager", self.publisher.trust, **more))
        return self.manager

    def point_manager_at_source(self):
        self.manager.call("PATCH", "/settings", {"source": {"url": self.source.url, "ca": self.source.ca.read_text()}})

    def add_agent(self, name, relay=False, activate=True, **more):
        agent = Agent(self.folder / name, self.publisher.trust, relay_port=free_port() if relay is True else
                      relay or None, **more)
        self._with(agent)
        self.agents.append(agent)
        if activate:
            agent.activate(self.manager)
            until(f"{name} to be online", lambda: (self.manager.computer(name) or {}).get("state", "").startswith("Managed (Online)")
                  or (self.manager.computer(name) or {}).get("agent_state") == "online")
        return agent


def content(folder, signatures):
    """A folder of ClamAV hash signatures: {name: bytes that it finds}."""
    import hashlib
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{hashlib.sha256(data).hexdigest()}:{len(data)}:{name}" for name, data in sorted(signatures.items())]
    (folder / "test.hsb").write_text("".join(line + "\n" for line in lines))
    return folder


if __name__ == "__main__":
    sys.exit("a library; see tools/demo and tests/flow")
