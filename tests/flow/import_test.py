# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""A content engineer's week: feeds of every kind come in, broken ones stay out, and diff says what changed."""
import bz2
import collections
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import pathlib
import random
import shutil
import tarfile
import zipfile

import pytest
import site_parts as parts

FEEDS = pathlib.Path(os.environ.get("YAGURA_FEEDS", parts.TOP.parent / "shared" / "feeds"))


class Desk:
    """A repository, and the commands of who fills it."""

    def __init__(self, folder):
        self.folder, self.repo = folder, folder / "repo"
        parts.run("yagura-publish", "init", self.repo)

    def do(self, verb, *words, check=True, env=None):
        done = parts.subprocess.run(
            [str(parts.BIN / "yagura-publish"), verb, *map(str, words), "--json"], stdin=parts.subprocess.DEVNULL,
            stdout=parts.subprocess.PIPE, stderr=parts.subprocess.PIPE, text=True, timeout=300,
            env={**parts.clean_environment(), "TMPDIR": str(self.folder), **(env or {})})
        parts.note_reports(verb, done.stderr)
        if check and done.returncode != 0:
            raise parts.Failed(done.stdout + done.stderr)
        answer = json.loads(done.stdout.splitlines()[-1])
        assert (done.returncode == 0) == ("error" not in answer)
        assert not list(self.folder.glob("yagura-publish-*")), "a scratch folder was left behind"
        return answer

    def take(self, component, *words, **more):
        return self.do("import", self.repo, component, *words, **more)

    def refused(self, component, *words, cause=None, **more):
        answer = self.do("import", self.repo, component, *words, check=False, **more)
        assert "error" in answer, answer
        assert cause is None or answer["error"]["cause"] == cause, answer
        return answer["error"]["message"]

    def content(self, component, version=None):
        """The files of the newest release as an agent would have them."""
        role = component.split("-")[0]
        newest = max((self.repo / "metadata").glob(f"*.{role}.json"), key=lambda p: int(p.name.split(".")[0]))
        targets = json.loads(newest.read_text())["signed"]["targets"]
        digest = targets[f"{role}/{component}.json"]["hashes"]["sha256"]
        manifest = json.loads((self.repo / "targets" / role / f"{digest}.{component}.json").read_text())
        files = {}
        for file in manifest["files"]:
            form = next(f for f in file["forms"] if f["encoding"] in ("plain", "zstd"))
            data = (self.repo / "objects" / form["sha256"][:2] / form["sha256"]).read_bytes()
            if form["encoding"] == "zstd":
                data = parts.subprocess.run(["zstd", "-dc"], input=data, stdout=parts.subprocess.PIPE, check=True).stdout
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            files[file["path"]] = data
        return files


@pytest.fixture
def desk(folder):
    return Desk(folder)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def hex_of(seed):
    return hashlib.md5(seed.encode()).hexdigest()


def ndb(name, word=None):
    return f"{name}:0:*:{(word or name).encode().hex()}\n"


def clamav(folder, count=60, drop=()):
    """A small feed of several files; `drop`: numbers that are missing."""
    kept = [i for i in range(count) if i not in drop]
    put(folder / "daily.ndb", "# made for a test\r\n\r\n" + "".join(ndb(f"Test.Word-{i}").replace("\n", "\r\n") for i in kept))
    put(folder / "daily.hdb", "".join(f"{hex_of(str(i))}:{i + 1}:Test.Hash-{i}\n" for i in kept) + f"{hex_of('0')}:1:Test.Hash-0\n")
    put(folder / "daily.ldb", "Test.Logic-1;Engine:51-255,Target:0;0&1;6162636465666768;696a6b6c6d6e6f70\n")
    put(folder / "COPYING", "a licence\n")
    return folder


def tar(path, files, mode="w", **more):
    with tarfile.open(path, mode, **more) as out:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return path


def cld(path, version, files):
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    head = f"ClamAV-VDB:15 Dec 2024 10-30 -0500:{version}:2:90:{'0' * 32}:none:tester:1734276600"
    path.write_bytes(head.ljust(512).encode() + body.getvalue())
    return path


