"""A site without internet: its relay gets a bundle, and serves its agents. A bundle is trusted as little as a server."""

import alone as lib
import pytest
import site_parts as parts
from alone import ask, found, update


@pytest.fixture
def made(site, folder):
    made = lib.Alone(site, folder)
    made.release()

    def bundle(name, *more):
        out = folder / name
        parts.run("yagura-publish", "bundle", made.publisher.repository, "--keys", made.publisher.keys,
                  "--out", out, *more)
        return out
    made.bundle = bundle
    return made


def test_an_agent_updates_from_a_bundle(made, folder):
    agent = made.agent()
    first = made.bundle("first.tar")
    answer = update(agent, "--bundle", first)
    assert answer["outcome"] == "success" and agent.lib() == answer["set"]
    assert found(agent, folder) == {"Test.One"}
    made.release()
    second = made.bundle("second.tar")
    assert [u["to"] for u in update(agent, "--bundle", second)["updated"]] == [2]
    newest = agent.lib()

    # an old one is refused, in one sentence
    answer = update(agent, "--bundle", first, good=False)
    assert (answer["outcome"], answer["cause"]) == ("failed", "tuf.rollback"), answer
    assert "\n" not in answer["sentence"]
    assert agent.lib() == newest
    assert found(agent, folder) == {"Test.One"}
    assert update(agent, "--bundle", second)["updated"] == []


BAD = {
    "empty": lambda p: p.write_bytes(b""),
    "cut": lambda p: p.write_bytes(p.read_bytes()[:p.stat().st_size // 2]),
    "text": lambda p: p.write_text("no bundle at all\n" * 100),
    "flipped": lambda p: p.write_bytes(p.read_bytes().replace(b'"signed_at"', b'"singed_at"')),
    "of somebody else": None,
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_bundle_changes_nothing(made, folder, how):
    agent = made.agent()
    update(agent, "--bundle", made.bundle("good.tar"))
    live = agent.lib()
    made.release()
    bad = made.bundle("bad.tar")
    if BAD[how]:
        BAD[how](bad)
    else:
        other = parts.Publisher(folder / "other")
        other.release(parts.content(folder / "evil", {"Evil": b"evil"}))
        bad = folder / "evil.tar"
        parts.run("yagura-publish", "bundle", other.repository, "--keys", other.keys, "--out", bad)
    answer = update(agent, "--bundle", bad, good=False)
    assert answer["outcome"] == "failed" and answer["cause"] and "\n" not in answer["sentence"], answer
    assert agent.lib() == live
    assert found(agent, folder) == {"Test.One"}


def test_a_file_that_is_not_there(made, folder):
    status, answer = ask(made.agent(), "update", "--bundle", folder / "nothing")
    assert status == 1 and "nothing" in answer["stderr"] and len(answer["stderr"].strip().splitlines()) == 1


def test_a_relay_without_a_source_serves_what_a_bundle_brings(site, folder, made):
    manager = site.add_manager()
    relay = site.add_agent("relay", relay=True)
    agents = [site.add_agent(name) for name in ("one", "two")]
    for version in (1, 2):
        answer = update(relay, "--bundle", made.bundle(f"{version}.tar"))
        assert answer["outcome"] == "success", answer
        assert relay.components() == {"am-pattern": version}
        parts.until("the relay to say so", lambda: (relay.status()["relay"] or {}).get("set") == relay.lib())
        for agent in agents:
            assert update(agent)["outcome"] == "success"
            assert agent.lib() == relay.lib()
            assert found(agent, folder) == {"Test.One"}
        made.release()
    # one that was made for computers that have version 2: deltas, and no more than they need
    last = made.bundle("last.tar", "--from", "am-pattern=2")
    assert update(relay, "--bundle", last)["outcome"] == "success"
    for agent in agents:
        assert update(agent)["outcome"] == "success"
        assert agent.components() == {"am-pattern": 3}
    assert manager.computer("relay")
