"""The installation in the laboratory: started once, broken and mended many times."""
import contextlib
import functools
import json
import pathlib
import shutil
import ssl

import pytest
import site_parts as parts

from . import certs, disks, names, places, proxies, server

KNOWN = {"Test.One": b"the first file that must be found\n"}
SOURCE_NAME, RELAY_NAME, PROXY_NAME = "updates.lab", "relay.lab", "proxy.lab"
# What the settings bound a try with; short, so that giving up is quick.
LIMITS = {"tries": 1, "timeout_s": 2, "connect_s": 2, "limit_s": 20}
FAILURES = 2  # in a row are an alert
HANG = 60  # seconds: nothing takes so long


class Lab(contextlib.ExitStack):
    """`computers`: which agents there are besides the Manager: "relay", "agent" (has the relay), "direct" (has none)."""

    def __init__(self, folder, computers=("relay", "agent", "direct"), disk=disks.Memory, keep=False):
        super().__init__()
        self.folder, self.version, self.routes, self.proxied = pathlib.Path(folder), 0, [], set()
        with contextlib.ExitStack() as undo:
            undo.push(self)
            self._start(computers, disk, keep)
            undo.pop_all()

    def _with(self, thing):
        self.callback(thing.close)
        return thing

    def _start(self, computers, disk, keep):
        self.world = self._with(places.World(self.folder / "etc", ("manager", *computers)))
        self.names = self._with(names.Names(places.DNS, {
            SOURCE_NAME: places.SOURCE, RELAY_NAME: places.RELAY_FRONT, PROXY_NAME: places.PROXY,
            "elsewhere.lab": places.OTHER, "login.lab": places.SOURCE}))
        self.ca, self.contexts = certs.contexts(self.folder / "certs", [SOURCE_NAME, "elsewhere.lab", "login.lab", PROXY_NAME])
        self.site = self._with(parts.Site(self.folder / "s"))
        self.publisher = self.site.add_publisher()
        self.release()
        self.source = self._with(server.Server(places.SOURCE, 443, self.publisher.repository, self.contexts))
        self.disks = {name: self._with(disk(self._state(name))) for name in ("manager", *computers)}
        manager = places.ADDRESSES["manager"]
        self.manager = self.site.add_manager(host=manager, bind="0.0.0.0", ports=(4119, 4120), keep=keep,
                                             wrap=self.place("manager").wrap)
        self.settings(update=LIMITS, relay_update=LIMITS, direct_fallback=True, heartbeat_interval_s=5,
                      alerts={"failures": FAILURES},
                      source={"url": f"https://{SOURCE_NAME}", "ca": self.ca.pem})
        self.agents = {}
        for name in computers:
            self.agents[name] = self.site.add_agent(name, relay=4122 if name == "relay" else False,
                                                    keep=keep, wrap=self.place(name).wrap)
        if "relay" in self.agents:
            self._relay_front()
        if "direct" in self.agents:  # no relay serves its group
            group = self.manager.call("POST", "/relay-groups", {"name": "alone"})["id"]
            self.manager.call("PATCH", f"/computers/{self.id('direct')}", {"relay_group": group})
            self.settled("direct", lambda have: have["relays"] == [])
        self.mend()
        self.prove()
        self.old = self.folder / "old"  # the repository as it was when all began
        shutil.copytree(self.publisher.repository, self.old)

    def _state(self, name):
        return self.folder / "s" / name / f"var/opt/yagura/{'manager' if name == 'manager' else 'agent'}"

    def _relay_front(self):
        """All reach the relay through us: we pass on what is said, or speak in its name."""
        tls = {}
        for name in ("relay", "direct"):
            identity = json.loads((self.agents[name].state / "state/identity/identity.json").read_text())
            pem = self.folder / f"{name}.pem"
            pem.write_text(identity["certificate"] + identity["key"])
            tls[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls[name].load_cert_chain(pem)
        contexts = {**self.contexts, "good": tls["relay"], "another_agent": tls["direct"]}
        self.relay_front = self._with(server.Front(places.RELAY_FRONT, 4122, self.publisher.repository, contexts,
                                                   (places.ADDRESSES["relay"], 4122)))
        self.manager.call("PATCH", f"/computers/{self.id('relay')}", {"relay_urls": [f"https://{RELAY_NAME}:4122"]})

    @functools.cached_property
    def squid(self):
        return self._with(proxies.Squid(self.folder / "squid", self.ca.path))

    def need_squid(self):
        if why := proxies.why_no_squid():
            pytest.skip(why)
        return self.squid

    @functools.cached_property
    def our_proxy(self):
        return self._with(proxies.Proxy({SOURCE_NAME: places.SOURCE, RELAY_NAME: places.RELAY_FRONT}))

    def alerts(self, name, state="standing"):
        """Of one computer's updates, newest first; the Manager's: of its looks for what is newest."""
        kinds = {"manager": ("check_failed",), "relay": ("relay_failed",)}.get(name, ("update_failed", "update_timeout"))
        return [a for a in self.manager.call("GET", f"/alerts?state={state}&limit=500")["items"]
                if a["kind"] in kinds and (a["computer"] or {"name": "manager"})["name"] == name]

    # --- what the tests use

    def program(self, name):
        """What runs on a computer: the Manager or an agent."""
        return self.manager if name == "manager" else self.agents[name]

    def restart(self, name, *wrap, between=lambda: None):
        """Stop and start what runs there; `wrap` stands before its command besides."""
        program = self.program(name)
        program.close()
        between()
        program.wrap = [*self.place(name).wrap, *wrap]
        program.start()

    def online(self, name):
        parts.until(f"{name} to be online", lambda: self.manager.computer(name)["agent_state"] == "online", HANG)

    def place(self, name):
        return self.world.places[name]

    def address(self, name):
        return places.ADDRESSES[name]

    def id(self, name):
        return self.manager.computer(name)["id"]

    def settings(self, **changed):
        return self.manager.call("PATCH", "/settings", changed)

    def proxy(self, name, url, user="", password=""):
        """The proxy of a computer on its way to the source; the agent's that has a relay: on its way to that."""
        which = {"direct": "agent_source", "relay": "relay_source", "manager": "manager", "agent": "agent_relay"}[name]
        self.settings(proxy={which: {"url": url, "user": user, "password": password}})
        self.proxied = {name} if url else set()
        if name in self.agents:
            kept = {"agent_source": "source", "agent_relay": "relay"}.get(which, which)
            self.settled(name, lambda have: (have["proxies"][kept] or {}).get("url", "") == url)

    def settled(self, name, condition):
        """Wait until the settings that an agent has from the Manager are so."""
        kept = self.agents[name].state / "state/session/settings.json"

        def look():
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                return condition(json.loads(kept.read_text())["settings"])
            return False
        parts.until(f"{name} to have its settings", look, HANG)

    def release(self, *more):
        """The next version; it finds what all find, and something of its own."""
        self.version += 1
        content = parts.content(self.folder / "content", {**KNOWN, f"Test.V{self.version}": b"only %d\n" % self.version})
        self.publisher.release(content, "--version", str(self.version), *more)
        return self.version

    def mend(self):
        """Nothing is wrong any more, anywhere."""
        if "our_proxy" in self.__dict__:
            self.our_proxy.behave()
        for name in self.proxied:
            self.proxy(name, "")
        self.source.behave()
        if hasattr(self, "relay_front"):
            self.relay_front.behave()
        self.world.allow_all()
        for name, kind, address in self.routes:
            self.place(name).route("del", kind, address)
        self.routes = []
        self.names.rules = {(places.ADDRESSES["manager"], RELAY_NAME): "missing"}  # or it would ask there
        for disk in self.disks.values():
            disk.empty()

    def start(self, name, relays=None):
        """An update of one computer by the Manager's order, with its relays or without."""
        return self.manager.job(computers=[self.id(name)], relays=name == "relay" if relays is None else relays)

    def part(self, name, job):
        """How far a computer is in a job."""
        role = "relay" if name == "relay" else "agent"
        job = self.manager.call("GET", f"/jobs/{job['id']}")
        return next(c for c in job["computers"] if c["as"] == role and c["name"] == name)

    def result(self, name, job):
        self.manager.wait_job(job, HANG)
        return self.part(name, job)

    def run(self, name, relays=None):
        return self.result(name, self.start(name, relays))

    def look(self):
        """The Manager looks for what is newest, soon."""
        self.settings(source={"url": f"https://{SOURCE_NAME}"})

    def failed_look(self):
        """The failure of its last look that the Manager shows, or None."""
        return self.manager.call("GET", "/status")["check_failed"]

    def newest(self):
        return {c["name"]: c["version"] for c in self.manager.call("GET", "/components")["newest"]["components"]}

    def no_route(self, name, kind, address):
        self.place(name).route("add", kind, address)
        self.routes.append((name, kind, address))

    def prove(self):
        """Everything is healthy: all have the newest."""
        managed = [self.id(name) for name in self.agents if name != "direct"]
        for computers, relays in ((managed, True), ([self.id("direct")], False)):
            job = self.manager.wait_job(self.manager.job(computers=computers, relays=relays))
            assert job["outcome"] == "success", job
        for name, agent in self.agents.items():
            assert agent.components() == {"am-pattern": self.version}, name
