"""Another time for one program, or for all processes of one computer."""
import glob
import shutil

import pytest

LIBRARY = next(iter(sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))), None)


def _skip(program, missing):
    if missing:
        pytest.skip("faketime is not installed")
    if b"__asan_init" in program.read_bytes():
        pytest.skip("faketime and an address sanitizer do not go together")


def client(program, when):
    """What stands before a program that ends by itself; `when` as faketime has it: "-400d", "2036-01-01 00:00:00+00:00"."""
    _skip(program, not shutil.which("faketime"))
    return ["faketime", "-f", when] if when[0] in "+-" else ["faketime", when]


def wrap(program, offset):
    """What stands before a daemon: all its processes see a clock that is so far off ("+10y", "-10y")."""
    _skip(program, not LIBRARY)
    return ["env", f"LD_PRELOAD={LIBRARY}", f"FAKETIME={offset}", "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "FAKETIME_NO_CACHE=1", "FAKETIME_DISABLE_SHM=1", "DONT_FAKE_MONOTONIC=1"]
