"""A parameter sweep: a measured value against a setting, with the best point marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hpclab.errors import UsageError
from hpclab.plots.picture import FAINT, INK, Picture, hide_spines, to_printable, wrap_lines

_MARKERS = "os^Dv<>P"
_LINES = ("-", "--", ":", "-.")
MISSING_COLOUR = "#8c1c13"
_SHADES = ("#1f5a7a", "#b0561f", "#4f7a28", "#7d3f8c")


@dataclass(frozen=True)
class _Point:
    x: float
    y: float  # NaN: no value
    name: str  # x as written in the table
    group: str


@wrap_lines
def describe_sweep(
    rows: Sequence[Mapping[str, object]],
    x: str,
    y: str,
    *,
    log_x: bool = False,
    by: str = "",
    best: str = "min",
) -> str:
    """Describe the plot of ``sweep``: its range, its best point, and the points without a value.

    The arguments are those of ``sweep``; ``log_x`` has no effect.
    """
    points = _build_points(rows, x, y, by)
    good = [point for point in points if math.isfinite(point.y)]
    if not good:
        return f"{to_printable(y)} against {to_printable(x)}: no values."
    values = [point.y for point in good]
    best_point = _find_best(good, best)
    missing = [_describe_point(point, x, by) for point in points if not math.isfinite(point.y)]
    return (
        f"{to_printable(y)} against {to_printable(x)}, {len(good)} values"
        f" from {_format_value(min(values))} to {_format_value(max(values))}."
        f" Best ({'lowest' if best == 'min' else 'highest'}): {_format_value(best_point.y)}"
        f" at {_describe_point(best_point, x, by)}."
        + (f" No value at {'; '.join(missing)}." if missing else "")
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
    """Plot column ``y`` of ``rows`` against column ``x``; rows are as from ``evidence.table``.

    ``by`` names a column that gives one line for each of its values; ``best`` is "min" or "max". Repeated values at
    one ``x`` are all shown, and the line goes through their mean. A value that is not a finite number is a cross at
    the top. Raises UsageError if a column is missing.
    """
    points = _build_points(rows, x, y, by)
    picture = Picture(describe_sweep(rows, x, y, log_x=log_x, by=by, best=best), 7.2, 4.2)
    axes = picture.subplots()
    good = [point for point in points if math.isfinite(point.y)]
    categorical = any(not _is_number(point.name) for point in points)
    groups = list(dict.fromkeys(point.group for point in points))
    handles = [
        _draw_group(axes, [point for point in good if point.group == group], index, joined=not categorical)
        for index, group in enumerate(groups)
    ]
    for point in points:
        if not math.isfinite(point.y):
            _draw_missing(axes, point.x)
    if log_x and all(point.x > 0 for point in points):
        axes.set_xscale("log")
    if categorical:
        names = {point.x: point.name for point in points}
        axes.set_xticks(list(names), [to_printable(name, 14) for name in names.values()])
        crowded = sum(len(name) + 2 for name in names.values()) > 70
        for tick in axes.get_xticklabels():
            tick.set(parse_math=False, rotation=30 if crowded else 0, ha="right" if crowded else "center")
    axes.margins(x=0.06, y=0.16)
    if good:
        _annotate_best(axes, _find_best(good, best), x, y, best)
    axes.grid(color="#e8e8e8", linewidth=0.7)
    axes.set_axisbelow(True)
    hide_spines(axes, keep=("bottom", "left"))
    axes.set_xlabel(to_printable(x, 60), color=INK, parse_math=False)
    axes.set_ylabel(to_printable(y, 60), color=INK, parse_math=False)
    if by:
        legend = axes.legend(
            handles, [to_printable(f"{by} = {group}", 40) for group in groups], frameon=False, fontsize=9
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return picture


def _draw_group(axes: Axes, points: Sequence[_Point], index: int, *, joined: bool) -> Line2D:
    """Draw the points of one group and a line through their means; return the handle for the legend."""
    style: dict[str, Any] = {
        "color": _SHADES[index % len(_SHADES)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "markersize": 7,
        "markeredgecolor": "white",
    }
    line = _LINES[index % len(_LINES)] if joined else ""
    means = _average_by_x(points) if joined else []
    axes.plot(
        [x for x, _ in means],
        [y for _, y in means],
        linestyle=line,
        linewidth=1.4,
        color=style["color"],
        zorder=2,
    )
    axes.plot([point.x for point in points], [point.y for point in points], linestyle="", zorder=3, **style)
    return Line2D([], [], **(style | {"linestyle": line}))


def _draw_missing(axes: Axes, x: float) -> None:
    """Draw a cross at the top for a point without a value."""
    at = axes.get_xaxis_transform()
    axes.plot(
        [x],
        [0.97],
        transform=at,
        marker="x",
        color=MISSING_COLOUR,
        markersize=8,
        markeredgewidth=2,
        linestyle="",
    )
    axes.annotate(
        "no value",
        (x, 0.97),
        xycoords=at,
        xytext=(0, -15),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=MISSING_COLOUR,
    )


def _annotate_best(axes: Axes, point: _Point, x: str, y: str, best: str) -> None:
    """Draw a ring around the best point and its values: above a minimum, below a maximum."""
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
    alignment = "left" if at < 0.2 else "right" if at > 0.8 else "center"
    axes.annotate(
        f"best: {to_printable(y, 20)} = {_format_value(point.y)}\nat {to_printable(x, 20)} = {to_printable(point.name, 20)}",
        (point.x, point.y),
        xytext=(0, 64 if best == "min" else -64),
        textcoords="offset points",
        ha=alignment,
        va="center",
        fontsize=9,
        color=INK,
        parse_math=False,
        bbox={"facecolor": "white", "edgecolor": FAINT, "boxstyle": "round,pad=0.3"},
        arrowprops={"arrowstyle": "-", "color": FAINT, "shrinkB": 8},
        zorder=5,
    )


def _format_value(value: float) -> str:
    """Format with four digits, or as an integer if that has more."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _build_points(rows: Sequence[Mapping[str, object]], x: str, y: str, by: str) -> list[_Point]:
    for name in (x, y, *([by] if by else [])):
        missing = next((row for row in rows if name not in row), None)
        if missing is not None:
            raise UsageError(f"sweep found no column {name!r}", f"The columns are: {', '.join(missing)}.")
    names = [str(row[x]).strip() for row in rows]
    if all(_is_number(name) for name in names):
        places = [float(name) for name in names]
    else:  # categories, in their order in the table, at equal distances
        order = list(dict.fromkeys(names))
        places = [float(order.index(name)) for name in names]
    points = [
        _Point(place, _to_float(row[y]), name, str(row[by]) if by else "")
        for row, name, place in zip(rows, names, places, strict=True)
    ]
    return sorted(points, key=lambda point: point.x)


def _to_float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _is_number(text: str) -> bool:
    return math.isfinite(_to_float(text))


def _average_by_x(points: Sequence[_Point]) -> list[tuple[float, float]]:
    places: dict[float, list[float]] = {}
    for point in points:
        places.setdefault(point.x, []).append(point.y)
    return [(place, sum(values) / len(values)) for place, values in places.items()]


def _find_best(points: Sequence[_Point], best: str) -> _Point:
    if best not in ("min", "max"):
        raise UsageError(f"sweep got best={best!r}", "Use best='min' or best='max'.")
    return (min if best == "min" else max)(points, key=lambda point: point.y)


def _describe_point(point: _Point, x: str, by: str) -> str:
    group = f", {to_printable(by)} = {to_printable(point.group)}" if by else ""
    return f"{to_printable(x)} = {to_printable(point.name)}{group}"
