#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Make the starter signatures and their samples: ./make.py [FOLDER]; README.md says what they are.

The same bytes every time. Samples are harmless text, stored as containers (YGSAMPLE, XOR 0xA5), so
that a scanner with these very signatures does not find them in a source tree.
"""

import hashlib
import pathlib
import sys

# The EICAR test string, in hex only: no file of ours contains the string itself.
EICAR = bytes.fromhex(
    "58354f2150254041505b345c505a58353428505e2937434329377d244549434152"
    "2d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a")

# clam.exe of the Debian package clamav-testfiles: 544 bytes that do nothing but show a message.
CLAM_MD5, CLAM_SIZE = "aa15bcf478d165efd2065190eb473bcb", 544
CLAM_CODE = "bb7110400033c050508bf3535350b02940300466ac79f9ba"
CLAM_IMPORTS = "4b45524e454c33322e444c4c00004578697450726f63657373005553455233322e444c4c00434c414d657373616765426f784100"

TEXT = """This file is harmless. It was made to try Yagura: a scanner with Yagura's starter signatures
reports it as {name}. {line}
"""

# What the signatures look for, put together here so that they do not find this script.
MARK = "yagura-starter-" + "sample-"
ONE = MARK + "one-1d0c9a54"
TWO_A, TWO_B = MARK + "two-a", MARK + "two-b"
NEXT = MARK + "next-40d7f3ae"

SAMPLES = {
    "yagura-1": ("Yagura.Test.Bytes", ONE),
    "yagura-2": ("Yagura.Test.Logic", f"{TWO_A} 6f0e2b11 and {TWO_B}"),
    "yagura-3": ("Yagura.Test.Hash", MARK + "three-88b1e7c2"),
    "yagura-next": ("Yagura.Test.Next", NEXT),
    "clean-1": ("nothing at all", f"It looks like the others: {MARK}"),
}


def sample(name):
    found, line = SAMPLES[name]
    return TEXT.format(name=found, line=line).encode()


def container(data):
    return b"YGSAMPLE" + bytes(byte ^ 0xA5 for byte in data)


def files():
    three = sample("yagura-3")
    assert len(EICAR) == 68
    yield "yagura.hdb", "".join(line + "\n" for line in (
        f"{hashlib.md5(EICAR).hexdigest()}:68:Yagura.Test.EICAR",
        f"{CLAM_MD5}:{CLAM_SIZE}:Yagura.Test.ClamExe",
        f"{hashlib.md5(three).hexdigest()}:{len(three)}:Yagura.Test.Hash"))
    yield "yagura.ndb", "".join(line + "\n" for line in (
        f"Yagura.Test.EICAR:0:0:{EICAR.hex()}",
        f"Yagura.Test.ClamExe.Code:1:*:{CLAM_CODE}",
        f"Yagura.Test.ClamExe.Imports:1:*:{CLAM_IMPORTS}",
        f"Yagura.Test.Bytes:0:*:{ONE.encode().hex()}"))
    yield "yagura.ldb", (
        "Yagura.Test.Logic;Engine:51-255,Target:0;0&1;"
        f"{TWO_A.encode().hex()};{TWO_B.encode().hex()}\n")
    yield "next/yagura-next.ndb", f"Yagura.Test.Next:0:*:{NEXT.encode().hex()}\n"
    for name in SAMPLES:
        yield f"samples/{name}", container(sample(name))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    for name, data in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())


if __name__ == "__main__":
    main()
