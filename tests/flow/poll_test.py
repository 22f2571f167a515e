"""What asking costs: nothing new is two requests and less than a kilobyte, a day's news is five."""
import json
import shutil
import time

import pytest
import site_parts as parts
import web

KNOWN = {"Test.One": b"the first file that must be found\n"}


@pytest.fixture
def alone(site, folder):
    """An agent without a Manager, straight at a source that counts."""
    site.add_publisher()
    site.version = 0

    def release(component="am-pattern", *more):
        site.version += 1
        where = folder / f"content-{site.version}"
        if component == "am-yara":
            where.mkdir()
            (where / "test.yar").write_text('rule Test { strings: $a = "version %d" condition: $a }\n' % site.version)
        else:
            parts.content(where, {**KNOWN, f"Test.V{site.version}": b"only version %d\n" % site.version})
        site.publisher.release(where, *more, component=component)
    site.release = release
    release()
    site.web = site._with(web.Web(folder / "web", site.publisher.repository))

    def agent(name="agent", **more):
        conf = f"[update]\nsource = {site.web.url}\nca = {site.web.ca}\ntries = 1\n"
        return site.add_agent(name, activate=False, conf=conf, **more)
    site.agent = agent
    return site


def update(agent, check=True):
    done = parts.run("yagura", "--json", "--root", agent.root, "agent", "update", check=False)
    answer = json.loads(done.stdout) if done.stdout.strip() else {}
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return answer


def test_nothing_new_is_two_requests_on_one_connection(alone):
    agent = alone.agent()
    update(agent)
    time.sleep(4)  # an entity tag made of size and second says nothing at once
    update(agent)
    alone.web.reset()
    update(agent)
    assert alone.web.requests == ["/metadata/2.root.json", "/metadata/timestamp.json"]
    assert alone.web.connections == 1
    assert alone.web.bytes_in + alone.web.bytes_out <= 1024, (alone.web.bytes_in, alone.web.bytes_out)


def test_news_of_one_class_are_five_requests(alone):
    alone.release("am-yara")
    agent = alone.agent()
    update(agent)
    alone.release()
    alone.web.reset()
    assert [u["name"] for u in update(agent)["updated"]] == ["am-pattern"]
    asked = alone.web.paths()
    assert len(asked) == 5, asked  # root, timestamp, snapshot, the role, the manifest that changed
    assert alone.web.connections == 1
    assert sum(p.startswith("/targets/") for p in asked) == 1


def test_manifests_that_nobody_names_are_forgotten(alone):
    agent = alone.agent()
    update(agent)
    kept = agent.state / "state/manifests"
    before = {p.name for p in kept.iterdir()}
    (kept / "left over").write_text("by somebody")
    alone.release()
    update(agent)
    after = {p.name for p in kept.iterdir()}
    assert len(after) == len(before) == 1 and after != before


BROKEN = {
    "flipped": lambda p: p.write_bytes(bytes([p.read_bytes()[0] ^ 1]) + p.read_bytes()[1:]),
    "flipped at its end": lambda p: p.write_bytes(p.read_bytes()[:-9] + bytes([p.read_bytes()[-9] ^ 1]) + p.read_bytes()[-8:]),
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:len(p.read_bytes()) // 2]),
    "a folder": lambda p: (p.unlink(), (p / "x").mkdir(parents=True)),
    "a link": lambda p: (p.unlink(), p.symlink_to("/etc/passwd")),
    "gone": lambda p: p.unlink(),
}


def kept_files(agent):
    state = agent.state / "state"
    return sorted(p for folder in ("tuf", "manifests") for p in (state / folder).iterdir()) + [state / "floor.json"]


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_cache_is_mended_in_the_same_run(alone, how):
    agent = alone.agent()
    update(agent)
    good = {p: p.read_bytes() for p in kept_files(agent)}
    live = agent.lib()
    assert {"floor.json", "root.json", "timestamp.json", "snapshot.json", "targets.json", "am.json"} <= {p.name for p in good}
    for path in good:
        BROKEN[how](path)
        assert update(agent)["outcome"] == "success", path
        assert agent.lib() == live
    update(agent)
    for path, data in good.items():
        if path.name != "timestamp.etag":
            assert path.is_file() and not path.is_symlink() and path.read_bytes() == data, path


@pytest.mark.parametrize("wiped", ["nothing", "the cache", "the objects", "both"])
def test_an_old_repository_is_refused_whatever_was_wiped(alone, folder, wiped):
    """A relay or a server that replays: what is below is no older content believed survives the cache."""
    old = folder / "old"
    agent = alone.agent()
    update(agent)
    shutil.copytree(alone.publisher.repository, old)
    alone.release()
    update(agent)
    newest = agent.lib()
    for folder_name, which in (("state/tuf", "the cache"), ("state/manifests", "the cache"), ("iaurepo", "the objects")):
        if wiped in (which, "both"):
            for path in (agent.state / folder_name).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    alone.web.repository = old
    answer = update(agent, check=False)
    assert answer["outcome"] == "failed" and answer["cause"] == "tuf.rollback", answer
    assert "\n" not in answer["sentence"]
    assert agent.lib() == newest
    alone.web.repository = alone.publisher.repository
    assert update(agent)["outcome"] == "success"
    assert agent.lib() == newest


def test_a_relay_that_finds_nothing_new_asks_for_no_more(line):
    line.update()
    before = len(line.site.source.access_log.read_text().splitlines())
    assert line.update()["outcome"] == "success"
    asked = {row.split()[1] for row in line.site.source.access_log.read_text().splitlines()[before:]}
    asked = {path for path in asked if not path.startswith("/targets/")}  # the Manager looks, too, and keeps no manifests
    assert asked <= {"/metadata/2.root.json", "/metadata/timestamp.json"}, asked
    assert set(line.found()) == {"Test.One", "Test.Two"}


def test_a_relay_whose_mirror_is_gone_fills_it_again_without_asking_for_metadata(line):
    line.update()
    for path in (line.relay.state / "relay/metadata").iterdir():
        path.unlink()
    line.relay.close()
    line.relay.start()
    job = line.update()
    assert job["outcome"] == "success", [(c["name"], c["cause"], c["sentence"]) for c in job["computers"]]
    assert (line.relay.state / "relay/metadata/timestamp.json").exists()
    line.site.add_agent("late")
    job = line.update()
    assert job["outcome"] == "success", [(c["name"], c["cause"], c["sentence"]) for c in job["computers"]]
