#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""The program yagura against an agent and a Manager that only play their parts: what it asks, what it shows, and
its exit status. Usage: yagura_test.py PROGRAM [unittest's own arguments]"""
import fcntl
import http.server
import json
import os
import pathlib
import pty
import re
import shutil
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import unittest
import urllib.parse

PROGRAM = os.path.abspath(sys.argv.pop(1))
UUID = "11111111-2222-4333-8444-555555555555"
OTHER = "88888888-2222-4333-8444-555555555555"
JOB = "99999999-2222-4333-8444-555555555555"
NEVER = {"LANG": "C", "PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def run(*words, env=None, cwd=None):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=60, cwd=cwd,
                          env={**NEVER, **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **(env or {})})
    return done.returncode, done.stdout, done.stderr


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="yg-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)


class Agent(socketserver.ThreadingUnixStreamServer):
    """Answers every question with the lines that were set for it."""

    def __init__(self, root):
        (root / "run/yagura").mkdir(parents=True)
        self.asked, self.lines = [], {}
        run = os.open(root / "run/yagura", os.O_PATH)
        try:  # a socket's path has 107 bytes at most, and the clone may lie deeper
            super().__init__(f"/proc/self/fd/{run}/control.sock", self.Handler)
        finally:
            os.close(run)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            question = json.loads(self.rfile.readline())
            self.server.asked.append(question)
            for line in self.server.lines[question["do"]]:
                data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
                self.wfile.write(data)


class LocalAgent(Folder):
    def setUp(self):
        super().setUp()
        self.agent = Agent(self.folder)
        self.addCleanup(self.agent.server_close)
        self.addCleanup(self.agent.shutdown)

    def ask(self, *words, **more):
        return run("--root", self.folder, "agent", *words, **more)

    def test_nobody_there(self):
        code, out, err = run("--root", self.folder / "other", "agent", "status")
        self.assertEqual((code, out), (3, ""))
        self.assertTrue(err.startswith("yagura: No agent is running here. ("), err)
        self.assertEqual(len(err.splitlines()), 1)

    def test_status(self):
        self.agent.lines["status"] = [{"ok": {"state": "protected", "version": "0.1.0", "activated": True, "engine":
                                              {"state": "online"}, "components": [{"name": "am-pattern", "version": 2}]}}]
        code, out, _ = self.ask("status")
        self.assertEqual(code, 0)
        self.assertIn("State            protected\n", out)
        self.assertIn("Components       am-pattern 2\n", out)
        code, out, _ = self.ask("status", "--lang", "ja")
        self.assertIn("コンポーネント    am-pattern 2\n", out)
        self.assertEqual(json.loads(self.ask("--json", "status")[1])["engine"], {"state": "online"})

    def test_scan(self):
        self.agent.lines["scan"] = [
            {"progress": {"files": 10, "bytes": 1000}}, {"progress": {"found": {"path": "/x/eicar\n.com", "signature": "E"}}},
            {"progress": {"unjudged": {"path": "/x/big", "reason": "too_large"}}},
            {"ok": {"files": 12, "bytes": 2048, "found": 1, "unjudged": 1, "seconds": 0}}]
        code, out, err = self.ask("scan", ".", "/tmp", cwd=self.folder)
        self.assertEqual(code, 1)
        self.assertEqual(out, "/x/eicar?.com: E\n12 files (2.0 KiB), 1 with malware, 1 not judged\n")
        self.assertEqual(err, "/x/big: could not be judged: too large\n")
        self.assertEqual(self.agent.asked[-1], {"do": "scan", "paths": [f"{self.folder.resolve()}/.", "/tmp"]})
        code, out, err = self.ask("--json", "scan", "/tmp")
        self.assertEqual((code, err), (1, ""))
        self.assertEqual(json.loads(out), {"files": 12, "bytes": 2048, "seconds": 0, "found": [
            {"path": "/x/eicar\n.com", "signature": "E"}], "unjudged": [{"path": "/x/big", "reason": "too_large"}]})
        self.agent.lines["scan"] = [{"ok": {"files": 1, "bytes": 3, "found": 0, "unjudged": 0, "seconds": 0}}]
        self.assertEqual(self.ask("scan", "/tmp")[:2], (0, "1 files (3 bytes), 0 with malware, 0 not judged\n"))
        asked = len(self.agent.asked)
        code, _, err = self.ask("scan", "/no/such")
        self.assertEqual((code, err), (1, "yagura: A path to scan cannot be read. (/no/such) Check that it exists.\n"))
        self.assertEqual(len(self.agent.asked), asked)

    def test_changes(self):
        updated = [{"name": "am-pattern", "from": 1, "to": 2}]
        self.agent.lines["update"] = [{"progress": {"phase": "fetch", "done": 1, "of": 2}},
                                      {"ok": {"outcome": "success", "set": "", "updated": updated}}]
        self.assertEqual(self.ask("update"), (0, "Security update successful: am-pattern 1 → 2\n", ""))
        self.assertEqual(self.ask("update", env={"LANG": "ja_JP.UTF-8"})[1],
                         "セキュリティアップデート成功: am-pattern 1 → 2\n")
        self.agent.lines["rollback"] = [{"ok": {"outcome": "failed", "cause": "store.no_rollback", "sentence": "li_roll"}}]
        self.assertEqual(self.ask("rollback"),
                         (1, "", "yagura: There are no earlier components to roll back to. (li_roll)\n"))
        self.assertEqual(self.ask("--json", "rollback")[0], 1)
        self.agent.lines["release_hold"] = [{"error": {"code": "x", "cause": "no.such", "message": "odd"}}]
        self.assertEqual(self.ask("release-hold"), (1, "", "yagura: odd\n"))

    def test_activate(self):
        self.agent.lines["activate"] = [{"ok": {"agent_id": UUID, "manager_id": UUID}}]
        code, out, _ = self.ask("activate", "--url", "https://m:4120", "--token", "t", "--name", "web1")
        self.assertEqual((code, out), (0, f"Activated: agent {UUID}\n"))
        self.assertEqual(self.agent.asked[-1], {"do": "activate", "url": "https://m:4120", "token": "t", "name": "web1"})
        self.assertEqual(self.ask("activate", "--url", "https://m:4120")[0], 2)
        self.agent.lines["activate"] = [{"error": {"code": "x", "cause": "auth.token", "message": "unknown"}}]
        code, _, err = self.ask("activate", "--url", "https://m:4120", "--token", "t")
        self.assertEqual((code, len(err.splitlines())), (1, 1))
        self.assertTrue(err.startswith("yagura: The activation token is not valid. (unknown)"), err)

    def test_events_are_rendered_here(self):
        self.agent.lines["events"] = [{"ok": {"items": [
            {"seq": 1, "id": 20100, "time": "2026-11-21T22:47:43Z", "params": {"path": "/a", "signature": "X"}},
            {"seq": 2, "id": 54321, "time": "2026-11-21T22:47:43Z", "params": {"a": 1}}]}}]
        out = self.ask("--lang", "ja", "events", "--limit", "5")[1]
        self.assertIn("20100  警告    不正プログラムの検出  /aで不正プログラムを検出しました: X。\n", out)
        self.assertIn('54321  -       不明なイベント        イベント54321: {"a":1}\n', out)
        self.assertEqual(self.agent.asked[-1], {"do": "events", "limit": 5})
        self.assertEqual(json.loads(self.ask("--json", "events")[1])["items"][0]["name"], "Malware Found")
        self.assertEqual(self.ask("events", "--limit", "x")[0], 2)

    def test_broken_answers(self):
        for lines, word in (([b"nonsense\n"], "JSON"), ([{"else": 1}], "want ok, error or progress"),
                            ([b'{"ok":{}'], "ended the conversation"), ([{"progress": {}}], "ended the conversation")):
            self.agent.lines["status"] = lines
            code, out, err = self.ask("status")
            self.assertIn(code, (1, 3))
            self.assertEqual(out, "")
            self.assertIn(word, err)

    def test_a_root_of_any_length(self):
        deep = self.folder / ("d" * 200)
        deep.mkdir()
        os.symlink(self.folder / "run", deep / "run")
        self.agent.lines["status"] = [{"ok": {"state": "protected"}}]
        self.assertEqual(run("--root", deep, "agent", "status")[0], 0)


class Manager(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder):
        self.folder, self.asked, self.answers = folder, [], {}
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", folder / "key.pem", "-out", folder / "ca.pem", "-subj", "/CN=localhost", "-days", "1",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        super().__init__(("127.0.0.1", 0), self.Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            path, _, query = self.path.partition("?")
            query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            self.server.asked.append((self.command, path, query, body))
            status, value = 404, {"error": {"code": "not_found", "message": f"no {path}"}}
            if self.headers["Authorization"] != "Bearer k":
                status, value = 401, {"error": {"code": "unauthorized", "message": "not that key"}}
            elif (found := self.server.answers.get((self.command, path.removeprefix("/api/v1/")))) is not None:
                status, value = found(query, body) if callable(found) else (200, found)
            data = b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer


class Asks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="yg-cli-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.manager = Manager(cls.folder)
        cls.addClassCleanup(cls.manager.server_close)
        cls.addClassCleanup(cls.manager.shutdown)

    def setUp(self):
        self.manager.answers = {("GET", "computers"): {"next": None, "items": [
            {"id": UUID, "name": "web1", "state": "Managed (Online)", "protection": "protected", "relay": False,
             "components": [{"name": "am-pattern", "version": 2}], "newest": "current", "last_contact": None}]}}
        self.manager.asked.clear()

    def ask(self, *words, env=None):
        return run("--url", self.manager.url, "--ca", self.folder / "ca.pem", *words, env={"YAGURA_KEY": "k", **(env or {})})


class FarManager(Asks):
    def test_configuration(self):
        conf = self.folder / "cli.conf"
        conf.write_text(f"[manager]\nurl = {self.manager.url}\nkey = k\nca = {self.folder}/ca.pem\n[cli]\nlang = ja\n")
        code, out, err = run("--config", conf, "computers")
        self.assertEqual((code, err), (0, ""))
        self.assertTrue(out.startswith("名前"))
        conf.write_text("[manager]\nnonsense = 1\n")
        code, _, err = run("--config", conf, "computers")
        self.assertEqual(code, 2)
        self.assertIn(f"{conf}:2:", err)
        self.assertEqual(run("--config", self.folder / "none", "computers")[0], 2)
        for words, word in ((("status",), "no Manager"), (("--url", "https://x", "status"), "no API key"),
                            (("--url", "http://x", "--key", "k", "status"), "https"),
                            (("--url", "nonsense", "--key", "k", "status"), "nonsense")):
            code, _, err = run(*words)
            self.assertEqual(code, 1)
            self.assertIn(word, err)

    def test_environment_is_not_trusted(self):
        bad = {"https_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1",
               "SSL_CERT_FILE": str(self.folder / "ca.pem")}
        self.assertEqual(self.ask("computers", env=bad)[0], 0)
        code, _, err = run("--url", self.manager.url, "--key", "k", "computers", env=bad)
        self.assertEqual(code, 3)
        self.assertIn("nobody but itself", err)

    def test_refusals(self):
        code, _, err = self.ask("--key", "wrong", "computers")
        self.assertEqual(code, 1)
        self.assertTrue(err.startswith("yagura: The API key is not valid. (not that key)"), err)
        self.assertEqual(self.ask("status"), (1, "", "yagura: no /api/v1/status\n"))
        self.assertEqual(run("--url", "https://127.0.0.1:1", "--key", "k", "status")[0], 3)
        self.assertEqual(self.ask("computers", "web2"), (1, "", "yagura: there is no computer 'web2'\n"))
        self.assertEqual(self.ask("computers", "web2", "--lang", "ja")[2], "yagura: コンピュータ 'web2' はありません\n")

    def test_computers(self):
        code, out, _ = self.ask("computers")
        self.assertEqual(code, 0)
        self.assertEqual(out.splitlines()[1].split("  ")[0], "web1")
        self.assertIn("am-pattern 2", out)
        self.assertEqual(json.loads(self.ask("--json", "computers")[1])["items"][0]["id"], UUID)
        self.manager.answers["GET", f"computers/{UUID}"] = {"id": UUID, "name": "web1", "hold": {"set": "abc"}}
        self.assertIn("On hold            abc\n", self.ask("computers", "web1")[1])
        self.manager.answers["DELETE", f"computers/{UUID}"] = lambda *_: (204, None)
        self.assertEqual(self.ask("computers", "delete", UUID)[:2], (0, "Deleted\n"))

    def test_paging(self):
        self.manager.answers["GET", "jobs"] = lambda query, _: (200, {
            "items": [{"id": query.get("cursor", "first")}], "next": None if "cursor" in query else "a/b c"})
        self.assertEqual([j["id"] for j in json.loads(self.ask("--json", "jobs")[1])["items"]], ["first", "a/b c"])

    def test_update(self):
        self.manager.answers["POST", "jobs"] = lambda _, body: (201, {"id": JOB, **body})
        self.assertEqual(self.ask("update"), (0, f"Job {JOB}\n", ""))
        self.assertEqual(self.manager.asked[-1][3], {"kind": "update", "computers": "all", "relays": True, "scheduled": False})
        self.ask("update", "--computers", f"web1,{UUID}", "--no-relays", "--scheduled")
        self.assertEqual(self.manager.asked[-1][3],
                         {"kind": "update", "computers": [UUID, UUID], "relays": False, "scheduled": True})
        for outcome, code in (("success", 0), ("failed", 1)):
            seen = []
            computer = {"id": UUID, "name": "web1", "as": "agent", "state": outcome, "phase": "done",
                        "cause": "net.refused" if code else "", "sentence": "relay" if code else ""}

            def job(*_):
                seen.append(1)
                if len(seen) < 6:
                    return 200, {"id": JOB, "state": "running", "computers": [
                        {**computer, "state": "running", "phase": "fetch", "done": 1, "of": 4}]}
                return 200, {"id": JOB, "kind": "update", "state": "done", "outcome": outcome, "computers": [computer]}

            self.manager.answers["GET", f"jobs/{JOB}"] = job
            have, out, err = self.ask("update", "--wait")
            self.assertEqual(have, code)
            self.assertIn("0 of 1 done; web1: fetch 25%\n", err)
            self.assertEqual("The connection was refused" in out, bool(code))

    def test_other_jobs(self):
        self.manager.answers["POST", "jobs"] = lambda _, body: (201, {"id": JOB, **body})
        for words, body in ((("scan", "web1", "/srv", "/home"), {"kind": "scan", "paths": ["/srv", "/home"]}),
                            (("rollback", "web1"), {"kind": "rollback"}),
                            (("release-hold", "web1"), {"kind": "release_hold"}),
                            (("policies", "send", "web1"), {"kind": "policy"})):
            self.assertEqual(self.ask(*words)[0], 0)
            self.assertEqual(self.manager.asked[-1][3], {**body, "computers": [UUID]})
        self.assertEqual(self.ask("scan", "web1", "relative")[0], 2)

    def test_results(self):
        computers = [{"id": UUID, "name": "a", "state": "success", "detail": {"files": 3, "found": 2}},
                     {"id": UUID, "name": "b", "state": "success", "detail": {"updated": [
                         {"name": "am-pattern", "from": 1, "to": 2}, {"name": "am-yara", "from": 0, "to": 7}]}},
                     {"id": UUID, "name": "c", "state": "failed", "cause": "net.dns", "sentence": "x", "detail": {}}]
        self.manager.answers["GET", f"jobs/{JOB}"] = {"id": JOB, "state": "done", "computers": computers}
        out = self.ask("jobs", JOB)[1]
        for text in ("3 files, 2 with malware", "am-pattern 1 → 2, am-yara 7", "The host name cannot be resolved. (x) [net.dns]",
                     "\n→ [net.dns] Check the name and the DNS settings of this computer."):
            self.assertIn(text + "\n", out)

    def test_what_goes_on(self):
        """Of what component, how much, how long still; and what a part waits for."""
        computers = [
            {"name": "a", "state": "running", "phase": "fetch", "what": "am-pattern", "bytes": 3 << 20, "bytes_of": 4 << 20,
             "left_s": 12},
            {"name": "b", "state": "waiting", "phase": "waiting", "waits_for": {"group": "branch", "state": "asked"}},
            {"name": "c", "state": "running", "phase": "fetch", "joined": True,
             "waits_for": {"job": OTHER, "by": "ops", "phase": "agents"}}]
        groups = [{"name": "hq", "above": "", "state": "ready", "cause": "", "sentence": ""},
                  {"name": "branch", "above": "hq", "state": "failed", "cause": "net.refused", "sentence": ""}]
        job = {"id": JOB, "state": "running", "computers": computers, "groups": groups}
        self.manager.answers["GET", f"jobs/{JOB}"] = job
        out = self.ask("jobs", JOB)[1]
        for text in ("am-pattern 3.0 MiB of 4.0 MiB, 12 s left", "waits for relay group branch", f"joined job {OTHER} of ops (agents)"):
            self.assertIn(text + "\n", out)
        self.assertRegex(out, r"branch +hq +failed +The connection was refused")
        self.manager.answers["POST", f"jobs/{JOB}/cancel"] = {**job, "cancelled_by": "me"}
        self.assertIn("Cancelled by  me\n", self.ask("jobs", "cancel", JOB)[1])

    def test_findings(self):
        """What a scan found is listed; the events may come after the result."""
        computers = [{"id": UUID, "name": "web1", "as": "agent", "state": "success", "detail": {"files": 3, "found": 2}}]
        job = {"id": JOB, "kind": "scan", "state": "done", "outcome": "success", "computers": computers}
        found = [{"id": 20100, "computer": {"id": UUID, "name": "web1"}, "params": {"path": p, "signature": s}}
                 for p, s in (("/b\x1b", "Two"), ("/a", "One"))]
        asked = []

        def events(query, _):
            asked.append(query)
            return 200, {"items": found if len(asked) > 2 else found[1:], "next": None}

        self.manager.answers["POST", "jobs"] = lambda *_: (201, job)
        self.manager.answers["GET", f"jobs/{JOB}"] = job
        self.manager.answers["GET", "events"] = events
        code, out, err = self.ask("scan", "web1", "/", "--wait")
        self.assertEqual((code, err), (1, ""))
        self.assertTrue(out.endswith("\n\nweb1: /a: One\nweb1: /b?: Two\n"), out)
        self.assertEqual({k: asked[0][k] for k in ("id", "job")}, {"id": "20100", "job": JOB})
        code, out, _ = self.ask("scan", "web1", "/", "--wait", "--json")
        self.assertEqual((code, json.loads(out)["found"][0]), (1, {"computer": "web1", "path": "/a", "signature": "One"}))
        self.assertEqual(self.ask("jobs", JOB)[0], 0)
        computers[0]["detail"]["found"] = 0
        code, out, _ = self.ask("scan", "web1", "/", "--wait")
        self.assertEqual(code, 0)
        self.assertNotIn("/a", out)

    def test_words(self):
        out = self.ask("computers", "--lang", "ja")[1]
        for word in ("管理対象 (オンライン)", "保護中", "最新"):
            self.assertIn(word, out)
        self.manager.answers["GET", "jobs"] = {"next": None, "items": [
            {"id": JOB, "kind": "release_hold", "state": "done", "outcome": "failed", "by": "schedule"}]}
        out = self.ask("jobs", "--lang", "ja")[1]
        for word in ("保留の解除", "完了", "失敗", "予約タスク"):
            self.assertIn(word, out)
        self.assertIn("release hold", self.ask("jobs")[1])

    def test_status(self):
        status = {"version": "1", "computers": {"total": 3}, "check_failed": None}
        self.manager.answers["GET", "status"] = status
        self.assertNotIn("could not be checked", self.ask("status")[1])
        status["check_failed"] = {"cause": "update.source_unset", "sentence": "source.url is empty", "time": ""}
        last = self.ask("status")[1].splitlines()[-1]
        self.assertEqual(last, "The update source could not be checked: No update source is set. (source.url is empty) "
                               "Set its address: 'yagura settings source.url=https://…'.")
        self.assertIn("「yagura settings source.url=", self.ask("status", "--lang", "ja")[1].splitlines()[-1])

    def test_terminal(self):
        """A list is cut to the width of a terminal, and whole in a pipe."""
        self.manager.answers["GET", "events"] = {"next": None, "items": [
            {"time": "2026-11-21T22:47:43Z", "id": 784, "level": "info", "computer": {"id": UUID, "name": "web1"},
             "name": "Name", "description": "長い説明" * 40}]}
        self.assertIn("長い説明" * 40, self.ask("events")[1])
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        done = subprocess.run([PROGRAM, "--url", self.manager.url, "--ca", self.folder / "ca.pem", "events"], stdout=theirs,
                              env={**NEVER, "YAGURA_KEY": "k"}, timeout=60)
        os.close(theirs)
        self.assertEqual(done.returncode, 0)
        line = os.read(ours, 65536).decode().splitlines()[1]
        self.assertTrue(line.endswith("…"), line)
        self.assertIn("2026-11-21T22:47:43Z", line)
        self.assertIn(sum(2 if ord(c) > 0x3000 else 1 for c in line), (99, 100))

    def test_events(self):
        self.manager.answers["GET", "events"] = {"next": None, "items": [
            {"time": "2026-11-21T22:47:43Z", "id": 784, "level": "info", "computer": {"id": UUID, "name": "web1"},
             "name": "n", "description": "d\x1b[2J"}]}
        code, out, _ = self.ask("events", "--computer", "web1", "--text", "a b&c", "--limit", "3", "--lang", "ja")
        self.assertEqual(code, 0)
        self.assertIn("784  情報    web1          n         d?[2J\n", out)
        self.assertEqual(self.manager.asked[-1][2], {"lang": "ja", "text": "a b&c", "limit": "3", "computer": UUID})

    def test_secrets_are_printed_alone(self):
        self.manager.answers["POST", "tokens"] = lambda *_: (201, {"id": "1", "token": "yg1.x"})
        self.assertEqual(self.ask("tokens", "create", "--uses", "5", "--valid", "60", "--name", "n"), (0, "yg1.x\n", ""))
        self.assertEqual(self.manager.asked[-1][3], {"name": "n", "uses": 5, "valid_s": 60})
        self.assertEqual(self.ask("tokens", "create", "--uses", "many")[0], 2)
        self.manager.answers["POST", "keys"] = lambda *_: (201, {"id": "1", "key": "ygk_x"})
        self.assertEqual(self.ask("keys", "create", "mine"), (0, "ygk_x\n", ""))
        self.assertEqual(self.manager.asked[-1][3], {"name": "mine", "role": "full"})

    def test_settings(self):
        now = {"source": {"url": "", "ca": ""}, "direct_fallback": True, "heartbeat_interval_s": 60}
        self.manager.answers["GET", "settings"] = now
        self.manager.answers["PATCH", "settings"] = lambda _, body: (200, {**now, **body})
        self.assertIn("heartbeat_interval_s  60\n", self.ask("settings")[1])
        pem = (self.folder / "ca.pem").read_text()
        self.manager.answers["GET", "settings"] = {"source": {"url": "", "ca": pem, "certificates": [
            {"subject": "CN=localhost", "not_after": "2027-01-01T00:00:00Z"}]}}
        self.assertIn(f"source.ca      set, {len(pem)} bytes\n  certificate  CN=localhost, until 2027-01-01T00:00:00Z\n",
                      self.ask("settings")[1])
        self.assertEqual(json.loads(self.ask("--json", "settings")[1])["source"]["ca"], pem)
        self.manager.answers["GET", "settings"] = {"source": {"url": "", "ca": "broken\nPEM"}}
        self.assertIn("source.ca   設定済み (10バイト)\n", self.ask("settings", "--lang", "ja")[1])
        self.manager.answers["GET", "settings"] = now
        (self.folder / "value").write_text("PEM\n")
        code, _, err = self.ask("settings", "source.url=https://u/=x", f"source.ca=@{self.folder}/value", "direct_fallback=no",
                                "heartbeat_interval_s=5")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.manager.asked[-1][3], {"source": {"url": "https://u/=x", "ca": "PEM"},
                                                     "direct_fallback": False, "heartbeat_interval_s": 5})
        for word, text in (("nonsense=1", "there is no setting 'nonsense'"), ("source=1", "there is no setting 'source'"),
                           ("direct_fallback=maybe", "want yes or no, have 'maybe'"),
                           ("heartbeat_interval_s=-1", "want digits, have '-1'"), ("word", "there is no setting 'word'")):
            code, _, err = self.ask("settings", word)
            self.assertEqual(code, 2)
            self.assertIn(text, err)

    def test_settings_by_name(self):
        now = {"proxy": {"manager": {"url": "http://p:1", "user": "", "password": "set"}}, "update": {"tries": 3, "limit_s": 5}}
        self.manager.answers["GET", "settings"] = now
        self.manager.answers["PATCH", "settings"] = lambda *_: (200, now)
        self.assertEqual(self.ask("settings", "update")[:2], (0, "update.tries    3\nupdate.limit_s  5\n"))
        self.assertEqual(self.manager.asked[-1][0], "GET")
        self.assertEqual(self.ask("settings", "proxy.manager.password")[1], "proxy.manager.password  set\n")
        self.assertEqual(json.loads(self.ask("--json", "settings", "update")[1]), {"update": now["update"]})
        self.assertEqual(json.loads(self.ask("--json", "settings", "proxy.manager.url")[1]),
                         {"proxy": {"manager": {"url": "http://p:1"}}})
        self.assertEqual(self.ask("settings", "nonsense", "--lang", "ja")[2],
                         "yagura: 設定 'nonsense' はありません。「yagura settings」で一覧を表示できます\n")

    def test_refusals_in_japanese(self):
        for code, text in (("bad_request", "指定内容に誤りがあります: "), ("not_found", "見つかりません: "),
                           ("conflict", "現在の状態では実行できません: "), ("other", "")):
            self.manager.answers["GET", "tokens"] = lambda *_, c=code: (400, {"error": {"code": c, "message": "name: want x"}})
            self.assertEqual(self.ask("tokens", "--lang", "ja")[2], f"yagura: {text}name: want x\n")
            self.assertEqual(self.ask("tokens")[2], "yagura: name: want x\n")

    def test_words_in_tables(self):
        """No word of the API is left in a Japanese table; an empty answer says that it is empty."""
        computer = {"name": "web1", "agent_state": "online", "relay": True, "relay_status": {"state": "on", "set": ""},
                    "relay_on": None, "content": {"mode": "pinned", "pins": {"am-pattern": 1}, "from": "computer"}, "newest": "old"}
        self.manager.answers["GET", "computers"] = {"next": None, "items": [computer]}
        self.manager.answers["GET", "expiry"] = {"items": [
            {"ends": "2026-11-22T08:44:37Z", "days_left": -1, "state": state, "what": what, "name": "x", "renewed_by": who}
            for state, what, who in (("expired", "licence", "person"), ("soon", "metadata", "publisher"), ("ok", "certificate", "itself"))]}
        self.manager.answers["GET", "licences"] = {"groups": [{"group": "am-wr", "state": "valid", "ends": None}], "items": [], "keys": []}
        self.manager.answers["GET", "events"] = {"next": None, "items": []}
        for words, line in ((("relays",), "web1  オンライン  はい   有効  "),
                            (("content",), "web1          固定したバージョン  am-pattern 1    コンピュータ個別  最新ではありません"),
                            (("expiry",), "2026-11-22T08:44:37Z  -1        期限切れ  ライセンス  x     手動 (管理者)"),
                            (("expiry",), "2026-11-22T08:44:37Z  -1        期限間近  メタデータ  x     コンテンツの発行元"),
                            (("expiry",), "2026-11-22T08:44:37Z  -1        有効      証明書      x     自動更新"),
                            (("licences",), "am-wr     有効  -"), (("events",), "該当なし\n"),
                            (("events", "--support"), "原因コードのあるイベントはありません\n")):
            self.assertIn(line, self.ask("--lang", "ja", *words)[1])
        computer["content"] = {"mode": "latest", "pins": {}, "from": "policy"}
        self.assertIn("web1          最新        -               ポリシー  最新ではありません", self.ask("--lang", "ja", "content")[1])
        self.assertEqual(self.ask("events")[1], "None\n")
        self.assertEqual(json.loads(self.ask("--json", "events")[1])["items"], [])

    def test_tasks(self):
        """What is not named stays: the zone and the days of a schedule too."""
        task = {"id": OTHER, "name": "nightly", "kind": "check", "enabled": True, "next_run": "2026-11-22T18:00:00Z",
                "last_run": "2026-11-21T18:00:00Z", "last_state": "started", "target": {"type": "group", "id": UUID},
                "schedule": {"type": "weekly", "at": "03:00", "zone": "Asia/Tokyo", "weekdays": ["mon", "thu"]}}
        self.manager.answers["GET", "tasks"] = {"next": None, "items": [task]}
        self.manager.answers["GET", f"tasks/{OTHER}"] = task
        self.manager.answers["GET", f"relay-groups/{UUID}"] = {"id": UUID, "name": "osaka"}
        self.manager.answers["PATCH", f"tasks/{OTHER}"] = lambda _, body: (200, {**task, **body})
        self.manager.answers["POST", f"tasks/{OTHER}/run"] = lambda *_: (200, {"job": JOB})
        for words, schedule in (
                (("--daily", "04:00"), {"type": "daily", "at": "04:00", "zone": "Asia/Tokyo"}),
                (("--weekly", "04:00"), {**task["schedule"], "at": "04:00"}),
                (("--weekly", "04:00", "--zone", "UTC"), {**task["schedule"], "at": "04:00", "zone": "UTC"}),
                (("--zone", "Europe/Paris"), {**task["schedule"], "zone": "Europe/Paris"}),
                (("--weekdays", "sun"), {**task["schedule"], "weekdays": ["sun"]}),
                (("--hourly", "5"), {"type": "hourly", "minute": 5})):
            self.assertEqual(self.ask("tasks", "set", "nightly", *words)[0], 0)
            self.assertEqual(self.manager.asked[-1][3], {"schedule": schedule})
        self.assertEqual(self.ask("tasks", "set", "nightly", "--disable")[0], 0)
        self.assertEqual(self.manager.asked[-1][3], {"enabled": False})
        code, _, err = self.ask("tasks", "create", "n")
        self.assertEqual((code, err), (2, "yagura: want one of --every, --hourly, --daily and --weekly\n"))
        self.assertEqual(self.ask("tasks", "run", "nightly")[:2], (0, f"Job {JOB}\n"))
        out = self.ask("tasks")[1].splitlines()[1]
        self.assertTrue(out.startswith("nightly  check  weekly 03:00 mon, thu Asia/Tokyo  relay group osaka  yes "), out)
        out = self.ask("tasks", "--lang", "ja")[1].splitlines()[1]
        self.assertTrue(out.startswith("nightly  確認  毎週 月、木 03:00 Asia/Tokyo  Relayグループ osaka  はい "), out)
        self.assertIn("  開始済み  ", out)

    def test_passwords_stay_off_the_command_line(self):
        now = {"proxy": {"manager": {"password": ""}}}
        self.manager.answers["GET", "settings"] = now
        self.manager.answers["PATCH", "settings"] = lambda *_: (200, {"proxy": {"manager": {"password": "set"}}})
        code, _, err = self.ask("settings", "proxy.manager.password=hidden")
        self.assertEqual(code, 2)
        self.assertIn("proxy.manager.password: want @FILE, or @- for standard input", err)
        self.assertNotIn("hidden", err)
        (self.folder / "value").write_text("from a file\n")
        self.assertEqual(self.ask("settings", f"proxy.manager.password=@{self.folder}/value")[:2],
                         (0, "proxy.manager.password  set\n"))
        self.assertEqual(self.manager.asked[-1][3], {"proxy": {"manager": {"password": "from a file"}}})
        command = [PROGRAM, "--url", self.manager.url, "--ca", self.folder / "ca.pem", "settings", "proxy.manager.password=@-"]
        done = subprocess.run(command, input="from standard input\n", text=True, capture_output=True, timeout=60,
                              env={**NEVER, "YAGURA_KEY": "k"})
        self.assertEqual((done.returncode, done.stdout), (0, "proxy.manager.password  set\n"))
        self.assertEqual(self.manager.asked[-1][3], {"proxy": {"manager": {"password": "from standard input"}}})
        self.assertEqual(self.ask("settings", "proxy.manager.password=")[0], 0)
        self.assertEqual(self.manager.asked[-1][3], {"proxy": {"manager": {"password": ""}}})

    def test_relay_groups(self):
        group = {"id": JOB, "name": "site", "parent": {"id": OTHER, "name": "top"}, "default": False, "depth": 2, "relays": 1,
                 "computers": 3, "served_by": {"id": JOB, "name": "site"}, "created": "2026-11-21T22:47:43Z",
                 "members": [{"id": UUID, "name": "web1", "agent_state": "online", "urls": ["https://10.0.0.5:4122"]}]}
        top = {**group, "id": OTHER, "name": "top", "parent": None, "default": True, "depth": 1}
        self.manager.answers["GET", "relay-groups"] = {"items": [top, group], "next": None}
        self.manager.answers["GET", f"relay-groups/{JOB}"] = group
        self.manager.answers["POST", "relay-groups"] = lambda *_: (201, group)
        self.manager.answers["PATCH", f"relay-groups/{JOB}"] = lambda *_: (200, group)
        self.manager.answers["DELETE", f"relay-groups/{JOB}"] = lambda *_: (204, None)
        self.manager.answers["PATCH", f"computers/{UUID}"] = lambda *_: (200, {"id": UUID, "name": "web1"})
        self.assertRegex(self.ask("relay-groups")[1], r"\nsite +top +1 +3 +site +no +" + JOB)
        out = self.ask("relay-groups", "site")[1]
        self.assertRegex(out, r"Takes from +top\n")
        self.assertRegex(out, r"web1 +online +https://10.0.0.5:4122")
        self.assertEqual(self.ask("relay-groups", "create", "site", "--parent", "top", "--default")[0], 0)
        self.assertEqual(self.manager.asked[-1][3], {"name": "site", "parent": OTHER, "default": True})
        self.assertEqual(self.ask("relay-groups", "set", "site", "--parent", "", "--name", "new")[0], 0)
        self.assertEqual(self.manager.asked[-1][3], {"name": "new", "parent": ""})
        self.assertEqual(self.ask("relay-groups", "assign", "site", "web1"), (0, "web1: assigned\n", ""))
        self.assertEqual(self.manager.asked[-1][3], {"relay_group": JOB})
        self.assertEqual(self.ask("relay-groups", "delete", "site")[0], 0)
        code, _, err = self.ask("relay-groups", "none")
        self.assertEqual(code, 1)
        self.assertIn("there is no relay group 'none'", err)
        self.assertIn("Relayグループ 'none' はありません", self.ask("relay-groups", "none", "--lang", "ja")[2])

    def test_relays(self):
        relay = {"id": UUID, "name": "web1", "agent_state": "online", "relay": True, "relay_on": None,
                 "relay_status": {"state": "on", "set": "a" * 64}, "relay_group": {"id": JOB, "name": "site"},
                 "relay_urls": ["https://10.0.0.5:4122"]}
        self.manager.answers["GET", "computers"] = {"items": [relay], "next": None}
        self.manager.answers["PATCH", f"computers/{UUID}"] = lambda *_: (200, relay)
        self.assertRegex(self.ask("relays")[1], r"web1 +online +yes +on +- +site +a{12} +https://10.0.0.5:4122\n")
        self.assertEqual(self.manager.asked[-1][2], {"relay": "true", "limit": "500"})
        for words, body in ((("on", "web1"), {"relay_on": True}), (("off", "web1"), {"relay_on": False}),
                            (("own", "web1"), {"relay_on": None}), (("address", "web1"), {"relay_urls": []}),
                            (("address", "web1", "https://r:1"), {"relay_urls": ["https://r:1"]})):
            self.assertEqual(self.ask("relays", *words)[0], 0)
            self.assertEqual(self.manager.asked[-1][3], body)

    def test_policies(self):
        items = []
        self.manager.answers["GET", "policies"] = {"items": items, "next": None}
        self.manager.answers["POST", "policies"] = lambda _, body: (201, {"id": JOB, "version": 1, **body})
        (self.folder / "p.json").write_text('{"am":{}}')
        self.assertEqual(self.ask("policies", "set", self.folder / "p.json", "--name", "strict")[:2],
                         (0, "Policy strict, version 1\n"))
        items.append({"id": JOB, "name": "strict"})
        self.manager.answers["PUT", f"policies/{JOB}"] = lambda _, body: (200, {"id": JOB, "version": 2, **body})
        self.assertEqual(self.ask("policies", "set", self.folder / "p.json", "--name", "strict")[:2],
                         (0, "Policy strict, version 2\n"))
        self.manager.answers["PATCH", f"computers/{UUID}"] = {"id": UUID}
        self.assertEqual(self.ask("policies", "assign", "strict", "web1")[:2], (0, "Assigned\n"))
        self.assertEqual(self.manager.asked[-1][3], {"policy": JOB})
        (self.folder / "bad.json").write_text("{")
        code, _, err = self.ask("policies", "set", self.folder / "bad.json", "--name", "strict")
        self.assertEqual(code, 1)
        self.assertIn("bad.json: JSON: line 1", err)