# ---- ClamAV ----


def test_folder_unchanged_and_changed(desk):
    feed = clamav(desk.folder / "feed")
    first = desk.take("am-pattern", feed)
    assert first["published"] and first["version"] == 1
    assert first["signatures"] == 121 and first["duplicates"] == 1 and first["loaded"] == 121
    assert [pathlib.Path(p).name for p in first["left_out"]] == ["COPYING"]
    files = desk.content("am-pattern")
    assert b"\r" not in files["daily.ndb"] and files["daily.ndb"].startswith(b"Test.Word-0:0:*:")
    again = desk.take("am-pattern", feed)
    assert again["unchanged"] and not again["published"] and again["version"] == 1
    assert again["note"] == "nothing new: version 1 has all of it"
    # One goes, one is edited, one comes; order and remarks are nothing.
    text = (feed / "daily.ndb").read_text().splitlines()
    text = ["# another remark"] + text[3:] + [ndb("Test.New-1").strip()]
    text[5] = text[5] + "41"
    put(feed / "daily.ndb", "\n".join(text) + "\n")
    second = desk.take("am-pattern", feed)
    assert (second["version"], second["added"], second["removed"], second["changed"]) == (2, 1, 1, 1)
    found = desk.do("diff", desk.repo, "am-pattern")
    assert (found["from"], found["to"]) == (1, 2) and len(found["files"]) == 1
    changed = found["files"][0]
    assert changed["file"] == "daily.ndb" and changed["before"] == 60 and changed["after"] == 60
    assert changed["added_names"] == ["Test.New-1"] and changed["removed_names"] == ["Test.Word-0"]
    assert changed["changed_names"] == ["Test.Word-5"]
    back = desk.do("diff", desk.repo, "am-pattern", 2, 1, "--limit", 0)
    assert back["added"] == 1 and back["files"][0]["added_names"] == []
    assert "version 7 is not in the repository" in desk.do("diff", desk.repo, "am-pattern", 7, check=False)["error"]["message"]


BROKEN = [
    ("daily.ndb", "Test.A:0\n", "daily.ndb: line 1: want 4 or more fields, have 2"),
    ("daily.ndb", "# fine\n\nTest.A:zero:*:4141\n", "daily.ndb: line 3: want a target type, a number, have 'zero'"),
    ("daily.hdb", f"{'0' * 31}:1:Test.A\n", "daily.hdb: line 1: want a hash of 32, 40 or 64 hex digits"),
    ("daily.hsb", f"{'0' * 64}:*:Test.A\n", "daily.hsb: line 1: a hash without a size wants a functionality level of 73"),
    ("daily.mdb", f"x:{'0' * 32}:Test.A\n", "daily.mdb: line 1: want a size or '*', have 'x'"),
    ("daily.hdb", f"{'0' * 32}:1:\n", "daily.hdb: line 1: want a name, have none"),
    ("daily.ndb", "Test.A:0:*:41\0\n", "daily.ndb: line 1: want text, have a NUL byte"),
    ("daily.ldb", "Test.A;Target:0\n", "daily.ldb: line 1: want 4 or more fields, have 2"),
]


@pytest.mark.parametrize("name,text,message", BROKEN, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(BROKEN)])
def test_broken_feed(desk, name, text, message):
    assert message in desk.refused("am-pattern", put(desk.folder / "feed" / name, text), "--force")


def test_engine_refuses(desk):
    put(desk.folder / "feed" / "daily.ndb", "# a remark that is not published\n" + ndb("Test.A") + "Test.Bad-1:0:*:4\n")
    message = desk.refused("am-pattern", desk.folder / "feed")
    assert "daily.ndb: line 2" in message and "Test.Bad-1" in message
    forced = desk.take("am-pattern", desk.folder / "feed", "--force")
    assert forced["published"] and "Test.Bad-1" in forced["ignored"][0]


