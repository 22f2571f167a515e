"""A content engineer's release week: releases with deltas, waves, a release that is taken back, pruning, bundles.

Everything is looked at through the client (`yagura-publish verify`), which trusts the first root only.
"""
import filecmp
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tarfile

import pytest
import site_parts as parts

FEEDS = pathlib.Path(os.environ.get("YAGURA_FEEDS", parts.TOP.parent / "shared" / "feeds")) / "clamav"


def at(day, hour=0):
    return f"2026-11-{day:02}T{hour:02}:00:00Z"


def publish(*words, check=True):
    return parts.run("yagura-publish", *words, "--lang", "en", check=check)


def said(*words):
    return json.loads(publish(*words, "--json"))


def refused(*words):
    """What a command that must fail says, and what it lists all the same."""
    done = subprocess.run([parts.BIN / "yagura-publish", *map(str, words), "--json", "--lang", "en"], capture_output=True,
                          text=True)
    assert done.returncode == 1, done
    return json.loads(done.stdout)


class Feed:
    """Signatures that change a little every day; the same ones in every run."""

    def __init__(self, folder, lines=6000, seed=7):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.random = random.Random(seed)
        self.lines = [self.line(f"Test.{n}") for n in range(lines)]
        self.write()
        (self.folder / "steady.fp").write_text(self.line("Test.Steady") * 40)

    def line(self, name):
        return f"{hashlib.sha256(name.encode()).hexdigest()}:{self.random.randrange(100, 99999)}:{name}\n"

    def write(self):
        (self.folder / "daily.hsb").write_text("".join(self.lines))

    def day(self, number):
        for n in range(4):
            self.lines.insert(self.random.randrange(len(self.lines)), self.line(f"Test.Day{number}.{n}"))
        del self.lines[self.random.randrange(len(self.lines))]
        self.write()


class Week:
    """Five releases of one component, and a second component."""

    def __init__(self, folder, days=5):
        folder = pathlib.Path(folder)
        folder.mkdir()
        self.repository, self.keys = folder / "repository", folder / "keys"
        publish("init", self.repository, "--keys", self.keys, "--now", at(1))
        self.feed = Feed(folder / "feed")
        self.released = []
        for day in range(1, days + 1):
            if day > 1:
                self.feed.day(day)
            self.released.append(self.release(day))
        rules = folder / "rules"
        rules.mkdir()
        (rules / "local.rules").write_text("alert tcp any any -> any 80 (msg:\"test\"; sid:1;)\n" * 20)
        said("release", self.repository, "ips-rules", "--keys", self.keys, "--from", rules, "--now", at(1, 2))

    def release(self, day, *more):
        return said("release", self.repository, "am-pattern", "--keys", self.keys, "--from", self.feed.folder, "--now",
                    at(day, 1), *more)

    def do(self, verb, *words):
        return said(verb, self.repository, *words, "--keys", self.keys)

    def component(self, day=6, name="am-pattern"):
        shown = said("show", self.repository, "--now", at(day))
        return next(c for c in shown["components"] if c["name"] == name)

    def verify(self, day=6):
        good = said("verify", self.repository, "--deep", "--now", at(day))
        assert good["problems"] == [] and good["unreferenced_files"] == 0
        return good


@pytest.fixture
def week(folder):
    return Week(folder / "w")


def objects(repository):
    return {p.name: p for p in (repository / "objects").rglob("*") if p.is_file()}


def tree(repository):
    return {str(p.relative_to(repository)): p.read_bytes() for p in repository.rglob("*") if p.is_file()}


def newest_manifest(repository, component="am-pattern"):
    manifests = [json.loads(p.read_text()) for p in (repository / "targets").rglob(f"*.{component}.json")]
    return max(manifests, key=lambda m: m["version"])


# ---- releases ----

def test_a_week_of_releases(week):
    first, last = week.released[0], week.released[-1]
    assert first["deltas"] == 0 and first["new_files"] == 2
    for n, done in enumerate(week.released[1:], 1):
        # One delta from each release before, straight to the newest; what did not change is not made again.
        assert (done["version"], done["deltas"], done["new_files"]) == (n + 1, n, 1)
        assert done["delta_bytes"] * 20 < done["transfer_bytes"]
    good = week.verify()
    assert good["deltas"] == 1 + 2 + 3 + 4 and good["deltas_not_applied"] == 0
    assert good["set"] and last["set"] != good["set"]  # ips-rules came after it
    shown = week.component()
    assert [e["version"] for e in shown["earlier"]] == [4, 3, 2, 1]
    costs = [e["update_bytes"] for e in shown["earlier"]]
    assert costs == sorted(costs) and costs[0] == last["delta_bytes"]
    assert "earlier: version 4 released" in publish("show", week.repository)