class Diagnose(Asks):

    LOG = ("[2014-May-28 06:39:41 4467|1085278544] [app] Update [src/core/src/context.cpp(487)]\n"
           "Update finished with result : IAU_STATUS_FILE_EXISTS[-1073610747(3,2,5)]\n")
    GOOD = "[2014-May-28 07:00:00 1|2] [app] Update [x.cpp(1)]\nUpdate finished with result : IAU_STATUS_SUCCESS[0(0,0,0)]\n"

    def log(self, text, name="iau.log"):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def test_log(self):
        code, out, err = run("diagnose", "--log", self.log(self.LOG))
        self.assertEqual((code, err), (1, ""))
        self.assertIn("1. A broken file that was left behind is in the way of the update. [store.exists]\n", out)
        self.assertIn("   Seen: iau.log:1: Update finished with result", out)
        code, out, _ = run("diagnose", "--lang", "ja", "--log", self.log(self.LOG), self.log(self.GOOD, "iau.log.1"))
        self.assertEqual(code, 0)
        self.assertIn("問題は見つかりませんでした。", out)
        self.assertIn("その後の成功により解消", out)
        answer = json.loads(run("--json", "diagnose", "--log", self.log(self.LOG.encode("utf-16")))[1])
        self.assertEqual([c["cause"] for c in answer["causes"]], ["store.exists"])
        done = subprocess.run([PROGRAM, "diagnose", "--log", "-"], input=self.LOG, capture_output=True, text=True, env=NEVER)
        self.assertIn("stdin:1:", done.stdout)
        weird = self.log("Err 20260101 00:00:00 1 2 X: \x1b[2Jwhat is this\n")
        self.assertIn("Failures that are not in the table (1):\n - iau.log:1: [2Jwhat is this\n", run("diagnose", "--log", weird)[1])
        self.assertNotIn("Nothing was found", run("diagnose", "--log", weird)[1])

    def test_log_cannot_be_read(self):
        for words, text in (((), "--log FILE..."), ((self.folder / "none",), "No such file"), ((self.folder,), "want a file")):
            code, out, err = run("diagnose", "--log", *words)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(text, err)
        self.assertEqual(run("diagnose", "--log", self.log(""))[:2], (2, "iau.log: there is no entry of a log in it\n"))
        self.assertEqual(run("diagnose", "--log", self.log("hello\n"))[:2], (
            0, "iau.log: the format is not known; it was searched for known codes and words\nNothing was found that is wrong.\n"))
        self.assertEqual(run("diagnose", self.folder)[0], 2)
        self.assertEqual(run("diagnose", "--manager", "--network-plan")[0], 2)

    def test_support(self):
        env = {"TZ": "JST-9"}
        done = subprocess.run([PROGRAM, "diagnose", "--support", "--log", self.log(self.LOG)], capture_output=True, text=True,
                              env={**NEVER, **env})
        self.assertRegex(done.stdout, r"^Cause: store.exists\nWhat: A broken file .*\nTime: 2014-05-28T15:39:41\+09:00 \(JST\)\n"
                                      r"Versions: yagura \S+\n$")
        parts = [{"id": UUID, "name": "web1", "state": "failed", "cause": "net.dns", "sentence": "x", "ended": "2026-11-22T00:00:00Z"},
                 {"id": OTHER, "name": "web2", "state": "success", "detail": {}}]
        self.manager.answers.update({("GET", f"jobs/{JOB}"): {"id": JOB, "state": "done", "computers": parts},
                                     ("GET", f"computers/{UUID}"): {"version": "7.1"}, ("GET", "status"): {"version": "7.2"}})
        want = ("Cause: net.dns\nWhat: The host name cannot be resolved. (x)\nComputer: web1 (" + UUID + ")\n"
                "Time: 2026-11-22T09:00:00+09:00 (JST)\nVersions: yagura ")
        code, out, _ = self.ask("jobs", JOB, "--support", env=env)
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith(want) and out.endswith(", agent 7.1, Manager 7.2\n"), out)
        self.manager.answers["GET", "events"] = {"next": None, "items": [
            {"time": "2026-11-22T00:00:00Z", "id": 785, "computer": {"id": UUID, "name": "web1"},
             "params": {"cause": "net.dns", "detail": "x"}}, {"time": "2026-11-22T00:00:00Z", "id": 784, "params": {}}]}
        self.assertEqual(self.ask("events", "--support", env=env)[1], out)

    def test_manager(self):
        cause = {"cause": "relay.off", "sentence": "S.", "remedy": "R.", "auto": "A.", "object": "", "seen": ["relays: r"], "count": 1,
                 "first": None, "last": None, "how": "checked", "over": False, "explains": [{"cause": "x.y", "sentence": "T.", "seen": []}]}
        self.manager.answers["GET", "diagnosis"] = {"causes": [cause], "checks": [{"check": "disk", "state": "ok", "seen": "room"}],
                                                    "standing": 1, "id": UUID, "version": "7.2", "time": "2026-11-22T00:00:00Z"}
        code, out, _ = self.ask("diagnose", "--manager", "--lang", "ja")
        self.assertEqual(code, 1)
        self.assertEqual(self.manager.asked[-1][2], {"lang": "ja"})
        self.assertIn("1. S. [relay.off]\n   確認した内容: Relay: r\n   対処方法: R.\n   自動的な処理: A.\n   これにより発生: T. [x.y]\n", out)
        self.assertRegex(out, r"ディスク +正常 +room\n")
        self.assertIn("Manager 7.2", self.ask("diagnose", "--manager", "--support")[1])
        self.manager.answers["GET", "diagnosis"]["standing"] = 0
        self.manager.answers["GET", "diagnosis"]["causes"] = []
        self.assertEqual(self.ask("diagnose", "--manager")[0], 0)
        # one that does not answer is what is wrong; one that refuses says nothing about itself
        code, out, _ = run("--url", "https://127.0.0.1:1", "--key", "k", "diagnose", "--manager")
        self.assertEqual(code, 1)
        self.assertIn("[net.refused]", out)
        self.assertEqual(self.ask("--key", "wrong", "diagnose", "--manager")[0], 2)

    def test_plan(self):
        self.manager.answers["GET", "network-plan"] = {"time": "now", "items": [
            {"from": "=a", "to": "b", "port": 443, "protocol": "TCP", "why": "w", "note": ""}]}
        code, out, _ = self.ask("diagnose", "--network-plan")
        self.assertEqual(code, 0)
        self.assertIn("| =a | b | 443 | TCP | w |  |\n", out)
        path = self.folder / "plan.csv"
        self.assertEqual(self.ask("diagnose", "--network-plan", "--lang", "ja", "--out", path), (0, "", ""))
        self.assertEqual(path.read_bytes().decode("utf-8-sig").splitlines()[1], '"\'=a","b","443","TCP","w",""')
        self.assertTrue(path.read_bytes().startswith(b"\xef\xbb\xbf"))
        self.assertEqual(self.ask("diagnose", "--network-plan", "--format", "xls")[0], 2)


