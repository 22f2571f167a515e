"""Where an agent takes its update from: relays in an order of its own, the next one when one fails, the source when
it may (U4, U11, U12, T3, T9), and what the Manager decides about a computer: relay, licence, releases (U5)."""
import email.utils
import hashlib
import http.server
import json
import socket
import threading
import time

import pytest
import site_parts as parts


class Group:
    """Two relays and an agent; what the agent does it is told here, by hand."""

    def __init__(self, site, folder):
        self.site, self.folder = site, folder
        site.add_publisher()
        self.release(1)
        site.add_source()
        self.manager = site.add_manager()
        site.point_manager_at_source()
        self.manager.call("PATCH", "/settings", {"heartbeat_interval_s": 1, "offline_after": 2})
        self.relays = [site.add_agent(name, relay=True) for name in ("relay1", "relay2")]
        self.agent = site.add_agent("agent")
        self.job()
        # as the agent asks them
        mine = self.agent.status()["agent_id"]
        self.relays.sort(key=lambda r: hashlib.sha256((mine + r.status()["agent_id"]).encode()).hexdigest())
        parts.until("the agent to know both relays", lambda: len(self.settings().get("relays", [])) == 2)

    def release(self, version):
        known = {f"Test.V{n}": f"version {n} knows this\n".encode() for n in range(1, version + 1)}
        self.site.publisher.release(parts.content(self.folder / f"content-{version}", known), "--version", version)

    def job(self, **more):
        job = self.manager.wait_job(self.manager.job(relays=True, **more))
        assert job["outcome"] == "success", job
        return job

    def settings(self, agent=None):
        path = (agent or self.agent).state / "state/session/settings.json"
        return json.loads(path.read_text())["settings"] if path.exists() else {}

    def set_by_hand(self, agent, **change):
        """As a Manager that has gone away since had set it."""
        self.manager.process.stop()
        agent.process.stop()
        path = agent.state / "state/session/settings.json"
        kept = json.loads(path.read_text())
        kept["settings"].update(change)
        path.write_text(json.dumps(kept))
        agent.start()


def update(agent):
    done = parts.run("yagura", "--json", "--root", agent.root, "agent", "update", check=False)
    return json.loads(done.stdout.splitlines()[-1])


def port_of(agent):
    return int(next(line.split("=")[1] for line in agent.conf.read_text().splitlines() if line.startswith("port")))


def from_relay(run, relay):
    return f":{port_of(relay)}" in run["source"]


@pytest.fixture
def group(site, folder):
    return Group(site, folder)


def test_the_next_relay_when_one_fails(group):
    first, second = group.relays
    assert update(group.agent)["outcome"] == "success"
    run = group.agent.status()["last_update"]
    assert from_relay(run, first) and run["tried"] == [] and run["outcome"] == "success", run

    first.process.stop()
    assert update(group.agent)["outcome"] == "success"
    run = group.agent.status()["last_update"]
    assert from_relay(run, second), run
    assert {t["cause"] for t in run["tried"]} == {"net.refused"} and not any(
        from_relay({"source": t["url"]}, second) for t in run["tried"]), run

    # both: three tries in all, and direct download is off
    second.process.stop()
    result = update(group.agent)
    assert result["outcome"] == "failed" and result["cause"] == "net.refused", result
    kept = group.agent.status()["last_update"]
    assert kept["cause"] == "net.refused" and len(kept["tried"]) >= 2 and kept["sentence"], kept

    # over a restart too
    group.agent.process.stop()
    group.agent.start()
    assert group.agent.status()["last_update"] == kept


