"""The installation in the laboratory: started once, broken and mended many times."""
import contextlib
import json
import pathlib
import ssl

import site_parts as parts

from . import certs, disks, names, places, server

KNOWN = {"Test.One": b"the first file that must be found\n"}
SOURCE_NAME, RELAY_NAME, PROXY_NAME = "updates.lab", "relay.lab", "proxy.lab"
# What the settings bound a try with; short, so that giving up is quick.
LIMITS = {"tries": 1, "timeout_s": 2}
HANG = 60  # seconds: nothing takes so long


class Lab(contextlib.ExitStack):
    """`computers`: which agents there are besides the Manager: "relay", "agent" (has the relay), "direct" (has none)."""

    def __init__(self, folder, computers=("relay", "agent", "direct")):
        super().__init__()
        self.folder, self.version, self.routes = pathlib.Path(folder), 0, []
        with contextlib.ExitStack() as undo:
            undo.push(self)
            self._start(computers)
            undo.pop_all()

    def _with(self, thing):
        self.callback(thing.close)
        return thing

    def _start(self, computers):
        self.world = self._with(places.World(self.folder / "etc", ("manager", *computers)))
        self.names = self._with(names.Names(places.DNS, {
            SOURCE_NAME: places.SOURCE, RELAY_NAME: places.RELAY_FRONT, PROXY_NAME: places.PROXY,
            "elsewhere.lab": places.OTHER}))
        self.ca, self.contexts = certs.contexts(self.folder / "certs", [SOURCE_NAME, "elsewhere.lab", PROXY_NAME])
        self.site = self._with(parts.Site(self.folder / "s"))
        self.publisher = self.site.add_publisher()
        self.release()
        self.source = self._with(server.Server(places.SOURCE, 443, self.publisher.repository, self.contexts))
        self.disks = {name: self._with(disks.Disk(self._state(name), 48)) for name in ("manager", *computers)}
        manager = places.ADDRESSES["manager"]
        self.manager = self.site.add_manager(host=manager, bind="0.0.0.0", wrap=self.place("manager").wrap)
        self.settings(update=LIMITS, direct_fallback=True, heartbeat_interval_s=5,
                      source={"url": f"https://{SOURCE_NAME}", "ca": self.ca.pem})
        self.agents = {}
        for name in computers:
            self.agents[name] = self.site.add_agent(name, relay=4122 if name == "relay" else False,
                                                    wrap=self.place(name).wrap)
        if "relay" in self.agents:
            self._relay_front()
        for name in ("manager", "direct"):
            self.names.rules[(places.ADDRESSES[name], RELAY_NAME)] = "missing"
        self.prove()

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

    # --- what the tests use

    def place(self, name):
        return self.world.places[name]

    def address(self, name):
        return places.ADDRESSES[name]

    def id(self, name):
        return self.manager.computer(name)["id"]

    def settings(self, **changed):
        return self.manager.call("PATCH", "/settings", changed)

    def release(self, *more):
        """The next version; it finds what all find, and something of its own."""
        self.version += 1
        content = parts.content(self.folder / "content", {**KNOWN, f"Test.V{self.version}": b"only %d\n" % self.version})
        self.publisher.release(content, "--version", str(self.version), *more)
        return self.version

    def mend(self):
        """Nothing is wrong any more, anywhere."""
        self.source.behave()
        if hasattr(self, "relay_front"):
            self.relay_front.behave()
        self.world.allow_all()
        for name, kind, address in self.routes:
            self.place(name).route("del", kind, address)
        self.routes = []
        self.names.rules = {(places.ADDRESSES[n], RELAY_NAME): "missing" for n in ("manager", "direct")}
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

    def check(self):
        """The Manager looks for what is newest: (the event that came of it, the failure that its status shows)."""
        last = self.manager.events(limit=1)[0]["seq"]
        self.settings(source={"url": f"https://{SOURCE_NAME}"})
        event = parts.until("the Manager to have looked", lambda: next(
            (e for e in self.manager.events(limit=20) if e["seq"] > last and e["id"] in (103, 20005)), None), HANG)
        return event, self.manager.call("GET", "/status")["check_failed"]

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
