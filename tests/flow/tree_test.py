"""An update through a tree of relay groups: top first, every group by itself, and cancelled."""
import json

import pytest
import site_parts as parts


class Tree:
    """The default group with a relay and an agent, and below it "branch" with a relay and an agent."""

    def __init__(self, line):
        self.line, self.manager = line, line.manager
        self.manager.call("PATCH", "/settings", {"heartbeat_interval_s": 1, "offline_after": 2})
        self.branch = self.manager.call("POST", "/relay-groups", {"name": "branch", "parent": self.group("default")["id"]})
        self.relay, self.agent = line.relay, line.agent
        self.branch_relay = line.site.add_agent("branch-relay", relay=True)
        self.branch_agent = line.site.add_agent("branch-agent", keep=True)
        for name in ("branch-relay", "branch-agent"):
            self.manager.call("PATCH", f"/computers/{self.manager.computer(name)['id']}", {"relay_group": self.branch["id"]})
        parts.until("the branch's relay to know its parent", lambda: self.settings(self.branch_relay).get("parents"))
        parts.until("the branch's agent to know its relay", lambda: self.knows(self.branch_agent, "branch-relay"))

    def group(self, name):
        return next(g for g in self.manager.call("GET", "/relay-groups")["items"] if g["name"] == name)

    def settings(self, agent):
        path = agent.state / "state/session/settings.json"
        return json.loads(path.read_text())["settings"] if path.exists() else {}

    def knows(self, agent, relay):
        return [r["id"] for r in self.settings(agent).get("relays", [])] == [self.manager.computer(relay)["id"]]

    def part(self, job, name, role="agent"):
        return next(c for c in job["computers"] if c["name"] == name and c["as"] == role)


@pytest.fixture
def tree(line):
    return Tree(line)


def test_content_goes_down_the_tree(tree):
    job = tree.line.update()
    assert job["outcome"] == "success", job
    assert [(g["name"], g["above"], g["state"]) for g in job["groups"]] == [
        ("default", "", "ready"), ("branch", "default", "ready")]
    for agent in (tree.agent, tree.branch_agent, tree.relay, tree.branch_relay):
        assert agent.components() == {"am-pattern": 1}
    # The branch's relay took it from the relay above, its agent from the branch's relay.
    sources = {name: tree.part(job, name, role)["detail"]["source"] for name, role in (
        ("relay", "relay"), ("branch-relay", "relay"), ("branch-agent", "agent"))}
    urls = {name: tree.manager.computer(name)["relay_urls"] for name in ("relay", "branch-relay")}
    assert sources["relay"].startswith(tree.line.site.source.url), sources
    assert any(sources["branch-relay"].startswith(url) for url in urls["relay"]), (sources, urls)
    assert any(sources["branch-agent"].startswith(url) for url in urls["branch-relay"]), (sources, urls)
    # 1600 and 1601 for each group by its name, in turn
    told = [(e["id"], e["params"]["group"]) for e in reversed(tree.manager.events(job=job["id"])) if e["id"] in (1600, 1601, 1602)]
    assert told == [(1600, "default"), (1601, "default"), (1600, "branch"), (1601, "branch")]


def test_a_branch_without_its_relay_fails_alone(tree):
    """And it never goes to the source instead: the job included the relays (U11)."""
    tree.line.update()
    tree.manager.call("PATCH", "/settings", {"update": {"deadline_s": 20}})
    tree.branch_relay.close()
    parts.until("the relay to be offline", lambda: tree.manager.computer("branch-relay")["agent_state"] == "offline")
    tree.line.release(2)
    job = tree.line.update(computers=[tree.manager.computer(n)["id"] for n in ("agent", "branch-agent")])
    assert job["outcome"] == "failed"
    assert tree.part(job, "agent")["outcome"] == "success"
    assert tree.part(job, "branch-agent")["cause"] == "update.relay_silent", tree.part(job, "branch-agent")
    assert [(g["name"], g["state"], g["cause"]) for g in job["groups"]] == [
        ("default", "ready", ""), ("branch", "failed", "update.relay_silent")]
    assert tree.agent.components() == {"am-pattern": 2} and tree.branch_agent.components() == {"am-pattern": 1}
    whole = tree.manager.events(job=job["id"], id=2205)[0]
    assert whole["params"]["failures"][0]["computer"] == "branch-agent"


def test_what_a_job_waits_for_is_seen_and_it_can_be_cancelled(tree):
    tree.line.update()
    before = tree.branch_agent.lib()
    tree.branch_relay.close()
    tree.line.release(2)
    job = tree.manager.job(computers=[tree.manager.computer("branch-agent")["id"]])
    parts.until("the branch's turn", lambda: next(
        g for g in tree.manager.call("GET", f"/jobs/{job['id']}")["groups"] if g["name"] == "branch")["state"] == "asked")
    shown = tree.manager.cli("jobs", job["id"])
    assert "waits for relay group branch" in shown, shown
    assert "Cancelled by" in tree.manager.cli("jobs", "cancel", job["id"])
    done = tree.manager.wait_job(job)
    assert done["outcome"] == "cancelled" and done["cancelled_by"], done
    assert [c["cause"] for c in done["computers"] if c["name"] != "relay"] == ["job.cancelled", "job.cancelled"]
    assert tree.branch_agent.lib() == before
    # and it is in nobody's way
    tree.branch_relay.start()
    assert tree.line.update()["outcome"] == "success"
    assert tree.branch_agent.components() == {"am-pattern": 2}


def test_an_agent_stops_what_was_cancelled(tree):
    """Its scan goes on only while somebody wants it; its one result says that it was cancelled."""
    tree.line.update()
    files = tree.line.files()
    for n in range(3000):
        (files / f"more-{n}").write_bytes(b"nothing to find here %d\n" % n)
    job = tree.manager.job("scan", [tree.manager.computer("agent")["id"]], paths=[str(files)] * 20)
    parts.until("the scan to run", lambda: tree.part(tree.manager.call("GET", f"/jobs/{job['id']}"), "agent")["state"] == "running")
    tree.manager.call("POST", f"/jobs/{job['id']}/cancel")
    done = tree.manager.wait_job(job)
    assert (done["outcome"], tree.part(done, "agent")["cause"]) == ("cancelled", "job.cancelled"), done
    assert set(tree.line.found()) == set(tree.line.known)