def test_past_the_relays_where_that_is_allowed(group):
    """U11: three tries in all, then the source; never when the job includes the relays."""
    group.manager.call("PATCH", "/settings", {"direct_fallback": True, "update": {"tries": 3, "retry_s": 1, "deadline_s": 20}})
    parts.until("the settings to arrive", lambda: group.settings().get("direct_fallback") is True)
    group.release(2)
    for relay in group.relays:
        relay.process.stop()
    log = group.site.source.access_log
    before = len(log.read_text().splitlines())
    failed = group.manager.wait_job(group.manager.job(relays=True), 200)
    assert failed["outcome"] == "failed"
    asked = [line for line in log.read_text().splitlines()[before:] if "objects" in line]
    assert not asked, asked  # the Manager looks at metadata and manifests, nobody at content
    assert group.agent.components() == {"am-pattern": 1}

    assert update(group.agent)["outcome"] == "success"
    run = group.agent.status()["last_update"]
    assert run["source"] == group.site.source.url, run
    assert group.agent.components() == {"am-pattern": 2} and run["bytes"] > 0 and run["requests"] > 0
    tries = [line for line in group.agent.log("TmuDump.txt").splitlines() if "metadata/timestamp.json" in line]
    assert tries, run


def test_a_relay_that_is_behind_is_left_for_one_that_is_not(group):
    """What a client has seen once it never sees older, whichever relay it asks."""
    first, second = group.relays
    first.process.stop()
    group.release(2)
    group.manager.job(relays=True, computers=[group.manager.computer("agent")["id"]])
    parts.until("the agent to have it", lambda: group.agent.components() == {"am-pattern": 2})
    group.manager.process.stop()  # or the job would have the first one come up to date
    parts.until("its update to end", lambda: group.agent.status()["update"] is None)

    first.start()  # with what it had
    result = update(group.agent)
    assert result["outcome"] == "success", result
    run = group.agent.status()["last_update"]
    assert from_relay(run, second), run
    assert [t["cause"] for t in run["tried"]] == ["update.relay_behind"] and from_relay(
        {"source": run["tried"][0]["url"]}, first), run
    assert group.agent.components() == {"am-pattern": 2}

    # nobody but the one that is behind: named so, and nothing goes back
    second.process.stop()
    result = update(group.agent)
    assert result["outcome"] == "failed" and result["cause"] == "update.relay_behind", result
    assert group.agent.components() == {"am-pattern": 2}


def test_a_cancelled_update_ends_and_leaves_everything_as_it_was(group):
    """The Manager's word, while it waits for relays that do not answer."""
    manager, agent = group.manager, group.agent
    manager.call("PATCH", "/settings", {"update": {"tries": 50, "retry_s": 5}})
    parts.until("the settings to arrive", lambda: group.settings().get("update", {}).get("tries") == 50)
    for relay in group.relays:
        relay.process.stop()
    group.release(2)
    before = agent.lib()
    job = manager.job(relays=False, computers=[manager.computer("agent")["id"]])
    parts.until("the update to run", lambda: agent.status()["update"])
    manager.call("POST", f"/jobs/{job['id']}/cancel")
    done = manager.wait_job(job)
    part = next(c for c in done["computers"] if c["as"] == "agent")
    assert part["outcome"] == "cancelled" and part["cause"] == "job.cancelled", part
    parts.until("it to end", lambda: agent.status()["update"] is None)
    assert agent.lib() == before and not (agent.state / "li_copy").is_symlink()
    assert agent.status()["last_update"]["outcome"] == "cancelled"

    for relay in group.relays:
        relay.start()
    assert update(agent)["outcome"] == "success"


