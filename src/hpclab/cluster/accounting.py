"""The accounting database with accounts, QOS and users: made once, kept as a template.

Creating it takes several seconds, unpacking it a tenth of a second.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hpclab import locks
from hpclab.cluster import config, entry, namespace, process
from hpclab.cluster.plan import accounting_plan
from hpclab.cluster.spec import Spec
from hpclab.errors import ClusterError
from hpclab.shell import indented, tail

RECIPE = 5  # increase when the database is made differently


def key(spec: Spec, prefix: Path) -> str:
    """Return the name of the template for these packages and accounts."""
    return key_of(spec, prefix.name)


def key_of(spec: Spec, packages: str) -> str:
    """Return the same for the packages named ``packages``."""
    text = f"{RECIPE}\n{packages}\n{config.accounting_commands(spec)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ensure_template(
    spec: Spec,
    *,
    cache: Path,
    prefix: Path,
    expose: Sequence[Path],
    host_etc: Mapping[str, str],
    munge_key: str,
    progress: Callable[[str], None],
) -> Path:
    """Return a tar archive of the database, to be unpacked as the cluster's root; makes it if there is none."""
    archive = cache / "accounting" / f"{key(spec, prefix)}.tar"
    if archive.is_file():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(
        archive.parent / "lock", "another process that makes the accounting database", seconds=120
    ):
        if archive.is_file():
            return archive
        progress("creating the accounting database (once)")
        folder = archive.parent / "making"
        _clear(folder, spec)  # left by a process that was killed
        folder.mkdir()
        plan = accounting_plan(
            spec, folder=folder, prefix=prefix, expose=expose, host_etc=host_etc, munge_key=munge_key
        )
        try:
            pid = namespace.start(plan, spec.identity)
            made = entry.as_controller(pid, "/run/hpclab/bin/make-database", timeout=120, check=False)
            if made.returncode:
                logs = "\n".join(
                    tail(folder / "log" / name, 8)
                    for name in ("install-db.log", "mariadb.out", "sacctmgr.log")
                )
                raise ClusterError(
                    f"the accounting database could not be made: {made.stderr.strip()}{indented(logs)}"
                )
            _pack(pid, archive)
        finally:
            _clear(folder, spec)
    return archive


def _clear(folder: Path, spec: Spec) -> None:
    if supervisor := process.running(folder):
        process.kill(supervisor)
    namespace.remove_folder(spec.identity, folder)


def _pack(pid: int, archive: Path) -> None:
    """Write the stopped database to ``archive`` atomically: to a temporary file, flushed, renamed."""
    aside = archive.with_suffix(".new")
    with aside.open("wb") as out:
        pack = ["tar", "-C", "/run/hpclab", "--sparse", "--exclude=ibtmp1", "-cf", "-", "db"]
        done = subprocess.run(
            entry.into_supervisor(pid, *pack), stdout=out, stderr=subprocess.PIPE, timeout=60, check=False
        )
        if done.returncode:
            raise ClusterError(f"the database could not be packed: {done.stderr.decode(errors='replace')}")
        os.fsync(out.fileno())
    aside.replace(archive)
