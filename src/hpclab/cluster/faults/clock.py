"""Fault: a node's wall clock is wrong."""

from __future__ import annotations

from hpclab.cluster.faults.disks import name_of
from hpclab.cluster.faults.model import Ask, Fault, Kind, Option, any_node, on_node
from hpclab.errors import UsageError


def skew(ask: Ask, _answer: str) -> Fault:
    node, seconds = ask.target, int(ask.number("seconds"))
    if not 0 < abs(seconds) <= 10 * 365 * 86400:
        raise UsageError(
            f"--seconds {seconds} is out of range", "Valid: up to ten years either way, and not 0."
        )
    shm = f"fill-disk-{node}-{name_of('/dev/shm')}"
    return Fault(
        id=f"skew-clock-{node}",
        kind="skew-clock",
        target=node,
        node=node,
        inject=(on_node(node, "/run/hpclab/bin/fault-skew-clock", str(seconds)),),
        undo=(on_node(node, "/run/hpclab/bin/fault-skew-clock", "off"),),
        did=f"The clock of {node} is {abs(seconds)} s {'fast' if seconds > 0 else 'slow'} for every program"
        " that starts there from now on.",
        expect="Jobs run as before; their own time stamps are wrong, those of Slurm's accounting are right."
        " What ran before keeps the right time, and so do statically linked programs (Apptainer) and"
        " everything in containers.",
        in_node=True,
        excludes=(shm, f"{shm}-inodes"),
    )


SKEW = Kind(
    name="skew-clock",
    help="A node's clock is wrong.",
    plan=skew,
    targets=any_node,
    target="node",
    options=(
        Option(
            name="seconds", help="How much too late it shows; negative: too early.", type=int, required=True
        ),
    ),
)
