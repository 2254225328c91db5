"""The story of a run: its attempts, its steps, and what of the time was worth something.

Two files with one JSON object a line, written as it happens, so that they tell the truth after any end:

    goodput.jsonl   {"event": "start", "time": ..., "attempt": 2, "step": 40, "job": "17", ...}
                    events: start, save, save-failed, stop, finish
    losses.jsonl    {"attempt": 2, "step": 41, "loss": 0.73, "seconds": 0.02, "time": ...}

A step that was computed, lost, and computed again is there twice. Equal losses are equal in the file too:
Python writes enough digits to get each bit back.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NoProgress(Exception):
    """Starting once more would not help."""


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file; a line that a kill or a full disk cut off is left out."""
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class Story:
    """Writes both files; of the ranks, only rank 0 has one that writes."""

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self.events, self.steps = folder / "goodput.jsonl", folder / "losses.jsonl"
        self.writes = writes
        self.attempt = 1

    def begin(self, step: int, limit: int, **more: Any) -> None:
        """Note that an attempt begins at ``step``; NoProgress if ``limit`` attempts came no further than this.

        A job that is requeued after each failure would otherwise fail for ever, at the expense of its account.
        """
        if not self.writes:
            return
        starts = [line["step"] for line in read_lines(self.events) if line.get("event") == "start"]
        self.attempt = len(starts) + 1
        furthest, without = -1, 0
        for start in starts:
            furthest, without = (start, 1) if start > furthest else (furthest, without + 1)
        if limit and step <= furthest and without >= limit:
            raise NoProgress(
                f"the last {without} attempts began at step {furthest} or before and saved nothing beyond it, so this one"
                f" is refused. Look into the log for the first error; then go on with --attempts={limit + without}."
            )
        self.note(
            "start",
            step=step,
            job=os.environ.get("SLURM_JOB_ID", ""),
            restarts=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
            host=socket.gethostname(),
            **more,
        )

    def note(self, event: str, **facts: Any) -> None:
        self._append(self.events, {"event": event, "time": time.time(), "attempt": self.attempt, **facts})

    def step(self, step: int, loss: float, seconds: float) -> None:
        facts = {"attempt": self.attempt, "step": step, "loss": loss, "seconds": seconds, "time": time.time()}
        self._append(self.steps, facts)

    def losses(self) -> list[float]:
        """The loss of each step, from the first to the last; of a step that was repeated, the later one."""
        by_step = {line["step"]: line["loss"] for line in read_lines(self.steps)}
        return [by_step[step] for step in sorted(by_step)]

    def _append(self, path: Path, facts: dict[str, Any]) -> None:
        if not self.writes:
            return
        line = json.dumps(facts) + "\n"
        try:
            with path.open("a+b", buffering=0) as file:
                if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                    line = "\n" + line  # the one before was cut off
                file.write(line.encode())  # handed to the system at once: a kill does not lose it
        except OSError as problem:  # a full disk must not end a training
            print(f"note: {path.name} lacks a line, {problem}", flush=True)


@dataclass(frozen=True)
class Goodput:
    """Where the time of a run went, in seconds."""

    attempts: int
    steps: int  # that count
    lost_steps: int  # that had to be computed again
    wall: float  # from the first start to the last sign of life
    useful: float  # in steps that count
    lost: float  # in steps that were lost
    saving: float  # steps waited for a save
    restarting: float  # the rest: waiting in the queue, starting, loading, evaluating

    @property
    def fraction(self) -> float:
        """Useful time in all time: 1 is perfect."""
        return self.useful / self.wall if self.wall else 0.0


def goodput(folder: Path) -> Goodput:
    """What the two files in ``folder`` tell."""
    events, steps = read_lines(folder / "goodput.jsonl"), read_lines(folder / "losses.jsonl")
    last = {line["step"]: line for line in steps}
    useful = sum(line["seconds"] for line in last.values())
    lost = sum(line["seconds"] for line in steps) - useful
    saving = sum(line.get("blocked", 0.0) for line in events if line["event"] == "save")
    times = [line["time"] for line in events + steps]
    wall = max(times) - min(times) if times else 0.0
    return Goodput(
        attempts=sum(line["event"] == "start" for line in events),
        steps=len(last),
        lost_steps=len(steps) - len(last),
        wall=wall,
        useful=useful,
        lost=lost,
        saving=saving,
        restarting=max(0.0, wall - useful - lost - saving),
    )


if __name__ == "__main__":
    import sys

    found = goodput(Path(sys.argv[1] if len(sys.argv) > 1 else "checkpoints"))
    for name, value in vars(found).items():
        print(f"{name:12} {value:10.2f}" if isinstance(value, float) else f"{name:12} {value:7}")
    print(f"{'goodput':12} {found.fraction:10.2f}")
