"""What an agent has on its disk: found damaged by hash, healed, never in the way (T6, T10, T11, T14, T15, E5)."""
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

import frozen
import pytest
import site_parts as parts

KNOWN = {"Test.One": b"the first file that must be found\n"}


class Alone:
    """An agent without a Manager, with the update source in its configuration."""

    def __init__(self, site, folder):
        self.site, self.folder, self.known = site, folder, dict(KNOWN)
        site.add_publisher()
        self.release(1)
        site.add_source()
        self.agent = site.add_agent("alone", activate=False, keep=True, conf=f"[update]\nsource = {site.source.url}\n"
                                    f"ca = {site.source.ca}\ntries = 1\n")

    def release(self, version, *more):
        self.known[f"Test.V{version}"] = f"version {version} knows this\n".encode()
        folder = parts.content(self.folder / f"content-{version}", self.known)
        sample = self.folder / "sample"
        sample.write_bytes(KNOWN["Test.One"])
        self.site.publisher.release(folder, "--version", version, "--sample-find", sample, *more)

    def update(self):
        """The last line that the command line printed, as it is."""
        done = parts.run("yagura", "--json", "--root", self.agent.root, "agent", "update", check=False)
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {"stderr": done.stderr}

    def repair(self):
        return json.loads(parts.run("yagura", "--json", "--root", self.agent.root, "agent", "repair").splitlines()[-1])

    def version(self):
        return self.agent.components().get("am-pattern")

    def objects(self):
        return sorted((self.agent.state / "iaurepo/objects").iterdir())

    def downloads(self):
        return self.site.source.access_log.read_text().count("GET /objects/")

    def holds_good_bytes(self):
        for path in self.objects():
            said = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
            assert said.startswith(path.name), path
        for link in ("lib", "li_roll"):
            folder = self.agent.state / link
            if folder.exists():
                for component in json.loads((folder / "set.json").read_text())["components"]:
                    for file in component["files"]:
                        path = folder / component["name"] / file["path"]
                        said = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
                        assert said.startswith(file["sha256"]), path


@pytest.fixture
def alone(site, folder):
    made = Alone(site, folder)
    for version in (1, 2):
        if version == 2:
            made.release(2)
        answer = made.update()
        assert made.version() == version, f"{answer}\n{made.agent.process.tail(60)}"
    return made


def spoil(path):
    """As a bad disk does: other bytes, nothing else changed that anybody looks at."""
    path.chmod(0o644)
    with open(path, "r+b") as out:
        out.write(b"XX")


def test_the_old_cure_is_harmless(alone):
    """T6: everything in iaurepo removed, while it runs and while it is stopped: nothing is downloaded again."""
    before = alone.downloads()
    shutil.rmtree(alone.agent.state / "iaurepo")
    assert alone.update()["outcome"] == "success"
    assert alone.downloads() == before
    alone.holds_good_bytes()

    alone.agent.process.stop()
    shutil.rmtree(alone.agent.state / "iaurepo")
    alone.agent.start()
    assert alone.update()["outcome"] == "success"
    assert alone.downloads() == before
    alone.holds_good_bytes()
    alone.agent.cli("rollback")
    assert alone.version() == 1


@pytest.mark.parametrize("how", ["spoiled", "cut", "gone"])
def test_damage_is_found_by_hash_and_healed_in_the_next_run(alone, how):
    """T11: in the agent's own objects, which are its live set's files too."""
    live = {p.stat().st_ino for p in (alone.agent.state / "lib").rglob("*") if p.is_file()}
    path = next(p for p in alone.objects() if p.stat().st_ino in live)
    if how == "spoiled":
        spoil(path)
    elif how == "cut":
        path.chmod(0o644)
        os.truncate(path, 1)
    else:
        for name in (alone.agent.state / "sets").rglob("*"):
            if name.is_file() and name.stat().st_ino == path.stat().st_ino:
                name.unlink()
        path.unlink()
    assert alone.update()["outcome"] == "success"
    alone.holds_good_bytes()
    assert alone.version() == 2
    assert "damaged or missing files" in alone.agent.log("iau.log")


