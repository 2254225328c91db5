"""The spool of a batch: copies for the tasks, laid out, given away where they run as somebody else, and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hpclab import layout
from hpclab.app import parallel
from hpclab.app.grading.array_rounds import How
from hpclab.cluster import cgroups, identity
from hpclab.errors import HpclabError
from hpclab.files import write_whole
from hpclab.grading import batch as batches
from hpclab.grading.batch import Batch
from hpclab.grading.model import Lab
from hpclab.grading.submissions.store import Store

OPEN = "open.json"  # in the folder of a batch that is not over


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """Where a batch that is not over has its spool, and where its jobs are."""

    spool: str
    site: str


@contextlib.contextmanager
def laid_out(home: Path, batch: Batch, lab: Lab, how: How, store: Store) -> Iterator[Path]:
    """The spool of a batch, laid out; gone when its results are home. A command that is killed leaves it."""
    elsewhere = _is_strangers(how)
    spool = (layout.state_home() / "grading" / batch.id).absolute() if elsewhere else home / "spool"
    for place in (home, spool):
        place.mkdir(parents=True, mode=0o700)
    write_whole(home / "batch.json", msgspec.json.encode(batch))
    opened = Open(spool=str(spool), site=how.site)
    write_whole(home / OPEN, msgspec.json.encode(opened))
    batches.lay(spool, batch, lab, lambda content: _files(store, content))
    if elsewhere:
        _give_away(spool)
    try:
        yield spool
    except (KeyboardInterrupt, parallel.Interrupted, HpclabError):
        raise  # the next command brings home what is there
    else:
        close(home, spool)


def close(home: Path, spool: Path) -> None:
    """The batch is over: keep the logs of its jobs, remove the copies."""
    with contextlib.suppress(OSError):
        shutil.copytree(spool / "log", home / "log", dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(spool, ignore_errors=True)
    (home / OPEN).unlink(missing_ok=True)


def _is_strangers(how: How) -> bool:
    """Whether tasks run under an account that must not see the class: the learner of root's own cluster."""
    return how.site == "local" and os.geteuid() == 0


def _give_away(spool: Path) -> None:
    """Make all of ``spool`` the property of that account; the folder itself last, so that nobody is in it before."""
    who = identity.for_root(cgroup=cgroups.version(by_root=True))
    uid, gid = who.outside_uid(who.learner.uid), who.outside_gid(who.learner.gid)
    for top, _, names in os.walk(spool, topdown=False):
        for name in names:
            os.chown(Path(top, name), uid, gid, follow_symlinks=False)
        os.chown(top, uid, gid, follow_symlinks=False)


def _files(store: Store, content: str) -> dict[str, bytes]:
    """The submission as it was received, verified."""
    top = store.files(content)
    return {path: (top / path).read_bytes() for path in store.manifest(content)}