class Slow(http.server.BaseHTTPRequestHandler):
    """Objects come in slices."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.server.repository / self.path.lstrip("/")
        data = path.read_bytes() if path.is_file() else None
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        for at in range(0, len(data or b""), 30000):
            self.wfile.write(data[at:at + 30000])
            if "/objects/" in self.path:
                self.wfile.flush()
                time.sleep(0.3)

    def log_message(self, *_):
        pass


def test_how_far_it_is_and_how_long_it_takes(site, folder):
    """Of what, bytes and of how many, and the time left; whoever joins is told what runs (T5)."""
    site.add_publisher()
    content = parts.content(folder / "content", {"Test.One": b"one\n"})
    with open(content / "bulk.hdb", "w", encoding="ascii") as out:
        for n in range(30000):
            out.write(f"{hashlib.md5(str(n).encode()).hexdigest()}:{1000 + n}:Bulk.{n}\n")
    site.publisher.release(content, "--version", 1)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.repository = site.publisher.repository
    threading.Thread(target=server.serve_forever, daemon=True).start()
    agent = site.add_agent("alone", activate=False, conf=f"[update]\nsource = http://127.0.0.1:{server.server_port}\n")

    lines, second = [], []

    def ask(into):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(agent.socket))
            line.sendall(b'{"do":"update"}\n')
            for text in line.makefile():
                into.append(json.loads(text))
                if "progress" not in into[-1]:
                    return

    first = threading.Thread(target=ask, args=(lines,), daemon=True)
    first.start()
    parts.until("it to fetch", lambda: any(said.get("progress", {}).get("bytes") for said in list(lines)))
    ask(second)
    first.join(60)
    server.shutdown()
    said = [one["progress"] for one in lines if one.get("progress", {}).get("phase") == "fetch" and "what" in one["progress"]]
    assert said and all(one["what"] == "am-pattern" and one["bytes"] <= one["bytes_of"] for one in said), lines
    assert [one["bytes"] for one in said] == sorted(one["bytes"] for one in said)
    assert any("left_s" in one for one in said), said
    with_what = next(one["progress"]["joined"] for one in second if "joined" in one.get("progress", {}))
    assert with_what["by"] == "here" and with_what["phase"] == "fetch"
    assert lines[-1]["ok"]["outcome"] == second[-1]["ok"]["outcome"] == "success"
    assert lines[-1]["ok"]["bytes"] >= said[-1]["bytes_of"]


class Closed(http.server.BaseHTTPRequestHandler):
    """503 until its time has come, then what lies there."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site = self.server.site
        now = time.monotonic()
        site.asked += 1
        if site.until is None:
            site.until = now + site.seconds
        elif now < site.until:
            site.early += 1
        if site.refusals > 0 and (site.forever or now < site.until):
            site.refusals -= 1
            self.send_response(503)
            self.send_header("Retry-After", site.header())
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path = site.repository / self.path.lstrip("/")
        data = path.read_bytes() if path.is_file() else None
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_):
        pass


class Maintenance:
    def __init__(self, repository, seconds, form, forever=False):
        self.repository, self.seconds, self.form, self.forever = repository, seconds, form, forever
        self.until, self.early, self.asked, self.refusals = None, 0, 0, 1000
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Closed)
        self.server.site = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def header(self):
        if self.form == "seconds":
            return str(self.seconds)
        return email.utils.formatdate(time.time() + self.seconds + 1, usegmt=True)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_maintenance_is_left_alone_as_long_as_it_says(site, folder, form):
    """T3, both forms of Retry-After: not asked again before, and then it goes well."""
    site.add_publisher()
    site.publisher.release(parts.content(folder / "content", {"Test.One": b"one\n"}), "--version", 1)
    source = Maintenance(site.publisher.repository, 3, form)
    agent = site.add_agent("alone", activate=False, conf=f"[update]\nsource = {source.url}\ntries = 2\nretry_s = 1\n")
    result = update(agent)
    source.server.shutdown()
    assert result["outcome"] == "success", result
    assert source.early == 0
    assert agent.components() == {"am-pattern": 1}
    assert [t["cause"] for t in agent.status()["last_update"]["tried"]] == ["http.maintenance"]


def test_maintenance_for_longer_than_a_run_waits_ends_it(site, folder):
    site.add_publisher()
    source = Maintenance(site.publisher.repository, 7200, "seconds", forever=True)
    agent = site.add_agent("alone", activate=False, conf=f"[update]\nsource = {source.url}\ntries = 5\n")
    result = update(agent)
    source.server.shutdown()
    assert result["outcome"] == "failed" and result["cause"] == "http.maintenance", result
    assert source.asked == 1


