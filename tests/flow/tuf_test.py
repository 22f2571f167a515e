"""yagura-tuf against a repository that does what repositories should not: the client workflow, seen from outside."""
import datetime
import hashlib
import json
import os
import shutil
import subprocess

import clocks
import pytest
import tuf_sim as sim

FIRST = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
IDLE = ["2.root.json", "timestamp.json"]


@pytest.fixture
def client(folder):
    made = sim.Client(folder)
    assert made.init()
    yield made
    made.close()


@pytest.fixture
def repo(client):
    return client.repo


# ---- what is asked for and what is kept

def test_requests(client, repo):
    assert repo.requests == []
    assert client.refresh() and repo.requests == FIRST
    assert client.refresh() and repo.requests == IDLE
    repo.publish()
    assert client.refresh() and repo.requests == IDLE + ["2.snapshot.json", "2.targets.json"]
    repo.publish("timestamp")
    assert client.refresh() and repo.requests == IDLE
    repo.publish("root", "root")
    assert client.refresh() and repo.requests == ["2.root.json", "3.root.json", "4.root.json", "timestamp.json"]


def test_kept_byte_for_byte(client, repo):
    repo.files["timestamp", 1] += b"\n \n"
    assert client.refresh()
    for role in sim.TOP:
        assert (client.metadata / f"{role}.json").read_bytes() == repo.files[role, 1]
    assert sorted(os.listdir(client.metadata)) == ["floor", "root.json", "snapshot.json", "targets.json", "timestamp.json"]


def test_without_consistent_snapshots(client, repo):
    repo.root["consistent_snapshot"] = False
    repo.add("targets", "a/b.txt")
    repo.publish(*sim.TOP)
    assert client.download("a/b.txt") and client.got() == [b"content"]
    assert repo.requests == ["2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json",
                             "targets/a/b.txt"]


@pytest.mark.parametrize("what", ["cut", "emptied", "lost", "a stranger's"])
def test_a_broken_cache_heals(client, repo, what):
    assert client.refresh()
    for role in ("timestamp", "snapshot", "targets"):
        path = client.metadata / f"{role}.json"
        if what == "lost":
            path.unlink()
        else:
            path.write_bytes({"cut": path.read_bytes()[:-9], "emptied": b"", "a stranger's": sim.Repo().files[role, 1]}[what])
    assert client.refresh() and repo.requests == FIRST
    assert client.kept() == dict.fromkeys(sorted(sim.TOP), 1)


# ---- keys

ROOTS = {  # versions of the root: keys, threshold, who signs; and whether the last one is taken
    "one key, changed": ([("a", 1, "a"), ("b", 1, "ab"), ("b", 1, "b")], True),
    "signatures nobody asked for": ([("a", 1, "axy"), ("b", 1, "xaby"), ("b", 1, "ybx")], True),
    "three of five, any three": ([("abcde", 3, "ace"), ("abcde", 3, "abe"), ("abcde", 3, "bcd")], True),
    "one of five changed": ([("abcde", 3, "ace"), ("abcdf", 3, "abd")], True),
    "all changed": ([("abc", 2, "ab"), ("def", 2, "abde"), ("def", 2, "ef")], True),
    "threshold up": ([("abc", 1, "a"), ("abc", 2, "ab")], True),
    "threshold down": ([("abc", 2, "ab"), ("abc", 1, "ab"), ("abc", 1, "c")], True),
    "not by the old key": ([("a", 1, "a"), ("b", 1, "bx")], False),
    "not by the new key": ([("a", 1, "a"), ("b", 1, "ax")], False),
    "not by enough old keys": ([("abcde", 3, "ace"), ("abcdf", 3, "abf")], False),
    "not by enough new keys": ([("abcde", 3, "ace"), ("abfgh", 3, "abc")], False),
    "threshold up, too few": ([("abc", 1, "a"), ("abc", 2, "b")], False),
    "threshold down, too early": ([("abc", 2, "ab"), ("abc", 1, "a")], False),
}


@pytest.mark.parametrize("name", ROOTS)
def test_root_keys(client, repo, name):
    versions, good = ROOTS[name]
    repo.bodies["root"]["version"] = 0
    for keys, threshold, signers in versions:
        repo.roles("root", keys, threshold, signers)
        repo.publish("root")
    assert client.init()
    assert client.refresh() == good
    last = len(versions) if good else len(versions) - 1
    assert (client.metadata / "root.json").read_bytes() == repo.files["root", last]
    if not good:
        assert "want valid signatures of" in client.error


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
@pytest.mark.parametrize("keys,threshold,signers,good", [("b", 1, "b", True), ("abc", 2, "cax", True), ("ab", 2, "a", False),
                                                         ("b", 1, "x", False), ("b", 1, "", False)])
