"""Apptainer for a distribution that has none: Debian unstable's, signature checked, adapted if need be.

It is unpacked into the prefix like everything else; unstable never joins the machine's apt sources.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from hpclab import shell
from hpclab.errors import PackagesError
from hpclab.packages import deb, elf
from hpclab.packages.apt import Apt, Progress

# squashfuse and its library too: before 0.2 it lacks the option that lets a user's overlay be written.
WANTED = ("apptainer", "squashfuse", "libfuse3-4")

REMEDY = (
    "Install Apptainer from its project's own packages or ask the administrator; the machine's own is used "
    "as soon as it is there. Everything but containers works without."
)


def of_machine() -> Path | None:
    """The machine's own Apptainer, which is always preferred."""
    found = shutil.which("apptainer", path="/usr/local/bin:/usr/bin")
    return Path(found) if found else None


def add(prefix: Path, work: Path, status: Path, progress: Progress) -> dict[str, str]:
    """Unpack Apptainer into ``prefix`` with ``work`` for scratch; return names and versions.

    Raises PackagesError, the prefix untouched, if it cannot be had.
    """
    progress("downloading Apptainer from Debian unstable")
    work.mkdir()
    sources = work / "sources.list"
    sources.write_text(f"deb {mirror(Apt(work, status, Path('/var/lib/apt/lists')))} unstable main\n")
    apt = Apt(
        work,
        status,
        work / "lists",
        options=(
            f"Dir::Etc::SourceList={sources}",
            "Dir::Etc::SourceParts=/dev/null",
            f"Dir::Etc::Trusted={prefix}/usr/share/keyrings/debian-archive-keyring.gpg",
            "Dir::Etc::TrustedParts=/dev/null",
            "Acquire::Check-Valid-Until=false",  # a mirror may be a frozen copy
        ),
    )
    try:
        archives = apt.download(*WANTED, complaint=apt.update())
    except PackagesError as problem:
        raise PackagesError(problem.problem, REMEDY) from None
    progress("unpacking and adapting Apptainer")
    own = work / "unpacked"
    deb.prepare(own)
    for archive in archives:
        deb.unpack(archive, own)
    glibc = host_glibc()
    for path in sorted(own.rglob("*")):
        if elf.is_elf(path):
            try:
                elf.adapt(path, glibc)
            except PackagesError as problem:
                raise PackagesError(problem.problem, REMEDY) from None
    settings = own / "etc/apptainer/apptainer.conf"
    settings.write_text(without_systemd(settings.read_text()))
    shell.run(["cp", "-a", "--no-target-directory", own, prefix], step="adding Apptainer to the packages")
    return {name: version for name, version, _ in (archive.stem.split("_") for archive in archives)}


def host_glibc() -> tuple[int, ...]:
    """The version of this machine's C library, such as (2, 36)."""
    return tuple(map(int, (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 0").split()[1].split(".")))


def without_systemd(settings: str) -> str:
    """Apptainer's settings for a cluster in which no systemd manages the cgroups."""
    return re.sub(r"^systemd cgroups = yes", "systemd cgroups = no", settings, flags=re.M)


def mirror(apt: Apt) -> str:
    """The Debian mirror to ask: HPCLAB_DEBIAN_MIRROR, or the one that the machine itself uses."""
    if chosen := os.environ.get("HPCLAB_DEBIAN_MIRROR"):
        return chosen
    found = first_debian(apt.run("indextargets", "--format", "$(REPO_URI)").stdout)
    if not found:
        raise PackagesError(
            "this machine's apt sources name no Debian mirror from which Apptainer could be taken",
            "Set HPCLAB_DEBIAN_MIRROR to the address of one, and remove the packages folder so that it is "
            "made again. " + REMEDY,
        )
    return found


def first_debian(repositories: str) -> str | None:
    """The first address in apt's list that is a Debian archive (and not its security archive)."""
    return next((line for line in repositories.splitlines() if re.search(r"/debian/?$", line)), None)
