"""What Slurm's commands print -> jobs, nodes, numbers. Touches nothing.

Only stdout is parsed. Slurm and its plugins write remarks to stderr while all is
well, so stderr never decides anything.
"""

from __future__ import annotations

import datetime
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hpclab.slurm.commands import SACCT_FIELDS, SEPARATOR, SINFO_FIELDS, SQUEUE_FIELDS
from hpclab.slurm.jobs import NODE_SUFFIXES, Job, Node


def parse_submitted(text: str) -> str:
    """The job ID from the output of ``sbatch --parsable``. Raises ValueError."""
    for line in reversed(text.splitlines()):  # a site's greeting may come first
        if found := re.fullmatch(r"(\d+)(;\S+)?", line.strip()):
            return found[1]
    raise ValueError(f"no job ID in {text!r}")


def parse_sacct(text: str, separator: str = SEPARATOR) -> list[Job]:
    """Every record of ``sacct_argv``'s output, one an attempt, in its order."""
    return [_job(record) for record in _records(text, list(SACCT_FIELDS), separator)]


def parse_squeue(text: str, separator: str = SEPARATOR) -> list[Job]:
    """The jobs of ``squeue_argv``'s output."""
    return [_job(record) for record in _records(text, list(SQUEUE_FIELDS), separator)]


def parse_sinfo(text: str, separator: str = SEPARATOR) -> list[Node]:
    """The nodes of ``sinfo_argv``'s output; a node in two partitions comes once."""
    nodes: dict[str, Node] = {}
    for record in _records(text, list(SINFO_FIELDS), separator):
        state, note = split_node_state(record["state"])
        nodes[record["name"]] = Node(
            name=record["name"],
            state=state,
            note=note,
            cpus=_number(record["cpus"]) or 0,
            memory_mb=_number(record["memory_mb"]) or 0,
            gres="" if record["gres"] == "(null)" else record["gres"],
            reason="" if record["reason"] == "none" else record["reason"],
        )
    return list(nodes.values())


def parse_scontrol(text: str) -> dict[str, str]:
    """The fields of one ``scontrol_argv`` line. For people's eyes: a job's name may imitate fields."""
    starts = list(re.finditer(r"(?:^|\s)([A-Z][\w/:]*)=", text))
    ends = [found.start() for found in starts[1:]] + [len(text)]
    return {found[1]: text[found.end() : end].strip() for found, end in zip(starts, ends, strict=True)}


def parse_batch_script(text: str) -> str:
    """The script itself from ``batch_script_argv``'s output; empty where none is stored."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2 or not lines[0].startswith("Batch Script for ") or lines[1].strip("-\n"):
        return ""
    script = "".join(lines[2:])
    return "" if script.strip() in ("", "NONE") else script


def parse_exit(text: str) -> tuple[int | None, int | None]:
    """``"0:125"`` → (0, 125): exit code and signal. Slurm reports out-of-memory as signal 125."""
    found = re.fullmatch(r"(\d+):(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (None, None)


def parse_time(text: str) -> float | None:
    """A moment in seconds since the epoch, or local time; None for Unknown, None and N/A."""
    if text.isdigit():
        return float(text) or None
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def parse_duration(text: str) -> int | None:
    """``1-02:03:04``, ``02:03:04``, ``03:04`` or minutes → seconds; None for UNLIMITED and the like."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?(?:\.\d+)?", text)
    if not found:
        return None
    days, first, second, third = (int(part) if part else None for part in found.groups())
    if days is not None or third is not None:
        return (days or 0) * 86400 + (first or 0) * 3600 + (second or 0) * 60 + (third or 0)
    return (first or 0) * 60 + (second or 0)


def split_node_state(text: str) -> tuple[str, str]:
    """``down*`` → (``down``, ``not responding``)."""
    if text and text[-1] in NODE_SUFFIXES:
        return text[:-1], NODE_SUFFIXES[text[-1]]
    return text, ""


def latest(records: Iterable[Job]) -> list[Job]:
    """The newest attempt of each job, with its number of restarts, ordered by submission."""
    attempts: dict[str, list[Job]] = {}
    for record in records:
        attempts.setdefault(record.raw_id or record.id, []).append(record)
    newest = []
    for same in attempts.values():
        last = max(same, key=lambda job: (job.submit or 0, job.start or float("inf")))
        newest.append(replace(last, restarts=len(same) - 1))
    return sorted(newest, key=lambda job: (job.submit or 0, _numbers(job.id)))


def output_path(job: Job, script: str) -> str:
    """Where the job's output goes: from its command line, else its script, else Slurm's default.

    Accounting does not keep it. Of the file-name patterns, those that a batch
    job of one node uses are known: %j, %A, %a, %x, %u, %%.
    """
    directives = [line[7:] for line in script.splitlines() if line.startswith("#SBATCH")]
    words = [word for line in directives for word in _split(line)]
    pattern = _option(_split(job.submit_line), "-o", "--output") or _option(words, "-o", "--output")
    array, _, task = job.id.partition("_")
    if not pattern:
        pattern = "slurm-%A_%a.out" if task else "slurm-%j.out"
    known = {"j": job.raw_id or job.id, "A": array, "a": task, "x": job.name, "u": job.user, "%": "%"}
    return re.sub(r"%(?:\d*)([jAaxu%])", lambda found: known[found[1]], pattern)


def _option(words: Sequence[str], short: str, long: str) -> str:
    """The last value of an option, written in any of its four ways."""
    value = ""
    for index, word in enumerate(words):
        if word in (short, long):
            value = words[index + 1] if index + 1 < len(words) else value
        elif word.startswith(f"{long}="):
            value = word[len(long) + 1 :]
        elif word.startswith(short) and not word.startswith("--"):
            value = word[len(short) :]
    return value


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an open quotation mark in somebody's command line
        return line.split()


def _records(text: str, names: Sequence[str], separator: str) -> Iterator[dict[str, str]]:
    """Rows of fields. A row goes on over a line break inside a field, as in a job's name."""
    row: list[str] = []
    for line in text.split("\n"):
        fields = line.split(separator)
        if row:
            row[-1] += "\n" + fields[0]
            row += fields[1:]
        elif len(fields) > 1:  # else a site's greeting, or the rest of a last field
            row = fields
        if len(row) == len(names):
            yield dict(zip(names, row, strict=True))
            row = []


def _job(record: Mapping[str, str]) -> Job:
    state, _, by = record["state"].partition(" by ")
    exit_code, signal = parse_exit(record.get("exit", ""))
    minutes = _number(record.get("time_limit", ""))
    nodes = "" if record["nodes"] == "None assigned" else record["nodes"]
    # Without nodes a job never started, whatever the field says: squeue gives there the time when
    # it expects a start, and sacct for some cancelled jobs the time of their end.
    start = parse_time(record["start"]) if nodes else None
    reason = record["reason"]
    return Job(
        id=record["id"],
        raw_id=record["raw_id"],
        name=record["name"],
        state=state.rstrip("+"),
        reason="" if reason == "None" else reason,
        exit_code=exit_code,
        signal=signal,
        user=record["user"],
        account=record["account"],
        qos=record["qos"],
        partition=record["partition"],
        nodes=nodes,
        cpus=_number(record["cpus"]),
        submit=parse_time(record["submit"]),
        start=start,
        end=parse_time(record.get("end", "")),
        elapsed=_number(record.get("elapsed", "")),
        time_limit=None if minutes is None else minutes * 60,
        folder=record["folder"],
        submit_line=record.get("submit_line", ""),
        cancelled_by=_number(by),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
