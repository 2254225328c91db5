"""hpclab labs prove: show that an exercise gives the marks that it should.

Its reference answer gets full marks, the untouched notebook none, and every wrong answer that is
kept beside it exactly the marks that it names. Each case is a real run on a cluster of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from nbformat import NotebookNode
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpclab import headless
from hpclab.app import parallel, targets
from hpclab.app.lab_run import (
    How,
    Lab,
    attempt,
    build_folder,
    default_jobs,
    how_to_run,
    reference,
    runs_folder,
)
from hpclab.cli.common import console, progress_line
from hpclab.cli.labs import complete_lab
from hpclab.cli.progress import Board
from hpclab.cli.run import choose, width
from hpclab.errors import ExerciseError
from hpclab.exercises import build, source, views, wrong_answers
from hpclab.exercises.source import Exercise
from hpclab.headless import report

# How a check says no. A test that ends with any other error has judged nothing.
NO = ("CheckFailed:", "AssertionError:")


@dataclass(frozen=True)
class Case:
    """One run of a proof: the notebook, and the points that each test cell must give."""

    lab: Lab
    name: str  # "reference", "untouched", "round 1"
    tries: Sequence[str]  # the wrong answers in it
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
class Verdict:
    """What one case gave. ``faults`` is empty when it gave what it should."""

    got: float
    expected: float
    faults: Sequence[str]
    result: headless.Result

    @property
    def ok(self) -> bool:
        return not self.faults


def cases(path: Path, most_rounds: int | None = None) -> list[Case]:
    """The runs that prove the exercise at ``path``, at most so many of them with wrong answers."""
    exercise = source.load(path)
    full = wrong_answers.expected_marks(exercise, [])
    lab = reference(path)
    untouched = _lab(exercise, "untouched", views.proof_view(exercise, {}, untouched=True))
    found = [
        Case(lab, "reference", (), full),
        Case(untouched, "untouched", (), dict.fromkeys(full, 0.0)),
    ]
    for number, together in enumerate(
        wrong_answers.plan_rounds(wrong_answers.load_all(exercise))[:most_rounds], 1
    ):
        answers = {name: text for one in together for name, text in one.answers.items()}
        tried = _lab(exercise, f"round-{number}", views.proof_view(exercise, answers, untouched=False))
        names = tuple(one.path.stem for one in together)
        found.append(Case(tried, f"round {number}", names, wrong_answers.expected_marks(exercise, together)))
    return found


def _lab(exercise: Exercise, name: str, notebook: NotebookNode) -> Lab:
    label = f"{exercise.module}/{exercise.name}"
    file = build.write_notebook(notebook, build_folder() / "proofs" / label / name / "notebook.ipynb")
    return Lab(label, file, exercise.about.cost.seconds)


def judge(case: Case, result: headless.Result) -> Verdict:
    """Compare a run with what the case expects, test by test. Pure."""
    marks = {mark.task: mark for mark in result.marks}
    faults = []
    if result.problem:
        faults.append(result.problem)
    elif not result.complete:
        where = f"cell {result.failure.number} ({result.failure.cell})" if result.failure else "the beginning"
        why = result.failure.error if result.failure else result.log_end
        faults.append(f"job {result.job} {result.state} did not get to the notebook's end: {where}: {why}")
    elif case.name == "reference" and result.failure:
        failure = result.failure
        faults.append(f"cell {failure.number} ({failure.cell}) failed: {failure.error}")
    for test, points in case.expected.items():
        mark = marks.get(test)
        if mark is None or not mark.ran:
            faults.append(f"{test} did not run")
        elif mark.earned != points:
            said = f": {mark.said}" if mark.said else ", it passed"
            faults.append(f"{test} gave {mark.earned:g} instead of {points:g}{said}")
        elif mark.earned < mark.points and not mark.said.startswith(NO):
            faults.append(f"{test} broke, instead of saying no: {mark.said}")
    faults += [f"{test} is a test that nobody expects" for test in marks.keys() - case.expected.keys()]
    return Verdict(result.earned, sum(case.expected.values()), tuple(faults), result)


def try_out(
    case: Case, how: How, place: targets.Place, pause: parallel.Pause, note: Callable[[str], None]
) -> Verdict:
    """Run a case at ``place``, keep the run, judge it."""
    done = attempt(case.lab, how, place, pause, note)
    if case.name == "reference":
        return judge(case, headless.keep(done, case.folder))
    return judge(case, headless.write(done, case.folder))


@click.command()
@click.argument("lab", nargs=-1, shell_complete=complete_lab)
@click.option("--all", "every", is_flag=True, help="Every lab of the course, as without LAB.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="How many runs at once, each on a cluster of its own. By default 2 to 4, by the number of CPUs.",
)
@click.option(
    "--rounds",
    type=click.IntRange(0),
    help="At most so many runs with wrong answers for each lab. By default all that are needed.",
)
def prove(lab: Sequence[str], every: bool, jobs: int | None, rounds: int | None) -> None:
    """Run each LAB's reference, untouched notebook and wrong answers, and compare the marks.

    Wrong answers to different tasks are tried together in one run. The reference's run is kept in
    build/runs as by `hpclab run`, the others in build/proofs.
    """
    wanted = [case for path in choose(lab, every=every or not lab) for case in cases(path, rounds)]
    verdicts: list[tuple[Case, Verdict]] = []
    how = how_to_run()
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(parallel.Stop())
        with progress_line("looking for the cluster's programs") as progress:
            private = stack.enter_context(targets.PrivateClusters(how.settings, progress=progress))
        board = stack.enter_context(Board(console, "proofs", len(wanted)))

        def work(case: Case) -> Verdict:
            return try_out(case, how, private.fresh, stop.pause, lambda text: board.note(case.label, text))

        def finished(case: Case, verdict: Verdict) -> None:
            verdicts.append((case, verdict))
            told = "; ".join(verdict.faults) or f"{verdict.got:g} points, as expected"
            board.done(case.label, told, ok=verdict.ok)

        ordered = sorted(wanted, key=lambda case: -case.lab.seconds)
        at_once = min(jobs or default_jobs(), len(ordered)) or 1
        try:
            parallel.side_by_side(ordered, work, at_once, finished, stop, private.close)
        finally:
            report.summarize(runs_folder())
    verdicts.sort(key=lambda pair: wanted.index(pair[0]))
    show(verdicts)
    bad = [(case, verdict) for case, verdict in verdicts if not verdict.ok]
    if bad:
        raise ExerciseError(
            f"{len(bad)} of {len(verdicts)} cases did not give what they should:\n" + explain(bad),
            "Their notebooks, as they were executed:\n" + "\n".join(f"    {case.folder}" for case, _ in bad),
        )


def explain(bad: Sequence[tuple[Case, Verdict]]) -> str:
    """Every fault of these cases, a line each."""
    return "\n".join(
        "\n".join(
            [f"  {case.label} ({', '.join(case.tries) or 'no wrong answer'})", *_indented(verdict.faults)]
        )
        for case, verdict in bad
    )


def _indented(faults: Sequence[str]) -> list[str]:
    return ["      " + fault.replace("\n", "\n        ") for fault in faults]


def show(verdicts: Sequence[tuple[Case, Verdict]]) -> None:
    """The table of all cases."""
    table = Table(show_edge=False)
    for heading in ("lab", "case", "wrong answers", "expected", "got", "seconds", "verdict"):
        table.add_column(heading, overflow="fold")
    for case, verdict in verdicts:
        table.add_row(
            escape(case.lab.label),
            case.name,
            escape(", ".join(case.tries)),
            f"{verdict.expected:g}",
            f"{verdict.got:g}",
            str(verdict.result.elapsed_seconds or ""),
            "ok" if verdict.ok else "[red]wrong[/]",
        )
    Console(highlight=False, width=width()).print(table)
