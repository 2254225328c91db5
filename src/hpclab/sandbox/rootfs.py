"""A root directory that shows only listed files: no homes, no clone, no other files of this machine.

It has /usr and its links unchanged, entries of /etc that are the same for all users, unprivileged devices,
the folders that the caller names, and new ones in memory, each with a limit. Only those in memory are
writable, and no set-uid bit takes effect.

The caller needs its own mount namespace and the right to mount in it. Afterwards ``kernel.pivot_root`` changes
the root; the caller mounts /proc and /sys before that, since the kernel allows a new one only to processes that
still see an old one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hpclab.sandbox import kernel

LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, or folders of their own
EMPTY = ("home", "root", "mnt", "opt", "proc", "sys", "var/lib", "var/log", "var/cache")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# Files that programs read there, none of which identifies the machine.
ETC = (
    "alternatives",
    "apptainer",
    "bash.bashrc",
    "debian_version",
    "fonts",
    "glvnd",
    "gss",
    "host.conf",
    "inputrc",
    "iproute2",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "libibverbs.d",
    "libnl-3",
    "lmod",
    "locale.alias",
    "localtime",
    "lsb-release",
    "magic",
    "mime.types",
    "mke2fs.conf",
    "netconfig",
    "openmpi",
    "os-release",
    "perl",
    "profile",
    "profile.d/lmod.sh",
    "protocols",
    "python3",
    "rpc",
    "services",
    "shells",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)
VAR = ("lib/apptainer",)  # where Apptainer assembles its images


class TmpfsMount(msgspec.Struct, frozen=True, kw_only=True):
    """A new folder in memory, its size in MiB and how many files it can hold."""

    size_mib: int
    inodes: int
    mode: int = 0o1777
    uid: int = 0
    gid: int = 0


FRESH: Mapping[str, TmpfsMount] = {
    "/tmp": TmpfsMount(size_mib=64, inodes=4096),
    "/var/tmp": TmpfsMount(size_mib=64, inodes=4096),
    "/dev/shm": TmpfsMount(size_mib=64, inodes=4096),
    "/run": TmpfsMount(size_mib=16, inodes=4096, mode=0o755),
}


def assemble(
    root: Path,
    *,
    shown: Mapping[Path, str],
    etc: Mapping[str, str],
    prefix: str | None = None,
    mounts: Mapping[str, TmpfsMount] = FRESH,
    devices: Mapping[str, str] = {},
) -> None:
    """Build the root directory on a new tmpfs at ``root``.

    ``shown`` maps a folder (or file) inside to its source, which may be a handle (/proc/self/fd/N). ``etc`` has
    texts of further files of /etc, which take precedence over the machine's. ``prefix`` has packages to mount
    over /usr. ``devices`` are additional ones: name -> source. Call ``make_read_only`` when all mount points are
    made.
    """
    tmpfs(root, TmpfsMount(size_mib=16, inodes=16384, mode=0o755))
    for name in EMPTY:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        path = Path("/", name)
        if path.is_symlink():
            (root / name).symlink_to(path.readlink())
        elif path.is_dir():
            show(path, root / name)
    tops = ([Path(prefix)] if prefix else []) + [Path("/")]
    _union([top / "usr" for top in tops], root / "usr")
    for name, text in etc.items():
        path = root / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ETC:
        _union([top / "etc" / name for top in tops], root / "etc" / name)
    for name in VAR:
        _union([top / "var" / name for top in tops], root / "var" / name)
    (root / "etc/mtab").symlink_to("/proc/mounts")
    _devices(root / "dev", {**{name: f"/dev/{name}" for name in DEVICES}, **devices})
    for place, mount in mounts.items():
        path = root / place.lstrip("/")
        path.mkdir(parents=True, exist_ok=True)
        tmpfs(path, mount)
    for target in sorted(shown):
        if not _seen(target, shown):
            show(Path(shown[target]), root / target.relative_to("/"))


def real_folder(top: Path, below: Path, otherwise: Path) -> int:
    """Open ``top`` / ``below`` without following symbolic links; returns the descriptor.

    Untrusted code may own ``top``: if it removed the folder, or put a link on the way, ``otherwise`` is
    opened instead.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(top, flags)
    for part in below.parts:
        try:
            inner = os.open(part, flags, dir_fd=place)
        except OSError:
            inner = os.open(otherwise, flags)
            return inner
        finally:
            os.close(place)
        place = inner
    return place


def make_read_only(root: Path) -> None:
    """Make the root directory itself read-only; mounts in it stay as they are."""
    kernel.mount("", root, flags=kernel.REMOUNT | kernel.BIND | kernel.RDONLY | kernel.NOSUID | kernel.NODEV)


def tmpfs(place: Path, mount: TmpfsMount) -> None:
    """Mount a new folder in memory on ``place``."""
    options = (
        f"size={mount.size_mib}m,nr_inodes={mount.inodes},mode={mount.mode:o},uid={mount.uid},gid={mount.gid}"
    )
    kernel.mount("tmpfs", place, "tmpfs", kernel.NOSUID | kernel.NODEV, options)


def _seen(target: Path, shown: Mapping[Path, str]) -> bool:
    """Return whether ``target`` is visible in any case: it lies below /usr or another visible folder."""
    return target.is_relative_to("/usr") or any(parent in shown for parent in target.parents)


def _union(sources: list[Path], target: Path) -> None:
    """Show the existing ``sources`` at ``target``, the first one on top. Files are copied, links recreated."""
    there = [source for source in sources if os.path.lexists(source)]
    if not there or os.path.lexists(target):
        return
    first = there[0]
    target.parent.mkdir(parents=True, exist_ok=True)
    if first.is_symlink():
        target.symlink_to(first.readlink())
    elif first.is_file():
        if os.access(first, os.R_OK):
            target.write_bytes(first.read_bytes())
    elif len(folders := [source for source in there if source.is_dir()]) == 1:
        show(folders[0], target)
    else:
        target.mkdir()
        lower = ":".join(map(str, folders))
        flags = kernel.RDONLY | kernel.NOSUID | kernel.NODEV
        kernel.mount("overlay", target, "overlay", flags, f"lowerdir={lower}")


def show(source: Path, target: Path) -> None:
    """Bind ``source`` and the mounts below it to ``target``, read-only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    kernel.bind(source, target)
    kernel.restrict(target)


def _devices(place: Path, sources: Mapping[str, str]) -> None:
    place.mkdir()
    tmpfs(place, TmpfsMount(size_mib=1, inodes=256, mode=0o755))
    for name, linked in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (place / name).symlink_to(f"/proc/self/{linked}")
    for folder in ("shm", "pts"):
        (place / folder).mkdir()
    flags = kernel.NOSUID | kernel.NOEXEC
    kernel.mount("devpts", place / "pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620,max=256")
    (place / "ptmx").symlink_to("pts/ptmx")
    for name, source in sources.items():
        if Path(source).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).touch()
            kernel.bind(source, place / name)
    kernel.mount("", place, flags=kernel.REMOUNT | kernel.BIND | kernel.RDONLY | kernel.NOSUID)
