"""When jobs waited and when they ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab.plots.picture import FAINT, INK, Picture, bare, duration, plural, printable, wrapped
from hpclab.plots.states import WAITING, ending, look_of
from hpclab.plots.timescale import Timescale, label, timescale, unit
from hpclab.slurm import Job

THINNEST = 0.006  # of the axis: a job of one second in an hour is still seen


@dataclass(frozen=True)
class _Bar:
    """One attempt of a job, with every moment filled in."""

    job: Job
    submit: float
    start: float | None
    end: float


@wrapped
def describe_timeline(jobs: Sequence[Job]) -> str:
    """The timeline in words, one line a job, or one an attempt where several are given."""
    return "\n".join(f"{_name(row)}: {_story(row)}" for row in _rows(jobs)) or "No jobs."


def timeline(jobs: Sequence[Job], *, now: float | None = None) -> Picture:
    """For each job when it waited (hatched) and when it ran (solid).

    Jobs with the same ID are attempts of one job, and share a row. ``now`` (seconds since the epoch) ends the
    bars of jobs that are not over. Where nothing happens for long, a piece of the axis is cut out.
    """
    rows = _rows(jobs)
    latest = max([moment for job in jobs for moment in (job.submit, job.start, job.end) if moment] or [0.0])
    bars = [[_bar(job, max(latest, now or 0.0)) for job in row] for row in rows]
    every = [bar for row in bars for bar in row]
    scale = timescale(
        [(bar.submit, bar.end) for bar in every], [bar.start for bar in every if bar.start is not None]
    )
    picture = Picture(describe_timeline(jobs), 9.0, min(1.3 + 0.34 * max(len(rows), 1), 40.0))
    axes = picture.subplots()
    for line, row in enumerate(bars):
        for bar in row:
            _draw(axes, scale, line, bar)
    _name_rows(axes, rows)
    _mark_cuts(axes, scale)
    _mark_time(axes, scale)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    _explain(picture, every)
    if not rows:
        axes.text(0.5, 0.5, "no jobs", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    return picture


def _rows(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs by their IDs, in the order in which they came; those that were never submitted are left out."""
    rows: dict[str, list[Job]] = {}
    for job in jobs:
        if job.submit is not None:
            rows.setdefault(job.id, []).append(job)
    return list(rows.values())


def _bar(job: Job, latest: float) -> _Bar:
    submit = job.submit or 0.0
    end = job.end if job.end is not None else latest
    return _Bar(job, submit, job.start, max(end, job.start or submit))


def _draw(axes: Axes, scale: Timescale, line: int, bar: _Bar) -> None:
    thinnest = THINNEST * scale.length
    begin, end = scale.place(bar.submit), scale.place(bar.end)
    start = end if bar.start is None else scale.place(bar.start)
    if start > begin or bar.start is None:
        axes.barh(line, max(start - begin, thinnest), left=begin, height=0.56, zorder=2, **WAITING.patch())
    if bar.start is not None:
        look = look_of(bar.job.state)
        axes.barh(line, max(end - start, thinnest), left=start, height=0.56, zorder=2, **look.patch())


def _name_rows(axes: Axes, rows: Sequence[Sequence[Job]]) -> None:
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)  # a job may be called $x$
    for line, row in enumerate(rows):
        axes.text(
            1.015,
            line,
            _short_story(row),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=INK,
        )


def _mark_cuts(axes: Axes, scale: Timescale) -> None:
    """A dotted line for each piece that is cut out, its true length written along it."""
    for first, last in scale.cuts:
        middle = (scale.place(first) + scale.place(last)) / 2
        half = 0.004 * scale.length
        axes.axvspan(middle - half, middle + half, facecolor="white", zorder=3)
        axes.axvline(middle, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=4)
        axes.text(
            middle,
            0.5,
            duration(last - first),
            transform=axes.get_xaxis_transform(),
            rotation=90,
            ha="center",
            va="center",
            fontsize=7.5,
            color=FAINT,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
            zorder=5,
        )


def _mark_time(axes: Axes, scale: Timescale) -> None:
    moments, step = scale.ticks()
    zero, longest = scale.moments[0], scale.moments[-1] - scale.moments[0]
    axes.set_xticks(
        [scale.place(moment) for moment in moments],
        [label(moment - zero, step, longest) for moment in moments],
    )
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.005 * scale.length, 1.01 * scale.length)
    cut = "; dotted: this long is cut out" if scale.cuts else ""
    axes.set_xlabel(f"{unit(step, longest)} since the first submission{cut}", fontsize=9, color=INK)
    bare(axes)


def _explain(picture: Picture, bars: Sequence[_Bar]) -> None:
    states = list(dict.fromkeys(bar.job.state for bar in bars if bar.start is not None))
    shown = [Patch(label="waited", **WAITING.patch())]
    shown += [Patch(label=f"ran: {state}", **look_of(state).patch()) for state in states]
    picture.legend(
        handles=shown, loc="outside upper left", ncols=5, frameon=False, fontsize=8.5, handlelength=2.4
    )


def _name(row: Sequence[Job]) -> str:
    return f"{printable(row[0].name)} ({row[0].id})"


def _story(row: Sequence[Job]) -> str:
    told = [_attempt(job) for job in row]
    if len(told) == 1:
        return told[0]
    return "; ".join(f"attempt {number}: {words}" for number, words in enumerate(told, 1))


def _attempt(job: Job) -> str:
    if job.waited is None:
        waited = f"waited {duration(job.end - job.submit)}, " if job.end and job.submit else ""
        return f"{waited}never started, {job.state}"
    ran = f", ran {duration(job.elapsed)}" if job.elapsed is not None else ""
    return f"waited {duration(job.waited)}{ran}, {ending(job)}"


def _short_story(row: Sequence[Job]) -> str:
    """What fits beside a bar."""
    if len(row) == 1:
        return _attempt(row[0])
    ran = sum(job.elapsed or 0 for job in row)
    return f"{plural(len(row), 'attempt')}, ran {duration(ran)}, {ending(row[-1])}"
