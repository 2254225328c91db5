"""Unpack .deb files into a folder, and do there what their install scripts would have done."""

from __future__ import annotations

import re
import shlex
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hpclab import shell
from hpclab.errors import PackagesError

# Not needed in a cluster that lives for hours: texts, and units for an init that does not run there.
_LEFT_OUT = (
    "./usr/share/doc",
    "./usr/share/locale",
    "./usr/share/lintian",
    "./usr/share/bug",
    "./lib/systemd/system",
    "./usr/lib/systemd/system",
    "./lib/udev",
    "./usr/lib/udev",
)

# These would hide settings of the machine that our programs can do without.
_ETC_LEFT_OUT = (
    *("apt", "cron.d", "cron.daily", "cron.weekly", "default", "init.d", "logrotate.d", "pam.d", "selinux"),
    *("ssh", "sysctl.d", "systemd", "adduser.conf", "deluser.conf", "fuse.conf", "login.defs"),
    *("sysctl.conf", "wgetrc"),
)

# Its own install script would make it set-uid; the others come so.
_SET_ID_LATER = ("usr/bin/fusermount3",)

_PIPE = 'deb=$1 into=$2; shift 2; dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$into" "$@"'


def prepare(folder: Path) -> None:
    """Make ``folder`` with /usr merged, as on the machine, and open to all as a root folder is."""
    for name in ("", "etc", "usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(0o755)  # whatever the umask
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / name).symlink_to(f"usr/{name}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack one archive over what ``folder`` holds already."""
    # dpkg-deb -x would put a real folder in the place of the link /lib -> usr/lib.
    left_out = [f"--exclude={path}" for path in _LEFT_OUT]
    options = ("--keep-directory-symlink", "--no-same-owner", "-p", *left_out)
    done = shell.run(
        ["bash", "-o", "pipefail", "-c", _PIPE, "unpack", archive, folder, *options], timeout=600, check=False
    )
    if done.returncode:
        full = "No space left" in done.stderr or "quota exceeded" in done.stderr
        raise PackagesError(
            f"cannot unpack {archive.name}{': the disk is full' if full else ''}"
            + shell.indented(done.stderr.strip(), limit=600),
            "Make room, or set HPCLAB_CACHE to a folder on a larger disk." if full else "Try the same again.",
        )


def tidy(folder: Path) -> list[str]:
    """Remove settings that would hide the machine's, and the set-id bits; name the files that had them.

    An unpacked set-uid program would give its owner's rights to everybody on this machine, and nobody
    would update it. The cluster may set the bit again on a copy inside its own namespace.
    """
    for name in _ETC_LEFT_OUT:
        path = folder / "etc" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    had = [name for name in _SET_ID_LATER if (folder / name).is_file()]
    for path in sorted((folder / "usr").rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(mode & 0o777)
            had.append(str(path.relative_to(folder)))
    return had


@dataclass(frozen=True)
class Alternative:
    """A program under a common name, as ``update-alternatives --install`` would offer it."""

    priority: int
    links: dict[str, str]  # /usr/bin/mpirun: /usr/bin/mpirun.openmpi


def link_alternatives(archives: Iterable[Path], folder: Path) -> None:
    """Link common names (mpirun, slurmctld, ...) to the programs in ``folder`` that go by them.

    The links are made here: update-alternatives, one option wrong, would change the machine's own.
    """
    offered: list[Alternative] = []
    for archive in archives:
        script = shell.run(["dpkg-deb", "--info", archive, "postinst"], check=False)
        if script.returncode == 0:  # else the package has no such script
            offered.extend(alternatives(script.stdout))
    for offer in sorted(offered, key=lambda offer: offer.priority):  # the highest is linked last
        for link, target in offer.links.items():
            place = folder / link.lstrip("/")
            if (folder / target.lstrip("/")).exists() and (place.is_symlink() or not place.exists()):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(target)


def alternatives(script: str) -> Iterator[Alternative]:
    """What a script offers by calling ``update-alternatives --install`` with fixed words."""
    for line in re.sub(r"\\\n", " ", script).splitlines():
        called = re.match(r"\s*update-alternatives\s[^#;|&]*?--install\s([^#;|&]*)", line)
        if not called or "$" in called[1]:
            continue
        words = shlex.split(called[1])
        links = {words[0]: words[2]}
        links |= {words[n + 1]: words[n + 3] for n, word in enumerate(words) if word == "--slave"}
        yield Alternative(int(words[3]), links)
