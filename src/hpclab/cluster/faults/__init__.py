"""Inject real faults into a cluster, and undo them.

model    the description of a fault: commands that inject, commands that undo, messages
nodes, network, daemons, disks, memory, clock    the kinds of fault, pure
active   the executor: inject, record, undo

To add a fault, add a ``Kind`` to ``KINDS``.
"""

from __future__ import annotations

from hpclab.cluster.faults import clock, daemons, disks, memory, network, nodes
from hpclab.cluster.faults.model import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        nodes.KILL,
        nodes.FREEZE,
        network.CUT,
        network.LATENCY,
        network.LOSS,
        daemons.KILL,
        disks.FILL,
        disks.SLOW,
        memory.EXHAUST,
        clock.SKEW,
    )
}
