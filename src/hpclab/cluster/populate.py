"""Build an isolated cluster's root directory, process 1 and nodes. Runs in the agent and its forks."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from hpclab.cluster import boot
from hpclab.cluster.protocol import MOUNTS, AgentConfig
from hpclab.layout import INSIDE
from hpclab.sandbox import kernel, limits, rootfs, seccomp
from hpclab.sandbox.rootfs import TmpfsMount

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
OWN = TmpfsMount(size_mib=1024, inodes=100_000, mode=0o755)  # database, spool, logs
GRADERS_MIB = 64  # size of the grader's home
# Slurm gives each job's folder in there to its owner, who can write to it while the job runs.
SPOOL = TmpfsMount(size_mib=256, inodes=20_000, mode=0o755)
# The controller's state holds script and environment of each queued job: when a learner fills it, the next
# job is refused, and the database keeps its space.
STATE = TmpfsMount(size_mib=512, inodes=20_000, mode=0o700)
GRADER_MIB = 2048  # memory limit of a test process
EMPTY = "/run/empty"
# Not needed on any node, and hidden from its users.
COVERED = (MOUNTS, "/run/mysqld", "/run/netns", *(f"{INSIDE}/{name}" for name in ("db", "state", "munge")))
NODE_MOUNTS = {"tmp": "/tmp", "var-tmp": "/var/tmp", "shm": "/dev/shm"}
# Threads of the daemons on the nodes, in addition to the learner's: the limit applies to each user
# separately.
DAEMONS = 512


def root_directory(config: AgentConfig, handles: dict[str, str], devices: dict[str, str]) -> None:
    """Build the cluster's root directory at ``boot.STAGE``; process 1 makes it the root.

    ``handles`` maps each path of the config to a handle opened while the path was still accessible.
    """
    root, folder = boot.STAGE, boot.SHELF
    rootfs.tmpfs(folder, OWN)
    boot.write(config.tree, folder)
    own = kernel.handle(folder)
    rootfs.assemble(
        root,
        shown={Path(path): handles[path] for path in config.shown},
        etc=config.etc,
        prefix=handles[config.prefix] if config.prefix else None,
        mounts={
            "/run": TmpfsMount(size_mib=16, inodes=16_384, mode=0o755),
            "/tmp": TmpfsMount(size_mib=64, inodes=4_096),
            "/var/tmp": TmpfsMount(size_mib=16, inodes=1_024),
        },
        devices=devices,
    )
    for link, target in config.links.items():
        path = root / link.lstrip("/")
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
    boot.show(own, root, INSIDE)
    boot.show(Path(own) / "layers/etc/slurm", root, Path("/etc/slurm"))
    for file in (root / str(INSIDE / "gpu").lstrip("/")).glob("*"):
        kernel.bind(root / "dev/null", file)  # Slurm accepts only a device file for a GPU
    (root / EMPTY.lstrip("/")).mkdir()
    for name, uid in config.run_owners.items():
        (root / "run" / name).mkdir()
        os.chown(root / "run" / name, uid, uid)
    _mount_folders(config, root)
    kernel.mount("sysfs", root / "sys", "sysfs", kernel.RDONLY | kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)


def _mount_folders(config: AgentConfig, root: Path) -> None:
    """Mount the folders that the learner may write to: one for home and scratch, one for each node, all in memory."""
    size = {"size_mib": config.limits.disk_mib, "inodes": config.limits.inodes}
    mounts = root / MOUNTS.lstrip("/")
    for name in ("shared", *config.nodes):
        (mounts / name).mkdir(parents=True)
        rootfs.tmpfs(mounts / name, TmpfsMount(mode=0o755, **size))
    (mounts / "spool").mkdir()
    rootfs.tmpfs(mounts / "spool", SPOOL)
    kernel.bind(mounts / "spool", root / "run/hpclab/spool")
    state = root / "run/hpclab/state"
    owner = state.stat()
    rootfs.tmpfs(state, msgspec.structs.replace(STATE, uid=owner.st_uid, gid=owner.st_gid))
    uid, gid = config.learner
    for name, shown in {"home": "/home/learner", "scratch": "/scratch/learner"}.items():
        (mounts / "shared" / name).mkdir()
        (mounts / "shared" / name).chmod(0o755)
        os.chown(mounts / "shared" / name, uid, gid)
        boot.show(mounts / "shared" / name, root, Path(shown))
    for node in config.nodes:
        for name in NODE_MOUNTS:
            (mounts / node / name).mkdir()
            (mounts / node / name).chmod(0o1777)
    uid, gid = config.grader
    (root / "home/grader").mkdir()
    rootfs.tmpfs(
        root / "home/grader", TmpfsMount(size_mib=GRADERS_MIB, inodes=4_096, mode=0o700, uid=uid, gid=gid)
    )


def process_1(config: AgentConfig, database: int | None) -> NoReturn:
    """Move into the root directory, unpack the database, connect the network, and exec the supervisor."""
    kernel.mount("proc", boot.STAGE / "proc", "proc", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
    rootfs.make_read_only(boot.STAGE)
    kernel.pivot_root(boot.STAGE)
    os.environ.clear()
    os.environ.update(PATH=PATH, LC_ALL="C.UTF-8")
    log = os.open(INSIDE / "log/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    socket.sethostname(config.hostname)
    unpacking = _unpack(database) if database is not None else None
    for namespace, batch in config.network:
        _ip(batch, [] if not namespace else ["nsenter", f"--net=/run/netns/{namespace}"])
    if unpacking and unpacking.wait():
        raise OSError("the database could not be unpacked; is there memory left?")
    os.execvp(config.command[0], config.command)


def _unpack(database: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["tar", "--numeric-owner", "-C", str(INSIDE), "-xf", "-"], stdin=database)


def _ip(batch: str, where: list[str]) -> None:
    done = subprocess.run(
        [*where, "ip", "-batch", "-"], input=batch, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise OSError(f"ip: {done.stderr.strip()}")


def start_node(config: AgentConfig, name: str, groups: Sequence[int], rules: bytes) -> int:
    """Start a node: its process 1 in its own namespaces. Runs in a fork; returns the process id."""
    with Path("/run/netns", name).open() as network:
        kernel.setns(network.fileno())
    kernel.unshare(kernel.NEWNS | kernel.NEWUTS | kernel.NEWIPC | kernel.NEWPID)
    pid = os.fork()
    if pid:
        return pid
    try:
        _populate_node(config, name)
        log = os.open(INSIDE / f"log/{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        usual_signals()
        confine(config, groups, rules, beside=DAEMONS)
        scan = ["s6-svscan", str(INSIDE / "nodes" / name)]
        os.execvpe(scan[0], scan, {"PATH": PATH, "LC_ALL": "C.UTF-8"})
    except BaseException as problem:
        os.write(2, f"{name}: {type(problem).__name__}: {problem}\n".encode())
    os._exit(1)


def _populate_node(config: AgentConfig, name: str) -> None:
    socket.sethostname(name)
    kernel.make_mounts_private()
    flags = kernel.NOSUID | kernel.NODEV | kernel.NOEXEC
    kernel.mount("proc", "/proc", "proc", flags)  # shows only this node's processes
    kernel.mount("sysfs", "/sys", "sysfs", flags | kernel.RDONLY)  # shows only this node's interfaces
    shown_again = {
        path: kernel.handle(path) for path in config.shown if path.startswith(("/tmp/", "/var/tmp/"))
    }
    for part, place in NODE_MOUNTS.items():
        kernel.bind(f"{MOUNTS}/{name}/{part}", place)
    for path, handle in shown_again.items():
        if not Path(path).exists():
            Path(path).mkdir(parents=True)
            kernel.bind(handle, path)
    for path in COVERED:
        kernel.bind(EMPTY, path)
    _ip(f"link set lo up\naddress replace {config.nodes[name]} dev hsn0\nlink set hsn0 up\n", [])
    pages = config.limits.disk_mib << 20 >> 12  # System V shared memory outlives its processes
    with contextlib.suppress(PermissionError):  # before Linux 5.19
        Path("/proc/sys/kernel/shmall").write_text(str(pages))


def confine(config: AgentConfig, groups: Sequence[int], rules: bytes, *, beside: int = 0) -> None:
    """Put this process and its children under the learner's limits and seccomp filter. It may still be root.

    ``beside`` raises the process limit for daemons, which have the same limit but are counted separately.
    """
    for group in groups:
        os.write(group, b"0")
    with contextlib.suppress(OSError):  # refused where the value is already higher
        Path("/proc/self/oom_score_adj").write_text("500")  # if the host runs out of memory, kill these first
    most = config.limits.processes + beside
    limits.set_rlimit(resource.RLIMIT_NPROC, most)
    limits.set_rlimit(resource.RLIMIT_FSIZE, config.limits.disk_mib * limits.MIB)
    limits.set_rlimit(resource.RLIMIT_CORE, 0)
    seccomp.no_new_privileges()
    seccomp.apply(rules)


def bound_memory() -> None:
    """Limit the memory of this grader process; a Python that needs more gets a MemoryError."""
    limits.set_rlimit(resource.RLIMIT_DATA, GRADER_MIB * limits.MIB)


def usual_signals() -> None:
    """Restore default signal handling, since a program started by exec inherits ignored signals."""
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
