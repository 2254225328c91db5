"""hpclab run: labs with nobody at the keyboard, side by side, resumed where they left off."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpclab import headless
from hpclab.app import parallel, targets
from hpclab.app.clusters import site_names
from hpclab.app.lab_run import How, Lab, attempt, default_jobs, how_to_run, reference, runs_folder, stamp
from hpclab.cli.common import complete_cluster, console, progress_line
from hpclab.cli.labs import chosen_labs, complete_lab
from hpclab.cli.progress import Board
from hpclab.errors import NotebookFailed, UsageError
from hpclab.headless import kept, report

DAY = 24 * 60  # minutes


def _parameter(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, object]:
    parsed: dict[str, object] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key.isidentifier():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        parsed[key] = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text
    return parsed


def choose(which: Sequence[str], *, every: bool) -> list[Path]:
    """The labs that a person names, each once; a module's name or number means all of its labs."""
    if not which and not every:
        raise UsageError(
            "no lab is named", "Name some, for instance 01-slurm-basics/ex01 or 01, or say --all."
        )
    return chosen_labs([] if every else which)


@click.command()
@click.argument("lab", nargs=-1, shell_complete=complete_lab)
@click.option("--all", "every", is_flag=True, help="Every lab of the course.")
@click.option("--fresh", is_flag=True, help="Run also what ran well before and has not changed since.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="How many labs at once. On this machine each has a cluster of its own, and the default is 2 to 4, by"
    " the number of CPUs. At a site the default is 1: the labs are all yours there, and one that says"
    " `scancel --me` or fills a QOS would meet another.",
)
@click.option(
    "--name",
    envvar="HPCLAB_CLUSTER",
    shell_complete=complete_cluster,
    help="Run on this embedded cluster, one lab at a time, instead of on clusters of their own.",
)
@click.option(
    "--site",
    default="local",
    show_default=True,
    type=click.Choice(site_names()),
    help="Where: `local` is the embedded cluster; another one is the site whose login node this is.",
)
@click.option("--account", default="", help="The account that jobs are charged to, the labs' own as well.")
@click.option("--qos", default="", help="The QOS of the notebook's job. By default the site profile's.")
@click.option(
    "--gpu/--no-gpu",
    default=True,
    show_default=True,
    help="Which of the site's node types jobs name where they name none.",
)
@click.option(
    "--sbatch",
    "options",
    multiple=True,
    metavar="OPTION",
    help="One more option for the notebook's job, such as --sbatch=--mem=4G or --sbatch=--gpus=1.",
)
@click.option(
    "--param",
    "parameters",
    multiple=True,
    callback=_parameter,
    metavar="NAME=VALUE",
    help="A papermill parameter of the notebooks.",
)
@click.option(
    "--minutes",
    type=click.IntRange(1),
    help="Time limit of each notebook's job. By default 15, more for labs that take long.",
)
@click.option(
    "--cell-seconds",
    type=click.IntRange(1),
    help="How long one cell may take. By default two thirds of the job's limit.",
)
@click.option(
    "--queue-minutes",
    type=click.IntRange(1),
    help="How long a job may wait for its start. By default 10, at a site a day.",
)
def run(
    lab: Sequence[str],
    every: bool,
    fresh: bool,
    jobs: int | None,
    name: str | None,
    site: str,
    account: str,
    qos: str,
    gpu: bool,
    options: Sequence[str],
    parameters: dict[str, object],
    minutes: int | None,
    cell_seconds: int | None,
    queue_minutes: int | None,
) -> None:
    """Run the reference version of each LAB headless: a Slurm job with papermill on a node.

    LAB is the beginning of a lab's name, a module such as 01, or the path of a text or notebook.
    Executed notebooks, logs and files go to build/runs; a lab that ran well and has not changed
    since is not run again. A failed run never replaces a good one.
    """
    if name and site != "local":
        raise UsageError(f"--name is for embedded clusters, and {site} is a site", "Leave one of them out.")
    if name and jobs and jobs > 1:
        raise UsageError(
            f"--jobs {jobs} on one cluster: labs of one user would disturb each other",
            "Leave out --name and HPCLAB_CLUSTER: then each lab gets a cluster of its own.",
        )
    usual = how_to_run(site, name=name or "", gpu=gpu, account=account, qos=qos)
    how = replace(
        usual,
        options=[*usual.options, *options],
        parameters=parameters,
        minutes=minutes or 0,
        cell_seconds=cell_seconds or 0,
        queue_minutes=queue_minutes or (10 if site == "local" else DAY),
        slowest=2.0 if site == "local" else 15.0,
    )
    labs = [reference(path) for path in choose(lab, every=every)]
    due = [one for one in labs if is_due(one, how, fresh=fresh)]
    due.sort(key=lambda one: -one.seconds)  # the long ones first, so that none of them ends alone
    try:
        if due:
            at_once = jobs or (default_jobs() if site == "local" and not name else 1)
            _run_all(due, how, site, name, min(at_once, len(due)))
    finally:
        found = {result.lab: result for result in report.summarize(runs_folder())}
    mine = [found[one.label] for one in labs if one.label in found]
    show(mine)
    failed = [result for result in mine if not result.ok]
    if failed:
        raise NotebookFailed(
            f"{len(failed)} of {len(labs)} labs did not pass: {', '.join(result.lab for result in failed)}",
            f"What happened stands above, and in {runs_folder() / 'summary.md'}",
        )


