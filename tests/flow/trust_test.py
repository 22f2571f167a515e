"""What must be refused: each with one clear line that names the thing, and nothing changed on disk."""
import hashlib
import http.client
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
import site_parts as parts


def snapshot(*folders):
    """Every file, link and its content below the folders: what must not change. Logs may grow."""
    seen = {}
    for folder in folders:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if "iaulogs" in path.parts or path.is_dir() and not path.is_symlink():
                continue
            if path.is_symlink():
                seen[str(path)] = os.readlink(path)
            elif path.is_file():
                seen[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return seen


def content_of(agent):
    return snapshot(agent.state / "sets", agent.state / "iaurepo") | {
        link: os.readlink(agent.state / link) for link in ("lib", "li_roll") if os.path.lexists(agent.state / link)}


def repository(line):
    return line.site.publisher.repository


def newest(folder, pattern):
    return max(folder.glob(pattern), key=lambda p: int(p.name.split(".")[0]))


def flip(path, at=-20):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    os.chmod(path, 0o644)
    path.write_bytes(data)


def break_signature(line):
    metadata = newest(repository(line) / "metadata", "*.am.json")
    whole = json.loads(metadata.read_text())
    whole["signed"]["targets"] = {}
    os.chmod(metadata, 0o644)
    text = json.dumps(whole).encode()
    metadata.write_bytes(text + b" " * (metadata.stat().st_size - len(text)))


def break_timestamp(line):
    timestamp = repository(line) / "metadata/timestamp.json"
    whole = json.loads(timestamp.read_text())
    whole["signed"]["version"] += 1
    os.chmod(timestamp, 0o644)
    timestamp.write_text(json.dumps(whole))


def objects(line, before):
    return [p for p in (repository(line) / "objects").rglob("*") if p.is_file() and p not in before]


@pytest.mark.parametrize("damage,cause", [
    ("timestamp", "tuf.signature"), ("role", "tuf."), ("manifest", "tuf.hash"), ("object", "content."),
    ("truncated", "content."), ("missing", "content.missing")])
def test_content_that_is_not_what_was_signed(line, damage, cause):
    line.update()
    before = content_of(line.agent), content_of(line.relay), set((repository(line) / "objects").rglob("*"))
    line.known["Test.Three"] = b"only version two knows this\n"
    line.release(2)
    new = objects(line, before[2])
    assert new
    if damage == "timestamp":
        break_timestamp(line)
    elif damage == "role":
        break_signature(line)
    elif damage == "manifest":
        flip(max((repository(line) / "targets/am").glob("*.am-pattern.json"), key=lambda p: p.stat().st_mtime_ns))
    elif damage == "object":
        flip(new[0])
    elif damage == "truncated":
        os.chmod(new[0], 0o644)
        os.truncate(new[0], new[0].stat().st_size // 2)
    else:
        new[0].unlink()
    job = line.update()
    assert job["outcome"] == "failed"
    relay = next(c for c in job["computers"] if c["as"] == "relay")
    assert relay["cause"].startswith(cause), relay
    assert relay["sentence"] and "\n" not in relay["sentence"]
    assert (content_of(line.agent), content_of(line.relay)) == before[:2]
    assert set(line.found()) == {"Test.One", "Test.Two"}  # protection goes on


def test_a_relay_that_lies_is_refused_by_its_agent(line):
    """The relay itself is not trusted: what it serves is checked again, by the agent."""
    line.update()
    before = content_of(line.agent)
    line.known["Test.Three"] = b"only version two knows this\n"
    line.release(2)
    mirror = line.relay.state / "relay"
    old = set(mirror.rglob("*"))
    computer = line.manager.computer("relay")["id"]
    line.manager.call("PATCH", "/settings", {"direct_fallback": False})
    line.manager.wait_job(line.manager.job(computers=[computer], relays=True))
    for path in set((mirror / "objects").rglob("*")) - old:
        if path.is_file():
            flip(path)
    done = line.agent.cli("update", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert content_of(line.agent) == before


def test_wrong_token(site):
    site.add_publisher()
    manager = site.add_manager()
    agent = site.add_agent("agent", activate=False)
    before = snapshot(agent.state)
    good = manager.token()
    secret = good.split(".")[2]
    wrong = ".".join([*good.split(".")[:2], ("B" if secret[0] == "A" else "A") + secret[1:]])
    for token, word in ((wrong, "token"), ("yg1.nonsense", "token"), (good[:-1], "token")):
        done = agent.cli("activate", "--url", manager.agent_url, "--token", token, check=False)
        assert done.returncode != 0
        assert word in done.stderr.lower() and len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert snapshot(agent.state) == before
    agent.activate(manager, token=good)


def test_manager_with_another_key_than_the_tokens(site, folder):
    site.add_publisher()
    manager = site.add_manager()
    other = site._with(parts.Manager(folder / "other", site.publisher.trust))
    agent = site.add_agent("agent", activate=False)
    before = snapshot(agent.state)
    done = agent.cli("activate", "--url", other.agent_url, "--token", manager.token(), check=False)
    assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1
    assert "key" in done.stderr.lower() or "ca" in done.stderr.lower(), done.stderr
    assert snapshot(agent.state) == before
    # it said nothing to the wrong Manager: no computer there, no token used
    assert other.call("GET", "/computers")["items"] == []


def test_a_relay_that_poses_as_the_manager_gets_no_token(line):
    """A relay's certificate is of the same CA, and may serve: that alone must not do."""
    who = json.loads((line.relay.state / "state/identity/identity.json").read_text())
    chain, key = line.folder / "chain.pem", line.folder / "chain.key"
    chain.write_text(who["certificate"] + line.manager.ca.read_text())
    key.write_text(who["key"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    heard = []

    def pose(listener):
        while True:
            try:
                with listener.accept()[0] as client:
                    client.settimeout(10)
                    with context.wrap_socket(client, server_side=True) as secured:
                        heard.append(secured.recv(65536))
            except ssl.SSLError:
                continue
            except OSError:
                return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=pose, args=(listener,), daemon=True).start()
        other = line.site.add_agent("other", activate=False)
        before = snapshot(other.state)
        done = other.cli("activate", "--url", f"https://localhost:{listener.getsockname()[1]}",
                         "--token", line.manager.token(), check=False)
    assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "urn:yagura:manager:" in done.stderr, done.stderr
    assert snapshot(other.state) == before
    assert not any(heard)


def agent_request(manager, method, path, body=None, cert=None, key=None):
    context = ssl.create_default_context(cafile=str(manager.ca))
    if cert:
        context.load_cert_chain(cert, key)
    connection = http.client.HTTPSConnection("localhost", manager.ports["session"], context=context, timeout=15)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def identity(agent, folder):
    """The agent's certificate and key as files, for requests in its name."""
    who = json.loads((agent.state / "state/identity/identity.json").read_text())
    for name in ("certificate", "key"):
        (folder / f"{name}.pem").write_text(who[name])
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\x00\xff" * 50, b'{"hello":1}', b'{"hello":{"protocol":"x"}}', b"x" * 3000000],
                         ids=["empty", "cut", "array", "binary", "no object", "wrong kind", "3 MB"])
def test_garbage_from_an_agent_changes_nothing(site, folder, body):
    site.add_publisher()
    manager = site.add_manager()
    agent = site.add_agent("agent")
    cert, key = identity(agent, folder)
    for path in ("/agent/v1/heartbeat", "/agent/v1/events", "/agent/v1/activate", "/agent/v1/renew"):
        try:
            status, answer = agent_request(manager, "POST", path, body, cert, key)
        except (ConnectionError, ssl.SSLError):
            continue  # a body over the limit may end the connection before it was read
        assert 400 <= status < 500, (path, status, answer)
        if status == 413:
            continue  # refused before it was read, by the HTTP library and in its words
        error = json.loads(answer)["error"]
        assert error["message"] and "\n" not in error["message"]
    assert manager.computer("agent")["agent_state"] == "online"


def test_garbage_from_people_changes_nothing(site):
    site.add_publisher()
    manager = site.add_manager()
    for body in (b"", b"{", b"[]", b'{"kind":"update"', b'{"kind":7,"computers":"all"}', b'{"kind":"update","computers":"all","nonsense":1}'):
        status, answer = manager.request("POST", "/jobs", body)
        assert status == 400 and answer["error"]["message"], (body, answer)
    assert manager.call("GET", "/jobs")["items"] == []
    assert manager.request("GET", "/status", key="ygk_wrong_key")[0] == 401
    assert manager.request("GET", "/nothing")[0] == 404


def test_a_revoked_certificate_is_refused(line):
    line.update()
    kept = identity(line.agent, line.folder)
    port = line.manager.computer("relay")["relay_port"]
    # No heartbeat is due for long: the relay has to be called.
    line.manager.call("PATCH", "/settings", {"heartbeat_interval_s": 3000})
    time.sleep(3)
    line.manager.call("DELETE", f"/computers/{line.manager.computer('agent')['id']}")
    status, answer = agent_request(line.manager, "GET", "/agent/v1/policy", None, *kept)
    assert status == 403, answer
    assert "revoked" in json.loads(answer)["error"]["message"]

    # the relay is called to hear of it at once and refuses too
    def refused():
        context = ssl._create_unverified_context()
        context.load_cert_chain(*kept)
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=15)
        try:
            connection.request("GET", "/metadata/timestamp.json")
            return connection.getresponse().status == 403
        except (ConnectionError, ssl.SSLError):
            return True
        finally:
            connection.close()
    parts.until("the relay to refuse it", refused, 30, 0.2)


def test_strangers_are_refused_by_manager_and_relay(line):
    line.update()
    stranger = line.folder / "stranger.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", "/CN=stranger", "-keyout", stranger, "-out", line.folder / "s.crt"], check=True, capture_output=True)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        agent_request(line.manager, "POST", "/agent/v1/heartbeat", b"{}", line.folder / "s.crt", stranger)
    assert agent_request(line.manager, "POST", "/agent/v1/heartbeat", b"{}")[0] in (401, 403)