def test_samples(desk):
    feed = put(desk.folder / "feed" / "a.ndb", ndb("Test.A", "the bad word"))
    bad, good = put(desk.folder / "bad", "here is the bad word"), put(desk.folder / "good", "here is none")
    message = desk.refused("am-pattern", feed, "--sample-find", good)
    assert "want malicious, have clean" in message and "good" in message
    assert "want clean, have Test.A" in desk.refused("am-pattern", feed, "--sample-pass", bad)
    assert desk.take("am-pattern", feed, "--sample-find", bad, "--sample-pass", good)["published"]
    assert desk.take("am-pattern", feed)["unchanged"]


def test_shrunk(desk):
    feed = clamav(desk.folder / "feed")
    desk.take("am-pattern", feed)
    clamav(feed, drop=range(20, 40))
    message = desk.refused("am-pattern", feed, cause="feed.shrunk")
    assert "the feed: shrank from 121 signatures to 81, by 33 %; want <= 20 %" in message
    assert desk.take("am-pattern", feed, "--max-shrink", 40, "--dry-run")["removed"] == 40
    forced = desk.take("am-pattern", feed, "--force")
    assert forced["version"] == 2 and len(forced["ignored"]) == 3
    # A file that is gone counts too.
    os.unlink(feed / "daily.hdb")
    assert "shrank" in desk.refused("am-pattern", feed)
    assert "daily.hdb: shrank from 40 signatures to 0, by 100 %" in desk.refused("am-pattern", feed, "--max-shrink", 60)


def test_cld_and_cvd(desk):
    files = {"daily.ndb": ndb("Test.A").encode(), "daily.cfg": b"", "COPYING": b"x", "daily.info": b"ClamAV-VDB:x\n"}
    feed = cld(desk.folder / "daily.cld", 27480, files)
    assert "daily.cld: nobody can sign a .cld" in desk.refused("am-pattern", feed, cause="feed.unsigned")
    first = desk.take("am-pattern", feed, "--unsigned")
    assert first["version"] == 27480 and sorted(desk.content("am-pattern")) == ["daily.ndb"]
    files["daily.ndb"] += ndb("Test.B").encode()
    older = cld(desk.folder / "old" / "daily.cld" if (desk.folder / "old").mkdir() is None else None, 27479, files)
    assert "daily: version 27479 is older than 27480" in desk.refused("am-pattern", older, "--unsigned", cause="feed.older")
    newer = cld(desk.folder / "daily.cld", 27482, files)
    assert desk.take("am-pattern", newer, "--unsigned")["version"] == 27482
    # A .cvd that ClamAV did not sign, and one that is none.
    forged = desk.folder / "daily.cvd"
    forged.write_bytes(newer.read_bytes()[:512] + gzip.compress(newer.read_bytes()[512:]))
    assert "daily.cvd: its signature is not good" in desk.refused("am-pattern", forged, "--unsigned", "--force", cause="feed.untrusted")
    # The same inside of an archive, where its file has another name while it is looked at.
    packed = tar(desk.folder / "mirror.tar", {"mirror/daily.cvd": forged.read_bytes()})
    assert "daily.cvd: its signature is not good" in desk.refused("am-pattern", packed, "--unsigned", "--force")
    assert "want 'ClamAV-VDB:' at the beginning" in desk.refused("am-pattern", put(desk.folder / "main.cvd", b"\0" * 600))


# ---- archives ----


