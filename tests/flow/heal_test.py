"""Damage heals in the run that finds it, wherever it lies; what cannot be healed is said (T6, T10, T11)."""
import json
import os
import pathlib
import shutil

import counting
import pytest
import site_parts as parts
from delta_test import KNOWN, Fed, lines, size


class Sets(Fed):
    """Two versions that share one file and differ in another."""

    def release(self, version, *more):
        self.known[f"Test.V{version}"] = f"version {version} knows this\n".encode()
        where = parts.content(self.folder / f"content-{version}", self.known)
        (where / "same.hsb").write_text("".join(line + "\n" for line in self.bulk))
        (where / "own.hsb").write_text("".join(line + "\n" for line in lines(version, 1000)))
        return self.site.publisher.release(where, "--version", str(version), "--deltas", "0", *more)

    def file(self, link, name):
        return self.agent.state / link / "am-pattern" / name


@pytest.fixture
def sets(site, folder):
    made = Sets(site, folder, bulk=3000)
    made.succeed()
    made.release(2)
    made.succeed()
    made.server.forget()
    return made


def flip(path):
    """One bit, as a bad disk does."""
    path.chmod(0o644)
    with open(path, "r+b") as out:
        out.seek(100)
        byte = out.read(1)
        out.seek(100)
        out.write(bytes([byte[0] ^ 4]))


def test_a_flipped_bit_that_live_and_rollback_share(sets):
    """One fetch heals both, and nothing else is fetched."""
    assert sets.file("lib", "same.hsb").stat().st_ino == sets.file("li_roll", "same.hsb").stat().st_ino
    flip(sets.file("lib", "same.hsb"))
    sets.succeed()
    assert sets.server.objects() == [sets.forms("same.hsb")["zstd"][0]]
    sets.is_whole()
    assert sets.file("lib", "same.hsb").stat().st_ino == sets.file("li_roll", "same.hsb").stat().st_ino
    sets.agent.cli("rollback")
    assert sets.version() == 1


@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_what_only_the_rollback_set_needs_is_fetched_again(sets, how):
    roll = os.readlink(sets.agent.state / "li_roll")
    if how == "flipped":
        flip(sets.file("li_roll", "own.hsb"))
    else:
        ino = sets.file("li_roll", "own.hsb").stat().st_ino
        for path in [*(sets.agent.state / "iaurepo").rglob("*"), *(sets.agent.state / "sets").rglob("*")]:
            if path.is_file() and path.stat().st_ino == ino:
                path.unlink()
    sets.succeed()
    assert len(sets.server.objects()) == 1
    assert os.readlink(sets.agent.state / "li_roll") == roll
    sets.is_whole()
    sets.agent.cli("rollback")
    assert sets.version() == 1


def test_a_rollback_set_that_nobody_offers_any_more_is_let_go_of(sets):
    """Said at once, not when somebody wants to go back; what is live stays and the run succeeds."""
    old = json.loads((sets.agent.state / "li_roll/set.json").read_text())
    own = next(f["sha256"] for f in old["components"][0]["files"] if f["path"] == "own.hsb")
    manifests = [json.loads(p.read_text()) for p in (sets.site.publisher.repository / "targets/am").glob("*.json")]
    forms = [form for m in manifests for f in m["files"] if f["sha256"] == own for form in f["forms"]]
    for form in forms:
        (sets.site.publisher.repository / "objects" / form["sha256"][:2] / form["sha256"]).unlink(missing_ok=True)
    flip(sets.file("li_roll", "own.hsb"))
    live = sets.agent.lib()
    sets.succeed()
    assert sets.agent.lib() == live and sets.version() == 2
    assert not os.path.lexists(sets.agent.state / "li_roll")
    assert "it cannot be gone back to" in sets.agent.log("iau.log")
    events = parts.run("yagura", "--json", "--root", sets.agent.root, "agent", "events")
    assert "20117" in events, events
    done = sets.agent.cli("rollback", check=False)
    assert done.returncode == 1
    sets.is_whole()
    # the next version gives it something to go back to again
    sets.release(3)
    sets.succeed()
    sets.agent.cli("rollback")
    assert sets.version() == 2


def test_the_old_cure_while_an_update_runs(sets):
    """T6: rm -rf iaurepo/* in the middle of it; nothing is downloaded that is still in lib or li_roll."""
    sets.release(3)
    for version in (4, 5):
        emptied = []

        def empty(path, data):
            if len(emptied) < 2:
                for thing in (sets.agent.state / "iaurepo").iterdir():
                    shutil.rmtree(thing, ignore_errors=True)
                emptied.append(path)
            return data
        sets.server.behave(only="^(objects|metadata)/", other=empty)
        sets.server.forget()
        sets.succeed()
        assert len(emptied) == 2
        assert not set(sets.forms("same.hsb")["zstd"]) & set(sets.server.objects())
        sets.is_whole()
        sets.server.behave()
        sets.succeed()
        sets.is_whole()
        sets.release(version)


def test_repair_does_all_of_it_by_hand(sets):
    flip(sets.file("lib", "same.hsb"))
    flip(sets.file("li_roll", "own.hsb"))
    (sets.agent.state / "iaurepo/objects/left-over").write_bytes(b"x")
    said = json.loads(parts.run("yagura", "--json", "--root", sets.agent.root, "agent", "repair").splitlines()[-1])
    assert said["outcome"] == "success", said
    sets.is_whole()
    assert not (sets.agent.state / "iaurepo/objects/left-over").exists()
    assert os.path.lexists(sets.agent.state / "li_roll")


def test_a_wrong_object_from_a_relay_is_named_and_had_elsewhere(line):
    """T11: the agent takes nothing that it cannot check, says which relay gave it, and asks the next source."""
    manager = line.manager
    line.update()
    manager.call("PATCH", "/settings", {"direct_fallback": True})
    line.known["Test.Two"] = b"something else\n"
    line.release(2)
    relay = manager.computer("relay")["id"]
    assert manager.wait_job(manager.job("update", [relay], relays=True))["outcome"] == "success"
    assert line.agent.components() == {"am-pattern": 1}
    objects = [p for p in (line.relay.state / "relay/objects").rglob("*") if p.is_file()]
    good = {p: p.read_bytes() for p in objects}
    for path in objects:
        path.chmod(0o644)
        path.write_bytes(bytes([good[path][0] ^ 1]) + good[path][1:])
    line.agent.cli("update")
    assert line.agent.components() == {"am-pattern": 2}
    told = parts.until("the relay to be named", lambda: [
        e for e in manager.events(id=9115) if e["computer"]["name"] == "agent"], 30)
    assert "content.hash" in json.dumps(told[0]) or "hash" in told[0]["description"].lower(), told[0]

    # by hand at the relay: what is damaged is served no more; its next update brings it again
    said = parts.run("yagura", "--json", "--root", line.relay.root, "agent", "repair")
    assert f"{len(objects)} damaged removed" in said, said
    assert not any(p.exists() for p in objects)
    assert line.update()["outcome"] == "success"
    now = {p: p.read_bytes() for p in good if p.exists()}
    assert now and all(data == good[p] for p, data in now.items())


def test_damage_at_the_relay_is_reported(line):
    """T11: found by its next update, fetched again, and told."""
    line.update()
    path = max((p for p in (line.relay.state / "relay/objects").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    good = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert line.update()["outcome"] == "success"
    assert path.read_bytes() == good
    told = parts.until("event 20105", lambda: [e for e in line.manager.events(id=20105)
                                               if e["computer"]["name"] == "relay"], 30)
    assert path.name in told[0]["description"], told[0]
