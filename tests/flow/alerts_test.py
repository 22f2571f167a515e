"""Alerts, scheduled tasks, licences and what content computers should run, as an operator meets them: U1, U4, U5, T4, E1."""
import json

import site_parts as parts


def standing(manager, **more):
    return {(a["kind"], (a["computer"] or {}).get("name", "")): a
            for a in manager.call("GET", "/alerts?limit=500&state=" + more.get("state", "standing"))["items"]}


def test_one_failure_is_no_alert_a_lasting_one_is_exactly_one(line):
    line.update()
    # (the CA of the tests' update source lives for 30 days, which is worth a warning)
    parts.until("the alerts of the first hours to end", lambda: {k for k, _ in standing(line.manager)} <= {"expiry"})
    line.manager.call("PATCH", "/settings", {"alerts": {"failures": 2}, "relay_update": {"tries": 1, "connect_s": 2},
                                             "update": {"tries": 1}})
    url = line.site.source.url
    broken = {"source": {"url": "https://127.0.0.1:9", "ca": line.site.source.ca.read_text()}}
    line.manager.call("PATCH", "/settings", broken)
    assert line.update()["outcome"] == "failed"
    kinds = {kind for kind, _ in standing(line.manager)}
    assert not kinds & {"relay_failed", "update_failed"}, kinds
    for _ in range(2):
        assert line.update()["outcome"] == "failed"
    alerts = standing(line.manager)
    relay = alerts[("relay_failed", "relay")]
    # one trouble is one alert: the agents could not even try
    assert not [kind for kind, _ in alerts if kind in ("update_failed", "update_timeout")], alerts
    assert relay["cause"] == "net.refused" and relay["sentence"] in relay["description"] and relay["remedy"]
    shown = line.manager.cli("alerts")
    assert relay["description"] in shown and relay["remedy"] in shown
    assert relay["name"] != line.manager.call("GET", "/alerts?lang=ja&kind=relay_failed")["items"][0]["name"]
    # and it ends by itself
    line.manager.call("PATCH", "/settings", {"source": {"url": url}})
    assert line.update()["outcome"] == "success"
    assert not [kind for kind, _ in standing(line.manager) if kind in ("relay_failed", "update_failed")]
    ended = standing(line.manager, state="ended")[("relay_failed", "relay")]
    assert ended["reason"] == "success" and ended["ended"]
    assert {190, 192} <= set(line.manager.event_ids())


def test_a_computer_without_its_engine_is_an_alert_at_once(line):
    # E1: no components yet is not protected either
    parts.until("the alert", lambda: ("engine_offline", "agent") in standing(line.manager), seconds=20)
    line.update()
    parts.until("its end", lambda: not [k for k, _ in standing(line.manager) if k == "engine_offline"], seconds=20)
    ended = standing(line.manager, state="ended")[("engine_offline", "agent")]
    assert ended["reason"] == "protected"


def test_a_scheduled_task_updates_everybody(line):
    made = json.loads(line.manager.cli("--json", "tasks", "create", "often", "--every", "2", "--window", "1"))
    assert made["enabled"] and made["next_run"]
    jobs = parts.until("a job by the schedule", lambda: [j for j in line.manager.call("GET", "/jobs")["items"]
                                                         if j["by"] == "schedule"])
    line.manager.cli("tasks", "set", "often", "--disable")
    assert line.manager.wait_job(jobs[-1])["outcome"] == "success"
    assert line.agent.components() == {"am-pattern": 1}
    # U4: 273 at the moment of 1600
    of_job = [e for e in reversed(line.manager.events()) if e["job"] == jobs[-1]["id"]]
    asked = next(e for e in of_job if e["id"] == 1600)
    assert [e["time"] for e in of_job if e["id"] == 273] == [asked["time"]] * 2
    # by hand, in the time zone of Tokyo, deleted again
    line.manager.cli("tasks", "create", "nightly", "--daily", "03:30", "--zone", "Asia/Tokyo", "--kind", "check")
    night = next(t for t in line.manager.call("GET", "/tasks")["items"] if t["name"] == "nightly")
    assert night["next_run"].endswith("T18:30:00Z")
    line.manager.cli("tasks", "run", "nightly")
    assert "daily 03:30 Asia/Tokyo" in line.manager.cli("tasks")
    line.manager.cli("tasks", "delete", "nightly")
    wrong = line.manager.cli("tasks", "create", "x", "--daily", "03:30", "--zone", "Asia/Nowhere", check=False)
    assert wrong.returncode != 0 and "time zone" in wrong.stderr