def test_archives(desk):
    one, two = ndb("Test.One").encode(), ndb("Test.Two").encode()
    kinds = {
        "a.tar": lambda p: tar(p, {"./x/a.ndb": one}),
        "b.tar.gz": lambda p: tar(p, {"feed/b.ndb": one, "feed/.hidden": b"x"}, "w:gz"),
        "c.tar.xz": lambda p: tar(p, {"c.ndb": one}, "w:xz"),
        "d.tar.bz2": lambda p: tar(p, {"d.ndb": one}, "w:bz2"),
        "e.ndb.gz": lambda p: p.write_bytes(gzip.compress(one)),
        "f.ndb.xz": lambda p: p.write_bytes(lzma.compress(one)),
        "g.ndb.bz2": lambda p: p.write_bytes(bz2.compress(one)),
        "h.ndb.zst": lambda p: p.write_bytes(parts.subprocess.run(["zstd", "-c"], input=one, stdout=-1, check=True).stdout),
    }
    for name, make in kinds.items():
        make(desk.folder / name)
    with zipfile.ZipFile(desk.folder / "i.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("i.ndb", two)
    taken = desk.take("am-pattern", *[desk.folder / n for n in kinds], desk.folder / "i.zip")
    assert sorted(desk.content("am-pattern")) == [f"{c}.ndb" for c in "abcdefghi"]
    assert taken["signatures"] == 9


def test_hostile_archives(desk):
    def with_member(name, **attributes):
        path = desk.folder / "x.tar"
        with tarfile.open(path, "w") as out:
            member = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(member, key, value)
            out.addfile(member)
        return path

    assert "'../a.ndb': want a path inside the archive, have '..'" in desk.refused("am-pattern", with_member("../a.ndb"))
    assert "want a relative path" in desk.refused("am-pattern", with_member("/etc/a.ndb"))
    assert "want files, have a link" in desk.refused("am-pattern", with_member("a.ndb", type=tarfile.SYMTYPE, linkname="/etc/passwd"))
    assert "want files, have a link" in desk.refused("am-pattern", with_member("a.ndb", type=tarfile.LNKTYPE, linkname="b.ndb"))
    assert "want files, have a device" in desk.refused("am-pattern", with_member("a.ndb", type=tarfile.FIFOTYPE))
    bomb = desk.folder / "bomb.tar.xz"
    with lzma.open(bomb, "w") as out, tarfile.open(fileobj=out, mode="w|") as inner:
        member = tarfile.TarInfo("a.ndb")
        member.size = 200 << 20
        inner.addfile(member, io.BytesIO(bytes(200 << 20)))
    assert "made to fill disks" in desk.refused("am-pattern", bomb)
    nested = ndb("Test.A").encode()
    for name in ("a.ndb", "a.tar", "b.tar", "c.tar"):
        nested = tar(desk.folder / "n", {name: nested}).read_bytes()
    assert "want <= 2 archives in archives" in desk.refused("am-pattern", put(desk.folder / "n.tar", nested))
    cut = gzip.compress(random.Random(7).randbytes(100000))[:5000]
    assert "archive: " in desk.refused("am-pattern", put(desk.folder / "a.ndb.gz", cut))
    os.symlink("/etc/passwd", desk.folder / "links.ndb")
    (desk.folder / "with").mkdir()
    os.symlink("/etc/passwd", desk.folder / "with" / "a.ndb")
    assert "want files and folders, have a link" in desk.refused("am-pattern", desk.folder / "with")
    for name in ("one", "two"):
        put(desk.folder / "same" / name / "a.ndb", ndb("Test.A"))
    assert "have one name, 'a.ndb'" in desk.refused("am-pattern", desk.folder / "same")


# ---- rules ----

YARA = """import "pe"
/* rule not_this { */
private rule helper { strings: $a = "}{" condition: $a }
rule Main : tag
{
    meta: text = "rule inner { condition: true }"
    strings:
        $re = /a[}]b{2}\\/{/ nocase
        $hex = { 41 42 [2-4] 47 48 (43 44|45 46) } // }
    condition: $hex or $re
}
"""


def test_yara(desk):
    feed = put(desk.folder / "rules.yar", YARA.replace('import "pe"\n', "").replace("\n", "\r\n"))
    assert desk.take("am-yara", feed)["signatures"] == 2
    put(feed, YARA.replace('import "pe"\n', "").replace("2-4", "2-5") + "rule Third { condition: filesize > 3 }\n")
    desk.take("am-yara", feed)
    found = desk.do("diff", desk.repo, "am-yara")["files"][0]
    assert found["changed_names"] == ["Main"] and found["added_names"] == ["Third"]
    for text, message in [
            ('rule A { condition: true \n', "line 1: rule 'A': want '{' and '}' around it"),
            ('rule A { condition: true }\nrule A { condition: true }\n', "line 2: rule 'A' is there twice"),
            ('include "other.yar"\n', "line 1: include: want the rules themselves"),
            ('\n\nrule A { strings: $a = "x\n condition: $a }', "line 3: want an end of this string"),
            ('/* rule A { condition: true }', "line 1: want an end of this comment"),
    ]:
        assert "rules.yar: " + message in desk.refused("am-yara", put(feed, text))
    put(feed, "rule A { strings: $a = \"word\" condition: $nothing }\n")
    message = desk.refused("am-yara", feed, "--max-shrink", 100)
    assert "rules.yar" in message, message


RULE = 'alert {proto} $HOME_NET any -> [$EXTERNAL_NET,!192.0.2.0/24] 80 (msg:"{msg}"; content:"a\\;b\\"c"; sid:{sid}; rev:{rev};)'


def rule(sid, rev=1, msg="Test; (rule)", proto="tcp"):
    return RULE.format(sid=sid, rev=rev, msg=msg, proto=proto)


def test_suricata(desk):
    path = tar(desk.folder / "emerging.rules.tar.gz", {
        "rules/emerging.rules": "\n".join(["# remark", rule(1), "#" + rule(9), "alert tcp any any -> any any \\", '  (msg:"two lines"; sid:2; rev:1;)', ""]).encode(),
        "rules/classification.config": b"config classification: not-suspicious,Not Suspicious Traffic,3\n",
        "rules/LICENSE": b"x"}, "w:gz")
    taken = desk.take("ips-rules", path)
    files = desk.content("ips-rules")
    assert sorted(files) == ["classification.config", "emerging.rules"] and taken["signatures"] == 3
    assert files["emerging.rules"].decode().splitlines()[1] == 'alert tcp any any -> any any (msg:"two lines"; sid:2; rev:1;)'
    put(desk.folder / "rules" / "emerging.rules", "\n".join([rule(1, 2), rule(3)]) + "\n")
    put(desk.folder / "rules" / "classification.config", b"config classification: not-suspicious,Not Suspicious Traffic,3\n")
    desk.take("ips-rules", desk.folder / "rules", "--force")
    found = desk.do("diff", desk.repo, "ips-rules")["files"][0]
    assert found["changed_names"] == ["sid 1"] and found["added_names"] == ["sid 3"] and found["removed_names"] == ["sid 2"]
    for text, message in [
            ("alarm tcp any any -> any any (sid:1; rev:1;)", "want an action"),
            ("alert tcp any any -> any (sid:1; rev:1;)", "want action, protocol, address, port, direction, address, port before '(', have 6"),
            ("alert tcp any any <- any any (sid:1; rev:1;)", "want '->' or '<>', have '<-'"),
            ("alert tcp any any -> any any (msg:\"x\"; rev:1;)", "want the option sid, have none"),
            ("alert tcp any any -> any any (sid:1;)", "want the option rev, have none"),
            ("alert tcp any any -> any any (sid:x; rev:1;)", "sid: want a number, have 'x'"),
            ("alert tcp any any -> any any (msg:\"x; sid:1; rev:1;)", "want a quote at the end of a value"),
            ("alert tcp any any -> any any (sid:1; rev:1)", "want ';' behind the last option"),
            ("alert tcp any any -> any any", "want options in '(' and ')'"),
    ]:
        feed = put(desk.folder / "bad.rules", "# first\n" + text + "\n")
        assert "bad.rules: line 2: " + message in desk.refused("ips-rules", feed)
    put(desk.folder / "two" / "a.rules", rule(1) + "\n")
    put(desk.folder / "two" / "b.rules", rule(5) + "\n" + rule(1, 2) + "\n")
    assert "b.rules: line 2: sid 1 is there already, in " in desk.refused("ips-rules", desk.folder / "two")


def test_suricata_is_asked_where_it_is(desk):
    """A stand-in for the program: what is tested is how it is asked, and that its answer counts."""
    tool = put(desk.folder / "bin" / "suricata", '#!/bin/sh\n'
               '[ "$1 $2 $4" = "-T -S -l" ] && : >"$5/log" || { echo "error: asked with $*"; exit 1; }\n'
               'if grep -q nonsense "$3"; then echo "E: detect: error parsing signature nonsense" >&2; exit 1; fi\n'
               'grep -q "sid:1;" "$3" || { echo "error: no rule"; exit 1; }\n')
    tool.chmod(0o755)
    env = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
    put(desk.folder / "rules" / "a.rules", rule(1) + "\n")
    assert desk.take("ips-rules", desk.folder / "rules", env=env)["checked_by"] == ["suricata"]
    put(desk.folder / "rules" / "b.rules", rule(2, msg="nonsense") + "\n")
    message = desk.refused("ips-rules", desk.folder / "rules", env=env)
    assert "suricata refuses the rules: E: detect: error parsing signature nonsense" in message


OSSEC = """<?xml version="1.0"?>
<!-- several elements side by side -->
<var name="X">y</var>
<group name="syslog,">
  <rule id="100001" level="5"><match>failed</match><description>A</description></rule>
  <rule id="100002" level="0"><if_sid>100001</if_sid><description>B</description></rule>
  <rule id="5710" level="3" overwrite="yes"><description>C</description></rule>
</group>
<decoder name="test"><prematch>^test</prematch></decoder>
"""


def test_ossec(desk):
    feed = put(desk.folder / "local.xml", OSSEC)
    assert desk.take("li-rules", feed)["signatures"] == 4
    put(feed, OSSEC.replace("<description>B", "<description>Bee").replace("100001\" level", "100003\" level"))
    desk.take("li-rules", feed)
    found = desk.do("diff", desk.repo, "li-rules")["files"][0]
    assert found["changed_names"] == ["rule 100002"]
    assert found["added_names"] == ["rule 100003"] and found["removed_names"] == ["rule 100001"]
    for old, new, message in [
            ("</group>", "", "line 10: mismatched tag"),
            ('level="5"', 'level="17"', "line 5: rule 100001: level: want 0..16, have '17'"),
            ('level="5"', "", "line 5: rule 100001: level: want 0..16, have ''"),
            ('id="100002"', 'id="x"', "line 6: rule: id: want a number, have 'x'"),
            ('id="100002"', 'id="100001"', "line 6: rule 100001 is there already"),
            ('<decoder name="test">', "<decoder>", "line 9: decoder: name: want one"),
            ("<var", '<!DOCTYPE x [<!ENTITY a "b">]><var', "line 3: not well-formed"),
            ("<match>failed", "<match>&a;", "line 5: undefined entity"),
    ]:
        assert "local.xml: " + message in desk.refused("li-rules", put(feed, OSSEC.replace(old, new, 1)))


# ---- lists ----


def test_hashes(desk):
    shas = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(5)]
    rows = [f'"2024-12-05 10:0{i}:00", "{s}", "{hex_of(str(i))}", "Fam,ily{i}", "{1000 + i}"' for i, s in enumerate(shas)]
    feed = put(desk.folder / "feed" / "bazaar.csv", '# remark\n# "first_seen","sha256_hash","md5_hash","signature","file_size"\n' + "\n".join(rows) + "\n")
    plain = put(desk.folder / "feed" / "plain.txt", "\n".join([shas[0].upper() + "  some file.exe", hex_of("x"), "", "; no"][:2]) + "\n")
    taken = desk.take("am-hash", feed.parent)
    files = desk.content("am-hash")
    assert taken["signatures"] == 7 and sorted(files) == ["bazaar.hsb", "plain.hdb", "plain.hsb"]
    assert files["bazaar.hsb"].decode().splitlines() == sorted(f"{s}:{1000 + i}:Fam_ily{i}" for i, s in enumerate(shas))
    assert files["plain.hdb"].decode() == f"{hex_of('x')}:*:plain.{hex_of('x')[:12]}:73\n"
    put(plain, "\n".join([shas[0], "no hash at all"]))
    assert "plain.txt: line 2: want an MD5, SHA-1 or SHA-256, have 'no hash at all'" in desk.refused("am-hash", feed.parent)
    put(plain, shas[0] + "\n")
    put(feed, "name,md5\n" + "\n".join(f"n{i},{hex_of(str(i))}" for i in range(9)) + "\nn9,oops\n")
    assert "bazaar.csv: line 11: want an MD5, SHA-1 or SHA-256, have 'oops'" in desk.refused("am-hash", feed.parent)


