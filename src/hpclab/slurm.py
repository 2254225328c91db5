"""The only module that speaks Slurm: command lines, their output, and job records.

Builders return an argument list, parsers take text: neither runs anything. The
functions at the end ask Slurm through a runner that the caller hands in, so the
same code works on a login node and through ``hpclab exec``.

Only stdout is parsed. Slurm and its plugins write remarks to stderr while all is
well, so stderr never decides anything.
"""

from __future__ import annotations

import datetime
import re
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hpclab.errors import CommandFailed, DeadlineExceeded
from hpclab.shell import indented

Runner = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
T = TypeVar("T")

SEPARATOR = "\x1f"

# The states that a job never leaves by itself (a requeue makes a new record).
FINAL = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)

# The letter or sign that sinfo puts after a node's state, from its manual page.
NODE_SUFFIXES: Mapping[str, str] = {
    "*": "not responding",
    "~": "powered off",
    "#": "powering up or being configured",
    "!": "about to power down",
    "%": "powering down",
    "$": "reserved for maintenance",
    "@": "about to reboot",
    "^": "rebooting",
    "-": "kept for a planned job",
}


@dataclass(frozen=True)
class Job:
    """One job, from accounting or from the queue; what is not known is None or empty.

    Times are seconds since the epoch, durations seconds.
    """

    id: str  # as people write it: "12", "12_3", "12_[4-7]"
    raw_id: str  # Slurm's own number, different for each task of an array
    name: str
    state: str  # one word, e.g. COMPLETED
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    user: str = ""
    account: str = ""
    qos: str = ""
    partition: str = ""
    nodes: str = ""
    cpus: int | None = None
    submit: float | None = None
    start: float | None = None
    end: float | None = None
    elapsed: int | None = None
    time_limit: int | None = None
    folder: str = ""
    submit_line: str = ""
    cancelled_by: int | None = None
    restarts: int = 0

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.state in FINAL

    @property
    def array_id(self) -> str:
        """The ID that all tasks of its array share; the own ID for other jobs."""
        return self.id.partition("_")[0]

    @property
    def waited(self) -> float | None:
        """Seconds from submission to start; None for a job that never started."""
        return None if self.start is None or self.submit is None else self.start - self.submit


@dataclass(frozen=True)
class Node:
    """One node, from ``sinfo``: its state as a word, and what the suffix says."""

    name: str
    state: str
    note: str
    cpus: int
    memory_mb: int
    gres: str
    reason: str


# ---------------------------------------------------------------- command lines

_SACCT = {
    "id": "JobID",
    "raw_id": "JobIDRaw",
    "name": "JobName",
    "state": "State",
    "reason": "Reason",
    "exit": "ExitCode",
    "user": "User",
    "account": "Account",
    "qos": "QOS",
    "partition": "Partition",
    "nodes": "NodeList",
    "cpus": "AllocCPUS",
    "submit": "Submit",
    "start": "Start",
    "end": "End",
    "elapsed": "ElapsedRaw",
    "time_limit": "TimelimitRaw",
    "folder": "WorkDir",
    "submit_line": "SubmitLine",
}
_SQUEUE = {
    "id": "%i",
    "raw_id": "%A",
    "name": "%j",
    "state": "%T",
    "reason": "%r",
    "user": "%u",
    "account": "%a",
    "qos": "%q",
    "partition": "%P",
    "nodes": "%N",
    "cpus": "%C",
    "submit": "%V",
    "start": "%S",
    "folder": "%Z",
}
_SINFO = {
    "name": "%n",
    "state": "%t",
    "cpus": "%c",
    "memory_mb": "%m",
    "gres": "%G",
    "reason": "%E",
}
# sacct lists jobs by when they became eligible, so one that was cancelled while held is in no
# list at all, unless states are named; then it lists whatever was in one of them.
_ANY_STATE = "BF,CA,CD,DL,F,NF,OOM,PD,PR,R,RQ,S,TO"
# Seconds since the epoch instead of local time, which is ambiguous one night a year.
_EPOCH = ("env", "SLURM_TIME_FORMAT=%s")


def sbatch_argv(script: str, options: Sequence[str] = (), arguments: Sequence[str] = ()) -> list[str]:
    """``sbatch`` that prints nothing but the job's ID. Options before the script, its arguments after."""
    return ["sbatch", "--parsable", *options, script, *arguments]


def sacct_argv(
    *,
    jobs: Sequence[str] = (),
    names: Sequence[str] = (),
    user: str = "",
    since: str = "",
    separator: str = SEPARATOR,
) -> list[str]:
    """``sacct`` for whole jobs (no steps), every attempt of a requeued job included."""
    argv = [*_EPOCH, "sacct", "--allocations", "--duplicates", "--noheader", "--parsable2"]
    argv += [f"--delimiter={separator}", f"--format={','.join(_SACCT.values())}"]
    if jobs:
        argv.append(f"--jobs={','.join(jobs)}")
    else:
        # sacct's own default is the last midnight, which splits a night's work.
        argv += [f"--starttime={since or 'now-7days'}", "--endtime=now", f"--state={_ANY_STATE}"]
    if names:
        argv.append(f"--name={','.join(names)}")
    if user:
        argv.append(f"--user={user}")
    return argv


