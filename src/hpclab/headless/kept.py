"""Runs that are kept on this machine, one folder a lab.

    executed.ipynb result.json notebook.log artifacts/          the last run in which all went well
    failed.ipynb failed.json failed.log failed-artifacts/       a later one in which it did not

Each file is written whole, ``result.json`` last, with the hash of the notebook beside it. So
a run that fails or is interrupted leaves the good one as it was.
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
from hpclab.headless.job import Run
from hpclab.headless.result import Result


@dataclass(frozen=True)
class Names:
    """What the files of one run are called."""

    notebook: str
    result: str
    log: str
    artifacts: str


GOOD = Names("executed.ipynb", "result.json", "notebook.log", "artifacts")
FAILED = Names("failed.ipynb", "failed.json", "failed.log", "failed-artifacts")
EXECUTED, RESULT, LOG = GOOD.notebook, GOOD.result, GOOD.log


def keep(run: Run, folder: Path) -> Result:
    """Keep ``run`` as the lab's good run, or beside it as its failed one."""
    _forget(folder, FAILED)
    return write(run, folder, GOOD if run.result.ok else FAILED)


def write(run: Run, folder: Path, names: Names = GOOD) -> Result:
    """Write ``run`` into ``folder`` under ``names``; the result as it was written."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{names.artifacts}.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    arrived = artifacts.unpack(run.artifacts, aside, run.limits)
    shutil.rmtree(folder / names.artifacts, ignore_errors=True)
    if arrived:
        aside.replace(folder / names.artifacts)
    else:
        aside.rmdir()
    write_whole(folder / names.log, run.log.encode())
    data = run.executed.encode()
    if data:
        write_whole(folder / names.notebook, data)
    else:
        (folder / names.notebook).unlink(missing_ok=True)  # an earlier run's would pass for this one's
    result = msgspec.structs.replace(
        run.result,
        artifacts=arrived,
        executed=hashlib.sha256(data).hexdigest() if data else "",
        written=time.time(),
    )
    write_whole(folder / names.result, msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    return result


def read(folder: Path, names: Names = GOOD) -> Result | None:
    """The result that was kept, if there is a readable one."""
    try:
        return msgspec.json.decode((folder / names.result).read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError):
        return None


def reasons_to_run(folder: Path, now: Mapping[str, str]) -> list[str]:
    """Why the lab has to run again, in words; none when its kept run is good, whole and still true."""
    result = read(folder)
    if result is None:
        return ["it has not run yet"]
    if read(folder, FAILED):
        return ["the last run failed"]
    try:
        whole = hashlib.sha256((folder / EXECUTED).read_bytes()).hexdigest() == result.executed
    except OSError:
        whole = False
    if not whole:
        return ["its executed notebook is not the one that was kept"]
    changed = stamps.changed(result.stamp, now)
    return [f"changed since: {', '.join(changed)}"] if changed else []


def _forget(folder: Path, names: Names) -> None:
    for name in (names.result, names.notebook, names.log):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    shutil.rmtree(folder / names.artifacts, ignore_errors=True)
