"""What a fault is: commands that break something, commands that undo it, and words. Touches nothing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

import msgspec

from hpclab.cluster.process import Supervisor
from hpclab.cluster.spec import LOGIN, Spec
from hpclab.errors import UsageError

Command = tuple[str, ...]  # runs as the cluster's root, where the controller runs
READY_MS = "60000"


class Refusal(msgspec.Struct, frozen=True):
    """Words by which a command says that this machine cannot do it, and what to tell the person."""

    text: str
    problem: str
    remedy: str


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault as it was made; its record in the cluster's folder is this, as JSON."""

    id: str
    kind: str
    target: str  # for people: "nid001", "slurmctld", "nid001:/tmp"
    inject: tuple[Command, ...]
    undo: tuple[Command, ...] = ()  # may be run again, and when the fault is gone by itself
    ready: tuple[Command, ...] = ()  # wait until all is well again
    did: str
    expect: str
    node: str = ""  # the node that it breaks; empty: the whole cluster
    hinders: bool = False  # while it lasts, its node (or the whole cluster) does not get ready
    in_node: bool = False  # ends when the node is switched off
    ends_others: bool = False  # switches its node off
    excludes: tuple[str, ...] = ()  # faults that must not be there at the same time
    refusals: tuple[Refusal, ...] = ()
    since: float = 0.0  # seconds since 1970
    supervisor: Supervisor | None = None  # the start of the cluster that it belongs to

    @property
    def lasts(self) -> bool:
        """Whether there is something to heal."""
        return bool(self.undo)


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a kind of fault, as the command line shows it."""

    name: str  # without the hyphens
    help: str
    type: type = str  # bool: a flag
    default: object = None
    required: bool = False
    nodes: bool = False  # its value is a node


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asked for: on which cluster, which node or daemon, which options."""

    spec: Spec
    target: str
    options: Mapping[str, object] = {}

    def text(self, name: str) -> str:
        return str(self.options.get(name) or "")

    def number(self, name: str) -> float:
        value = self.options.get(name)
        return float(value) if isinstance(value, (int, float)) else 0.0

    def flag(self, name: str) -> bool:
        return bool(self.options.get(name))


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of fault. ``plan`` turns a request, and what ``probe`` printed, into a fault."""

    name: str
    help: str
    plan: Callable[[Ask, str], Fault]
    probe: Callable[[Ask], Command | None] = lambda _: None
    targets: Callable[[Spec], tuple[str, ...]]
    target: str  # the argument's name
    options: tuple[Option, ...] = ()


def compute_nodes(spec: Spec) -> tuple[str, ...]:
    return spec.node_names


def any_node(spec: Spec) -> tuple[str, ...]:
    return (LOGIN, *spec.node_names)


def require_valid(value: str, valid: Iterable[str], what: str, shown: str = "") -> str:
    """``value`` if it is valid. Raises UsageError that names the valid ones, the likeliest first."""
    every = list(valid)
    if value in every:
        return value
    close = difflib.get_close_matches(value, every, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    raise UsageError(f"there is no {what} {value!r}", f"{guess}Valid: {shown or ', '.join(every)}.")


def shown_nodes(spec: Spec, valid: tuple[str, ...]) -> str:
    """The valid nodes, as short as Slurm writes them."""
    return f"{LOGIN}, {spec.node_range}" if LOGIN in valid else spec.node_range


def on_node(node: str, *argv: str) -> Command:
    return ("/run/hpclab/bin/fault-in-node", node, *argv)


def node_ready(node: str) -> Command:
    return ("/run/hpclab/bin/fault-await-node", node, READY_MS)


def with_cable(node: str, *argv: str) -> Command:
    """``argv`` at the node's end of its cable, also when the node is off."""
    return ("nsenter", f"--net=/run/netns/{node}", *argv)


def number(value: float) -> str:
    return f"{value:g}"
