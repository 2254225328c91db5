"""The spool of a batch: written with copies, given to the account that tasks run as, and removed afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hpclab import layout
from hpclab.app import parallel
from hpclab.app.grading import local_worker
from hpclab.app.grading.rounds import ALIVE, GradingOptions
from hpclab.errors import HpclabError
from hpclab.files import write_whole
from hpclab.grading import batch as batches
from hpclab.grading.batch import Batch
from hpclab.grading.model import Lab
from hpclab.grading.submissions.store import Store

OPEN = "open.json"  # in the folder of a batch that has not finished
WRITTEN_BY_TASKS = ("results", "canary", "log", "state")


class OpenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The spool of an unfinished batch, and where its tasks run."""

    spool: str
    site: str


@contextlib.contextmanager
def opened(home: Path, batch: Batch, lab: Lab, how: GradingOptions, store: Store) -> Iterator[Path]:
    """Yield the spool of a batch, removed when its results are collected. A killed command leaves it."""
    account = account_of_tasks(batch, how)
    spool = home / "spool"
    if account is not None:
        spool = (layout.state_home() / "grading" / batch.id).absolute()
    for place in (home, spool):
        place.mkdir(parents=True, mode=0o700)
    write_whole(home / "batch.json", msgspec.json.encode(batch))
    mark = OpenBatch(spool=str(spool), site=how.site)
    write_whole(home / OPEN, msgspec.json.encode(mark))
    batches.write_spool(spool, batch, lab, lambda content: _files(store, content))
    if account is not None:
        give_away(spool, account)
    try:
        yield spool
    except (KeyboardInterrupt, parallel.Interrupted, HpclabError):
        raise  # the next command collects the results
    else:
        close(home, spool)


def close(home: Path, spool: Path) -> None:
    """Finish a batch: keep the logs of its tasks, remove the spool."""
    with contextlib.suppress(OSError):
        shutil.copytree(spool / "log", home / "log", dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(spool, ignore_errors=True)
    (home / ALIVE).unlink(missing_ok=True)
    (home / OPEN).unlink(missing_ok=True)


def account_of_tasks(batch: Batch, how: GradingOptions) -> int | None:
    """Return the user id for tasks that must not see the course; None where tasks run as the caller."""
    return local_worker.account_of(batch.uuid) if how.site == "local" and os.geteuid() == 0 else None


def give_away(spool: Path, account: int) -> None:
    """Let ``account`` read the whole spool and write the tasks' output; root owns the rest."""
    for top, folders, names in os.walk(spool):
        for name in (*folders, *names):
            path = Path(top, name)
            os.chown(path, 0, account, follow_symlinks=False)
            path.chmod(0o750 if name in folders else 0o640)
    for name in WRITTEN_BY_TASKS:
        (spool / name).mkdir(exist_ok=True)
        os.chown(spool / name, account, account)
        (spool / name).chmod(0o700)
    os.chown(spool, 0, account)
    spool.chmod(0o750)  # last, when the content is complete


def _files(store: Store, content: str) -> dict[str, bytes]:
    """Return the submission as received, after verifying it."""
    top = store.files(content)
    return {path: (top / path).read_bytes() for path in store.manifest(content)}
