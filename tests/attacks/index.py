"""README.md of this folder, made from the attacks themselves: ``python -m tests.attacks.index``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks.material import HERE, KINDS, Attack, attacks

HEAD = """\
# Attacks

{count} submissions that a grader must survive: hostile ones, broken ones, and a few honest ones that look
odd. Each is a folder:

    NAME/attack.toml     what it tries, why a naive grader falls for it, verdict and marks that it must get
    NAME/CELL.py         what the attacker wrote into the answer cell CELL (other cells: the right answer)
    NAME/files/          what else lies in the folder that is handed in
    NAME/make.py         makes what cannot lie in git: pipes, devices, links, odd names, changed notebooks

`labs/` holds the two small labs that they are answers to: `numbers` (plain Python) and `jobs` (a cluster of
two nodes). `test_attacks.py` collects and grades them between honest submissions, whose marks must not
change, on a machine (`host.py`) with planted secrets and canaries. An attack that reaches what it must not
prints *got through*, or the secret itself; either one in a result or on a page of feedback is a failure.

To add one: a folder, its `attack.toml`, its answer, then `python -m tests.attacks.index`. Break something on
purpose first, and see the test fail.

A verdict with *or* is one where several limits are in reach and the machine decides which comes first.
"""


def render() -> str:
    """The whole file."""
    every = attacks()
    return "\n".join(
        [HEAD.format(count=len(every)), *(line for kind in KINDS for line in _table(kind, every))]
    )


def _table(kind: str, every: list[Attack]) -> Iterator[str]:
    yield f"## {KINDS[kind][0].upper()}{KINDS[kind][1:]}\n"
    yield "| attack | lab | what it tries | a naive grader | verdict | marks |"
    yield "|---|---|---|---|---|---|"
    for one in every:
        if one.kind == kind:
            marks = ", ".join(f"{task} {_either(points)}" for task, points in one.marks.items())
            words = (one.tries, one.naive, " or ".join(one.verdicts), marks)
            yield f"| [{one.name}]({one.name}/) | {one.lab} | {' | '.join(map(_cell, words))} |"
    yield ""


def _either(points: float | list[float]) -> str:
    return " or ".join(f"{one:g}" for one in (points if isinstance(points, list) else [points]))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    (HERE / "README.md").write_text(render())
