"""The resources that jobs requested and used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.patches import Patch

from hpclab.plots.picture import (
    INK,
    Picture,
    format_duration,
    format_size,
    hide_spines,
    to_printable,
    wrap_lines,
)
from hpclab.slurm import Usage

REQUESTED_STYLE: dict[str, Any] = {
    "facecolor": "white",
    "hatch": "/////",
    "edgecolor": "#8a8a8a",
    "linewidth": 0.9,
}
USED_STYLE: dict[str, Any] = {"facecolor": "#2d6a8f", "edgecolor": INK, "linewidth": 0.8}
MAX_PERCENT = 150.0  # a longer bar is cut off; the text has the number


@dataclass(frozen=True)
class _ResourceRow:
    resource: str
    percent: float | None
    text: str


@wrap_lines
def describe_request_against_use(rows: Sequence[Usage]) -> str:
    """Describe the plot: one line for each job and resource."""
    return (
        "\n".join(
            f"{to_printable(row.label)}: {line.resource} {line.text}"
            for row in rows
            for line in _build_rows(row)
        )
        or "No jobs."
    )


def request_against_use(rows: Sequence[Usage]) -> Picture:
    """Plot for each job how much of its CPUs, memory and time it requested (hatched, 100 %) and used (solid).

    ``rows`` come from ``evidence.usage``. An unknown resource is left out.
    """
    lines = [(row, line) for row in rows for line in _build_rows(row)]
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
                to_printable(row.label, 60),
                fontsize=9,
                fontweight="bold",
                color=INK,
                va="center",
                parse_math=False,
            )
        axes.barh(at, 100.0, height=0.62, zorder=2, **REQUESTED_STYLE)
        if line.percent is not None:
            axes.barh(at, min(line.percent, MAX_PERCENT), height=0.36, zorder=3, **USED_STYLE)
        axes.text(
            1.015, at, line.text, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK
        )
    axes.set_yticks(places, [line.resource for _, line in lines])
    axes.set_ylim((places[-1] if places else 1.0) + 0.6, -0.1)
    axes.axvline(100.0, color=INK, linewidth=1.2, zorder=4)
    axes.set_xlim(0, max([100.0, *(min(line.percent or 0, MAX_PERCENT) for _, line in lines)]) * 1.02)
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("used, in percent of the request", fontsize=9, color=INK)
    hide_spines(axes)
    picture.legend(
        handles=[Patch(label="requested", **REQUESTED_STYLE), Patch(label="used", **USED_STYLE)],
        loc="outside upper left",
        ncols=2,
        frameon=False,
        fontsize=8.5,
    )
    return picture


def _build_rows(row: Usage) -> list[_ResourceRow]:
    resources = []
    if row.cpus is not None:
        resources.append(_build_row("CPUs", row.cpus_used, row.cpus, lambda count: f"{count:.3g}"))
    if row.memory is not None:
        resources.append(_build_row("memory", row.memory_used, row.memory, format_size))
    if row.time_limit is not None:
        resources.append(_build_row("time", row.elapsed, row.time_limit, format_duration))
    return resources


def _build_row(
    resource: str, used: float | None, requested: float, show: Callable[[float], str]
) -> _ResourceRow:
    if used is None:
        return _ResourceRow(resource, None, f"not measured, of {show(requested)}")
    if not requested:
        return _ResourceRow(resource, None, f"{show(used)}, nothing requested")
    percent = 100.0 * used / requested
    return _ResourceRow(resource, percent, f"{show(used)} of {show(requested)} ({percent:.0f} %)")