def test_keys_of_a_role(client, repo, role, keys, threshold, signers, good):
    assert client.refresh()
    repo.roles(role, keys, threshold, signers)
    repo.publish(*sim.TOP)
    assert client.refresh() == good
    assert client.kept().get(role) in ([2] if good else [1, None])  # new online keys make it forget the old version


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_kinds_of_keys(client, repo, kind):
    repo.key("new", kind)
    repo.roles("root", ["root", "new"], 2)
    repo.publish("root")
    assert client.refresh() and client.kept()["root"] == 2
    repo.publish("root")
    doc = json.loads(repo.files["root", 3])
    doc["signatures"][1]["sig"] = repo.key("new").sign(b"something else")
    repo.files["root", 3] = json.dumps(doc).encode()
    assert not client.refresh() and client.kept()["root"] == 2


@pytest.mark.parametrize("bad", ["", "00", "zz", "ff" * 64])
def test_a_bad_extra_signature(client, repo, bad):
    repo.roles("timestamp", ["timestamp", "other"], 1, ["timestamp"])
    repo.publish("root", "timestamp")
    doc = json.loads(repo.files["timestamp", 2])
    doc["signatures"].insert(0, {"keyid": repo.key("other").id, "sig": bad})
    repo.files["timestamp", 2] = json.dumps(doc).encode()
    assert client.refresh() and client.kept()["timestamp"] == 2


def test_a_key_id_twice_in_signatures(client, repo):
    doc = json.loads(repo.files["snapshot", 1])
    doc["signatures"] *= 2
    repo.files["snapshot", 1] = json.dumps(doc).encode()
    assert not client.refresh() and "is there twice" in client.error


def test_members_of_others(client, repo):
    for part in (repo.root, repo.root["roles"]["root"], repo.key("root").public, repo.timestamp):
        part["x-note"] = {"a": [1, None, True, "\u6ad3"]}
    repo.roles("root", ["root"])
    repo.publish(*sim.TOP)
    assert client.refresh() and client.kept()["root"] == 2


# ---- versions

def serve_older(role):
    def change(repo):
        repo.bodies[role]["version"] = 1
        repo.publish(*{"timestamp": ["timestamp"], "snapshot": ["snapshot", "timestamp"],
                       "targets": ["targets", "snapshot", "timestamp"]}[role])
    return change


def drop_targets(repo):
    repo.snapshot["meta"] = {"other.json": {"version": 1}}
    repo.publish("snapshot", "timestamp")


@pytest.mark.parametrize("with_hashes", [False, True])
@pytest.mark.parametrize("wiped", [False, True])
@pytest.mark.parametrize("change,what", [(serve_older("timestamp"), "version: want >="),
                                         (serve_older("snapshot"), "snapshot.json: version: want >="),
                                         (serve_older("targets"), "'targets.json': version: want >="),
                                         (drop_targets, "targets.json'")])
def test_rollback(client, repo, change, what, wiped, with_hashes):
    repo.with_hashes = with_hashes
    for _ in range(4):
        repo.publish()
    assert client.refresh()
    if wiped:  # the floor alone remembers
        for path in client.metadata.glob("*.json"):
            path.unlink()
        assert client.init()
    change(repo)
    assert not client.refresh() and what in client.error, client.error


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_recovery_from_stolen_online_keys(client, repo, role):
    for one in ("targets", "snapshot", "timestamp"):
        repo.bodies[one]["version"] = 999
    repo.publish()
    assert client.refresh() and client.kept()["timestamp"] == 1000
    for one in ("targets", "snapshot", "timestamp"):
        repo.bodies[one]["version"] = 1
    repo.roles(role, ["new " + role])
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh(), client.error
    assert client.kept() == {"root": 2, "snapshot": 2, "targets": 2, "timestamp": 2}
    for path in client.metadata.glob("*.json"):
        path.unlink()
    assert client.init() and client.refresh()


def test_same_timestamp_version_is_not_read(client, repo):
    assert client.refresh()
    repo.timestamp["meta"]["snapshot.json"]["version"] = 100
    repo.publish("timestamp", bump=False)
    assert client.refresh() and repo.requests == IDLE


