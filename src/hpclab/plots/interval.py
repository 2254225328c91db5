"""What checkpoints cost: too many cost time to write, too few cost the work that is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpclab.errors import UsageError
from hpclab.plots.picture import FAINT, INK, Picture, bare, duration, wrapped

LINE, DOTS = "#1f5a7a", "#b0561f"


def young(cost: float, mtbf: float) -> float:
    """Young's interval between two checkpoints: a first approximation, good where ``cost`` is small."""
    return math.sqrt(2 * cost * mtbf)


def daly(cost: float, mtbf: float) -> float:
    """Daly's interval, a higher-order estimate; where a checkpoint takes more than twice the MTBF, the MTBF itself."""
    if cost >= 2 * mtbf:
        return mtbf
    part = cost / (2 * mtbf)
    return young(cost, mtbf) * (1 + math.sqrt(part) / 3 + part / 9) - cost


def waste(interval: float, cost: float, mtbf: float, restart: float = 0.0) -> float:
    """The share of a job's time that is no progress, by Daly's model of failures that come at random.

    ``interval`` is work between two checkpoints, ``cost`` the time of one, ``restart`` what each failure costs
    before work goes on; all in one unit.
    """
    try:
        took = mtbf * math.exp(restart / mtbf) * math.expm1((interval + cost) / mtbf)
    except OverflowError:
        return 1.0
    return 1 - interval / took


@wrapped
def describe_checkpoint_cost(
    cost: float, mtbf: float, *, restart: float = 0.0, points: Sequence[tuple[float, float]] = ()
) -> str:
    """The picture in words; it takes what ``checkpoint_cost`` takes."""
    best = daly(cost, mtbf)
    said = (
        f"Time lost against the interval between checkpoints, where one takes {duration(cost)} and a failure comes"
        f" every {duration(mtbf)}. Young's interval is {duration(young(cost, mtbf))}, Daly's {duration(best)}: there"
        f" {waste(best, cost, mtbf, restart):.1%} are lost. With a quarter of it {waste(best / 4, cost, mtbf, restart):.1%},"
        f" with four times it {waste(best * 4, cost, mtbf, restart):.1%}."
    )
    if points:
        least = min(points, key=lambda point: point[1])
        said += f" Of {len(points)} measured points the lowest is {least[1]:.1%} at {duration(least[0])}."
    return said


def checkpoint_cost(
    cost: float, mtbf: float, *, restart: float = 0.0, points: Sequence[tuple[float, float]] = ()
) -> Picture:
    """The share of time that is lost, by the interval between checkpoints; Young's and Daly's marked.

    ``points`` are (interval, lost share) that were measured or simulated. Raises UsageError where a time is not positive.
    """
    if not (cost > 0 and mtbf > 0 and restart >= 0):
        raise UsageError(f"a cost of {cost} and an MTBF of {mtbf}", "Both are times, larger than zero.")
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
            f" {name}: {duration(place)} ",
            (place, 0.97),
            xycoords=("data", "axes fraction"),
            ha=side,
            va="top",
            fontsize=9,
            color=INK,
        )
    axes.set_xscale("log")
    ticks = [one for one in _TICKS if low <= one <= high]
    axes.set_xticks(ticks, [duration(one) for one in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("work between two checkpoints", color=INK)
    axes.set_ylabel("time lost, %", color=INK)
    axes.grid(color="#e8e8e8", linewidth=0.7)
    axes.set_axisbelow(True)
    bare(axes, keep=("bottom", "left"))
    picture.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    return picture


_TICKS = (1, 5, 20, 60, 300, 1200, 3600, 4 * 3600, 12 * 3600, 48 * 3600, 7 * 86400, 28 * 86400, 120 * 86400)
