"""Agents' requests on port 4120, spoken by hand: activation, commands that are held, renewal, revocation, and
what happens to them when a part of the Manager dies."""
import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import threading
import time
import uuid

import pytest
import site_parts as parts


@pytest.fixture
def manager(folder):
    made = parts.Manager(folder / "m")
    yield made
    made.close()


class Agent:
    """An agent that is only its requests."""

    def __init__(self, manager, folder, name="hand"):
        self.manager, self.name = manager, name
        self.key, self.cert = folder / f"{name}.key", folder / f"{name}.crt"
        self.csr = self.request_for(folder)
        self.epoch = str(uuid.uuid4())

    def request_for(self, folder):
        out = folder / f"{self.name}.csr"
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        self.key, "-out", out, "-subj", "/CN=x"], check=True, capture_output=True)
        return out.read_text()

    @property
    def hello(self):
        return {"protocol": [1], "version": "0.1.0", "kind": "agent", "roles": [], "hostname": self.name, "os": "Debian 12",
                "capabilities": ["scan", "update", "rollback"], "relay_port": 0, "addresses": ["127.0.0.1"]}

    @property
    def status(self):
        return {"time": "2026-11-21T22:47:43Z", "epoch": self.epoch, "state": "protected", "components": [], "set": "",
                "rollback_set": "", "hold": None, "policy_fingerprint": "", "engine": {"state": "none", "reason": "",
                "signatures": 0, "memory_bytes": 0}, "update": None, "relay": None}

    def connection(self, identity=True):
        context = ssl.create_default_context(cafile=str(self.manager.ca))
        if identity:
            context.load_cert_chain(self.cert, self.key)
        return http.client.HTTPSConnection("localhost", self.manager.ports["session"], context=context, timeout=70)

    def ask(self, method, path, body=None, identity=True):
        with contextlib.closing(self.connection(identity)) as connection:
            connection.request(method, f"/agent/v1/{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def activate(self, token=None):
        status, answer = self.ask("POST", "activate", {"hello": self.hello, "token": token or self.manager.token(),
                                                       "csr": self.csr}, identity=False)
        assert status == 200, answer
        assert set(answer) == {"agent_id", "certificate", "ca_bundle", "manager_id"}
        self.cert.write_text(answer["certificate"])
        self.id = answer["agent_id"]
        return self

    def heartbeat(self):
        status, answer = self.ask("POST", "heartbeat", {"hello": self.hello, "status": self.status})
        assert status == 200, answer
        return answer

    def commands(self, wait=0, after=0):
        status, answer = self.ask("GET", f"commands?wait={wait}&after={after}")
        assert status == 200, answer
        return answer["commands"]


@pytest.fixture
def agent(manager, folder):
    made = Agent(manager, folder).activate()
    made.heartbeat()
    last = max((c["seq"] for c in made.commands()), default=0)
    made.commands(after=last)
    made.last = last
    return made


class Held(threading.Thread):
    """A commands request that waits."""

    def __init__(self, agent, wait=50):
        super().__init__(daemon=True)
        self.agent, self.wait, self.commands, self.error = agent, wait, None, None
        self.start()
        time.sleep(0.3)

    def run(self):
        try:
            self.commands = self.agent.commands(self.wait, self.agent.last)
        except (AssertionError, OSError, ValueError, http.client.HTTPException) as why:
            self.error = why

    def result(self, seconds=20):
        self.join(seconds)
        assert not self.is_alive(), "still held"
        assert self.error is None, self.error
        return self.commands


def roles(manager):
    """{role: process id} of the Manager's children."""
    return {role: pid for pid in parts.children(manager.process.pid) if (role := parts.role_of(pid))}


def test_an_agent_from_activation_to_revocation(manager, agent, folder):
    answer = agent.heartbeat()
    assert answer["settings"]["update"]["tries"] >= 1 and answer["policy"]["fingerprint"]
    assert manager.computer("hand")["state"] in ("Managed (Online)", "Anti-Malware Engine Offline")

    status, policy = agent.ask("GET", "policy")
    assert status == 200 and policy["fingerprint"] == answer["policy"]["fingerprint"]
    status, ca = agent.ask("GET", "ca")
    assert status == 200 and ca["ca_bundle"] == manager.ca.read_text()

    entries = [{"seq": n, "kind": "event", "id": 1001, "time": "2026-11-21T22:47:43Z",
                "params": {"command": "SET_CONFIG", "code": 4294957295, "error": "unknown error ffffd8ef"}} for n in (1, 2)]
    for _ in range(2):  # the second time they are known
        status, answer = agent.ask("POST", "events", {"epoch": agent.epoch, "entries": entries})
        assert (status, answer) == (200, {"ack": 2})
    assert len(manager.events(id=1001)) == 2

    old = agent.cert.read_text()
    status, renewed = agent.ask("POST", "renew", {"csr": agent.csr})
    assert status == 200 and set(renewed) == {"certificate", "ca_bundle"} and renewed["certificate"] != old
    agent.cert.write_text(renewed["certificate"])
    agent.heartbeat()

    manager.call("DELETE", f"/computers/{agent.id}")
    for cert in (renewed["certificate"], old):
        agent.cert.write_text(cert)
        before = len(manager.process.log.read_text().splitlines())
        status, answer = agent.ask("POST", "heartbeat", {"hello": agent.hello, "status": agent.status})
        assert status == 403 and answer["error"]["code"] == "forbidden", answer
        lines = [li for li in manager.process.log.read_text().splitlines()[before:] if "agent.refused" in li]
        assert len(lines) == 1 and "heartbeat" in lines[0], lines


def test_the_same_token_and_request_again(manager, folder):
    token = manager.token(uses=1)
    first = Agent(manager, folder).activate(token)
    again = Agent(manager, folder)
    again.csr = first.csr
    again.activate(token)
    assert again.id == first.id
    other = Agent(manager, folder, "other")
    status, answer = other.ask("POST", "activate", {"hello": other.hello, "token": token, "csr": other.csr}, identity=False)
    assert status == 401 and "used up" in answer["error"]["message"], answer


def test_a_command_comes_at_once(manager, agent):
    held = Held(agent)
    began = time.monotonic()
    job = manager.job("scan", [agent.id], paths=["/tmp"])
    commands = held.result()
    assert [(c["command"], c["job"], c["paths"]) for c in commands] == [("scan", job["id"], ["/tmp"])]
    assert time.monotonic() - began < 10
    assert agent.commands(0, agent.last) == commands  # until it is acknowledged
    assert agent.commands(0, commands[-1]["seq"]) == []


def test_the_wait_ends_empty(agent):
    assert agent.commands(wait=1, after=agent.last) == []
    status, answer = agent.ask("GET", "commands?wait=56")
    assert status == 400 and answer["error"]["message"].startswith("wait: ")
    status, answer = agent.ask("GET", "commands?wait=1&after=x")
    assert status == 400 and answer["error"]["message"].startswith("after: ")


def test_a_second_held_request_ends_the_first(manager, agent):
    first = Held(agent)
    second = Held(agent)
    assert first.result() == []
    manager.job("scan", [agent.id], paths=["/tmp"])
    assert len(second.result()) == 1


def test_a_client_that_goes_away(manager, agent):
    for _ in range(3):
        connection = agent.connection()
        connection.request("GET", f"/agent/v1/commands?wait=50&after={agent.last}")
        time.sleep(0.1)
        connection.close()
    held = Held(agent)
    manager.job("scan", [agent.id], paths=["/tmp"])
    assert len(held.result()) == 1


@pytest.mark.parametrize("role", ["store", "ca", "content", "web"])
def test_held_requests_survive_a_death(manager, agent, role):
    held = Held(agent)
    before = roles(manager)
    os.kill(before[role], signal.SIGKILL)
    parts.until(f"{role} to be back", lambda: roles(manager).get(role, before[role]) != before[role])
    job = parts.until("the API to answer", lambda: answered(lambda: manager.job("scan", [agent.id], paths=["/tmp"])))
    assert [c["job"] for c in held.result()] == [job["id"]]
    assert {r: p for r, p in roles(manager).items() if r != role} == {r: p for r, p in before.items() if r != role}


def answered(ask):
    try:
        return ask()
    except (OSError, ValueError, parts.Failed):
        return None


def test_a_session_that_dies_is_there_again(manager, agent):
    before = roles(manager)["session"]
    os.kill(before, signal.SIGKILL)
    # the listening socket is the parent's: nobody is refused
    agent.heartbeat()
    assert roles(manager)["session"] != before


def test_many_held_requests_cost_little(manager, folder):
    token, count = manager.token(uses=200), 40
    agents = [Agent(manager, folder, f"a{n}").activate(token) for n in range(count)]
    session = roles(manager)["session"]
    begin = resident(session)
    connections = []
    for agent in agents:
        last = max((c["seq"] for c in agent.commands()), default=0)
        connection = agent.connection()
        connection.request("GET", f"/agent/v1/commands?wait=50&after={last}")
        connections.append(connection)
    time.sleep(0.5)
    grown = resident(session) - begin
    job = manager.job("scan", [a.id for a in agents], paths=["/tmp"])
    for connection in connections:
        commands = json.loads(connection.getresponse().read())["commands"]
        assert job["id"] in [c.get("job") for c in commands]
        connection.close()
    if b"__asan_init" not in (parts.BIN / "yagura-manager-edge").read_bytes():
        assert grown / count < 100, f"{grown / count} KiB a connection"


def resident(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    return 0
