"""The cost of checkpoints: writing them takes time, and a long interval loses more work at a failure.

Sources: Young, CACM 17 (1974) 530; Daly, FGCS 22 (2006) 303.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpclab.errors import UsageError
from hpclab.plots.picture import FAINT, INK, Picture, format_duration, hide_spines, wrap_lines

LINE, DOTS = "#1f5a7a", "#b0561f"


def young(cost: float, mtbf: float) -> float:
    """Return Young's checkpoint interval, a first approximation for a small ``cost``; all times in one unit."""
    return math.sqrt(2 * cost * mtbf)


def daly(cost: float, mtbf: float) -> float:
    """Return Daly's checkpoint interval, a higher-order estimate; the MTBF if ``cost`` is at least twice the MTBF."""
    if cost >= 2 * mtbf:
        return mtbf
    part = cost / (2 * mtbf)
    return young(cost, mtbf) * (1 + math.sqrt(part) / 3 + part / 9) - cost


def waste(interval: float, cost: float, mtbf: float, restart: float = 0.0) -> float:
    """Return the share of a job's time that is lost, by Daly's model with exponentially distributed failures.

    ``interval`` is the work between two checkpoints, ``cost`` the time of one checkpoint, ``restart`` the time from a
    failure until work continues; all in one unit.
    """
    try:
        total = mtbf * math.exp(restart / mtbf) * math.expm1((interval + cost) / mtbf)
    except OverflowError:
        return 1.0
    return 1 - interval / total


@wrap_lines
def describe_checkpoint_cost(
    cost: float, mtbf: float, *, restart: float = 0.0, points: Sequence[tuple[float, float]] = ()
) -> str:
    """Describe the plot of ``checkpoint_cost``, which has the same arguments."""
    best = daly(cost, mtbf)
    text = (
        f"Time lost against the interval between checkpoints, where one takes {format_duration(cost)}"
        f" and a failure comes every {format_duration(mtbf)}."
        f" Young's interval is {format_duration(young(cost, mtbf))}, Daly's {format_duration(best)}:"
        f" there {waste(best, cost, mtbf, restart):.1%} are lost."
        f" With a quarter of it {waste(best / 4, cost, mtbf, restart):.1%},"
        f" with four times it {waste(best * 4, cost, mtbf, restart):.1%}."
    )
    if points:
        least = min(points, key=lambda point: point[1])
        text += (
            f" Of {len(points)} measured points the lowest is {least[1]:.1%} at {format_duration(least[0])}."
        )
    return text


def checkpoint_cost(
    cost: float, mtbf: float, *, restart: float = 0.0, points: Sequence[tuple[float, float]] = ()
) -> Picture:
    """Plot the lost share of time against the checkpoint interval, with Young's and Daly's intervals marked.

    Times are seconds. ``points`` are measured or simulated (interval, lost share). Raises UsageError for a time that is
    not positive.
    """
    if not (cost > 0 and mtbf > 0 and restart >= 0):
        raise UsageError(
            f"checkpoint_cost got a cost of {cost}, an MTBF of {mtbf} and a restart time of {restart}",
            "Give a cost and an MTBF above zero and a restart time of zero or more.",
        )
    picture = Picture(describe_checkpoint_cost(cost, mtbf, restart=restart, points=points), 7.2, 4.2)
    axes = picture.subplots()
    best = daly(cost, mtbf)
    low, high = best / 30, best * 30
    places = [low * (high / low) ** (step / 200) for step in range(201)]
    axes.plot(
        places,
        [100 * waste(place, cost, mtbf, restart) for place in places],
        color=LINE,
        linewidth=2,
        label="model",
    )
    axes.plot(
        places,
        [100 * cost / (place + cost) for place in places],
        ":",
        color=FAINT,
        linewidth=1.2,
        label="writing alone",
    )
    if points:
        axes.plot(
            [place for place, _ in points],
            [100 * share for _, share in points],
            linestyle="",
            marker="s",
            markersize=6,
            markeredgecolor="white",
            color=DOTS,
            label="points",
        )
    for name, place, style, side in (
        ("Young", young(cost, mtbf), "--", "left"),
        ("Daly", best, "-", "right"),
    ):
        axes.axvline(place, color=INK, linestyle=style, linewidth=0.9, zorder=0)
        axes.annotate(
            f" {name}: {format_duration(place)} ",
            (place, 0.97),
            xycoords=("data", "axes fraction"),
            ha=side,
            va="top",
            fontsize=9,
            color=INK,
        )
    axes.set_xscale("log")
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [format_duration(tick) for tick in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("work between two checkpoints", color=INK)
    axes.set_ylabel("time lost, %", color=INK)
    axes.grid(color="#e8e8e8", linewidth=0.7)
    axes.set_axisbelow(True)
    hide_spines(axes, keep=("bottom", "left"))
    picture.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    return picture


_TICKS = (1, 5, 20, 60, 300, 1200, 3600, 4 * 3600, 12 * 3600, 48 * 3600, 7 * 86400, 28 * 86400, 120 * 86400)
