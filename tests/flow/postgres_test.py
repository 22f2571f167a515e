"""The Manager on a real PostgreSQL: the same line, and a server that restarts under it."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import urllib.parse

import pytest
import site_parts as parts


class Postgres:
    """A server of our own on a socket in its folder. It refuses to run as root: in a user namespace
    it is somebody else, whose files are still ours."""

    def __init__(self, folder):
        found = os.environ.get("YAGURA_PG_BIN") or next(
            (str(p) for p in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))), None)
        if not found or not pathlib.Path(found, "initdb").exists():
            pytest.skip("no PostgreSQL server programs here (tools/fetch-servers could not fetch them)")
        self.bin, self.folder = pathlib.Path(found), folder
        # a socket's path has 107 bytes at most
        short = len(os.fsencode(folder / ".s.PGSQL.5432")) <= 107
        self.at = folder if short else pathlib.Path(tempfile.mkdtemp(prefix="yagura-pg-", dir="/tmp"))
        self.url = f"postgresql://yagura@/postgres?host={urllib.parse.quote(str(self.at))}"
        self.env = {**parts.clean_environment(), "LD_LIBRARY_PATH": os.environ.get("YAGURA_PG_LIB", ""), "LC_ALL": "C.UTF-8"}
        nobody = pwd.getpwnam("nobody")  # initdb looks its user up
        self.prefix = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"] if os.getuid() == 0 else []
        done = subprocess.run([*self.prefix, self.bin / "initdb", "-D", folder / "d", "-A", "trust", "--no-sync", "-E", "UTF8",
                               "--locale=C.UTF-8", "-U", "yagura"], env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"initdb does not work here: {done.stderr.strip().splitlines()[-1:]}")
        self.start()

    def start(self):
        self.at.mkdir(exist_ok=True)
        self.process = parts.Process("postgres", [*self.prefix, self.bin / "postgres", "-D", self.folder / "d", "-k", self.at,
                                                  "-c", "listen_addresses=", "-c", "fsync=off"], self.folder / "pg.log",
                                     env=self.env)
        parts.until("PostgreSQL to accept connections", lambda: "ready to accept" in (self.folder / "pg.log").read_text())

    def close(self):
        import signal
        self.process.kill(signal.SIGINT)
        self.process.stop()
        if self.at != self.folder:
            shutil.rmtree(self.at, ignore_errors=True)


def test_the_same_line_on_postgresql(make_line, site, folder):
    postgres = site._with(Postgres(folder))
    line = make_line(conf=f"[database]\nurl = {postgres.url}\n")
    assert line.manager.call("GET", "/status")["database"]["kind"] == "postgresql"
    job = line.update()
    assert job["outcome"] == "success"
    assert {1600, 1601, 273, 276, 784, 2204} <= set(line.manager.event_ids())
    assert set(line.found()) == set(line.known)

    # the server restarts: the Manager comes back by itself, nothing is lost
    before = len(line.manager.events())
    postgres.close()
    (folder / "pg.log").write_text("")
    postgres.start()
    parts.until("the Manager to answer again", lambda: line.manager.request("GET", "/status")[0] == 200, 60, 0.5)
    assert len(line.manager.events()) >= before
    line.known["Test.Three"] = b"only version two knows this\n"
    line.release(2)
    assert line.update()["outcome"] == "success" and "Test.Three" in line.found()
