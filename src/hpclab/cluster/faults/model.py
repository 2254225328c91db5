"""The description of a fault: commands that inject it, commands that undo it, and messages. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

import msgspec

from hpclab.cluster.process import Supervisor
from hpclab.cluster.spec import LOGIN, Spec
from hpclab.errors import UsageError

Command = tuple[str, ...]  # runs as the cluster's root, on the controller
READY_MS = "60000"


class Refusal(msgspec.Struct, frozen=True):
    """Output by which a command shows that this machine can't do it, and the message to show then."""

    text: str
    problem: str
    remedy: str


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was injected; recorded as JSON in the cluster's folder."""

    id: str
    kind: str
    target: str  # for display: "nid001", "slurmctld", "nid001:/tmp"
    inject: tuple[Command, ...]
    undo: tuple[Command, ...] = ()  # may run again, and after the fault has ended by itself
    ready: tuple[Command, ...] = ()  # wait until everything is ready again
    did: str
    expect: str
    node: str = ""  # the node that it breaks; empty: the whole cluster
    hinders: bool = False  # keeps its node (or the whole cluster) from getting ready
    in_node: bool = False  # ends when the node is switched off
    ends_others: bool = False  # switches its node off
    excludes: tuple[str, ...] = ()  # faults that can't be active at the same time
    refusals: tuple[Refusal, ...] = ()
    since: float = 0.0  # seconds since 1970
    supervisor: Supervisor | None = None  # the start of the cluster that it belongs to

    @property
    def lasts(self) -> bool:
        """Whether there is something to undo."""
        return bool(self.undo)


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a kind of fault, as the command line shows it."""

    name: str  # without the hyphens
    help: str
    type: type = str  # bool: a flag
    default: object = None
    required: bool = False
    nodes: bool = False  # the value is a node


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A user's request: cluster, node or daemon, and options."""

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
    """A kind of fault. ``plan`` turns a request and the output of ``probe`` into a fault."""

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
    """Return ``value`` if it is valid. Raises UsageError that lists the valid ones, the closest match first."""
    every = list(valid)
    if value in every:
        return value
    close = difflib.get_close_matches(value, every, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    raise UsageError(f"there is no {what} {value!r}", f"{guess}Valid: {shown or ', '.join(every)}.")


def shown_nodes(spec: Spec, valid: tuple[str, ...]) -> str:
    """Return the valid nodes as a Slurm hostlist where possible."""
    return f"{LOGIN}, {spec.node_range}" if LOGIN in valid else spec.node_range


def on_node(node: str, *argv: str) -> Command:
    return ("/run/hpclab/bin/fault-in-node", node, *argv)


def node_ready(node: str) -> Command:
    return ("/run/hpclab/bin/fault-await-node", node, READY_MS)


def with_cable(node: str, *argv: str) -> Command:
    """Return ``argv`` run at the node's end of its cable, which works even when the node is off."""
    return ("nsenter", f"--net=/run/netns/{node}", *argv)


def number(value: float) -> str:
    return f"{value:g}"