@pytest.mark.parametrize("role,kept", [("root", {"root": 1}), ("snapshot", {"root": 2, "timestamp": 2}),
                                       ("targets", {"root": 2, "snapshot": 2, "timestamp": 2})])
def test_another_version_than_the_name_says(client, repo, role, kept):
    repo.publish(*sim.TOP)
    repo.bodies[role]["version"] = 3
    repo.files[role, 2] = repo.sign(role)
    assert not client.refresh() and "version: want 2, have 3" in client.error
    assert client.kept() == kept


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_missing(client, repo, role):
    assert client.refresh()
    repo.publish()
    del repo.files[role, 2]
    assert not client.refresh() and "404" in client.error
    repo.publish()
    assert client.refresh()


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_hash_of_metadata(client, repo, role):
    repo.with_hashes = True
    repo.publish()
    assert client.refresh()
    repo.publish("targets", "snapshot")
    where = repo.timestamp if role == "snapshot" else repo.snapshot
    where["meta"][f"{role}.json"]["hashes"]["sha256"] = "00" * 32
    repo.publish(*(["timestamp"] if role == "snapshot" else ["snapshot", "timestamp"]))
    if role == "targets":
        where["meta"]["targets.json"]["hashes"]["sha256"] = "00" * 32
    assert not client.refresh() and "sha256: want 0000" in client.error
    assert client.kept()[role] == 2


def test_a_snapshot_is_no_timestamp(client, repo):
    repo.signers["snapshot"] = ["timestamp"]
    repo.snapshot["meta"] = {"snapshot.json": {"version": 1}, "targets.json": {"version": 1}}
    repo.files["timestamp", 1] = repo.sign("snapshot")
    assert not client.refresh() and "_type: want 'timestamp', have 'snapshot'" in client.error


# ---- time

def faketime(days):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return clocks.client(sim.PROGRAM, when.strftime("%Y-%m-%d %H:%M:%S+00:00"))


@pytest.mark.parametrize("role", sim.TOP)
def test_expired(client, repo, role):
    assert client.refresh()
    repo.bodies[role]["expires"] = sim.days(-2)
    repo.publish(*sim.TOP)
    assert not client.refresh() and ": expired at " in client.error
    assert client.kept()[role] == (2 if role == "root" else 1)


@pytest.mark.parametrize("role", ["root", "timestamp"])
def test_expired_here_but_not_there(client, repo, role):
    later = faketime(18)
    repo.bodies[role]["expires"] = sim.days(7)
    repo.publish("root", "timestamp")
    assert client.refresh()
    assert not client.refresh(before=later) and ": expired at " in client.error
    repo.bodies[role]["expires"] = sim.days(21)
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh(before=later), client.error


def test_a_clock_that_was_turned_back(client, repo):
    repo.timestamp["signed_at"] = sim.days(0)
    repo.snapshot["expires"] = sim.days(-1)
    repo.publish()
    assert not client.refresh(before=faketime(-20))
    assert "(this computer's clock says " in client.error


# ---- delegations