def test_what_a_source_said_holds_until_it_answers(site, folder):
    """A scheduled update leaves it alone, by the name that it had; not any more when another update was answered."""
    site.add_publisher()
    site.publisher.release(parts.content(folder / "content", {"Test.One": b"one\n"}), "--version", 1)
    source = Maintenance(site.publisher.repository, 7200, "seconds", forever=True)
    manager = site.add_manager()
    manager.call("PATCH", "/settings", {"direct_fallback": True, "source": {"url": source.url}, "update": {"tries": 1}})
    agent = site.add_agent("a")

    def job(**more):
        return manager.wait_job(manager.job(**more))["computers"][0]
    first = job()
    assert (first["outcome"], first["cause"]) == ("failed", "http.maintenance"), first
    left = job(scheduled=True)
    assert left["cause"] == "http.maintenance" and "asked lately" in str(left["detail"]) + str(left["sentence"]), left
    source.refusals = 0
    assert job()["outcome"] == "success"
    after = job(scheduled=True)
    source.server.shutdown()
    assert after["outcome"] == "success", after
    assert agent.components() == {"am-pattern": 1}


def test_a_relay_is_switched_on_and_off_by_the_manager(group):
    """Without a restart of its agent, and with a certificate that says so."""
    manager, agent = group.manager, group.agent
    pids = agent.roles()
    computer = manager.computer("agent")["id"]
    manager.call("PATCH", f"/computers/{computer}", {"relay_on": True})
    status = parts.until("the relay to serve", lambda: (lambda s: s if (s["relay"] or {}).get("state") == "on" else None)(
        agent.status()))
    assert status["relay"]["state"] == "on"
    parts.until("event 9104", lambda: any(e["id"] == 9104 and e["computer"]["name"] == "agent" for e in manager.events()))
    parts.until("the Manager to know", lambda: manager.computer("agent")["relay"])
    roles = agent.roles()
    assert "relay" in roles and roles["session"] == pids["session"] and roles["install"] == pids["install"]
    group.job()
    assert agent.status()["relay"]["set"]

    # over a restart: the Manager's word is kept
    agent.process.stop()
    agent.start()
    parts.until("the relay to serve again", lambda: (agent.status()["relay"] or {}).get("state") == "on")

    manager.call("PATCH", f"/computers/{computer}", {"relay_on": False})
    parts.until("the relay to end", lambda: "relay" not in agent.roles() and agent.status()["relay"] is None)
    parts.until("event 9103", lambda: any(e["id"] == 9103 and e["computer"]["name"] == "agent" for e in manager.events()))


def test_a_relay_whose_port_is_taken_says_so_once_and_serves_when_it_is_free(site, folder):
    site.add_publisher()
    manager = site.add_manager()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent = site.add_agent("relay", relay=taken.getsockname()[1], activate=True)
        parts.until("event 9105", lambda: 9105 in manager.event_ids())
        assert (agent.status()["relay"] or {}).get("state") == "off"
        before = agent.roles().get("relay")
        parts.until("it to be tried again", lambda: agent.roles().get("relay") not in (before, None))
    parts.until("the relay to serve", lambda: (agent.status()["relay"] or {}).get("state") == "on")
    parts.until("event 9104", lambda: 9104 in manager.event_ids())
    said = [e for e in manager.events(id=9105)]
    assert len(said) == 1 and "Address already in use" in said[0]["description"], said


def test_a_configured_relay_is_switched_off(group):
    relay = group.relays[0]
    computer = group.manager.computer(relay.name)["id"]
    group.manager.call("PATCH", f"/computers/{computer}", {"relay_on": False})
    parts.until("the relay to end", lambda: "relay" not in relay.roles())
    group.manager.call("PATCH", f"/computers/{computer}", {"relay_on": None})
    parts.until("the relay to serve again", lambda: (relay.status()["relay"] or {}).get("state") == "on")


