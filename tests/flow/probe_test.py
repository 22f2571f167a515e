"""A connection is tested step by step, from a computer and from the Manager; the answer is the step that failed."""
import contextlib
import http.server
import json
import socket
import threading

import pytest
import site_parts as parts

GOOD = ["resolve", "connect", "tls", "http", "metadata"]
PAGE = b"<html><head><title>Blocked\x07 by  policy</title></head>no</html>"


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def page():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextlib.contextmanager
def closed():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def network(site):
    site.add_publisher()
    site.add_source()
    site.add_manager()
    site.point_manager_at_source()
    site.add_agent("relay", relay=True)
    site.add_agent("plain")
    plain = site.agents[1]
    parts.until("the relay to be known", lambda: json.loads(
        parts.run("yagura", "--json", "--root", plain.root, "agent", "test", check=False).stdout or "{}").get("targets"))
    return site


def ask(manager, *words, lang="en", json_too=True):
    options = ["--json"] if json_too else []
    done = parts.run("yagura", "--url", manager.url, "--key", manager.key, "--ca", manager.ca, "--lang", lang, *options,
                     "test", *words, check=False)
    return done


def steps(target):
    return [s["step"] for s in target["steps"]]


def test_what_works_is_shown_step_by_step(network):
    manager, plain = network.manager, network.agents[1]
    done = ask(manager, "source")
    target, = json.loads(done.stdout)["targets"]
    assert done.returncode == 0 and steps(target) == GOOD and all(s["ok"] for s in target["steps"]), target
    seen = {s["step"]: s["seen"] for s in target["steps"]}
    assert "127.0.0.1" in seen["resolve"] and "CN=localhost" in seen["tls"] and "TLSv1" in seen["tls"]
    assert seen["metadata"].startswith("timestamp 1, expires ")

    done = ask(manager, "--from", "plain", "manager")
    assert done.returncode == 0, done.stdout + done.stderr
    target, = json.loads(done.stdout)["targets"]
    assert steps(target) == GOOD[:-1] and target["what"] == "manager"

    # A relay without content says so; with it all is well, from both sides.
    done = ask(manager, "relays")
    target, = json.loads(done.stdout)["targets"]
    assert done.returncode == 1 and steps(target)[-1] == "http", target
    assert target["steps"][-1]["cause"] == "http.busy"
    network.publisher.release(parts.content(network.folder / "one", {"Test.One": b"one"}))
    manager.wait_job(manager.job())
    for words in ([], ["--from", "plain"]):
        done = ask(manager, *words, "relays")
        target, = json.loads(done.stdout)["targets"]
        assert done.returncode == 0 and steps(target) == GOOD and target["what"] == "relay", target
    text = plain.cli("test", lang="ja")
    assert "名前解決" in text and "メタデータ" in text and "成功" in text


def test_the_step_that_failed_is_the_answer(network):
    manager = network.manager
    manager.call("PATCH", "/settings", {"direct_fallback": True})  # or agents are not told the source
    real = {"url": network.source.url, "ca": network.source.ca.read_text()}
    with page() as blocked, closed() as refused:
        cases = [
            ({"url": refused, "ca": ""}, "connect", "net.refused", "Connection refused"),
            ({"url": blocked, "ca": ""}, "http", "http.block_page", "'Blocked by policy'"),
            ({**real, "ca": ""}, "tls", "tls.untrusted", "CN=Update source test CA"),
            ({"url": real["url"].replace("localhost", "nowhere.invalid"), "ca": ""}, "resolve", "net.dns", "nowhere.invalid"),
        ]
        for source, step, cause, words in cases:
            manager.call("PATCH", "/settings", {"source": source})
            for who in (["--from", "plain"], []):
                done = ask(manager, *who, "source")
                answer = json.loads(done.stdout)
                assert answer["targets"], answer
                last = answer["targets"][0]["steps"][-1]
                assert done.returncode == 1 and answer["outcome"] == "failed", answer
                assert last["step"] == step and last["cause"].startswith(cause), (who, last)
                assert words in last["detail"] and answer["cause"] == last["cause"]
        text = ask(manager, "source", lang="ja", json_too=False)
        assert "失敗" in text.stdout and "[net.dns" in text.stdout, text.stdout

        # T13: "//" switches the check off, and says so.
        manager.call("PATCH", "/settings", {"source": {"url": real["url"] + "//", "ca": ""}})
        for who in (["--from", "plain"], []):
            target, = json.loads(ask(manager, *who, "source").stdout)["targets"]
            assert steps(target) == GOOD and "; not checked" in target["steps"][2]["seen"], target


def test_nothing_to_test(network):
    manager = network.manager
    manager.call("PATCH", "/settings", {"direct_fallback": False})

    def source_off():
        done = ask(manager, "--from", "plain", "source")
        return done.returncode == 1 and json.loads(done.stdout).get("cause") == "update.source_off"
    parts.until("the agent knows that it may not take from the source", source_off)
    manager.call("PATCH", "/settings", {"source": {"url": "", "ca": ""}})
    done = ask(manager, "source")
    assert done.returncode == 1 and json.loads(done.stdout)["cause"] == "update.source_unset"
    status, answer = manager.request("POST", "/tests", {"from": "manager", "what": "manager"})
    assert status == 400 and "want source or relays" in answer["error"]["message"]
    assert manager.request("POST", "/tests", {"from": "nobody", "what": "source"})[0] == 404
    assert manager.request("GET", "/tests/nothing")[0] == 404
