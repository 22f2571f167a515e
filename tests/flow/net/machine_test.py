"""What is wrong with the computer itself: its disk, its clock, processes that die."""
import contextlib
import dataclasses
import itertools
import os
import random
import signal
import time
import typing

import clocks
import pytest
import site_parts as parts
import steps
from cases import Case
from lab import disks, places
from lab import site as lab_site

AGENTS = ("direct", "relay")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if why := places.why_not():
        pytest.skip(why)
    with lab_site.Lab(tmp_path_factory.mktemp("m"), disk=disks.Image, keep=True) as made:
        made.settings(update={"tries": 3}, relay_update={"tries": 3})  # who is killed does not answer once
        yield made


@dataclasses.dataclass(frozen=True)
class Disk(Case):
    """events  who tells of it besides the Manager: nothing, when the disk cannot even keep that"""
    events: tuple = ()
    mend: typing.Callable = None


def fill(lab, at):
    lab.disks[at].fill()


def fill_nearly(lab, at):
    lab.disks[at].fill(leave=200 << 10)


def empty(lab, at):
    lab.disks[at].empty()


def fail(lab, at):
    lab.disks[at].fail()


def repair(lab, at):
    lab.restart(at, between=lab.disks[at].repair)


DISKS = [
    Disk("the disk is full", "store.disk_full", fill, AGENTS, says=("No space left",), mend=empty),
    Disk("the disk is nearly full", "store.disk_full", fill_nearly, AGENTS, says=("MiB",), mend=empty,
         events=(steps.AGENT_FAILED,)),
    Disk("the disk becomes read-only", "store.read_only", fail, AGENTS, says=("Read-only file system",), mend=repair),
]


@pytest.mark.parametrize("case,name", steps.rows(DISKS))
def test_the_disk_of_an_agent(lab, case, name):
    """What is in use stays, also when nothing can be written down; when there is room again, all goes on."""
    agent = lab.agents[name]
    lab.release()
    wanted = {steps.FAILED} | ({steps.GROUP_FAILED} if name == "relay" else set(case.events))
    try:
        steps.computer_fails(lab, name, case, wanted, log=None if case.events else lambda: agent.process.tail(50),
                             judged=lambda agent: steps.no_room(agent) in (["Test.One"], ["space"]))
    finally:
        case.mend(lab, name)
    lab.online(name)
    steps.computer_is_well(lab, name)


MANAGER_DISKS = [
    Disk("the disk is full", "store.disk_full", fill, ("manager",), mend=empty),
    Disk("the disk fails", "store.io", fail, ("manager",), mend=repair),
]


@pytest.mark.parametrize("case", MANAGER_DISKS, ids=lambda case: case.name)
def test_the_disk_of_the_manager(lab, case):
    """Who asks is told why; what is known can be read, agents protect on, and nothing was lost when there is room again."""
    lab.release()
    before = len(lab.manager.call("GET", "/jobs")["items"])
    newest, days = lab.newest(), itertools.count(100)
    case.fault(lab, "manager")

    def refusal():  # a value that is there already is no write
        said = lab.manager.request("PATCH", "/settings", {"events": {"keep_days": next(days)}})
        return said if said[0] >= 400 else None
    try:
        status, answer = parts.until("the Manager to refuse", refusal)
        assert (status, answer["error"].get("cause")) == (503, case.cause), answer
        told = lab.manager.cli("update", check=False)
        assert told.returncode != 0 and steps.CAUSES[case.cause]["en"][0] in told.stderr, told
        assert "request.failed: " in lab.manager.process.tail(50)
        assert lab.newest() == newest and len(lab.manager.call("GET", "/jobs")["items"]) == before
        for agent in lab.agents.values():
            assert steps.found(agent) == ["Test.One"]
    finally:
        case.mend(lab, "manager")
    for name in lab.agents:
        lab.online(name)
    lab.prove()
    assert len(lab.manager.call("GET", "/jobs")["items"]) == before + 2


# --- clocks

@pytest.mark.parametrize("name", ["direct", "relay"])
@pytest.mark.parametrize("offset", ["+10y", "-10y"])
def test_a_clock_that_is_ten_years_off(lab, name, offset):
    """It is the clock that is named, not a certificate; who can protect goes on, and the right time heals all."""
    agent, live = lab.agents[name], lab.agents[name].lib()
    lab.release()
    lab.restart(name, *clocks.wrap(parts.BIN / "yagura-agent", offset))
    try:
        done = agent.cli("update", check=False)
        assert done.returncode != 0 and steps.CAUSES["clock.wrong"]["en"][0] in done.stderr, done.stderr
        assert steps.CAUSES["clock.wrong"]["ja"][0] in agent.cli("update", check=False, lang="ja").stderr
        parts.until("the line to fail", lambda: agent.status()["manager_state"] != "online", lab_site.HANG)
        assert "the clock here says" in agent.status()["manager_error"]
        assert agent.lib() == live and steps.found(agent) == ["Test.One"]
    finally:
        lab.restart(name)
    lab.online(name)
    steps.computer_is_well(lab, name)


# --- processes that die

@pytest.mark.parametrize("name", ["direct", "relay", "manager"])
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random(lab, name, seed):
    """Any process, the parent too, at any moment of an update: the job ends once, well, and by itself."""
    chance = random.Random(f"{name} {seed}")
    who = "direct" if name == "manager" else name
    lab.release()
    since = steps.last_event(lab)
    job = lab.start(who)
    time.sleep(chance.uniform(0, 0.4))
    process = lab.program(name).process
    victims = [process.child, *parts.children(process.pid)] if process.pid else []
    victim = chance.choice(victims)
    if isinstance(victim, int):
        print("killed", parts.role_of(victim), "of", name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    else:
        print("killed the parent of", name)
        process.kill()
    if name == "manager":
        lab.manager.wait_ready()
    assert lab.result(who, job)["outcome"] == "success"
    events = [e for e in lab.manager.events() if e["seq"] > since]
    done = [e for e in events if e["id"] == 784 and e["computer"]["name"] == who]
    assert len(done) == 1, [e["id"] for e in events]
    lab.online(who)
    steps.computer_is_well(lab, who)