class ManualPage(unittest.TestCase):
    TOP = pathlib.Path(__file__).resolve().parents[3]

    def test_everything_is_in_it_and_nothing_else(self):
        """Each command, option and setting that exists, and no option that does not."""
        text = (self.TOP / "docs/man/yagura.1.scd").read_text().replace("\\_", "_")
        plain = text.replace("*", "")
        tables = json.loads(run("--json", "--help")[1])
        options = {option["name"] for owner in [tables, *tables["commands"]] for option in owner["options"]}
        self.assertEqual([c["name"] for c in tables["commands"] if c["name"] not in plain], [])
        self.assertEqual(sorted(options - set(re.findall(r"--[a-z][a-z-]*", text))), [])
        self.assertEqual(sorted(set(re.findall(r"--[a-z][a-z-]*", text)) - options), [])
        rows = re.findall(r'[{(]"([a-z_.]+)", (?:TEXT|BOOL|INT|true|false)\b', (self.TOP / "src/manager/store/settings.c").read_text())
        self.assertGreater(len(rows), 15)
        self.assertEqual([name for name in rows if name not in text], [])


class CommandLine(unittest.TestCase):
    def test_help_and_version(self):
        for lang, word in (("en", "Usage: yagura"), ("ja", "使用方法: yagura")):
            code, out, err = run("--help", "--lang", lang)
            self.assertEqual((code, err), (0, ""))
            self.assertIn(word, out)
        self.assertIn("--computers A,B", run("update", "--help")[1])
        tables = json.loads(run("--help", "--json")[1])
        self.assertIn("agent scan", [c["name"] for c in tables["commands"]])
        self.assertEqual(run("--version")[:2], (0, f"yagura {os.environ.get('YG_VERSION', '0.1.0')}\n"))

    def test_usage(self):
        for words in ((), ("fly",), ("--fly",), ("status", "x"), ("--lang", "fr", "status")):
            code, out, err = run(*words)
            self.assertEqual((code, out, len(err.splitlines())), (2, "", 1))


if __name__ == "__main__":
    unittest.main()
