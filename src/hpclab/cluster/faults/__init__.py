"""Break things for real, and heal them.

model    what a fault is: commands that break, commands that undo, words
nodes, network, daemons, disks, memory, clock    the kinds of fault, pure
active   the executor: breaks, records, heals

Adding a fault means one more ``Kind`` in ``KINDS``.
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
