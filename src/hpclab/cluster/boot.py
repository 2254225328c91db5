"""Enter the cluster's namespaces, build its root directory and become its supervisor.

``lifecycle`` starts this program as ``python -m hpclab.cluster.boot`` with a Plan as one line of
JSON on standard input. It prints ``unshared``, reads ``mapped`` once its parent has written the id
maps, and prints the supervisor's process id (as the host sees it) before it exits. One process tree
remains, whose process 1 is s6-svscan: when that dies, the kernel kills all the others.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import msgspec

from hpclab.layout import INSIDE
from hpclab.sandbox import kernel

DEVICES = {"fuse": (10, 229), "net/tun": (10, 200)}  # Linux, Documentation/admin-guide/devices.txt
PLAIN_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun")
GPU_DEVICES = ("nvidia*", "dri", "kfd", "infiniband")
STAGE = Path("/tmp")  # where the new root directory is built, in a private mount
SHELF = Path("/dev/shm")  # root's device files, in a private mount; later covered by a new one
UNIONS = ("usr", "etc", "var/lib")  # the host's, with the cluster's and the packages' on top
# Folders of the cluster that are written again at every start.
REWRITTEN = ("services", "nodes", "layers", "bin", "faults", "portal")
HIDDEN = ("tmp", "run", "root", "dev", "home")  # replaced inside by the cluster's own


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """Folders and files to write into the cluster's folder, by relative path."""

    folders: dict[str, tuple[int, int, int]]  # path -> (uid, gid, mode) inside
    files: dict[str, tuple[str, int, int, int]]  # path -> (text, uid, gid, mode)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The input of this program."""

    folder: str  # the cluster's own folder on the host
    prefix: str  # unpacked packages, shown on top of the host's /usr, /etc and /var
    tree: Tree
    homes: dict[str, str]  # a home inside -> the folder behind it, relative to the cluster's
    expose: list[str]  # host folders that stay visible below /root, /tmp and /run
    writable: list[str]  # host folders that stay writable where the rest is read-only
    network: list[tuple[str, str]]  # (network namespace, batch for ip(8)) in order
    hostname: str
    run_owners: dict[str, int]  # folders below /run -> uid
    command: list[str]  # becomes process 1
    database: str  # archive to start the database from; empty: the database exists
    by_root: bool


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    os.setsid()
    kernel.die_with_parent()  # until the cluster is recorded, it must end with `up`
    os.umask(0o022)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    own_devices = private_devices() if plan.by_root else {}
    kernel.unshare(
        kernel.NEWUSER | kernel.NEWNS | kernel.NEWPID | kernel.NEWUTS | kernel.NEWIPC | kernel.NEWCGROUP
    )
    say("unshared")
    if sys.stdin.buffer.readline().strip() != b"mapped":
        sys.exit(1)  # the parent has died or given up
    # Opened with the rights of the user who starts the cluster, used as the cluster's root.
    sources = {path: kernel.handle(path) for path in [plan.folder, plan.prefix, *plan.expose, *plan.writable]}
    database = os.open(plan.database, os.O_RDONLY) if plan.database else None
    sources |= {device: kernel.handle(private) for device, private in own_devices.items()}
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    kernel.die_with_parent()
    kernel.dumpable()
    kernel.make_mounts_private()
    write(plan.tree, Path(sources[plan.folder]))
    populate_rootfs(plan, sources)
    go_reader, go_writer = os.pipe()
    news_reader, news_writer = os.pipe()  # closed by exec when process 1 becomes the supervisor
    child = os.fork()
    if child:
        os.close(news_writer)
        record(child)
        os.write(go_writer, b"go")
        with os.fdopen(news_reader) as news:
            if complaint := news.read():
                sys.exit(complaint)
        say(str(child))
        os._exit(0)
    os.close(go_writer)
    if os.read(go_reader, 2) != b"go":
        os._exit(1)
    os.close(go_reader)
    try:
        become_supervisor(plan, database)
    except BaseException as problem:
        os.write(news_writer, f"{type(problem).__name__}: {problem}".encode())
    os._exit(1)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def private_devices() -> dict[str, str]:
    """Make /dev/fuse and /dev/net/tun accessible to all users inside, and return their paths.

    udev makes both world-writable; on a machine without udev only root may open them. The host's own
    files stay unchanged: these are in a private mount.
    """
    kernel.unshare(kernel.NEWNS)
    kernel.make_mounts_private()
    kernel.mount("devices", SHELF, "tmpfs", kernel.NOSUID, "mode=755,size=64k")
    made = {}
    for name, (major, minor) in DEVICES.items():
        path = SHELF / name.replace("/", "-")
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        except PermissionError:
            continue  # root of a container can't make devices: use the host's
        path.chmod(0o666)
        if Path("/dev", name).exists():
            made[f"/dev/{name}"] = str(path)
    return made


