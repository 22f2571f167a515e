"""Where nothing is wrong, nothing is named: `yagura diagnose` on agents, a relay and the Manager, again and again.

YAGURA_HEALTHY is how many runs (50 is the whole soak; the preset is short).
"""
import json
import os

import site_parts as parts
import steps
from lab import site as lab_site

RUNS = int(os.environ.get("YAGURA_HEALTHY", "6"))


def manager_diagnosed(lab):
    manager = lab.manager
    done = parts.run("yagura", "--json", "--url", manager.url, "--key", manager.key, "--ca", manager.ca, "diagnose", "--manager",
                     check=False)
    return done.returncode, [c["cause"] for c in json.loads(done.stdout)["causes"]]


def test_nothing_is_named_where_nothing_is_wrong(lab):
    """Between releases, right after one, and after a fault that is over."""
    for n in range(RUNS):
        if n % 3 == 1:
            lab.release()
        if n % 3 == 2:
            lab.source.misbehave(lab.address("relay"), lab_site.server.says("500 Internal Server Error"))
            lab.run("relay")
            lab.mend()
            lab.release()
        if n % 3:
            lab.prove()
        for name, agent in lab.agents.items():
            assert steps.diagnosed(agent) == (0, []), (n, name)
        assert manager_diagnosed(lab) == (0, []), n
