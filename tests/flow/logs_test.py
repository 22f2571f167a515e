"""Logs (L): the last lines of every process, levels while it runs, no secret in any of them, one command for support."""
import http.server
import json
import os
import re
import signal
import threading
import zipfile

import pytest
import site_parts as parts

# What nobody else may read: planted where it belongs, looked for everywhere else.
PLANTED = {"manager_password": "Kirsche-4711", "relay_password": "Zitrone%2F4712", "source_password": "ap/fel=4713"}


def proxies(*ways):
    """Proxies that nobody listens at, with the planted passwords."""
    port = parts.free_port()
    lines = [f"{way} = http://127.0.0.1:{port}\n{way}_user = joe\n{way}_password = {PLANTED[way + '_password']}\n" for way in ways]
    return "[proxy]\n" + "".join(lines)


def text_of(package):
    """Everything in a zip file, by name."""
    with zipfile.ZipFile(package) as z:
        assert z.testzip() is None
        return {n: z.read(n).decode() for n in z.namelist()}


def nowhere(secrets, texts):
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, f"{secret} in {name}"


def identity_secrets(agent):
    identity = json.loads((agent.state / "state/identity/identity.json").read_text())
    body = [line for line in identity["key"].splitlines() if line and "-----" not in line]
    assert body and "-----BEGIN" in identity["key"]
    return body


def logs_of(agent):
    """Every log of an agent: its output, its iaulogs, its rings."""
    texts = {"log": (agent.root / "log").read_text(), "rings": agent.cli("log")}
    for path in (agent.state / "iaulogs").iterdir():
        texts[path.name] = path.read_text()
    for path in (agent.root / "run/yagura/ring").iterdir():
        texts[path.name] = path.read_bytes().decode(errors="replace")
    return texts


@pytest.fixture
def alone(site):
    """An agent without a Manager, whose source cannot be reached."""
    site.add_publisher()
    return site.add_agent("a", activate=False, conf="[update]\nsource = https://joe:Melone4714@127.0.0.1:1/\ntries = 1\n"
                          + proxies("manager", "relay"))


def test_the_last_lines_outlive_their_process(alone):
    session = alone.roles()["session"]
    os.kill(session, signal.SIGKILL)
    parts.until("the session role to be started again", lambda: alone.roles().get("session") not in (None, session))
    parts.until("it to answer", lambda: alone.cli("status", check=False).returncode == 0)
    lines = alone.cli("log", "--role", "session").splitlines()
    # Both lives, in order, at a level that the log does not have.
    starts = [line for line in lines if f" {session} <7>agent/session: role.start: " in line]
    assert len(starts) == 1
    assert [n for n, line in enumerate(lines) if "role.start" in line] == sorted(n for n, line in enumerate(lines) if "role.start" in line)
    assert len([line for line in lines if "role.start" in line]) == 2
    assert lines == sorted(lines, key=lambda line: line[:27])
    # Its parent said what it said last, once.
    log = (alone.root / "log").read_text()
    assert re.search(r"super\.exit: session \(process \d+\) ended after \d+ s by signal 9\n.*super\.last: session said last: 20\d\d-", log)
    assert not [line for line in log.splitlines() if line.startswith(("<7>", "<8>"))]
    # When everything is killed, it is still there.
    alone.process.kill()
    parts.until("the agent to be gone", lambda: not alone.process.alive())
    assert starts[0] in alone.cli("log", "--role", "session").splitlines()


