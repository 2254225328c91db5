"""In the machine of cgroup-v2.sh: a control group of the grader's kills what takes too much, and every probe is kept in."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from hpclab.app.grading.lab_model import lab_of
from hpclab.exercises.lab_names import list_sources
from hpclab.grading.execute import canary, plain_sandbox
from hpclab.layout import clone_folder
from hpclab.sandbox import cgroup

HUNGRY = "import sys; sys.stdin.read(1); x = b'x' * (300 << 20)"


def kills() -> bool:
    """Whether the kernel ends a process that takes more than its group may, and the group says so."""
    group = cgroup.plain_group()
    if group is None:
        print("no group could be made")
        return False
    print(*group.paths)
    group.limit(memory_mib=100, tasks=50)
    with subprocess.Popen([sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE) as hungry:
        group.add(hungry.pid)
        hungry.communicate(b"x", timeout=120)
    return hungry.returncode == -signal.SIGKILL and group.memory_kills() > 0 and group.remove()


def keeps_in() -> bool:
    """Whether every probe of the canary is kept in by sandboxes that have such groups."""
    path = next(path for path in list_sources(clone_folder() / "notebooks") if "ex01-submit" in path.name)
    lab = msgspec.structs.replace(lab_of(path), nodes=0)  # as one in plain Python
    with plain_sandbox.PlainSandboxes() as sandboxes:
        found = canary.probe(sandboxes.enter, lab, hidden=[Path("/root/.bashrc")])
    for one in canary.escaped(found):
        print(one.probe, one.detail)
    return len(found) > 20 and not canary.escaped(found)


if __name__ == "__main__":
    sys.exit(0 if {"kills": kills, "keeps-in": keeps_in}[sys.argv[1]]() else 1)