def is_due(lab: Lab, how: How, *, fresh: bool) -> bool:
    """Whether ``lab`` has to run, and say why."""
    reasons = ["--fresh"] if fresh else headless.reasons_to_run(lab.folder, stamp(lab, how))
    if reasons:
        console.print(f"{lab.label}: to run ({', '.join(reasons)})", soft_wrap=True, markup=False)
    else:
        console.print(f"{lab.label}: nothing has changed since its last run", soft_wrap=True, markup=False)
    return bool(reasons)


def _run_all(labs: Sequence[Lab], how: How, site: str, name: str | None, at_once: int) -> None:
    """Run the labs, keep each run, and say of each how it went."""
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(parallel.Stop())
        place, stopping = targets.at_site(how.settings), parallel.nothing
        if site == "local" and name:
            with progress_line("starting") as progress:
                place = stack.enter_context(targets.named(name, how.settings, progress))
        elif site == "local":
            with progress_line("looking for the cluster's programs") as progress:
                private = stack.enter_context(targets.PrivateClusters(how.settings, progress=progress))
            place, stopping = private.fresh, private.close
        board = stack.enter_context(Board(console, "labs", len(labs)))

        def work(lab: Lab) -> headless.Run:
            return attempt(lab, how, place, stop.pause, lambda text: board.note(lab.label, text))

        def finished(lab: Lab, done: headless.Run) -> None:
            result = headless.keep(done, lab.folder)
            board.done(lab.label, result.sentence(), ok=result.ok)
            complain(lab, result)

        parallel.side_by_side(labs, work, at_once, finished, stop, stopping)


def complain(lab: Lab, result: headless.Result) -> None:
    """Say why a lab failed, and what is left of it and of the last good run."""
    try:
        headless.require(result, whereabouts(lab.folder))
    except NotebookFailed as problem:
        console.print(problem.problem, style="red", markup=False, soft_wrap=True)
        console.print(problem.remedy, markup=False, soft_wrap=True)
    for file in result.skipped:
        told = f"{lab.label}: not kept: {file.path}, {file.size} bytes: {file.why}"
        console.print(told, markup=False, soft_wrap=True)


def whereabouts(folder: Path) -> str:
    """Where the files of a failed run are, and whether a good one is still there."""
    failed = folder / kept.FAILED.notebook
    lines = [f"The failed notebook, as far as it came: {failed}"] if failed.exists() else []
    lines += [f"Its log: {folder / kept.FAILED.log}"] if (folder / kept.FAILED.log).exists() else []
    if good := headless.read(folder):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(good.written))
        lines.append(f"The last good run, of {when}, stays as it was: {folder / headless.EXECUTED}")
    return "\n".join(lines)


def show(results: Sequence[headless.Result]) -> None:
    """The table of these runs."""
    table = Table(show_edge=False)
    for heading in report.HEADINGS:
        table.add_column(heading, overflow="fold", no_wrap=heading == "lab")
    for result in results:
        table.add_row(*(escape(cell) for cell in report.cells(result)))
    Console(highlight=False, width=width()).print(table)


def width() -> int | None:
    """Columns for a table: the terminal's, or in a file enough for every name."""
    return None if Console().is_terminal else 140
