"""The dependency graph: jobs as boxes from left to right, with an arrow to each job that waited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from hpclab.plots.graph_layout import place_nodes
from hpclab.plots.picture import FAINT, INK, Picture, pluralize, to_printable, wrap_lines
from hpclab.plots.states import describe_end, select_style
from hpclab.slurm import Job

Edge = tuple[str, str, str]  # id of the first job, id of the waiting job, kind

WIDTH, HEIGHT = 1.9, 0.78  # of a box, inches
COLUMN_STEP, ROW_STEP = 3.35, 1.12  # from box to box, inches
_LINE_STYLES = {"afterok": "-", "afterany": "--", "afternotok": ":", "singleton": "-."}


@dataclass(frozen=True)
class _Box:
    id: str
    title: str
    label: str  # "job 12" or "array 12, 3 tasks"
    state: str
    ending: str


@wrap_lines
def describe_dependency_graph(jobs: Sequence[Job], edges: Sequence[Edge]) -> str:
    """Describe the graph: one line for each job, with the jobs that it waited for."""
    boxes, known = _build_boxes(jobs, edges)
    lines = []
    for box in boxes:
        waits = [
            f"{to_printable(kind)} {known[first].title} ({first})"
            for first, then, kind in _merge_edges(edges, known)
            if then == box.id
        ]
        lines.append(
            f"{box.title} ({box.id}): {box.ending}{'; waited for ' + ', '.join(waits) if waits else ''}"
        )
    return "\n".join(lines) or "No jobs."


def dependency_graph(jobs: Sequence[Job], edges: Sequence[Edge]) -> Picture:
    """Draw jobs as boxes with their final state, and dependencies as arrows with their kind.

    An edge is (id of the first job, id of the waiting job, kind), as ``evidence.edges`` returns them. The tasks of an
    array share a box; a job of an edge that is not among ``jobs`` gets an empty box.
    """
    boxes, known = _build_boxes(jobs, edges)
    arrows = _merge_edges(edges, known)
    places, routes = place_nodes([box.id for box in boxes], [(first, then) for first, then, _ in arrows])
    columns = max((x for x, _ in places.values()), default=0)
    # (centre, half the height): a passing arrow takes no height.
    rows = [(ROW_STEP * y, HEIGHT / 2) for _, y in places.values()]
    rows += [(ROW_STEP * y, 0.0) for route in routes.values() for _, y in route]
    top = min((y - half for y, half in rows), default=0.0)
    bottom = max((y + half for y, half in rows), default=0.0)
    picture = Picture(
        describe_dependency_graph(jobs, edges), 0.5 + WIDTH + COLUMN_STEP * columns, 0.5 + bottom - top
    )
    axes = picture.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.2, WIDTH + COLUMN_STEP * columns + 0.2)
    axes.set_ylim(bottom + 0.2, top - 0.2)
    for first, then, kind in arrows:
        _draw_arrow(axes, [(COLUMN_STEP * x, ROW_STEP * y) for x, y in routes[first, then]], kind)
    for box in boxes:
        x, y = places[box.id]
        _draw_box(axes, box, COLUMN_STEP * x, ROW_STEP * y)
    return picture


def _build_boxes(jobs: Sequence[Job], edges: Sequence[Edge]) -> tuple[list[_Box], dict[str, _Box]]:
    """The boxes of jobs, arrays and unknown jobs, and the box by job id."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.array_id, []).append(job)
    boxes = {key: _build_box(key, group) for key, group in groups.items()}
    for first, then, _ in edges:
        for key in (first.partition("_")[0], then.partition("_")[0]):
            boxes.setdefault(key, _Box(key, "another job", f"job {key}", "", "not shown"))
    return list(boxes.values()), boxes


def _build_box(key: str, group: Sequence[Job]) -> _Box:
    name = to_printable(group[0].name, 22)
    if len(group) == 1 and group[0].array_index is None:
        return _Box(key, name, f"job {key}", group[0].state, describe_end(group[0]))
    states = Counter(job.state for job in group)
    endings = ", ".join(f"{count} {state}" for state, count in states.most_common())
    state = next((state for state in states if state != "COMPLETED"), "COMPLETED")
    return _Box(key, name, f"array {key}, {pluralize(len(group), 'task')}", state, endings)


def _merge_edges(edges: Sequence[Edge], known: dict[str, _Box]) -> list[Edge]:
    """The edges between boxes, one for each pair, with all its kinds."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for first, then, kind in edges:
        pair = (first.partition("_")[0], then.partition("_")[0])
        if pair[0] != pair[1] and kind not in kinds.setdefault(pair, []):
            kinds[pair].append(kind)
    return [(first, then, ", ".join(names)) for (first, then), names in kinds.items() if names]


def _draw_box(axes: Axes, box: _Box, x: float, y: float) -> None:
    look = select_style(box.state)
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
    for text, offset, style in (
        (box.title, -0.2, {"fontsize": 9.5, "fontweight": "bold"}),
        (box.label, 0.03, {"fontsize": 8}),
        (box.ending, 0.24, {"fontsize": 8}),
    ):
        axes.text(
            x + 0.3,
            y + offset,
            to_printable(text, 30),
            color=INK,
            va="center",
            zorder=5,
            parse_math=False,
            **style,
        )


def _draw_arrow(axes: Axes, route: Sequence[tuple[float, float]], kind: str) -> None:
    """Draw a curve through the points of the route, horizontal at both ends."""
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
            linestyle=_LINE_STYLES.get(kind, "-."),
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
        to_printable(kind, 24),
        fontsize=8,
        parse_math=False,
        color=INK,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=3,
    )
