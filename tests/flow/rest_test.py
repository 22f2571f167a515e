"""The REST API is what its document says: every operation, on a running Manager, success and refusal."""
import contextlib
import http.client
import json
import re
import socket
import ssl
import uuid

import openapi
import pytest
import site_parts as parts

NOBODY = str(uuid.uuid4())


class Api:
    """Every answer is held against the document."""

    def __init__(self, manager):
        self.manager = manager
        status, whole = manager.request("GET", "/openapi.json", key="none")
        assert status == 200
        self.document = openapi.Document(whole)
        self.done = set()

    def __call__(self, method, path, body=None, want=None, **more):
        status, answer = self.manager.request(method, path, body, **more)
        template = self.document.template("/api/v1" + path)
        wrong = self.document.check(method, "/api/v1" + path, status, answer)
        assert not wrong, f"{method} {path}: {status} {answer}: {wrong}"
        if want:
            assert status == want, f"{method} {path}: want {want}, have {status} {answer}"
        self.done.add((method, template, status))
        return answer

    def file(self, method, path, kind):
        """An answer that is no JSON."""
        context = ssl.create_default_context(cafile=str(self.manager.ca))
        connection = http.client.HTTPSConnection("localhost", self.manager.ports["web"], context=context, timeout=30)
        connection.request(method, "/api/v1" + path, headers={"Authorization": f"Bearer {self.manager.key}"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Content-Type")) == (200, kind)
        self.done.add((method, self.document.template("/api/v1" + path), 200))
        return answer.read()


@pytest.fixture
def manager(folder):
    made = parts.Manager(folder / "m")
    yield made
    made.close()


@pytest.fixture
def api(manager):
    return Api(manager)


# A licence of the corpus of tests/fuzz, and the key that it was signed with.
SIGNED = (parts.TOP / "tests/fuzz/licence.corpus/signed").read_text()
PUBLIC = "2599d6426361170b55212de1d3867b1d6fe7eba5569494cc19e83eacb662f362"


def refusal(api, method, path, body=None, want=400, **more):
    return api(method, path, body, want=want, **more)["error"]


def test_every_operation(api):
    status = api("GET", "/status", want=200)
    assert status["computers"]["total"] == 0 and status["newest"] is None

    api("GET", "/computers", want=200)
    api("GET", "/computers?limit=1&text=x&relay=true", want=200)
    for method, path, body in (("GET", "", None), ("PATCH", "", {"name": "n"}), ("DELETE", "", None),
                               ("GET", "/components", None), ("POST", "/policy", None)):
        assert refusal(api, method, f"/computers/{NOBODY}{path}", body, want=404)["code"] == "not_found"

    api("GET", "/jobs?state=running", want=200)
    refusal(api, "GET", f"/jobs/{NOBODY}", want=404)
    refusal(api, "POST", f"/jobs/{NOBODY}/cancel", want=404)
    job = api("POST", "/jobs", {"kind": "update", "computers": "all"})
    if "id" in job:
        api("GET", f"/jobs/{job['id']}", want=200)
    refusal(api, "POST", "/jobs", {"kind": "update", "computers": [NOBODY]}, want=404)

    api("GET", "/events", want=200)
    api("GET", "/events?level=error&id=784&origin=agent&from=2026-01-01T00:00:00Z&to=2036-01-01T00:00:00Z", want=200)
    catalogue = {e["id"]: e for e in api("GET", "/events/catalogue", want=200)["items"]}
    assert {273, 276, 784, 785, 1600, 1601, 2204, 2205} <= set(catalogue)
    api("GET", "/components", want=200)

    diagnosis = api("GET", "/diagnosis?lang=ja", want=200)
    assert [c["cause"] for c in diagnosis["causes"]] == ["update.source_unset"] and diagnosis["standing"] == 1
    assert any(row["port"] == 123 for row in api("GET", "/network-plan", want=200)["items"])

    assert api.file("POST", "/diagnostic-package", "application/zip").startswith(b"PK")

    before = api("GET", "/settings", want=200)
    after = api("PATCH", "/settings", {"update": {"tries": before["update"]["tries"] + 1}}, want=200)
    assert after["update"]["tries"] == before["update"]["tries"] + 1
    assert {**after, "update": before["update"]} == before
    assert after["update"]["timeout_s"] == before["update"]["timeout_s"]

    secret = api("PATCH", "/settings", {"proxy": {"manager": {"password": "hidden"}}, "update": before["update"]}, want=200)
    assert secret["proxy"]["manager"]["password"] == "set"
    assert api("PATCH", "/settings", secret, want=200) == secret  # what was read may be sent back
    assert "hidden" not in json.dumps(api("GET", "/events?id=150", want=200))
    assert refusal(api, "PATCH", "/settings", {"source": {"ca": "no PEM"}})["message"].startswith("source.ca: want PEM certificates")
    assert refusal(api, "PATCH", "/settings", {"proxy": {"manager": {"url": "http://a:b@c:1"}}})["message"].startswith(
        "proxy.manager.url: want no user and no password in it")

    group = api("POST", "/relay-groups", {"name": "site"}, want=201)
    below = api("POST", "/relay-groups", {"name": "below", "parent": group["id"]}, want=201)
    assert [g["name"] for g in api("GET", "/relay-groups", want=200)["items"]] == ["default", "below", "site"]
    first = api("GET", "/relay-groups?limit=2", want=200)
    assert [g["name"] for g in api("GET", f"/relay-groups?limit=2&cursor={first['next']}", want=200)["items"]] == ["site"]
    assert api("GET", f"/relay-groups/{below['id']}", want=200)["parent"]["name"] == "site"
    assert refusal(api, "PATCH", f"/relay-groups/{group['id']}", {"parent": below["id"]}, want=409)["code"] == "conflict"
    assert refusal(api, "DELETE", f"/relay-groups/{group['id']}", want=409)["code"] == "conflict"
    api("PATCH", f"/relay-groups/{below['id']}", {"parent": "", "name": "beside"}, want=200)
    api("DELETE", f"/relay-groups/{group['id']}", want=204)
    refusal(api, "GET", f"/relay-groups/{group['id']}", want=404)
    refusal(api, "PATCH", f"/computers/{NOBODY}", {"relay_on": None, "relay_group": below["id"]}, want=404)

    api("GET", "/alerts?state=all&lang=ja", want=200)
    refusal(api, "GET", "/alerts?state=gone")
    assert {"update_failed", "engine_offline"} <= {a["kind"] for a in api("GET", "/alerts/catalogue", want=200)["items"]}
    assert "ca" in {i["what"] for i in api("GET", "/expiry", want=200)["items"]}

    task = api("POST", "/tasks", {"name": "nightly", "schedule": {"type": "daily", "at": "03:30", "zone": "Asia/Tokyo"}}, want=201)
    assert task["next_run"].endswith("T18:30:00Z") and task["missed"] == "run"
    assert [t["id"] for t in api("GET", "/tasks", want=200)["items"]] == [task["id"]]
    changed = api("PATCH", f"/tasks/{task['id']}", {"kind": "check"}, want=200)
    assert changed == api("GET", f"/tasks/{task['id']}", want=200) and changed["schedule"] == task["schedule"]
    assert api("POST", f"/tasks/{task['id']}/run", want=200)["job"] is None
    assert refusal(api, "POST", "/tasks", {"name": "nightly", "schedule": task["schedule"]}, want=409)["code"] == "conflict"
    refusal(api, "POST", "/tasks", {"name": "x", "schedule": {"type": "yearly"}})
    api("DELETE", f"/tasks/{task['id']}", want=204)
    refusal(api, "GET", f"/tasks/{task['id']}", want=404)

    public = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": PUBLIC}}
    assert api("GET", "/licences", want=200)["groups"] == [{"group": "am-wr", "state": "valid", "ends": None}]
    assert "add-key" in refusal(api, "POST", "/licences", {"file": SIGNED})["message"]
    licence_key = api("POST", "/licences/keys", {"key": public}, want=200)["id"]
    added = api("POST", "/licences", {"file": SIGNED}, want=200)
    assert [i["name"] for i in added["items"]] == ["Example Inc."]
    refusal(api, "POST", "/licences", {"file": SIGNED.replace("2027", "2037")})
    for gone in (added["items"][0]["id"], licence_key):
        api("DELETE", f"/licences/{gone}", want=204)
    refusal(api, "DELETE", f"/licences/{licence_key}", want=404)

    test = api("POST", "/tests", {"from": "manager", "what": "source"}, want=201)
    assert test["state"] == "running" and test["targets"] == []
    api("GET", f"/tests/{test['id']}", want=200)
    refusal(api, "GET", f"/tests/{NOBODY}", want=404)
    refusal(api, "POST", "/tests", {"from": NOBODY, "what": "relays"}, want=404)
    refusal(api, "POST", "/tests", {"from": "manager", "what": "manager"})
    refusal(api, "POST", "/tests", {"from": "manager", "what": "all"})

    token = api("POST", "/tokens", {"name": "t", "uses": 3}, want=201)
    assert re.fullmatch(r"yg1\.[0-9a-f]{64}\.[A-Za-z0-9_-]{43}", token["token"])
    listed = api("GET", "/tokens", want=200)["items"]
    assert [t["id"] for t in listed] == [token["id"]] and token["token"].split(".")[2] not in json.dumps(listed)
    api("DELETE", f"/tokens/{token['id']}", want=204)
    refusal(api, "DELETE", "/tokens/none", want=404)

    key = api("POST", "/keys", {"name": "k", "role": "full"}, want=201)
    api("GET", "/keys", want=200)
    api("GET", "/status", key=key["key"], want=200)
    api("DELETE", f"/keys/{key['id']}", want=204)
    assert refusal(api, "GET", "/status", want=401, key=key["key"])["code"] == "unauthorized"
    refusal(api, "DELETE", "/keys/none", want=404)

    policies = api("GET", "/policies", want=200)["items"]
    assert [p["default"] for p in policies] == [True]
    made = api("POST", "/policies", {"name": "p", "document": policies[0]["document"]}, want=201)
    api("GET", f"/policies/{made['id']}", want=200)
    assert api("PUT", f"/policies/{made['id']}", {"name": "q"}, want=200)["name"] == "q"
    api("DELETE", f"/policies/{made['id']}", want=204)
    refusal(api, "GET", f"/policies/{made['id']}", want=404)
    assert refusal(api, "DELETE", f"/policies/{policies[0]['id']}", want=409)["code"] == "conflict"
    api("GET", "/openapi.json", want=200)

    tried = {(m, p) for m, p, _ in api.done}
    assert tried == {(m, p) for m, p, _ in api.document.operations()}


def test_pages(api):
    for i in range(5):
        api("POST", "/tokens", {"name": f"t{i}"}, want=201)
    seen, cursor = [], ""
    while cursor is not None:
        page = api("GET", f"/tokens?limit=2{'&cursor=' + cursor if cursor else ''}", want=200)
        assert len(page["items"]) <= 2
        seen += [t["name"] for t in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == [f"t{i}" for i in range(5)]


@pytest.mark.parametrize("method,path,body,status,code,field,message", [
    ("POST", "/jobs", {"kind": "update", "computers": "all", "now": 1}, 400, "bad_request", "now",
     "now: no such member is known here"),
    ("POST", "/jobs", {"kind": "update"}, 400, "bad_request", "computers",
     "computers: want a string or an array, have nothing"),
    ("POST", "/jobs", b"{", 400, "bad_request", None, None),
    ("POST", "/jobs", b"\xff\xfe", 400, "bad_request", None, None),
    ("POST", "/jobs", b"[" * 100000, 400, "bad_request", None, None),
    ("PATCH", "/settings", {"update": {"tries": 0}}, 400, "bad_request", "update.tries", "update.tries: want 1..100, have 0"),
    ("GET", "/computers?limit=501", None, 400, "bad_request", "limit", "limit: want 1..500, have 501"),
    ("GET", "/computers?colour=red", None, 400, "bad_request", "colour", "colour: no such parameter is known here"),
    ("GET", "/events?text=%E6%AB%93%FF", None, 400, "bad_request", "text", "text: a query value: want UTF-8 without NUL"),
    ("GET", "/nothing", None, 404, "not_found", None, "there is no '/api/v1/nothing' here"),
    ("PUT", "/settings", {}, 405, "method_not_allowed", None, "/api/v1/settings: want GET, PATCH, have PUT"),
])
def test_refusals_name_the_thing(api, method, path, body, status, code, field, message):
    error = refusal(api, method, path, body, want=status)
    assert error["code"] == code and error.get("field") == field
    if message:
        assert error["message"] == message


def test_too_large_a_body(api):
    context = ssl.create_default_context(cafile=str(api.manager.ca))
    connection = http.client.HTTPSConnection("localhost", api.manager.ports["web"], context=context, timeout=30)
    connection.putrequest("POST", "/api/v1/jobs")
    connection.putheader("Authorization", f"Bearer {api.manager.key}")
    connection.putheader("Content-Length", str(5 << 20))
    connection.endheaders()
    with contextlib.suppress(OSError):
        connection.send(b" " * (5 << 20))
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("key", ["ygk_", "ygk_00000000_" + "A" * 43, "nothing", "ygk_" + "x" * 5000])
def test_keys_that_are_none(api, key):
    for method, path, body in (("GET", "/status", None), ("POST", "/jobs", {"wrong": 1})):
        assert refusal(api, method, path, body, want=401, key=key)["code"] == "unauthorized"


def test_a_reading_key_only_reads(api):
    key = api("POST", "/keys", {"name": "reader", "role": "read"}, want=201)["key"]
    api("GET", "/computers", want=200, key=key)
    before = api("GET", "/settings", key=key, want=200)
    for method, path, body in (("POST", "/jobs", {"kind": "update", "computers": "all"}), ("POST", "/tokens", {}),
                               ("PATCH", "/settings", {"direct_fallback": not before["direct_fallback"]}), ("GET", "/keys", None),
                               ("POST", "/keys", {"name": "x", "role": "full"})):
        assert refusal(api, method, path, body, want=403, key=key)["code"] == "forbidden"
    for method, path, operation in api.document.operations():
        path = path.removeprefix("/api/v1").replace("{id}", NOBODY)
        if method == "GET" and path != "/keys":
            status, _ = api.manager.request(method, path, key=key)
            assert status in (200, 404), (path, status)
        elif "requestBody" not in operation:
            refusal(api, method, path, want=403, key=key)
    assert api("GET", "/settings") == before


def test_languages(api):
    catalogue = {e["id"]: e for e in api("GET", "/events/catalogue")["items"]}
    api("POST", "/jobs", {"kind": "update", "computers": "all"})

    def names(query="", accept=None):
        events = api("GET", f"/events{query}", headers={"Accept-Language": accept} if accept else None)["items"]
        assert events
        return {(e["id"], e["name"]) for e in events}

    def wanted(lang, have):
        return {(i, catalogue[i]["name"][lang]) for i, _ in have}

    for query, accept, lang in (("", None, "en"), ("", "ja,en;q=0.5", "ja"), ("", "en,ja;q=0.5", "en"),
                                ("?lang=ja", "en", "ja"), ("?lang=en", "ja", "en")):
        have = names(query, accept)
        assert have == wanted(lang, have), (query, accept)


def activation(manager, body, path="/agent/v1/activate"):
    """A request of an agent that has no certificate yet: (status, answer)."""
    context = ssl.create_default_context(cafile=str(manager.ca))
    connection = http.client.HTTPSConnection("localhost", manager.ports["session"], context=context, timeout=30)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


HELLO = {"protocol": [1], "version": "0.1.0", "kind": "agent", "roles": [], "hostname": "h", "os": "o", "capabilities": [],
         "relay_port": 0, "addresses": []}


def test_agents_are_refused_with_one_line(manager):
    log = manager.process.log
    good = manager.token()
    for body, want, words in (
            (b"\x00\xff garbage", 400, "JSON"),
            (b"{}", 400, "hello"),
            (json.dumps({"hello": HELLO, "token": good, "csr": "no request"}).encode(), 400, "request"),
            (json.dumps({"hello": HELLO, "token": good[:-1] + ("A" if good[-1] != "A" else "B"), "csr": "x"}).encode(), 401,
             "token")):
        before = len(log.read_text(errors="replace").splitlines())
        status, answer = activation(manager, body)
        assert status == want, answer
        assert words in answer["error"]["message"]
        lines = [li for li in log.read_text(errors="replace").splitlines()[before:] if "agent.refused" in li]
        assert len(lines) == 1 and words in lines[0], lines
    status, answer = activation(manager, b"{}", "/agent/v1/heartbeat")
    assert status in (401, 403) and answer["error"]["message"]
    assert manager.call("GET", "/computers")["items"] == [] or all(
        c["agent_state"] == "activation_required" for c in manager.call("GET", "/computers")["items"])


def test_rubbish_on_the_sockets(manager):
    for port in manager.ports.values():
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 200, b""):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
                s.sendall(data)
    assert manager.call("GET", "/status")


def test_the_same_authority_and_keys_after_a_restart(manager):
    ca, key = manager.ca.read_text(), manager.key
    token = manager.token()
    manager.process.stop()
    assert "admin key: " + key in manager.process.log.read_text()
    manager.start()
    assert manager.ca.read_text() == ca and manager.call("GET", "/status")
    assert manager.token().split(".")[1] == token.split(".")[1]
    assert manager.process.log.read_text().count("admin key: ") == 1
    manager.process.stop()
    assert not list(manager.root.rglob("*.tmp"))


def test_secrets_do_not_lie_around(manager):
    manager.process.stop()
    state = manager.root / "var/opt/yagura/manager"
    assert (state / "master.key").stat().st_mode & 0o777 == 0o600
    for path in state.rglob("*"):
        if path.is_file() and path.name != "admin.key":
            data = path.read_bytes()
            assert b"PRIVATE KEY" not in data, path
            assert manager.key.split("_", 2)[2].encode() not in data, path  # a secret may have a _ of its own
