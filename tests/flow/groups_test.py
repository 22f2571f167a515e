"""Relay groups and settings as an operator meets them: who takes from whom, a load balancer's name (T7), proxies' passwords that
are seen nowhere, an update source whose certificate nobody checks (T13), several CAs."""
import json
import stat

import site_parts as parts


def settings_of(agent):
    path = agent.state / "state/session/settings.json"
    return json.loads(path.read_text())["settings"] if path.exists() else {}


def port_of(agent):
    return int(next(line.split("=")[1] for line in agent.conf.read_text().splitlines() if line.startswith("port")))


def start(site, folder, **more):
    site.add_publisher()
    known = {"Test.One": b"the first file that must be found\n"}
    site.publisher.release(parts.content(folder / "content", known), "--version", 1)
    site.add_source()
    site.add_manager(**more)
    site.point_manager_at_source()
    site.manager.call("PATCH", "/settings", {"heartbeat_interval_s": 1})
    return site.manager


def test_each_takes_from_the_group_above(site, folder):
    manager = start(site, folder)
    top, branch = site.add_agent("top", relay=True), site.add_agent("branch", relay=True)
    leaf = site.add_agent("leaf")
    manager.cli("relay-groups", "create", "branch", "--parent", "default")
    manager.cli("relay-groups", "assign", "branch", "branch", "leaf")
    groups = {g["name"]: g for g in manager.call("GET", "/relay-groups")["items"]}
    assert groups["branch"]["served_by"]["name"] == "branch" and groups["branch"]["parent"]["name"] == "default"
    ids = {name: manager.computer(name)["id"] for name in ("top", "branch", "leaf")}

    def relays(agent, member):
        return [r["id"] for r in settings_of(agent).get(member, [])]

    parts.until("the tree to be known", lambda: relays(leaf, "relays") == [ids["branch"]]
                and relays(branch, "parents") == [ids["top"]] and relays(top, "parents") == [])
    assert settings_of(leaf)["relay_group"] == "branch" and "parents" not in settings_of(leaf)

    before = len(site.source.access_log.read_text().splitlines())
    job = manager.wait_job(manager.job(relays=True))
    assert job["outcome"] == "success", job
    assert {a.name: a.components() for a in site.agents} == {n: {"am-pattern": 1} for n in ("top", "branch", "leaf")}
    run = branch.status()["last_relay_update"]
    assert f":{port_of(top)}" in run["source"] and run["outcome"] == "success", run
    assert f":{port_of(branch)}" in leaf.status()["last_update"]["source"]
    asked = [line for line in site.source.access_log.read_text().splitlines()[before:] if "/objects/" in line]
    assert len(asked) == len(set(asked)), asked  # one relay fetched each, once

    # the branch loses its relay: the one above serves it
    manager.cli("relays", "off", "branch")
    parts.until("the leaf to be sent to the top", lambda: relays(leaf, "relays") == [ids["top"]])
    assert manager.call("GET", f"/relay-groups/{groups['branch']['id']}")["served_by"]["name"] == "default"
    parts.until("the branch's relay to stop", lambda: (branch.status()["relay"] or {"state": "off"})["state"] == "off")
    assert json.loads(leaf.cli("update", "--json"))["outcome"] == "success"
    assert f":{port_of(top)}" in leaf.status()["last_update"]["source"]
    assert {20021, 20022, 287} <= set(manager.event_ids())
    refused = manager.cli("relay-groups", "delete", "branch", check=False)
    assert refused.returncode == 1 and "give them another group first" in refused.stderr
    manager.cli("relay-groups", "assign", "default", "branch", "leaf")
    manager.cli("relay-groups", "delete", "branch")
    assert [g["name"] for g in manager.call("GET", "/relay-groups")["items"]] == ["default"]


def test_a_group_without_a_relay_is_an_alert(site, folder):
    manager = start(site, folder)
    manager.call("PATCH", "/settings", {"alerts": {"relay_group_empty_s": 1}})
    relay = site.add_agent("relay", relay=True)
    site.add_agent("leaf")

    def standing():
        return [a for a in manager.call("GET", "/alerts")["items"] if a["kind"] == "relay_group_empty"]

    assert not standing()
    manager.cli("relay-groups", "create", "lonely")
    manager.cli("relay-groups", "assign", "lonely", "leaf")
    alert = parts.until("the alert", standing)
    assert "lonely" in json.dumps(alert)
    manager.cli("relay-groups", "assign", "lonely", "relay")
    parts.until("the alert to end", lambda: not standing())
    parts.until("its end", lambda: 192 in manager.event_ids())
    assert [e["id"] for e in manager.events() if "lonely" in e["description"] and e["id"] in (190, 191)] == [190]
    assert relay.process.alive()