def test_lists(desk):
    feed = desk.folder / "feed"
    put(feed / "hosts", "# hosts\n127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 Bad.Example.COM other.example # why\n0.0.0.0 bücher.example\n")
    put(feed / "plain.txt", "example.com.\nhttp://Example.COM:8080/a?b#c\n||ads.example^\n*.wild.example\n192.0.2.1\n2001:DB8:0::1\nexample.com\nhttp://x.example\nx.example/login\n")
    put(feed / "urls.csv", 'id,dateadded,url,status\n' + "".join(f'"{i}","2024-12-05 10:00:00","https://h{i}.example/p,a","online"\n' for i in range(3)))
    taken = desk.take("wr-list", feed)
    files = {name: data.decode().split() for name, data in desk.content("wr-list").items()}
    assert files["hosts.list"] == ["bad.example.com", "other.example", "xn--bcher-kva.example"]
    assert files["urls.list"] == [f"https://h{i}.example/p,a" for i in range(3)]
    assert files["plain.list"] == sorted(["example.com", "http://example.com:8080/a?b#c", "ads.example", "*.wild.example",
                                          "192.0.2.1", "2001:db8::1", "http://x.example/", "x.example/login"])
    assert taken["duplicates"] == 1
    for text, message in [
            ("example.com\nnot a domain\n", "line 2: want an address, a network, a domain or a URL, have 'not a domain'"),
            ("example.com\n1.2.3.999\n", "line 2: want an address"),
            ("example.com\n-x.example\n", "line 2: want an address"),
            ("http://\n", "line 1: want an address"), ("http://a b/\n", "line 1: want an address"),
    ]:
        assert "bad.txt: " + message in desk.refused("wr-list", put(desk.folder / "bad.txt", text))
    drop = put(desk.folder / "drop.txt", "; Spamhaus\n192.0.2.77/24 ; SBL1\n2001:db8::5/32 ; SBL2\n192.0.2.0/24\n")
    desk.take("fw-list", drop)
    assert desk.content("fw-list")["drop.list"].decode().split() == ["192.0.2.0/24", "2001:db8::/32"]
    assert "line 1: want an address or a network, have 'example.com'" in desk.refused("fw-list", put(drop, "example.com\n"))
    assert "line 1: want an address or a network" in desk.refused("fw-list", put(drop, "192.0.2.0/33\n"))


