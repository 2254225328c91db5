"""hpclab run: labs run headless, in parallel; a run that was interrupted is resumed by the same command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpclab import headless
from hpclab.app import lab_run, runs
from hpclab.app.clusters import site_names
from hpclab.app.lab_run import LabNotebook
from hpclab.app.labs import find_labs
from hpclab.cli.common import complete_cluster, complete_lab, console, table_width
from hpclab.cli.progress import ProgressBoard
from hpclab.errors import NotebookFailed, UsageError
from hpclab.headless import runs_table


def parse_parameters(
    _ctx: click.Context, _param: click.Parameter, values: Sequence[str]
) -> dict[str, object]:
    parameters: dict[str, object] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key.isidentifier():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        parameters[key] = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text
    return parameters


@click.command()
@click.argument("lab", nargs=-1, shell_complete=complete_lab)
@click.option("--all", "every", is_flag=True, help="Every lab of the course.")
@click.option("--fresh", is_flag=True, help="Also run labs whose last run was good and is up to date.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="How many labs run at once. On this machine each has a cluster of its own, and the default is 2 to 4,"
    " by the number of CPUs. At a site the default is 1: all labs are yours there, and one that runs"
    " `scancel --me` or fills a QOS would disturb another.",
)
@click.option(
    "--name",
    "cluster",
    default="",
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
    help="Which of the site's node types jobs get that do not name one.",
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
    callback=parse_parameters,
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
    cluster: str,
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
    Executed notebooks, logs and files go to build/runs; a lab whose last run was good and is up to
    date is not run again. A failed run never replaces a good one.
    """
    if not lab and not every:
        raise UsageError(
            "no lab is named", "Name some, for instance 01-slurm-basics/ex01 or 01, or say --all."
        )
    if cluster and site != "local":
        raise UsageError(f"--name is for embedded clusters, and {site} is a site", "Leave one of them out.")
    if cluster and jobs and jobs > 1:
        raise UsageError(
            f"--jobs {jobs} on one cluster: labs of one user would disturb each other",
            "Leave out --name and HPCLAB_CLUSTER: then each lab gets a cluster of its own.",
        )
    settings = lab_run.load_run_settings(site, cluster=cluster, gpu=gpu, account=account, qos=qos)
    settings = replace(
        settings,
        options=[*settings.options, *options],
        parameters=parameters,
        minutes=minutes or 0,
        cell_s=cell_seconds or 0,
        queue_minutes=queue_minutes or settings.queue_minutes,
    )
    labs = [lab_run.write_reference(path) for path in find_labs([] if every else lab)]
    due = []
    for notebook in labs:
        reasons = runs.reasons_to_run(notebook, settings, fresh=fresh)
        status = f"to run ({', '.join(reasons)})" if reasons else "nothing has changed since its last run"
        console.print(f"{notebook.label}: {status}", soft_wrap=True, markup=False)
        due += [notebook] if reasons else []
    if due:
        with ProgressBoard(console, "labs", len(due)) as board:

            def finished(notebook: LabNotebook, result: headless.RunResult) -> None:
                board.finish(notebook.label, result.sentence(), ok=result.ok)
                print_failure(notebook, result)

            runs.run_labs(
                due,
                settings,
                cluster=cluster,
                max_parallel=min(jobs, len(due))
                if jobs
                else runs.choose_parallelism(settings, cluster, len(due)),
                prepare=board.prepare,
                note=board.note,
                finished=finished,
            )
    results = runs.read_results(labs)
    print_results(results)
    if failed := [result.lab for result in results if not result.ok]:
        raise NotebookFailed(
            f"{len(failed)} of {len(labs)} labs did not pass: {', '.join(failed)}",
            f"The reasons are above, and in {lab_run.runs_folder() / 'summary.md'}",
        )


def print_failure(lab: LabNotebook, result: headless.RunResult) -> None:
    """Why a lab failed, where its files are, and which of them were not kept."""
    if problem := runs.failure(lab, result):
        console.print(problem.problem, style="red", markup=False, soft_wrap=True)
        console.print(problem.remedy, markup=False, soft_wrap=True)
    for file in result.skipped:
        text = f"{lab.label}: not kept: {file.path}, {file.size} bytes: {file.why}"
        console.print(text, markup=False, soft_wrap=True)


def print_results(results: Sequence[headless.RunResult]) -> None:
    """The table of these runs."""
    table = Table(show_edge=False)
    for heading in runs_table.HEADINGS:
        table.add_column(heading, overflow="fold", no_wrap=heading == "lab")
    for result in results:
        table.add_row(*(escape(cell) for cell in runs_table.format_row(result)))
    Console(highlight=False, width=table_width()).print(table)
