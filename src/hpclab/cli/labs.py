"""hpclab labs: build, check, begin and release labs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from hpclab import layout
from hpclab.app import manual
from hpclab.app.lab_run import build_folder
from hpclab.app.labs import find_labs
from hpclab.cli.common import complete_lab
from hpclab.errors import ExerciseError, UsageError
from hpclab.exercises import build, lint, release, scaffold, source
from hpclab.exercises.commands import Manual
from hpclab.exercises.problem import Problem


class Labs(click.Group):
    """The group; `prove` is imported when it is used, since it needs much more than these."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "prove"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name == "prove":
            command: click.Command = importlib.import_module("hpclab.cli.prove").prove
            return command
        return super().get_command(ctx, name)


@click.group(cls=Labs)
def labs() -> None:
    """For authors: build, check, begin and release labs.

    LAB is `01-slurm-basics/ex01-submit-monitor`, how its two words begin (`01/ex01`, `ex01`), a module such as
    `01`, or a path. Without LAB: all of them.
    """


def complete_module(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in scaffold.MODULES if name.startswith(incomplete)]


lab_argument = click.argument("lab", nargs=-1, shell_complete=complete_lab)


@labs.command("build")
@lab_argument
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where to; by default the folder `build` of the clone.",
)
def build_command(lab: Sequence[str], out: Path | None) -> None:
    """Write the learner's, the grader's and the reference notebook of each LAB."""
    for path in find_labs(lab):
        exercise = source.load(path)
        for kind in build.VIEWS:
            click.echo(build.write_view(kind, exercise, (out or build_folder()) / kind))


@labs.command("check")
@lab_argument
@click.pass_context
def check(ctx: click.Context, lab: Sequence[str]) -> None:
    """List every problem of each LAB, without running it.

    Checked are its parts, cells, points and links; whether the learner's notebook contains an
    answer or a hidden test; whether the commands it shows exist.
    """
    paths = find_labs(lab)
    known = known_commands(ctx.find_root().command)
    failed = 0
    for path in paths:
        problems = lint.find_problems(path, known)
        failed += bool(problems)
        count = _count(len(problems), "problem") if problems else "no problem"
        click.echo(f"{path.parent.name}/{path.stem}: {count}")
        for problem in problems:
            click.echo(f"  {_locate(problem)}: {problem.what}\n      {problem.remedy}")
    if not manual.has_cluster_commands(known):
        click.echo(
            "Options of Slurm or Apptainer were not checked: their manual pages are not here yet. "
            "`hpclab packages` brings them."
        )
    if failed:
        raise ExerciseError(f"{failed} of {_count(len(paths), 'lab')} need work", "The problems are above.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _locate(problem: Problem) -> str:
    path = problem.path
    name = path.relative_to(layout.clone_folder()) if path.is_relative_to(layout.clone_folder()) else path
    return f"{name}, line {problem.line}" if problem.line else str(name)


@labs.command("new")
@click.argument("module", shell_complete=complete_module)
@click.argument("title")
def new_command(module: str, title: str) -> None:
    """Begin a lab: a skeleton in the full form, at the next free number of MODULE."""
    files = scaffold.create_exercise(module, title, layout.clone_folder() / "notebooks")
    for path in files:
        click.echo(path)
    name = f"{files[0].parent.name}/{files[0].stem}"
    click.echo(f"It runs as it is. Replace each TODO; `hpclab labs check {name}` counts them.")


@labs.command("release")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder: new, empty, or an earlier release. Default: build/students of the clone.",
)
@click.option(
    "--archive",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file, FILE.tar.gz; an existing one is replaced.",
)
def release_command(out: Path | None, archive: Path | None) -> None:
    """Write the learners' edition of the course, ready for nbgitpuller or as an archive."""
    if archive and not archive.name.endswith((".tar.gz", ".tgz")):
        raise UsageError(f"--archive {archive} is no .tar.gz", "Name a file that ends in .tar.gz.")
    files = release.collect_files(layout.clone_folder())
    if archive:
        release.write_archive(files, archive.absolute())
        click.echo(f"{archive}: {_count(len(files), 'file')}")
    if out or not archive:
        folder = (out or build_folder() / "students").absolute()
        release.write_folder(files, folder)
        click.echo(f"{folder}: {_count(len(files), 'file')}")


def known_commands(hpclab: click.Command) -> Manual:
    """The commands and long options that a lab may name: hpclab's own, and those of the manual pages here."""
    own = dict(_walk(hpclab, ("hpclab",), click.Context(hpclab)))
    return {**own, **manual.read_pages(manual.page_folders())}


def _walk(
    command: click.Command, path: tuple[str, ...], context: click.Context
) -> Iterator[tuple[tuple[str, ...], frozenset[str] | None]]:
    """A command and its subcommands with their options; None for a command that cannot be imported here."""
    yield (
        path,
        frozenset(option for param in command.params for option in (*param.opts, *param.secondary_opts)),
    )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            try:
                subcommand = command.get_command(context, name)
            except (ImportError, AttributeError):
                subcommand = None
            if subcommand is None:
                yield (*path, name), None
            else:
                yield from _walk(subcommand, (*path, name), click.Context(subcommand, parent=context))
