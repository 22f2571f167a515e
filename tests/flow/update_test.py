"""The security update as an operator sees it: U1-U4, U6-U10, U13, L."""
import os
import re

import site_parts as parts

NAMES_JA = {1600: "Relayグループのアップデートの要求", 1601: "Relayグループのアップデートの成功",
            273: "セキュリティアップデートの要求", 276: "セキュリティアップデートのダウンロード", 784: "セキュリティアップデート成功"}


def test_content_travels_from_publisher_to_engine(line):
    job = line.update()
    assert job["outcome"] == "success", job
    assert line.agent.components() == {"am-pattern": 1}
    assert set(line.found()) == set(line.known)

    # U1, U3, U4, U7, U10: in this order, each in the reader's language
    wanted = [1600, 1601, 273, 276, 784]
    seen = [e for e in reversed(line.manager.events()) if e["id"] in wanted]
    firsts = [next(n for n, e in enumerate(seen) if e["id"] == i) for i in wanted]
    assert firsts == sorted(firsts), [(e["id"], e["computer"]) for e in seen]
    for event in line.manager.events(lang="ja"):
        if event["id"] in NAMES_JA:
            assert event["name"] == NAMES_JA[event["id"]]
    assert sorted(e["computer"]["name"] for e in seen if e["id"] == 784) == ["agent", "relay"]
    assert 2204 in line.manager.event_ids()

    # Nothing new: success again, nothing fetched, no snapshot left (U9)
    line.update()
    assert line.agent.components() == {"am-pattern": 1}
    assert not os.path.lexists(line.agent.state / "li_copy")


def test_a_new_version_goes_live_and_back(line):
    line.update()
    one = line.agent.lib()
    line.known["Test.Three"] = b"only version two knows this\n"
    assert "Test.Three" not in line.found()
    line.release(2)
    line.update()
    two = line.agent.lib()
    assert two != one and "Test.Three" in line.found()
    assert os.readlink(line.agent.state / "li_roll").endswith(one)  # U9

    # U13: one command puts it back, and a schedule does not take it again
    line.agent.cli("rollback")
    assert line.agent.lib() == one and "Test.Three" not in line.found()
    status = line.agent.status()
    assert status["hold"]["set"] == two
    job = line.update(scheduled=True)
    assert line.agent.lib() == one
    assert line.relay.lib() == two
    assert job["state"] == "done"

    # a newer version ends the hold
    line.known["Test.Four"] = b"and this is version three\n"
    line.release(3)
    line.update(scheduled=True)
    assert line.agent.components() == {"am-pattern": 3} and line.agent.status()["hold"] is None
    assert {"Test.Three", "Test.Four"} <= set(line.found())


def test_who_reads_that_a_job_is_done_reads_what_it_did(line):
    line.update()
    for version in (2, 3):
        line.release(version)
        job = line.manager.job(relays=True)
        parts.until("the job to end", lambda: line.manager.call("GET", f"/jobs/{job['id']}")["state"] == "done", 120, 0.005)
        for name in ("agent", "relay"):
            computer = line.manager.computer(name)
            assert computer["state"] == "Managed (Online)", computer
            detail = line.manager.call("GET", f"/computers/{computer['id']}/components")
            assert [c["version"] for c in detail["items"]] == [version], detail


def test_rollback_from_the_manager(line):
    line.update()
    one = line.agent.lib()
    line.known["Test.Three"] = b"only version two knows this\n"
    line.release(2)
    line.update()
    computer = line.manager.computer("agent")["id"]
    job = line.manager.wait_job(line.manager.job("rollback", [computer]))
    assert job["outcome"] == "success" and line.agent.lib() == one
    ids = line.manager.event_ids()
    assert 274 in ids and 1603 in ids
    # the hold is released by command, and the next update takes it
    line.manager.wait_job(line.manager.job("release_hold", [computer]))
    line.update(scheduled=True)
    assert line.agent.components() == {"am-pattern": 2}


def test_without_anything_to_go_back_to(line):
    line.update()
    done = line.agent.cli("rollback", check=False)
    assert done.returncode == 1 and "roll" in (done.stdout + done.stderr).lower()


def test_the_logs_have_the_form_that_people_search_for(line):
    line.update()
    iau = line.agent.log("iau.log")
    assert re.search(r"^\[\d{4}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} \d+\|\d+\] \[app\] \w+ \[[\w/.]+\(\d+\)\]$", iau, re.M)
    assert "Update finished with result : IAU_STATUS_SUCCESS[0(0,0,0)]" in iau
    assert "IAURELAY_STATUS" in line.relay.log("iaurelay.log")
    assert (line.agent.state / "lib/iaulogs/iau.log").exists()  # the path that people know
    # the source goes away: the reason stands in TmuDump.txt of the relay
    line.site.source.process.stop()
    line.release(2)
    job = line.update()
    assert job["outcome"] == "failed"
    assert re.search(r"^Err \d{8} \d\d:\d\d:\d\d \d+ \d+ \w+: .+$", line.relay.log("TmuDump.txt"), re.M)
    ids = line.manager.event_ids()
    assert 1602 in ids and 785 in ids and 2205 in ids
    causes = {c["cause"] for c in job["computers"] if c["as"] == "relay"}
    assert causes == {"net.refused"}
    assert set(line.found()) == set(line.known) - {"x"}  # U: protection goes on


def test_a_scan_ordered_by_the_manager(line):
    line.update()
    files = line.files()
    (files / "eicar.com").write_bytes(parts.EICAR)
    computer = line.manager.computer("agent")["id"]
    job = line.manager.wait_job(line.manager.job("scan", [computer], paths=[str(files)]))
    assert job["outcome"] == "success", job
    found = [e for e in line.manager.events() if "Test.One" in e["description"]]
    assert len(found) == 1 and found[0]["computer"]["name"] == "agent"
    assert {9001, 9002} <= set(line.manager.event_ids())
