"""K1, K3: a configuration that an engine refuses leaves the last good one in force, and 1001 says so."""
import site_parts as parts


def test_a_refused_configuration_changes_nothing(line):
    line.update()
    manager = line.manager
    policy = next(p for p in manager.call("GET", "/policies")["items"] if p["default"])
    document = manager.call("GET", f"/policies/{policy['id']}")["document"]
    good = manager.call("GET", f"/policies/{policy['id']}")["fingerprint"]
    parts.until("the policy to arrive", lambda: manager.computer("agent")["policy"]["sent"] == "current")

    # the engine's tables alone need more than this
    document.setdefault("am", {})["memory_max_mb"] = 1
    status, answer = manager.request("PUT", f"/policies/{policy['id']}", {"name": policy["name"], "document": document})
    assert status == 200, answer
    event = parts.until("event 1001", lambda: next((e for e in manager.events(id=1001) if e["computer"]["name"] == "agent"), None), 90, 0.3)
    assert "SET_CONFIG" in event["description"]
    japanese = next(e for e in manager.events(lang="ja", id=1001))
    assert japanese["name"] == "エンジンコマンドの失敗" and "エンジンコマンドコードSET_CONFIGは失敗しました" in japanese["description"]
    assert line.agent.status()["policy_fingerprint"] == good
    assert set(line.found()) == set(line.known)

    # one that fits is taken
    document["am"]["memory_max_mb"] = 2048
    document["am"]["max_file_bytes"] = 8
    manager.call("PUT", f"/policies/{policy['id']}", {"name": policy["name"], "document": document})
    parts.until("the policy to be in force",
                lambda: manager.computer("agent")["policy"]["sent"] == "current"
                and line.agent.status()["policy_fingerprint"] != good, 90, 0.3)
    assert line.found() == {}  # every file is larger than what is judged now
