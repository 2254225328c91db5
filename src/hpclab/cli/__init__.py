"""The command line: parses, composes, prints. The only place that prints or exits."""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import socket
import sys

import click

from hpclab import __version__
from hpclab.errors import HpclabError
from hpclab.layout import INSIDE

# jsonschema, which nbformat needs, compiles a grammar of international web addresses as it is imported: 1.5 s,
# for a check that nobody here asks for. None stands for "not installed", and then it goes without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# Which module holds a command. A module is imported when its command is used:
# `hpclab status` need not wait for the notebook libraries.
COMMANDS = {
    "up": "cluster:up",
    "down": "cluster:down",
    "status": "cluster:status",
    "shell": "cluster:shell",
    "exec": "cluster:execute",
    "logs": "cluster:logs",
    "fault": "fault:fault",
    "lab": "lab:lab",
    "run": "run:run",
    "labs": "labs:labs",
    "book": "book:book",
    "course": "course:course",
    "collect": "collect:collect",
    "grade": "grade:grade",
    "audit": "audit:audit",
    "release": "release:release",
    "feedback": "feedback:feedback",
    "report": "report:report",
    "export": "export:export",
    "site": "site:site",
    "doctor": "doctor:doctor",
    "packages": "cluster:packages",
}


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
        module, attribute = COMMANDS[name].split(":")
        found: click.Command = getattr(importlib.import_module(f"hpclab.cli.{module}"), attribute)
        return found

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (HpclabError, OSError) as caught:
            problem = (
                caught
                if isinstance(caught, HpclabError)
                else HpclabError(str(caught), REMEDIES.get(caught.errno, ""))
            )
            click.secho(f"hpclab: {problem.problem}", fg="red", err=True)
            if problem.remedy:
                click.echo(problem.remedy, err=True)
            ctx.exit(problem.exit_code)


@click.group(cls=Friendly, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hpclab")
def main() -> None:
    """A course in high-performance computing on a real Slurm.

    `hpclab up` starts a cluster on this machine, `hpclab shell` logs in to it,
    `hpclab down` stops it. Nothing on the machine itself is configured.
    """


def program() -> None:
    """The command `hpclab`."""
    atexit.register(gc.freeze)  # Python's last look for rubbish takes 0.3 s, and all of it goes anyway
    main()