def write(tree: Tree, folder: Path) -> None:
    """Write the cluster's configuration into its folder, replacing each file atomically."""
    os.chown(folder, 0, 0)
    folder.chmod(0o755)
    for name in REWRITTEN:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name, (uid, gid, mode) in tree.folders.items():
        path = folder / name
        path.mkdir(exist_ok=True)
        os.chown(path, uid, gid)
        path.chmod(mode)
    for name, (text, uid, gid, mode) in tree.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(path.name + ".new")
        aside.write_text(text)
        os.chown(aside, uid, gid)
        aside.chmod(mode)
        aside.replace(path)


def populate_rootfs(plan: Plan, sources: dict[str, str]) -> None:
    """Build the cluster's root directory from mounts and make it the root."""
    folder, prefix, root = Path(sources[plan.folder]), Path(sources[plan.prefix]), STAGE
    top = {entry.name: Path(entry.path) for entry in os.scandir("/")}
    handles = {
        name: kernel.handle(path) for name, path in top.items() if path.is_dir() and not path.is_symlink()
    }
    kernel.mount("hpclab", root, "tmpfs", kernel.NOSUID | kernel.NODEV, "mode=755,size=16m")
    for name, path in top.items():
        if path.is_symlink():
            (root / name).symlink_to(path.readlink())
        elif name in handles:
            (root / name).mkdir()
            if name not in HIDDEN:
                kernel.bind(handles[name], root / name)
                if plan.by_root and name not in ("proc", "sys"):
                    kernel.read_only(root / name)  # root's files on the host are read-only inside
    for name in UNIONS:
        layers = [layer for layer in (folder / "layers" / name, prefix / name) if layer.is_dir()]
        if layers and (root / name).is_dir():
            overlay([*layers, kernel.handle(root / name)], root / name)
    # Not merged with the host's: on a host that is a Slurm node, our Slurm must not read its plugstack.conf
    # or topology.conf.
    show(folder / "layers/etc/slurm", root, Path("/etc/slurm"))
    tmpfs(root / "run", 0o755)
    tmpfs(root / "tmp", 0o1777)
    tmpfs(root / "root", 0o755)
    tmpfs(root / "var/tmp", 0o1777)
    devices(root / "dev", Path(handles["dev"]), sources)
    for target, source in {INSIDE: folder, Path("/scratch"): folder / "scratch"}.items():
        show(source, root, target)
    for file in (root / str(INSIDE / "gpu").lstrip("/")).glob("*"):
        kernel.bind(root / "dev/null", file)  # Slurm accepts only a device file for a GPU
    if "home" in handles:
        for entry in os.scandir(handles["home"]):
            if entry.is_dir() and f"/home/{entry.name}" not in plan.homes:
                show(entry.path, root, Path("/home", entry.name))
                if plan.by_root:
                    kernel.read_only(root / "home" / entry.name)
    for home, below in plan.homes.items():
        show(folder / below, root, Path(home))
    exposed = root / "run/exposed"
    exposed.mkdir()
    for number, shown in enumerate([*plan.expose, *plan.writable]):
        show(sources[shown], root, Path(shown))
        if plan.by_root and shown not in plan.writable:
            kernel.read_only(root / shown.lstrip("/"))
        if shown.startswith("/tmp/"):  # each node has its own /tmp, where node-init mounts it again
            show(root / shown.lstrip("/"), root, Path(f"/run/exposed/{number}"))
            with (exposed / "list").open("a") as out:
                out.write(f"{number} {shown}\n")
    for name, uid in plan.run_owners.items():
        (root / "run" / name).mkdir()
        os.chown(root / "run" / name, uid, uid)
    kernel.pivot_root(root)


