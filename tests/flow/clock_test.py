"""Time: metadata that has expired, a clock that is behind or ahead. Protection goes on, and somebody is told."""
import contextlib
import datetime
import os
import time

import alone as lib
import pytest
import site_parts as parts
from alone import ask, events, found, update

EXPIRED, FRESH, BEHIND, STAYS, AGAIN = 20111, 20112, 20113, 20115, 20116


def at(**away):
    """--now, so far from now."""
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**away)
    return "--now", then.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def made(site, folder):
    made = lib.Alone(site, folder)
    made.release()
    made.source()
    return made


def alarms(agent):
    return {a["name"]: a["cause"] for a in ask(agent, "status")[1]["alarms"]}


def damage(agent):
    """Flip a byte in what is in use, object and set, as a bad disk would."""
    path = agent.state / "lib/am-pattern/test.hsb"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    os.chmod(path, 0o644)
    path.write_bytes(data)
    return path


def test_expired_metadata_is_told_once_and_stops_nothing(made, folder):
    agent = made.agent()
    update(agent)
    live = agent.lib()
    made.publish("resign", "--timestamp-days", "1", *at(days=-3))
    for _ in range(2):
        answer = update(agent, good=False)
        assert (answer["outcome"], answer["cause"]) == ("failed", "tuf.expired"), answer
        assert "\n" not in answer["sentence"] and "expired" in answer["sentence"]
        assert agent.lib() == live
        assert found(agent, folder) == {"Test.One"}
    assert events(agent, EXPIRED, FRESH) == [EXPIRED]
    assert alarms(agent) == {"expired": "tuf.expired"}
    assert "expired" in agent.cli("status").lower()
    assert "有効期限" in agent.cli("status", lang="ja")

    # a restart does not tell it again
    agent.close()
    agent.start()
    update(agent, good=False)
    assert alarms(agent) == {"expired": "tuf.expired"}
    assert events(agent, EXPIRED).count(EXPIRED) <= 1

    made.publish("resign")
    assert update(agent)["outcome"] == "success"
    assert events(agent, FRESH) == [FRESH]
    assert alarms(agent) == {}


def test_what_is_trusted_still_heals_when_it_has_expired(made, folder):
    agent = made.agent()
    update(agent)
    whole = (agent.state / "lib/am-pattern/test.hsb").read_bytes()
    made.publish("resign", "--timestamp-days", "1", *at(days=-3))
    damage(agent)
    answer = update(agent, good=False)
    assert (answer["outcome"], answer["cause"]) == ("failed", "tuf.expired"), answer
    assert (agent.state / "lib/am-pattern/test.hsb").read_bytes() == whole
    assert found(agent, folder) == {"Test.One"}


def test_a_clock_that_is_behind_is_named(made):
    agent = made.agent()
    made.publish("resign", *at(days=2))
    answer = update(agent)
    assert answer["outcome"] == "success"
    assert events(agent, BEHIND) == [BEHIND]
    assert alarms(agent) == {"clock": "clock.behind"}
    made.publish("resign", *at(days=2))
    update(agent)
    assert events(agent, BEHIND) == [BEHIND]


def test_turning_the_clock_back_thaws_nothing(site, folder):
    """What has expired at the newest signed time has expired, whatever this computer's clock says."""
    made = lib.Alone(site, folder, "--targets-days", "10")
    made.release("am-pattern", "--targets-days", "10")
    made.source()
    agent = made.agent()
    update(agent)
    made.publish("resign", "--timestamp-days", "30", *at(days=20))  # the class is fresh by our clock alone
    answer = update(agent, good=False)
    assert answer["cause"] == "tuf.expired", answer
    roles = ("targets", "am", "wr", "fw", "ips", "im", "li")  # what has expired does not keep its publisher from renewing it
    made.publish("resign", *(word for role in roles for word in ("--role", role)), *at(days=20))
    assert update(agent)["outcome"] == "success"


def test_when_everything_has_expired_the_clock_is_suspected(site, folder):
    days = [word for role in ("root", "targets", "snapshot", "timestamp") for word in (f"--{role}-days", "1")]
    then = at(days=-1, seconds=25)
    ends = time.monotonic() + 27
    made = lib.Alone(site, folder, *days, *then)
    made.release("am-pattern", *days[2:], *then)
    made.source()
    agent = made.agent()
    update(agent)
    time.sleep(max(0, ends - time.monotonic()))
    answer = update(agent, good=False)
    assert answer["cause"] == "clock.ahead", answer
    assert alarms(agent) == {"expired": "clock.ahead"}
    assert found(agent, folder) == {"Test.One"}


def test_one_expired_class_does_not_hold_the_others_up(site, folder):
    """The component stays, by name; the others go on."""
    made = lib.Alone(site, folder)
    made.release("am-pattern")
    made.release("wr-list")
    made.source()
    agent = made.agent()
    update(agent)
    versions = agent.components()
    for release in (("am-pattern", "--targets-days", "1", *at(days=-3)), ("wr-list",)):
        with contextlib.suppress(parts.Failed):  # it is published, and the publisher says what is wrong with it
            made.release(*release)
    answer = update(agent, good=False)
    assert (answer["outcome"], answer["cause"]) == ("failed", "update.partial"), answer
    assert "am-pattern stays at version" in answer["sentence"]
    assert [u["name"] for u in answer["updated"]] == ["wr-list"]
    after = agent.components()
    assert after["am-pattern"] == versions["am-pattern"] and after["wr-list"] > versions["wr-list"]
    assert events(agent, STAYS, AGAIN) == [STAYS]
    update(agent, good=False)
    assert events(agent, STAYS, AGAIN) == [STAYS]
    assert found(agent, folder) == {"Test.One"}
    made.publish("resign", "--role", "am")
    assert update(agent)["outcome"] == "success"
    assert agent.components()["am-pattern"] > versions["am-pattern"]
    assert events(agent, STAYS, AGAIN) == [STAYS, AGAIN]


def test_a_release_for_other_engines_only_leaves_the_one_before(made, folder):
    agent = made.agent()
    update(agent)
    before = agent.components()
    made.release("am-pattern", "--abi-min", "900")
    made.release("wr-list")
    answer = update(agent)
    assert (answer["outcome"], answer["cause"]) == ("success", "update.partial"), answer
    assert "am-pattern stays at version" in answer["sentence"]
    assert agent.components()["am-pattern"] == before["am-pattern"]
    assert "wr-list" in agent.components()
    assert events(agent, STAYS) == [STAYS]
    assert found(agent, folder) == {"Test.One"}
