"""The table of all kept runs, read from the disk: so it is true whoever ran what."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hpclab.files import write_whole
from hpclab.headless import kept
from hpclab.headless.result import Result

HEADINGS = ("lab", "state", "seconds", "points", "job", "its jobs", "when")


def rows(runs: Path) -> list[Result]:
    """The newest attempt at each lab below ``runs``, in the order of the course."""
    folders = sorted({path.parent for path in runs.glob("*/*/*.json")})
    found = [(folder, kept.read(folder, kept.FAILED) or kept.read(folder)) for folder in folders]
    return [
        msgspec.structs.replace(result, lab=f"{folder.parent.name}/{folder.name}")
        for folder, result in found
        if result
    ]


def cells(result: Result) -> tuple[str, ...]:
    """One row of the table, under HEADINGS."""
    state = result.state if result.ok or result.state != "COMPLETED" else "COMPLETED, not passed"
    return (
        result.lab,
        state,
        "" if result.elapsed_seconds is None else str(result.elapsed_seconds),
        f"{result.earned:g}/{result.points:g}" if result.marks else "",
        result.job,
        ranges(result.jobs),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(result.written)),
    )


def ranges(jobs: Sequence[str]) -> str:
    """Job IDs, shortened: 2-5, 7. Tasks of an array count as their array."""
    numbers = sorted({int(job.partition("_")[0]) for job in jobs if job.partition("_")[0].isdigit()})
    words: list[str] = []
    for number in numbers:
        first, _, last = words[-1].partition("-") if words else ("", "", "")
        if words and int(last or first) == number - 1:
            words[-1] = f"{first}-{number}"
        else:
            words.append(str(number))
    return ", ".join(words)


def summarize(runs: Path) -> list[Result]:
    """Write ``summary.json`` and ``summary.md`` below ``runs``; the rows."""
    found = rows(runs)
    write_whole(runs / "summary.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    write_whole(runs / "summary.md", text(found).encode())
    return found


def text(found: Sequence[Result]) -> str:
    """The table in Markdown, and below it what went wrong."""
    lines = ["# Headless runs", "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    lines += [f"| {' | '.join(cells(result))} |" for result in found]
    for result in found:
        if not result.ok:
            lines += ["", f"## {result.lab}", "", result.sentence()]
            if result.failure:
                at = f"cell {result.failure.number} ({result.failure.cell})"
                lines += ["", f"{at}: {result.failure.error}"]
            lost = [mark for mark in result.marks if mark.earned < mark.points]
            lines += [f"\n- {mark.task}: {mark.earned:g} of {mark.points:g}, {mark.said}" for mark in lost]
    return "\n".join(lines) + "\n"
