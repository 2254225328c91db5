"""hpclab doctor: can this machine run the cluster; is this site ready for the labs?"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpclab.app.clusters import load_site, site_names
from hpclab.cluster import cgroups, visibility
from hpclab.doctor import judge, look
from hpclab.errors import HpclabError
from hpclab.layout import cache_home, clone_folder
from hpclab.packages import apptainer, prefix
from hpclab.sandbox import ids

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
    """Check this machine, and say how to cure what is missing."""
    findings = _machine() if site == "local" else look.of_site(load_site(site), os.environ)
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for column in ("check", "", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        colour = COLOURS[finding.verdict]
        text = finding.found + (f"\n→ {finding.remedy}" if finding.remedy and finding.verdict != "ok" else "")
        table.add_row(finding.name, Text(finding.verdict, style=colour), Text(text))
    Console(highlight=False).print(table)
    if judge.failed(findings):
        click.secho("Something is missing: see the lines marked `fail`.", fg="red", err=True)
        ctx.exit(1)


def _machine() -> list[judge.Finding]:
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    counts = {
        name: [count for _, count in ids.subids(Path("/etc", name), uid)] for name in ("subuid", "subgid")
    }
    found = _prefix()
    memory = psutil.virtual_memory()
    return look.of_machine(
        user=user,
        uid_counts=counts["subuid"],
        gid_counts=counts["subgid"],
        least_ids=ids.CLUSTER_COUNT,
        cgroup=cgroups.version(by_root=uid == 0),
        prefix=found,
        lacking=[(one.what, one.why, one.remedy) for one in prefix.manifest(found).missing] if found else [],
        packages_need=prefix.ROOM,
        memory_total=memory.total,
        memory_available=memory.available,
        hidden=_hidden(by_root=uid == 0),
        by_root=uid == 0,
    )


def _hidden(*, by_root: bool) -> tuple[str, str]:
    try:
        visibility.check([clone_folder(), Path(sys.prefix), Path(sys.base_prefix)], by_root=by_root)
    except HpclabError as problem:
        return problem.problem, problem.remedy
    return "", ""


def _prefix() -> Path | None:
    """The packages' folder if it is complete; looked up without fetching anything."""
    try:
        with_apptainer = apptainer.of_machine() is None
        key = prefix.key(prefix.distribution(), prefix.architecture(), with_apptainer=with_apptainer)
    except HpclabError:
        return None
    folder = cache_home() / "packages" / key
    return folder if prefix.complete(folder) else None


COMMANDS = [doctor]
