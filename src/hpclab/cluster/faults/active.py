"""Inject, record, list and undo faults. The other modules decide what to do."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from hpclab import layout, locks
from hpclab.cluster import entry, lifecycle
from hpclab.cluster.faults import KINDS
from hpclab.cluster.faults.model import Ask, Command, Fault, Kind, require_valid, shown_nodes
from hpclab.cluster.process import Supervisor
from hpclab.cluster.spec import LOGIN
from hpclab.errors import ClusterError, DeadlineExceeded, HostUnsuitable, HpclabError
from hpclab.shell import run

SWITCHED_OFF = 69  # exit status of files/fault-in-node when the node is off
PATIENCE = 120.0  # seconds for one command; commands that wait have their own deadlines


class Healed(msgspec.Struct, frozen=True):
    """A fault that was undone; ``unready`` names the faults because of which its node wasn't waited for."""

    fault: Fault
    unready: tuple[str, ...] = ()


def folder(name: str) -> Path:
    return layout.cluster_folder(name) / "faults"


def active(name: str) -> list[Fault]:
    """Return the faults of the running cluster, oldest first; empty when it isn't running."""
    supervisor = lifecycle.running(name)
    return [] if supervisor is None else current(recorded(folder(name)), supervisor)


def recorded(place: Path) -> list[Fault]:
    """Return every fault recorded in the folder, including those of earlier starts."""
    found = []
    for path in place.glob("*.json"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Fault))
    return found


def current(faults: Iterable[Fault], supervisor: Supervisor) -> list[Fault]:
    """Return the faults injected since this start of the cluster: the others ended with it."""
    return sorted(
        (fault for fault in faults if fault.supervisor == supervisor), key=lambda fault: fault.since
    )


def inject(name: str, kind: Kind, target: str, options: Mapping[str, object]) -> Fault:
    """Inject a fault. Raises UsageError, ClusterError, HostUnsuitable; on an error nothing stays broken."""
    supervisor, spec = lifecycle.supervisor_of(name), lifecycle.spec_of(name)
    valid = kind.targets(spec)
    shown = shown_nodes(spec, valid) if kind.target == "node" else ""
    ask = Ask(spec=spec, target=require_valid(target, valid, kind.target, shown), options=options)
    with _alone(name):
        probe = kind.probe(ask)
        fault = kind.plan(ask, _must(supervisor, probe, kind.name).stdout if probe else "")
        fault = msgspec.structs.replace(fault, since=time.time(), supervisor=supervisor)
        there = active(name)
        refuse(fault, there, name)
        if fault.lasts:
            # Record it first, so that it can be undone whatever happens next.
            _keep(supervisor, fault)
        try:
            for command in fault.inject:
                done = _run(supervisor, command)
                if done.returncode:
                    raise _complaint(fault, done)
        except BaseException:
            _undo(supervisor, fault)
            _drop(supervisor, [fault])
            raise
        _drop(supervisor, [other for other in there if ended_by(fault, other)])
        return fault


def refuse(fault: Fault, there: Sequence[Fault], name: str) -> None:
    """Raise ClusterError if ``fault`` is already active or can't be combined with an active one."""
    for other in there:
        if other.id == fault.id:
            raise ClusterError(
                f"{fault.id} is there already: {other.did}", f"Undo it: {heal_command(name, other)}"
            )
        if other.id in fault.excludes or fault.id in other.excludes:
            raise ClusterError(
                f"{fault.id} and {other.id} cannot be together", f"First: {heal_command(name, other)}"
            )


def ended_by(fault: Fault, other: Fault) -> bool:
    """Return whether ``other`` has ended because ``fault`` switched its node off."""
    return fault.ends_others and other.in_node and other.node == fault.node


def heal_command(name: str, fault: Fault) -> str:
    suffix = "" if name == "default" else f" --name {name}"
    return f"hpclab fault heal {fault.id}{suffix}"