def devices(place: Path, host: Path, sources: dict[str, str]) -> None:
    """Mount a container's usual devices, /dev/fuse, /dev/net/tun and the host's GPUs at ``place``."""
    tmpfs(place, 0o755)
    for name, linked in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (place / name).symlink_to(f"/proc/self/{linked}")
    (place / "shm").mkdir()
    tmpfs(place / "shm", 0o1777)
    (place / "pts").mkdir()
    kernel.mount("devpts", place / "pts", "devpts", kernel.NOSUID, "newinstance,ptmxmode=0666,mode=0620")
    (place / "ptmx").symlink_to("pts/ptmx")
    found = [host / name for name in PLAIN_DEVICES]
    found += [path for pattern in GPU_DEVICES for path in host.glob(pattern)]
    for path in found:
        target = place / path.relative_to(host)
        source = sources.get(f"/dev/{path.relative_to(host)}", path)
        if not path.exists():
            continue
        target.parent.mkdir(exist_ok=True)
        if path.is_dir():
            target.mkdir()
        else:
            target.touch()
        kernel.bind(source, target)


def show(source: str | Path, root: Path, target: Path) -> None:
    """Bind ``source`` to ``target`` below ``root``, making parent folders as needed."""
    place = root / target.relative_to("/")
    place.mkdir(parents=True, exist_ok=True)
    kernel.bind(source, place)


def overlay(layers: list[str | Path], target: Path) -> None:
    """Mount a read-only union of ``layers``, the first one on top."""
    kernel.mount("overlay", target, "overlay", kernel.NODEV, "lowerdir=" + ":".join(map(str, layers)))


def tmpfs(target: Path, mode: int) -> None:
    kernel.mount("tmpfs", target, "tmpfs", kernel.NODEV, f"mode={mode:o}")


def record(pid: int) -> None:
    """Record process 1 before it does anything, so that it can always be found and stopped."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    aside = INSIDE / "supervisor.json.new"
    with aside.open("wb") as out:
        out.write(msgspec.json.encode({"pid": pid, "start_ticks": int(fields[19]), "boot_id": boot}))
        out.flush()
        os.fsync(out.fileno())
    aside.replace(INSIDE / "supervisor.json")


def become_supervisor(plan: Plan, database: int | None) -> None:
    """As process 1, mount /proc, unpack the database, connect the network, and exec s6-svscan."""
    kernel.mount("proc", "/proc", "proc", kernel.NOSUID | kernel.NODEV)
    os.environ.clear()
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8")
    log = os.open(INSIDE / "log/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    socket.sethostname(plan.hostname)
    own_setuid_programs()
    if database is not None:
        unpack = ["tar", "--numeric-owner", "-C", str(INSIDE), "-xf", "-"]
        done = subprocess.run(unpack, stdin=database, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no message"]
            # On a full disk tar prints "Wrote only 7168 of 10240 bytes" and more lines after it.
            full = any(word in line for line in said for word in ("Wrote only", os.strerror(errno.ENOSPC)))
            raise OSError(os.strerror(errno.ENOSPC) if full else said[0])
        (INSIDE / "database-complete").touch()
    for namespace, batch in plan.network:
        # After each `netns add`, ip returns to the namespace it started in; the host's would refuse that.
        where = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else ["unshare", "--net"]
        done = subprocess.run(
            [*where, "ip", "-batch", "-"], input=batch, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise OSError(f"ip: {done.stderr.strip()}")
    os.execvp(plan.command[0], plan.command)


def own_setuid_programs() -> None:
    """Give the cluster's root copies of the set-uid programs for image builds and FUSE, so that the bit works here."""
    place = Path("/run/setuid")
    place.mkdir()
    kernel.mount("setuid", place, "tmpfs", 0, "mode=755,size=2m")
    for name in ("newuidmap", "newgidmap", "fusermount3"):
        program = Path("/usr/bin", name)
        if program.exists():
            shutil.copyfile(program, place / name)
            (place / name).chmod(0o4755)
            kernel.bind(place / name, program)


if __name__ == "__main__":
    main()
