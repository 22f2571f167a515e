"""Small file systems for what a computer keeps: they fill up, or become read-only."""
import os
import pathlib
import subprocess


class Disk:
    """A tmpfs of so many MiB at `path`. It is seen by all our namespaces, and gone with them."""

    def __init__(self, path, mib):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "lab", self.path], check=True)

    def fill(self, leave=0):
        """Somebody writes until nothing fits any more; `leave` bytes stay free."""
        file = self.path / "somebody-elses-data"
        with open(file, "wb", buffering=0) as out:
            try:
                while True:
                    about = os.statvfs(self.path)
                    free = about.f_bavail * about.f_frsize - leave
                    if free <= 0:
                        return
                    out.write(bytes(min(free, 1 << 20)))
            except OSError:
                pass

    def empty(self):
        (self.path / "somebody-elses-data").unlink(missing_ok=True)

    def read_only(self, yes=True):
        """As after an error of the disk. Nothing may be open for writing while it becomes that."""
        subprocess.run(["mount", "-o", "remount," + ("ro" if yes else "rw"), self.path], check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True)
