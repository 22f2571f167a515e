#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Updates while any process is killed at any moment: Manager, relay, agents, parents and roles.

    storm.py [--updates N] [--agents N] [--seed N]

Afterwards, in calm weather, it must hold: every job has ended; every computer has exactly one final result in each;
each is told of by exactly one event; what the agents numbered is at the Manager, nothing lost, nothing twice; and the
next update reaches everybody.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import site_parts as parts  # noqa: E402

DEADLINE_S = 120  # of each job: what hangs must not hang for an hour
KNOWN = {"Test.One": b"the first file that must be found\n"}


class Killer(threading.Thread):
    """kill -9 of a process taken at random, again and again."""

    def __init__(self, daemons, chance, mean):
        super().__init__(daemon=True)
        self.daemons, self.chance, self.mean = daemons, chance, mean
        self.stopping, self.killed = threading.Event(), collections.Counter()

    def run(self):
        while not self.stopping.wait(self.chance.expovariate(1 / self.mean)):
            name, process = self.chance.choice(sorted(self.daemons.items()))
            if not process.alive():
                continue
            pid = self.chance.choice([process.pid, *parts.children(process.pid)])
            role = parts.role_of(pid) or "parent"
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                self.killed[f"{'manager' if name == 'manager' else 'agent'} {role}"] += 1

    def stop(self):
        self.stopping.set()
        self.join()