def test_levels_change_while_it_runs(alone):
    def levels():
        return json.loads(parts.run("yagura", "--json", "--root", alone.root, "agent", "log-level"))
    assert set(levels().values()) == {"info"}
    alone.cli("log-level", "debug", "--role", "install")
    assert levels()["install"] == "debug" and levels()["session"] == "info"
    install = alone.roles()["install"]
    os.kill(install, signal.SIGKILL)
    # Also after it was started again.
    parts.until("a debug line of install", lambda: "<7>agent/install: role.ready: " in (alone.root / "log").read_text())
    alone.cli("update", check=False)
    assert "[dbg]" in alone.log("iau.log")
    alone.cli("log-level", "error")
    assert set(levels().values()) == {"error"}
    refused = alone.cli("log-level", "loud", check=False)
    assert refused.returncode == 1 and "level: want error, warn, notice, info or debug, have 'loud'" in refused.stderr
    refused = alone.cli("log-level", "info", "--role", "cook", check=False)
    assert refused.returncode == 1 and "there is no role 'cook'" in refused.stderr


def test_no_secret_in_logs_and_package(line):
    line.update()
    manager, agent = line.manager, line.agent
    token, used = manager.token(), manager.call("POST", "/keys", {"name": "k", "role": "full"})["key"]
    agent.conf.write_text(agent.conf.read_text() + "[update]\nsource = https://joe:Melone4714@127.0.0.1:1/\n" + proxies("relay", "source"))
    agent.process.stop()
    agent.start()
    agent.cli("log-level", "debug")
    agent.cli("activate", "--url", manager.agent_url, "--token", "yg1." + "0" * 64 + "." + "Q" * 43, check=False)
    agent.cli("activate", "--url", manager.agent_url, "--token", token, check=False)
    agent.cli("update", check=False)
    secrets = [PLANTED["relay_password"], PLANTED["source_password"], "Melone4714", token.rsplit(".", 1)[1], "Q" * 43,
               used.rsplit("_", 1)[1], manager.key.rsplit("_", 1)[1], *identity_secrets(agent), *identity_secrets(line.relay)]
    nowhere(secrets, logs_of(agent))
    nowhere(secrets, logs_of(line.relay))

    out = agent.root / "package.zip"
    said = agent.cli("diagnostic-package", "--out", out)
    assert oct(out.stat().st_mode & 0o777) == "0o600"
    texts = text_of(out)
    nowhere(secrets, texts)
    assert PLANTED["relay_password"] in agent.conf.read_text() and "relay_password = ***" in texts["agent.conf"]
    assert {"status.json", "diagnose.json", "components.json", "events.json", "agent.conf", "iaulogs/iau.log", "iaulogs/TmuDump.txt",
            "ring/parent.log", "ring/session.log", "ring/install.log", "ring/fetch-0.log", "ring/am-0.log", "store.txt",
            "host/os-release", "host/routes-4", "host/resolv.conf", "host/memory", "lib/set.json", "contents.json"} <= set(texts)
    assert re.search(r"http\.done: https://\S+/metadata/timestamp\.json: \d+, ", texts["ring/fetch-0.log"])
    assert not [n for n in texts if "identity" in n]
    contents = json.loads(texts["contents.json"])
    listed = {f["name"]: f for f in contents["files"]}
    assert set(texts) - {"contents.json"} == {n for n, f in listed.items() if "absent" not in f and f["bytes"] > 0}
    assert listed["agent.conf"]["secrets"] == 3 and "agent.conf" in said and "secrets taken out: 3" in said
    assert json.loads(texts["status.json"])["set"] == agent.lib()
    assert f"sets/{agent.lib()}" in texts["store.txt"] and "identity.json" in texts["store.txt"]
    # Never over another file.
    again = agent.cli("diagnostic-package", "--out", out, check=False)
    assert again.returncode == 1 and "File exists" in again.stderr

    # The Manager's, with what is sealed in it, and only for those who may change things.
    manager.call("PATCH", "/settings", {"proxy": {"agent_relay": {"url": "http://127.0.0.1:1", "user": "joe", "password": "Traube-4715"}}})
    package = line.manager.root / "package.zip"
    said = manager.cli("diagnostic-package", "--out", package)
    texts = text_of(package)
    nowhere([*secrets, "Traube-4715"], texts)
    assert {"status.json", "diagnosis.json", "settings.json", "alerts.json", "licences.json", "expiry.json", "relay-groups.json",
            "network-plan.json", "events.json", "jobs.json", "jobs-in-full.json", "computers.json", "ring/parent.log",
            "ring/store.log", "ring/web.log", "ring/session.log", "ring/ca.log", "host/os-release", "contents.json"} <= set(texts)
    assert len(json.loads(texts["computers.json"])) == 3 and "ring/store.log" in said  # one of them was activated twice
    # The first key is printed once, for who starts it; the log has none.
    log = [line for line in (manager.root / "log").read_text().splitlines() if not line.startswith("admin key: ")]
    nowhere([*secrets, "Traube-4715"], {"manager": "\n".join(log)})
    assert 20140 in manager.event_ids()
    read = manager.call("POST", "/keys", {"name": "r", "role": "read"})["key"]
    assert manager.request("POST", "/diagnostic-package", key=read)[0] == 403


