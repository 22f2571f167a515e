"""What an engine does on a real agent: containers, limits, its death in the middle of a scan, and its
end when another one has taken over."""
import io
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import zipfile

import site_parts as parts


def scan(agent, *paths):
    done = parts.run("yagura", "--json", "--root", agent.root, "agent", "scan", *paths, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def names(list_):
    return sorted(pathlib.Path(item["path"]).name for item in list_)


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def locked(members):
    """An archive whose members say that they are encrypted: bit 0 of their flags."""
    data = bytearray(zipped(members))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


def engines(agent):
    return [pid for pid in parts.children(agent.process.pid) if parts.role_of(pid) == "am"]


def test_files_in_files_are_judged_and_what_cannot_be_is_said(line):
    line.update()
    known = next(iter(line.known.values()))
    where = line.folder / "containers"
    where.mkdir()
    (where / "bad.zip").write_bytes(zipped({"a": b"clean", "b": known}))
    (where / "deep.zip").write_bytes(zipped({"in.zip": zipped({"b": known})}))
    (where / "good.zip").write_bytes(zipped({"a": b"clean"}))
    (where / "locked.zip").write_bytes(locked({"a": b"x" * 100}))
    answer = scan(line.agent, where)
    assert names(answer["found"]) == ["bad.zip", "deep.zip"]
    assert [(pathlib.Path(u["path"]).name, u["reason"]) for u in answer["unjudged"]] == [("locked.zip", "encrypted")]
    left = [p for p in (line.agent.state / "iaurepo/am-tmp").rglob("*") if p.is_file()]
    assert left == []


def test_an_engine_that_dies_takes_no_file_with_it(line):
    line.update()
    where = line.files()
    many = where / "many"
    many.mkdir()
    for n in range(3000):
        (many / f"clean-{n}").write_bytes(b"%d" % n * 50)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(scan(line.agent, where)))
    thread.start()
    for _ in range(2):
        before = parts.until("an engine", lambda: engines(line.agent))
        os.kill(before[0], signal.SIGKILL)
        parts.until("another engine", lambda: engines(line.agent) not in ([], before))
    thread.join(180)
    assert set(names(answers[0]["found"])) == set(line.known)
    assert answers[0]["unjudged"] == []
    assert answers[0]["files"] == 3000 + len(line.known) + 1


def test_an_engine_ends_when_another_has_taken_over(line):
    line.update()
    first = engines(line.agent)
    assert len(first) == 1
    line.known["Test.Three"] = b"the third file that must be found\n"
    line.release(2)
    line.update()
    parts.until("the first engine to end", lambda: len(engines(line.agent)) == 1 and engines(line.agent) != first, 60)
    assert set(line.found()) == set(line.known)
    line.agent.cli("rollback")
    second = engines(line.agent)
    parts.until("one engine", lambda: len(engines(line.agent)) == 1, 60)
    assert "Test.Three" not in line.found()
    assert second


def test_an_engine_that_ends_while_it_is_taken_back_is_started_afresh(line):
    """The first engine lingers after the switch, a rollback takes it back, and it is gone before it answers."""
    line.update()
    first = engines(line.agent)
    line.known["Test.Three"] = b"the third file that must be found\n"
    line.release(2)
    os.kill(first[0], signal.SIGSTOP)  # it does not notice that it is not needed any more
    line.update()
    time.sleep(6)  # install and walk have let go of it
    asked = threading.Thread(target=lambda: line.agent.cli("rollback"))
    asked.start()
    time.sleep(1)
    assert asked.is_alive() and first[0] in engines(line.agent)
    os.kill(first[0], signal.SIGKILL)
    asked.join(60)
    assert not asked.is_alive()
    assert line.agent.components() == {"am-pattern": 1}
    assert "Test.Three" not in line.found()


def test_a_scan_ends_with_who_asked_for_it(line):
    line.update()
    where = line.files()
    os.kill(engines(line.agent)[0], signal.SIGSTOP)
    asked = subprocess.Popen([parts.BIN / "yagura", "--root", line.agent.root, "agent", "scan", where],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=parts.clean_environment())
    begun = parts.until("the scan to begin", lambda: [e for e in line.manager.events(id=9001) if e["computer"]["name"] == "agent"])
    assert len(begun) == 1
    asked.send_signal(signal.SIGINT)
    asked.wait(20)
    ended = parts.until("its end", lambda: line.manager.events(id=9003), 30)
    assert "cancelled" in ended[0]["description"], ended
    os.kill(engines(line.agent)[0], signal.SIGCONT)
    assert set(line.found()) == set(line.known)


def test_a_scan_without_content_says_so_at_once(site):
    site.add_publisher()
    agent = site.add_agent("agent", activate=False)
    begun = time.monotonic()
    done = agent.cli("scan", "/etc/hostname", check=False)
    assert done.returncode != 0 and time.monotonic() - begun < 20
    assert "no content" in done.stderr and "update" in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
