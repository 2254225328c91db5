"""From results to marks: compute the changes in the gradebook, and write them there and into the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hpclab.app.grading.results import KeptResult
from hpclab.errors import GradingError
from hpclab.grading import gradebook
from hpclab.grading.gradebook import Change
from hpclab.grading.model import Lab, Result, Verdict
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.settings import Course
from hpclab.grading.submissions import ipynb
from hpclab.grading.submissions.store import Store


def changes(course: Course, lab: Lab, kept: Mapping[str, KeptResult]) -> list[Change]:
    """Return what ``write`` would change. Writes nothing."""
    return gradebook.changes(course, lab, results_of(kept))


def write(course: Course, lab: Lab, kept: Mapping[str, KeptResult]) -> dict[str, str]:
    """Write the marks and record them; returns the students without a mark, with the reason. Raises GradingError."""
    store = Store(course.folder)
    written = gradebook.write(
        course, lab, results_of(kept), store.receipts(), lambda result: _notebook(store, lab, result)
    )
    record(course, kept)
    return dict(written.unmarked)


def results_of(kept: Mapping[str, KeptResult]) -> list[Result]:
    """Return the results, ordered by student id."""
    return [one.result for _, one in sorted(kept.items())]


def require_marks(lab: Lab, kept: Mapping[str, KeptResult]) -> None:
    """Raise GradingError where the grader failed on a submission, so that the instructor learns of it."""
    failed = [one for one in results_of(kept) if one.verdict is Verdict.SYSTEM_ERROR]
    if failed:
        raise GradingError(
            f"{len(failed)} of {len(kept)} submissions have no mark, for reasons of ours:\n"
            + "\n".join(f"    {one.task.student}: {one.problem.splitlines()[0]}" for one in failed),
            f"What failed stands in their results, {kept[failed[0].task.student].path.parent};"
            f" when it is repaired: hpclab grade {lab.name}",
        )


def record(course: Course, kept: Mapping[str, KeptResult]) -> None:
    """Record in the ledger what was graded, once for each result."""
    ledger = Ledger(course.folder)
    known = {(one["uuid"], one["student"], one["number"]) for one in ledger.records("graded")}
    for student, one in sorted(kept.items()):
        result, task = one.result, one.result.task
        if result.verdict is Verdict.SYSTEM_ERROR or (task.uuid, student, task.number) in known:
            continue
        ledger.append(
            "graded",
            lab=task.lab,
            student=student,
            number=task.number,
            hash=task.hash,
            uuid=task.uuid,
            seed=task.seed,
            lab_digest=result.lab_digest,
            grader=result.grader,
            image=result.image,
            verdict=str(result.verdict),
            earned=result.earned,
            points=result.points,
            result=str(one.path.relative_to(course.folder)),
            result_hash=hashlib.sha256(one.path.read_bytes()).hexdigest(),
        )


def _notebook(store: Store, lab: Lab, result: Result) -> bytes | None:
    """Return the notebook as received, where it is one that a person can read."""
    try:
        return store.read(result.task.hash, f"{lab.name}.ipynb", ipynb.MOST_BYTES)
    except GradingError:
        return None
