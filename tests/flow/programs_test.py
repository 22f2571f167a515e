"""What every program has: --help, --version, a manual page, a configuration that is checked."""

import pytest
import site_parts as parts

PROGRAMS = ["yagura", "yagura-agent", "yagura-manager", "yagura-publish", "yagura-tuf"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(program):
    done = parts.run(program, "--help", check=False)
    assert done.returncode == 0 and program in done.stdout and len(done.stdout.splitlines()) > 5
    done = parts.run(program, "--version", check=False)
    assert done.returncode == 0 and "0.1.0" in done.stdout
    done = parts.run(program, "--nonsense", check=False)
    assert done.returncode == 2 and "nonsense" in done.stderr


@pytest.mark.parametrize("program", ["yagura", "yagura-publish", "yagura-tuf"])
def test_help_in_japanese(program, monkeypatch):
    """Programs that people use at a shell: with the option, wherever it stands, and with the environment."""
    want = parts.run(program, "--help", "--lang", "ja")
    assert "使用方法: " + program in want
    assert parts.run(program, "--lang", "ja", "--help") == want
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert parts.run(program, "--help") == want


@pytest.mark.parametrize("program", PROGRAMS)
def test_manual_page(program):
    pages = list((parts.TOP / "docs/man").glob(f"{program}.[18].scd"))
    assert len(pages) == 1
    text = pages[0].read_text()
    for option in ("--help", "--version"):
        assert option.replace("-", "\\-") in text or option in text


@pytest.mark.parametrize("program,section", [("yagura-agent", "agent"), ("yagura-manager", "manager")])
def test_configuration_is_checked(program, section, folder):
    conf = folder / "x.conf"
    for text, want in ((f"[{section}]\nlog_level = info\n", None),
                       (f"# c\n[{section}]\nnonsense = 1\n", f"{conf}:3: "),
                       ("[nowhere]\na = 1\n", f"{conf}:"),
                       (f"[{section}]\nlog_level\n", f"{conf}:2: ")):
        conf.write_text(text)
        done = parts.run(program, "--check-config", "--config", conf, check=False)
        if want is None:
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode == 2 or done.returncode == 1
            assert want in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_sanitizer_is_heard(folder):
    """What fails tests in a build with sanitizers (conftest.py) would see a daemon's report."""
    log = folder / "log"
    loud = parts.Process("x", ["/bin/sh", "-c", "echo 'x.c:1:2: runtime error: shift' >&2; exec sleep 60"], log)
    quiet = parts.Process("y", ["/bin/sh", "-c", "exec sleep 60"], folder / "quiet")
    parts.until("its words", lambda: log.exists() and log.stat().st_size > 0)
    loud.stop()
    quiet.stop()
    assert list(parts.reports) == [str(log)]
    parts.reports.clear()
