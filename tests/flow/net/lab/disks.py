"""Small file systems for what a computer keeps: they fill up, or an error makes them read-only.

All are seen by our namespaces only, and gone with them.
"""
import os
import pathlib
import subprocess


def _mount(*words):
    done = subprocess.run(["mount", *[str(w) for w in words]], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"mount {words}: {done.stderr.strip()}")


class Memory:
    """A tmpfs."""

    MIB = 192  # so that it is not called nearly full

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._start()

    def _start(self):
        _mount("-t", "tmpfs", "-o", f"size={self.MIB}m,mode=0755", "lab", self.path)

    def fill(self, leave=0):
        """Somebody writes until nothing fits any more; `leave` bytes stay free."""
        with open(self.path / "somebody-elses-data", "ab", buffering=0) as out:
            while True:
                about = os.statvfs(self.path)
                size = min(about.f_bavail * about.f_frsize - leave, 1 << 20)
                try:
                    if size <= 0 or out.write(bytes(size)) == 0:
                        return
                except OSError:
                    return

    def empty(self):
        (self.path / "somebody-elses-data").unlink(missing_ok=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True)


class Image(Memory):
    """An ext4 file system in a file in memory, which becomes read-only when an error is met."""

    def _start(self):
        self.home = self.path.with_name(self.path.name + ".image")
        self.home.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={self.MIB + 8}m", "lab", self.home)
        self.file = self.home / "ext4"
        with open(self.file, "wb") as out:
            out.truncate(self.MIB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.file], check=True)
        self._attach()

    def _attach(self):
        _mount("-o", "loop,errors=remount-ro", self.file, self.path)

    def fail(self):
        """The kernel meets an error."""
        device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", self.path], check=True, capture_output=True, text=True).stdout
        pathlib.Path("/sys/fs/ext4", pathlib.Path(device.strip()).name, "trigger_fs_error").write_text("a bad block\n")

    def repair(self):
        """As at the next start of the computer; nothing may use it."""
        subprocess.run(["umount", self.path], check=True)
        subprocess.run(["e2fsck", "-fy", self.file], capture_output=True)
        self._attach()

    def close(self):
        super().close()
        subprocess.run(["umount", "-l", self.home], capture_output=True)
