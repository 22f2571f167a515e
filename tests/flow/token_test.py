"""Publishing with keys that lie in a token (PKCS#11): SoftHSM stands in for a smart card."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import site_parts as parts

MODULES = [p for p in [*pathlib.Path("/usr/lib").glob("*/softhsm/libsofthsm2.so"),
                       pathlib.Path("/usr/lib/softhsm/libsofthsm2.so"),
                       pathlib.Path("/usr/lib64/pkcs11/libsofthsm2.so")] if p.exists()]
MISSING = [t for t in ("softhsm2-util", "pkcs11-tool") if not shutil.which(t)] + ([] if MODULES else ["libsofthsm2.so"])
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (softhsm2, opensc)")
KINDS = {"p256": ("EC:prime256v1", "01", "ecdsa"), "ed": ("EC:edwards25519", "02", "ed25519"), "rsa": ("rsa:2048", "03", "rsa")}
PIN, WRONG = "24681357", "13572468"


class Token:
    """A token of the test's own; every program that should see it gets `env`."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / "tokens"
        self.store.mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {self.store}\n")
        self.env = {**parts.clean_environment(), "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        # SoftHSM 2.6 loses the name of an Ed25519 key's curve; a leak checker would blame the program for it.
        self.env["ASAN_OPTIONS"] = ":".join(filter(None, [self.env.get("ASAN_OPTIONS"), "detect_leaks=0"]))
        for name, pin in (("pin", PIN), ("wrong", WRONG)):
            (folder / name).write_text(pin + "\n")
        self.run("softhsm2-util", "--init-token", "--free", "--label", "yagura", "--pin", PIN, "--so-pin", "99999999")
        for label, (kind, number, _) in KINDS.items():
            self.run("pkcs11-tool", "--module", MODULES[0], "--token-label", "yagura", "--login", "--pin", PIN,
                     "--keypairgen", "--key-type", kind, "--label", label, "--id", number)

    def run(self, *command, check=True):
        done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.env, timeout=240, start_new_session=True)
        parts.note_reports(str(command[0]), done.stderr)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def publish(self, *words, check=True):
        return self.run(parts.BIN / "yagura-publish", *words, "--lang", "en", check=check)

    def said(self, *words):
        return json.loads(self.publish(*words, "--json").stdout)

    def refuses(self, *words):
        done = self.publish(*words, check=False)
        assert done.returncode == 1, done.stdout
        return done.stderr

    def uri(self, key, **more):
        query = "&".join(f"{k.replace('_', '-')}={v}" for k, v in {"module_path": MODULES[0], **more}.items())
        return f"pkcs11:token=yagura;object={key}?{query}"

    def enter(self, keys, name, uri, pin="pin"):
        return ["make-key", name, "--new-key-dir", keys, "--new-passphrase-file", self.folder / pin, "--token", uri]


@pytest.fixture
def token(folder):
    return Token(folder)


def release(token, repository, keys, text):
    file = token.folder / "one.hdb"
    file.write_text(text)
    token.publish("release", repository, "am-hash", "--add", file, "--keys", keys, "--passphrase-file", token.folder / "pin")
    token.publish("verify", repository)


HASH = "{}:{}:Test.Token.{}\n"


def test_a_repository_whose_keys_lie_in_a_token(token, folder):
    repository, keys = folder / "r", folder / "k"
    pin = ["--keys", keys, "--passphrase-file", folder / "pin"]
    for name, label in (("root", "p256"), ("am", "ed"), ("timestamp", "rsa")):
        made = token.said(*token.enter(keys, name, token.uri(label)))
        public = json.loads((keys / f"{name}.pub").read_text())
        assert made["name"] == name and public["keytype"] == KINDS[label][2]
        assert (keys / f"{name}.p11").stat().st_mode & 0o777 == 0o600 and not (keys / f"{name}.pem").exists()
        assert PIN not in (keys / f"{name}.p11").read_text()
    token.publish("init", repository, *pin)
    token.publish("verify", repository)
    assert not [n for n in ("root", "am", "timestamp") if (keys / f"{n}.pem").exists()]
    listed = {pathlib.Path(k["file"]).name: k["roles"] for k in token.said("keys", repository, *pin)["keys"]}
    assert listed["root.p11"] == ["root"] and listed["am.p11"] == ["am"] and "snapshot.pem" in listed
    release(token, repository, keys, HASH.format("a" * 32, 10, "One"))
    # From the token to a file, for a role that the token's root signs; then into the token again.
    token.publish("rotate-key", repository, "am", *pin)
    assert (keys / "am-1.pem").exists()
    release(token, repository, keys, HASH.format("b" * 32, 11, "Two"))
    token.publish(*token.enter(keys, "am-2", "pkcs11:token=yagura;id=%01" + token.uri("x")[token.uri("x").index("?"):]))
    token.publish("rotate-key", repository, "am", "--public-key", keys / "am-2.pub", *pin)
    release(token, repository, keys, HASH.format("c" * 32, 12, "Three"))
    # The root's own key: the one in the token signs that it goes.
    token.publish("rotate-key", repository, "root", *pin)
    token.publish("verify", repository)
    assert {r["role"]: r["version"] for r in token.said("show", repository)["roles"]}["root"] == 2


