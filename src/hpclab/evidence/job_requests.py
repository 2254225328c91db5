"""The request of a job: its stored script, options, dependencies and output file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hpclab import slurm
from hpclab.evidence import files, slurm_queries
from hpclab.evidence.checks import CheckFailed, check, warn_fallback
from hpclab.slurm import Dependency, Job


def script(job: Job) -> str:
    """Return the batch script of ``job`` as Slurm stored it at submission.

    It comes from accounting, else from the controller, else from the submitted file as it is now, with a
    ``Fallback`` warning. Raises CheckFailed where none of them has it.
    """
    stored = _stored_script(job)
    if stored:
        return stored
    path = _submitted_file(job)
    if path:
        try:
            content = files.text(path)
        except CheckFailed:
            content = ""
        if content:
            warn_fallback(
                f"Slurm has not stored the script of job {job.id}",
                f"{path} is read instead, and may have changed since the job was submitted",
            )
            return content
    check(
        False,
        f"no stored batch script of job {job.id}, and no file {path or 'on its command line'}",
        "a job submitted with sbatch, and its script",
        f"sacct -B -j {job.id}",
    )
    raise AssertionError


def directives(job: Job) -> dict[str, str]:
    """Return the options in the ``#SBATCH`` lines of the job's script, by their long names.

    Values are strings as written, and empty for flags: ``{"time": "2", "hold": ""}``. Lines below the first command
    do not count.
    """
    return slurm.read_directives(script(job))


def options(job: Job) -> dict[str, str]:
    """Return the options that the job was submitted with: its directives, overridden by its command line.

    Environment variables such as ``SBATCH_QOS`` are not recorded. To see what the job really got, look at the
    job itself (``job.qos``, ``job.time_limit``, ``job.requested``).
    """
    text = _script_or_empty(job)
    return slurm.read_directives(text) | _command_line_options(job, text)


def dependencies(job: Job) -> list[Dependency]:
    """Return the conditions of the job's ``--dependency`` option.

    Accounting has no field for them, so changes made later with ``scontrol update`` are not seen.
    """
    return slurm.read_dependencies(options(job).get("dependency", ""))


def edges(jobs: Sequence[Job]) -> list[tuple[str, str, str]]:
    """Return every dependency among ``jobs`` as (id of the first job, id of the waiting job, kind).

    For ``plots.dependency_graph``. ``singleton`` waits for every earlier job of the same name in ``jobs``.
    """
    result = []
    for job in jobs:
        for dependency in dependencies(job):
            ids = dependency.ids
            if dependency.kind == "singleton":
                ids = tuple(
                    other.id for other in jobs if other.name == job.name and _was_submitted_before(other, job)
                )
            result += [(first, job.id, dependency.kind) for first in ids]
    return result


def _was_submitted_before(other: Job, job: Job) -> bool:
    return other.array_id != job.array_id and _submission_key(other) < _submission_key(job)


def _submission_key(job: Job) -> tuple[float, list[int]]:
    return job.submit or 0, [int(number) for number in re.findall(r"\d+", job.array_id)]  # "12", "12+0"


def output_file(job: Job) -> Path:
    """Return the path of the job's output file."""
    return Path(job.folder) / slurm.resolve_output_path(job, _script_or_empty(job))


def output(job: Job) -> str:
    """Return the text of the job's output file."""
    return files.text(output_file(job))


def _stored_script(job: Job) -> str:
    """The script from accounting, else from the controller; empty if neither has it."""
    script = slurm_queries.query_accounting(slurm.query_stored_script, job.id)
    return script or slurm_queries.query(slurm.query_controller_script, job.id)


def _script_or_empty(job: Job) -> str:
    """The script; empty for a job without one, for example of ``salloc`` or ``srun``."""
    try:
        return script(job)
    except CheckFailed:
        return ""


def _command_line_options(job: Job, text: str) -> dict[str, str]:
    return slurm.read_submit_line(job.submit_line, script=text, name=job.name, comment=job.comment)[0]


def _submitted_file(job: Job) -> Path | None:
    arguments = slurm.read_submit_line(job.submit_line, name=job.name, comment=job.comment)[1]
    return Path(job.folder) / arguments[0] if arguments and job.folder else None
