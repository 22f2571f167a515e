"""Two faults at once, of one agent that has a relay and, when that fails, the source: `yagura diagnose` names both,
and neither when both are gone."""
import dataclasses
import json
import os

import cases
import pytest
import site_parts as parts
import steps
from lab import disks, places, proxies, server
from lab import site as lab_site

AT = "agent"


@dataclasses.dataclass(frozen=True)
class Pair:
    """faults  each (lab, computer), as of cases.py; they do not touch each other
    causes  what they are called, in any order
    goes_on  the update succeeds in spite of them
    """
    name: str
    faults: tuple
    causes: tuple
    goes_on: bool = False


class Disk(disks.Memory):
    """Large enough not to be called full."""
    MIB = 192


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if why := places.why_not():
        pytest.skip(why)
    with lab_site.Lab(tmp_path_factory.mktemp("n"), disk=Disk) as made:
        yield made


# --- faults that are of no network

def damaged_object(lab, at):
    """A file of the live set has lost its end."""
    lib = lab.agents[at].state / "lib"
    file = next(p for p in sorted(lib.rglob("*.hsb")))
    os.chmod(file, 0o644)
    os.truncate(file, file.stat().st_size - 1)


def full_disk(lab, at):
    lab.disks[at].fill()


def broken_configuration(lab, at):
    conf = lab.agents[at].conf
    conf.with_suffix(".good").write_text(conf.read_text())
    conf.write_text(conf.read_text() + "[update]\nspeed = fast\n")


def no_way_to_manager(lab, at):
    lab.no_route(at, "unreachable", lab.address("manager"))


def source_proxy(port, user="", password="", host=cases.PROXY_NAME, **ours):
    """The proxy on the way to the source, of an agent that has a relay."""
    def fault(lab, at):
        for name, value in ours.items():
            setattr(lab.our_proxy, name, value)
        lab.settings(proxy={"agent_source": {"url": f"http://{host}:{port}", "user": user, "password": password}})
        kept = lab.agents[at].state / "state/session/settings.json"
        parts.until("the agent to know its proxy",
                    lambda: ((json.loads(kept.read_text())["settings"]["proxies"] or {})["source"] or {}).get("url"))
    return fault


def pair(name, one, other, *causes, **more):
    return Pair(name, (one, other), causes, **more)


flip = lambda b: b[:-1] + bytes([b[-1] ^ 1])  # noqa: E731
PAIRS = [
    pair("the relay is away and the source has no name", cases.relay_firewall("reset"), cases.dns("missing"), "net.refused", "net.dns"),
    pair("the relay has no name and the source's certificate has expired", cases.relay_dns("missing"),
         cases.source(server.certificate, "expired"), "net.dns", "tls.expired"),
    pair("there is no route to the relay and the source is blocked", cases.relay_route("unreachable"), cases.source(server.page),
         "net.unreachable", "http.block_page"),
    pair("somebody stands before the relay and the source is under maintenance", cases.relay(server.certificate, "other_ca"),
         cases.source(server.says, "503 Service Unavailable"), "tls.untrusted", "http.maintenance"),
    pair("the relay refuses and nothing listens at the source", cases.relay(server.says, "403 Forbidden"), cases.firewall("reset"),
         "http.forbidden", "net.refused"),
    pair("another computer has the relay's address and the source's certificate another name",
         cases.relay(server.certificate, "another_agent"), cases.source(server.certificate, "wrong_name"),
         "tls.peer_identity", "tls.name"),
    pair("the relay cuts connections and the source's certificate signed itself", cases.relay(server.connection, "reset"),
         cases.source(server.certificate, "self_signed"), "net.reset", "tls.self_signed"),
    pair("the relay has an error and the source wants a login", cases.relay(server.says, "500 Internal Server Error"),
         cases.source(server.says, "401 Unauthorized"), "http.status", "http.forbidden"),
    pair("somebody changed an object at the relay and the source has no name",
         cases.relay(server.bytes_instead, flip, cases.OBJECTS), cases.dns("missing"), "content.hash", "net.dns"),
    pair("the relay is away and somebody changed the source's metadata", cases.relay_firewall("reset"),
         cases.source(server.bytes_instead, lambda b: b.replace(b'"version":', b'"version":9', 1), cases.TIMESTAMP),
         "net.refused", "tuf.signature"),
    pair("the relay speaks no HTTP and the source redirects", cases.relay(server.body, "garbage"),
         cases.source(server.redirect, "ftp://elsewhere.lab{path}"), "http.malformed", "http.redirect"),
    pair("the relay stops and the source has too much to do", cases.relay(server.body, "silence", cases.TIMESTAMP),
         cases.source(server.says, "429 Too Many Requests"), "net.timeout", "http.busy"),
    pair("the relay is away and the proxy to the source has no name", cases.relay_firewall("reset"),
         source_proxy(3128, host="no-proxy.lab"), "net.refused", "proxy.dns"),
    pair("the relay has no name and the proxy to the source refuses", cases.relay_dns("missing"),
         source_proxy(proxies.OURS, wrong=("403 Forbidden", "")), "net.dns", "proxy.forbidden"),
    pair("the disk is full and the relay is away", full_disk, cases.relay_firewall("reset"), "store.disk_full", "net.refused"),
    pair("an object here is damaged and there is no route to the relay and its source", damaged_object,
         cases.both(cases.relay_route("unreachable"), cases.route("unreachable")), "store.object_damaged", "net.unreachable"),
    pair("there is no way to the Manager and the relay has no name", no_way_to_manager, cases.relay_dns("missing"),
         "net.unreachable", "net.dns", goes_on=True),
    pair("the configuration is wrong and the relay's connections are cut", broken_configuration,
         cases.relay(server.connection, "reset"), "agent.config", "net.reset", goes_on=True),
]


def diagnose(lab):
    """Causes that stand, in order, and all that is said."""
    agent = lab.agents[AT]
    done = parts.run("/usr/bin/nsenter", *lab.place(AT).wrap[1:], parts.BIN / "yagura", "--json", "--root", agent.root, "diagnose", check=False)
    assert done.returncode in (0, 1), done.stderr
    said = json.loads(done.stdout)
    standing = [c for c in said["causes"] if not c.get("over")]
    assert (done.returncode == 1) == bool(standing), said
    return [c["cause"] for c in standing], said


def mend(lab):
    agent = lab.agents[AT]
    good = agent.conf.with_suffix(".good")
    if good.exists():
        agent.conf.write_text(good.read_text())
        good.unlink()
    lab.settings(proxy={"agent_source": {"url": "", "user": "", "password": ""}})
    lab.mend()
    agent.cli("repair", check=False)


@pytest.mark.parametrize("case", PAIRS, ids=lambda case: case.name)
def test_both_faults_are_named(lab, case):
    lab.release()
    agent = lab.agents[AT]
    live = agent.lib()
    # The relay has what is new: what fails, fails between it and the agent.
    assert lab.run("relay")["outcome"] == "success"
    for fault in case.faults:
        fault(lab, AT)
    try:
        agent.cli("update", check=False)
        causes, said = diagnose(lab)
        assert set(case.causes) <= set(causes), json.dumps(said["causes"], indent=1)
        assert (agent.lib() != live) == case.goes_on
        for one in said["causes"]:
            if one["cause"] in case.causes:
                assert one["sentence"] == steps.CAUSES[one["cause"]]["en"][0] and one["seen"], one
    finally:
        mend(lab)
    agent.cli("update")
    steps.computer_is_well(lab, AT)
    assert diagnose(lab)[0] == []
