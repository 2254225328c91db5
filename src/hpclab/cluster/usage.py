"""What a learner uses: processes, threads, memory, counted from /proc.

For a sealed cluster where no control group can count. Memory is what its processes have for themselves,
what lies in the folders in memory, and files in memory that are only open.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from hpclab.cluster.protocol import Use

MEMFD = "/memfd:"


def use(ours: Collection[int], rooms: Iterable[str], *, most_kb: int, proc: Path = Path("/proc")) -> Use:
    """What everybody but ``ours`` (ids) uses.

    Pages that processes share since a fork are counted once only if the sum is beyond ``most_kb``: that takes longer.
    """
    theirs: list[Path] = []
    threads = kilobytes = 0
    for process in proc.iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                fields = _fields((process / "status").read_text())
                if fields["State"].startswith("Z") or ours_alone(fields["Uid"], ours):
                    continue
                theirs.append(process)
                threads += int(fields["Threads"])
                kilobytes += sum(int(fields.get(key, "0").split()[0]) for key in ("RssAnon", "VmSwap"))
    fixed = sum(map(_in_room, rooms)) + _open_files(theirs)
    if kilobytes + fixed > most_kb:
        kilobytes = sum(map(_share, theirs))
    return Use(processes=threads, memory_kb=kilobytes + fixed)


def ours_alone(uids: str, ours: Collection[int]) -> bool:
    """Whether all of a process's user ids (real, effective, saved, of files) are ours."""
    return all(int(uid) in ours for uid in uids.split())


def _fields(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def _share(process: Path) -> int:
    """Its share of its pages, in KiB; pages that five have in common count a fifth."""
    with suppress(OSError):
        fields = _fields((process / "smaps_rollup").read_text())
        return sum(int(fields.get(key, "0").split()[0]) for key in ("Pss_Anon", "SwapPss"))
    return 0


def _in_room(room: str) -> int:
    with suppress(OSError):
        found = os.statvfs(room)
        return (found.f_blocks - found.f_bfree) * found.f_frsize >> 10
    return 0


def _open_files(processes: Iterable[Path]) -> int:
    """KiB in files without a name (memfd_create(2))."""
    sizes: dict[int, int] = {}
    for process in processes:
        with suppress(OSError):
            for path in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(path.readlink()).startswith(MEMFD):
                        found = path.stat()
                        sizes[found.st_ino] = found.st_blocks >> 1
    return sum(sizes.values())