def test_half_a_set_protects_nobody(site, folder):
    """Damaged while it was stopped, and nothing to fall back to: no engine, said so, until an update heals it."""
    alone = Alone(site, folder)
    alone.update()
    alone.agent.process.stop()
    spoil(max(alone.objects(), key=lambda p: p.stat().st_size))
    alone.agent.start()
    status = parts.until("the damage to be told", lambda: (lambda s: s if s["engine"]["state"] == "offline" else None)(
        alone.agent.status()))
    assert status["engine"]["reason"] == "store.object_damaged" and status["state"] == "unprotected"
    assert alone.update()["outcome"] == "success"
    parts.until("the engine to run", lambda: alone.agent.status()["state"] == "protected")
    alone.holds_good_bytes()


def test_repair_does_it_by_hand(alone):
    live = {p.stat().st_ino for p in (alone.agent.state / "lib").rglob("*") if p.is_file()}
    spoil(next(p for p in alone.objects() if p.stat().st_ino in live))
    (alone.agent.state / "iaurepo/tmp/left-over").mkdir(parents=True)
    said = alone.repair()
    assert "1 damaged removed" in said["sentence"] and "1 left-overs removed" in said["sentence"], said
    alone.holds_good_bytes()
    assert alone.version() == 2
    said = alone.repair()
    assert "0 damaged removed, 0 missing" in said["sentence"], said


@pytest.mark.parametrize("name", ["lib", "li_copy", "li_roll", "iaurepo/tmp", "iaurepo/objects", "sets/x"])
def test_left_overs_are_in_nobodys_way(alone, name):
    """T10: a file where it does not belong, then a folder."""
    for folder in (False, True):
        alone.agent.process.stop()
        path = alone.agent.state / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        if folder:
            (path / "a/b").mkdir(parents=True)
        else:
            path.write_text("left over")
        alone.agent.start()
        assert alone.update()["outcome"] == "success"
        assert alone.version() == 2
        alone.holds_good_bytes()


def test_content_that_fails_its_trial_stays_out(alone):
    """T15: it does not find what it must, or flags what is clean; the live set goes on."""
    before, sample = alone.agent.lib(), alone.folder / "other"
    sample.write_bytes(b"nobody knows this one\n")
    alone.release(3, "--sample-find", sample)
    result = alone.update()
    assert result["outcome"] == "failed" and result["cause"] == "engine.trial_miss", result
    assert alone.agent.lib() == before
    assert "IAU_STATUS_ENGINE" in alone.agent.log("iau.log")

    flagged = alone.folder / "clean"
    flagged.write_bytes(KNOWN["Test.One"])
    alone.release(4, "--sample-pass", flagged)
    result = alone.update()
    assert result["outcome"] == "failed" and result["cause"] == "engine.trial_flag", result
    assert alone.agent.lib() == before and not os.path.lexists(alone.agent.state / "li_copy")

    alone.release(5)
    assert alone.update()["outcome"] == "success" and alone.version() == 5


def test_a_crash_loop_goes_back_by_itself(alone):
    """E5: without network; what ended the engine is held."""
    bad = alone.agent.lib()
    alone.site.source.process.stop()

    def engine(not_this=None):
        pid = alone.agent.roles().get("am")
        return pid if pid and pid != not_this and alone.agent.status()["engine"]["state"] == "online" else None

    # the engine of version 1 is gone: the one that is left is the live one
    parts.until("the old engine to end", lambda: sum(parts.role_of(p) == "am" for p in parts.children(
        alone.agent.process.pid)) == 1)
    pid = None
    for _ in range(3):
        pid = parts.until("the engine to run", lambda last=pid: engine(last))
        os.kill(pid, signal.SIGKILL)
    parts.until("the set before to be live", lambda: alone.agent.lib() not in (bad, None))
    assert alone.version() == 1
    status = parts.until("the engine", lambda: (lambda s: s if s["engine"]["state"] == "online" else None)(
        alone.agent.status()))
    assert status["hold"]["set"] == bad and status["state"] == "protected"
    told = json.loads(parts.run("yagura", "--json", "--root", alone.agent.root, "agent", "events", "--limit", "100"))
    assert "engine.crash" in {event["params"].get("cause") for event in told["items"]}


