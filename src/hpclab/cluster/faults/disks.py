"""Faults: a node's disk is full, or slow."""

from __future__ import annotations

import posixpath
import re

from hpclab.cluster.faults.model import (
    Ask,
    Command,
    Fault,
    Kind,
    Option,
    Refusal,
    any_node,
    on_node,
    require_valid,
)
from hpclab.errors import UsageError

IN_MEMORY = ("/tmp", "/dev/shm")
RATE = re.compile(r"[1-9][0-9]*[kMG]?")
NO_FUSE = Refusal(
    text="cannot open /dev/fuse",
    problem="this account may not open /dev/fuse, through which bindfs slows a folder down",
    remedy="An administrator runs `sudo modprobe fuse; sudo chmod 666 /dev/fuse` (the mode that udev"
    " gives it on other machines); then stop and start the cluster.",
)


def name_of(path: str) -> str:
    return path.strip("/").replace("/", "-")


def ask_size(ask: Ask) -> Command:
    return on_node(ask.target, "stat", "-f", "-c", "%S %b %c", _in_memory(ask))


def _in_memory(ask: Ask) -> str:
    return require_valid(ask.text("path"), IN_MEMORY, "disk of its own for the path")


def fill(ask: Ask, answer: str) -> Fault:
    node, path, inodes = ask.target, _in_memory(ask), ask.flag("inodes")
    block, blocks, files = (int(word) for word in answer.split())
    what, before = ("nr_inodes", files) if inodes else ("size", block * blocks)
    name = f"fill-disk-{node}-{name_of(path)}"
    return Fault(
        id=name + "-inodes" * inodes,
        kind="fill-disk",
        target=f"{node}:{path}" + " (inodes)" * inodes,
        node=node,
        inject=(on_node(node, "/run/hpclab/bin/fault-fill-disk", path, what),),
        undo=(
            on_node(node, "mount", "--options-mode", "ignore", "-o", f"remount,{what}={before}", path),
            on_node(node, "rm", "-f", f"{path}/.hpclab-full"),
        ),
        did=f"{path} on {node} has room for no further "
        + ("file: all inodes are taken." if inodes else "byte: it ends where its contents end now."),
        expect=f"Programs on {node} that write there get `No space left on device` (ENOSPC)"
        + (
            ", although `df -h` shows room: look at `df -i`."
            if inodes
            else ". What is deleted there makes room again."
        )
        + " Slurm itself keeps running: its own files are elsewhere.",
        in_node=True,
        # libfaketime needs files in /dev/shm: with no space left, no program would start there.
        excludes=(f"skew-clock-{node}",) if path == "/dev/shm" else (),
    )


def slow(ask: Ask, _answer: str) -> Fault:
    node, read, write = ask.target, ask.text("read-rate"), ask.text("write-rate")
    home = ask.spec.identity.learner.home
    path = posixpath.normpath(ask.text("path"))
    if not any(path == top or path.startswith(top + "/") for top in ("/scratch", home)) and path != "/tmp":
        raise UsageError(
            f"{ask.text('path')} cannot be slowed down",
            f"Valid: /tmp, /scratch and folders in it, {home} and folders in it.",
        )
    if not read and not write:
        raise UsageError(
            "no rate is given", "Give --read-rate or --write-rate or both, such as 2M (bytes a second)."
        )
    for option, rate in {"--read-rate": read, "--write-rate": write}.items():
        if rate and not RATE.fullmatch(rate):
            raise UsageError(
                f"{option} {rate} is no rate", "Give bytes a second, with k, M or G if you like: 500k, 2M."
            )
    rates = " and ".join([f"{read}B/s for reading"] * bool(read) + [f"{write}B/s for writing"] * bool(write))
    return Fault(
        id=f"slow-disk-{node}-{name_of(path)}",
        kind="slow-disk",
        target=f"{node}:{path}",
        node=node,
        inject=(on_node(node, "/run/hpclab/bin/fault-slow-disk", path, read or "-", write or "-"),),
        undo=(on_node(node, "/run/hpclab/bin/fault-slow-disk", path, "off"),),
        did=f"{path} on {node} is slow: at most {rates}, by all programs there together.",
        expect=f"Nothing in `sinfo`. Jobs on {node} that read or write there take longer; what was open"
        " already keeps its speed. Other nodes see the same files at full speed.",
        in_node=True,
        refusals=(NO_FUSE,),
    )


FILL = Kind(
    name="fill-disk",
    help="A node's /tmp or /dev/shm is full.",
    plan=fill,
    probe=ask_size,
    targets=any_node,
    target="node",
    options=(
        Option(name="path", help="/tmp or /dev/shm.", default="/tmp"),
        Option(name="inodes", help="Run out of inodes instead of bytes.", type=bool, default=False),
    ),
)
SLOW = Kind(
    name="slow-disk",
    help="A folder is slow on a node.",
    plan=slow,
    targets=any_node,
    target="node",
    options=(
        Option(name="path", help="/tmp, /scratch, or a folder in it or in your home.", required=True),
        Option(name="read-rate", help="At most so many bytes a second: 500k, 2M."),
        Option(name="write-rate", help="Likewise for writing."),
    ),
)
