"""Argument lists for Slurm's commands. Touches nothing.

Output is asked for in fixed fields with a separator of the caller's choice: see ``parse``.
"""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = "\x1f"

# What people write freely never stands last: a line break in it would end the record.
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
# A job's own row tells which attempt the steps below it belong to.
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
    """``sacct`` for jobs, every attempt of a requeued one included.

    Steps come too (``parse_sacct`` leaves them out): without them TotalCPU is zero.
    """
    argv = [*_EPOCH, "sacct", "--duplicates", "--noheader", "--parsable2"]
    argv += [f"--delimiter={separator}", f"--format={','.join(SACCT_FIELDS.values())}"]
    if jobs:
        argv.append(f"--jobs={','.join(jobs)}")
    else:
        # sacct's own default is the last midnight, which splits a night's work.
        argv += [f"--starttime={since or 'now-28days'}", "--endtime=now", f"--state={_ANY_STATE}"]
    if names:
        argv.append(f"--name={','.join(names)}")
    if user:
        argv.append(f"--user={user}")
    return argv


def steps_argv(job: str, *, separator: str = SEPARATOR) -> list[str]:
    """``sacct`` for one job, every attempt, each followed by its steps."""
    argv = [*_EPOCH, "sacct", "--duplicates", "--noheader", "--parsable2", f"--delimiter={separator}"]
    return [*argv, f"--format={','.join(STEP_FIELDS.values())}", f"--jobs={job}"]


def squeue_argv(
    *, jobs: Sequence[str] = (), user: str = "", recent: bool = False, separator: str = SEPARATOR
) -> list[str]:
    """``squeue`` for jobs that are not over; with ``recent`` also those that ended some minutes ago."""
    argv = [*_EPOCH, "squeue", "--noheader", f"--format={separator.join(SQUEUE_FIELDS.values())}"]
    if jobs:
        argv.append(f"--jobs={','.join(jobs)}")
    if user:
        argv.append(f"--user={user}")
    if recent:
        argv.append("--states=all")
    return argv


def batch_script_argv(job: str) -> list[str]:
    """The script as it was submitted, from accounting. ``job`` is the ID as people write it:

    the last task of an array has the array's own number, for which sacct prints every task's script.
    """
    return ["sacct", "--batch-script", f"--jobs={job}"]


def held_script_argv(job: str) -> list[str]:
    """The script as it was submitted, from the controller, which forgets it some minutes after the end."""
    return ["scontrol", "write", "batch_script", job, "-"]
