"""Apptainer from Debian unstable, for a distribution without it; signatures are checked.

It is unpacked into the prefix and adapted to an older glibc if needed. The machine's apt sources stay unchanged.
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

# squashfuse before 0.2 has no option for writable overlays of users.
PACKAGES = ("apptainer", "squashfuse", "libfuse3-4")

REMEDY = (
    "Install Apptainer from its project's packages, or ask an administrator to; an installed one is used "
    "automatically. Everything except containers works without it."
)


def find_installed() -> Path | None:
    """Return the path of the machine's own Apptainer, which is preferred; None if there is none."""
    path = shutil.which("apptainer", path="/usr/local/bin:/usr/bin")
    return Path(path) if path else None


def unpack_into(prefix: Path, work: Path, status: Path, progress: Progress) -> dict[str, str]:
    """Unpack Apptainer into ``prefix``, with ``work`` as scratch folder; return package names and versions.

    Raises PackagesError and leaves the prefix unchanged if Apptainer is not available.
    """
    progress("downloading Apptainer from Debian unstable")
    work.mkdir()
    sources = work / "sources.list"
    sources.write_text(f"deb {find_mirror(Apt(work, status, Path('/var/lib/apt/lists')))} unstable main\n")
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
        archives = apt.download(*PACKAGES, complaint=apt.update())
    except PackagesError as problem:
        raise PackagesError(problem.problem, REMEDY) from None
    progress("unpacking and adapting Apptainer")
    unpacked = work / "unpacked"
    deb.create_root(unpacked)
    for archive in archives:
        deb.unpack(archive, unpacked)
    glibc = host_glibc()
    for path in sorted(unpacked.rglob("*")):
        if elf.is_elf(path):
            try:
                elf.adapt(path, glibc)
            except PackagesError as problem:
                raise PackagesError(problem.problem, REMEDY) from None
    settings = unpacked / "etc/apptainer/apptainer.conf"
    settings.write_text(disable_systemd_cgroups(settings.read_text()))
    shell.run(
        ["cp", "-a", "--no-target-directory", unpacked, prefix], step="adding Apptainer to the packages"
    )
    return {name: version for name, version, _ in (archive.stem.split("_") for archive in archives)}


def host_glibc() -> tuple[int, ...]:
    """Return the version of this machine's glibc, such as (2, 36)."""
    return tuple(map(int, (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 0").split()[1].split(".")))


def disable_systemd_cgroups(settings: str) -> str:
    """Change Apptainer's settings for a cluster in which systemd does not manage the cgroups."""
    return re.sub(r"^systemd cgroups = yes", "systemd cgroups = no", settings, flags=re.M)


def find_mirror(apt: Apt) -> str:
    """Return the Debian mirror: HPCLAB_DEBIAN_MIRROR, or the one in the machine's apt sources. Raises PackagesError."""
    if configured := os.environ.get("HPCLAB_DEBIAN_MIRROR"):
        return configured
    mirror = select_debian(apt.run("indextargets", "--format", "$(REPO_URI)").stdout)
    if not mirror:
        raise PackagesError(
            "this machine's apt sources have no Debian mirror from which to download Apptainer",
            "Set HPCLAB_DEBIAN_MIRROR to the URL of a mirror, delete the packages folder, and run the command "
            "again. " + REMEDY,
        )
    return mirror


def select_debian(repositories: str) -> str | None:
    """Return the first URL in apt's list that is a Debian archive, but not the security archive."""
    return next((line for line in repositories.splitlines() if re.search(r"/debian/?$", line)), None)