def test_an_expired_licence_stops_patterns_only(line):
    rules = line.folder / "rules"
    rules.mkdir()
    (rules / "im.json").write_text("{}\n")
    line.site.publisher.release(rules, "--version", "1", component="im-rules")
    line.update()
    assert line.agent.components() == {"am-pattern": 1, "im-rules": 1}

    keys = line.folder / "licence"
    parts.run("yagura-publish", "make-key", "licence", "--new-key-dir", keys, "--plain-keys")

    def licence(name, *more):
        path = line.folder / name
        parts.run("yagura-publish", "make-licence", "am-wr", "--keys", keys, "--name", "Example Inc.", "--out", path, *more)
        return path
    old = licence("old", "--now", "2020-01-01T00:00:00Z", "--ends", "2021-01-01T00:00:00Z")
    refused = line.manager.cli("licences", "add", old, check=False)
    assert refused.returncode != 0 and "add-key" in refused.stderr
    line.manager.cli("licences", "add-key", keys / "licence.pub")
    policy = line.manager.computer("agent")["policy"]
    line.manager.cli("licences", "add", old)
    parts.until("the agent to hear of it", lambda: 9110 in line.manager.event_ids())
    parts.until("the alert", lambda: ("expired", "") in standing(line.manager))
    line.known["Test.Three"] = b"only version two knows this\n"
    line.release(2)
    (rules / "im.json").write_text("{\"two\":2}\n")
    line.site.publisher.release(rules, "--version", "2", component="im-rules")
    line.update()
    assert line.agent.components() == {"am-pattern": 1, "im-rules": 2}

    # renewed: at the next heartbeat, without a policy
    line.manager.cli("licences", "add", licence("new", "--ends", "2099-01-01T00:00:00Z"))
    assert "2099-01-01" in line.manager.cli("expiry")
    line.update()
    assert line.agent.components() == {"am-pattern": 2, "im-rules": 2}
    assert line.manager.computer("agent")["policy"] == policy
    assert 101 in line.manager.event_ids()


def test_a_pinned_computer_stays_and_is_not_old(line):
    line.update()
    line.manager.cli("content", "set", "agent", "--pins", "am-pattern=1")
    line.known["Test.Three"] = b"only version two knows this\n"
    line.release(2)
    assert line.update()["outcome"] == "success"
    assert line.relay.components() == {"am-pattern": 2} and line.agent.components() == {"am-pattern": 1}
    assert line.manager.computer("agent")["newest"] == "current"
    # one behind the newest, by policy
    policy = line.manager.call("POST", "/policies", {"name": "careful", "document": {"update": {"content": {"mode": "previous"}}}})
    line.manager.call("PATCH", f"/computers/{line.manager.computer('agent')['id']}", {"content": None, "policy": policy["id"]})
    line.known["Test.Four"] = b"and this is version three\n"
    line.release(3)
    assert line.update()["outcome"] == "success"
    assert line.relay.components() == {"am-pattern": 3} and line.agent.components() == {"am-pattern": 2}
    assert line.manager.computer("agent")["newest"] == "current"
    line.manager.cli("content", "set", "agent", "--mode", "latest")
    assert line.update()["outcome"] == "success"
    assert line.agent.components() == {"am-pattern": 3}
