"""kill -9 of any process while an update runs: all comes back by itself and the update ends with 784."""
import os
import signal
import time

import pytest
import site_parts as parts


def slow_release(line, version):
    """A release big enough that there is time to strike while it travels."""
    folder = parts.content(line.folder / f"big-{version}", line.known)
    with open(folder / "bulk.hdb", "w", encoding="ascii") as out:
        for n in range(60000):
            out.write(f"{n * 2654435761 + version:032x}:{1000 + n}:Bulk.{version}.{n}\n")
    line.site.publisher.release(folder, "--version", version)


def finished(line, job):
    job = line.manager.wait_job(job, 180)
    assert job["outcome"] == "success", job
    assert line.agent.components() == {"am-pattern": 2}
    results = [e for e in line.manager.events(id=784) if e["computer"]["name"] == "agent"]
    assert len(results) == 2  # one for each version, each exactly once
    return job


@pytest.mark.parametrize("role", ["session", "install", "fetch", "verify", "walk", "am", "parent"])
def test_a_killed_agent_process_comes_back(line, role):
    line.update()
    slow_release(line, 2)
    job = line.manager.job(relays=True)
    if role == "parent":
        parts.until("the update to reach the agent", lambda: "verify" in line.agent.roles(), 60, 0.005)
        before = line.agent.process.pid
        os.kill(before, signal.SIGKILL)
        parts.until("the agent to be started again", lambda: line.agent.process.pid != before and line.agent.process.alive())
    else:
        # fetch and verify live only while the update runs; the others are struck while it does
        busy = role if role in ("fetch", "verify") else "verify"
        parts.until("the update to reach the agent", lambda: busy in line.agent.roles(), 60, 0.005)
        pid = parts.until(f"{role} to run", lambda: line.agent.roles().get(role), 20, 0.005)
        os.kill(pid, signal.SIGKILL)
    finished(line, job)
    assert set(line.found()) == set(line.known)


def test_a_killed_install_is_not_an_unprotected_computer(line):
    """The engine runs on without it: nobody is told anything else while it starts again."""
    line.update()
    parts.until("the Manager to see it", lambda: line.manager.computer("agent")["state"] == "Managed (Online)")
    before = line.agent.roles()
    for role in ("install", "session"):
        os.kill(line.agent.roles()[role], signal.SIGKILL)
        seen = set()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            seen.add(line.manager.computer("agent")["state"])
            if role == "install":
                status = line.agent.status()
                assert status["state"] == "protected" and status["components"], status
        assert seen == {"Managed (Online)"}
    now = line.agent.roles()
    assert now["install"] != before["install"] and now["session"] != before["session"] and now["am"] == before["am"]
    assert line.manager.events(id=20101) == []


def test_a_killed_relay_process_comes_back(line):
    line.update()
    slow_release(line, 2)
    job = line.manager.job(relays=True)
    parts.until("the relay's update", lambda: "verify" in line.relay.roles(), 60, 0.005)
    os.kill(line.relay.roles()["relay"], signal.SIGKILL)
    finished(line, job)


@pytest.mark.parametrize("role", ["web", "session", "store", "ca", "parent"])
def test_a_killed_manager_process_comes_back(line, role):
    line.update()
    slow_release(line, 2)
    job = line.manager.job(relays=True)
    parts.until("the relay's update", lambda: "verify" in line.relay.roles(), 60, 0.005)
    manager = line.manager.process
    pid = manager.pid if role == "parent" else next(
        p for p in parts.children(manager.pid) if parts.role_of(p) == role)
    os.kill(pid, signal.SIGKILL)
    if role == "parent":
        parts.until("the Manager to be started again", lambda: manager.pid != pid and manager.alive())
    time.sleep(0.5)
    line.manager.wait_ready()
    finished(line, job)


def test_the_ca_file_is_not_touched_when_its_process_starts_again(line):
    """Who enrols or asks the Manager reads it at any moment: it is never half there."""
    manager = line.manager

    def ca():
        return next((p for p in parts.children(manager.process.pid) if parts.role_of(p) == "ca"), None)

    before, whole, pid = os.stat(manager.ca), manager.ca.read_bytes(), ca()
    os.kill(pid, signal.SIGKILL)
    parts.until("another ca", lambda: ca() not in (None, pid))
    line.site.add_agent("after")  # certificates are made again: it is through with its start
    after = os.stat(manager.ca)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    manager.ca.write_text("half of it\n")  # as after a power cut
    os.kill(ca(), signal.SIGKILL)
    parts.until("the certificate to be written again", lambda: manager.ca.read_bytes() == whole)


def test_nothing_is_left_when_an_agent_stops(line):
    line.update()
    pids = parts.children(line.agent.process.pid)
    assert len(pids) >= 4
    line.agent.close()
    parts.until("all its processes to end", lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), 20)
