"""A timeline of jobs: when they waited and when they ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab.plots.picture import (
    FAINT,
    INK,
    Picture,
    format_duration,
    hide_spines,
    pluralize,
    to_printable,
    wrap_lines,
)
from hpclab.plots.states import WAITING, describe_end, select_style
from hpclab.plots.timescale import Timescale, build_timescale, format_label, label_unit
from hpclab.slurm import Job

MIN_BAR_SHARE = 0.006  # of the axis, so that a job of one second in an hour stays visible


@dataclass(frozen=True)
class _Bar:
    """One attempt of a job; the end of a running one is the end of the plot."""

    job: Job
    submit: float
    start: float | None
    end: float


@wrap_lines
def describe_timeline(jobs: Sequence[Job]) -> str:
    """Describe the timeline: one line for each job, with all its attempts."""
    return "\n".join(f"{_row_label(row)}: {_describe_row(row)}" for row in _group_by_id(jobs)) or "No jobs."


def timeline(jobs: Sequence[Job], *, now: float | None = None) -> Picture:
    """Plot for each job when it waited (hatched) and when it ran (solid).

    Jobs with the same id are attempts of one job and share a row. ``now`` (seconds since the epoch) ends the bars of
    running jobs. A long stretch without any event is cut out of the axis.
    """
    rows = _group_by_id(jobs)
    latest = max([moment for job in jobs for moment in (job.submit, job.start, job.end) if moment] or [0.0])
    bars = [[_build_bar(job, max(latest, now or 0.0)) for job in row] for row in rows]
    all_bars = [bar for row in bars for bar in row]
    scale = build_timescale(
        [(bar.submit, bar.end) for bar in all_bars], [bar.start for bar in all_bars if bar.start is not None]
    )
    picture = Picture(describe_timeline(jobs), 9.0, min(1.3 + 0.34 * max(len(rows), 1), 40.0))
    axes = picture.subplots()
    for line, row in enumerate(bars):
        for bar in row:
            _draw_bar(axes, scale, line, bar)
    _label_rows(axes, rows)
    _mark_cuts(axes, scale)
    _mark_time(axes, scale)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    _draw_legend(picture, all_bars)
    if not rows:
        axes.text(0.5, 0.5, "no jobs", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    return picture


def _group_by_id(jobs: Sequence[Job]) -> list[list[Job]]:
    """The attempts of each job, in the order of ``jobs``; a job without a submit time is left out."""
    rows: dict[str, list[Job]] = {}
    for job in jobs:
        if job.submit is not None:
            rows.setdefault(job.id, []).append(job)
    return list(rows.values())


def _build_bar(job: Job, latest: float) -> _Bar:
    submit = job.submit or 0.0
    end = job.end if job.end is not None else latest
    return _Bar(job, submit, job.start, max(end, job.start or submit))


def _draw_bar(axes: Axes, scale: Timescale, line: int, bar: _Bar) -> None:
    min_width = MIN_BAR_SHARE * scale.length
    begin, end = scale.place(bar.submit), scale.place(bar.end)
    start = end if bar.start is None else scale.place(bar.start)
    if start > begin or bar.start is None:
        axes.barh(line, max(start - begin, min_width), left=begin, height=0.56, zorder=2, **WAITING.patch())
    if bar.start is not None:
        look = select_style(bar.job.state)
        axes.barh(line, max(end - start, min_width), left=start, height=0.56, zorder=2, **look.patch())


def _label_rows(axes: Axes, rows: Sequence[Sequence[Job]]) -> None:
    axes.set_yticks(range(len(rows)), [_row_label(row) for row in rows])
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)  # a job may be called $x$
    for line, row in enumerate(rows):
        axes.text(
            1.015,
            line,
            _summarize_row(row),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=INK,
        )


def _mark_cuts(axes: Axes, scale: Timescale) -> None:
    """Draw a dotted line for each cut, labelled with its true length."""
    for first, last in scale.cuts:
        middle = (scale.place(first) + scale.place(last)) / 2
        half = 0.004 * scale.length
        axes.axvspan(middle - half, middle + half, facecolor="white", zorder=3)
        axes.axvline(middle, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=4)
        axes.text(
            middle,
            0.5,
            format_duration(last - first),
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
        [format_label(moment - zero, step, longest) for moment in moments],
    )
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.005 * scale.length, 1.01 * scale.length)
    cut = "; dotted: this long is cut out" if scale.cuts else ""
    axes.set_xlabel(f"{label_unit(step, longest)} since the first submission{cut}", fontsize=9, color=INK)
    hide_spines(axes)


def _draw_legend(picture: Picture, bars: Sequence[_Bar]) -> None:
    states = list(dict.fromkeys(bar.job.state for bar in bars if bar.start is not None))
    shown = [Patch(label="waited", **WAITING.patch())]
    shown += [Patch(label=f"ran: {state}", **select_style(state).patch()) for state in states]
    picture.legend(
        handles=shown, loc="outside upper left", ncols=5, frameon=False, fontsize=8.5, handlelength=2.4
    )


def _row_label(row: Sequence[Job]) -> str:
    return f"{to_printable(row[0].name)} ({row[0].id})"


def _describe_row(row: Sequence[Job]) -> str:
    attempts = [_describe_attempt(job) for job in row]
    if len(attempts) == 1:
        return attempts[0]
    return "; ".join(f"attempt {number}: {text}" for number, text in enumerate(attempts, 1))


def _describe_attempt(job: Job) -> str:
    if job.waited is None:
        waited = f"waited {format_duration(job.end - job.submit)}, " if job.end and job.submit else ""
        return f"{waited}never started, {job.state}"
    ran = f", ran {format_duration(job.elapsed)}" if job.elapsed is not None else ""
    return f"waited {format_duration(job.waited)}{ran}, {describe_end(job)}"


def _summarize_row(row: Sequence[Job]) -> str:
    """A short text for the right margin."""
    if len(row) == 1:
        return _describe_attempt(row[0])
    ran = sum(job.elapsed or 0 for job in row)
    return f"{pluralize(len(row), 'attempt')}, ran {format_duration(ran)}, {describe_end(row[-1])}"
