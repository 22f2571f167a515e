"""`yagura diagnose`: one planted fault is named first, two are both named, and a healthy computer has nothing."""
import json
import os
import signal
import ssl
import subprocess

import alone as lib
import clocks
import pytest
import site_parts as parts
import web


def diagnose(agent, *words, lang="en"):
    """(exit status, causes that stand, answer)"""
    done = parts.run("yagura", "--json", "--lang", lang, "--root", agent.root, "diagnose", *words, check=False)
    answer = json.loads(done.stdout)
    return done.returncode, [c["cause"] for c in answer["causes"] if not c["over"]], answer


def sentence(cause, lang="en"):
    """As the catalogue has it: what everybody shows."""
    rows = json.loads((parts.TOP / "src/proto/causes.json").read_text())["causes"]
    return next(row for row in rows if row["id"] == cause)[lang][0]


def checks(answer, state):
    return {c["check"]: c["seen"] for c in answer["checks"] if c["state"] == state}


@pytest.fixture
def made(site, folder):
    made = lib.Alone(site, folder)
    made.release()
    made.source()
    return made


@pytest.fixture
def agent(made):
    agent = made.agent()
    lib.update(agent)
    return agent


def test_healthy(agent):
    for _ in range(15):
        status, causes, answer = diagnose(agent)
        assert (status, causes) == (0, []), answer
    assert {"program", "disk", "permissions", "store", "clock", "engine", "last_update"} <= set(checks(answer, "ok"))
    assert "Nothing was found" in parts.run("yagura", "--root", agent.root, "diagnose")


def test_healthy_line(line):
    """Manager, relay and agent."""
    line.update()
    for agent in (line.agent, line.relay) * 15:
        status, causes, answer = diagnose(agent)
        assert (status, causes) == (0, []), answer
        assert "manager" in checks(answer, "ok")
    assert "relay" in checks(answer, "ok")


class Fault:
    """A fault that is planted on a computer whose agent worked until now."""

    def __init__(self, name, cause, plant, stopped=True, update=True):
        self.name, self.cause, self.plant, self.stopped, self.update = name, cause, plant, stopped, update


def configure(section, **values):
    """Another value in agent.conf, whoever had one there before."""
    def plant(agent, made):
        out, now, done = [], "", False
        new = [f"{name} = {value}" for name, value in values.items()]
        for line in agent.conf.read_text().splitlines():
            now = line[1:-1] if line.startswith("[") else now
            if now == section and line.split(" =")[0] in values:
                continue
            out.append(line)
            if line == f"[{section}]":
                out += new
                done = True
        agent.conf.write_text("\n".join(out + ([] if done else [f"[{section}]", *new])) + "\n")
    return plant


def other_certificate(**more):
    """The source answers with a certificate as it should not have."""
    def plant(agent, made):
        folder = made.folder / "web"
        days = more.get("days", "30")
        ca = more.get("ca", folder / "ca.pem")
        if more.get("stranger"):
            web.certificates(made.folder / "stranger")
            folder = made.folder / "stranger"
        else:
            subject = more.get("name", "DNS:localhost,IP:127.0.0.1")
            (folder / "ext").write_text(f"subjectAltName={subject}\nextendedKeyUsage=serverAuth\n")
            words = ["openssl", "x509", "-req", "-in", folder / "csr.pem", "-CA", ca, "-CAkey", folder / "ca.key",
                     "-CAcreateserial", "-days", days, "-extfile", folder / "ext", "-out", folder / "cert.pem"]
            then = ["faketime", "-f", more["at"]] if "at" in more else []
            subprocess.run([*then, *map(str, words)], check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        made.web.tls = tls
    return plant


def cut_file(agent, made):
    path = next((agent.state / "lib").glob("*/*.hsb"))
    os.chmod(path, 0o644)
    os.truncate(path, 3)


def no_file(agent, made):
    next((agent.state / "lib").glob("*/*.hsb")).unlink()


def open_to_all(agent, made):
    os.chmod(agent.state / "state/identity", 0o777)


def of_somebody_else(agent, made):
    os.chown(agent.state / "state/session", 65534, 65534)


def without_root(agent, made):
    (agent.root / "etc/yagura/root.json").unlink()


def wrong_line(agent, made):
    agent.conf.write_text(agent.conf.read_text() + "[update]\nnonsense = 1\n")


def nothing(agent, made):
    pass


NOBODY = "http://127.0.0.1:1"
# Names are asked of nobody here: there is no name server in the tests' network.
FAULTS = [
    Fault("the agent is stopped", "agent.offline", nothing, stopped=True, update=False),
    Fault("a line of the configuration is wrong", "agent.config", wrong_line, update=False),
    Fault("the source's name is wrong", "net.dns_server", configure("update", source="https://no-such-host.invalid")),
    Fault("nothing listens at the source", "net.refused", configure("update", source=NOBODY)),
    Fault("no proxy listens", "proxy.refused", configure("proxy", source=NOBODY)),
    Fault("the proxy's name is wrong", "proxy.dns", configure("proxy", source="http://no-such-host.invalid:3128")),
    Fault("the source's folder is wrong", "http.not_found", lambda a, m: configure("update", source=m.web.url + "/no/such")(a, m)),
    Fault("the source's certificate has expired", "tls.expired", other_certificate(days="1", at="-90d"), stopped=False),
    Fault("the source's certificate is not valid yet", "tls.not_yet", other_certificate(at="+90d"), stopped=False),
    Fault("the source's certificate is for another name", "tls.name", other_certificate(name="DNS:other.example"), stopped=False),
    Fault("a stranger's CA signed the source's certificate", "tls.untrusted", other_certificate(stranger=True), stopped=False),
    Fault("a file of the live set is cut", "store.object_damaged", cut_file, stopped=False, update=False),
    Fault("a file of the live set is gone", "store.missing", no_file, stopped=False, update=False),
    Fault("others may use the identity", "store.permission", open_to_all, stopped=False, update=False),
    Fault("a folder has another owner", "store.permission", of_somebody_else, stopped=False, update=False),
    Fault("the publisher's root is gone", "tuf.root", without_root, stopped=False, update=False),
]
DOWN = {"agent.offline", "agent.config"}


@pytest.fixture
def plants(made, agent):
    """Plant faults: the agent is started again where that has them come into effect, and tries an update."""
    def plant(*faults):
        up = not any(f.cause in DOWN for f in faults)
        if any(f.stopped for f in faults):
            agent.close()
        for fault in faults:
            fault.plant(agent, made)
        if any(f.stopped for f in faults) and up:
            agent.start()
        if any(f.update for f in faults) and up:
            made.release()
            lib.update(agent, good=False)
        return diagnose(agent)
    return plant


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name.replace(" ", "-"))
def test_one_fault(plants, agent, fault):
    """The planted one comes first, and nothing else is named but what it explains."""
    status, causes, answer = plants(fault)
    assert (status, causes) == (1, [fault.cause]), answer
    first = answer["causes"][0]
    assert first["sentence"] and first["seen"] and (first["remedy"] or first["auto"])
    text = parts.run("yagura", "--lang", "ja", "--root", agent.root, "diagnose", "--support", check=False)
    assert f"原因コード: {fault.cause}" in text.stdout and "+" in text.stdout and "バージョン: yagura" in text.stdout