def heal(name: str, ids: Sequence[str] | None = None) -> list[Healed]:
    """Undo the faults ``ids`` (None: all) and wait until what they broke is ready again.

    Undoing a fault twice has no effect. Raises UsageError, ClusterError, DeadlineExceeded.
    """
    supervisor = lifecycle.supervisor_of(name)
    with _alone(name):
        there = {fault.id: fault for fault in active(name)}
        healed = wanted(there, ids)
        for fault in healed:
            _undo(supervisor, fault, strict=True)
            _drop(supervisor, [fault])
        left = [fault for fault in there.values() if fault not in healed]
    results = []
    for fault in healed:
        unready = hindering(fault, left)
        if not unready:
            _wait_ready(supervisor, fault)
        results.append(Healed(fault, unready))
    return results


def wanted(there: Mapping[str, Fault], ids: Sequence[str] | None) -> list[Fault]:
    """Return the faults of ``there`` that ``ids`` name. Raises UsageError for an id that can't be a fault."""
    for one in ids or ():
        if one not in there and not one.startswith(tuple(f"{kind}-" for kind in KINDS)):
            require_valid(one, there, "fault", ", ".join(there) or "none, nothing is broken")
    return list(there.values()) if ids is None else [there[one] for one in dict.fromkeys(ids) if one in there]


def hindering(healed: Fault, left: Iterable[Fault]) -> tuple[str, ...]:
    """Return the remaining faults that keep the node or cluster of ``healed`` from getting ready."""
    return tuple(fault.id for fault in left if fault.hinders and fault.node in ("", LOGIN, healed.node))


def _wait_ready(supervisor: Supervisor, fault: Fault) -> None:
    for command in fault.ready:
        done = _run(supervisor, command)
        if done.returncode:
            raise DeadlineExceeded(
                f"{fault.id} is undone, but it was not ready again in time: {_last(done)}",
                "Look: hpclab status, hpclab logs",
            )


def _undo(supervisor: Supervisor, fault: Fault, *, strict: bool = False) -> None:
    for command in fault.undo:
        done = _run(supervisor, command)
        # A node that is off has lost its mounts and processes: there is nothing to undo.
        if strict and done.returncode and not (fault.in_node and done.returncode == SWITCHED_OFF):
            raise _complaint(fault, done)


def _complaint(fault: Fault, done: subprocess.CompletedProcess[str]) -> HpclabError:
    said = done.stderr + done.stdout
    for refusal in fault.refusals:
        if refusal.text in said:
            return HostUnsuitable(f"{fault.kind}: {refusal.problem}", refusal.remedy)
    return ClusterError(f"{fault.id}: {_last(done)}", "Look: hpclab status, hpclab fault list")


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def _run(
    supervisor: Supervisor, command: Command, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    argv = entry.into_controller(supervisor.pid, *command)
    return run(argv, timeout=PATIENCE, check=False, stdin=stdin)


def _must(
    supervisor: Supervisor, command: Command, what: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    done = _run(supervisor, command, stdin)
    if done.returncode:
        raise ClusterError(f"{what}: {_last(done)}", "Look: hpclab status, hpclab fault list")
    return done


def _keep(supervisor: Supervisor, fault: Fault) -> None:
    record = msgspec.json.encode(fault).decode()
    _must(supervisor, ("/run/hpclab/bin/fault-record", "keep", fault.id), "recording the fault", record)


def _drop(supervisor: Supervisor, faults: Iterable[Fault]) -> None:
    if ids := [fault.id for fault in faults]:
        _must(supervisor, ("/run/hpclab/bin/fault-record", "drop", *ids), "forgetting the fault")


def _alone(name: str) -> contextlib.AbstractContextManager[int]:
    path = layout.cluster_folder(name).parent / f".{name}.faults.lock"
    return locks.held(path, f"another `hpclab fault` on cluster {name!r} to finish", seconds=PATIENCE)