def test_the_same_again_costs_nothing(week):
    before = objects(week.repository)
    again = week.release(6)
    assert again["new_files"] == 0 and again["version"] == 6
    # The older deltas serve the same file; the release before has it already.
    assert again["deltas"] == 4 and again["delta_bytes"] == 0
    assert objects(week.repository).keys() == before.keys()
    week.verify(7)


def test_reproducible(folder):
    one = Week(folder / "one", days=3)
    (folder / "two").mkdir()
    shutil.copytree(one.keys, folder / "two/keys")
    keys = folder / "two/keys"
    repository = folder / "two/repository"
    publish("init", repository, "--keys", keys, "--now", at(1))
    feed = Feed(folder / "two/feed")
    for day in (1, 2, 3):
        if day > 1:
            feed.day(day)
        said("release", repository, "am-pattern", "--keys", keys, "--from", feed.folder, "--now", at(day, 1))
    said("release", repository, "ips-rules", "--keys", keys, "--from", folder / "one/rules", "--now", at(1, 2))
    assert tree(repository) == tree(one.repository)


def test_a_limit_in_number_and_in_time(week):
    week.feed.day(6)
    done = week.release(6, "--deltas", "2", "--keep", "3")
    assert done["deltas"] == 2
    assert [e["version"] for e in week.component(7)["earlier"]] == [5, 4, 3]


def test_a_damaged_old_object_costs_its_delta_only(week):
    old = newest_manifest(week.repository)
    whole = next(f for f in old["files"] if f["path"] == "daily.hsb")["forms"][0]
    path = objects(week.repository)[whole["sha256"]]
    os.chmod(path, 0o644)
    path.write_bytes(b"damaged")
    week.feed.day(6)
    done = week.release(6)
    assert done["deltas"] == 4 and done["deltas_left_out"] == 1


# ---- waves ----

def test_waves_change_without_a_new_manifest(week):
    before = week.component()
    done = week.do("wave", "am-pattern", "--waves", "default", "--now", at(6))
    assert done["version"] == 5 and [w["percent"] for w in done["waves"]] == [1, 5, 15, 40, 70, 100]
    assert week.component()["manifest"] == before["manifest"]
    opens = {hour: said("show", week.repository, "--now", at(6, hour))["components"][0]["open_percent"]
             for hour in (0, 1, 5, 12)}
    assert opens == {0: 1, 1: 5, 5: 15, 12: 100}
    paused = week.do("wave", "am-pattern", "--pause", "--now", at(6, 4))
    assert paused["open_percent"] == 15 and len(paused["waves"]) == 3
    warned = said("verify", week.repository, "--now", at(6, 5))["warnings"]
    assert [w["file"] for w in warned] == ["am/am-pattern.json"] and "end at 15%" in warned[0]["warning"]
    assert week.do("wave", "am-pattern", "--all")["open_percent"] == 100
    week.verify()


def test_waves_of_a_release(week):
    week.feed.day(6)
    done = week.release(6, "--wave", "+1h:10", "--wave", f"{at(6, 9)}:100")
    assert done["open_percent"] == 0
    assert week.component(6)["waves"] == [{"at": at(6, 2), "percent": 10}, {"at": at(6, 9), "percent": 100}]


@pytest.mark.parametrize("words,message", [
    (["--wave", "soon:5"], "--wave: want TIME:PERCENT like"),
    (["--wave", "+4h:101"], "--wave: want TIME:PERCENT like"),
    (["--wave", "+4h:50", "--wave", "+3h:100"], "want each later and for more computers"),
    (["--wave", "+1h:50", "--wave", "+3h:50"], "want each later and for more computers"),
    (["--wave", "+1h:50", "--waves", "fast"], "want --wave or --waves, have both"),
    (["--wave", "+1h:50", "--all"], "want one of --wave, --waves, --all and --pause, have 2"),
    ([], "want one of --wave, --waves, --all and --pause, have 0"),
    (["--pause"], "every computer may take version 5 already"),
])
def test_waves_that_make_no_sense(week, words, message):
    before = tree(week.repository)
    assert message in refused("wave", week.repository, "am-pattern", "--keys", week.keys, *words)["error"]["message"]
    assert tree(week.repository) == before