def test_an_engine_that_hangs_is_started_again(alone):
    """E5: by itself, and with the same content."""
    alone.agent.process.stop()
    alone.agent.conf.write_text(alone.agent.conf.read_text().replace("[agent]\n", "[agent]\nengine_silence_s = 4\n"))
    alone.agent.start()
    live = alone.agent.lib()

    def engine():
        pid = alone.agent.roles().get("am")
        return pid if pid and alone.agent.status()["engine"]["state"] == "online" else None
    hung = parts.until("the engine to run", engine)
    os.kill(hung, signal.SIGSTOP)
    parts.until("another one", lambda: engine() not in (None, hung))
    assert alone.agent.lib() == live and alone.agent.status()["state"] == "protected"
    assert "has not answered for 4 s" in alone.agent.process.tail(60)


def test_a_scan_that_hangs_ends_its_engine(alone):
    """E5: one thread does not come back from a file, the engine answers all the same."""
    alone.agent.process.stop()
    (alone.agent.state / "state/policy.json").write_text('{"fingerprint":"x","engine":{"max_scan_ms":100}}')
    alone.agent.conf.write_text(alone.agent.conf.read_text().replace("[agent]\n", "[agent]\nengine_silence_s = 1\n"))
    alone.agent.start()
    parts.until("the engine to run", lambda: alone.agent.status()["engine"]["state"] == "online")
    live, hung = alone.agent.lib(), alone.agent.roles()["am"]
    path = alone.folder / "scanned"
    path.mkdir()
    (path / "known").write_bytes(KNOWN["Test.One"])
    thread = frozen.Frozen(hung)
    said = json.loads(parts.run("yagura", "--json", "--root", alone.agent.root, "agent", "scan", path, check=False).stdout)
    assert thread.done.is_set()
    assert (said["files"], said["unjudged"], [f["signature"] for f in said["found"]]) == (1, [], ["Test.One"])
    assert alone.agent.roles()["am"] != hung
    assert alone.agent.lib() == live and alone.agent.status()["state"] == "protected"
    assert "the engine is busy with one file for" in alone.agent.process.tail(60)


def test_a_source_that_is_not_there_has_one_name(alone):
    """T1, T14: named the same in the answer and in the logs; what is live stays."""
    alone.site.source.process.stop()
    before = alone.agent.lib()
    result = alone.update()
    assert result["outcome"] == "failed" and result["cause"] == "net.refused", result
    assert alone.agent.lib() == before and not os.path.lexists(alone.agent.state / "li_copy")
    assert "Err " in alone.agent.log("TmuDump.txt")
    assert "Update finished with result : IAU_STATUS_CONNECT[" in alone.agent.log("iau.log")


@pytest.mark.parametrize("damage, cause", [("spoil", "content.hash"), ("cut", "net.short_body"),
                                           ("gone", "content.missing")])
def test_a_bad_object_at_the_source_changes_nothing(alone, damage, cause):
    before = alone.agent.lib()
    had = set((alone.site.publisher.repository / "objects").rglob("*"))
    alone.release(3)
    path = next(p for p in set((alone.site.publisher.repository / "objects").rglob("*")) - had if p.is_file())
    good = path.read_bytes()
    path.chmod(0o644)
    if damage == "spoil":
        path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    elif damage == "cut":
        path.write_bytes(good[:-3])
    else:
        path.unlink()
    result = alone.update()
    assert result["outcome"] == "failed", result
    assert result["cause"] == cause or (damage == "cut" and result["cause"] in ("content.size", "content.hash")), result
    assert alone.agent.lib() == before and alone.version() == 2
    alone.holds_good_bytes()
    path.write_bytes(good)
    assert alone.update()["outcome"] == "success" and alone.version() == 3