PAIRS = [("nothing listens at the source", "others may use the identity"),
         ("the agent is stopped", "a file of the live set is cut"),
         ("a line of the configuration is wrong", "the publisher's root is gone"),
         ("no proxy listens", "others may use the identity"),
         ("the source's certificate has expired", "others may use the identity"),
         ("the source's name is wrong", "others may use the identity")]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: " and ".join(p).replace(" ", "-"))
def test_two_faults(plants, pair):
    faults = [next(f for f in FAULTS if f.name == name) for name in pair]
    status, causes, answer = plants(*faults)
    assert status == 1 and {f.cause for f in faults} <= set(causes), answer


def test_what_can_be_seen_without_the_agent(agent):
    agent.close()
    _, _, answer = diagnose(agent)
    assert {"disk", "permissions", "store", "clock", "names"} <= set(checks(answer, "ok")), answer


def test_an_agent_that_hangs(agent):
    """It is given up after a while, and the rest is looked at."""
    session = agent.roles()["session"]
    os.kill(session, signal.SIGSTOP)
    try:
        status, causes, answer = diagnose(agent)
    finally:
        os.kill(session, signal.SIGCONT)
    assert (status, causes) == (1, ["agent.silent"]), answer
    assert {"disk", "store"} <= set(checks(answer, "ok"))


DISKS = [("a disk without room", "mount -t tmpfs -o size=20m none {0} && head -c 19m /dev/zero > {0}/x", "store.disk_full"),
         ("a disk without inodes", "mount -t tmpfs -o size=200m,nr_inodes=200 none {0} && cd {0} && touch $(seq 190)", "store.disk_full"),
         ("a disk that can only be read", "mount --bind {0} {0} && mount -o remount,ro,bind {0}", "store.read_only")]


@pytest.mark.parametrize("name,mount,cause", DISKS, ids=lambda v: v.replace(" ", "-") if " " in v else "")
def test_disk(agent, name, mount, cause):
    """Seen by who asks, in a mount namespace of its own: the agent's disk is as it was."""
    words = f"{mount.format(agent.state)} && exec {parts.BIN}/yagura --json --root {agent.root} diagnose"
    done = subprocess.run(["unshare", "-m", "sh", "-c", words], capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["causes"][0]["cause"]) == (1, cause), answer


@pytest.mark.parametrize("away,cause", [("-400d", "clock.behind")])
def test_clock(agent, away, cause):
    """The clock of who asks is this computer's."""
    done = subprocess.run([*clocks.client(parts.BIN / "yagura", away), str(parts.BIN / "yagura"), "--json", "--root", str(agent.root), "diagnose"],
                          capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["causes"][0]["cause"]) == (1, cause), answer


def test_token_of_another_manager(line):
    """The cause is the same in the answer: auth.manager_key."""
    token = line.manager.token()
    other = token.replace(token.split(".")[1], "0" * 64)
    done = parts.run("yagura", "--root", line.agent.root, "agent", "activate", "--url", line.manager.agent_url,
                     "--token", other, check=False)
    assert done.returncode == 1 and sentence("auth.manager_key") in done.stderr, done.stderr


def of_manager(manager, *words, lang="en"):
    done = parts.run("yagura", "--json", "--lang", lang, "--url", manager.url, "--key", manager.key, "--ca", manager.ca, "diagnose", *words, check=False)
    answer = json.loads(done.stdout)
    return done.returncode, [c["cause"] for c in answer.get("causes", []) if not c["over"]], answer


def test_manager(line):
    line.update()
    for _ in range(5):
        status, causes, answer = of_manager(line.manager, "--manager")
        assert (status, causes) == (0, []), answer
    assert {"database", "disk", "ca", "source", "content", "relays", "computers", "jobs", "certificates"} <= set(checks(answer, "ok"))


def test_network_plan(line):
    status, _, answer = of_manager(line.manager, "--network-plan")
    rows = {(r["from"], r["port"]) for r in answer["items"]}
    assert status == 0 and any(r["protocol"] == "TCP (HTTPS)" for r in answer["items"]), rows