def test_a_load_balancers_name_overrides_addresses(site, folder):
    """T7: the relay's own address leads nowhere; the name that is entered for all does."""
    manager = start(site, folder)
    relay = site.add_agent("relay", relay=True)
    leaf = site.add_agent("leaf")
    computer = manager.computer("relay")
    manager.cli("relays", "address", "relay", "https://relay.invalid:4122")
    parts.until("the address to arrive", lambda: [r["urls"] for r in settings_of(leaf).get("relays", [])]
                == [["https://relay.invalid:4122"]])
    refused = manager.cli("settings", "relay.load_balancer=http://x", check=False)
    assert refused.returncode != 0 and "relay.load_balancer: want HOST, HOST:PORT or https://HOST:PORT" in refused.stderr
    manager.cli("settings", f"relay.load_balancer=localhost:{port_of(relay)}")
    parts.until("the name to arrive", lambda: [r["urls"] for r in settings_of(leaf)["relays"]]
                == [[f"https://localhost:{port_of(relay)}"]])
    job = manager.wait_job(manager.job(relays=True))
    assert job["outcome"] == "success", job
    assert leaf.components() == {"am-pattern": 1}
    assert manager.call("GET", f"/computers/{computer['id']}")["relay_urls_fixed"]


def test_passwords_are_where_they_are_used_and_nowhere_else(site, folder):
    manager = start(site, folder, keep=True)
    relay, leaf = site.add_agent("relay", relay=True), site.add_agent("leaf")
    secret = "correct-horse-battery"
    (folder / "password").write_text(secret + "\n")
    manager.cli("settings", "proxy.agent_relay.url=http://127.0.0.1:9", "proxy.agent_relay.user=me",
                f"proxy.agent_relay.password=@{folder}/password")
    manager.cli("settings", "proxy.manager.url=socks5h://127.0.0.1:9", f"proxy.manager.password=@{folder}/password")
    shown = manager.call("GET", "/settings")
    assert shown["proxy"]["agent_relay"] == {"url": "http://127.0.0.1:9", "user": "me", "password": "set"}
    parts.until("the proxy to arrive", lambda: (settings_of(leaf).get("proxies", {}).get("relay") or {}).get("password") == secret)
    assert settings_of(leaf)["proxies"]["source"] is None and settings_of(leaf)["proxies"]["relay_source"] is None
    leaf.cli("update", check=False)  # the proxy is not there: whatever is said of it, the password is not
    assert secret not in json.dumps(manager.events()) and 150 in manager.event_ids()

    # over a restart, under the same master key
    starts = manager.process.starts
    manager.process.kill()
    parts.until("another Manager", lambda: manager.process.starts > starts)
    manager.wait_ready()
    assert manager.call("GET", "/settings")["proxy"]["agent_relay"]["password"] == "set"
    manager.cli("settings", "proxy.agent_relay.user=you")
    parts.until("the user to arrive", lambda: settings_of(leaf)["proxies"]["relay"]["user"] == "you")
    assert settings_of(leaf)["proxies"]["relay"]["password"] == secret

    manager.process.stop()
    for agent in (relay, leaf):
        agent.process.stop()
    holding = sorted(str(p.relative_to(site.folder)) for p in site.folder.rglob("*")
                     if p.is_file() and not p.is_symlink() and secret.encode() in p.read_bytes())
    kept = [str((a.state / "state/session/settings.json").relative_to(site.folder)) for a in (leaf, relay)]
    assert holding == sorted(kept), holding
    for path in kept:
        assert stat.S_IMODE((site.folder / path).stat().st_mode) == 0o600


def test_a_source_that_nobody_checks_is_an_alert(site, folder):
    """T13: // at the end turns the check off, for that source, with a warning that stands; a CA in the settings is better."""
    manager = start(site, folder)
    agent = site.add_agent("agent")
    other = parts.Source(folder / "other", site.publisher.repository)
    try:
        both = site.source.ca.read_text() + other.ca.read_text()
        (folder / "both.pem").write_text(both)
        manager.call("PATCH", "/settings", {"direct_fallback": True, "source": {"url": f"{site.source.url}//", "ca": ""}})
        parts.until("the source to arrive", lambda: (settings_of(agent).get("source") or {}).get("url", "").endswith("//"))
        assert json.loads(agent.cli("update", "--json"))["outcome"] == "success"
        assert "source_unchecked" in [a["kind"] for a in manager.call("GET", "/alerts")["items"]]

        # two CAs; the source may have a certificate of either
        out = manager.cli("settings", f"source.url={other.url}", f"source.ca=@{folder}/both.pem")
        assert out.count("CN=Update source test CA, until 20") == 2, out
        assert "source_unchecked" not in [a["kind"] for a in manager.call("GET", "/alerts")["items"]]
        parts.until("the source to arrive", lambda: settings_of(agent)["source"]["ca"] == both)
        assert json.loads(agent.cli("update", "--json"))["outcome"] == "success"
        assert agent.status()["last_update"]["source"] == other.url
    finally:
        other.close()
