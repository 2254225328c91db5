"""The command line: parses, composes, prints. The only place that prints or exits."""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import socket
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from hpclab import __version__
from hpclab.errors import HpclabError
from hpclab.layout import INSIDE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# jsonschema, which nbformat needs, compiles a grammar of international web addresses as it is imported: 1.5 s,
# for a check that nobody here asks for. None stands for "not installed", and then it goes without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


class CommandEntry(NamedTuple):
    """A command, without importing it."""

    place: str  # MODULE:ATTRIBUTE below hpclab.cli
    extra: str  # the extra of pyproject.toml that has what the command needs; "": the base install
    help: str  # how the command's own help begins; tests/unit/test_command_table.py compares them


# A module is imported when its command runs: `hpclab status` need not wait for the notebook libraries,
# and `hpclab --help` and completion of a command's name wait for none of them.
COMMANDS = {
    "up": CommandEntry("cluster:up", "cluster", "Start a cluster on this machine."),
    "down": CommandEntry("cluster:down", "cluster", "Stop a cluster."),
    "status": CommandEntry(
        "cluster:status", "cluster", "Show what is running, and what is real and what is emulated."
    ),
    "shell": CommandEntry(
        "cluster:shell",
        "cluster",
        "Log in: a shell where sbatch, srun, sacct, module, apptainer and python work.",
    ),
    "exec": CommandEntry("cluster:execute", "cluster", "Run one command on the cluster."),
    "logs": CommandEntry("cluster:logs", "cluster", "Show the log of WHAT."),
    "fault": CommandEntry("fault:fault", "cluster", "Break things for real, and heal them."),
    "lab": CommandEntry("lab:lab", "cluster", "Start the cluster, prepare the notebooks, open JupyterLab."),
    "run": CommandEntry("run:run", "cluster", "Run the reference version of each LAB headless."),
    "labs": CommandEntry("labs:labs", "cluster", "For authors: build, check, begin and release labs."),
    "book": CommandEntry("book:book", "book", "The course's book."),
    "course": CommandEntry("course:course", "grading", "Begin a course, show its settings, print receipts."),
    "collect": CommandEntry("collect:collect", "grading", "Take submissions of LAB from SOURCE."),
    "grade": CommandEntry("grade:grade", "grading", "Grade what the class handed in for LAB."),
    "audit": CommandEntry("audit:audit", "grading", "Check the records of a course."),
    "release": CommandEntry("release:release", "grading", "Release LAB to a course."),
    "feedback": CommandEntry("feedback:feedback", "grading", "Write feedback on LAB for each student."),
    "report": CommandEntry("report:report", "grading", "Show how the course did in LAB."),
    "export": CommandEntry("export:export", "grading", "Write the marks of LAB as CSV."),
    "site": CommandEntry("site:site", "", "What differs between clusters."),
    "doctor": CommandEntry(
        "doctor:doctor", "", "Check this machine and show how to fix anything that is missing."
    ),
    "packages": CommandEntry(
        "cluster:packages", "cluster", "Fetch the system packages that a cluster needs."
    ),
}
# How a clone gets an extra, with the versions that are locked.
IN_A_CLONE = {"book": "make dev"}


# What usually helps when the system refuses; the refusal itself names the file.
REMEDIES: dict[int | None, str] = {
    errno.ENOSPC: "Make room there, or choose other folders with HPCLAB_STATE=FOLDER and HPCLAB_CACHE=FOLDER.",
    errno.EDQUOT: "Your quota is used up there; choose other folders with HPCLAB_STATE=FOLDER and HPCLAB_CACHE=FOLDER.",
    errno.EROFS: "Choose folders you can write to: HPCLAB_STATE=FOLDER, HPCLAB_CACHE=FOLDER; the clone must be writable too.",
    errno.EACCES: "Choose folders you can write to: HPCLAB_STATE=FOLDER, HPCLAB_CACHE=FOLDER; the clone must be yours.",
}


class Friendly(click.Group):
    """A group whose errors are one message and a remedy, never a traceback."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        if name != "site" and INSIDE.joinpath("bin/enter").exists():
            raise HpclabError(
                f"you are on node {socket.gethostname()!r} of the cluster, and `hpclab {name}` is for the machine outside",
                "Here, use Slurm's own commands: sinfo, squeue, sbatch, srun, sacct.",
            )
        module, attribute = COMMANDS[name].place.split(":")
        found: click.Command = getattr(importlib.import_module(f"hpclab.cli.{module}"), attribute)
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=entry.help)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        ctx.invoked_subcommand = args[0]  # click sets it once the command is imported, which may fail
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (HpclabError, OSError, ModuleNotFoundError) as caught:
            problem = _explain(caught, ctx.invoked_subcommand or "")
            click.secho(f"hpclab: {problem.problem}", fg="red", err=True)
            if problem.remedy:
                click.echo(problem.remedy, err=True)
            ctx.exit(problem.exit_code)


def _explain(caught: HpclabError | OSError | ModuleNotFoundError, command: str) -> HpclabError:
    """The message for a person; a missing module of our own is a mistake in the code, and stays one."""
    if isinstance(caught, HpclabError):
        return caught
    if isinstance(caught, OSError):
        return HpclabError(str(caught), REMEDIES.get(caught.errno, ""))
    package = (caught.name or "hpclab").partition(".")[0]
    if package == "hpclab" or command not in COMMANDS:
        raise caught
    extra = COMMANDS[command].extra
    wanted = f"'hpclab[{extra}]'" if extra else "hpclab"
    return HpclabError(
        f"`hpclab {command}` needs the Python package {package!r}, which is not installed",
        f"Install it with the rest of what this command needs: pip install {wanted}"
        f"    (in a clone of the course: {IN_A_CLONE.get(extra, 'make setup')})",
    )


@click.group(cls=Friendly, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hpclab")
def main() -> None:
    """A course in high-performance computing on a real Slurm.

    `hpclab up` starts a cluster on this machine, `hpclab shell` logs in to it, `hpclab down` stops it. Nothing on
    the machine itself is configured.
    """


def program() -> None:
    """The command `hpclab`."""
    atexit.register(_leave)
    main()


def _leave() -> None:
    """Skip Python's last garbage collection: 0.3 s, and the process ends anyway.

    Not after lief: nanobind, of which its binding is made, prints as leaked what is not collected.
    """
    if "lief" not in sys.modules:
        gc.freeze()
