"""The table of all kept runs, read from the disk: it holds the runs of every command."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hpclab.files import write_whole
from hpclab.headless import kept
from hpclab.headless.result import RunResult

HEADINGS = ("lab", "state", "seconds", "points", "job", "its jobs", "when")


def read_rows(runs: Path) -> list[RunResult]:
    """The newest run of each lab below ``runs``, in the order of the course."""
    folders = sorted({path.parent for path in runs.glob("*/*/*.json")})
    newest = [(folder, kept.read(folder, kept.FAILED) or kept.read(folder)) for folder in folders]
    return [
        msgspec.structs.replace(result, lab=f"{folder.parent.name}/{folder.name}")
        for folder, result in newest
        if result
    ]


def format_row(result: RunResult) -> tuple[str, ...]:
    """One row of the table, under HEADINGS."""
    state = result.state if result.ok or result.state != "COMPLETED" else "COMPLETED, not passed"
    return (
        result.lab,
        state,
        "" if result.elapsed_seconds is None else str(result.elapsed_seconds),
        f"{result.earned:g}/{result.points:g}" if result.marks else "",
        result.job,
        format_ids(result.jobs),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(result.written)),
    )


def format_ids(jobs: Sequence[str]) -> str:
    """Job IDs, shortened: 2-5, 7. Tasks of an array count as their array."""
    numbers = sorted({int(job.partition("_")[0]) for job in jobs if job.partition("_")[0].isdigit()})
    parts: list[str] = []
    for number in numbers:
        first, _, last = parts[-1].partition("-") if parts else ("", "", "")
        if parts and int(last or first) == number - 1:
            parts[-1] = f"{first}-{number}"
        else:
            parts.append(str(number))
    return ", ".join(parts)


def write_summary(runs: Path) -> list[RunResult]:
    """Write ``summary.json`` and ``summary.md`` below ``runs``; the rows."""
    results = read_rows(runs)
    write_whole(runs / "summary.json", msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    write_whole(runs / "summary.md", format_markdown(results).encode())
    return results


def format_markdown(results: Sequence[RunResult]) -> str:
    """The table in Markdown, and below it the failures."""
    lines = ["# Headless runs", "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    lines += [f"| {' | '.join(format_row(result))} |" for result in results]
    for result in results:
        if not result.ok:
            lines += ["", f"## {result.lab}", "", result.sentence()]
            if result.failure:
                at = f"cell {result.failure.number} ({result.failure.cell})"
                lines += ["", f"{at}: {result.failure.error}"]
            lost = [mark for mark in result.marks if mark.earned < mark.points]
            lines += [f"\n- {mark.task}: {mark.earned:g} of {mark.points:g}, {mark.message}" for mark in lost]
    return "\n".join(lines) + "\n"
