"""The private folder of system packages (the prefix) that the embedded cluster overlays on /usr and /etc.

Its content does not depend on the packages that the machine has installed: apt sees only the distribution's essential
packages, which every machine has, and resolves all others. So the prefix stays valid when packages are installed or
removed, and machines with a shared home can share it. Its name is a hash of the distribution, its version, the
architecture and the list below, so finding it does not need apt.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from hpclab import layout, locks, shell
from hpclab.errors import HostUnsuitable, HpclabError, PackagesError
from hpclab.packages import apptainer, deb
from hpclab.packages.apt import (
    HOST_LISTS,
    HOST_STATUS,
    Apt,
    Archive,
    Progress,
    archive_path,
    select_essential,
)

PACKAGES = {
    "slurmctld": "the controller",
    "slurmd": "the daemon of each node",
    "slurmdbd": "accounting",
    "slurm-client": "sbatch, srun, sacct and their relatives",
    "slurm-wlm-basic-plugins": "scheduling, pmix, cgroup, gres and submit-filter plugins",
    "slurm-wlm-mysql-plugin": "slurmdbd keeps its records in MariaDB",
    "munge": "Slurm's authentication",
    "mariadb-server-core": "the database of accounting, and the program that creates it",
    "mariadb-client-core": "asks whether the database answers",
    "lmod": "module load, as on real clusters",
    "openmpi-bin": "mpirun and mpicc",
    "libpmix2": "srun --mpi=pmix starts MPI programs",
    "s6": "supervises the daemons",
    "slirp4netns": "outbound network of the login node",
    "socat": "carries the notebook's port from the host",
    "uidmap": "newuidmap, for container builds by users",
    "libfaketime": "skews a node's clock",
    "bindfs": "slows a node's disk",
    "stress-ng": "exhausts a node's memory",
    "iproute2": "ip and tc: the cluster's network, its latency and loss",
    "mount": "mount, umount",
    "util-linux": "unshare, nsenter, setpriv",
    "procps": "ps, pkill, top",
    "psmisc": "pstree, fuser",
    "less": "pager of the course's shell",
    "tzdata": "times in the learner's zone",
    "fuse3": "fusermount3, for images mounted by users",
    "squashfs-tools": "Apptainer builds images with it",
    "e2fsprogs": "Apptainer makes writable overlays with it",
    "fuse2fs": "Apptainer mounts writable overlays with it",
    "fuse-overlayfs": "Apptainer's overlays on older kernels",
    "gocryptfs": "Apptainer's encrypted images",
    "fakeroot": "Apptainer builds without sub-uids with it",
    "debootstrap": "Apptainer builds Debian images with it",
    "debian-archive-keyring": "debootstrap, and fetching Apptainer, check signatures with it",
    "libseccomp2": "Apptainer links to it",
    "libsqlite3-0": "Apptainer links to it",
    "liblzo2-2": "squashfuse links to it",
}

# Unpacked without their dependencies, which include a compiler: mpicc works if the machine has one.
WITHOUT_DEPENDENCIES = {"libopenmpi-dev": "mpi.h and libmpi.so, for mpicc"}

RECIPE = 1  # increase it when the same packages are unpacked differently
NEEDED_BYTES = 700 << 20  # bytes; the measured peak of a build, with a margin
LOCK_TIMEOUT_S = 1800.0  # another build may have a slow network


@dataclass(frozen=True)
class MissingPackage:
    """A package that could not be added; the rest of the prefix is usable."""

    what: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Manifest:
    """The manifest.json of a complete prefix."""

    distribution: str
    packages: dict[str, str]  # name: version
    set_id: list[str]  # programs that an installation makes set-uid or set-gid
    missing: list[MissingPackage]


def ensure(progress: Progress = lambda text: None) -> Path:
    """Return the complete prefix of this machine; build it first if it does not exist."""
    home = (layout.cache_home() / "packages").absolute()
    prefix = home / prefix_name(
        detect_distribution(), detect_architecture(), with_apptainer=apptainer.find_installed() is None
    )
    if is_complete(prefix):
        return prefix
    try:
        home.mkdir(parents=True, exist_ok=True)
        with hold_lock(home / "lock", progress):
            if not is_complete(prefix):
                remove_leftovers(home)
                check_free_space(home)
                # A new name, because children of a killed build may still write into their folder.
                build(prefix, Path(tempfile.mkdtemp(prefix=BUILD_PREFIX, dir=home)), progress)
    except OSError as problem:
        raise explain_os_error(problem, home) from problem
    return prefix


def read_manifest(prefix: Path) -> Manifest:
    """Read the manifest of a prefix."""
    content = json.loads((prefix / "manifest.json").read_text())
    return Manifest(**{**content, "missing": [MissingPackage(**entry) for entry in content["missing"]]})


def is_complete(prefix: Path) -> bool:
    """Return whether the prefix exists; a build gets this name only when it is complete."""
    return (prefix / "manifest.json").is_file()


def prefix_name(distribution: str, architecture: str, *, with_apptainer: bool) -> str:
    """Return the folder name of the prefix for such a machine; equal for equal content."""
    recipe = [
        RECIPE,
        distribution,
        architecture,
        with_apptainer,
        sorted(PACKAGES),
        sorted(WITHOUT_DEPENDENCIES),
    ]
    return f"{distribution}-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]}"


def detect_distribution() -> str:
    """Return this machine's distribution and version, such as ``debian12``. Raises HostUnsuitable."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if not shutil.which("apt-get"):
        raise HostUnsuitable(
            f"this machine ({release.get('PRETTY_NAME', 'an unknown system')}) has no apt-get, but "
            "the embedded cluster needs packages of Debian or Ubuntu",
            "Use a machine, container or virtual machine with Debian 12 or newer or Ubuntu 24.04 or newer.",
        )
    version = release.get("VERSION_ID") or release.get("VERSION_CODENAME") or "rolling"
    return f"{release.get('ID', 'unknown')}{version}"


