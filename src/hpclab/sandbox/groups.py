"""A control group around one sandbox: the hard wall behind its own watcher, where this user may make one.

Root may on most machines; an ordinary user where systemd has delegated a part of the tree (version 2).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

MB = 1 << 20
CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
USEFUL = ("memory.max", "memory.limit_in_bytes", "pids.max")


class Group:
    """A control group for one sandbox. ``paths`` are its folders, one for each hierarchy it is in."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def limit(self, memory_mib: int, processes: int) -> None:
        """Cap it; what a kernel does not offer is left to the other holders."""
        values = {
            "memory.max": memory_mib * MB,
            "memory.swap.max": 0,
            "memory.limit_in_bytes": memory_mib * MB,
            "memory.memsw.limit_in_bytes": memory_mib * MB,
            "pids.max": processes,
        }
        for path in self.paths:
            for name, value in values.items():
                if (path / name).exists():
                    with contextlib.suppress(OSError):
                        (path / name).write_text(str(value))

    def add(self, pid: int) -> None:
        for path in self.paths:
            (path / "cgroup.procs").write_text(str(pid))

    def killed(self) -> bool:
        """Whether the kernel killed a process of the group for its memory."""
        return any(
            _count(path / name, "oom_kill") > 0
            for path in self.paths
            for name in ("memory.events", "memory.oom_control")
        )

    def remove(self) -> bool:
        """Remove it, if it is empty by now; whether nothing of it is left."""
        for path in self.paths:
            with contextlib.suppress(OSError):
                path.rmdir()
        return not any(path.exists() for path in self.paths)


def _count(path: Path, name: str) -> int:
    try:
        words = path.read_text().split()
    except OSError:
        return 0
    return int(words[words.index(name) + 1]) if name in words else 0


def new(prefix: str, root: Path = CGROUPS, own: Path = OWN) -> Group | None:
    """A control group for one sandbox, where this user may have one; else None.

    Its name tells which process keeps it, so that ``sweep`` knows what a killed keeper has left.
    """
    made: list[Path] = []
    for base in _bases(root, own):
        path = base / f"{prefix}-{os.getpid()}-{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            path.mkdir()
            made.append(path)
    useful = [path for path in made if any((path / file).exists() for file in USEFUL)]
    Group([path for path in made if path not in useful]).remove()
    return Group(useful) if useful else None


def sweep(prefix: str, root: Path = CGROUPS, own: Path = OWN) -> None:
    """Remove the groups of keepers that are no more."""
    for base in _bases(root, own):
        for path in base.glob(f"{prefix}-*-*"):
            if not Path("/proc", path.name.removeprefix(f"{prefix}-").partition("-")[0]).exists():
                Group([path]).remove()


def _bases(root: Path, own: Path) -> Iterator[Path]:
    """Below which groups a new one is made: of version 1 memory and pids, of version 2 where this process is."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if set(controllers.split(",")) & {"memory", "pids"}:
            yield root / controllers / place.lstrip("/")
        elif not controllers and place != "/" and (root / "cgroup.controllers").exists():
            # A group with processes of its own hands nothing out, so the new one goes beside ours.
            yield (root / place.lstrip("/")).parent