def test_format_is_said(desk):
    odd = put(desk.folder / "export.json", "example.com\n")
    assert "the feed has nothing for wr-list" in desk.refused("wr-list", odd)
    assert desk.take("wr-list", odd, "--format", "list")["signatures"] == 1
    assert list(desk.content("wr-list")) == ["export.list"]
    hashes = put(desk.folder / "daily.info", hex_of("x") + "\n")
    assert desk.take("am-pattern", hashes, "--format", "hash")["loaded"] == 1
    assert list(desk.content("am-pattern")) == ["daily.hdb"]


def test_killed_at_any_moment(desk):
    """Old or new, and no scratch folder that stays for ever."""
    feed, chance = clamav(desk.folder / "feed"), random.Random(5)
    last = desk.take("am-pattern", feed)["version"]
    for n in range(12):
        put(feed / "more.ndb", ndb(f"Test.More-{n}"))
        child = parts.subprocess.Popen([str(parts.BIN / "yagura-publish"), "import", str(desk.repo), "am-pattern", str(feed)],
                                       stdout=parts.subprocess.DEVNULL, stderr=parts.subprocess.DEVNULL,
                                       env={**parts.clean_environment(), "TMPDIR": str(desk.folder)})
        with contextlib.suppress(parts.subprocess.TimeoutExpired):
            child.wait(chance.random() * 0.8)
        child.kill()
        child.wait()
        for left in desk.folder.glob("yagura-publish-*"):
            shutil.rmtree(left)
        shown = desk.do("verify", desk.repo)["components"][0]
        assert shown["version"] in (last, last + 1)
        last = shown["version"]
    desk.take("am-pattern", feed, "--force")


