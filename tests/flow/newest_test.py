"""The Manager's own idea of what is newest (U7): from the source or a relay, verified, never guessed."""
import hashlib
import json
import os
import shutil
import time

import pytest
import site_parts as parts

SIGNATURES = {"Test.One": b"the first file that must be found\n"}


@pytest.fixture
def made(site, folder):
    site.add_publisher()
    site.version = 0

    def release():
        site.version += 1
        known = {**SIGNATURES, f"Test.V{site.version}": b"only version %d\n" % site.version}
        site.publisher.release(parts.content(folder / f"content-{site.version}", known), "--version", str(site.version))

    site.release = release
    release()
    site.add_source()
    site.add_manager()
    return site


def newest(manager):
    return manager.call("GET", "/components")["newest"]


def test_the_newest_set(made):
    manager = made.manager
    assert newest(manager) is None
    made.point_manager_at_source()
    first = parts.until("the newest set to be known", lambda: newest(manager))
    assert [(c["name"], c["version"]) for c in first["components"]] == [("am-pattern", 1)]
    assert manager.call("GET", "/status")["newest"]["set"] == first["set"]
    # no objects were fetched: metadata and manifests are enough
    assert "/objects/" not in made.source.access_log.read_text()

    made.release()
    made.point_manager_at_source()  # setting the source makes it look
    second = parts.until("version 2", lambda: (lambda n: n if n["set"] != first["set"] else None)(newest(manager)))
    assert [(c["name"], c["version"]) for c in second["components"]] == [("am-pattern", 2)]


def log_line(manager, word, before):
    """The last one that has it, as soon as there is one."""
    return parts.until(f"the log to say {word}", lambda: next(
        (li for li in reversed(manager.process.log.read_text().splitlines()[before:]) if word in li), None))


def until_check_says(manager, word, before):
    """A look that was under way may say something else first."""
    parts.until(f"a look to say {word}", lambda: word in log_line(manager, "content.check", before))


def files(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("damage,cause", [("timestamp", "timestamp"), ("gone", "refused"), ("page", "timestamp")])
def test_what_does_not_verify_changes_nothing(made, damage, cause):
    manager = made.manager
    made.point_manager_at_source()
    first = parts.until("the newest set to be known", lambda: newest(manager))
    state = manager.root / "var/opt/yagura/manager/tuf"
    kept = files(state)
    made.release()
    if damage == "timestamp":
        path = made.publisher.repository / "metadata/timestamp.json"
        whole = json.loads(path.read_text())
        whole["signed"]["version"] += 1
        os.chmod(path, 0o644)
        path.write_text(json.dumps(whole))
    elif damage == "page":
        path = made.publisher.repository / "metadata/timestamp.json"
        os.chmod(path, 0o644)
        path.write_text("<html><body>Access denied</body></html>")
    else:
        made.source.process.stop()
    before = len(manager.process.log.read_text().splitlines())
    made.point_manager_at_source()  # setting the source makes it look
    line = log_line(manager, "content.check", before)
    assert cause in line.lower(), line
    assert newest(manager)["set"] == first["set"]
    assert files(state) == kept


def test_without_a_root_it_says_so(made):
    manager = made.manager
    manager.process.stop()
    (manager.root / "var/opt/yagura/manager/root.json").unlink()
    manager.start()
    before = len(manager.process.log.read_text().splitlines())
    made.point_manager_at_source()
    until_check_says(manager, "root.json", before)
    assert newest(manager) is None


def test_another_publisher_is_not_believed(made, folder):
    manager = made.manager
    other = parts.Publisher(folder / "other")
    (manager.root / "var/opt/yagura/manager/root.json").write_bytes(other.trust.read_bytes())
    manager.process.stop()
    manager.start()
    before = len(manager.process.log.read_text().splitlines())
    made.point_manager_at_source()
    until_check_says(manager, "timestamp", before)
    assert newest(manager) is None


def test_a_relay_when_the_source_is_away(made, folder):
    manager = made.manager
    made.point_manager_at_source()
    first = parts.until("the newest set to be known", lambda: newest(manager))
    made.add_agent("relay", relay=True)
    done = manager.wait_job(manager.job(relays=True))
    assert done["outcome"] == "success", done
    # a Manager that has forgotten what it saw, and a source that is gone
    manager.process.stop()
    shutil.rmtree(manager.root / "var/opt/yagura/manager/tuf")
    made.source.process.stop()
    manager.start()
    parts.until("the relay to be known", lambda: manager.computer("relay")["agent_state"] == "online")
    before = len(manager.process.log.read_text().splitlines())
    checked = newest(manager)["checked"]
    time.sleep(1)  # it is a time in whole seconds: two checks can have the same
    made.point_manager_at_source()
    parts.until("a check at the relay", lambda: newest(manager)["checked"] > checked)
    assert newest(manager)["set"] == first["set"]
    assert "content.check" not in "".join(manager.process.log.read_text().splitlines()[before:])
    assert (manager.root / "var/opt/yagura/manager/tuf/cache/timestamp.json").exists()


def test_the_manager_is_not_turned_back_either(made, folder):
    """Its cache is gone, and somebody replays an old repository: what it has seen before is newer."""
    manager = made.manager
    old = folder / "old"
    shutil.copytree(made.publisher.repository, old)
    made.release()
    made.point_manager_at_source()
    newer = parts.until("the newest set to be known", lambda: newest(manager))
    manager.process.stop()
    shutil.rmtree(manager.root / "var/opt/yagura/manager/tuf/cache")
    for path in sorted(made.publisher.repository.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    shutil.copytree(old, made.publisher.repository, dirs_exist_ok=True)
    manager.start()
    before = len(manager.process.log.read_text().splitlines())
    made.point_manager_at_source()
    until_check_says(manager, "want", before)
    assert newest(manager)["set"] == newer["set"]
