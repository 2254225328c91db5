"""The private folder of system packages (the prefix) that the embedded cluster lays over /usr and /etc.

What is in it does not depend on what the machine has installed: apt is told of nothing but the
distribution's essential packages, which every machine has, and brings all the rest. So the folder
stays right when the machine gains or loses packages, and machines that share a home share it. It is
named by the distribution, its version, the architecture and the list below: finding it asks no apt.
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
from hpclab.packages.apt import HOST_LISTS, HOST_STATUS, Apt, Archive, Progress, archive_path, essential

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

# Unpacked without what they depend on, which is a compiler: mpicc works where the machine has one.
ALONE = {"libopenmpi-dev": "mpi.h and libmpi.so, for mpicc"}

RECIPE = 1  # raise it when the same packages would be unpacked differently
ROOM = 700 << 20  # bytes free that building takes at its height, measured with a margin
LOCK_WAIT = 1800.0  # seconds; the other builder may be on a slow line


@dataclass(frozen=True)
class Missing:
    """Something that could not be had; all the rest of the prefix is usable."""

    what: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Manifest:
    """What a complete prefix says of itself, in its manifest.json."""

    distribution: str
    packages: dict[str, str]  # name: version
    set_id: list[str]  # programs that an installation makes set-uid or set-gid; here they are not
    missing: list[Missing]


def ensure(progress: Progress = lambda text: None) -> Path:
    """Return the complete prefix of this machine; make it first if it is not there."""
    home = (layout.cache_home() / "packages").absolute()
    prefix = home / key(distribution(), architecture(), with_apptainer=apptainer.of_machine() is None)
    if complete(prefix):
        return prefix
    try:
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / "lock", progress):
            if not complete(prefix):
                sweep(home)
                enough_room(home)
                # A name of its own: children of a killed builder may still write into theirs.
                build(prefix, Path(tempfile.mkdtemp(prefix=BUILDING, dir=home)), progress)
    except OSError as problem:
        raise from_os(problem, home) from problem
    return prefix


def manifest(prefix: Path) -> Manifest:
    """What the prefix holds and lacks."""
    read = json.loads((prefix / "manifest.json").read_text())
    return Manifest(**{**read, "missing": [Missing(**one) for one in read["missing"]]})


def complete(prefix: Path) -> bool:
    """Whether the prefix is there: it only ever gets its name when it is finished."""
    return (prefix / "manifest.json").is_file()


def key(distribution: str, architecture: str, *, with_apptainer: bool) -> str:
    """The name of the prefix for such a machine: equal for equal content."""
    recipe = [RECIPE, distribution, architecture, with_apptainer, sorted(PACKAGES), sorted(ALONE)]
    return f"{distribution}-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]}"


def distribution() -> str:
    """This machine's distribution and version, such as ``debian12``."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if not shutil.which("apt-get"):
        raise HostUnsuitable(
            f"this machine ({release.get('PRETTY_NAME', 'an unknown system')}) has no apt-get: "
            "the embedded cluster is made of Debian's or Ubuntu's packages",
            "Use a machine, container or virtual machine with Debian 12 or newer or Ubuntu 24.04 or newer.",
        )
    version = release.get("VERSION_ID") or release.get("VERSION_CODENAME") or "rolling"
    return f"{release.get('ID', 'unknown')}{version}"


def architecture() -> str:
    """This machine's architecture in Debian's words."""
    machine = platform.machine()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if machine not in names:
        raise HostUnsuitable(
            f"this machine is {machine}; the embedded cluster runs on x86_64 and aarch64",
            "Use another machine, or a cluster that exists already.",
        )
    return names[machine]


BUILDING = ".building-"


def build(prefix: Path, aside: Path, progress: Progress) -> None:
    """Make the prefix in ``aside``, and give it its name when all of it is on the disk."""
    try:
        root, work = aside / "root", aside / "work"
        deb.prepare(root)
        work.mkdir()
        status = work / "status"
        status.write_text(essential(HOST_STATUS.read_text()))
        apt, archives = fetched(work, status, progress)
        files = [archive_path(apt.archives, archive.name) for archive in archives]
        files += apt.download(*ALONE)
        for number, file in enumerate(files, start=1):
            if number % 20 == 1:
                progress(f"unpacking packages: {number} of {len(files)}")
            deb.unpack(file, root)
        progress("linking programs to their names")
        deb.link_alternatives(files, root)
        link_pmix(root)
        packages = {archive.name: archive.version for archive in archives}
        missing: list[Missing] = []
        if apptainer.of_machine() is None:
            try:
                packages |= apptainer.add(root, work / "apptainer", status, progress)
            except HpclabError as problem:
                again = f"To try again, remove {prefix}."
                missing.append(Missing("Apptainer", problem.problem, f"{problem.remedy} {again}"))
        found = Manifest(distribution(), packages, deb.tidy(root), missing)
        (root / "manifest.json").write_text(json.dumps(asdict(found), indent=1, sort_keys=True) + "\n")
        progress("writing packages to the disk")
        shell.run(["sync", "--file-system", root], timeout=600)
        root.rename(prefix)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def link_pmix(root: Path) -> None:
    """Slurm's plugin opens libpmix.so, a name that only Debian's development package brings."""
    for library in root.glob("usr/lib/*/pmix2/lib/libpmix.so.2"):
        library.with_suffix("").symlink_to(library.name)


def fetched(work: Path, status: Path, progress: Progress) -> tuple[Apt, list[Archive]]:
    """Download everything; with the machine's own package lists if they serve, else with new private ones."""
    complaint = ""
    for lists in (HOST_LISTS, work / "lists"):
        apt = Apt(work, status, lists)
        progress("asking apt which packages are needed")
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


def locked(path: Path, progress: Progress) -> AbstractContextManager[int]:
    """Hold the lock of the packages folder; it ends with this process, however that ends."""
    return locks.held(
        path,
        "another process that makes the same packages",
        seconds=LOCK_WAIT,
        every=0.2,
        waits=lambda: progress("waiting for another process that makes the same packages"),
    )


def sweep(home: Path) -> None:
    """Remove what killed builders left; call it with the lock held, when no builder can be alive."""
    for left in home.glob(f"{BUILDING}*"):
        shutil.rmtree(left, ignore_errors=True)


def enough_room(home: Path) -> None:
    """Refuse to begin what the disk cannot hold."""
    free = shutil.disk_usage(home).free
    if free < ROOM:
        raise PackagesError(
            f"making the packages takes {ROOM >> 20} MiB in {home}, and {free >> 20} MiB are free",
            "Make room, or set HPCLAB_CACHE to a folder on a larger disk.",
        )


def from_os(problem: OSError, home: Path) -> PackagesError:
    """Say what the system's refusal means here."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return PackagesError(
            f"the disk or quota of {home} is full; making the packages takes {ROOM >> 20} MiB",
            "Make room, or set HPCLAB_CACHE to a folder on a larger disk.",
        )
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PackagesError(
            f"cannot write {problem.filename or home}: {os.strerror(problem.errno)}",
            "Set HPCLAB_CACHE to a folder that you may write.",
        )
    return PackagesError(f"making the packages in {home} failed: {problem}", "Try the same again.")
