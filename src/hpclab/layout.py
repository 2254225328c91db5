"""The folders of the course: on the host, and inside the embedded cluster."""

from __future__ import annotations

import os
from pathlib import Path

# Inside the cluster its folder is always mounted here, so that configuration
# files and Unix sockets have short, constant paths wherever the folder really is.
INSIDE = Path("/run/hpclab")


def clone_folder() -> Path:
    """The clone this package is installed from (it holds sites/, notebooks/, templates/)."""
    return Path(__file__).resolve().parents[2]


def state_home() -> Path:
    """The folder for clusters: ``HPCLAB_STATE``, or the XDG state folder of this user."""
    if folder := os.environ.get("HPCLAB_STATE"):
        return Path(folder)
    if os.geteuid() == 0:
        return Path("/var/lib/hpclab")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "hpclab"


def cache_home() -> Path:
    """The folder for files that can be generated again: packages, the empty database."""
    if folder := os.environ.get("HPCLAB_CACHE"):
        return Path(folder)
    if os.geteuid() == 0:
        return Path("/var/cache/hpclab")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hpclab"


def cluster_folder(name: str) -> Path:
    """Everything of the cluster ``name``: configuration, logs, database, spool."""
    return state_home() / "clusters" / name
