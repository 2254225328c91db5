"""One measured value against one setting, the best point marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hpclab.errors import UsageError
from hpclab.plots.picture import FAINT, INK, Picture, bare, printable, wrapped

_MARKERS = "os^Dv<>P"
_LINES = ("-", "--", ":", "-.")
BAD = "#8c1c13"
_SHADES = ("#1f5a7a", "#b0561f", "#4f7a28", "#7d3f8c")


@dataclass(frozen=True)
class _Point:
    x: float
    y: float  # nan: no value
    name: str  # x as it was written
    group: str


@wrapped
def describe_sweep(
    rows: Sequence[Mapping[str, object]],
    x: str,
    y: str,
    *,
    log_x: bool = False,
    by: str = "",
    best: str = "min",
) -> str:
    """The sweep in words: its range, its best point, and which points have no value.

    It takes what ``sweep`` takes; ``log_x`` changes nothing here.
    """
    points = _points(rows, x, y, by)
    good = [point for point in points if math.isfinite(point.y)]
    if not good:
        return f"{printable(y)} against {printable(x)}: no values."
    values = [point.y for point in good]
    chosen = _best(good, best)
    bad = [_where(point, x, by) for point in points if not math.isfinite(point.y)]
    return (
        f"{printable(y)} against {printable(x)}, {len(good)} values from {_shown(min(values))} to {_shown(max(values))}."
        f" Best ({'lowest' if best == 'min' else 'highest'}): {_shown(chosen.y)} at {_where(chosen, x, by)}."
        + (f" No value at {'; '.join(bad)}." if bad else "")
    )


def sweep(
    rows: Sequence[Mapping[str, object]],
    x: str,
    y: str,
    *,
    log_x: bool = False,
    by: str = "",
    best: str = "min",
) -> Picture:
    """Column ``y`` of ``rows`` against column ``x``; rows as from ``evidence.table``, numbers or text.

    ``by`` names a column for one line each; ``best`` is "min" or "max". Several values at one ``x`` are all
    shown, and the line goes through their mean. A value that is no finite number is a cross at the top.
    Raises UsageError where a column is missing.
    """
    points = _points(rows, x, y, by)
    picture = Picture(describe_sweep(rows, x, y, log_x=log_x, by=by, best=best), 7.2, 4.2)
    axes = picture.subplots()
    good = [point for point in points if math.isfinite(point.y)]
    words = any(not _is_number(point.name) for point in points)
    groups = list(dict.fromkeys(point.group for point in points))
    looks = [
        _line(axes, [point for point in good if point.group == group], index, joined=not words)
        for index, group in enumerate(groups)
    ]
    for point in points:
        if not math.isfinite(point.y):
            _cross(axes, point.x)
    if log_x and all(point.x > 0 for point in points):
        axes.set_xscale("log")
    if words:
        names = {point.x: point.name for point in points}
        axes.set_xticks(list(names), [printable(name, 14) for name in names.values()])
        crowded = sum(len(name) + 2 for name in names.values()) > 70
        for tick in axes.get_xticklabels():
            tick.set(parse_math=False, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.margins(x=0.06, y=0.16)
    if good:
        _mark(axes, _best(good, best), x, y, best)
    axes.grid(color="#e8e8e8", linewidth=0.7)
    axes.set_axisbelow(True)
    bare(axes, keep=("bottom", "left"))
    axes.set_xlabel(printable(x, 60), color=INK, parse_math=False)
    axes.set_ylabel(printable(y, 60), color=INK, parse_math=False)
    if by:
        told = axes.legend(
            looks, [printable(f"{by} = {group}", 40) for group in groups], frameon=False, fontsize=9
        )
        for text in told.get_texts():
            text.set_parse_math(False)
    return picture


def _line(axes: Axes, points: Sequence[_Point], index: int, *, joined: bool) -> Line2D:
    """The points of one group, and a line through their means; how both look in a legend."""
    look: dict[str, Any] = {
        "color": _SHADES[index % len(_SHADES)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "markersize": 7,
        "markeredgecolor": "white",
    }
    line = _LINES[index % len(_LINES)] if joined else ""
    means = _means(points) if joined else []
    axes.plot(
        [x for x, _ in means],
        [y for _, y in means],
        linestyle=line,
        linewidth=1.4,
        color=look["color"],
        zorder=2,
    )
    axes.plot([point.x for point in points], [point.y for point in points], linestyle="", zorder=3, **look)
    return Line2D([], [], **(look | {"linestyle": line}))


def _cross(axes: Axes, x: float) -> None:
    """A point without a value, at the top."""
    at = axes.get_xaxis_transform()
    axes.plot([x], [0.97], transform=at, marker="x", color=BAD, markersize=8, markeredgewidth=2, linestyle="")
    axes.annotate(
        "no value",
        (x, 0.97),
        xycoords=at,
        xytext=(0, -15),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=BAD,
    )


def _mark(axes: Axes, point: _Point, x: str, y: str, best: str) -> None:
    """A ring around the best point, and its values where the curve is not: over a valley, under a peak."""
    axes.plot(
        [point.x],
        [point.y],
        marker="o",
        markersize=15,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=1.6,
        zorder=4,
    )
    at = axes.transAxes.inverted().transform(axes.transData.transform((point.x, point.y)))[0]
    aside = "left" if at < 0.2 else "right" if at > 0.8 else "center"
    axes.annotate(
        f"best: {printable(y, 20)} = {_shown(point.y)}\nat {printable(x, 20)} = {printable(point.name, 20)}",
        (point.x, point.y),
        xytext=(0, 64 if best == "min" else -64),
        textcoords="offset points",
        ha=aside,
        va="center",
        fontsize=9,
        color=INK,
        parse_math=False,
        bbox={"facecolor": "white", "edgecolor": FAINT, "boxstyle": "round,pad=0.3"},
        arrowprops={"arrowstyle": "-", "color": FAINT, "shrinkB": 8},
        zorder=5,
    )


def _shown(value: float) -> str:
    """Four digits, or the whole part where that has more."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _points(rows: Sequence[Mapping[str, object]], x: str, y: str, by: str) -> list[_Point]:
    for name in (x, y, *([by] if by else [])):
        missing = next((row for row in rows if name not in row), None)
        if missing is not None:
            raise UsageError(f"no column {name!r}", f"The columns are: {', '.join(missing)}.")
    names = [str(row[x]).strip() for row in rows]
    if all(_is_number(name) for name in names):
        places = [float(name) for name in names]
    else:  # words: as they come, at equal distances
        order = list(dict.fromkeys(names))
        places = [float(order.index(name)) for name in names]
    found = [
        _Point(place, _value(row[y]), name, str(row[by]) if by else "")
        for row, name, place in zip(rows, names, places, strict=True)
    ]
    return sorted(found, key=lambda point: point.x)


def _value(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _is_number(text: str) -> bool:
    return math.isfinite(_value(text))


def _means(points: Sequence[_Point]) -> list[tuple[float, float]]:
    places: dict[float, list[float]] = {}
    for point in points:
        places.setdefault(point.x, []).append(point.y)
    return [(place, sum(values) / len(values)) for place, values in places.items()]


def _best(points: Sequence[_Point], best: str) -> _Point:
    if best not in ("min", "max"):
        raise UsageError(f"best is {best!r}", "Say best='min' or best='max'.")
    return (min if best == "min" else max)(points, key=lambda point: point.y)


def _where(point: _Point, x: str, by: str) -> str:
    aside = f", {printable(by)} = {printable(point.group)}" if by else ""
    return f"{printable(x)} = {printable(point.name)}{aside}"
