"""An agent without a Manager, straight at a source that counts (web.Web)."""
import json

import site_parts as parts
import web

KNOWN = {"Test.One": b"the first file that must be found\n"}


class Alone:
    def __init__(self, site, folder, *init):
        self.site, self.folder, self.version = site, folder, 0
        self.publisher = site.add_publisher("publisher", *init)
        self.web = None

    def source(self):
        self.web = self.site._with(web.Web(self.folder / "web", self.publisher.repository))
        return self.web

    def publish(self, verb, *more):
        return parts.run("yagura-publish", verb, self.publisher.repository, *more, "--keys", self.publisher.keys)

    def release(self, component="am-pattern", *more):
        """The next version, with something new in it."""
        self.version += 1
        where = self.folder / f"content-{self.version}"
        if component in ("am-pattern", "am-hash"):
            parts.content(where, {**KNOWN, f"Test.V{self.version}": b"only version %d\n" % self.version})
        else:
            where.mkdir()
            name, text = {"am-yara": ("test.yar", 'rule Test { strings: $a = "version %d" condition: $a }\n'),
                          "wr-list": ("test.txt", "bad%d.example\n"),
                          "li-rules": ("test.xml", "<decoder name='v%d'></decoder>\n")}[component]
            (where / name).write_text(text % self.version)
        return self.publisher.release(where, *more, component=component)

    def agent(self, name="agent", **more):
        conf = f"[update]\nsource = {self.web.url}\nca = {self.web.ca}\ntries = 1\n" if self.web else ""
        return self.site.add_agent(name, activate=False, conf=conf, **more)


def ask(agent, *words):
    """(exit status, answer) of a question to the agent."""
    done = parts.run("yagura", "--json", "--root", agent.root, "agent", *words, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {"stderr": done.stderr}


def update(agent, *words, good=True):
    """The answer of `yagura agent update`, which must succeed unless `good` is False."""
    status, answer = ask(agent, "update", *words)
    assert not good or status == 0, answer
    return answer


def events(agent, *wanted):
    return [e["id"] for e in ask(agent, "events", "--limit", "200")[1]["items"] if not wanted or e["id"] in wanted][::-1]


def found(agent, folder):
    """Which signatures are found in the file that every version knows."""
    path = folder / "scanned"
    path.mkdir(exist_ok=True)
    (path / "known").write_bytes(KNOWN["Test.One"])
    return {f["signature"] for f in ask(agent, "scan", path)[1]["found"]}
