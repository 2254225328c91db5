"""hpclab labs: what an author of exercises needs."""

from __future__ import annotations

import gzip
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from hpclab import layout
from hpclab.errors import ExerciseError, HostUnsuitable, UsageError
from hpclab.exercises import build, commands, lint, release, scaffold, source
from hpclab.exercises.problem import Problem
from hpclab.packages import apptainer, prefix

# Commands whose manual pages the cluster's packages bring; apptainer has a page a subcommand.
SLURM = [
    *("sbatch", "srun", "salloc", "sattach", "sbcast", "scancel", "scontrol", "strigger"),
    *("squeue", "sacct", "sacctmgr", "sinfo", "sprio", "sreport", "sshare", "sstat", "sdiag"),
]
# Pages whose names do not follow the rule "program-subcommand".
TWO_WORDS = {"apptainer-run-help": ("apptainer", "run-help")}


class Labs(click.Group):
    """The group; `prove` is imported when it is used, since it needs much more than these."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "prove"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name == "prove":
            found: click.Command = importlib.import_module("hpclab.cli.prove").prove
            return found
        return super().get_command(ctx, name)


@click.group(cls=Labs)
def labs() -> None:
    """For authors: build, check, begin and release exercises.

    LAB is `01-slurm-basics/ex01-submit-monitor`, how its two words begin (`01/ex01`,
    `ex01`), a module such as `01`, or a path. Without LAB: all of them.
    """


def _notebooks() -> Path:
    return layout.clone_folder() / "notebooks"


def complete_lab(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    names = [f"{path.parent.name}/{path.stem}" for path in build.list_sources(_notebooks())]
    return [
        name
        for name in names
        if incomplete in (name[: len(incomplete)], name.split("/")[1][: len(incomplete)])
    ]


def complete_module(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in scaffold.MODULES if name.startswith(incomplete)]


def chosen_labs(which: Sequence[str]) -> list[Path]:
    """The exercises that a person names; a module's name means all of its exercises."""
    known = build.list_sources(_notebooks())
    if not known:
        raise UsageError(f"{_notebooks()} holds no exercises", "Begin one: hpclab labs new 01 'A title'")
    if not which:
        return known
    chosen: list[Path] = []
    for name in which:
        module = [path for path in known if name.rstrip("/") in (path.parent.name, path.parent.name[:2])]
        chosen += module or [build.find_exercise(name, _notebooks())]
    return list(dict.fromkeys(chosen))


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
    target = out or layout.clone_folder() / "build"
    for path in chosen_labs(lab):
        exercise = source.load(path)
        for kind in build.VIEWS:
            click.echo(build.write_view(kind, exercise, target / kind))


@labs.command("check")
@lab_argument
def check(lab: Sequence[str]) -> None:
    """Say everything that is wrong with each LAB, without running it.

    Its parts, cells, points and links; whether the learner's notebook gives an
    answer or a hidden test away; whether the commands it shows exist.
    """
    chosen = chosen_labs(lab)
    manual = dict(_manual())
    bad = 0
    for path in chosen:
        found = lint.find_problems(path, manual)
        bad += bool(found)
        name = f"{path.parent.name}/{path.stem}"
        click.echo(f"{name}: {_count(len(found), 'problem') if found else 'no problem'}")
        for problem in found:
            click.echo(f"  {_place(problem)}: {problem.what}\n      {problem.remedy}")
    if not {"sbatch", "apptainer"} <= {key[0] for key in manual}:
        click.echo(
            "Options of Slurm or Apptainer were not checked: their manual pages are not here yet. "
            "`hpclab packages` brings them."
        )
    if bad:
        raise ExerciseError(
            f"{bad} of {_count(len(chosen), 'lab')} need work", "What and where stands above."
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _place(problem: Problem) -> str:
    path = problem.path
    name = path.relative_to(layout.clone_folder()) if path.is_relative_to(layout.clone_folder()) else path
    return f"{name}, line {problem.line}" if problem.line else str(name)


@labs.command("new")
@click.argument("module", shell_complete=complete_module)
@click.argument("title")
def new_command(module: str, title: str) -> None:
    """Begin an exercise: a skeleton in the full form, at the next free number of MODULE."""
    made = scaffold.create_exercise(module, title, _notebooks())
    for path in made:
        click.echo(path)
    name = f"{made[0].parent.name}/{made[0].stem}"
    click.echo(f"It runs as it stands. Replace each TODO; `hpclab labs check {name}` counts them.")


@labs.command("release")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder: new, empty, or an earlier release. Default: build/students of the clone.",
)
@click.option(
    "--archive",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file, FILE.tar.gz; replaced where it is there.",
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
        folder = (out or layout.clone_folder() / "build" / "students").absolute()
        release.write_folder(files, folder)
        click.echo(f"{folder}: {_count(len(files), 'file')}")


def _manual() -> Iterator[tuple[tuple[str, ...], frozenset[str] | None]]:
    """Which commands and long options there are: hpclab's own, and what manual pages here tell."""
    from hpclab.cli import main

    yield from _own(main, ("hpclab",), click.Context(main))
    for folder in _pages():
        for page in [folder / f"{name}.1.gz" for name in SLURM] + sorted(folder.glob("apptainer*.1.gz")):
            if page.is_file():
                name = page.name.removesuffix(".1.gz")
                yield (
                    _words(name, folder),
                    commands.extract_options(gzip.decompress(page.read_bytes()).decode()),
                )


def _pages() -> list[Path]:
    """Folders with manual pages: of the cluster's packages if they are there, and of this machine."""
    found = [Path("/usr/share/man/man1")]
    try:
        with_apptainer = apptainer.find_installed() is None
        key = prefix.prefix_name(
            prefix.detect_distribution(), prefix.detect_architecture(), with_apptainer=with_apptainer
        )
    except HostUnsuitable:
        return found
    return [*found, layout.cache_home() / "packages" / key / "usr/share/man/man1"]


def _words(name: str, folder: Path) -> tuple[str, ...]:
    """`apptainer-remote-get-login-password` → apptainer, remote, get-login-password: each parent has a page."""
    if name in TWO_WORDS:
        return TWO_WORDS[name]
    parts = name.split("-")
    for length in range(len(parts) - 1, 0, -1):
        parent = "-".join(parts[:length])
        if (folder / f"{parent}.1.gz").is_file():
            return (*_words(parent, folder), "-".join(parts[length:]))
    return (name,)


def _own(
    command: click.Command, words: tuple[str, ...], context: click.Context
) -> Iterator[tuple[tuple[str, ...], frozenset[str] | None]]:
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    yield words, frozenset(options)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            try:
                below = command.get_command(context, name)
            except (ImportError, AttributeError):  # a part that needs what is not installed
                below = None
            if below is None:
                yield (*words, name), None
            else:
                yield from _own(below, (*words, name), click.Context(below, parent=context))