def test_what_is_no_feed(desk):
    assert "component: want am-pattern" in desk.refused("am-nothing", put(desk.folder / "a.ndb", ndb("Test.A")))
    assert "the feed has nothing for am-pattern" in desk.refused("am-pattern", put(desk.folder / "a.doc", "x"))
    assert "No such file" in desk.refused("am-pattern", desk.folder / "absent")
    assert "the feed has nothing" in desk.refused("am-pattern", put(desk.folder / "a.ndb", "# only a remark\n"))


# ---- diff of folders; the real thing ----


def test_diff_of_folders(desk):
    a, b = clamav(desk.folder / "a"), clamav(desk.folder / "b", drop=[3])
    found = desk.do("diff", a, b)
    assert (found["added"], found["removed"], found["changed"]) == (0, 2, 0)
    assert {f["file"]: f["removed_names"] for f in found["files"]} == {"daily.ndb": ["Test.Word-3"], "daily.hdb": ["Test.Hash-3"]}
    same = desk.do("diff", a / "daily.ndb", put(desk.folder / "other.ndb", (a / "daily.ndb").read_bytes()))
    assert same["files"] == [] and same["before"] == 60
    packed = tar(desk.folder / "b.tar.gz", {p.name: p.read_bytes() for p in b.iterdir()}, "w:gz")
    assert desk.do("diff", a, packed)["removed"] == 2


