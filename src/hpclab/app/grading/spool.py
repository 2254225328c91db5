"""The spool of a batch: copies for the tasks, written, given to the account that they run under, and removed."""

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

OPEN = "open.json"  # in the folder of a batch that is not over
WRITTEN_BY_TASKS = ("results", "canary", "log", "state")


class OpenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Where a batch that is not over has its spool, and where its tasks run."""

    spool: str
    site: str


@contextlib.contextmanager
def opened(home: Path, batch: Batch, lab: Lab, how: GradingOptions, store: Store) -> Iterator[Path]:
    """The spool of a batch, removed when its results are home. A command that is killed leaves it."""
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
        raise  # the next command brings home what is there
    else:
        close(home, spool)


def close(home: Path, spool: Path) -> None:
    """The batch is over: keep the logs of its tasks, remove the copies."""
    with contextlib.suppress(OSError):
        shutil.copytree(spool / "log", home / "log", dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(spool, ignore_errors=True)
    (home / ALIVE).unlink(missing_ok=True)
    (home / OPEN).unlink(missing_ok=True)


def account_of_tasks(batch: Batch, how: GradingOptions) -> int | None:
    """The id under which tasks run that must not see the class; None where it is the caller's own."""
    return local_worker.account_of(batch.uuid) if how.site == "local" and os.geteuid() == 0 else None


def give_away(spool: Path, account: int) -> None:
    """Let ``account`` read all of ``spool``, and write what tasks write; root keeps the rest."""
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
    spool.chmod(0o750)  # last, so that what is in it is whole


def _files(store: Store, content: str) -> dict[str, bytes]:
    """The submission as it was received, verified."""
    top = store.files(content)
    return {path: (top / path).read_bytes() for path in store.manifest(content)}