# ---- withdrawal ----

def test_a_release_is_taken_back(week):
    four = week.released[3]
    done = week.do("withdraw", "am-pattern", "5", "--reason", "flags clean files", "--now", at(6))
    assert done["withdrawn"] == 5 and done["version"] == 4
    shown = week.component()
    assert shown["version"] == 4 and shown["manifest"] == four["manifest"] and shown["open_percent"] == 100
    assert shown["withdrawn"] == [{"version": 5, "reason": "flags clean files"}]
    week.verify()
    # The number is never given again, also when nothing else remembers it.
    assert week.release(7)["version"] == 6
    message = refused("release", week.repository, "am-pattern", "--keys", week.keys, "--from", week.feed.folder,
                      "--version", 5)["error"]["message"]
    assert "--version: want > 6" in message
    # An earlier one may go, too.
    assert week.do("withdraw", "am-pattern", "3", "--reason", "too large", "--now", at(7))["version"] == 6
    assert [e["version"] for e in week.component(8)["earlier"]] == [4, 2, 1]
    week.verify(8)


@pytest.mark.parametrize("component,version,message", [
    ("am-pattern", "9", "version 9: not among the releases"),
    ("am-pattern", "0", "version: want a number"),
    ("am-pattern", "five", "version: want a number"),
    ("ips-rules", "1", "version 1 is the only release"),
    ("ips-rule", "1", "not known"),
])
def test_what_cannot_be_withdrawn(week, component, version, message):
    before = tree(week.repository)
    assert message in refused("withdraw", week.repository, component, version, "--reason", "x", "--keys",
                              week.keys)["error"]["message"]
    assert tree(week.repository) == before


# ---- pruning ----

def test_prune_removes_what_nobody_needs(week):
    week.do("withdraw", "am-pattern", "5", "--reason", "flags clean files", "--now", at(6))
    before = tree(week.repository)
    plan = week.do("prune", "--keep", "1", "--dry-run")
    assert plan["releases"] == 2 and plan["files"] == 0 and tree(week.repository) == before
    first = week.do("prune", "--keep", "1", "--now", at(6, 1))
    # Whoever read the metadata of a moment ago still finds all that it names.
    assert first["releases"] == 2 and first["files"] == 0 and first["later_bytes"] > 0
    assert set(before) <= set(tree(week.repository))
    second = week.do("prune", "--keep", "1", "--days", "0", "--now", "2030-01-01T00:00:00Z")
    assert second["files"] > 0 and second["freed_bytes"] == first["later_bytes"] and second["later_bytes"] == 0
    kept = tree(week.repository)
    assert sum(map(len, before.values())) - sum(map(len, kept.values())) > 0
    assert "metadata/1.root.json" in kept
    assert [e["version"] for e in week.component()["earlier"]] == [3]
    good = week.verify()
    assert good["objects"] == 4  # daily.hsb of two releases, steady.fp, local.rules
    assert week.do("prune", "--keep", "1", "--days", "0", "--now", "2030-01-01T00:00:00Z")["files"] == 0


def test_prune_removes_left_overs(week):
    stray = [week.repository / "objects/ab" / ("ab" + "0" * 62), week.repository / "metadata/99.am.json",
             week.repository / "metadata/timestamp.json.123.tmp", week.repository / "targets/am/x.am-pattern.json"]
    for path in stray:
        path.parent.mkdir(exist_ok=True)
        path.write_text("left over")
    loose = said("verify", week.repository, "--deep", "--now", at(6))
    assert loose["unreferenced_files"] in (3, 4) and loose["problems"] == []
    week.do("prune", "--days", "0", "--now", "2030-01-01T00:00:00Z")
    assert not any(path.exists() for path in stray)
    week.verify()


# ---- verify ----

