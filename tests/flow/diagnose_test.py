"""`yagura diagnose`: one planted fault is named first, two are both named, and a healthy computer has nothing."""
import json
import os
import shutil
import subprocess

import alone as lib
import pytest
import site_parts as parts


def diagnose(agent, *words, lang="en"):
    """(exit status, causes that stand, answer)"""
    done = parts.run("yagura", "--json", "--lang", lang, "--root", agent.root, "diagnose", *words, check=False)
    answer = json.loads(done.stdout)
    return done.returncode, [c["cause"] for c in answer["causes"] if not c["over"]], answer


def checks(answer, state):
    return {c["check"]: c["seen"] for c in answer["checks"] if c["state"] == state}


@pytest.fixture
def made(site, folder):
    made = lib.Alone(site, folder)
    made.release()
    made.source()
    return made


@pytest.fixture
def agent(made):
    agent = made.agent()
    lib.update(agent)
    return agent


def test_healthy(agent):
    for _ in range(3):
        status, causes, answer = diagnose(agent)
        assert (status, causes) == (0, []), answer
    assert {"program", "disk", "permissions", "store", "clock", "engine", "last_update"} <= set(checks(answer, "ok"))
    assert "Nothing was found" in parts.run("yagura", "--root", agent.root, "diagnose")


def test_healthy_line(line):
    """Manager, relay and agent."""
    line.update()
    for agent in (line.agent, line.relay):
        status, causes, answer = diagnose(agent)
        assert (status, causes) == (0, []), answer
        assert "manager" in checks(answer, "ok")
    assert "relay" in checks(answer, "ok")


def test_agent_stopped(agent):
    agent.close()
    status, causes, answer = diagnose(agent)
    assert (status, causes) == (1, ["agent.offline"]), answer
    # what can be looked at without it is looked at
    assert {"disk", "permissions", "store", "clock", "names"} <= set(checks(answer, "ok"))


def test_configuration_wrong(agent):
    agent.close()
    path = agent.root / "etc/yagura/agent.conf"
    path.write_text(path.read_text() + "[update]\nnonsense = 1\n")
    status, causes, answer = diagnose(agent)
    assert (status, causes[0]) == (1, "agent.config"), answer
    assert [e["cause"] for e in answer["causes"][0]["explains"]] == ["agent.offline"]


def of_manager(manager, *words, lang="en"):
    done = parts.run("yagura", "--json", "--lang", lang, "--url", manager.url, "--key", manager.key, "--ca", manager.ca, "diagnose", *words, check=False)
    answer = json.loads(done.stdout)
    return done.returncode, [c["cause"] for c in answer.get("causes", []) if not c["over"]], answer


def test_manager(line):
    line.update()
    status, causes, answer = of_manager(line.manager, "--manager")
    assert (status, causes) == (0, []), answer
    assert {"database", "disk", "source", "content", "relays", "computers", "jobs", "certificates", "alerts"} <= set(checks(answer, "ok"))


def test_network_plan(line):
    status, _, answer = of_manager(line.manager, "--network-plan")
    rows = {(r["from"], r["port"]) for r in answer["items"]}
    assert status == 0 and any(r["protocol"] == "TCP (HTTPS)" for r in answer["items"]), rows
