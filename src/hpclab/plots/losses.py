"""The loss curve of an interrupted training, compared with an uninterrupted run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from hpclab.plots.picture import FAINT, INK, Picture, hide_spines, to_printable, wrap_lines

Point = tuple[int, float]
Attempt = Sequence[Point]
SHADES = ("#222222", "#b0561f", "#1f5a7a", "#7d3f8c", "#4f7a28")
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v")


@wrap_lines
def describe_loss_curve(runs: Mapping[str, Sequence[Attempt]]) -> str:
    """Describe the plot of ``loss_curve``: where each run was resumed, and where it differs from the first one."""
    if not any(attempt for attempts in runs.values() for attempt in attempts):
        return "Loss against step: no values."
    first, *others = runs
    reference = _merge_attempts(runs[first])
    lines = [f"Loss against step. {_describe_run(first, runs[first])}"]
    lines += [
        f"{_describe_run(name, runs[name])} {_describe_difference(_merge_attempts(runs[name]), reference, to_printable(first))}"
        for name in others
    ]
    return "\n".join(lines)


def _describe_difference(losses: Mapping[int, float], reference: Mapping[int, float], first: str) -> str:
    steps = [step for step in losses if step in reference]
    differing = next((step for step in steps if _differs(losses[step], reference[step])), None)
    if not steps:
        return f"It has no step of {first}."
    if differing is not None:
        most = max(abs(losses[step] - reference[step]) for step in steps)
        size = f", by at most {most:.1g}" if math.isfinite(most) else ""
        return f"It differs from {first} from step {differing} on{size}."
    if missing := len(reference.keys() - losses.keys()):
        return f"Its {len(steps)} steps equal those of {first} bit for bit; {missing} of {len(reference)} are missing."
    return f"It equals {first} bit for bit."


def loss_curve(runs: Mapping[str, Sequence[Attempt]]) -> Picture:
    """Plot the loss of each step, and below it the distance of each run from the first one.

    ``runs`` has for each run its attempts, oldest first, each a list of (step, loss): ``{"whole": [[(1, 1.1), …]],
    "cut": [[…], […]]}``. The line of an attempt ends with it, and a ring marks the start of the next one. In the lower
    plot a step that is equal bit for bit is drawn at "equal", any other distance on a logarithmic scale.
    """
    picture = Picture(describe_loss_curve(runs), 7.2, 4.8)
    above, below = picture.subplots(2, sharex=True, height_ratios=[3, 2])
    for index, (name, attempts) in enumerate(runs.items()):
        _draw_curve(above, name, attempts, index)
    if runs:
        first, *others = runs
        _draw_distances(below, runs, first, others)
    above.set_ylabel("loss", color=INK)
    below.set_xlabel("step", color=INK)
    for axes in (above, below):
        axes.grid(color="#e8e8e8", linewidth=0.7)
        axes.set_axisbelow(True)
        hide_spines(axes, keep=("bottom", "left"))
    if any(runs.values()):
        above.legend(frameon=False, fontsize=9)
    return picture


def _draw_curve(axes: Axes, name: str, attempts: Sequence[Attempt], index: int) -> None:
    shade, line = SHADES[index % len(SHADES)], LINES[index % len(LINES)]
    wide = 3.2 if index == 0 else 1.5  # the reference is a broad line below the others
    for number, attempt in enumerate(attempts):
        axes.plot(
            [step for step, _ in attempt],
            [loss for _, loss in attempt],
            linestyle=line,
            linewidth=wide,
            color="#bdbdbd" if index == 0 else shade,
            label=None if number else to_printable(name, 30),
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


def _draw_distances(
    axes: Axes, runs: Mapping[str, Sequence[Attempt]], first: str, others: Sequence[str]
) -> None:
    reference = _merge_attempts(runs[first])
    powers = {
        name: [
            (step, _distance_exponent(loss, reference[step]))
            for step, loss in sorted(_merge_attempts(runs[name]).items())
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
    axes.set_ylabel(f"distance to {to_printable(first, 12)}", color=INK, parse_math=False)


def _merge_attempts(attempts: Sequence[Attempt]) -> dict[int, float]:
    """The loss of each step; for a repeated step, the newest."""
    return {step: loss for attempt in attempts for step, loss in attempt}


def _describe_run(name: str, attempts: Sequence[Attempt]) -> str:
    began = [attempt[0][0] for attempt in attempts if attempt]
    last = max((step for attempt in attempts for step, _ in attempt), default=0)
    *more, newest = began[1:] or [0]
    places = f"steps {', '.join(map(str, more))} and {newest}" if more else f"step {newest}"
    again = f", resumed at {places}" if began[1:] else ""
    return f"{to_printable(name)}: {last} steps{again}."


def _differs(first: float, second: float) -> bool:
    return first != second and not (math.isnan(first) and math.isnan(second))


def _distance_exponent(first: float, second: float) -> float | None:
    """The decimal logarithm of the distance; None if equal, 3 if the distance is not finite."""
    if not _differs(first, second):
        return None
    distance = abs(first - second)
    return math.log10(distance) if math.isfinite(distance) else 3.0
