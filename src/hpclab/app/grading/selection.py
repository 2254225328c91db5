"""Select the versions to grade and the number of parallel tasks, and lock the course."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from hpclab import locks
from hpclab.app import lab_run
from hpclab.errors import DeadlineExceeded, GradingError, UsageError
from hpclab.grading.execute import limits
from hpclab.grading.model import Lab
from hpclab.grading.settings import Course
from hpclab.grading.submissions.counting import counting_versions
from hpclab.grading.submissions.store import Receipt, Store


def tasks_here(lab: Lab) -> int:
    """Return how many tasks this machine can run at once, given its CPUs and memory."""
    needs = limits.needs(lab, limits.limits(lab), 1)
    by_memory = psutil.virtual_memory().total // (needs.memory_mib << 20)
    # Submissions that wait for a cluster's jobs leave the CPU to others; plain Python does not.
    by_cpus = lab_run.default_parallelism() if lab.nodes else min(8, len(os.sched_getaffinity(0)))
    return max(1, min(by_cpus, by_memory))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock the course for one grading run. Raises GradingError while another one runs."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.held(folder / ".grading.lock", "another `hpclab grade`", seconds=0))
        except DeadlineExceeded:
            raise GradingError(
                f"another `hpclab grade` is at work on {folder}",
                f"Wait until it is over; this shows which process it is: fuser -v {folder}/.grading.lock",
            ) from None
        yield


def versions(course: Course, store: Store, lab: str, students: Sequence[str]) -> dict[str, Receipt]:
    """Return the versions to grade, by student. Raises UsageError when a named student has none."""
    for student in students:
        course.student(student)
    receipts = store.receipts(lab)
    graded = set(students) or set(course.students)
    counting = counting_versions(course, lab, receipts)
    found = {student: receipt for student, receipt in counting.items() if student in graded}
    missing = sorted((set(students) if students else graded) - set(found))
    late = [student for student in missing if any(one.student == student for one in receipts)]
    if late and (students or not found):
        raise UsageError(
            f"{', '.join(late)} handed {lab} in only after it had closed",
            "If it shall count, give an [[extension]] in the class's settings.",
        )
    if not found or (students and missing):
        by = f" by {', '.join(missing)}" if students else ""
        raise UsageError(
            f"nothing was handed in for {lab}{by}", f"Take it first: hpclab collect {lab} SOURCE"
        )
    return found
