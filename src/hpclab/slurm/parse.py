"""Parsers of the output of Slurm's commands: text -> jobs, steps, numbers. Pure.

Only stdout is parsed. Slurm and its plugins write to stderr even when a command succeeds.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hpclab.slurm.commands import SACCT_FIELDS, SEPARATOR, SQUEUE_FIELDS, STEP_FIELDS
from hpclab.slurm.jobs import FINAL_STATES, Job, Step
from hpclab.slurm.options import read_directives, read_submit_line

NO_VAL = 4294967294  # the value of %a in a job without an array


def parse_submitted(text: str) -> str:
    """Return the job id in the output of ``sbatch --parsable``. Raises ValueError."""
    for line in reversed(text.splitlines()):  # the site may print a greeting first
        if match := re.fullmatch(r"(\d+)(;\S+)?", line.strip()):
            return match[1]
    raise ValueError(f"no job ID in {text!r}")


def parse_sacct(text: str, separator: str = SEPARATOR) -> list[Job]:
    """Return the records in the output of ``sacct_argv`` in their order, one for each attempt."""
    records = _split_records(text, list(SACCT_FIELDS), separator)
    return [_build_job(record) for record in records if "." not in record["id"]]  # else a step


def parse_squeue(text: str, separator: str = SEPARATOR) -> list[Job]:
    """Return the jobs in the output of ``squeue_argv``."""
    return [_build_job(record) for record in _split_records(text, list(SQUEUE_FIELDS), separator)]


def parse_steps(text: str, job: Job, separator: str = SEPARATOR) -> list[Step]:
    """Return the steps of this attempt of ``job`` in the output of ``steps_argv``, in their order.

    The row of each attempt is followed by the rows of its steps. If no row has the attempt's start time, the last
    attempt counts.
    """
    attempts: list[tuple[float | None, list[Step]]] = []
    for record in _split_records(text, list(STEP_FIELDS), separator):
        if record["id"] == job.id:
            attempts.append((parse_time(record["start"]), []))
        elif record["id"].startswith(f"{job.id}.") and attempts:
            attempts[-1][1].append(_build_step(record))
    same = [steps for start, steps in attempts if start == job.start]
    return (same or [steps for _, steps in attempts] or [[]])[-1]


def parse_batch_script(text: str) -> str:
    """Return the script in the output of ``stored_script_argv``; empty if none is stored."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2 or not lines[0].startswith("Batch Script for ") or lines[1].strip("-\n"):
        return ""
    script = "".join(lines[2:]).removesuffix("\n")  # sacct adds one
    return "" if script.strip() in ("", "NONE") else script


def parse_exit(text: str) -> tuple[int | None, int | None]:
    """Parse exit code and signal: ``"0:125"`` → (0, 125). Slurm reports out-of-memory as signal 125."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (None, None)


def parse_time(text: str) -> float | None:
    """Parse seconds since the epoch, or an ISO local time; None for Unknown, None and N/A."""
    if text.isdigit():
        return float(text) or None
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def parse_duration(text: str) -> int | None:
    """Parse ``1-02:03:04``, ``02:03:04``, ``03:04`` or minutes into seconds; None for UNLIMITED and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?(?:\.\d+)?", text)
    if not match:
        return None
    days, first, second, third = (int(part) if part else None for part in match.groups())
    if days is not None or third is not None:
        return (days or 0) * 86400 + (first or 0) * 3600 + (second or 0) * 60 + (third or 0)
    return (first or 0) * 60 + (second or 0)


def parse_cpu_time(text: str) -> float | None:
    """Parse ``1-02:03:04`` or ``03:04.567`` into seconds; None for an empty field."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+(?:\.\d+)?)", text)
    if not match:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def parse_size(text: str) -> float | None:
    """Parse ``13188K``, ``1.50G`` or ``512`` into bytes (or a plain count); None for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTPE]?)", text)
    return float(match[1]) * 1024.0 ** " KMGTPE".index(match[2] or " ") if match else None


def parse_tres(text: str) -> dict[str, float]:
    """Parse ``cpu=2,mem=600M,gres/gpu=2`` into numbers, memory in bytes. Typed GPUs are added up as ``gres/gpu``."""
    pairs = [word.partition("=") for word in text.split(",")]
    tres = {name: size for name, _, value in pairs if (size := parse_size(value)) is not None}
    typed = [number for name, number in tres.items() if name.startswith("gres/gpu:")]
    if typed and "gres/gpu" not in tres:
        tres["gres/gpu"] = sum(typed)
    return tres


