"""A release that opens in waves: every computer has a seat; relays and people do not wait; what is withdrawn is left."""

import pytest
import site_parts as parts


@pytest.fixture
def waves(line):
    """Two agents: one early in every rollout, one at its end. Both have version 1."""
    line.late = line.site.add_agent("late", keep=True)
    line.update()
    for agent, seat in ((line.agent, 10), (line.late, 9990)):
        (agent.state / "state/seat").write_text(f"{seat}\n")
    return line


def version(agent):
    return agent.components()["am-pattern"]


def part(job, name):
    return next(c for c in job["computers"] if c["name"] == name and c["as"] != "relay")


def test_a_scheduled_run_waits_for_its_wave_and_a_person_does_not(waves):
    waves.known["Test.Three"] = b"only version two knows this\n"
    waves.release(2, "--wave", "2026-01-01T00:00:00Z:50", "--wave", "+48h:100")
    job = waves.update(scheduled=True)
    assert job["outcome"] == "success", [(c["name"], c["cause"], c["sentence"]) for c in job["computers"]]
    assert (version(waves.agent), version(waves.late)) == (2, 1)
    waiting = part(job, "late")
    assert waiting["cause"] == "update.wave" and "am-pattern version 2" in waiting["sentence"], waiting
    assert set(waves.found(waves.late)) == {"Test.One", "Test.Two"}
    # by hand, here
    waves.late.cli("update")
    assert version(waves.late) == 2
    assert set(waves.found(waves.late)) == set(waves.known)


def test_a_person_at_the_console_does_not_wait(waves):
    waves.release(2, "--wave", "2026-01-01T00:00:00Z:50", "--wave", "+48h:100")
    assert waves.update()["outcome"] == "success"
    assert (version(waves.agent), version(waves.late)) == (2, 2)


def test_a_withdrawn_release_is_left(waves):
    waves.known["Test.Three"] = b"flags clean files\n"
    waves.release(2)
    waves.update(scheduled=True)
    assert (version(waves.agent), version(waves.late)) == (2, 2)
    publisher = waves.site.publisher
    parts.run("yagura-publish", "withdraw", publisher.repository, "am-pattern", "2", "--reason", "flags clean files",
              "--keys", publisher.keys)
    job = waves.update(scheduled=True)
    assert job["outcome"] == "success", [(c["name"], c["cause"], c["sentence"]) for c in job["computers"]]
    assert (version(waves.agent), version(waves.late)) == (1, 1)
    del waves.known["Test.Three"]
    assert set(waves.found()) == set(waves.known)


def test_a_new_computer_does_not_wait(waves):
    waves.release(2, "--wave", "+48h:100")
    waves.update(scheduled=True)
    new = waves.site.add_agent("new", activate=False, keep=True)
    (new.state / "state").mkdir(exist_ok=True)
    (new.state / "state/seat").write_text("9999\n")
    new.activate(waves.manager)
    parts.until("it to be online", lambda: (waves.manager.computer("new") or {}).get("agent_state") == "online")
    job = waves.update(scheduled=True)
    assert job["outcome"] == "success", [(c["name"], c["cause"], c["sentence"]) for c in job["computers"]]
    assert version(new) == 1  # the earlier release: it has one to take
    assert set(waves.found(new)) == {"Test.One", "Test.Two"}


def test_a_seat_is_drawn_once(waves):
    new = waves.site.add_agent("new", keep=True)
    waves.update()
    drawn = (new.state / "state/seat").read_text()
    assert 0 <= int(drawn) <= 9999
    new.close()
    new.start()
    waves.update()
    assert (new.state / "state/seat").read_text() == drawn
