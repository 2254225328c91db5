"""What jobs asked for, and how much of it they used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.patches import Patch

from hpclab.plots.picture import INK, Picture, bare, duration, printable, size, wrapped
from hpclab.slurm import Usage

ASKED: dict[str, Any] = {"facecolor": "white", "hatch": "/////", "edgecolor": "#8a8a8a", "linewidth": 0.9}
USED: dict[str, Any] = {"facecolor": "#2d6a8f", "edgecolor": INK, "linewidth": 0.8}
FULLEST = 150.0  # percent; more than that is cut off and said in words


@dataclass(frozen=True)
class _Line:
    what: str
    percent: float | None
    words: str


@wrapped
def describe_request_against_use(rows: Sequence[Usage]) -> str:
    """The picture in words, one line a job and resource."""
    return (
        "\n".join(f"{printable(row.label)}: {line.what} {line.words}" for row in rows for line in _lines(row))
        or "No jobs."
    )


def request_against_use(rows: Sequence[Usage]) -> Picture:
    """For each job its CPUs, memory and time: what it asked for (hatched, 100 %) and what it used (solid).

    ``rows`` come from ``evidence.usage``. A resource of which nothing is known is left out.
    """
    lines = [(row, line) for row in rows for line in _lines(row)]
    picture = Picture(
        describe_request_against_use(rows), 8.6, min(1.25 + 0.34 * len(lines) + 0.3 * len(rows), 40.0)
    )
    axes = picture.subplots()
    places, at = [], 0.0
    for index, (row, line) in enumerate(lines):
        first = index == 0 or lines[index - 1][0] is not row
        at += 1.75 if first and index else 1.0
        places.append(at)
        if first:
            axes.text(
                0.0,
                at - 0.72,
                printable(row.label, 60),
                fontsize=9,
                fontweight="bold",
                color=INK,
                va="center",
                parse_math=False,
            )
        axes.barh(at, 100.0, height=0.62, zorder=2, **ASKED)
        if line.percent is not None:
            axes.barh(at, min(line.percent, FULLEST), height=0.36, zorder=3, **USED)
        axes.text(
            1.015, at, line.words, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK
        )
    axes.set_yticks(places, [line.what for _, line in lines])
    axes.set_ylim((places[-1] if places else 1.0) + 0.6, -0.1)
    axes.axvline(100.0, color=INK, linewidth=1.2, zorder=4)
    axes.set_xlim(0, max([100.0, *(min(line.percent or 0, FULLEST) for _, line in lines)]) * 1.02)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("used, in percent of what was asked for", fontsize=9, color=INK)
    bare(axes)
    picture.legend(
        handles=[Patch(label="asked for", **ASKED), Patch(label="used", **USED)],
        loc="outside upper left",
        ncols=2,
        frameon=False,
        fontsize=8.5,
    )
    return picture


def _lines(row: Usage) -> list[_Line]:
    found = []
    if row.cpus is not None:
        found.append(_line("CPUs", row.cpus_used, row.cpus, lambda one: f"{one:.3g}"))
    if row.memory is not None:
        found.append(_line("memory", row.memory_used, row.memory, size))
    if row.time_limit is not None:
        found.append(_line("time", row.elapsed, row.time_limit, duration))
    return found


def _line(what: str, used: float | None, asked: float, show: Callable[[float], str]) -> _Line:
    if used is None:
        return _Line(what, None, f"not measured, of {show(asked)}")
    if not asked:
        return _Line(what, None, f"{show(used)}, nothing asked for")
    percent = 100.0 * used / asked
    return _Line(what, percent, f"{show(used)} of {show(asked)} ({percent:.0f} %)")
