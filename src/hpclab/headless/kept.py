"""Runs that are kept on this machine, one folder for each lab.

    executed.ipynb result.json notebook.log artifacts/          the last run without a failure
    failed.ipynb failed.json failed.log failed-artifacts/       a later run with one

Each file is written whole, ``result.json`` last, with the hash of the notebook beside it. So a run that fails or
is interrupted leaves the good one as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hpclab.files import write_whole
from hpclab.headless import artifacts, stamps
from hpclab.headless.job import FinishedRun
from hpclab.headless.result import RunResult


@dataclass(frozen=True)
class Names:
    """What the files of one run are called."""

    notebook: str
    result: str
    log: str
    artifacts: str


GOOD = Names("executed.ipynb", "result.json", "notebook.log", "artifacts")
FAILED = Names("failed.ipynb", "failed.json", "failed.log", "failed-artifacts")
EXECUTED = GOOD.notebook


def keep(run: FinishedRun, folder: Path) -> RunResult:
    """Keep ``run`` as the lab's good run, or beside it as its failed one."""
    _remove(folder, FAILED)
    return write(run, folder, GOOD if run.result.ok else FAILED)


def write(run: FinishedRun, folder: Path, names: Names = GOOD) -> RunResult:
    """Write ``run`` into ``folder`` under ``names``; the result as it was written."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{names.artifacts}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    unpacked = artifacts.unpack(run.artifacts, part, run.limits)
    shutil.rmtree(folder / names.artifacts, ignore_errors=True)
    if unpacked:
        part.replace(folder / names.artifacts)
    else:
        part.rmdir()
    write_whole(folder / names.log, run.log.encode())
    data = run.executed.encode()
    if data:
        write_whole(folder / names.notebook, data)
    else:
        (folder / names.notebook).unlink(
            missing_ok=True
        )  # else an earlier run's would be taken for this one's
    result = msgspec.structs.replace(
        run.result,
        artifacts=unpacked,
        executed=hashlib.sha256(data).hexdigest() if data else "",
        written=time.time(),
    )
    write_whole(folder / names.result, msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return result


def read(folder: Path, names: Names = GOOD) -> RunResult | None:
    """The result that was kept, if there is a readable one."""
    try:
        return msgspec.json.decode((folder / names.result).read_bytes(), type=RunResult)
    except (OSError, msgspec.MsgspecError):
        return None


def reasons_to_run(folder: Path, now: Mapping[str, str]) -> list[str]:
    """Why the lab must run again, as texts; none when its kept run is good, undamaged and up to date."""
    result = read(folder)
    if result is None:
        return ["it has not run yet"]
    if read(folder, FAILED):
        return ["the last run failed"]
    try:
        intact = hashlib.sha256((folder / EXECUTED).read_bytes()).hexdigest() == result.executed
    except OSError:
        intact = False
    if not intact:
        return ["its executed notebook is not the one that was kept"]
    changed = stamps.changed_parts(result.stamp, now)
    return [f"changed since: {', '.join(changed)}"] if changed else []


def _remove(folder: Path, names: Names) -> None:
    for name in (names.result, names.notebook, names.log):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    shutil.rmtree(folder / names.artifacts, ignore_errors=True)
