"""What an update fetches: what is cheapest, the rest of what was cut off, and never anything on trust (U15, U9, U13)."""
import hashlib
import json
import os
import random
import signal
import subprocess

import counting
import pytest
import site_parts as parts

LINES = 30000
KNOWN = {"Test.One": b"the first file that must be found\n"}


def lines(seed, count=LINES):
    made = random.Random(seed)
    return [f"{made.getrandbits(256):064x}:{made.randrange(100, 5000000)}:Bulk.{seed}.{n}" for n in range(count)]


class Fed:
    """An agent that updates from a server of ours, which counts."""

    def __init__(self, site, folder, bulk=LINES, **conf):
        self.site, self.folder, self.bulk = site, folder, lines(1, bulk)
        self.extra = None
        site.add_publisher()
        self.server = counting.Counting(site.publisher.repository)
        site.callback(self.server.close)
        self.known = dict(KNOWN)
        self.release(1)
        more = "".join(f"{key} = {value}\n" for key, value in {"tries": 1, **conf}.items())
        self.agent = site.add_agent("alone", activate=False, keep=True, conf=f"[update]\nsource = {self.server.url}\n{more}")

    def release(self, version, *more):
        """A day's change: a few lines go, a few come, a few are others."""
        self.known[f"Test.V{version}"] = f"version {version} knows this\n".encode()
        if version > 1:
            change = random.Random(version)
            for _ in range(20):
                del self.bulk[change.randrange(len(self.bulk))]
            for line in lines(version * 1000, 40):
                self.bulk.insert(change.randrange(len(self.bulk)), line)
        where = parts.content(self.folder / f"content-{version}", self.known)
        (where / "bulk.hsb").write_text("".join(line + "\n" for line in self.bulk))
        sample = self.folder / "sample"
        sample.write_bytes(KNOWN["Test.One"])
        return self.site.publisher.release(where, "--version", str(version), "--sample-find", sample, *more)

    def start(self):
        """An update that nobody waits for."""
        return subprocess.Popen([parts.BIN / "yagura", "--json", "--root", self.agent.root, "agent", "update"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def update(self, *words):
        done = parts.run("yagura", "--json", "--root", self.agent.root, "agent", "update", *words, check=False)
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {"stderr": done.stderr}

    def succeed(self):
        result = self.update()
        assert result["outcome"] == "success", f"{result}\n{self.agent.process.tail(40)}"
        return result

    def version(self):
        return self.agent.components().get("am-pattern")

    def manifest(self, name="am-pattern.json"):
        """The newest manifest of this target name."""
        found = list((self.site.publisher.repository / "targets/am").glob(f"*.{name}"))
        return max((json.loads(f.read_text()) for f in found), key=lambda m: m["version"])

    def forms(self, path="bulk.hsb"):
        """{encoding: [paths of objects]} of a file of the newest release."""
        file = next(f for f in self.manifest()["files"] if f["path"] == path)
        out = {}
        for form in file["forms"]:
            out.setdefault(form["encoding"], []).append(f"objects/{form['sha256'][:2]}/{form['sha256']}")
        return out

    def is_whole(self):
        for link in ("lib", "li_roll"):
            folder = self.agent.state / link
            if folder.exists():
                for component in json.loads((folder / "set.json").read_text())["components"]:
                    for file in component["files"]:
                        data = (folder / component["name"] / file["path"]).read_bytes()
                        assert hashlib.sha256(data).hexdigest() == file["sha256"], file["path"]

    def parts(self):
        folder = self.agent.state / "iaurepo/part"
        return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def fed(site, folder):
    return Fed(site, folder)


@pytest.fixture
def two(fed):
    """Version 1 is live, version 2 is offered, as a delta too."""
    fed.succeed()
    fed.release(2)
    fed.server.forget()
    return fed


def size(fed, path):
    return (fed.site.publisher.repository / path).stat().st_size


def test_a_change_is_fetched_as_a_change(two):
    """U15, and U9, U13 as ever."""
    one = two.agent.lib()
    delta, = two.forms()["delta"]
    whole, = two.forms()["zstd"]
    two.succeed()
    assert two.version() == 2 and delta in two.server.objects() and whole not in two.server.objects()
    assert two.server.object_bytes() < size(two, whole) / 20
    two.is_whole()
    assert os.readlink(two.agent.state / "li_roll").endswith(one)

    # everything over one connection, and nothing a second time
    assert two.server.connections == 1, two.server.requests
    two.server.forget()
    two.succeed()
    assert two.server.objects() == []

    # U13: back, held, and a newer one is fetched from what is here: version 2 is still on the disk or version 1 is
    two.agent.cli("rollback")
    assert two.version() == 1 and two.agent.status()["hold"]
    two.release(3)
    two.server.forget()
    two.succeed()
    assert two.version() == 3 and two.agent.status()["hold"] is None
    assert two.server.object_bytes() < size(two, whole) / 10
    two.is_whole()


def test_several_versions_behind_is_one_delta(fed):
    fed.succeed()
    for version in (2, 3, 4):
        fed.release(version)
    fed.server.forget()
    fed.succeed()
    assert fed.version() == 4
    deltas = [p for p in fed.server.objects() if p in fed.forms()["delta"]]
    assert len(deltas) == 1 and not set(fed.forms()["zstd"]) & set(fed.server.objects())
    fed.is_whole()


@pytest.mark.parametrize("what", ["wrong bytes", "no delta", "gone", "another old file"])
def test_a_delta_that_does_not_do_costs_no_more_than_the_whole_file(two, what):
    """From the same source, in the same run."""
    delta, = two.forms()["delta"]
    whole, = two.forms()["zstd"]
    wrong = {"wrong bytes": {"other": lambda path, data: data[:-1] + bytes([data[-1] ^ 1])},
             "no delta": {"other": lambda path, data: b"this is no delta" * 9}, "gone": {"gone": True},
             "another old file": {}}[what]
    two.server.behave(only=f"^{delta}$", **wrong)
    if what == "another old file":  # damaged after the agent looked: while its metadata travels
        old = max((two.agent.state / "iaurepo/objects").iterdir(), key=lambda p: p.stat().st_size)

        def spoil(path, data):
            old.chmod(0o644)
            with open(old, "r+b") as out:
                out.seek(1000)
                out.write(b"XXXX")
            return data
        two.server.behave(only=f"^{delta}$", other=spoil)
    two.succeed()
    assert two.version() == 2
    assert two.server.objects().count(delta) == 1 and two.server.objects().count(whole) == 1
    assert "Delta" in two.agent.log("iau.log") and "the whole file is fetched" in two.agent.log("iau.log")
    assert two.server.connections == 1
    if what != "another old file":
        two.is_whole()
    else:  # what was spoiled is the set before: the next run finds it, and heals it
        two.server.behave()
        two.succeed()
        two.is_whole()


@pytest.mark.parametrize("keep", ["the connection", "nothing, the agent is killed"])
def test_a_download_that_was_cut_goes_on(fed, keep):
    """At most 5 % are fetched twice."""
    whole, = fed.forms()["zstd"]
    total = size(fed, whole)
    if keep == "the connection":
        fed.server.behave(only=f"^{whole}$", cut=total // 4, cuts=3)
        fed.succeed()
    else:
        fed.server.behave(only=f"^{whole}$", cut=total // 2, hold=True)
        run = fed.start()
        parts.until("half of it to be on the disk", lambda: fed.parts() and fed.parts()[0].stat().st_size > total * 0.48)
        before = fed.agent.process.pid
        os.killpg(before, signal.SIGKILL)
        parts.until("the agent to be started again", lambda: fed.agent.process.pid != before and fed.agent._answers())
        run.wait()
        fed.server.behave()
        fed.succeed()
    assert fed.version() == 1
    assert total <= fed.server.served[whole] <= total * 1.05, fed.server.requests
    assert fed.parts() == []
    fed.is_whole()


def test_the_next_run_goes_on_where_the_last_one_failed(fed):
    whole, = fed.forms()["zstd"]
    total = size(fed, whole)
    fed.server.behave(only=f"^{whole}$", cut=total // 20, cuts=-1)
    result = fed.update()
    assert result["outcome"] == "failed" and result["cause"].startswith("net."), result
    assert [p.name for p in fed.parts()] == [whole.split("/")[-1]]
    fed.server.behave()
    fed.succeed()
    assert total <= fed.server.served[whole] <= total * 1.05
    assert fed.parts() == []


@pytest.mark.parametrize("ranges, status", [("ignored", 200), ("refused", 416)])
def test_a_server_without_ranges_costs_bytes_and_nothing_else(fed, ranges, status):
    whole, = fed.forms()["zstd"]
    total = size(fed, whole)
    fed.server.behave(only=f"^{whole}$", cut=total // 20, cuts=-1)
    fed.update()
    assert fed.parts()
    fed.server.behave(only=f"^{whole}$", ranges=ranges)
    fed.server.forget()
    fed.succeed()
    asked = [(r is not None, s) for _, path, r, s in fed.server.requests if path == whole]
    assert asked[0] == (True, status)
    assert len(asked) == (1 if ranges == "ignored" else 2)
    fed.is_whole()


def test_what_an_earlier_try_left_is_not_believed(fed):
    whole, = fed.forms()["zstd"]
    total = size(fed, whole)
    fed.server.behave(only=f"^{whole}$", cut=total // 20, cuts=-1)
    fed.update()
    part, = fed.parts()
    with open(part, "r+b") as out:
        out.write(b"planted")
    fed.server.behave()
    fed.server.forget()
    fed.succeed()
    asked = [r is not None for _, path, r, _ in fed.server.requests if path == whole]
    assert asked == [True, False]
    assert "of an earlier try were no use" in fed.agent.log("iau.log")
    fed.is_whole()


@pytest.mark.parametrize("planted", ["longer", "folder", "link", "second name"])
def test_what_lies_where_a_download_belongs_is_in_nobodys_way(two, planted):
    """T10."""
    delta, = two.forms()["delta"]
    whole, = two.forms()["zstd"]
    two.server.behave(only=f"^{delta}$", gone=True)
    folder = two.agent.state / "iaurepo/part"
    folder.mkdir(exist_ok=True)
    path = folder / whole.split("/")[-1]
    victim = two.folder / "victim"
    victim.write_bytes(b"somebody else's")
    if planted == "longer":
        path.write_bytes(b"x" * (size(two, whole) + 1000))
    elif planted == "folder":
        (path / "in/it").mkdir(parents=True)
    elif planted == "link":
        path.symlink_to(victim)
    else:
        os.link(victim, path)
    two.succeed()
    assert two.version() == 2 and victim.read_bytes() == b"somebody else's"
    two.is_whole()


def test_one_component_that_changes_is_all_that_is_fetched(fed):
    other = fed.folder / "other"
    other.mkdir()
    (other / "list.hsb").write_text("".join(line + "\n" for line in lines(7, 2000)))
    fed.site.publisher.release(other, component="am-hash")
    fed.succeed()
    assert fed.agent.components() == {"am-hash": 1, "am-pattern": 1}
    fed.release(2)
    wanted = {path for name in ("bulk.hsb", "test.hsb") for group in fed.forms(name).values() for path in group}
    fed.server.forget()
    fed.succeed()
    assert fed.agent.components() == {"am-hash": 1, "am-pattern": 2}
    assert set(fed.server.objects()) <= wanted and fed.server.connections == 1


def test_a_source_that_drips_does_not_hold_a_run_for_ever(site, folder):
    """Slow-loris: a byte now and then keeps a connection alive, but not a run."""
    fed = Fed(site, folder, bulk=2000, limit_s=10)
    fed.server.behave(only="^objects/", drip=0.4)
    result = fed.update()
    assert result["outcome"] == "failed" and result["cause"] == "update.timeout", result
    assert "given up after 10 s" in result["sentence"]
    parts.until("fetch to end", lambda: "fetch" not in fed.agent.roles(), 20)
    fed.server.behave()
    fed.succeed()


def test_relay_and_agent_carry_deltas(line):
    """The relay has the whole set with its deltas; an agent that was away takes one; the relay forgets what is old."""
    def release(version):
        where = parts.content(line.folder / f"content-{version}", line.known)
        change = lines(1, 5000)
        change[version * 7:version * 7] = lines(version * 1000, 10)
        (where / "bulk.hsb").write_text("".join(text + "\n" for text in change))
        line.site.publisher.release(where, "--version", str(version))

    def held():
        return {p.name for p in (line.relay.state / "relay/objects").rglob("*") if p.is_file()}

    def offered(version):
        for path in (line.site.publisher.repository / "targets/am").glob("*.am-pattern*.json"):
            manifest = json.loads(path.read_text())
            if manifest["version"] == version:
                return {form["sha256"]: form for file in manifest["files"] for form in file["forms"]}
        raise AssertionError(version)

    seen = {}
    for version in (2, 3):
        release(version)
        seen[version] = offered(version)
        job = line.update()
        assert job["outcome"] == "success", job
        assert set(seen[version]) <= held()
    assert any(form["encoding"] == "delta" for form in seen[3].values())
    assert set(seen[2]) <= held(), "agents that still read the set before are served"
    assert line.agent.components() == {"am-pattern": 3}
    for version in (4, 5):
        release(version)
        seen[version] = offered(version)
        assert line.update()["outcome"] == "success"
    gone = set(seen[2]) - set(seen[3]) - set(seen[4]) - set(seen[5])
    assert gone and not gone & held(), "what neither this set nor the one before names is removed"
    assert set(seen[5]) | set(seen[4]) <= held()
    # the same after a restart: it knows what the set before was
    before = line.relay.process.pid
    os.kill(line.relay.roles()["install"], signal.SIGKILL)
    parts.until("the relay's install", lambda: line.relay.roles().get("install"))
    assert before == line.relay.process.pid
    release(6)
    seen[6] = offered(6)
    assert line.update()["outcome"] == "success"
    assert set(seen[6]) | set(seen[5]) <= held()
