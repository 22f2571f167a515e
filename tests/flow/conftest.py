import pathlib
import shutil
import signal
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import site_parts as parts  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def programs():
    missing = [p for p in ("yagura", "yagura-agent", "yagura-manager", "yagura-publish") if not (parts.BIN / p).exists()]
    if missing:
        pytest.fail(f"not built: {missing} (run ./run build)")


@pytest.fixture(autouse=True)
def bound():
    """No test waits for ever: a bound far above what any needs, not a measurement."""
    def too_long(signo, frame):
        raise parts.Failed("this test took more than five minutes")
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(300)
    yield
    signal.alarm(0)


@pytest.fixture(autouse=True)
def sanitizers():
    """No process of ours says what only a sanitizer says. Around all others: logs are read as they stop."""
    parts.reports.clear()
    yield
    if parts.reports:
        pytest.fail("\n".join(f"{name}:\n{text}" for name, text in parts.reports.items()), pytrace=False)


def _short(tmp_path_factory, name):
    """A folder whose name stays short: a socket's path has 107 bytes at most."""
    return tmp_path_factory.mktemp(name[:8], numbered=True)


@pytest.fixture
def folder(tmp_path_factory, request):
    path = _short(tmp_path_factory, "t")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def site(folder):
    """An empty site: add what the story needs."""
    with parts.Site(folder / "s") as made:
        yield made


KNOWN = {"Test.One": b"the first file that must be found\n", "Test.Two": b"the second file that must be found\n"}


class Line:
    """The whole line, up: publisher with version 1 released, source, Manager, relay, one agent."""

    def __init__(self, site, folder, **manager):
        self.site, self.folder = site, folder
        self.known = dict(KNOWN)
        site.add_publisher()
        self.release(1)
        site.add_source()
        self.manager = site.add_manager(keep=True, **manager)
        site.point_manager_at_source()
        self.relay = site.add_agent("relay", relay=True, keep=True)
        self.agent = site.add_agent("agent", keep=True)

    def release(self, version, *more):
        signatures = parts.content(self.folder / f"content-{version}", self.known)
        return self.site.publisher.release(signatures, "--version", version, *more)

    def update(self, **more):
        job = self.manager.wait_job(self.manager.job(relays=True, **more))
        return job

    def files(self):
        where = self.folder / "files"
        where.mkdir(exist_ok=True)
        for name, data in self.known.items():
            (where / name).write_bytes(data)
        (where / "clean").write_bytes(b"nothing to find here\n")
        return where

    def found(self, agent=None):
        import json
        done = parts.run("yagura", "--json", "--root", (agent or self.agent).root, "agent", "scan", self.files(), check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return {pathlib.Path(f["path"]).name: f["signature"] for f in json.loads(done.stdout.splitlines()[-1])["found"]}


@pytest.fixture
def line(site, folder):
    return Line(site, folder)


@pytest.fixture
def make_line(site, folder):
    return lambda **more: Line(site, folder, **more)
