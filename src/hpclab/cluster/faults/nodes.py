"""Faults: a node loses power, or hangs."""

from __future__ import annotations

from hpclab.cluster.faults.model import Ask, Fault, Kind, compute_nodes, node_ready, on_node, with_cable


def kill(ask: Ask, _answer: str) -> Fault:
    node = ask.target
    service = f"/run/hpclab/services/{node}"
    return Fault(
        id=f"kill-node-{node}",
        kind="kill-node",
        target=node,
        node=node,
        # Cut the network first: a machine that loses power doesn't close its connections.
        inject=(
            with_cable(node, "ip", "link", "set", "hsn0", "down"),
            ("s6-svc", "-wd", "-T", "10000", "-Ok", service),
        ),
        undo=(("s6-svc", "-u", service),),  # the node brings up its network when it starts
        ready=(node_ready(node),),
        did=f"{node} has lost its power: all its processes are killed, its /tmp and /dev/shm are gone.",
        expect=(
            f"Half a minute later (SlurmdTimeout is 20 s) `sinfo` shows {node} as down*. Its jobs end as NODE_FAIL,"
            " or are requeued and start elsewhere with SLURM_RESTART_COUNT=1 if they allow that (--requeue)."
        ),
        hinders=True,
        ends_others=True,
    )


def freeze(ask: Ask, _answer: str) -> Fault:
    node = ask.target
    return Fault(
        id=f"freeze-node-{node}",
        kind="freeze-node",
        target=node,
        node=node,
        # Stop all processes of the node at once, so that none can start another one in between.
        inject=(on_node(node, "sh", "-c", "kill -s STOP -- -1"),),
        undo=(on_node(node, "sh", "-c", "kill -s CONT -- -1"),),
        ready=(node_ready(node),),
        did=f"{node} hangs: all its processes stand still, slurmd and jobs too. Its network still answers.",
        expect=(
            f"`sinfo` shows {node} as not responding (idle*, mix*), and as down* half a minute later"
            " (SlurmdTimeout is 20 s); its jobs then end or are requeued as after a power loss. Healed earlier,"
            " they go on."
        ),
        hinders=True,
        in_node=True,
    )


KILL = Kind(name="kill-node", help="A node loses its power.", plan=kill, targets=compute_nodes, target="node")
FREEZE = Kind(
    name="freeze-node",
    help="A node hangs: its processes stand still.",
    plan=freeze,
    targets=compute_nodes,
    target="node",
)
