"""Hostile networks: each failure has its name everywhere, changes nothing, and passes by itself."""
import cases
import pytest
import site_parts as parts
import steps
from lab import proxies
from lab import site as lab_site


def fails_and_passes(lab, case, name):
    """It is named; it is named again where somebody looks for the cause; it is an alert only when it lasts; it passes."""
    lab.release()
    alert = steps.last_alert(lab, name)
    with steps.mended(lab, name):
        if name == "manager":
            steps.manager_fails(lab, case)
            if not case.gives_up:
                steps.manager_keeps_failing(lab, case)
        else:
            steps.computer_fails(lab, name, case, {steps.FAILED, steps.NO_SOURCE, steps.GROUP_FAILED if name == "relay" else
                                                   steps.AGENT_FAILED})
            assert steps.diagnosed(lab.agents[name]) == (1, [case.cause])
            if not case.gives_up:
                steps.keeps_failing(lab, name, case)
    steps.is_well(lab, name)
    if not case.gives_up:
        steps.alert_has_ended(lab, name, alert)


@pytest.mark.parametrize("case,name", steps.rows(cases.SOURCE))
def test_between_a_computer_and_the_source(lab, case, name):
    fails_and_passes(lab, case, name)


@pytest.mark.parametrize("case,name", steps.rows(cases.PROXY))
def test_by_way_of_a_proxy(lab, case, name):
    fails_and_passes(lab, case, name)


@pytest.mark.parametrize("case,name", steps.rows(cases.PROXY_GOOD))
def test_a_proxy_that_works(lab, case, name):
    lab.release()
    with steps.mended(lab, name):
        case.fault(lab, name)
        steps.is_well(lab, name)
    steps.is_well(lab, name)


@pytest.mark.parametrize("name", ["direct", "relay", "manager"])
@pytest.mark.parametrize("how", ["the proxy's CA is added", "the URL ends in two slashes"])
def test_inspection_is_mended(lab, name, how):
    """As the cause's remedy says; content is checked all the same."""
    squid = lab.need_squid()
    lab.release()
    good = {"url": f"https://{lab_site.SOURCE_NAME}", "ca": lab.ca.pem}
    added = {**good, "ca": lab.ca.pem + squid.ca.pem} if "CA" in how else {**good, "url": good["url"] + "//"}

    def settle(source):
        lab.settings(source=source)
        if name != "manager":
            lab.settled(name, lambda have: {k: have["source"][k] for k in source} == source)
    try:
        with steps.mended(lab, name):
            lab.proxy(name, f"http://{lab_site.PROXY_NAME}:{proxies.BUMP}")
            settle(added)
            if name == "manager":
                parts.until("the Manager to know what is newest", lambda: lab.newest() == {"am-pattern": lab.version}, lab_site.HANG)
            else:
                steps.computer_is_well(lab, name)
            unchecked = [a["params"]["url"] for a in lab.manager.call("GET", "/alerts?kind=source_unchecked")["items"]]
            assert unchecked == ([added["url"]] if added["url"].endswith("//") else [])
    finally:
        settle(good)
    steps.is_well(lab, name)


@pytest.mark.parametrize("case", [pytest.param(*row.values[:1], id=row.id, marks=row.marks) for row in steps.rows(cases.RELAY)])
def test_between_an_agent_and_its_relay(lab, case):
    """While the job takes the relays along it fails; by itself it goes on to the source, when it may."""
    lab.release()
    with steps.mended(lab, "agent"):
        behind = case.cause == "update.relay_behind"  # such a relay is reached, and waited for
        told = {steps.FAILED, steps.AGENT_FAILED} | (set() if behind else {steps.NO_RELAY})
        steps.computer_fails(lab, "agent", case, told, relays=True)
        assert steps.diagnosed(lab.agents["agent"]) == (1, [case.cause])
        if not behind:
            steps.computer_is_well(lab, "agent", relays=False)
    lab.release()
    steps.computer_is_well(lab, "agent", relays=True)


@pytest.mark.parametrize("case", [case for case in cases.RELAY_WAITS], ids=lambda case: case.name)
def test_an_agent_waits_for_its_relay(lab, case):
    lab.release()
    since = steps.last_event(lab)
    case.fault(lab, "agent")
    try:
        job = lab.start("agent", relays=True)
        parts.until("the agent to wait", lambda: lab.part("agent", job)["phase"] == "waiting", lab_site.HANG)
    finally:
        lab.mend()
    assert lab.result("agent", job)["outcome"] == "success"
    steps.computer_is_well(lab, "agent", relays=True)
    assert not {steps.FAILED, steps.AGENT_FAILED} & {e["id"] for e in lab.manager.events() if e["seq"] > since}