def test_a_package_of_an_agent_that_does_not_run(alone):
    alone.cli("update", check=False)
    alone.process.stop()
    out = alone.root / "p.zip"
    alone.cli("diagnostic-package", "--out", out)
    texts = text_of(out)
    nowhere([*PLANTED.values(), "Melone4714"], {n: t for n, t in texts.items() if n != "contents.json"})
    assert {"agent.conf", "iaulogs/iau.log", "ring/session.log", "store.txt", "state/session/spool"} <= set(texts)
    assert "relay_password = ***" in texts["agent.conf"]
    absent = {f["name"] for f in json.loads(texts["contents.json"])["files"] if "absent" in f}
    assert {"status.json", "events.json"} <= absent


def test_no_secret_in_what_is_told_of_a_source(alone):
    """Its address may hold a password: that is in no answer, no event, and not in what is kept of the last run."""
    def ask(*words):
        return parts.run("yagura", "--json", "--root", alone.root, *words, check=False).stdout
    texts = {"update": ask("agent", "update"), "status": json.dumps(alone.status()), "test": ask("agent", "test", "source"),
             "events": ask("agent", "events"),
             "last run": (alone.state / "state/session/last-run.json").read_text(),
             "spool": (alone.state / "state/session/spool").read_bytes().decode(errors="replace")}
    nowhere(["Melone4714"], texts)
    assert all("https://joe:***@127.0.0.1:1" in texts[n] for n in ("update", "status", "events", "last run", "spool")), texts
    assert "net.url" in texts["test"], texts["test"]


CAUSES = {c["id"]: c for c in json.loads((parts.TOP / "src/proto/causes.json").read_text())["causes"]}
PAGE = b"<html><head><title>Access denied by policy</title></head><body>Blocked</body></html>"


