"""What the learner's own cells printed when they were graded: texts and pictures, cut to size. Pure."""

from __future__ import annotations

import msgspec

from hpclab.grading import sanitize
from hpclab.grading.gradebook.plan import cells, joined, task_of
from hpclab.grading.model import Lab, Result

MOST_CELLS = 25
MOST_PICTURES = 8


class Printed(msgspec.Struct, frozen=True, kw_only=True):
    """What one cell printed when it was graded."""

    label: str
    text: str = ""
    pictures: tuple[bytes, ...] = ()
    failed: bool = False


def printed(lab: Lab, result: Result) -> list[Printed]:
    """What the learner's own cells printed, and the lab's where they failed; those that ended with an error first."""
    given = {cell.id for cell in lab.cells if cell.kind != "answer"}
    found: list[Printed] = []
    pictures = own = 0
    for cell in cells(result.executed):
        name = cell.get("id")
        if cell.get("cell_type") != "code" or not isinstance(name, str):
            continue
        outputs = cell.get("outputs")
        outputs = outputs if isinstance(outputs, list) else []
        failed = any(isinstance(one, dict) and one.get("output_type") == "error" for one in outputs)
        own += name not in {cell.id for cell in lab.cells}
        if name in given and not failed:
            continue
        texts = [said for one in outputs if (said := sanitize.said(one, lines=40, characters=4000))]
        drawn = [png for one in outputs if (png := sanitize.picture(one)) and len(png) < 300_000]
        drawn = drawn[: MOST_PICTURES - pictures]
        pictures += len(drawn)
        if texts or drawn:
            label = _label(lab, name, own, joined(cell.get("source")) or "")
            found.append(
                Printed(
                    label=label,
                    text=sanitize.text(
                        "\n".join(one.rstrip("\n") for one in texts), lines=60, characters=6000
                    ),
                    pictures=tuple(drawn),
                    failed=failed,
                )
            )
    failing = [one for one in found if one.failed]
    return (failing + [one for one in found if not one.failed])[:MOST_CELLS]


def _label(lab: Lab, name: str, own: int, source: str) -> str:
    kinds = {cell.id: cell.kind for cell in lab.cells}
    if kinds.get(name) == "answer":
        task = task_of(name, lab)
        part = name.removeprefix(task).strip("-")
        return f"Your answer to {task}{f' ({part})' if part else ''}"
    if kinds.get(name) == "check":
        return f"The check {name}"
    if name in kinds:
        return "A cell of the lab: " + sanitize.line(source.strip().split("\n")[0], 60)
    return f"A cell that you added (number {own})"
