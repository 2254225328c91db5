"""The command line: parses, composes, prints. The only place that prints or exits."""

from __future__ import annotations

import sys

import click

from hpclab import __version__
from hpclab.errors import HpclabError


class Friendly(click.Group):
    """A group whose errors are one message and a remedy, never a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HpclabError as problem:
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


def _register() -> None:
    from hpclab.cli import cluster, doctor, fault, lab, site

    for module in (cluster, fault, lab, site, doctor):
        for command in module.COMMANDS:
            main.add_command(command)


_register()

if __name__ == "__main__":
    sys.exit(main())