@pytest.fixture
def answering():
    """A web server that answers everything with one status and body; its URL comes from a call."""
    servers = []

    def start(status, body=b"", kind="text/plain"):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("cause, answer, status", [
    ("net.refused", None, ("IAU_STATUS_CONNECT[-1073545215(3,3,1)]", "IAURELAY_STATUS_CONNECT(-4)")),
    ("http.maintenance", (503,), ("IAU_STATUS_MAINTENANCE[-1073545212(3,3,4)]", "IAURELAY_STATUS_MAINTENANCE(-9)")),
    ("http.block_page", (200, PAGE, "text/html"), ("IAU_STATUS_HTTP[-1073545210(3,3,6)]", "IAURELAY_STATUS_HTTP(-5)")),
    ("http.forbidden", (403,), ("IAU_STATUS_HTTP[-1073545210(3,3,6)]", "IAURELAY_STATUS_HTTP(-5)")),
])
def test_everybody_says_the_same_words(site, answering, cause, answer, status):
    """The log of the relay, that of an agent, the event and the result of the job."""
    url = answering(*answer) if answer else f"http://127.0.0.1:{parts.free_port()}"
    site.add_publisher()
    manager = site.add_manager()
    manager.call("PATCH", "/settings", {"source": {"url": url}, "update": {"tries": 1}, "relay_update": {"tries": 1}})
    relay = site.add_agent("relay", relay=True)
    alone = site.add_agent("alone", activate=False, conf=f"[update]\nsource = {url}\ntries = 1\n")
    job = manager.wait_job(manager.job(relays=True))
    part = next(c for c in job["computers"] if c["as"] == "relay")
    assert part["outcome"] == "failed" and part["cause"] == cause, part
    detail = part["detail"] if isinstance(part["detail"], str) else part["sentence"]
    words = f"{CAUSES[cause]['en'][0]} ({detail})"
    # the relay's log
    log = relay.log("iaurelay.log")
    assert f"\nThe update failed: {words} [{cause}]\n" in log
    assert log.endswith(f"Update finished with result : {status[1]}\n")
    assert f"[{cause}]" in relay.log("TmuDump.txt")
    # the event, in both languages
    for lang in ("en", "ja"):
        event = next(e for e in manager.events(lang=lang) if e["id"] == 785 and e["computer"]["name"] == "relay")
        assert CAUSES[cause][lang][0] in event["description"] and detail in event["description"], event
    # an agent by itself: its answer, its log, its last run
    answer = json.loads(parts.run("yagura", "--json", "--root", alone.root, "agent", "update", check=False).stdout)
    assert answer["cause"] == cause, answer
    words = f"{CAUSES[cause]['en'][0]} ({answer['sentence']})"
    log = alone.log("iau.log")
    assert f"\nThe update failed: {words} [{cause}]\n" in log
    assert log.endswith(f"Update finished with result : {status[0]}\n")
    assert words in parts.run("yagura", "--lang", "en", "--root", alone.root, "agent", "update", check=False).stderr
    last = alone.status()["last_update"]
    assert last["cause"] == cause and last["detail"] == answer["sentence"], last
    # and what reads logs finds the cause in each of them
    for path in (relay.state / "iaulogs/iaurelay.log", relay.state / "iaulogs/TmuDump.txt", alone.state / "iaulogs/iau.log"):
        found = json.loads(parts.run("yagura", "--json", "diagnose", "--log", path, check=False).stdout)
        assert found["causes"][0]["cause"] == cause, (path, found)


def test_levels_of_the_manager_and_of_agents_are_settings(line):
    manager, agent = line.manager, line.agent

    def levels():
        return json.loads(parts.run("yagura", "--json", "--root", agent.root, "agent", "log-level"))
    assert manager.call("GET", "/settings")["log"] == {"level": "", "manager_level": ""}
    manager.call("PATCH", "/settings", {"heartbeat_interval_s": 1, "log": {"level": "debug", "manager_level": "debug"}})
    parts.until("the agent to be told", lambda: levels()["install"] == "debug", 120)
    # A process that starts anew has it too, whether of the agent or of the Manager.
    log = manager.root / "log"
    parts.until("the Manager's parent to be told", lambda: "super.log: level of all: debug" in log.read_text())
    content = next(pid for pid in parts.children(manager.process.pid) if parts.role_of(pid) == "content")
    os.kill(content, signal.SIGKILL)
    parts.until("a debug line", lambda: "<7>manager/content: role.ready: " in log.read_text())
    lines = parts.run("yagura", "--root", manager.root, "log", "--role", "content").splitlines()
    assert len([one for one in lines if "role.start" in one]) == 2 and f" {content} <7>manager/content" in "\n".join(lines)
    # Taken back, each computer has its own again.
    manager.call("PATCH", "/settings", {"log": {"level": ""}})
    parts.until("the agent to be as configured", lambda: set(levels().values()) == {"info"}, 120)
    status, refused = manager.request("PATCH", "/settings", {"log": {"level": "loud"}})
    assert status == 400 and "error, warn, notice, info or debug" in refused["error"]["message"]
