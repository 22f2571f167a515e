"""Computers: a network and a mount namespace each, on one bridge in our own network namespace.

We are the rest of the world: servers, DNS and proxies listen here, on addresses of the bridge.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess

PR_SET_PDEATHSIG = 1
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_REC, MS_PRIVATE, MS_SLAVE, MS_SHARED = 0x4000, 0x40000, 0x80000, 0x100000
_libc = ctypes.CDLL(None, use_errno=True)

NET = "10.77.0"
WORLD, DNS, SOURCE, RELAY_FRONT, PROXY, OTHER = (f"{NET}.{n}" for n in (1, 53, 10, 20, 40, 66))
NOBODY = f"{NET}.99"  # nobody has this address
ADDRESSES = {"agent": f"{NET}.3", "relay": f"{NET}.4", "manager": f"{NET}.5", "direct": f"{NET}.6"}


def why_not():
    """Why there can be no laboratory here, or None."""
    if os.geteuid() != 0:
        return "network and mount namespaces, bridges and firewalls need root"
    for program in ("ip", "nft", "unshare", "nsenter", "mount"):
        if not shutil.which(program):
            return f"'{program}' is not installed"
    probe = subprocess.run(["unshare", "--net", "--mount", "sh", "-c",
                            "ip link add lab0 type bridge && ip link add lab1 type veth peer name lab2 && "
                            "nft add table inet lab"], capture_output=True, text=True)
    return None if probe.returncode == 0 else f"this machine does not allow it: {probe.stderr.strip()}"


def call(*words, **more):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise OSError(f"{' '.join(str(w) for w in words)}: {done.stderr.strip()}")
    return done.stdout


def _check(result):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _new_namespaces():
    _check(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
    _check(_libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None))
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_own = False


def _own_namespaces():
    """Leave the machine's network, if we have not; mounts of ours are seen by the computers, and by nobody else."""
    global _own  # once a process: namespaces are
    if _own:
        return
    if any(row.split(":")[0].strip() != "lo" for row in pathlib.Path("/proc/self/net/dev").read_text().splitlines()[2:]):
        _check(_libc.unshare(CLONE_NEWNET))
    _check(_libc.unshare(CLONE_NEWNS))
    for kind in (MS_PRIVATE, MS_SHARED):
        _check(_libc.mount(b"none", b"/", None, MS_REC | kind, None))
    _own = True


class Place:
    """A computer without programs: `wrap` before a command runs that here."""

    def __init__(self, name, address, etc):
        self.name, self.address = name, address
        self.holder = subprocess.Popen(["sleep", "infinity"], preexec_fn=_new_namespaces, stdin=subprocess.DEVNULL)
        self.ns = f"/proc/{self.holder.pid}/ns"
        self.wrap = [shutil.which("nsenter"), f"--net={self.ns}/net", f"--mount={self.ns}/mnt"]
        end = f"lab-{name}"
        call("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", self.holder.pid)
        call("ip", "link", "set", end, "master", "lab0", "up")
        self.sh(f"ip link set lo up; sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip addr add {address}/24 dev eth0; "
                f"ip link set eth0 up; ip route add default via {WORLD}; "
                # who does not answer is soon known not to be there
                "sysctl -qw net.ipv4.neigh.eth0.mcast_solicit=1 net.ipv4.neigh.eth0.retrans_time_ms=300")
        for name_, file in etc.items():
            where = pathlib.Path("/etc", name_)
            if where.exists():
                self.run("mount", "--bind", file, where.resolve())

    def run(self, *words):
        return call(*self.wrap, *words)

    def sh(self, script):
        return self.run("sh", "-ec", script)

    def route(self, verb, kind, address):
        """`unreachable` or `prohibit`: as the own system says when there is no way."""
        self.run("ip", "route", verb, kind, f"{address}/32")

    def close(self):
        self.holder.kill()
        self.holder.wait()


class World:
    """The bridge, and every computer on it."""

    def __init__(self, folder, names=ADDRESSES):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        _own_namespaces()
        call("ip", "link", "set", "lo", "up")
        self._bridge()
        self.places = {}
        etc = self._etc()
        for name in names:
            self.places[name] = Place(name, ADDRESSES[name], etc)

    def _bridge(self):
        subprocess.run(["ip", "link", "del", "lab0"], capture_output=True)
        script = f"""
            ip link add lab0 type bridge
            sysctl -qw net.ipv6.conf.lab0.disable_ipv6=1 || true
            ip link set lab0 up
            """
        for address in (WORLD, DNS, SOURCE, RELAY_FRONT, PROXY, OTHER):
            script += f"ip addr add {address}/24 dev lab0\n"
        call("sh", "-ec", script)
        self.allow_all()

    def _etc(self):
        texts = {"resolv.conf": f"nameserver {DNS}\noptions timeout:1 attempts:1\n",
                 "hosts": "127.0.0.1 localhost\n", "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n"}
        for name, text in texts.items():
            (self.folder / name).write_text(text)
        return {name: self.folder / name for name in texts}

    # --- the firewall between the computers and everything else

    def _rules(self, rules):
        call("nft", "-f", "-", input="table inet lab\ndelete table inet lab\ntable inet lab {\nchain in {\n"
             "type filter hook input priority 0\n" + "".join(rule + "\n" for rule in rules) + "}\n}\n")

    def allow_all(self):
        self._rules([])

    def firewall(self, place, to, verdict):
        """What happens to TCP from a computer to an address: "drop", "reset" or "prohibited"."""
        words = {"drop": "drop", "reset": "reject with tcp reset", "prohibited": "reject with icmp type admin-prohibited"}
        self._rules([f"ip saddr {place.address} ip daddr {to} ip protocol tcp {words[verdict]}"])

    def close(self):
        for place in self.places.values():
            place.close()
        subprocess.run(["ip", "link", "del", "lab0"], capture_output=True)
        subprocess.run(["nft", "delete", "table", "inet", "lab"], capture_output=True)
