"""hpclab doctor: checks of this machine or of a site."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab.app.clusters import site_names
from hpclab.app.doctor import examine
from hpclab.doctor import checks

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option(
    "--site",
    default="local",
    show_default=True,
    type=click.Choice(site_names()),
    help="`local`: can this machine run the cluster? Another: is this a login node of it, ready for labs?",
)
@click.pass_context
def doctor(ctx: click.Context, site: str) -> None:
    """Check this machine and show how to fix anything that is missing."""
    findings = examine(site)
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in ("check", "", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        text = finding.found + (f"\n→ {finding.remedy}" if finding.remedy and finding.verdict != "ok" else "")
        table.add_row(finding.name, Text(finding.verdict, style=COLOURS[finding.verdict]), Text(text))
    Console(highlight=False).print(table)
    if checks.any_failed(findings):
        click.secho("Something is missing: see the lines marked `fail`.", fg="red", err=True)
        ctx.exit(1)
