"""Fault: a daemon is killed, and stays down or is restarted by the supervisor."""

from __future__ import annotations

from hpclab.cluster.faults.model import (
    READY_MS,
    Ask,
    Command,
    Fault,
    Kind,
    Option,
    node_ready,
    require_valid,
    shown_nodes,
)
from hpclab.cluster.spec import Spec
from hpclab.errors import UsageError

EXPECT = {
    "slurmctld": "Every Slurm command says it cannot contact the controller. Running jobs go on. Jobs accepted"
    " in the last 5 s may be forgotten: `hpclab status` then names them.",
    "slurmdbd": "Jobs run as before; `sacct` and `sacctmgr` fail. The controller keeps records until"
    " slurmdbd is back.",
    "mariadb": "Jobs run as before; `sacct` and `sacctmgr` fail. Records are kept until the database is back.",
    "munged": "Nobody can prove who they are: every Slurm command tries for a while, then fails with a Munge"
    " error. Running jobs go on.",
    "slurmd": "The node is not responding, and down* half a minute later (SlurmdTimeout is 20 s). Its jobs'"
    " processes go on until Slurm gives the node up: then they are requeued or fail.",
}


def kill(ask: Ask, _answer: str) -> Fault:
    name, node = ask.target, ask.text("node")
    if name == "slurmd":
        if not node:
            raise UsageError(
                "there is a slurmd on every node", f"Say on which: --node NODE. Valid: {ask.spec.node_range}."
            )
        require_valid(node, ask.spec.node_names, "node", shown_nodes(ask.spec, ask.spec.node_names))
        service, ready = f"/run/hpclab/nodes/{node}/slurmd", node_ready(node)
    else:
        if node:
            raise UsageError(f"{name} runs beside the controller, not on a node", "Leave --node out.")
        service, ready = f"/run/hpclab/services/{name}", ("/run/hpclab/bin/await", "-U", READY_MS, name)
    target = f"{name} on {node}" if node else name
    if ask.flag("restart"):
        return Fault(
            id=f"restart-{name}" + (f"-{node}" if node else ""),
            kind="kill-daemon",
            target=target,
            node=node,
            inject=(("s6-svc", "-wr", "-T", "20000", "-k", service), ready),
            did=f"{target} was killed (SIGKILL); the supervisor started it again, and it is ready.",
            expect=EXPECT[name].split(".")[0] + ", for a moment.",
        )
    back: Command = ("s6-svc", "-u", service)
    return Fault(
        id=f"kill-daemon-{name}" + (f"-{node}" if node else ""),
        kind="kill-daemon",
        target=target,
        node=node,
        inject=(("s6-svc", "-wd", "-T", "10000", "-Ok", service),),
        undo=(back,),
        ready=(ready,),
        did=f"{target} was killed (SIGKILL) and stays down.",
        expect=EXPECT[name],
        hinders=True,
        in_node=bool(node),
    )


def names(_spec: Spec) -> tuple[str, ...]:
    return tuple(EXPECT)


KILL = Kind(
    name="kill-daemon",
    help="Kill slurmctld, slurmdbd, mariadb, munged or a node's slurmd.",
    plan=kill,
    targets=names,
    target="daemon",
    options=(
        Option(name="node", help="Which node's slurmd.", nodes=True),
        Option(name="restart", help="Let the supervisor start it again at once.", type=bool, default=False),
    ),
)