def test_verify_lists_every_problem(week):
    held = objects(week.repository)
    manifest = newest_manifest(week.repository)
    forms = next(f for f in manifest["files"] if f["path"] == "daily.hsb")["forms"]
    whole, delta = forms[0], forms[1]
    earlier = next((week.repository / "targets/am").glob("*.am-pattern@2.json"))
    for path in (held[whole["sha256"]], held[delta["sha256"]]):
        os.chmod(path, 0o644)
        path.write_bytes(b"damaged")
    earlier.unlink()
    found = refused("verify", week.repository, "--deep", "--now", at(6))
    files = {p["file"]: p["problem"] for p in found["problems"]}
    assert f"objects/{whole['sha256'][:2]}/{whole['sha256']}" in files
    assert f"objects/{delta['sha256'][:2]}/{delta['sha256']}" in files
    assert "am/am-pattern@2.json" in files
    assert "version 5, 'daily.hsb'" in files[f"objects/{whole['sha256'][:2]}/{whole['sha256']}"]
    assert found["error"]["message"].startswith(f"{len(files)} problems")
    # Without --deep only what a client that is not there yet needs.
    short = refused("verify", week.repository, "--now", at(6))
    assert [p["file"] for p in short["problems"]] == [f"objects/{whole['sha256'][:2]}/{whole['sha256']}"]


def test_verify_warns_before_metadata_runs_out(week):
    assert said("verify", week.repository, "--now", at(3))["warnings"] == []
    warned = said("verify", week.repository, "--now", at(6), "--warn-days", "30")["warnings"]
    assert {"timestamp", "snapshot"} <= {w["file"] for w in warned}
    late = refused("verify", week.repository, "--now", "2027-06-01T00:00:00Z")
    assert late["error"]["cause"] == "tuf.expired"


# ---- bundles ----

def test_a_bundle_for_a_site_without_internet(week, folder):
    out, again = folder / "all.ygb", folder / "again.ygb"
    made = week_bundle(week, out)
    assert {c["name"]: (c["version"], c["from"]) for c in made["components"]} == {"am-pattern": (5, []), "ips-rules": (1, [])}
    with tarfile.open(out) as archive:
        names = [m.name for m in archive]
        assert all(m.isfile() and m.mode == 0o644 and m.uid == 0 for m in archive)
    assert names[0] == "bundle.json" and names[-1] == "metadata/timestamp.json"
    week_bundle(week, again)
    assert filecmp.cmp(out, again, shallow=False)
    checked = said("verify", out, "--now", at(6))
    assert checked["problems"] == [] and checked["made"] == at(6) and checked["set"] == said(
        "verify", week.repository, "--now", at(6))["set"]
    unpacked = folder / "unpacked"
    said("bundle", "--unpack", out, unpacked, "--now", at(6))
    assert said("verify", unpacked, "--now", at(6))["set"] == checked["set"]
    for name, data in tree(unpacked).items():
        assert (week.repository / name).read_bytes() == data
    # The next one goes over it; an older one does not.
    week.feed.day(6)
    week.release(6)
    newer = folder / "newer.ygb"
    said("bundle", week.repository, "--out", newer, "--from", "am-pattern=5", "--now", at(7))
    said("bundle", "--unpack", newer, unpacked, "--now", at(7))
    message = refused("bundle", "--unpack", out, unpacked, "--now", at(7))["error"]["message"]
    assert "the folder has a newer repository" in message


def week_bundle(week, out, *more):
    return said("bundle", week.repository, "--out", out, "--now", at(6), *more)


def test_a_bundle_of_what_is_lacking(week, folder):
    whole, lacking, since = folder / "whole.ygb", folder / "lacking.ygb", folder / "since.ygb"
    week_bundle(week, whole, "--component", "am-pattern")
    made = week_bundle(week, lacking, "--from", "am-pattern=2", "--from", "am-pattern=4", "--component", "am-pattern")
    assert made["objects"] == 2 and made["components"][0]["from"] == [2, 4]
    assert lacking.stat().st_size * 5 < whole.stat().st_size
    assert said("verify", lacking, "--now", at(6))["problems"] == []
    assert week_bundle(week, since, "--since", at(3, 12))["components"][0]["from"] == [3, 4, 5]
    assert said("verify", since, "--now", at(6))["problems"] == []


