"""hpclab fault: break things on a running cluster, list what is broken, heal it."""

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


def _cluster(ctx: click.Context) -> str:
    """``--name`` is taken after `fault` and after the kind."""
    return str(ctx.params.get("name") or (ctx.parent and ctx.parent.params.get("name")) or DEFAULT_NAME)


class Kinds(click.Group):
    """The kinds of fault as commands, and what to say to other words."""

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


def _name_again(function: Any) -> Any:
    return click.option("--name", default=None, shell_complete=complete_cluster, help="Which cluster.")(
        function
    )


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Nodes or daemons of the cluster; nothing if there is none."""
    try:
        spec = lifecycle.spec_of(_cluster(ctx))
    except HpclabError:
        return []
    kind = KINDS.get(ctx.info_name or "")
    valid = kind.targets(spec) if kind and param.name == "target" else spec.node_names
    return [one for one in valid if one.startswith(incomplete)]


def complete_id(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [one.id for one in active.active(_cluster(ctx)) if one.id.startswith(incomplete)]


def _option(option: Option) -> Any:
    extra: dict[str, Any] = {"is_flag": True} if option.type is bool else {"type": option.type}
    if option.nodes:
        extra["shell_complete"] = complete_target
    shown = option.type is not bool and option.default is not None
    return click.option(
        f"--{option.name}",
        option.name.replace("-", "_"),
        default=option.default,
        required=option.required,
        show_default=shown,
        help=option.help,
        **extra,
    )


def command(kind: Kind) -> click.Command:
    """The command line of one kind of fault."""

    @click.pass_context
    def break_it(ctx: click.Context, /, target: str, name: str | None, **options: object) -> None:
        cluster = _cluster(ctx)
        values = {key.replace("_", "-"): value for key, value in options.items()}
        with console.status(f"{kind.name} {target} …"):
            made = active.inject(cluster, kind, target, values)
        tell(cluster, made)

    function: Any = break_it
    for option in reversed(kind.options):
        function = _option(option)(function)
    function = click.argument("target", metavar=kind.target.upper(), shell_complete=complete_target)(function)
    return click.command(kind.name, help=kind.help)(_name_again(function))


def tell(cluster: str, made: Fault) -> None:
    click.echo(made.did)
    click.echo(f"Expect:  {made.expect}")
    click.echo(
        f"Undo:    {active.heal_command(cluster, made)}" if made.lasts else "Undo:    nothing to undo."
    )


for _kind in KINDS.values():
    fault.add_command(command(_kind))


@fault.command("list")
@_name_again
@click.pass_context
def list_faults(ctx: click.Context, name: str | None) -> None:
    """What is broken now, since when, and how to undo it."""
    cluster = _cluster(ctx)
    lifecycle.supervisor_of(cluster)
    found = active.active(cluster)
    if not found:
        click.echo(f"Nothing is broken in cluster {cluster!r}.")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("FAULT", no_wrap=True)
    table.add_column("SINCE", no_wrap=True)
    table.add_column("WHAT")
    for one in found:
        table.add_row(one.id, since(one.since), one.did)
    wide = Console(highlight=False)
    wide.print(table) if wide.is_terminal else Console(highlight=False, width=200).print(table)
    suffix = "" if cluster == DEFAULT_NAME else f" --name {cluster}"
    click.echo(f"Undo one: hpclab fault heal FAULT{suffix}    Undo all: hpclab fault heal --all{suffix}")


def since(start: float) -> str:
    minutes, seconds = divmod(max(0, int(time.time() - start)), 60)
    hours, minutes = divmod(minutes, 60)
    ago = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"{time.strftime('%H:%M:%S', time.localtime(start))} ({ago} ago)"


@fault.command("heal")
@_name_again
@click.option("--all", "every", is_flag=True, help="All that is broken.")
@click.argument("ids", nargs=-1, metavar="[FAULT]...", shell_complete=complete_id)
@click.pass_context
def heal(ctx: click.Context, name: str | None, every: bool, ids: tuple[str, ...]) -> None:
    """Undo faults, and wait until what they broke is ready again."""
    cluster = _cluster(ctx)
    if every == bool(ids):
        there = ", ".join(one.id for one in active.active(cluster)) or "none, nothing is broken"
        raise UsageError("which fault?", f"Name faults or give --all. Active: {there}.")
    with console.status("healing …"):
        results = active.heal(cluster, None if every else ids)
    for one in results:
        if one.unready:
            click.echo(
                f"{one.fault.id} is undone, but not ready as long as this is there: {', '.join(one.unready)}."
            )
        else:
            click.echo(f"{one.fault.id} is healed.")
    done = {one.fault.id for one in results}
    for missing in (one for one in dict.fromkeys(ids) if one not in done):
        click.echo(f"{missing} is not there: nothing to heal.")
    if every and not results:
        click.echo("Nothing is broken.")


COMMANDS = [fault]