GRAPHS = {  # who delegates to whom, and in which order they are asked for a path that nobody knows
    "one": ("targets>A", "A"),
    "two": ("targets>A targets>B", "AB"),
    "below the second": ("targets>A targets>B B>C", "ABC"),
    "depth first": ("targets>A targets>B A>C A>D", "ACDB"),
    "deeper": ("targets>A targets>B A>C C>D", "ACDB"),
    "terminating": ("targets>A targets>B A!C A>D", "AC"),
    "terminating, and on below": ("targets>A targets>B A!C C>D", "ACD"),
    "not for this path": ("targets~A targets>B A>C", "B"),
    "not for this path, deeper": ("targets>A targets>B A~C C>D", "AB"),
    "terminating, but not for this path": ("targets?A targets>B", "B"),
    "a circle": ("targets>A targets>B B>C C>D D>B", "ABCD"),
    "itself": ("targets>A A>A targets>B", "AB"),
    "twice": ("targets>A targets>B B>C A>C", "ACB"),
    "twice, once for this path": ("targets>A targets>B B>C A~C", "ABC"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_order_of_delegations(client, repo, name):
    edges, order = GRAPHS[name]
    for edge in edges.split():
        by, role = edge[:-2], edge[-1]
        repo.delegate(by, role, "*.py" if edge[-2] in "~?" else "*", terminating=edge[-2] in "!?")
    repo.publish(*sorted(set(repo.bodies) - set(sim.TOP)), "targets", "snapshot", "timestamp")
    assert not client.download("missing") and "no role that may vouch for it knows it" in client.error
    assert repo.requests[4:] == [f"1.{role}.json" for role in order]


SEARCH = [("top", True, ""), ("readme.md", True, "A"), ("README.MD", False, ""), ("r/x/1", True, "BC"),
          ("r/y/1.zip", True, "BD"), ("r/z/1.zip", False, "B"), ("r/x", False, ""), ("v-1.tgz", True, "E"),
          ("v-12.tgz", False, ""), ("set-b", True, "E"), ("set-d", False, "")]


@pytest.mark.parametrize("path,found,order", SEARCH)
def test_search_of_a_target(client, repo, path, found, order):
    for by, role, *paths in (("targets", "A", "*.doc", "*.md"), ("targets", "B", "r/*/*"), ("B", "C", "r/x/*"),
                             ("B", "D", "r/y/*.zip"), ("targets", "E", "v-?.tgz", "set-[a-c]")):
        repo.delegate(by, role, *paths)
    for role, one in (("targets", "top"), ("A", "readme.md"), ("A", "README.MD"), ("C", "r/x/1"), ("D", "r/y/1.zip"),
                      ("D", "r/z/1.zip"), ("E", "v-1.tgz"), ("E", "v-12.tgz"), ("E", "set-b"), ("E", "set-d")):
        repo.add(role, one, one.encode())
    repo.publish("A", "B", "C", "D", "E", "targets", "snapshot", "timestamp")
    assert client.download(path) == found
    assert client.got() == ([path.encode()] if found else [])
    assert [one for one in repo.requests[4:] if not one.startswith("targets/")] == [f"1.{role}.json" for role in order]


def test_path_hash_prefixes(client, repo):
    mine, other = "a/1", "a/2"
    prefix = hashlib.sha256(mine.encode()).hexdigest()[:3]
    repo.delegate("targets", "A", path_hash_prefixes=[prefix])
    repo.add("A", mine)
    repo.add("A", other)
    repo.publish("A", "targets", "snapshot", "timestamp")
    assert client.download(mine) and not client.download(other)


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_bins(client, repo, bits):
    key, digits = repo.key("bins"), (bits + 3) // 4
    repo.targets["delegations"] = {"keys": {key.id: key.public}, "succinct_roles": {
        "keyids": [key.id], "threshold": 1, "bit_length": bits, "name_prefix": "bin"}}
    names = [f"bin-{n:0{digits}x}" for n in range(1 << bits)]
    for name in names:
        repo.bodies[name], repo.signers[name] = repo.body(name), ["bins"]
    paths = [f"a/{n}" for n in range(5)]
    bins = [names[int(hashlib.sha256(path.encode()).hexdigest()[:8], 16) >> (32 - bits)] for path in paths]
    for path, name in zip(paths, bins):
        repo.add(name, path, path.encode())
    repo.publish(*names, "targets", "snapshot", "timestamp")
    assert client.download(*paths), client.error
    assert client.got() == sorted(path.encode() for path in paths)
    assert {one for one in repo.requests if "bin-" in one} == {f"1.{name}.json" for name in bins}


def test_a_cached_role_is_verified_for_who_delegates_now(client, repo):
    repo.delegate("targets", "A", "a/*")
    repo.delegate("targets", "B", "b/*")
    repo.delegate("A", "C", "a/*")
    repo.delegate("B", "C", "b/*", key="another")
    repo.add("C", "a/x", b"a")
    repo.add("C", "b/x", b"b")
    repo.publish("A", "B", "C", "targets", "snapshot", "timestamp")
    assert not client.download("a/x", "b/x") and client.got() == [b"a"]
    assert not client.download("b/x") and client.got() == [b"a"]
    assert client.download("a/x")


def test_a_role_that_the_snapshot_does_not_list(client, repo):
    repo.delegate("targets", "A", "*")
    repo.publish()
    assert not client.download("x") and "does not list 'A.json'" in client.error and len(repo.requests) == 4


NAMES = ["?", "#", "/role", "../role", "..", "a b", "50%", "r\u00f4le", "r" * 200, "\u6ad3" * 60, "floor", "root@2", "role\n\x1b[31m"]


@pytest.mark.parametrize("role", NAMES)
def test_names_of_roles(client, repo, role):
    repo.delegate("targets", role, "*")
    repo.add(role, "x")
    repo.publish(role, "targets", "snapshot", "timestamp")
    assert client.download("x"), client.error
    quoted = sim.urllib.parse.quote(role, "")
    assert repo.requests[4] == f"1.{quoted}.json" and len(client.kept()) == 5
    assert sorted(client.metadata.parent.iterdir()) == sorted([client.metadata, client.targets, client.root])
    assert client.download("x") and repo.requests == IDLE
    repo.signers[role] = []
    repo.publish(role, "snapshot", "timestamp")
    assert not client.download("x") and client.error.isprintable() != client.error.endswith("\n")


# ---- targets

@pytest.mark.parametrize("path", ["x", "a/b/c.txt", "a b?#%.txt", "\u6ad3/\u6ad3", ".hidden", "-rf"])
def test_paths_of_targets(client, repo, path):
    repo.add("targets", path)
    repo.publish()
    assert client.download(path), client.error
    assert client.got() == [b"content"]
    assert client.download(path) and repo.requests == IDLE


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//b"])
def test_paths_that_lead_elsewhere(client, repo, path):
    repo.add("targets", path)
    repo.publish()
    assert not client.download(path) and "want no empty, '.' or '..' part in a path" in client.error
    assert client.got() == []


def test_a_target_of_no_bytes(client, repo):
    repo.add("targets", "x", b"")
    repo.publish()
    assert client.download("x"), client.error
    assert client.got() == [b""] and client.download("x") and repo.requests == IDLE


def test_a_target_is_fetched_once(client, repo):
    repo.add("targets", "x")
    repo.publish()
    assert client.download("x", "x") and len([one for one in repo.requests if one.startswith("targets/")]) == 1
    assert client.download("x") and repo.requests == IDLE
    (client.targets / "x").write_bytes(b"Content")
    assert client.download("x") and len(repo.requests) == 3 and client.got() == [b"content"]
    repo.add("targets", "x", b"new content")
    repo.publish()
    assert client.download("x") and client.got() == [b"new content"]


@pytest.mark.parametrize("served", [b"contenT", b"content and more", b"", None])
def test_other_bytes_than_signed(client, repo, served):
    repo.add("targets", "x")
    repo.add("targets", "y", b"good")
    repo.publish()
    repo.artifacts["x"] = served
    assert not client.download("x", "y") and client.got() == []
    assert client.download("y") and client.got() == [b"good"]


@pytest.mark.parametrize("algorithms", [["sha256"], ["sha512"], ["sha256", "sha512"]])
def test_hashes(client, repo, algorithms):
    repo.add("targets", "x", algorithms=algorithms)
    repo.publish()
    assert client.download("x") and client.got() == [b"content"]


def test_hashes_nobody_knows(client, repo):
    repo.add("targets", "x")
    repo.targets["targets"]["x"]["hashes"] = {"blake9": "00"}
    repo.add("targets", "y")
    repo.publish()
    assert not client.download("x") and "want a sha256 or sha512, have other hashes only" in client.error
    assert client.download("y")


# ---- the command line

def test_usage(folder):
    for args in ([], ["refresh", "now"], ["init"], ["upgrade"], ["--nonsense", "refresh"], ["--lang", "de", "refresh"]):
        done = subprocess.run([sim.PROGRAM, *args], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "usage: yagura-tuf" in done.stderr and done.stdout == ""
    for args, want in ((["refresh"], "want --metadata-dir"), (["--metadata-dir", folder, "refresh"], "want --metadata-url"),
                       (["--metadata-dir", folder, "download"], "want --target-name, --target-base-url and --target-dir"),
                       (["--metadata-dir", folder, "--metadata-url", "ftp://x", "refresh"], "want http:// or https://"),
                       (["--metadata-dir", folder, "init", folder / "none.json"], "none.json")):
        done = subprocess.run([sim.PROGRAM, *args], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and want in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_root_that_is_none(client, repo):
    doc = json.loads(repo.files["root", 1])
    doc["signatures"][0]["sig"] = "00" * 64
    for text in (b"", b"{}", json.dumps(doc).encode()):
        shutil.rmtree(client.metadata)
        repo.files["root", 1] = text
        assert not client.init()
        assert not client.refresh() and repo.requests == [] and "kept root.json" in client.error


def test_two_at_once(client, repo):
    repo.publish()
    args = [sim.PROGRAM, "--metadata-dir", client.metadata, "--metadata-url", client.url + "/metadata", "refresh"]
    both = [subprocess.Popen(args) for _ in range(4)]
    assert [one.wait(timeout=60) for one in both] == [0] * 4
    assert client.kept()["timestamp"] == 2
