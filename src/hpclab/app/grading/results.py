"""Results: those that are there from earlier, and those that come out of a spool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hpclab.errors import GradingError
from hpclab.files import write_whole
from hpclab.grading import batch as batches
from hpclab.grading.batch import Batch
from hpclab.grading.model import Lab, Result, Verdict
from hpclab.grading.submissions.store import Receipt


@dataclass(frozen=True)
class Found:
    """A result, and where it lies in the class's folder."""

    result: Result
    path: Path


@dataclass
class Reporter:
    """What somebody who watches is told; see ``grading.show``."""

    say: Callable[[str], None] = lambda _: None
    result: Callable[[Result], None] = lambda _: None


def earlier(folder: Path, lab: Lab, grader: str) -> dict[tuple[str, str], Found]:
    """Results of these very submissions by this very grader, by student and hash; the newest of each."""
    found: dict[tuple[str, str], Found] = {}
    paths = list((folder / "batches" / lab.name).glob("*/results/*.json"))
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        try:
            one = msgspec.json.decode(path.read_bytes(), type=Result)
        except (OSError, msgspec.MsgspecError):
            continue  # the ledger and `hpclab audit` have an eye on it; here it is computed again
        if (one.lab_digest, one.grader) == (lab.digest, grader) and one.verdict is not Verdict.SYSTEM_ERROR:
            found[one.task.student, one.task.hash] = Found(one, path)
    return found


def adopted(folder: Path, found: Found, receipt: Receipt) -> Found:
    """``found`` for the version of ``receipt``: the same content, handed in again, has the same marks and its own time."""
    task = found.result.task
    if (task.number, task.received) == (receipt.number, receipt.received):
        return found
    result = msgspec.structs.replace(
        found.result, task=msgspec.structs.replace(task, number=receipt.number, received=receipt.received)
    )
    home = folder / "batches" / receipt.lab / f"{found.path.parents[1].name}-again-{receipt.number}"
    path = home / "results" / found.path.name
    write_whole(path, msgspec.json.encode(result))
    return Found(result, path)


@dataclass
class Collected:
    """Results that are home: read from the spool, looked at, and written into the class's folder."""

    home: Path
    spool: Path
    batch: Batch
    lab: Lab
    reporter: Reporter
    found: dict[str, Found] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)

    def look(self) -> int:
        """Bring home what is new; how many there are. Raises GradingError where a node refuses to grade."""
        if why := batches.refusal(self.spool):
            raise GradingError(why.problem, why.remedy)
        return self.gather()

    def gather(self) -> int:
        """Likewise, whatever a node says: what was marked before counts."""
        for task in self.batch.tasks:
            if task.student in self.found:
                continue
            there = batches.result(self.spool, self.batch, task, self.lab)
            if isinstance(there, str):
                if there:
                    self.troubles[task.student] = there
            elif there.verdict is Verdict.SYSTEM_ERROR:
                self.troubles[task.student] = there.problem
            else:
                self.keep(there)
        return len(self.found)

    def keep(self, result: Result) -> None:
        path = self.home / "results" / f"{result.task.student}.json"
        write_whole(path, msgspec.json.encode(result))
        self.found[result.task.student] = Found(result, path)
        self.reporter.result(result)