def test_a_second_update_joins_the_first(alone):
    """T5: told so in the log's own words, and both get the one result."""
    with open(parts.content(alone.folder / "content-3", alone.known) / "bulk.hdb", "w", encoding="ascii") as out:
        for n in range(50000):
            out.write(f"{n * 2654435761:032x}:{1000 + n}:Bulk.{n}\n")
    alone.release(3)
    both = [subprocess.Popen([parts.BIN / "yagura", "--json", "--root", alone.agent.root, "agent", "update"],
                             stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in both:
        assert json.loads(one.communicate(timeout=60)[0].splitlines()[-1])["outcome"] == "success"
    assert alone.version() == 3
    log = alone.agent.log("iau.log")
    assert log.count("Start update") == 3  # versions 1, 2, 3
    assert "Busy with exisiting update" in log


def test_maintenance_has_its_old_words(site, folder):
    """T3: HTTP 503, retried with back-off, and logged as people search for it."""
    class Closed(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(503)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Closed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.add_publisher()
    agent = site.add_agent("alone", activate=False,
                           conf=f"[update]\nsource = http://127.0.0.1:{server.server_port}/\ntries = 2\n")
    done = parts.run("yagura", "--json", "--root", agent.root, "agent", "update", check=False)
    server.shutdown()
    assert json.loads(done.stdout.splitlines()[-1])["cause"] == "http.maintenance", done.stdout
    lines = agent.log("TmuDump.txt").splitlines()
    assert len(lines) == 6
    stamp = r"^Err \d{8} \d\d:\d\d:\d\d \d+ \d+ "
    assert re.match(stamp + "HttpsConnection: Server Error: HTTP 503 Service Unavailable$", lines[0])
    assert re.match(stamp + "TmDownloader: Service is under maintainence$", lines[1])
    # And what it means today.
    assert re.match(stamp + r"HttpsConnection: http://127\.0\.0\.1:\d+/metadata/\S+: The server is under maintenance\. \(.*status 503.*\) "
                    r"\[http\.maintenance\]$", lines[2])
    assert "Update finished with result : IAU_STATUS_MAINTENANCE[" in agent.log("iau.log")


def test_damage_at_the_relay_is_found_and_healed(line):
    """T11: what the relay serves, by its next update; agents never take it."""
    line.update()
    mirror = pathlib.Path(line.relay.state / "relay/objects")
    path = next(p for p in sorted(mirror.rglob("*")) if p.is_file())
    good = path.read_bytes()
    spoil(path)
    line.update()
    assert path.read_bytes() == good


@pytest.mark.parametrize("limit", [1, 16], ids=["not a value", "too small for the content"])
def test_a_policy_that_no_engine_has_seen_is_judged_when_one_starts(line, limit):
    """K3: it came before the first content; the engine refuses it, runs without, and 1001 says so, once."""
    manager = line.manager
    policy = next(p for p in manager.call("GET", "/policies")["items"] if p["default"])
    document = manager.call("GET", f"/policies/{policy['id']}")["document"]
    document.setdefault("am", {})["memory_max_mb"] = limit
    manager.call("PUT", f"/policies/{policy['id']}", {"name": policy["name"], "document": document})
    bad = manager.call("GET", f"/policies/{policy['id']}")["fingerprint"]
    parts.until("the policy to arrive", lambda: line.agent.status()["policy_fingerprint"] == bad, 60)
    assert line.update()["outcome"] == "success"
    assert set(line.found()) == set(line.known)
    parts.until("event 1001", lambda: any(e["computer"]["name"] == "agent" for e in manager.events(id=1001)), 60)
    assert line.agent.status()["policy_fingerprint"] != bad
    line.agent.cli("update")
    assert [e["computer"]["name"] for e in manager.events(id=1001)].count("agent") == 1


def test_a_relay_has_the_roots_that_older_agents_need(site, folder):
    """The relay was installed with the second root, its agent with the first."""
    publisher = site.add_publisher()
    first = shutil.copy(publisher.trust, folder / "first.json")
    parts.run("yagura-publish", "resign", publisher.repository, "--keys", publisher.keys, "--role", "root")
    parts.run("yagura-publish", "trust", publisher.repository, "--out", publisher.trust)
    assert pathlib.Path(first).read_bytes() != publisher.trust.read_bytes()
    publisher.release(parts.content(folder / "content", KNOWN))
    site.add_source()
    manager = site.add_manager()
    site.point_manager_at_source()
    relay = site.add_agent("relay", relay=True)
    publisher.trust = first
    agent = site.add_agent("agent")
    job = manager.wait_job(manager.job(relays=True))
    assert job["outcome"] == "success", job
    assert agent.components() == {"am-pattern": 1}
    assert (relay.state / "relay/metadata/2.root.json").exists()
    assert (agent.state / "state/tuf/root.json").read_text().count('"version":2') == 1