def merge_records(known: Sequence[Job], queued: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Merge the records of accounting and of the controller; the second list has the jobs that accounting lags behind on.

    The controller is up to date, but knows only jobs that have not ended or ended some minutes ago. Accounting has
    all jobs, some seconds late: of a requeued job it may still have the previous attempt only.
    """
    accounted = {job.raw_id for job in known}
    live = {job.raw_id: job for job in queued}
    merged, incomplete = [], []
    for job in [*known, *sorted((job for job in queued if job.raw_id not in accounted), key=_submission_key)]:
        now = live.get(job.raw_id)
        newest = job if now is None or job is now else _choose_newer(job, now)
        merged.append(newest)
        if newest.ended and (newest is not job or job.raw_id not in accounted or not job.complete):
            incomplete.append(newest)
    return merged, incomplete


def _choose_newer(accounted: Job, live: Job) -> Job:
    """Return accounting's or the controller's record of one job, whichever is newer; accounting's if they agree."""
    requeued = accounted.start is not None and (live.start is None or accounted.start < live.start)
    if requeued or accounted.state == "REQUEUED":
        return replace(live, restarts=accounted.restarts + 1)
    if accounted.ended and accounted.complete:  # the controller may still say COMPLETING
        return accounted
    same = accounted.state == live.state and not accounted.ended
    return accounted if same else replace(live, restarts=accounted.restarts)


def select_attempts(records: Iterable[Job], job: str) -> list[Job]:
    """Return every attempt of the job with the id ``job``, the oldest first, each with its number of restarts."""
    attempts = sorted((record for record in records if record.id == job), key=_attempt_key)
    return [replace(attempt, restarts=index) for index, attempt in enumerate(attempts)]


def parse_array_indices(text: str) -> list[int]:
    """Parse the indices in ``12_[4-6,9%2]`` or ``4-6:2``; empty for anything else."""
    match = re.fullmatch(r"(?:\d+_)?\[?([\d,:-]+)(?:%\d+)?\]?", text)
    indices: list[int] = []
    for part in match[1].split(",") if match else []:
        ends = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if not ends:
            return []
        first, last, step = int(ends[1]), int(ends[2] or ends[1]), int(ends[3] or 1)
        indices += range(first, min(last, first + 100_000) + 1, step or 1)
    return indices


def select_latest(records: Iterable[Job]) -> list[Job]:
    """Return the newest attempt of each job, with its number of restarts, ordered by submission."""
    by_job: dict[str, list[Job]] = {}
    for record in records:
        by_job.setdefault(record.raw_id or record.id, []).append(record)
    submitted = sorted(by_job.values(), key=lambda attempts: min(map(_submission_key, attempts)))
    return [replace(max(attempts, key=_attempt_key), restarts=len(attempts) - 1) for attempts in submitted]


def resolve_output_path(job: Job, script: str) -> str:
    """Return the path of the job's output file, from its command line, its script or Slurm's default.

    Accounting has no field for it. A backslash, which turns off the patterns of sbatch(1), is not supported.
    """
    options = read_submit_line(job.submit_line, script=script, name=job.name, comment=job.comment)[0]
    array, _, task = job.id.partition("_")
    default = "slurm-%A_%a.out" if task else "slurm-%j.out"
    pattern = (read_directives(script) | options).get("output") or default
    number = job.raw_id or job.id
    # The values that Slurm 22.05 uses for a batch script, also where a job has no such number.
    numbers = {"j": number, "J": number, "A": array, "a": task or str(NO_VAL), "n": "0", "t": "0"}
    texts = {"x": job.name, "u": job.user, "N": _first_node(job.nodes), "s": "batch", "%": "%"}

    def value(match: re.Match[str]) -> str:
        letter = match[2]
        return numbers[letter].zfill(min(int(match[1] or 0), 10)) if letter in numbers else texts[letter]

    return re.sub(r"%(\d*)([jJAantxuNs%])", value, pattern)


def _first_node(nodes: str) -> str:
    """``nid[001-002,004]`` → ``nid001``."""
    match = re.match(r"([^,\[]*)(?:\[(\d+))?", nodes)
    return f"{match[1]}{match[2] or ''}" if match else ""


def _split_records(text: str, names: Sequence[str], separator: str) -> Iterator[dict[str, str]]:
    """Yield rows of fields. A line break inside a field, for example in a job's name, does not end the row."""
    row: list[str] = []
    for line in text.split("\n"):
        fields = line.split(separator)
        if row:
            row[-1] += "\n" + fields[0]
            row += fields[1:]
        elif len(fields) > 1:  # else a greeting of the site, or the rest of a last field
            row = fields
        if len(row) == len(names):
            yield dict(zip(names, row, strict=True))
            row = []


def _build_job(record: Mapping[str, str]) -> Job:
    state, by = _parse_state(record["state"])
    exit_code, signal = parse_exit(record.get("exit", ""))
    nodes = "" if record["nodes"] == "None assigned" else record["nodes"]
    # A job without nodes never started. Its start field then is the expected start (squeue) or, for some
    # cancelled jobs, the end (sacct).
    start = parse_time(record["start"]) if nodes else None
    queued = "limit" in record
    # For a running job squeue prints the time at which its limit ends it.
    end = None if queued and state not in FINAL_STATES else parse_time(record["end"])
    elapsed = _parse_int(record.get("elapsed", ""))
    if elapsed is None and start is not None and end is not None:
        elapsed = int(end - start)
    if queued:
        time_limit = parse_duration(record["limit"])
    else:
        minutes = _parse_int(record["time_limit"])
        time_limit = None if minutes is None else minutes * 60
    allocated = parse_tres(record.get("allocated", ""))
    return Job(
        id=record["id"],
        raw_id=record["raw_id"],
        name=record["name"],
        state=state,
        state_text=record["state"],
        reason=_none_to_empty(record["reason"]),
        exit_code=exit_code,
        signal=signal,
        user=record["user"],
        account=record["account"],
        qos=record["qos"],
        partition=record["partition"],
        nodes=nodes,
        node_count=_parse_int(record["node_count"]),
        cpus=_parse_int(record["cpus"]),
        submit=parse_time(record["submit"]),
        start=start,
        end=end,
        elapsed=elapsed,
        time_limit=time_limit,
        folder=record["folder"],
        submit_line=record.get("submit_line", ""),
        comment=_none_to_empty(record["comment"]),
        priority=_parse_int(record["priority"]),
        total_cpu=parse_cpu_time(record.get("total_cpu", "")),
        requested=parse_tres(record.get("requested", "")),
        allocated=allocated,
        cancelled_by=by,
        # The controller sends the rest of a record some seconds after the end. Until then the name is
        # "allocation" or empty, and the time limit is empty (a job without a limit has a text there).
        complete=queued
        or (
            bool(record["time_limit"] and record["folder"])
            and (state not in FINAL_STATES or end is not None)
            and (start is None or bool(allocated))
        ),
    )


def _build_step(record: Mapping[str, str]) -> Step:
    state, _ = _parse_state(record["state"])
    exit_code, signal = parse_exit(record["exit"])
    used = parse_size(record["max_rss"])
    total = parse_tres(record["total_usage"]).get("mem")
    return Step(
        id=record["id"],
        name=record["name"],
        state=state,
        state_text=record["state"],
        exit_code=exit_code,
        signal=signal,
        tasks=_parse_int(record["tasks"]),
        nodes=record["nodes"],
        node_count=_parse_int(record["node_count"]),
        start=parse_time(record["start"]),
        end=parse_time(record["end"]) if state in FINAL_STATES else None,
        elapsed=_parse_int(record["elapsed"]),
        max_rss=None if used is None else int(used),
        total_rss=None if total is None else int(total),
        total_cpu=parse_cpu_time(record["total_cpu"]),
        allocated=parse_tres(record["allocated"]),
        submit_line=record["submit_line"],
    )


def _parse_state(text: str) -> tuple[str, int | None]:
    """``CANCELLED by 1000`` → (``CANCELLED``, 1000)."""
    state, _, by = text.partition(" by ")
    return state.rstrip("+"), _parse_int(by)


def _none_to_empty(text: str) -> str:
    return "" if text in ("None", "(null)") else text


def _parse_int(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _extract_ints(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _submission_key(job: Job) -> tuple[float, tuple[int, ...]]:
    return job.submit or 0, _extract_ints(job.id)


def _attempt_key(job: Job) -> tuple[float, float]:
    return job.submit or 0, job.start or float("inf")