def lines_of(folders):
    """name: (Counter of lines, Counter of names) of a feed, on its own."""
    files = {}
    for folder in folders:
        for path in sorted(folder.iterdir()):
            data = parts.subprocess.run(["zstd", "-dc", path], stdout=parts.subprocess.PIPE, check=True).stdout
            files[path.name.removesuffix(".zst")] = collections.Counter(
                line.rstrip() for line in data.decode("latin-1").split("\n") if line.strip() and not line.startswith("#"))
    return files


def name_of(file, line):
    if file.endswith((".ldb",)):
        return line.split(";")[0]
    return line.split(":")[0 if file.endswith(".ndb") else 2]


def test_two_real_days(desk):
    days = sorted((FEEDS / "clamav").glob("2*")) if (FEEDS / "clamav").is_dir() else []
    if len(days) < 2:
        pytest.skip(f"no real feeds in {FEEDS} (YAGURA_FEEDS)")
    first, second = lines_of(days[:1]), lines_of(days)
    one = desk.take("am-pattern", days[0])
    assert one["signatures"] == sum(len(c) for c in first.values()) == one["loaded"]
    two = desk.take("am-pattern", *days)
    added = removed = changed = 0
    for file in set(first) | set(second):
        gone, come = first.get(file, {}) - second.get(file, {}), second.get(file, {}) - first.get(file, {})
        names = [collections.Counter(name_of(file, line) for line in lines) for lines in (gone, come)]
        both = sum((names[0] & names[1]).values())
        changed, removed, added = changed + both, removed + sum(gone.values()) - both, added + sum(come.values()) - both
    assert added > 0
    assert (two["added"], two["removed"], two["changed"]) == (added, removed, changed)
    found = desk.do("diff", desk.repo, "am-pattern", "--limit", 100000)
    assert (found["added"], found["removed"], found["changed"]) == (added, removed, changed)
    come = {name_of(f["file"], line) for f in found["files"] for line in second[f["file"]] - first[f["file"]]}
    assert come == {n for f in found["files"] for n in f["added_names"] + f["changed_names"]}
