"""Keys come and go while readers look: agents, mirrors, a second publisher. None of them needs a hand."""
import filecmp
import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import socket
import subprocess
import threading

import pytest
import site_parts as parts

ROLES = ["timestamp", "snapshot", "targets", "am", "root"]


def publish(*words, check=True, lang="en"):
    return parts.run("yagura-publish", *words, "--lang", lang, check=check)


def said(*words):
    return json.loads(publish(*words, "--json"))


def rotate(line, verb, role):
    return said(verb, line.site.publisher.repository, role, "--keys", line.site.publisher.keys)


def versions(repository):
    return {r["role"]: r["version"] for r in said("show", repository)["roles"]}


# ---- agents ----

@pytest.mark.parametrize("verb", ["rotate-key", "revoke-key"])
def test_agents_follow_the_new_keys_of_every_role(line, verb):
    assert line.update()["outcome"] == "success"
    for version, role in enumerate(ROLES, 2):
        done = rotate(line, verb, role)
        assert [r["role"] for r in done["replaced"]] == [role] and not done.get("pending")
        line.known[f"Test.After.{role}"] = f"found only after new keys of {role}\n".encode()
        line.release(version)
        job = line.update()
        assert job["outcome"] == "success", (role, job)
        for agent in (line.relay, line.agent):
            assert agent.components()["am-pattern"] == version, role
    assert set(line.found()) == set(line.known)
    assert versions(line.site.publisher.repository)["root"] == 5
    # Who was installed with the first root and never saw any of it gets there too.
    late = line.site.add_agent("late")
    line.update()
    assert late.components()["am-pattern"] == 1 + len(ROLES)


def test_a_relay_whose_root_is_damaged_serves_the_right_one_again(line):
    assert line.update()["outcome"] == "success"
    rotate(line, "rotate-key", "timestamp")
    line.release(2)
    assert line.update()["outcome"] == "success"
    name = "metadata/2.root.json"
    served = line.relay.state / "relay" / name
    good = (line.site.publisher.repository / name).read_bytes()
    assert served.read_bytes() == good
    served.unlink()
    served.write_bytes(good.replace(b"2", b"3"))
    line.update()
    assert served.read_bytes() == good


def test_agents_come_back_from_versions_that_stolen_keys_signed(line, folder):
    """Whoever has the online keys can outrun the publisher; new keys take agents back (fast-forward recovery)."""
    publisher = line.site.publisher
    assert line.update()["outcome"] == "success"
    ours = folder / "ours"
    shutil.copytree(publisher.repository, ours, symlinks=True)
    for _ in range(30):
        publish("resign", publisher.repository, "--keys", publisher.keys)
    line.update()
    assert versions(publisher.repository)["timestamp"] == 32
    # The publisher still has what it last made, and makes new keys there.
    for name in os.listdir(publisher.repository):
        shutil.rmtree(publisher.repository / name)
    shutil.copytree(ours, publisher.repository, symlinks=True, dirs_exist_ok=True)
    publish("revoke-key", publisher.repository, "timestamp", "snapshot", "--keys", publisher.keys)
    line.known["Test.Ours"] = b"ours again\n"
    line.release(2)
    assert versions(publisher.repository)["timestamp"] < 32
    job = line.update()
    assert job["outcome"] == "success", job
    assert line.agent.components()["am-pattern"] == line.relay.components()["am-pattern"] == 2


# ---- a ceremony ----

