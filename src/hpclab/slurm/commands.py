"""Argument lists for Slurm's commands. Pure.

The output has fixed fields and the caller's separator; ``parse`` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = "\x1f"

# A free text is never the last field, because a line break in it would end the record.
SACCT_FIELDS = {
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
    "node_count": "NNodes",
    "priority": "Priority",
    "total_cpu": "TotalCPU",
    "comment": "Comment",
    "requested": "ReqTRES",
    "allocated": "AllocTRES",
}
# The row of the job itself says to which attempt the following steps belong.
STEP_FIELDS = {
    "id": "JobID",
    "name": "JobName",
    "state": "State",
    "exit": "ExitCode",
    "tasks": "NTasks",
    "nodes": "NodeList",
    "node_count": "NNodes",
    "submit": "Submit",
    "start": "Start",
    "end": "End",
    "elapsed": "ElapsedRaw",
    "max_rss": "MaxRSS",
    "total_usage": "TRESUsageInTot",
    "total_cpu": "TotalCPU",
    "submit_line": "SubmitLine",
    "allocated": "AllocTRES",
}
SQUEUE_FIELDS = {
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
    "end": "%e",
    "limit": "%l",
    "node_count": "%D",
    "comment": "%k",
    "priority": "%Q",
}
# Without --state, sacct selects jobs by the time when they became eligible, and leaves out jobs that were
# cancelled while held. With --state it lists every job that was in one of these states.
_ANY_STATE = "BF,CA,CD,DL,F,NF,OOM,PD,PR,R,RQ,S,TO"
# Seconds since the epoch; local time is ambiguous when daylight saving time ends.
_EPOCH = ("env", "SLURM_TIME_FORMAT=%s")


def sbatch_argv(script: str, options: Sequence[str] = (), arguments: Sequence[str] = ()) -> list[str]:
    """Return an ``sbatch`` command that prints only the job's id."""
    return ["sbatch", "--parsable", *options, script, *arguments]


def sacct_argv(
    *,
    jobs: Sequence[str] = (),
    names: Sequence[str] = (),
    user: str = "",
    since: str = "",
    separator: str = SEPARATOR,
) -> list[str]:
    """Return a ``sacct`` command that lists jobs with every attempt.

    It lists steps too, which ``parse_sacct`` skips, because without them TotalCPU is zero.
    """
    argv = [*_EPOCH, "sacct", "--duplicates", "--noheader", "--parsable2"]
    argv += [f"--delimiter={separator}", f"--format={','.join(SACCT_FIELDS.values())}"]
    if jobs:
        argv.append(f"--jobs={','.join(jobs)}")
    else:
        # sacct's default start is midnight, which would miss jobs of the evening before.
        argv += [f"--starttime={since or 'now-28days'}", "--endtime=now", f"--state={_ANY_STATE}"]
    if names:
        argv.append(f"--name={','.join(names)}")
    if user:
        argv.append(f"--user={user}")
    return argv


def steps_argv(job: str, *, separator: str = SEPARATOR) -> list[str]:
    """Return a ``sacct`` command that lists every attempt of a job, each followed by its steps."""
    argv = [*_EPOCH, "sacct", "--duplicates", "--noheader", "--parsable2", f"--delimiter={separator}"]
    return [*argv, f"--format={','.join(STEP_FIELDS.values())}", f"--jobs={job}"]


def squeue_argv(
    *, jobs: Sequence[str] = (), user: str = "", recent: bool = False, separator: str = SEPARATOR
) -> list[str]:
    """Return a ``squeue`` command; with ``recent`` it also lists jobs that ended some minutes ago."""
    argv = [*_EPOCH, "squeue", "--noheader", f"--format={separator.join(SQUEUE_FIELDS.values())}"]
    if jobs:
        argv.append(f"--jobs={','.join(jobs)}")
    if user:
        argv.append(f"--user={user}")
    if recent:
        argv.append("--states=all")
    return argv


def stored_script_argv(job: str) -> list[str]:
    """Return a ``sacct`` command that prints the stored batch script of ``job``, an id such as ``12_3``.

    JobIDRaw does not serve: the last task of an array has the array's own number, and sacct would print the
    scripts of all tasks.
    """
    return ["sacct", "--batch-script", f"--jobs={job}"]


def controller_script_argv(job: str) -> list[str]:
    """Return a ``scontrol`` command that prints the batch script, which the controller keeps until minutes after the end."""
    return ["scontrol", "write", "batch_script", job, "-"]