def test_an_expired_licence_leaves_patterns_as_they_are(group):
    """U5: rules go on; the run is a success with its note; said once."""
    agent = group.agent
    group.release(2)
    rules = group.folder / "rules"
    rules.mkdir()
    (rules / "list.txt").write_text("a rule\n")
    group.site.publisher.release(rules, "--version", 1, component="fw-list")
    group.job(computers=[group.manager.computer(r.name)["id"] for r in group.relays])
    ended = {"group": "am-wr", "state": "expired", "ends": "2026-01-01T00:00:00Z"}
    group.set_by_hand(agent, licences=[ended])
    for _ in range(2):
        result = update(agent)
        assert result["outcome"] == "success" and result["cause"] == "update.licence", result
    assert agent.components() == {"am-pattern": 1, "fw-list": 1}
    assert [a["name"] for a in agent.status()["alarms"]] == ["licence"]

    group.set_by_hand(agent, licences=[{**ended, "state": "valid"}])
    assert update(agent)["outcome"] == "success"
    assert agent.components() == {"am-pattern": 2, "fw-list": 1} and agent.status()["alarms"] == []


def test_the_one_before_and_a_pinned_one(group):
    """Chosen among what is signed; rollback and hold go on working with it."""
    agent = group.agent
    for version in (2, 3):
        group.release(version)
    source = {"url": group.site.source.url, "ca": group.site.source.ca.read_text()}
    group.set_by_hand(agent, relays=[], source=source, direct_fallback=True, content={"mode": "previous"})
    assert update(agent)["outcome"] == "success" and agent.components() == {"am-pattern": 2}
    agent.cli("rollback")
    assert agent.components() == {"am-pattern": 1} and agent.status()["hold"]
    assert update(agent)["outcome"] == "success" and agent.components() == {"am-pattern": 2}

    group.set_by_hand(agent, content={"mode": "pinned", "pins": {"am-pattern": 1}})
    assert update(agent)["outcome"] == "success" and agent.components() == {"am-pattern": 1}

    group.set_by_hand(agent, content={"mode": "pinned", "pins": {"am-pattern": 77}})
    result = update(agent)
    assert result["outcome"] == "success" and result["cause"] == "update.partial", result
    assert "pinned to version 77, which is not offered" in result["sentence"]
    assert [a["cause"] for a in agent.status()["alarms"]] == ["content.pin"]
    assert agent.components() == {"am-pattern": 1}

    group.set_by_hand(agent, content={"mode": "latest"})
    assert update(agent)["outcome"] == "success" and agent.components() == {"am-pattern": 3}
    assert agent.status()["alarms"] == []


def test_what_a_policy_says_comes_from_the_relays(group):
    """N-1 and pins by policy: relays have what their computers were asked to take."""
    manager, agent = group.manager, group.agent
    for version in (2, 3):
        group.release(version)
    policy = next(p for p in manager.call("GET", "/policies")["items"] if p["default"])
    document = manager.call("GET", f"/policies/{policy['id']}")["document"]
    for content, version in (({"mode": "previous"}, 2), ({"mode": "pinned", "pins": {"am-pattern": 1}}, 1), ({"mode": "latest"}, 3)):
        document["update"] = {"content": content}
        manager.call("PUT", f"/policies/{policy['id']}", {"name": policy["name"], "document": document})
        parts.until("the settings to arrive", lambda content=content: all(
            group.settings(a).get("content", {}).get("mode") == content["mode"] for a in (agent, *group.relays)))
        group.job()
        assert agent.components() == {"am-pattern": version}
        run = agent.status()["last_update"]
        assert run["tried"] == [] and any(from_relay(run, relay) for relay in group.relays), run
