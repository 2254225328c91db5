"""What Slurm's commands print -> jobs, steps, numbers. Touches nothing.

Only stdout is parsed. Slurm and its plugins write remarks to stderr while all is
well, so stderr never decides anything.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hpclab.slurm.commands import SACCT_FIELDS, SEPARATOR, SQUEUE_FIELDS, STEP_FIELDS
from hpclab.slurm.jobs import FINAL, Job, Step
from hpclab.slurm.options import read_directives, read_submit_line

NO_TASK = 4294967294  # Slurm's NO_VAL: what %a becomes in a job that is no task of an array


def parse_submitted(text: str) -> str:
    """The job ID from the output of ``sbatch --parsable``. Raises ValueError."""
    for line in reversed(text.splitlines()):  # a site's greeting may come first
        if found := re.fullmatch(r"(\d+)(;\S+)?", line.strip()):
            return found[1]
    raise ValueError(f"no job ID in {text!r}")


def parse_sacct(text: str, separator: str = SEPARATOR) -> list[Job]:
    """Every record of ``sacct_argv``'s output, one an attempt, in its order."""
    records = _records(text, list(SACCT_FIELDS), separator)
    return [_job(record) for record in records if "." not in record["id"]]  # else a step


def parse_squeue(text: str, separator: str = SEPARATOR) -> list[Job]:
    """The jobs of ``squeue_argv``'s output."""
    return [_job(record) for record in _records(text, list(SQUEUE_FIELDS), separator)]


def parse_steps(text: str, job: Job, separator: str = SEPARATOR) -> list[Step]:
    """The steps of ``steps_argv``'s output that belong to this attempt of ``job``, in its order.

    Each attempt's row is followed by the rows of its steps. Where no row has the attempt's start, the
    last one counts.
    """
    attempts: list[tuple[float | None, list[Step]]] = []
    for record in _records(text, list(STEP_FIELDS), separator):
        if record["id"] == job.id:
            attempts.append((parse_time(record["start"]), []))
        elif record["id"].startswith(f"{job.id}.") and attempts:
            attempts[-1][1].append(_step(record))
    same = [steps for start, steps in attempts if start == job.start]
    return (same or [steps for _, steps in attempts] or [[]])[-1]


def parse_batch_script(text: str) -> str:
    """The script itself from ``batch_script_argv``'s output; empty where none is stored."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2 or not lines[0].startswith("Batch Script for ") or lines[1].strip("-\n"):
        return ""
    script = "".join(lines[2:]).removesuffix("\n")  # sacct adds one
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


def parse_cpu_time(text: str) -> float | None:
    """``1-02:03:04``, ``03:04.567`` → seconds; None where the field is empty."""
    found = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+(?:\.\d+)?)", text)
    if not found:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def parse_size(text: str) -> float | None:
    """``13188K``, ``1.50G``, ``512`` → bytes (or a plain count); None for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTPE]?)", text)
    return float(found[1]) * 1024.0 ** " KMGTPE".index(found[2] or " ") if found else None


def parse_tres(text: str) -> dict[str, float]:
    """``cpu=2,mem=600M,gres/gpu=2`` → numbers, memory in bytes. ``gres/gpu`` is there for a typed GPU too."""
    pairs = [word.partition("=") for word in text.split(",")]
    found = {name: size for name, _, value in pairs if (size := parse_size(value)) is not None}
    typed = [number for name, number in found.items() if name.startswith("gres/gpu:")]
    if typed and "gres/gpu" not in found:
        found["gres/gpu"] = sum(typed)
    return found


