"""A thread of a process stands still within a system call, as on a disk that does not answer; the others go on."""
import ctypes
import os
import pathlib
import platform
import threading

import pytest

SEIZE, INTERRUPT, SYSCALL, CONT, SYSCALL_INFO = 0x4206, 0x4207, 24, 7, 0x420e
SYSGOOD = 1  # of what the kernel tells of a system call
ENTRY = 1
WALL = 0x40000000
FSTAT = {"x86_64": (5, 262), "aarch64": (80, 79)}[platform.machine()]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(what, tid, size=None, data=None):
    done = _libc.ptrace(what, tid, size, data)
    if done < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {what:#x} of {tid}")
    return done


def _is_at(tid, calls):
    info = (ctypes.c_uint64 * 11)()  # struct ptrace_syscall_info: op in the first byte, nr after 24
    _ptrace(SYSCALL_INFO, tid, ctypes.sizeof(info), info)
    return info[0] & 0xff == ENTRY and info[3] in calls


class Frozen:
    """The first thread of `pid`, but for its main one, that asks for a file's state: .done is set when it hangs.
    Whoever traces must see the threads end, too, or the process does not."""

    def __init__(self, pid, calls=FSTAT):
        self.ready, self.done, self.calls = threading.Event(), threading.Event(), calls
        self.error = None
        self.thread = threading.Thread(target=self._run, args=(pid,), daemon=True)
        self.thread.start()
        assert self.ready.wait(60)
        if isinstance(self.error, PermissionError):
            pytest.skip(f"no process may trace another here: {self.error}")
        assert not self.error, self.error

    def _run(self, pid):
        try:
            tids = {int(p.name) for p in pathlib.Path(f"/proc/{pid}/task").iterdir()} - {pid}
            for tid in tids:
                _ptrace(SEIZE, tid, None, SYSGOOD)
                _ptrace(INTERRUPT, tid)
            self.ready.set()
            while tids:
                for tid in list(tids):
                    self._look(tid, tids)
                self.done.wait(0.005)
        except OSError as e:
            self.error = e
            self.ready.set()

    def _look(self, tid, tids):
        try:
            seen, status = os.waitpid(tid, WALL | os.WNOHANG)
            if not seen:
                return
            if not os.WIFSTOPPED(status):
                tids.remove(tid)
            elif self.done.is_set():
                _ptrace(CONT, tid)
            elif _is_at(tid, self.calls):
                self.done.set()
            else:
                _ptrace(SYSCALL, tid)
        except (ChildProcessError, ProcessLookupError):
            tids.discard(tid)
