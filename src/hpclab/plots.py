"""Pictures of jobs, each with a text that says the same for those who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpclab.slurm import Job

WAITING = "#d9d9d9"
# Told apart by lightness as well as by hue, and named in words at each bar.
RAN = {"COMPLETED": "#1b7837", "CANCELLED": "#8c6bb1", "FAILED": "#b2182b"}
OTHER = "#4d4d4d"


def describe(jobs: Sequence[Job]) -> str:
    """The timeline in words, one line a job."""
    return "\n".join(_sentence(job) for job in jobs)


def _sentence(job: Job) -> str:
    who = f"{job.name} ({job.id})"
    if job.waited is None:
        return f"{who}: never started, {job.state}"
    ran = f", ran {job.elapsed} s" if job.elapsed is not None else ""
    return f"{who}: waited {job.waited:.0f} s{ran}, {job.state}"


def timeline(jobs: Sequence[Job], *, now: float | None = None) -> Any:
    """A matplotlib figure: for each job when it waited (light) and when it ran (dark).

    ``now`` ends the bars of jobs that are not over.
    """
    from matplotlib.figure import Figure

    known = [job for job in jobs if job.submit is not None]
    figure = Figure(figsize=(8, 0.8 + 0.4 * max(len(known), 1)), layout="constrained")
    axes = figure.subplots()
    zero = min((job.submit for job in known if job.submit is not None), default=0.0)
    latest = max(
        [job.end or job.start or job.submit or zero for job in known] + ([now] if now else []), default=zero
    )
    for row, job in enumerate(known):
        submit, end = job.submit or zero, job.end or latest
        start = job.start if job.start is not None else end
        axes.barh(row, start - submit, left=submit - zero, color=WAITING, edgecolor="black", hatch="//")
        if job.start is not None:
            axes.barh(row, end - start, left=start - zero, color=RAN.get(job.state, OTHER), edgecolor="black")
        axes.annotate(f" {job.state}", (end - zero, row), va="center", fontsize=8)
    axes.set_yticks(range(len(known)), [f"{job.name} {job.id}" for job in known])
    axes.invert_yaxis()
    axes.set_xlim(0, max(latest - zero, 1.0) * 1.2)  # room for the last bar's word
    axes.set_xlabel("seconds since the first submission")
    axes.set_title("hatched: pending; solid: running", fontsize=9)
    return figure