class Storm:
    def __init__(self, folder, agents, seed, mean=1.5):
        self.folder, self.chance = pathlib.Path(folder), random.Random(seed)
        self.site = parts.Site(self.folder / "s")
        self.count, self.mean, self.version, self.jobs = agents, mean, 0, []

    def __enter__(self):
        self.site.__enter__()
        try:
            self.site.add_publisher()
            self.release()
            self.site.add_source()
            self.manager = self.site.add_manager(keep=True)
            self.site.point_manager_at_source()
            self.manager.call("PATCH", "/settings", {"heartbeat_interval_s": 2, "offline_after": 10,
                                                     "update": {"deadline_s": DEADLINE_S}})
            self.relay = self.site.add_agent("relay", relay=True, keep=True)
            self.agents = [self.site.add_agent(f"agent{n}", keep=True) for n in range(self.count)]
        except BaseException:
            self.site.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *why):
        return self.site.__exit__(*why)

    def release(self):
        self.version += 1
        known = {**KNOWN, f"Test.V{self.version}": b"only version %d\n" % self.version}
        self.site.publisher.release(parts.content(self.folder / "content", known), "--version", str(self.version))

    def ask(self, method, path, body=None, seconds=60):
        """An answer, however often its givers are killed meanwhile."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.manager.call(method, path, body)
            except (OSError, ValueError, parts.Failed) as why:
                if time.monotonic() > end:
                    raise parts.Failed(f"{method} {path}: {why}") from why
                time.sleep(0.1)
                with contextlib.suppress(parts.Failed):
                    self.manager._answers()  # it may listen at other ports now

    def all_jobs(self):
        found, cursor = [], ""
        while cursor is not None:
            page = self.ask("GET", f"/jobs?limit=500&kind=update{cursor and '&cursor=' + cursor}")
            found += page["items"]
            cursor = page["next"]
        return found

    def begin(self):
        """A new job. Its maker may be killed with the answer in its hand: then it is there all the same."""
        before = {j["id"] for j in self.all_jobs()}
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, ValueError, parts.Failed):
                return self.manager.job(relays=True)["id"]
            made = [j["id"] for j in self.all_jobs() if j["id"] not in before]
            if made:
                return made[0]
            if time.monotonic() > end:
                raise parts.Failed("no job could be made for a minute")

    def end(self, job):
        return parts.until(f"job {job} to end", lambda: (lambda j: j if j["state"] == "done" else None)(
            self.ask("GET", f"/jobs/{job}")), 2 * DEADLINE_S, 0.2)

    def blow(self, updates, say=lambda text: None):
        daemons = {a.name: a.process for a in [self.relay, *self.agents]} | {"manager": self.manager.process}
        killer = Killer(daemons, self.chance, self.mean)
        killer.start()
        self.outcomes = collections.Counter()
        try:
            for n in range(updates):
                self.release()
                job = self.end(self.begin())
                self.outcomes[job["outcome"]] += 1
                if (n + 1) % 10 == 0:
                    say(f"{n + 1} updates, {sum(killer.killed.values())} killed, {dict(self.outcomes)}")
        finally:
            killer.stop()
        self.killed = killer.killed

    def calm(self):
        """Everybody is back, has told everything, and takes the next release."""
        everybody = [self.relay, *self.agents]
        parts.until("everybody to be back", lambda: all(
            c["agent_state"] == "online" for c in self.ask("GET", "/computers?limit=500")["items"]), 120)
        for agent in everybody:
            parts.until(f"{agent.name} to have an engine", lambda: agent._answers() and agent.status()["engine"]["state"] == "online", 120)
        self.release()
        job = self.end(self.begin())
        if job["outcome"] != "success":
            raise parts.Failed(f"an update in calm weather: {job}")
        parts.until("the newest version to be live everywhere", lambda: all(
            a.components() == {"am-pattern": self.version} for a in everybody), 30)
        parts.until("the spools to be acknowledged", lambda: all(a.status()["spool"] == 0 for a in everybody), 60)

    # ---- what must hold ----

    @property
    def base(self):
        return self.manager.root / "var/opt/yagura/manager/manager.db"

    def numbered(self, agent):
        """(epoch, the last number given) of an agent's events and results."""
        lines = (agent.state / "state/session/spool").read_text().splitlines()
        values = [json.loads(line[9:]) for line in lines]
        return values[0]["epoch"], max([values[0]["next"] - 1, *(v["seq"] for v in values[1:])])

    def wrong(self):
        """What does not hold, as sentences."""
        found = []
        jobs = [self.ask("GET", f"/jobs/{j['id']}") for j in self.all_jobs()]
        base = sqlite3.connect(f"file:{self.base}?mode=ro", uri=True)
        told = collections.Counter((job, event, computer) for job, event, computer in base.execute(
            "SELECT job, id, computer FROM events WHERE origin = 0 AND job IS NOT NULL"))
        names = {a.name for a in [self.relay, *self.agents]}
        results = collections.Counter()
        for job in jobs:
            who = collections.Counter((c["name"], c["as"]) for c in job["computers"])
            want = collections.Counter([("relay", "relay"), *((n, "agent") for n in names)])
            if job["state"] != "done" or who != want:
                found.append(f"job {job['id']}: {job['state']}, parts {dict(who)}")
            whole = [told[job["id"], event, None] for event in (2204, 2205)]
            if sum(whole) != 1:
                found.append(f"job {job['id']}: 2204 and 2205 came {whole} times")
            parts_of = collections.defaultdict(list)
            for c in job["computers"]:
                parts_of[c["id"]].append(c)
                if c["outcome"] is None:
                    found.append(f"job {job['id']}: {c['name']} has no result")
            for computer, mine in parts_of.items():
                found += self.ends_told(job, computer, mine, told)
                for c in mine:
                    # what an agent says itself has a detail, in time or late
                    results[c["name"]] += not c["joined"] and c["detail"] is not None
        for name, in base.execute("SELECT c.name FROM job_computers r JOIN computers c ON c.id = r.computer WHERE r.ref IS NOT NULL"):
            results[name] += 1  # a relay that was asked once more
        computers = {c["name"]: c["id"] for c in self.ask("GET", "/computers?limit=500")["items"]}
        for agent in [self.relay, *self.agents]:
            epoch, last = self.numbered(agent)
            rows = [n for n, in base.execute("SELECT agent_seq FROM events WHERE computer = ? AND epoch = ?",
                                             (computers[agent.name], epoch))]
            if len(rows) != len(set(rows)) or (rows and not 1 <= min(rows) <= max(rows) <= last):
                found.append(f"{agent.name}: events with numbers that cannot be")
            if last != len(rows) + results[agent.name]:
                found.append(f"{agent.name}: gave {last} numbers; {len(rows)} events and {results[agent.name]} results are here")
            epochs = {e for e, in base.execute("SELECT DISTINCT epoch FROM events WHERE computer = ? AND epoch IS NOT NULL",
                                               (computers[agent.name],))}
            if epochs - {epoch}:
                found.append(f"{agent.name}: its spool was begun anew")
        base.close()
        return found

    def ends_told(self, job, computer, mine, told):
        """784 or 785 once for each part; a relay's good end is the group's event, its agent's part is not told of twice."""
        relay_failed = any(c["as"] == "relay" and c["outcome"] == "failed" for c in mine)
        good = sum(c["outcome"] == "success" and c["as"] == "agent" for c in mine)
        bad = sum(c["outcome"] != "success" for c in mine)
        if relay_failed and bad == 2 and any(g["state"] == "failed" for g in job["groups"]):
            bad = 1
        have = told[job["id"], 784, computer], told[job["id"], 785, computer] + told[job["id"], 20011, computer]
        if have != (good, bad) and not any(c["joined"] for c in mine):
            return [f"job {job['id']}: {mine[0]['name']}: 784 and 785 came {have} times, want {(good, bad)}"]
        return []


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--updates", type=int, default=200)
    options.add_argument("--agents", type=int, default=5)
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--mean", type=float, default=1.5, help="seconds between two kills (preset: 1.5)")
    options.add_argument("--keep", action="store_true", help="leave the files when something is wrong")
    given = options.parse_args()
    seed = given.seed if given.seed is not None else int(time.time())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="yk"))
    print(f"storm: {given.updates} updates of {given.agents} agents, seed {seed}, {folder}", flush=True)
    begun = time.monotonic()
    wrong = ["it was interrupted"]
    try:
        with Storm(folder, given.agents, seed, given.mean) as storm:
            storm.blow(given.updates, lambda text: print(f"storm: {text}", flush=True))
            print(f"storm: killed {dict(sorted(storm.killed.items()))}", flush=True)
            storm.calm()
            wrong = storm.wrong()
            for text in wrong:
                print(f"storm: WRONG: {text}", flush=True)
            print(f"storm: {given.updates} updates, {sum(storm.killed.values())} processes killed, outcomes {dict(storm.outcomes)}, "
                  f"{len(wrong)} things wrong, {time.monotonic() - begun:.0f} s", flush=True)
            if wrong and given.keep:
                shutil.copytree(folder, f"{folder}.wrong", symlinks=True, ignore_dangling_symlinks=True,
                                ignore=lambda d, names: [n for n in names if n.endswith(".sock")])
    except parts.Failed as why:
        print(f"storm: WRONG: {why}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