def type_answers(words, answers):
    """Run a command at a terminal of its own; everything the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["LC_ALL"] = "C"
        os.execv(parts.BIN / "yagura-publish", ["yagura-publish", *map(str, words)])
    shown = b""
    try:
        left = list(answers)
        while select.select([terminal], [], [], 60)[0]:
            try:
                more = os.read(terminal, 4096)
            except OSError:
                break
            if not more:
                break
            shown += more
            if more.endswith(b": ") and left:
                os.write(terminal, left.pop(0).encode() + b"\n")
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_passphrases_are_asked_for_and_never_shown(folder):
    media = folder / "medium"
    media.mkdir()
    repository = folder / "r"
    code, shown = type_answers(["init", repository, "--root-key-dir", media], ["open sesame", "open sesam"])
    assert code == 1 and "the two are not the same" in shown and "sesam" not in shown
    code, shown = type_answers(["init", repository, "--root-key-dir", media], ["open sesame", "open sesame"])
    assert code == 0, shown
    assert f"Passphrase for {media} (new): " in shown and "Again: " in shown and "sesame" not in shown
    assert "ENCRYPTED" in (media / "root.pem").read_text()
    # Without a terminal there is nobody to ask.
    done = publish("resign", repository, "--role", "root", "--root-key-dir", media, check=False)
    assert done.returncode == 1 and "it is encrypted, and no passphrase was given" in done.stderr
    code, shown = type_answers(["resign", repository, "--role", "root", "--root-key-dir", media], ["open sesame"])
    assert code == 0 and f"Passphrase for {media}/root.pem: " in shown, shown
    assert versions(repository)["root"] == 2
    code, shown = type_answers(["resign", repository, "--role", "root", "--root-key-dir", media], ["\x03"])
    assert code == 1 and "interrupted" in shown


# ---- one at a time ----

def test_a_second_publisher_is_told_who_is_there(folder):
    repository = folder / "r"
    publish("init", repository)
    fd = os.open(repository / "metadata", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        for words in (["resign", repository], ["rotate-key", repository, "timestamp"]):
            done = publish(*words, check=False)
            assert done.returncode == 1
            assert f"another publisher is working on it: process {os.getpid()} on {socket.gethostname()}" in done.stderr
        publish("show", repository)
    finally:
        os.close(fd)


def test_a_timer_hears_nothing_until_something_is_due(folder):
    repository = folder / "r"
    day = "2026-11-{:02}T00:00:00Z"
    publish("init", repository, "--now", day.format(1))
    # Only the online keys are there.
    keys = folder / "r.keys"
    for key in keys.glob("*"):
        if key.stem not in ("timestamp", "snapshot"):
            key.unlink()
    assert publish("resign", repository, "--if-due", "3", "--now", day.format(4)) == ""
    assert versions(repository)["timestamp"] == 1
    quiet = json.loads(publish("resign", repository, "--if-due", "3", "--now", day.format(4), "--json"))
    assert not quiet["timestamp"] and quiet["next"] == "timestamp" and quiet["expires"] == day.format(8)
    done = said("resign", repository, "--if-due", "3", "--now", day.format(5))
    assert done["timestamp"] and not done["snapshot"] and done["expires"] == day.format(12)
    done = said("resign", repository, "--if-due", "3", "--now", day.format(12))
    assert done["timestamp"] and done["snapshot"]
    signed = json.loads((repository / "metadata/timestamp.json").read_text())["signed"]
    assert signed["signed_at"] == day.format(12)


def test_the_same_in_the_same_out(folder):
    """Same files, time and keys: the same bytes, whatever is done in between."""
    source = parts.content(folder / "content", {"Test.One": b"one"})
    for name in ("a", "b"):
        where = folder / name
        where.mkdir()
        if name == "b":
            shutil.copytree(folder / "a/keys-as-made", where / "keys")
        common = ["--keys", where / "keys", "--now", "2026-11-21T00:00:00Z"]
        publish("init", where / "r", *common)
        if name == "a":
            shutil.copytree(where / "keys", where / "keys-as-made")
        publish("release", where / "r", "am-pattern", *common, "--from", source)
        publish("resign", where / "r", *common, "--role", "root", "--role", "am")

    def differences(left, right):
        one = filecmp.dircmp(left, right)
        _, wrong, odd = filecmp.cmpfiles(left, right, one.common_files, shallow=False)
        return one.left_only + one.right_only + wrong + odd + [d for name in one.common_dirs
                                                               for d in differences(f"{left}/{name}", f"{right}/{name}")]
    assert differences(folder / "a/r", folder / "b/r") == []


# ---- readers, while it is published ----

def rsync(*words):
    # 23, 24: a temporary name was there in the list and is not any more
    done = subprocess.run(["rsync", "-rlt", *map(str, words)], capture_output=True, text=True)
    assert done.returncode in (0, 23, 24), done.stderr


def mirror(source, target, fresh):
    """The way of docs/repository.md: what decides first, aside; the rest; then what decides, in its place."""
    rsync("--delete", "--include=/metadata/", "--include=/metadata/*.root.json", "--include=/metadata/timestamp.json",
          "--exclude=*", f"{source}/", f"{fresh}/")
    rsync("--exclude=/metadata/*.root.json", "--exclude=/metadata/timestamp.json", "--exclude=*.tmp", f"{source}/",
          f"{target}/")
    os.replace(fresh / "metadata/timestamp.json", target / "metadata/timestamp.json")
    for root in sorted((fresh / "metadata").glob("*.root.json")):
        os.replace(root, target / "metadata" / root.name)


def keep_publishing(folder, repository, stop, failures):
    try:
        for n in range(1, 1000):
            if stop.is_set():
                return
            source = parts.content(folder / "changing", {f"Test.{n}": f"signature {n}".encode()})
            publish("release", repository, "am-pattern", "--from", source)
            publish("rotate-key", repository, ROLES[n % len(ROLES)])
            publish("resign", repository)
    except BaseException as why:  # noqa: B902 - told to the test
        failures.append(why)
        raise


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")
def test_readers_and_mirrors_find_a_whole_repository_at_any_time(folder):
    repository, trust = folder / "r", folder / "trust.json"
    publish("init", repository)
    publish("trust", repository, "--out", trust)
    publish("release", repository, "am-pattern", "--from", parts.content(folder / "c", {"Test.0": b"zero"}))
    target, fresh, plain = folder / "mirror", folder / "fresh", folder / "plain"
    stop, failures = threading.Event(), []
    publisher = threading.Thread(target=keep_publishing, args=(folder, repository, stop, failures))
    mirror(repository, target, fresh)
    seen, checked = set(), 0
    publisher.start()
    try:
        while len(seen) < 12 and not failures:
            for where in (repository, target):
                done = publish("verify", where, "--root", trust, "--json", check=False)
                assert done.returncode == 0, (where, checked, done.stderr)
                checked += 1
            seen.add(next(r["version"] for r in json.loads(done.stdout)["roles"] if r["role"] == "timestamp"))
            mirror(repository, target, fresh)
            rsync("--exclude=*.tmp", f"{repository}/", f"{plain}/")
    finally:
        stop.set()
        publisher.join()
    assert not failures
    # One careless copy may have come at a bad moment: the next one is whole. By content: two publications in one
    # second leave a timestamp.json of the same size and time, which rsync's quick look takes for the same.
    rsync("--checksum", f"{repository}/", f"{plain}/")
    publish("verify", plain, "--root", trust)
    assert not [p for p in pathlib.Path(repository).rglob("*.tmp")]
