"""Measure what the processes of a sandbox use together, from /proc: tasks and memory.

Memory is the processes' own memory, the content of folders in memory, and unnamed files in memory. Memory that no
process maps (buffers of sockets and pipes) is only counted by a control group.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

PROC = Path("/proc")
RESIDENT = ("RssAnon", "RssShmem", "VmSwap")  # of /proc/PID/status; pages of files can be read again
PROPORTIONAL = (
    "Pss_Anon",
    "Pss_Shmem",
    "SwapPss",
)  # the same of smaps_rollup: a page shared by five counts a fifth
MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ [0-9a-f]+ ([0-9a-f]+):([0-9a-f]+) (\d+)")
File = tuple[int, int]  # device and inode


class SandboxUsage(msgspec.Struct, frozen=True, kw_only=True):
    """``tasks`` are threads of running processes, ``zombies`` ended processes that still have a process id."""

    tasks: int = 0
    zombies: int = 0
    memory_bytes: int = 0


def measure(
    *,
    enough_bytes: int,
    trusted: Collection[int] = (),
    without: int = 0,
    folders: Iterable[Path] = (),
    proc: Path = PROC,
) -> SandboxUsage:
    """Measure all processes except process ``without`` and those whose user ids are all ``trusted``.

    ``folders`` are mounts in memory that count too. Pages shared by processes, and files of those folders that
    they map, are counted once only if the sum is beyond ``enough_bytes``, because that takes longer.
    """
    resident: dict[Path, int] = {}
    tasks = zombies = 0
    for entry in os.scandir(proc):
        if not entry.name.isdigit() or int(entry.name) == without:
            continue
        with suppress(OSError, KeyError, ValueError):  # the process just ended
            status = fields((proc / entry.name / "status").read_text())
            if trusted and are_trusted(status["Uid"], trusted):
                continue
            if status.get("State", "").startswith("Z"):
                zombies += 1
                continue
            tasks += int(status["Threads"])
            resident[proc / entry.name] = _sum(status, RESIDENT)
    folders = list(folders)
    files = unnamed_files(resident)
    fixed = sum(map(folder_bytes, folders)) + sum(files.values())
    used = sum(resident.values())
    if used + fixed > enough_bytes:
        shares = {process: _share(process, size) for process, size in resident.items()}
        used = sum(shares.values())
        if used + fixed > enough_bytes and fixed:
            devices = set(map(_device, folders))
            used -= sum(min(share, _counted_twice(one, devices, files)) for one, share in shares.items())
    return SandboxUsage(tasks=tasks, zombies=zombies, memory_bytes=used + fixed)


def are_trusted(uids: str, trusted: Collection[int]) -> bool:
    """Return whether all of a process's user ids (real, effective, saved, file system) are trusted. Pure."""
    return all(int(uid) in trusted for uid in uids.split())


def fields(text: str) -> dict[str, str]:
    """Parse a file such as /proc/PID/status: the kernel escapes line ends in a process's name. Pure."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _sum(values: Mapping[str, str], names: Iterable[str]) -> int:
    return sum(1024 * int(values.get(name, "0").split()[0]) for name in names)


def _share(process: Path, resident: int) -> int:
    """Return the bytes of a process's share of its pages; ``resident`` where the kernel does not show it."""
    try:
        return _sum(fields((process / "smaps_rollup").read_text()), PROPORTIONAL)
    except PermissionError:
        return resident
    except OSError:  # the process has ended
        return 0


def _counted_twice(process: Path, devices: Collection[int], files: Collection[File]) -> int:
    with suppress(OSError):
        return counted_twice((process / "smaps").read_text(), devices, files)
    return 0


def counted_twice(smaps: str, devices: Collection[int], files: Collection[File]) -> int:
    """Return the bytes of mappings that belong to one of ``devices`` or ``files``. Pure."""
    found, of_these = 0, False
    for line in smaps.splitlines():
        if mapping := MAPPING.match(line):
            device = os.makedev(int(mapping[1], 16), int(mapping[2], 16))
            of_these = device in devices or (device, int(mapping[3])) in files
        elif of_these and line.startswith("Pss:"):
            found += 1024 * int(line.split()[1])
    return found


def unnamed_files(processes: Iterable[Path]) -> dict[File, int]:
    """Return the sizes of open unnamed files in memory (memfd_create): no folder's limit counts them."""
    sizes = {}
    for process in processes:
        with suppress(OSError):
            for entry in os.scandir(process / "fd"):
                with suppress(OSError):
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                        sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sizes


def folder_bytes(folder: Path) -> int:
    """Return the bytes in use in a mount."""
    with suppress(OSError):
        status = os.statvfs(folder)
        return (status.f_blocks - status.f_bfree) * status.f_frsize
    return 0


def _device(folder: Path) -> int:
    with suppress(OSError):
        return folder.stat().st_dev
    return -1


def is_full(folders: Iterable[Path]) -> bool:
    """Return whether one of these mounts in memory is full."""
    return any(not status.f_bavail or not status.f_favail for status in map(os.statvfs, folders))
