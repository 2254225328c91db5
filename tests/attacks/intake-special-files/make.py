import os
import socket
import stat
from pathlib import Path


def make(folder, lab):
    os.mkfifo(folder / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as line:
        here = os.open(folder, os.O_RDONLY)
        line.bind(f"/proc/self/fd/{here}/socket.csv")
        os.close(here)
    for name, kind, numbers in (("zero", stat.S_IFCHR, (1, 5)), ("disk", stat.S_IFBLK, (8, 0))):
        try:
            os.mknod(folder / name, kind | 0o666, os.makedev(*numbers))
        except PermissionError:
            os.mkfifo(folder / name)
    (folder / "mine").write_bytes(Path("/bin/sh").read_bytes()[: 1 << 16])
    (folder / "mine").chmod(0o6777)
    (folder / "closed").write_text("x")
    (folder / "closed").chmod(0)
