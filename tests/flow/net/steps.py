"""What every case shows: the name of the failure wherever somebody looks, that nothing was changed, that it passes."""
import contextlib
import json
import os

import pytest
import site_parts as parts
from lab import site as lab_site

CAUSES = {c["id"]: c for c in json.loads((parts.TOP / "src/proto/causes.json").read_text())["causes"]}
FAILED, GROUP_FAILED, AGENT_FAILED, NO_SOURCE, NO_RELAY, CHECK_FAILED, NEWER = 785, 1602, 9101, 9108, 9115, 103, 20005


def rows(table):
    """Parameters of a test out of a table of cases: (case, computer).

    YAGURA_ROWS=one: each case at one of its computers only, in turn, for runs that take long.
    """
    one = os.environ.get("YAGURA_ROWS") == "one"
    return [pytest.param(case, at, id=f"{at}: {case.name}",
                         marks=[pytest.mark.xfail(reason=case.waits, strict=True)] if case.waits else [])
            for n, case in enumerate(table)
            for at in ([case.at[n % len(case.at)]] if one else case.at)]


def scan(agent):
    """The answer about the file that every version knows."""
    files = agent.root / "files"
    files.mkdir(exist_ok=True)
    (files / "known").write_bytes(lab_site.KNOWN["Test.One"])
    done = parts.run("yagura", "--json", "--root", agent.root, "agent", "scan", files, check=False)
    return json.loads(done.stdout.splitlines()[-1])


def found(agent):
    return [f["signature"] for f in scan(agent)["found"]]


def no_room(agent):
    """Where the engine has no room to look at files, none is called clean."""
    answer = scan(agent)
    return [f["signature"] for f in answer["found"]] or [f["reason"] for f in answer["unjudged"]]


def last_event(lab):
    return lab.manager.events(limit=1)[0]["seq"]


def _told(case, failure):
    """The sentence of a failure, which is the case's."""
    assert failure["cause"] == case.cause, failure
    told = failure["sentence"]
    assert told and "\n" not in told
    for word in case.says:
        assert word in told, told
    return told


def _events_say(lab, since, case, told, wanted):
    """Each wanted event is there, and says the same in both languages."""
    for lang in ("en", "ja"):
        words = CAUSES[case.cause][lang][0]
        events = {e["id"]: e for e in lab.manager.events(lang=lang) if e["seq"] > since}
        for number in wanted:
            assert number in events, sorted(events)
            assert words in events[number]["description"], events[number]
            assert events[number]["params"]["cause"] == case.cause
            assert events[number]["params"]["detail"] == told


def computer_fails(lab, name, case, wanted, relays=None, log=None, judged=None):
    """One update fails of the case's fault. `wanted`: the events that tell of it; `log`: another than the update's.
    `judged`: what is true of a scan, when it is not that all is found."""
    agent = lab.agents[name]
    since = last_event(lab)
    case.fault(lab, name)
    live = agent.lib()
    result = lab.run(name, relays)
    assert result["outcome"] == "failed", result
    told = _told(case, result)
    _events_say(lab, since, case, told, wanted)
    assert told in (log() if log else agent.log("iaurelay.log" if name == "relay" else "iau.log"))
    assert agent.lib() == live
    assert judged(agent) if judged else found(agent) == ["Test.One"]


def diagnosed(agent):
    """(exit status, causes, the likeliest first) of `yagura diagnose` on an agent's computer."""
    done = parts.run(*agent.wrap, parts.BIN / "yagura", "--json", "--root", agent.root, "diagnose", check=False)
    return done.returncode, [c["cause"] for c in json.loads(done.stdout)["causes"]]


def keeps_failing(lab, name, case, relays=None):
    """After one failure there was no alert; after the next there is one, of this cause."""
    assert lab.alerts(name) == []
    for _ in range(lab_site.FAILURES - 1):
        assert lab.run(name, relays)["cause"] == case.cause
    alerts = lab.alerts(name)
    assert [a["cause"] for a in alerts] == [case.cause], alerts
    assert CAUSES[case.cause]["en"][0] in alerts[0]["description"]


def manager_keeps_failing(lab, case):
    for _ in range(lab_site.FAILURES - 1):
        lab.look()
    alerts = parts.until("an alert of the Manager's own", lambda: lab.alerts("manager"), lab_site.HANG)
    assert [a["cause"] for a in alerts] == [case.cause], alerts


def alert_has_ended(lab, name, since):
    """By itself, and it says why."""
    assert lab.alerts(name) == []
    ended = [a for a in lab.alerts(name, "ended") if a["id"] > since]
    assert len(ended) == 1 and ended[0]["reason"] and ended[0]["ended"], ended


def last_alert(lab, name):
    return max([a["id"] for a in lab.alerts(name, "all")], default=0)


def computer_is_well(lab, name, relays=None):
    result = lab.run(name, relays)
    assert result["outcome"] == "success", result
    agent = lab.agents[name]
    assert agent.components() == {"am-pattern": lab.version}
    assert found(agent) == ["Test.One"]


def manager_fails(lab, case):
    since = last_event(lab)
    case.fault(lab, "manager")
    newest = lab.newest()
    lab.look()
    parts.until("the Manager to have looked", lambda: [
        e for e in lab.manager.events(limit=20) if e["seq"] > since and e["id"] == CHECK_FAILED], lab_site.HANG)
    failure = lab.failed_look()
    assert failure, lab.newest()
    told = _told(case, failure)
    _events_say(lab, since, case, told, {CHECK_FAILED})
    assert told in lab.manager.process.tail(200)
    assert lab.newest() == newest


def manager_is_well(lab):
    lab.look()
    parts.until("the Manager to know what is newest", lambda: lab.newest() == {"am-pattern": lab.version}, lab_site.HANG)
    parts.until("its failure to be over", lambda: lab.failed_look() is None, lab_site.HANG)


def is_well(lab, name):
    if name == "manager":
        manager_is_well(lab)
    else:
        computer_is_well(lab, name)


@contextlib.contextmanager
def mended(lab, name):
    """What was broken inside is mended after it; a test that failed leaves nothing to those that follow."""
    try:
        yield
    except BaseException:
        lab.mend()
        with contextlib.suppress(Exception):
            is_well(lab, name)
        raise
    lab.mend()
