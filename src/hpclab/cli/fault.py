"""hpclab fault: inject faults into a running cluster, list them, heal them."""

from __future__ import annotations

import difflib
import time
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hpclab.app.clusters import DEFAULT_NAME
from hpclab.cli.common import complete_cluster, console, name_option
from hpclab.cluster import lifecycle
from hpclab.cluster.faults import KINDS, active
from hpclab.cluster.faults.model import Fault, Kind, Option
from hpclab.errors import HpclabError, UsageError


def _cluster_name(ctx: click.Context) -> str:
    """``--name`` is taken after `fault` and after the kind."""
    return str(ctx.params.get("name") or (ctx.parent and ctx.parent.params.get("name")) or DEFAULT_NAME)


class Kinds(click.Group):
    """The kinds of fault as commands, with an error that names the valid ones."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], self.commands, n=1)
            guess = f"Did you mean {close[0]}? " if close else ""
            raise UsageError(
                f"there is no fault {args[0]!r}", f"{guess}Valid: {', '.join(self.list_commands(ctx))}."
            )
        return super().resolve_command(ctx, args)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the page about them


@click.group(cls=Kinds)
@name_option
def fault(name: str) -> None:
    """Break things for real, and heal them.

    Each fault says what it did, what to expect in Slurm, and the command that undoes it.
    """


def cluster_option(function: Any) -> Any:
    return click.option("--name", default=None, shell_complete=complete_cluster, help="Which cluster.")(
        function
    )


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Nodes or daemons of the cluster; nothing if there is none."""
    try:
        spec = lifecycle.spec_of(_cluster_name(ctx))
    except HpclabError:
        return []
    kind = KINDS.get(ctx.info_name or "")
    valid = kind.targets(spec) if kind and param.name == "target" else spec.node_names
    return [name for name in valid if name.startswith(incomplete)]


def complete_id(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [fault.id for fault in active.active(_cluster_name(ctx)) if fault.id.startswith(incomplete)]


def _make_option(option: Option) -> Any:
    extra: dict[str, Any] = {"is_flag": True} if option.type is bool else {"type": option.type}
    if option.nodes:
        extra["shell_complete"] = complete_target
    return click.option(
        f"--{option.name}",
        option.name.replace("-", "_"),
        default=option.default,
        required=option.required,
        show_default=option.type is not bool and option.default is not None,
        help=option.help,
        **extra,
    )


def make_command(kind: Kind) -> click.Command:
    """The command line of one kind of fault."""

    @click.pass_context
    def inject(ctx: click.Context, /, target: str, name: str | None, **options: object) -> None:
        cluster = _cluster_name(ctx)
        values = {key.replace("_", "-"): value for key, value in options.items()}
        with console.status(f"{kind.name} {target} …"):
            injected = active.inject(cluster, kind, target, values)
        print_fault(cluster, injected)

    function: Any = inject
    for option in reversed(kind.options):
        function = _make_option(option)(function)
    function = click.argument("target", metavar=kind.target.upper(), shell_complete=complete_target)(function)
    return click.command(kind.name, help=kind.help)(cluster_option(function))


def print_fault(cluster: str, injected: Fault) -> None:
    click.echo(injected.did)
    click.echo(f"Expect:  {injected.expect}")
    undo = active.heal_command(cluster, injected) if injected.lasts else "nothing to undo."
    click.echo(f"Undo:    {undo}")


for _kind in KINDS.values():
    fault.add_command(make_command(_kind))


@fault.command("list")
@cluster_option
@click.pass_context
def list_faults(ctx: click.Context, name: str | None) -> None:
    """Show what is broken now, since when, and how to undo it."""
    cluster = _cluster_name(ctx)
    lifecycle.supervisor_of(cluster)
    faults = active.active(cluster)
    if not faults:
        click.echo(f"Nothing is broken in cluster {cluster!r}.")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("FAULT", no_wrap=True)
    table.add_column("SINCE", no_wrap=True)
    table.add_column("WHAT")
    for injected in faults:
        table.add_row(injected.id, format_since(injected.since), injected.did)
    Console(highlight=False, width=None if Console().is_terminal else 200).print(table)
    suffix = "" if cluster == DEFAULT_NAME else f" --name {cluster}"
    click.echo(f"Undo one: hpclab fault heal FAULT{suffix}    Undo all: hpclab fault heal --all{suffix}")


def format_since(start: float) -> str:
    minutes, seconds = divmod(max(0, int(time.time() - start)), 60)
    hours, minutes = divmod(minutes, 60)
    ago = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"{time.strftime('%H:%M:%S', time.localtime(start))} ({ago} ago)"


@fault.command("heal")
@cluster_option
@click.option("--all", "every", is_flag=True, help="All that is broken.")
@click.argument("ids", nargs=-1, metavar="[FAULT]...", shell_complete=complete_id)
@click.pass_context
def heal(ctx: click.Context, name: str | None, every: bool, ids: tuple[str, ...]) -> None:
    """Undo faults, and wait until what they broke is ready again."""
    cluster = _cluster_name(ctx)
    if every == bool(ids):
        active_ids = (
            ", ".join(injected.id for injected in active.active(cluster)) or "none, nothing is broken"
        )
        problem = "faults are named and --all is given" if every else "no fault is named"
        raise UsageError(problem, f"Name faults or give --all. Active: {active_ids}.")
    with console.status("healing …"):
        results = active.heal(cluster, None if every else ids)
    for result in results:
        if result.unready:
            others = ", ".join(result.unready)
            click.echo(f"{result.fault.id} is undone, but not ready while these faults last: {others}.")
        else:
            click.echo(f"{result.fault.id} is healed.")
    healed = {result.fault.id for result in results}
    for missing in (name for name in dict.fromkeys(ids) if name not in healed):
        click.echo(f"{missing} is not active: nothing to heal.")
    if every and not results:
        click.echo("Nothing is broken.")
