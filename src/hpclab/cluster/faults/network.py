"""Faults: a node's network is cut, slow, or loses packets."""

from __future__ import annotations

from hpclab.cluster.faults.model import (
    Ask,
    Command,
    Fault,
    Kind,
    Option,
    Refusal,
    any_node,
    node_ready,
    number,
    with_cable,
)
from hpclab.cluster.spec import LOGIN
from hpclab.errors import UsageError

NO_NETEM = Refusal(
    text="qdisc kind is unknown",
    problem="this machine's kernel has no sch_netem, which delays and loses packets",
    remedy="An administrator loads it with `sudo modprobe sch_netem`. If there is no such module, it comes with"
    " Debian's own kernel, Ubuntu's linux-modules-extra-$(uname -r) or Fedora's kernel-modules-extra.",
)


def cut(ask: Ask, _answer: str) -> Fault:
    node = ask.target
    return Fault(
        id=f"cut-network-{node}",
        kind="cut-network",
        target=node,
        node=node,
        inject=(("ip", "link", "set", node, "down"),),
        undo=(("ip", "link", "set", node, "up"),),
        ready=() if node == LOGIN else (node_ready(node),),
        did=f"The cable of {node} is unplugged at the switch. Its processes run on.",
        expect=(
            "Slurm's commands on the login node cannot contact the controller; jobs go on without it."
            if node == LOGIN
            else f"Half a minute later (SlurmdTimeout is 20 s) `sinfo` shows {node} as down*; Slurm cannot tell"
            " it from a dead node, and requeues or fails its jobs. What is left of them is killed when the"
            " network is back."
        ),
        hinders=True,
    )


def latency(ask: Ask, _answer: str) -> Fault:
    node, delay, jitter = ask.target, ask.number("ms"), ask.number("jitter")
    if delay <= 0 or jitter < 0 or jitter > delay:
        raise UsageError(
            f"--ms {number(delay)} --jitter {number(jitter)} cannot be a delay",
            "Give more than 0 milliseconds, and a jitter no larger than them: --ms 100 --jitter 20",
        )
    varied = f" ± {number(jitter)} ms" if jitter else ""
    # At the switch's end, because loss is at the node's end: both can be active at once.
    return Fault(
        id=f"latency-{node}",
        kind="latency",
        target=node,
        node=node,
        inject=(
            ("tc", "qdisc", "add", "dev", node, "root", "netem", "delay", f"{delay:g}ms")
            + ((f"{jitter:g}ms",) if jitter else ()),
        ),
        undo=(_without_netem("dev", node),),
        did=f"Every packet to {node} arrives {number(delay)} ms{varied} late.",
        expect="Nothing in `sinfo`. Round trips take that much longer: MPI and gloo collectives, `srun` to start"
        " and to end.",
        refusals=(NO_NETEM,),
    )


def loss(ask: Ask, _answer: str) -> Fault:
    node, percent = ask.target, ask.number("percent")
    if not 0 < percent <= 100:
        raise UsageError(f"--percent {number(percent)} is out of range", "Valid: more than 0, up to 100.")
    return Fault(
        id=f"loss-{node}",
        kind="loss",
        target=node,
        node=node,
        inject=(
            with_cable(node, "tc", "qdisc", "add", "dev", "hsn0", "root", "netem", "loss", f"{percent:g}%"),
        ),
        undo=(with_cable(node, *_without_netem("dev", "hsn0")),),
        ready=() if node == LOGIN else (node_ready(node),),
        did=f"{number(percent)} % of the packets that {node} sends are lost.",
        expect="TCP sends them again after 0.2 s and more, so programs get slow and uneven; when most are lost,"
        " Slurm finds the node not responding.",
        refusals=(NO_NETEM,),
    )


def _without_netem(*device: str) -> Command:
    # Without the check, undoing twice would fail, or remove another fault's setting.
    arguments = " ".join(device)
    return ("sh", "-c", f"! tc qdisc show {arguments} | grep -q netem || exec tc qdisc del {arguments} root")


CUT = Kind(name="cut-network", help="Unplug a node's cable.", plan=cut, targets=any_node, target="node")
LATENCY = Kind(
    name="latency",
    help="Packets to a node arrive late.",
    plan=latency,
    targets=any_node,
    target="node",
    options=(
        Option(name="ms", help="Delay in milliseconds.", type=float, required=True),
        Option(name="jitter", help="How much the delay varies, in milliseconds.", type=float, default=0.0),
    ),
)
LOSS = Kind(
    name="loss",
    help="Packets from a node get lost.",
    plan=loss,
    targets=any_node,
    target="node",
    options=(Option(name="percent", help="How many of a hundred.", type=float, required=True),),
)