@pytest.mark.parametrize("words,message", [
    (["--from", "am-pattern"], "--from: want COMPONENT=VERSION"),
    (["--from", "am-pattern=9"], "not among the releases"),
    (["--component", "wr-list"], "the repository has no release of it"),
    (["--component", "ips-rules", "--from", "am-pattern=1"], "not among the releases"),
])
def test_bundles_that_cannot_be(week, folder, words, message):
    out = folder / "b.ygb"
    assert message in refused("bundle", week.repository, "--out", out, *words)["error"]["message"]
    assert not out.exists()


def test_a_bundle_that_was_changed(week, folder):
    out = folder / "b.ygb"
    week_bundle(week, out)
    with tarfile.open(out) as archive:
        member = next(m for m in archive if m.name.startswith("objects/") and m.size > 10000)
    data = bytearray(out.read_bytes())
    data[member.offset_data + 5000] ^= 1
    out.write_bytes(data)
    found = refused("verify", out, "--now", at(6))
    assert [p["file"] for p in found["problems"]] == [member.name]
    assert refused("bundle", "--unpack", out, folder / "u", "--now", at(6))["error"]["cause"] == "content.hash"
    assert not (folder / "u/metadata/timestamp.json").exists()
    out.write_bytes(data[:-700])
    assert "bundle: at byte" in refused("verify", out, "--now", at(6))["error"]["message"]


# ---- killed ----

def killed(words, after_s):
    """Begin a command and kill it, its helper processes with it. True when it was ready before."""
    process = subprocess.Popen([parts.BIN / "yagura-publish", *map(str, words), "--json"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after_s)
        return True
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False


@pytest.mark.parametrize("verb", ["release", "withdraw", "prune"])
def test_killed_at_any_moment(folder, verb):
    made = Week(folder / "w", days=4)
    if verb == "release":
        made.feed.day(5)
    words = {
        "release": ["release", "{}", "am-pattern", "--from", made.feed.folder, "--now", at(5, 1)],
        "withdraw": ["withdraw", "{}", "am-pattern", "4", "--reason", "bad", "--now", at(5, 1)],
        "prune": ["prune", "{}", "--keep", "1", "--days", "0", "--now", "2026-11-05T01:00:00Z"],
    }[verb]

    def on(repository):
        return [repository if w == "{}" else w for w in words] + ["--keys", made.keys]
    if verb == "prune":  # old enough for everything that is not named any more
        for path in made.repository.rglob("*"):
            os.utime(path, (0, 0), follow_symlinks=False)
    before = said("verify", made.repository, "--now", at(5, 2))["set"]
    finished = folder / "finished"
    shutil.copytree(made.repository, finished)
    said(*on(finished))
    after = said("verify", finished, "--now", at(5, 2))["set"]
    ready = 0
    for n in range(16):
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(made.repository, copy)
        ready += killed(on(copy), 0.004 * 1.4 ** n)
        good = said("verify", copy, "--deep", "--now", at(5, 2))
        assert good["set"] in (before, after) and good["problems"] == []
        if verb == "prune" or good["set"] == before:  # the same command works now
            said(*on(copy))
            good = said("verify", copy, "--deep", "--now", at(5, 2))
            assert good["set"] == after and good["problems"] == []
        if ready == 2:
            break
    assert not list(copy.rglob("*.tmp"))


# ---- real data ----

def test_real_feed(folder):
    if not (FEEDS / "20241215").is_dir():
        pytest.skip(f"no feed at {FEEDS}: set YAGURA_FEEDS")
    repository, keys = folder / "repository", folder / "keys"
    publish("init", repository, "--keys", keys, "--now", at(1))
    release = ["release", repository, "am-pattern", "--keys", keys]
    said(*release, "--from", FEEDS / "20241205", "--now", at(1, 1))
    done = said(*release, "--from", FEEDS / "20241205", "--from", FEEDS / "20241215", "--now", at(2, 1))
    sizes = {f["path"]: {form["encoding"]: form["size"] for form in f["forms"]}
             for f in newest_manifest(repository)["files"] if len(f["forms"]) > 1}
    print("\n".join(f"{path}: whole {forms['zstd']}, delta {forms['delta']} bytes" for path, forms in sizes.items()))
    print(f"together: {done['delta_bytes']} bytes")
    assert done["deltas"] == 2 and sizes["daily.hsb"]["delta"] <= 700 and done["delta_bytes"] <= 1500
    assert said("verify", repository, "--deep", "--now", at(3))["problems"] == []
