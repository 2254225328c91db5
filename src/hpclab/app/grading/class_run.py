"""One grading run of a course: its tasks, rounds until all have a result, and recovery of earlier runs."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from hpclab import locks
from hpclab.app import parallel, targets
from hpclab.app.grading import version
from hpclab.app.grading.results import Collected, KeptResult, Reporter
from hpclab.app.grading.rounds import ALIVE, GradingOptions, RunRound, open_rounds, watch
from hpclab.app.grading.spool import OPEN, OpenBatch, close, opened
from hpclab.errors import GradingError
from hpclab.grading import batch as batches
from hpclab.grading import worker
from hpclab.grading.batch import TRIES, Batch
from hpclab.grading.execute import limits as limiting
from hpclab.grading.model import Lab, Task
from hpclab.grading.records.ledger import Ledger
from hpclab.grading.submissions.store import Receipt, Store


def seed_of(content: str, lab: Lab) -> int:
    """Return the seed for a test's random numbers: the same whenever this submission is graded against this lab."""
    return int.from_bytes(hashlib.sha256(f"{content} {lab.digest}".encode()).digest()[:6])


def tasks_for(receipts: Mapping[str, Receipt], lab: Lab, name: str) -> tuple[Task, ...]:
    return tuple(
        Task(
            lab=lab.name,
            student=student,
            number=receipt.number,
            hash=receipt.hash,
            received=receipt.received,
            uuid=name,
            seed=seed_of(receipt.hash, lab),
        )
        for student, receipt in sorted(receipts.items())
    )


def run(
    folder: Path,
    lab: Lab,
    receipts: Mapping[str, Receipt],
    how: GradingOptions,
    parts: Sequence[str],
    reporter: Reporter,
) -> dict[str, KeptResult]:
    """Grade these submissions with the grader whose files are ``parts``; returns a result for each.

    Raises HpclabError; results collected by then are kept.
    """
    name, number = str(uuid.uuid4()), time.strftime("%Y%m%d-%H%M%S")
    limits = limiting.limits(lab)
    batch = Batch(
        id=f"{number}-{secrets.token_hex(2)}",
        uuid=name,
        lab=lab.name,
        module=lab.module,
        nodes=lab.nodes,
        lab_digest=lab.digest,
        grader=version.grader(parts),
        parts=tuple(parts),
        image=digest(how.image) if how.image else "",
        limits=limits,
        needs=limiting.needs(lab, limits, worker.TRIES),
        tasks=tasks_for(receipts, lab, name),
    )
    home = folder / "batches" / lab.name / batch.id
    store = Store(folder)
    with opened(home, batch, lab, how, store) as spool:
        ledger = Ledger(folder)
        for task in batch.tasks:
            ledger.append(
                "queued", lab=lab.name, student=task.student, number=task.number, uuid=name, batch=batch.id
            )
        collected = Collected(home, spool, batch, lab, reporter)
        with open_rounds(home, spool, batch, lab, how, collected, reporter) as run_round:
            _until_all(batch, lab, spool, how, collected, run_round, reporter)
    return collected.found


def digest(image: Path) -> str:
    """Return the SHA-256 of an image file."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _until_all(
    batch: Batch,
    lab: Lab,
    spool: Path,
    how: GradingOptions,
    collected: Collected,
    run_round: RunRound,
    reporter: Reporter,
) -> None:
    """Run rounds until each submission has a result or has used all its tries."""
    tried: dict[str, int] = dict.fromkeys((task.student for task in batch.tasks), 0)
    number = 0
    while True:
        collected.look()
        left = [task.student for task in batch.tasks if task.student not in collected.found]
        left = [student for student in left if tried[student] < TRIES]
        if not left:
            break
        number += 1
        plain = not lab.nodes
        shared = batches.packs(
            left, plain=plain, at_once=how.at_once, again=any(tried[student] for student in left)
        )
        for student in (student for pack in shared for student in pack):
            tried[student] += 1
            (spool / "results" / f"{student}.done").unlink(missing_ok=True)
        batches.write_round(spool, number, shared)
        if number > 1:
            reporter.say(f"{len(left)} of {len(batch.tasks)} without a result: they are submitted again")
        run_round(number, shared)
    for task in batch.tasks:
        if task.student not in collected.found:
            why = (
                collected.troubles.get(task.student) or "its task ended without a result; its log may say why"
            )
            why += f"\nThe logs of its tasks: {collected.home / 'log'}"
            collected.keep(batches.build_system_error(batch, task, why, tried[task.student]))


def recover(folder: Path, lab: Lab, how: GradingOptions, reporter: Reporter) -> None:
    """Keep the results of unfinished batches, and remove their spools."""
    for mark in sorted((folder / "batches" / lab.name).glob(f"*/{OPEN}")):
        home = mark.parent
        try:
            left = msgspec.json.decode(mark.read_bytes(), type=OpenBatch)
        except (OSError, msgspec.MsgspecError) as problem:
            raise GradingError(
                f"{mark}: {problem}",
                "The file is damaged. Check the disk, delete the file, and run the command again.",
            ) from None
        spool = Path(left.spool)
        if not batches.is_written(spool):  # the command was killed before anything was submitted
            close(home, spool)
            continue
        try:
            batch = batches.read(spool)
            then = batches.read_lab(spool, batch)
        except GradingError as problem:
            raise GradingError(
                f"an earlier run of {lab.name} cannot be read: {problem.problem}",
                f"If another version of the course made it, use that one, or give it up: rm -r {spool} {mark}",
            ) from None
        collected = Collected(home, spool, batch, then, reporter)
        if left.site == "local":
            with locks.held(home / ALIVE, "the workers of an earlier command to end", seconds=60):
                pass  # they are killed with their command
        elif left.site == how.site:
            reporter.say(f"looking for jobs of the batch {batch.id}, which an earlier command left")
            with (
                parallel.Cancellation() as stop,
                targets.at_site(how.usual.environment)(reporter.say) as launch,
            ):
                watch(launch, batch, how, collected.gather, reporter, stop)
        else:
            raise GradingError(
                f"an earlier run of {lab.name} at the site {left.site!r} is not over",
                f"Bring it to its end first: hpclab grade {lab.name} --site {left.site}",
            )
        collected.gather()
        close(home, spool)
