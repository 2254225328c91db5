"""Results: those kept from earlier runs, and those collected from a spool."""

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
class KeptResult:
    """A result, and its file in the course's folder."""

    result: Result
    path: Path


@dataclass
class Reporter:
    """Receives progress; ``cli.grading_progress`` displays it."""

    say: Callable[[str], None] = lambda _: None
    result: Callable[[Result], None] = lambda _: None


def earlier(folder: Path, lab: Lab, grader: str) -> dict[tuple[str, str], KeptResult]:
    """Return earlier results of this grader, by student and hash; the newest of each."""
    newest: dict[tuple[str, str], KeptResult] = {}
    paths = list((folder / "batches" / lab.name).glob("*/results/*.json"))
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        try:
            result = msgspec.json.decode(path.read_bytes(), type=Result)
        except (OSError, msgspec.MsgspecError):
            continue  # `hpclab audit` reports it; here the submission is graded again
        by_this = (result.lab_digest, result.grader) == (lab.digest, grader)
        if by_this and result.verdict is not Verdict.SYSTEM_ERROR:
            newest[result.task.student, result.task.hash] = KeptResult(result, path)
    return newest


def adopt(folder: Path, kept: KeptResult, receipt: Receipt) -> KeptResult:
    """Return ``kept`` for the version of ``receipt``: the same content has the same marks, but its own time."""
    task = kept.result.task
    if (task.number, task.received) == (receipt.number, receipt.received):
        return kept
    result = msgspec.structs.replace(
        kept.result, task=msgspec.structs.replace(task, number=receipt.number, received=receipt.received)
    )
    home = folder / "batches" / receipt.lab / f"{kept.path.parents[1].name}-again-{receipt.number}"
    path = home / "results" / kept.path.name
    write_whole(path, msgspec.json.encode(result))
    return KeptResult(result, path)


@dataclass
class Collected:
    """Results read from the spool, checked, and written into the course's folder."""

    home: Path
    spool: Path
    batch: Batch
    lab: Lab
    reporter: Reporter
    found: dict[str, KeptResult] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)

    def look(self) -> int:
        """Keep new results; returns how many there are. Raises GradingError where a node refuses to grade."""
        if why := batches.refusal(self.spool):
            raise GradingError(why.problem, why.remedy)
        return self.gather()

    def gather(self) -> int:
        """Keep new results even where a node refuses to grade: those graded before count."""
        for task in self.batch.tasks:
            if task.student in self.found:
                continue
            result = batches.result(self.spool, self.batch, task, self.lab)
            if isinstance(result, str):
                if result:
                    self.troubles[task.student] = result
            elif result.verdict is Verdict.SYSTEM_ERROR:
                self.troubles[task.student] = result.problem
            else:
                self.keep(result)
        return len(self.found)

    def keep(self, result: Result) -> None:
        path = self.home / "results" / f"{result.task.student}.json"
        write_whole(path, msgspec.json.encode(result))
        self.found[result.task.student] = KeptResult(result, path)
        self.reporter.result(result)