def detect_architecture() -> str:
    """Return Debian's name of this machine's architecture. Raises HostUnsuitable."""
    machine = platform.machine()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if machine not in names:
        raise HostUnsuitable(
            f"this machine is {machine}; the embedded cluster runs on x86_64 and aarch64",
            "Use another machine or a real cluster.",
        )
    return names[machine]


BUILD_PREFIX = ".building-"


def build(prefix: Path, folder: Path, progress: Progress) -> None:
    """Build the prefix in ``folder``, and rename it to ``prefix`` when all of it is on disk."""
    try:
        root, work = folder / "root", folder / "work"
        deb.create_root(root)
        work.mkdir()
        status = work / "status"
        status.write_text(select_essential(HOST_STATUS.read_text()))
        apt, archives = fetch_packages(work, status, progress)
        files = [archive_path(apt.archives, archive.name) for archive in archives]
        files += apt.download(*WITHOUT_DEPENDENCIES)
        for number, file in enumerate(files, start=1):
            if number % 20 == 1:
                progress(f"unpacking packages: {number} of {len(files)}")
            deb.unpack(file, root)
        progress("linking programs to their names")
        deb.link_alternatives(files, root)
        link_pmix(root)
        packages = {archive.name: archive.version for archive in archives}
        missing: list[MissingPackage] = []
        if apptainer.find_installed() is None:
            try:
                packages |= apptainer.unpack_into(root, work / "apptainer", status, progress)
            except HpclabError as problem:
                retry = f"To try again, delete {prefix}."
                missing.append(MissingPackage("Apptainer", problem.problem, f"{problem.remedy} {retry}"))
        manifest = Manifest(detect_distribution(), packages, deb.remove_host_settings(root), missing)
        (root / "manifest.json").write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n")
        progress("writing packages to disk")
        shell.run(["sync", "--file-system", root], timeout=600)
        root.rename(prefix)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def link_pmix(root: Path) -> None:
    """Add the link libpmix.so, which Slurm's plugin opens and only Debian's development package has."""
    for library in root.glob("usr/lib/*/pmix2/lib/libpmix.so.2"):
        library.with_suffix("").symlink_to(library.name)


def fetch_packages(work: Path, status: Path, progress: Progress) -> tuple[Apt, list[Archive]]:
    """Download all packages, with the machine's package lists or, if that fails, with private ones."""
    complaint = ""
    for lists in (HOST_LISTS, work / "lists"):
        apt = Apt(work, status, lists)
        progress("resolving packages")
        try:
            if lists != HOST_LISTS:
                progress("fetching package lists")
                complaint = apt.update()
            archives = apt.resolve(list(PACKAGES), complaint)
            apt.fetch(list(PACKAGES), sum(archive.size for archive in archives), progress)
            return apt, archives
        except PackagesError:  # the machine's lists may be missing, unreadable or out of date
            if lists != HOST_LISTS:
                raise
    raise AssertionError("unreachable")


def hold_lock(path: Path, progress: Progress) -> AbstractContextManager[int]:
    """Hold the lock of the packages folder; the kernel releases it when the process ends."""
    return locks.held(
        path,
        "another process that builds the same packages",
        seconds=LOCK_TIMEOUT_S,
        every=0.2,
        waits=lambda: progress("waiting for another process that builds the same packages"),
    )


def remove_leftovers(home: Path) -> None:
    """Delete the folders of killed builds. The caller holds the lock, so no other build is running."""
    for folder in home.glob(f"{BUILD_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)


def check_free_space(home: Path) -> None:
    """Raise PackagesError if the disk has too little free space for a build."""
    free = shutil.disk_usage(home).free
    if free < NEEDED_BYTES:
        raise PackagesError(
            f"building the packages needs {NEEDED_BYTES >> 20} MiB in {home}, and {free >> 20} MiB are free",
            "Free some space, or set HPCLAB_CACHE to a folder on a larger disk.",
        )


def explain_os_error(problem: OSError, home: Path) -> PackagesError:
    """Convert an OSError into a PackagesError with a remedy."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return PackagesError(
            f"the disk or quota of {home} is full; building the packages needs {NEEDED_BYTES >> 20} MiB",
            "Free some space, or set HPCLAB_CACHE to a folder on a larger disk.",
        )
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PackagesError(
            f"cannot write {problem.filename or home}: {os.strerror(problem.errno)}",
            "Set HPCLAB_CACHE to a folder that you can write to.",
        )
    return PackagesError(f"building the packages in {home} failed: {problem}", "Run the command again.")
