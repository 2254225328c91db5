"""Unpack .deb files into a folder, and do the work of their install scripts there."""

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

# Not needed: documentation, and units for an init system that does not run in the cluster.
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

# Settings that would hide the machine's own and that no program of the cluster needs.
_ETC_LEFT_OUT = (
    *("apt", "cron.d", "cron.daily", "cron.weekly", "default", "init.d", "logrotate.d", "pam.d", "selinux"),
    *("ssh", "sysctl.d", "systemd", "adduser.conf", "deluser.conf", "fuse.conf", "login.defs"),
    *("sysctl.conf", "wgetrc"),
)

# Its install script makes it set-uid; other set-uid programs have the bit in the package.
_SET_ID_LATER = ("usr/bin/fusermount3",)

_PIPE = 'deb=$1 into=$2; shift 2; dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$into" "$@"'


def create_root(folder: Path) -> None:
    """Create a root folder with merged /usr, readable by everyone."""
    for name in ("", "etc", "usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(0o755)  # whatever the umask
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / name).symlink_to(f"usr/{name}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into ``folder``. Raises PackagesError."""
    # dpkg-deb -x would replace the link /lib -> usr/lib with a folder.
    left_out = [f"--exclude={path}" for path in _LEFT_OUT]
    options = ("--keep-directory-symlink", "--no-same-owner", "-p", *left_out)
    result = shell.run(
        ["bash", "-o", "pipefail", "-c", _PIPE, "unpack", archive, folder, *options], timeout=600, check=False
    )
    if result.returncode:
        full = "No space left" in result.stderr or "quota exceeded" in result.stderr
        raise PackagesError(
            f"cannot unpack {archive.name}{': the disk is full' if full else ''}"
            + shell.indented(result.stderr.strip(), limit=600),
            "Free some space, or set HPCLAB_CACHE to a folder on a larger disk."
            if full
            else "Run the command again.",
        )


def remove_host_settings(folder: Path) -> list[str]:
    """Remove settings that would hide the machine's, and set-id bits; return the files that had such bits.

    An unpacked set-uid program would give its owner's rights to every user of this machine and would not get security
    updates. The cluster may set the bit on a copy inside its own namespace.
    """
    for name in _ETC_LEFT_OUT:
        path = folder / "etc" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    set_id = [name for name in _SET_ID_LATER if (folder / name).is_file()]
    for path in sorted((folder / "usr").rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(mode & 0o777)
            set_id.append(str(path.relative_to(folder)))
    return set_id


@dataclass(frozen=True)
class Alternative:
    """Links from common names to a program, as in ``update-alternatives --install``."""

    priority: int
    links: dict[str, str]  # /usr/bin/mpirun: /usr/bin/mpirun.openmpi


def link_alternatives(archives: Iterable[Path], folder: Path) -> None:
    """Link common names (mpirun, slurmctld, ...) to their programs in ``folder``.

    update-alternatives is not used, because a wrong option would change the machine's own links.
    """
    offered: list[Alternative] = []
    for archive in archives:
        script = shell.run(["dpkg-deb", "--info", archive, "postinst"], check=False)
        if script.returncode == 0:  # else the package has no postinst script
            offered.extend(parse_alternatives(script.stdout))
    for alternative in sorted(offered, key=lambda alternative: alternative.priority):  # highest last
        for link, target in alternative.links.items():
            place = folder / link.lstrip("/")
            if (folder / target.lstrip("/")).exists() and (place.is_symlink() or not place.exists()):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(target)


def parse_alternatives(script: str) -> Iterator[Alternative]:
    """Parse the calls of ``update-alternatives --install`` with constant arguments in a script."""
    for line in re.sub(r"\\\n", " ", script).splitlines():
        call = re.match(r"\s*update-alternatives\s[^#;|&]*?--install\s([^#;|&]*)", line)
        if not call or "$" in call[1]:
            continue
        words = shlex.split(call[1])
        links = {words[0]: words[2]}
        links |= {words[n + 1]: words[n + 3] for n, word in enumerate(words) if word == "--slave"}
        yield Alternative(int(words[3]), links)
