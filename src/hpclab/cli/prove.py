"""hpclab labs prove: show that a lab gives the marks that it should."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpclab.app import lab_run, proofs
from hpclab.app.labs import find_labs
from hpclab.app.proofs import ProofCase, ProofVerdict
from hpclab.cli.common import complete_lab, console, table_width
from hpclab.cli.progress import ProgressBoard
from hpclab.errors import ExerciseError


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
    paths = find_labs([] if every else lab)
    cases = [case for path in paths for case in proofs.build_cases(path, rounds)]
    with ProgressBoard(console, "proofs", len(cases)) as board:

        def finished(case: ProofCase, verdict: ProofVerdict) -> None:
            outcome = "; ".join(verdict.faults) or f"{verdict.earned:g} points, as expected"
            board.finish(case.label, outcome, ok=verdict.ok)

        verdicts = proofs.run_cases(
            cases,
            lab_run.load_run_settings(),
            max_parallel=min(jobs or lab_run.default_parallelism(), len(cases)),
            prepare=board.prepare,
            note=board.note,
            finished=finished,
        )
    outcomes = list(zip(cases, verdicts, strict=True))
    print_outcomes(outcomes)
    if wrong := [(case, verdict) for case, verdict in outcomes if not verdict.ok]:
        raise ExerciseError(
            f"{len(wrong)} of {len(outcomes)} cases did not give the expected points:\n"
            + proofs.explain_faults(wrong),
            "Their notebooks, as they were executed:\n"
            + "\n".join(f"    {case.folder}" for case, _ in wrong),
        )


def print_outcomes(outcomes: Sequence[tuple[ProofCase, ProofVerdict]]) -> None:
    """The table of all cases."""
    table = Table(show_edge=False)
    for heading in ("lab", "case", "wrong answers", "expected", "got", "seconds", "verdict"):
        table.add_column(heading, overflow="fold")
    for case, verdict in outcomes:
        table.add_row(
            escape(case.lab.label),
            case.name,
            escape(", ".join(case.wrong_answers)),
            f"{verdict.expected:g}",
            f"{verdict.earned:g}",
            str(verdict.result.elapsed_seconds or ""),
            "ok" if verdict.ok else "[red]wrong[/]",
        )
    Console(highlight=False, width=table_width()).print(table)
