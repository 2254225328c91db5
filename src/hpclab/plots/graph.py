"""Which job waited for which: boxes from left to right, an arrow from each job to those that waited for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from hpclab.plots.layers import place
from hpclab.plots.picture import FAINT, INK, Picture, plural, printable, wrapped
from hpclab.plots.states import ending, look_of
from hpclab.slurm import Job

Edge = tuple[str, str, str]  # the job that comes first, the one that waits for it, the kind

WIDTH, HEIGHT = 1.9, 0.78  # of a box, in inches
ACROSS, DOWN = 3.35, 1.12  # from box to box
_LINES = {"afterok": "-", "afterany": "--", "afternotok": ":", "singleton": "-."}


@dataclass(frozen=True)
class _Box:
    id: str
    title: str
    line: str  # which job
    state: str
    words: str  # how it ended


@wrapped
def describe_dependency_graph(jobs: Sequence[Job], edges: Sequence[Edge]) -> str:
    """The graph in words: one line a job, with what it waited for."""
    boxes, known = _boxes(jobs, edges)
    lines = []
    for box in boxes:
        waits = [
            f"{printable(kind)} {known[first].title} ({first})"
            for first, then, kind in _between(edges, known)
            if then == box.id
        ]
        lines.append(
            f"{box.title} ({box.id}): {box.words}{'; waited for ' + ', '.join(waits) if waits else ''}"
        )
    return "\n".join(lines) or "No jobs."


def dependency_graph(jobs: Sequence[Job], edges: Sequence[Edge]) -> Picture:
    """Jobs as boxes with their ends, dependencies as arrows with their kinds.

    An edge is (job that comes first, job that waits, kind), as ``evidence.edges`` gives them. Tasks of an array share
    a box; a job that an edge names and that is not among ``jobs`` gets an empty one.
    """
    boxes, known = _boxes(jobs, edges)
    arrows = _between(edges, known)
    places, routes = place([box.id for box in boxes], [(first, then) for first, then, _ in arrows])
    columns = max((x for x, _ in places.values()), default=0)
    # A box needs its height, an arrow passing by nearly nothing.
    rows = [(DOWN * y, HEIGHT / 2) for _, y in places.values()]
    rows += [(DOWN * y, 0.0) for route in routes.values() for _, y in route]
    top = min((y - half for y, half in rows), default=0.0)
    bottom = max((y + half for y, half in rows), default=0.0)
    words = describe_dependency_graph(jobs, edges)
    picture = Picture(words, 0.5 + WIDTH + ACROSS * columns, 0.5 + bottom - top)
    axes = picture.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.2, WIDTH + ACROSS * columns + 0.2)
    axes.set_ylim(bottom + 0.2, top - 0.2)
    for first, then, kind in arrows:
        _arrow(axes, [(ACROSS * x, DOWN * y) for x, y in routes[first, then]], kind)
    for box in boxes:
        x, y = places[box.id]
        _draw(axes, box, ACROSS * x, DOWN * y)
    return picture


def _boxes(jobs: Sequence[Job], edges: Sequence[Edge]) -> tuple[list[_Box], dict[str, _Box]]:
    """A box for each job, each array and each unknown job, and the box that an ID belongs to."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.array_id, []).append(job)
    boxes = {key: _box(key, group) for key, group in groups.items()}
    for first, then, _ in edges:
        for key in (first.partition("_")[0], then.partition("_")[0]):
            boxes.setdefault(key, _Box(key, "another job", f"job {key}", "", "not shown"))
    return list(boxes.values()), boxes


def _box(key: str, group: Sequence[Job]) -> _Box:
    name = printable(group[0].name, 22)
    if len(group) == 1 and group[0].array_index is None:
        return _Box(key, name, f"job {key}", group[0].state, ending(group[0]))
    states = Counter(job.state for job in group)
    words = ", ".join(f"{count} {state}" for state, count in states.most_common())
    bad = next((state for state in states if state != "COMPLETED"), "COMPLETED")
    return _Box(key, name, f"array {key}, {plural(len(group), 'task')}", bad, words)


def _between(edges: Sequence[Edge], known: dict[str, _Box]) -> list[Edge]:
    """The edges between boxes, each pair once, its kinds together."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for first, then, kind in edges:
        pair = (first.partition("_")[0], then.partition("_")[0])
        if pair[0] != pair[1] and kind not in kinds.setdefault(pair, []):
            kinds[pair].append(kind)
    return [(first, then, ", ".join(words)) for (first, then), words in kinds.items() if words]


def _draw(axes: Axes, box: _Box, x: float, y: float) -> None:
    look = look_of(box.state)
    known = bool(box.state)
    axes.add_patch(
        FancyBboxPatch(
            (x, y - HEIGHT / 2),
            WIDTH,
            HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="white",
            edgecolor=INK if known else FAINT,
            linewidth=1.1,
            linestyle="-" if known else (0, (4, 3)),
            zorder=3,
        )
    )
    if known:
        axes.add_patch(
            Rectangle((x + 0.07, y - HEIGHT / 2 + 0.09), 0.13, HEIGHT - 0.18, zorder=4, **look.patch())
        )
    for words, down, style in (
        (box.title, -0.2, {"fontsize": 9.5, "fontweight": "bold"}),
        (box.line, 0.03, {"fontsize": 8}),
        (box.words, 0.24, {"fontsize": 8}),
    ):
        axes.text(
            x + 0.3,
            y + down,
            printable(words, 30),
            color=INK,
            va="center",
            zorder=5,
            parse_math=False,
            **style,
        )


def _arrow(axes: Axes, route: Sequence[tuple[float, float]], kind: str) -> None:
    """A curve through the route's points, level where it leaves and arrives."""
    (x, y), points, codes = route[0], [], []
    start = (x + WIDTH, y)
    points, codes = [start], [Path.MOVETO]
    here = start
    for index, (x, y) in enumerate(route[1:], 1):
        last = index == len(route) - 1
        there = (x - (0.04 if last else 0.0), y)
        bend = (there[0] - here[0]) * 0.5
        points += [(here[0] + bend, here[1]), (there[0] - bend, there[1]), there]
        codes += [Path.CURVE4] * 3
        here = there
        if not last:  # straight past the boxes of a layer in between
            here = (x + WIDTH, y)
            points.append(here)
            codes.append(Path.LINETO)
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points, codes),
            arrowstyle="-|>,head_length=5,head_width=2.6",
            linestyle=_LINES.get(kind, "-."),
            linewidth=1.2,
            color=INK,
            shrinkA=0,
            shrinkB=0,
            zorder=2,
        )
    )
    first, second = start, points[3]
    axes.text(
        (first[0] + second[0]) / 2,
        (first[1] + second[1]) / 2,
        printable(kind, 24),
        fontsize=8,
        parse_math=False,
        color=INK,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=3,
    )
