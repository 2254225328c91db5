"""Proofs: runs that show that a lab gives the marks that it should.

Its reference answer gets full marks, the untouched notebook none, and every wrong answer that is
kept beside the lab exactly the marks that it names. Each case is a real run on a cluster of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from hpclab import headless
from hpclab.app.lab_run import (
    LabNotebook,
    RunSettings,
    build_folder,
    run_lab,
    runs_folder,
    write_reference,
)
from hpclab.app.parallel import Cancellation, Pause, run_parallel
from hpclab.app.runs import Note
from hpclab.app.targets import PrivateClusters, Progress, Target
from hpclab.exercises import build, source, views, wrong_answers
from hpclab.exercises.source import Exercise

# Errors by which a check refuses an answer. A test that ends with any other error has judged nothing.
REFUSALS = ("CheckFailed:", "AssertionError:")


@dataclass(frozen=True)
class ProofCase:
    """One run of a proof: the notebook, and the points that each test cell must give."""

    lab: LabNotebook
    name: str  # "reference", "untouched", "round 1"
    wrong_answers: Sequence[str]
    expected: Mapping[str, float]

    @property
    def label(self) -> str:
        return f"{self.lab.label}: {self.name}"

    @property
    def folder(self) -> Path:
        """Where its run is kept: the reference's is the lab's own run, of which the book is made."""
        if self.name == "reference":
            return self.lab.folder
        return build_folder() / "proofs" / self.lab.label / self.name.replace(" ", "-")


@dataclass(frozen=True)
class ProofVerdict:
    """What one case gave. ``faults`` is empty when it gave what it should."""

    earned: float
    expected: float
    faults: Sequence[str]
    result: headless.RunResult

    @property
    def ok(self) -> bool:
        return not self.faults


def build_cases(path: Path, max_rounds: int | None = None) -> list[ProofCase]:
    """The runs that prove the lab at ``path``, at most ``max_rounds`` of them with wrong answers."""
    exercise = source.load(path)
    full = wrong_answers.expected_marks(exercise, [])
    reference = write_reference(path)
    untouched = _write_lab(exercise, "untouched", views.proof_view(exercise, {}, untouched=True))
    cases = [
        ProofCase(reference, "reference", (), full),
        ProofCase(untouched, "untouched", (), dict.fromkeys(full, 0.0)),
    ]
    for number, tried in enumerate(
        wrong_answers.plan_rounds(wrong_answers.load_all(exercise))[:max_rounds], 1
    ):
        answers = {name: text for answer in tried for name, text in answer.answers.items()}
        lab = _write_lab(exercise, f"round-{number}", views.proof_view(exercise, answers, untouched=False))
        names = tuple(answer.path.stem for answer in tried)
        cases.append(ProofCase(lab, f"round {number}", names, wrong_answers.expected_marks(exercise, tried)))
    return cases


def _write_lab(exercise: Exercise, name: str, notebook: NotebookNode) -> LabNotebook:
    label = f"{exercise.module}/{exercise.name}"
    file = build.write_notebook(notebook, build_folder() / "proofs" / label / name / "notebook.ipynb")
    return LabNotebook(label, file, exercise.about.cost.seconds)


def judge_case(case: ProofCase, result: headless.RunResult) -> ProofVerdict:
    """Compare a run with what the case expects, test by test. Pure."""
    marks = {mark.task: mark for mark in result.marks}
    faults = []
    if result.problem:
        faults.append(result.problem)
    elif not result.complete:
        where = f"cell {result.failure.number} ({result.failure.cell})" if result.failure else "the beginning"
        why = result.failure.error if result.failure else result.log_end
        faults.append(
            f"job {result.job} {result.state} did not reach the end of the notebook: {where}: {why}"
        )
    elif case.name == "reference" and result.failure:
        failure = result.failure
        faults.append(f"cell {failure.number} ({failure.cell}) failed: {failure.error}")
    for test, points in case.expected.items():
        mark = marks.get(test)
        if mark is None or not mark.ran:
            faults.append(f"{test} did not run")
        elif mark.earned != points:
            why = f": {mark.message}" if mark.message else ", it passed"
            faults.append(f"{test} gave {mark.earned:g} instead of {points:g}{why}")
        elif mark.earned < mark.points and not mark.message.startswith(REFUSALS):
            faults.append(f"{test} ended with an error instead of refusing the answer: {mark.message}")
    faults += [f"{test} is a test with no expected points" for test in marks.keys() - case.expected.keys()]
    return ProofVerdict(result.earned, sum(case.expected.values()), tuple(faults), result)


def run_case(
    case: ProofCase, settings: RunSettings, target: Target, pause: Pause, progress: Progress
) -> ProofVerdict:
    """Run a case at ``target``, keep the run, judge it."""
    run = run_lab(case.lab, settings, target, pause, progress)
    keep = headless.keep if case.name == "reference" else headless.write
    return judge_case(case, keep(run, case.folder))


def run_cases(
    cases: Sequence[ProofCase],
    settings: RunSettings,
    *,
    max_parallel: int,
    prepare: Progress,
    note: Note,
    finished: Callable[[ProofCase, ProofVerdict], None],
) -> list[ProofVerdict]:
    """Run all cases, each on a cluster of its own, the longest first; their verdicts, in the order of ``cases``.

    ``prepare`` gets the steps before the first run, ``note`` those of each run, ``finished`` the
    verdicts as they come. Raises Interrupted after a signal.
    """
    verdicts: dict[str, ProofVerdict] = {}
    try:
        with (
            Cancellation() as cancellation,
            PrivateClusters(settings.environment, progress=prepare) as clusters,
        ):

            def work(case: ProofCase) -> ProofVerdict:
                progress = functools.partial(note, case.label)
                return run_case(case, settings, clusters.start, cancellation.pause, progress)

            def judged(case: ProofCase, verdict: ProofVerdict) -> None:
                verdicts[case.label] = verdict
                finished(case, verdict)

            ordered = sorted(cases, key=lambda case: -case.lab.seconds)
            run_parallel(ordered, work, max_parallel, judged, cancellation, clusters.close)
    finally:
        headless.write_summary(runs_folder())
    return [verdicts[case.label] for case in cases]


def explain_faults(cases: Sequence[tuple[ProofCase, ProofVerdict]]) -> str:
    """Every fault of these cases, a line each."""
    lines = []
    for case, verdict in cases:
        lines.append(f"  {case.label} ({', '.join(case.wrong_answers) or 'no wrong answer'})")
        lines += ["      " + fault.replace("\n", "\n        ") for fault in verdict.faults]
    return "\n".join(lines)