def squeue_argv(*, jobs: Sequence[str] = (), user: str = "", separator: str = SEPARATOR) -> list[str]:
    """``squeue`` for jobs that are not over."""
    argv = [*_EPOCH, "squeue", "--noheader", f"--format={separator.join(_SQUEUE.values())}"]
    if jobs:
        argv.append(f"--jobs={','.join(jobs)}")
    if user:
        argv.append(f"--user={user}")
    return argv


def sinfo_argv(separator: str = SEPARATOR) -> list[str]:
    """``sinfo``, one line a node."""
    return ["sinfo", "--Node", "--noheader", f"--format={separator.join(_SINFO.values())}"]


def scontrol_argv(job: str) -> list[str]:
    """``scontrol show job`` on one line a job."""
    return ["scontrol", "--oneliner", "show", "job", job]


def batch_script_argv(job: str) -> list[str]:
    """The script as it was submitted, from accounting."""
    return ["sacct", "--batch-script", f"--jobs={job}"]


# ---------------------------------------------------------------------- parsers


def parse_submitted(text: str) -> str:
    """The job ID from the output of ``sbatch --parsable``. Raises ValueError."""
    for line in reversed(text.splitlines()):  # a site's greeting may come first
        if found := re.fullmatch(r"(\d+)(;\S+)?", line.strip()):
            return found[1]
    raise ValueError(f"no job ID in {text!r}")


def parse_sacct(text: str, separator: str = SEPARATOR) -> list[Job]:
    """Every record of ``sacct_argv``'s output, one an attempt, in its order."""
    return [_job(record) for record in _records(text, list(_SACCT), separator)]


def parse_squeue(text: str, separator: str = SEPARATOR) -> list[Job]:
    """The jobs of ``squeue_argv``'s output."""
    return [_job(record) for record in _records(text, list(_SQUEUE), separator)]


def parse_sinfo(text: str, separator: str = SEPARATOR) -> list[Node]:
    """The nodes of ``sinfo_argv``'s output; a node in two partitions comes once."""
    nodes: dict[str, Node] = {}
    for record in _records(text, list(_SINFO), separator):
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


# ------------------------------------------------------------------ asking Slurm


def ask_accounting(
    run: Runner, *, jobs: Sequence[str] = (), names: Sequence[str] = (), user: str = "", since: str = ""
) -> list[Job]:
    """The newest attempt of each job that fits. An unknown job is simply not in the list.

    Shortly after its end a job may lack its name and folder: Slurm adds them a second or two later.
    """
    separator = _unguessable()
    argv = sacct_argv(jobs=jobs, names=names, user=user, since=since, separator=separator)
    return latest(parse_sacct(_stdout(run, argv), separator))


def ask_queue(run: Runner, *, jobs: Sequence[str] = (), user: str = "") -> list[Job]:
    """The jobs that are not over. A job that Slurm has forgotten is simply not in the list."""
    separator = _unguessable()
    done = run(squeue_argv(jobs=jobs, user=user, separator=separator))
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise _failed("squeue", done)
    return parse_squeue(done.stdout, separator)


def ask_batch_script(run: Runner, job: str) -> str:
    """The script of ``job`` as it was submitted; empty where accounting keeps none."""
    return parse_batch_script(_stdout(run, batch_script_argv(job)))


def wait_for_end(
    run: Runner, job: str, *, seconds: float, report: Callable[[Job], None] | None = None
) -> Job:
    """Wait, politely, until accounting says that ``job`` is over. Raises DeadlineExceeded.

    ``report`` is called whenever the job's state or reason changes.
    """
    seen: Job | None = None

    def probe() -> Job | None:
        nonlocal seen
        found = ask_accounting(run, jobs=[job])
        if not found:
            return None
        if report and (seen is None or (seen.state, seen.reason) != (found[0].state, found[0].reason)):
            report(found[0])
        seen = found[0]
        return seen if seen.ended else None

    try:
        return wait_politely(probe, f"the end of job {job}", seconds=seconds)
    except DeadlineExceeded as late:
        now = f"{seen.state} {seen.reason}".strip() if seen else "not in accounting"
        raise DeadlineExceeded(
            f"{late.problem}; it is {now}", f"Look: scontrol show job {job}. Stop it: scancel {job}."
        ) from None


def wait_politely(
    probe: Callable[[], T | None], what: str, *, seconds: float, first: float = 0.25, most: float = 10.0
) -> T:
    """Like ``shell.wait_until``, with pauses that double: a cluster's controller serves everybody."""
    end = time.monotonic() + seconds
    pause = first
    while True:
        if found := probe():
            return found
        left = end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"waited {seconds:g} s for {what}")
        time.sleep(min(pause, left))
        pause = min(pause * 2, most)


def _unguessable() -> str:
    """A separator that nobody can have put into a job's name to forge a record."""
    return f"{SEPARATOR}{secrets.token_hex(4)}{SEPARATOR}"


def _stdout(run: Runner, argv: Sequence[str]) -> str:
    done = run(argv)
    if done.returncode != 0:
        raise _failed(shlex.join(argv), done)
    return done.stdout


def _failed(what: str, done: subprocess.CompletedProcess[str]) -> CommandFailed:
    return CommandFailed(
        f"exit status {done.returncode} from: {what}{indented(done.stderr.strip())}",
        "Is this a login node, and does the cluster answer? Try: scontrol ping",
    )
