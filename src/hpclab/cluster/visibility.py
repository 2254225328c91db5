"""The host folders that must be mounted again to be visible to the cluster's users.

Inside, /root, /tmp, /var/tmp and /run are the cluster's own and empty. Folders that the course needs
from there (its clone, its Python) are mounted again at the same path.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from hpclab.errors import HostUnsuitable

HIDDEN = (Path("/root"), Path("/tmp"), Path("/var/tmp"), Path("/run"))


def exposures(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the topmost of ``paths`` that lie below a hidden folder."""
    below = {path.resolve() for path in paths if any(path.resolve().is_relative_to(top) for top in HIDDEN)}
    return tuple(sorted(path for path in below if not any(parent in below for parent in path.parents)))


def check(paths: Iterable[Path], *, by_root: bool) -> None:
    """Raise HostUnsuitable when the learner, who can't read root's files, could not reach ``paths``."""
    if not by_root:
        return
    shown = exposures(paths)
    for path in paths:
        real = path.resolve()
        first = next((top for top in shown if real.is_relative_to(top)), None)
        for step in (real, *real.parents):
            if not step.stat().st_mode & stat.S_IXOTH and not (first and step in first.parents):
                raise HostUnsuitable(
                    f"{step} is closed to other users, so the learner's account on the cluster could not reach {path}",
                    f"Open it (chmod o+x {step}), or put the course somewhere else, such as /opt/hpc-lab.",
                )
            if first and step == first:
                break