def merged(known: Sequence[Job], queued: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """What accounting and the controller say together, and those of which accounting will say more.

    The controller knows at once, but only of jobs that are not over or ended some minutes ago;
    accounting knows for ever, some seconds late: of a requeued job it may have the last attempt only.
    """
    said = {job.raw_id: job for job in known}
    live = {job.raw_id: job for job in queued}
    found, late = [], []
    for job in [*known, *sorted((job for job in queued if job.raw_id not in said), key=_by_submission)]:
        now = live.get(job.raw_id)
        best = job if now is None or job is now else _newer(job, now)
        found.append(best)
        if best.ended and (best is not job or job.raw_id not in said or not job.whole):
            late.append(best)
    return found, late


def _newer(said: Job, now: Job) -> Job:
    """Of accounting's and the controller's word on one job the one that is up to date; accounting's if both are."""
    over = said.start is not None and (now.start is None or said.start < now.start)
    if over or said.state == "REQUEUED":
        return replace(now, restarts=said.restarts + 1)
    if said.ended and said.whole:  # a job that is COMPLETING is over
        return said
    same = said.state == now.state and not said.ended
    return said if same else replace(now, restarts=said.restarts)


def attempts(records: Iterable[Job], job: str) -> list[Job]:
    """Every attempt of the job with this ID, the oldest first, each with the restarts before it."""
    same = sorted((record for record in records if record.id == job), key=_by_attempt)
    return [replace(one, restarts=index) for index, one in enumerate(same)]


def array_indices(text: str) -> list[int]:
    """``12_[4-6,9%2]`` or ``4-6:2`` → the indices; empty for anything else."""
    listed = re.fullmatch(r"(?:\d+_)?\[?([\d,:-]+)(?:%\d+)?\]?", text)
    found: list[int] = []
    for part in listed[1].split(",") if listed else []:
        ends = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if not ends:
            return []
        first, last, step = int(ends[1]), int(ends[2] or ends[1]), int(ends[3] or 1)
        found += range(first, min(last, first + 100_000) + 1, step or 1)
    return found


def latest(records: Iterable[Job]) -> list[Job]:
    """The newest attempt of each job, with its number of restarts, ordered by submission."""
    known: dict[str, list[Job]] = {}
    for record in records:
        known.setdefault(record.raw_id or record.id, []).append(record)
    submitted = sorted(known.values(), key=lambda same: min(_by_submission(one) for one in same))
    return [replace(max(same, key=_by_attempt), restarts=len(same) - 1) for same in submitted]


def output_path(job: Job, script: str) -> str:
    """Where the job's output goes: from its command line, else its script, else Slurm's default.

    Accounting does not keep it. A backslash, which turns the patterns of sbatch(1) off, is not known here.
    """
    said = read_submit_line(job.submit_line, script=script, name=job.name, comment=job.comment)[0]
    array, _, task = job.id.partition("_")
    default = "slurm-%A_%a.out" if task else "slurm-%j.out"
    pattern = (read_directives(script) | said).get("output") or default
    number = job.raw_id or job.id
    # As a batch script of Slurm 22.05 has them, a number that is not there included.
    numbers = {"j": number, "J": number, "A": array, "a": task or str(NO_TASK), "n": "0", "t": "0"}
    words = {"x": job.name, "u": job.user, "N": _first_node(job.nodes), "s": "batch", "%": "%"}

    def value(found: re.Match[str]) -> str:
        letter = found[2]
        return numbers[letter].zfill(min(int(found[1] or 0), 10)) if letter in numbers else words[letter]

    return re.sub(r"%(\d*)([jJAantxuNs%])", value, pattern)


def _first_node(nodes: str) -> str:
    """``nid[001-002,004]`` → ``nid001``."""
    found = re.match(r"([^,\[]*)(?:\[(\d+))?", nodes)
    return f"{found[1]}{found[2] or ''}" if found else ""


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
    state, by = _state(record["state"])
    exit_code, signal = parse_exit(record.get("exit", ""))
    nodes = "" if record["nodes"] == "None assigned" else record["nodes"]
    # Without nodes a job never started, whatever the field says: squeue gives there the time when
    # it expects a start, and sacct for some cancelled jobs the time of their end.
    start = parse_time(record["start"]) if nodes else None
    queued = "limit" in record
    # squeue says of a running job when its time limit ends it.
    end = None if queued and state not in FINAL else parse_time(record["end"])
    elapsed = _number(record.get("elapsed", ""))
    if elapsed is None and start is not None and end is not None:
        elapsed = int(end - start)
    if queued:
        time_limit = parse_duration(record["limit"])
    else:
        minutes = _number(record["time_limit"])
        time_limit = None if minutes is None else minutes * 60
    allocated = parse_tres(record.get("allocated", ""))
    return Job(
        id=record["id"],
        raw_id=record["raw_id"],
        name=record["name"],
        state=state,
        state_said=record["state"],
        reason=_known(record["reason"]),
        exit_code=exit_code,
        signal=signal,
        user=record["user"],
        account=record["account"],
        qos=record["qos"],
        partition=record["partition"],
        nodes=nodes,
        node_count=_number(record["node_count"]),
        cpus=_number(record["cpus"]),
        submit=parse_time(record["submit"]),
        start=start,
        end=end,
        elapsed=elapsed,
        time_limit=time_limit,
        folder=record["folder"],
        submit_line=record.get("submit_line", ""),
        comment=_known(record["comment"]),
        priority=_number(record["priority"]),
        total_cpu=parse_cpu_time(record.get("total_cpu", "")),
        requested=parse_tres(record.get("requested", "")),
        allocated=allocated,
        cancelled_by=by,
        # The controller sends the rest of a record some seconds after the end. Until then the name is
        # "allocation" or empty, and there is no time limit, not even a word for none.
        whole=queued
        or (
            bool(record["time_limit"] and record["folder"])
            and (state not in FINAL or end is not None)
            and (start is None or bool(allocated))
        ),
    )


def _step(record: Mapping[str, str]) -> Step:
    state, _ = _state(record["state"])
    exit_code, signal = parse_exit(record["exit"])
    used = parse_size(record["max_rss"])
    total = parse_tres(record["total_usage"]).get("mem")
    return Step(
        id=record["id"],
        name=record["name"],
        state=state,
        state_said=record["state"],
        exit_code=exit_code,
        signal=signal,
        tasks=_number(record["tasks"]),
        nodes=record["nodes"],
        node_count=_number(record["node_count"]),
        start=parse_time(record["start"]),
        end=parse_time(record["end"]) if state in FINAL else None,
        elapsed=_number(record["elapsed"]),
        max_rss=None if used is None else int(used),
        total_rss=None if total is None else int(total),
        total_cpu=parse_cpu_time(record["total_cpu"]),
        allocated=parse_tres(record["allocated"]),
        submit_line=record["submit_line"],
    )


def _state(said: str) -> tuple[str, int | None]:
    """``CANCELLED by 1000`` → (``CANCELLED``, 1000)."""
    state, _, by = said.partition(" by ")
    return state.rstrip("+"), _number(by)


def _known(text: str) -> str:
    return "" if text in ("None", "(null)") else text


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _by_submission(job: Job) -> tuple[float, tuple[int, ...]]:
    return job.submit or 0, _numbers(job.id)


def _by_attempt(job: Job) -> tuple[float, float]:
    return job.submit or 0, job.start or float("inf")
