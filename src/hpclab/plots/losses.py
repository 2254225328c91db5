"""The loss of one training that was interrupted, beside the same training that was not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from hpclab.plots.picture import FAINT, INK, Picture, bare, printable, wrapped

Point = tuple[int, float]
Attempt = Sequence[Point]
SHADES = ("#222222", "#b0561f", "#1f5a7a", "#7d3f8c", "#4f7a28")
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v")


@wrapped
def describe_loss_curve(runs: Mapping[str, Sequence[Attempt]]) -> str:
    """The curves in words: where each run was taken up again, and where it leaves the first one.

    It takes what ``loss_curve`` takes.
    """
    if not any(attempt for attempts in runs.values() for attempt in attempts):
        return "Loss against step: no values."
    first, *others = runs
    reference = _merged(runs[first])
    said = [f"Loss against step. {_about(first, runs[first])}"]
    said += [
        f"{_about(name, runs[name])} {_compared(_merged(runs[name]), reference, printable(first))}"
        for name in others
    ]
    return "\n".join(said)


def _compared(mine: Mapping[int, float], reference: Mapping[int, float], first: str) -> str:
    steps = [step for step in mine if step in reference]
    away = next((step for step in steps if _differs(mine[step], reference[step])), None)
    if not steps:
        return f"It has no step of {first}."
    if away is not None:
        most = max(abs(mine[step] - reference[step]) for step in steps)
        size = f", by at most {most:.1g}" if math.isfinite(most) else ""
        return f"It differs from {first} from step {away} on{size}."
    if missing := len(reference.keys() - mine.keys()):
        return f"Its {len(steps)} steps are equal to {first} bit for bit; {missing} of {len(reference)} are missing."
    return f"It is equal to {first} bit for bit."


def loss_curve(runs: Mapping[str, Sequence[Attempt]]) -> Picture:
    """The loss of each step above, and below it how far each run is from the first one.

    ``runs`` has for each run its attempts, oldest first, each a list of (step, loss): ``{"whole": [[(1, 1.1), …]],
    "cut": [[…], […]]}``. A line is broken where an attempt ends, a ring marks where the next one begins. In the lower
    part a run that is equal bit for bit lies on "equal"; every other distance is drawn by its power of ten.
    """
    picture = Picture(describe_loss_curve(runs), 7.2, 4.8)
    above, below = picture.subplots(2, sharex=True, height_ratios=[3, 2])
    for index, (name, attempts) in enumerate(runs.items()):
        _curve(above, name, attempts, index)
    if runs:
        first, *others = runs
        _distances(below, runs, first, others)
    above.set_ylabel("loss", color=INK)
    below.set_xlabel("step", color=INK)
    for axes in (above, below):
        axes.grid(color="#e8e8e8", linewidth=0.7)
        axes.set_axisbelow(True)
        bare(axes, keep=("bottom", "left"))
    if any(runs.values()):
        above.legend(frameon=False, fontsize=9)
    return picture


def _curve(axes: Axes, name: str, attempts: Sequence[Attempt], index: int) -> None:
    shade, line = SHADES[index % len(SHADES)], LINES[index % len(LINES)]
    wide = 3.2 if index == 0 else 1.5  # the reference lies broad below the others
    for number, attempt in enumerate(attempts):
        axes.plot(
            [step for step, _ in attempt],
            [loss for _, loss in attempt],
            linestyle=line,
            linewidth=wide,
            color="#bdbdbd" if index == 0 else shade,
            label=None if number else printable(name, 30),
            zorder=1 + index,
        )
        if attempt and number:
            axes.plot(
                *attempt[0],
                marker=MARKERS[index % len(MARKERS)],
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=shade,
                markeredgewidth=1.6,
                zorder=3 + index,
            )


def _distances(axes: Axes, runs: Mapping[str, Sequence[Attempt]], first: str, others: Sequence[str]) -> None:
    reference = _merged(runs[first])
    powers = {
        name: [
            (step, _power(loss, reference[step]))
            for step, loss in sorted(_merged(runs[name]).items())
            if step in reference
        ]
        for name in others
    }
    known = [power for points in powers.values() for _, power in points if power is not None]
    low = math.floor(min(known, default=-3.0)) - 1.0
    high = math.ceil(max(known, default=-1.0))
    for index, name in enumerate(others, 1):
        points = [(step, low if power is None else power) for step, power in powers[name]]
        axes.plot(
            [step for step, _ in points],
            [power for _, power in points],
            linestyle="",
            marker=MARKERS[index % len(MARKERS)],
            markersize=3.5,
            color=SHADES[index % len(SHADES)],
        )
    stride = max(1, round((high - low) / 4))
    ticks = [float(tick) for tick in range(int(low) + 1, int(high) + 1) if (int(high) - tick) % stride == 0]
    axes.set_yticks([low, *ticks], ["equal", *(f"$10^{{{tick:.0f}}}$" for tick in ticks)])
    axes.set_ylim(low - 0.5, high + 0.5)
    axes.axhline(low, color=FAINT, linewidth=0.7, zorder=0)
    axes.set_ylabel(f"distance to {printable(first, 12)}", color=INK, parse_math=False)


def _merged(attempts: Sequence[Attempt]) -> dict[int, float]:
    """The loss of each step; of a step that was repeated, the newest."""
    return {step: loss for attempt in attempts for step, loss in attempt}


def _about(name: str, attempts: Sequence[Attempt]) -> str:
    began = [attempt[0][0] for attempt in attempts if attempt]
    last = max((step for attempt in attempts for step, _ in attempt), default=0)
    *more, newest = began[1:] or [0]
    places = f"steps {', '.join(map(str, more))} and {newest}" if more else f"step {newest}"
    again = f", taken up again at {places}" if began[1:] else ""
    return f"{printable(name)}: {last} steps{again}."


def _differs(one: float, other: float) -> bool:
    return one != other and not (math.isnan(one) and math.isnan(other))


def _power(one: float, other: float) -> float | None:
    """The power of ten of their distance; None where they are equal, a high one where one is no number."""
    if not _differs(one, other):
        return None
    distance = abs(one - other)
    return math.log10(distance) if math.isfinite(distance) else 3.0