def test_nothing_is_signed_without_the_token(token, folder):
    repository, keys = folder / "r", folder / "k"
    with_pin = token.uri("p256", pin_source=f"file:{folder / 'pin'}")
    token.publish(*token.enter(keys, "timestamp", with_pin, pin="wrong"))
    token.publish("init", repository, "--keys", keys)
    seen = repository / "metadata" / "timestamp.json"
    before = seen.read_bytes()
    address = keys / "timestamp.p11"
    ours = token.uri("p256") + "\n"
    address.write_text(ours)
    sign = ["resign", repository, "--keys", keys]
    stale = ["--passphrase-file", folder / "wrong"]
    assert "key 'timestamp': token 'yagura': the PIN is wrong (CKR_PIN_INCORRECT)" in token.refuses(*sign, *stale)
    assert f"token 'yagura': want its PIN: a passphrase file for '{keys}'" in token.refuses(*sign)
    cases = [
        (token.uri("other"), "token 'yagura' has no private key 'other'"),
        # Another key of the token is not the one whose public half lies there.
        (token.uri("rsa"), "what the token signed: the signature does not fit the key and the text"),
        ("one\ntwo", "'timestamp.p11': want one line"),
        ("", "'timestamp.p11': want one line"),
        ("pkcs11:" + "x" * 1100, "timestamp.p11"),
    ]
    for text, message in cases:
        address.write_text(text)
        assert message in token.refuses(*sign, "--passphrase-file", folder / "pin"), text[:80]
    address.write_text(ours)
    os.rename(keys / "timestamp.pub", folder / "away")
    assert "it is in a token, and 'timestamp.pub' is missing or damaged" in token.refuses(*sign, "--passphrase-file", folder / "pin")
    os.rename(folder / "away", keys / "timestamp.pub")
    os.rename(token.store, folder / "pulled")
    token.store.mkdir()
    assert "token 'yagura' is not there" in token.refuses(*sign, "--passphrase-file", folder / "pin")
    token.store.rmdir()
    os.rename(folder / "pulled", token.store)
    assert seen.read_bytes() == before
    token.publish("verify", repository)
    # It is back, and so is the PIN, this time from the address.
    address.write_text(with_pin)
    token.publish(*sign)
    token.publish("verify", repository)
    assert seen.read_bytes() != before


@pytest.mark.parametrize("uri, message", [
    ("pkcs11:token=none;object=p256", "token 'none' is not there"),
    ("pkcs11:token=yagura;object=none", "token 'yagura' has no private key 'none'"),
    ("pkcs11:token=yagura;id=%09", "token 'yagura' has no private key with id 09"),
    ("pkcs11:object=p256", "want token= or serial=, have none"),
    ("pkcs11:token=yagura", "want object= or id=, have none"),
    ("pkcs11:token=yagura;object=p256;color=red", "want attributes of RFC 7512, have another"),
    ("pkcs11:token=yagura;object=p256;type=public", "type: want private, have another"),
    ("pkcs11:token=yagura;object=%zz", "token address: want pkcs11:token="),
    ("pkcs11:token=yagura;object=two words", "want printable ASCII without spaces, have byte 0x20"),
    ("http://yagura/", "token address: want pkcs11:token="),
    ("pkcs11:token=yagura;object=p256?pin-value=1", "want no pin-value"),
    ("pkcs11:token=yagura;object=p256?module-path=x.so", "want an absolute path, have 'x.so'"),
    ("pkcs11:token=yagura;object=p256?module-path=/none.so", "PKCS#11 module '/none.so': cannot be loaded"),
    ("pkcs11:token=yagura;object=p256?pin-source=|id", "want a file's absolute path, have '|id'"),
    ("pkcs11:token=yagura;object=p256?pin-source=/none", "'/none'"),
])
def test_addresses_that_lead_to_no_key(shared, uri, message):
    keys = shared.folder / "refused"
    if "module-path" not in uri and "token=yagura" in uri:
        uri += ("&" if "?" in uri else "?") + f"module-path={MODULES[0]}"
    assert message in shared.refuses(*shared.enter(keys, "x", uri))
    assert not list(keys.glob("x.*"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Token(tmp_path_factory.mktemp("token"))


def test_a_name_is_entered_once(shared):
    keys = shared.folder / "once"
    shared.publish(*shared.enter(keys, "am", shared.uri("ed")))
    assert f"'{keys}/am.p11': want a new key, have one" in shared.refuses(*shared.enter(keys, "am", shared.uri("ed")))
