"""What a job asked for: its stored script, its options, and where its output went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hpclab import slurm
from hpclab.evidence import asking, files
from hpclab.evidence.checks import CheckFailed, check, fall_back
from hpclab.slurm import Dependency, Job


def script(job: Job) -> str:
    """The batch script of ``job`` as Slurm stored it at submission.

    Where accounting keeps none, the controller's copy; where that is forgotten, and with a warning of the kind
    ``Fallback``, the file that was submitted, as it is now.
    """
    stored = _stored(job)
    if stored:
        return stored
    path = _script_file(job)
    if path:
        try:
            content = files.text(path)
        except CheckFailed:
            content = ""
        if content:
            fall_back(
                f"Slurm keeps no script of job {job.id}",
                f"{path} is read instead, which may have changed since it was submitted",
            )
            return content
    check(
        False,
        f"no stored batch script of job {job.id}, and no file {path or 'in its command line'}",
        "a job submitted with sbatch, and its script",
        f"sacct -B -j {job.id}",
    )
    raise AssertionError


def directives(job: Job) -> dict[str, str]:
    """The options in the ``#SBATCH`` lines above the first command of its script, by their long names.

    A flag's value is empty. Values are as they were written: ``{"time": "2", "hold": ""}``.
    """
    return slurm.read_directives(script(job))


def options(job: Job) -> dict[str, str]:
    """What the job asked for: its directives, overridden by its command line.

    Variables such as ``SBATCH_QOS`` come between the two and leave no trace: for what the job really got, look at
    the job itself (``job.qos``, ``job.time_limit``, ``job.requested``).
    """
    text = _known(job)
    return slurm.read_directives(text) | _on_command_line(job, text)


def dependencies(job: Job) -> list[Dependency]:
    """The conditions of the job's ``--dependency``; accounting keeps them nowhere else than in what was written.

    What somebody changed later with ``scontrol update`` is not known.
    """
    return slurm.read_dependencies(options(job).get("dependency", ""))


def edges(jobs: Sequence[Job]) -> list[tuple[str, str, str]]:
    """Every dependency among ``jobs`` as (the job that comes first, the one that waits, the kind).

    For ``plots.dependency_graph``. ``singleton`` waits for every earlier job of its name in ``jobs``.
    """
    found = []
    for job in jobs:
        for one in dependencies(job):
            ids = one.ids
            if one.kind == "singleton":
                ids = tuple(other.id for other in jobs if other.name == job.name and _came_before(other, job))
            found += [(first, job.id, one.kind) for first in ids]
    return found


def _came_before(other: Job, job: Job) -> bool:
    return other.array_id != job.array_id and _age(other) < _age(job)


def _age(job: Job) -> tuple[float, list[int]]:
    return job.submit or 0, [int(number) for number in re.findall(r"\d+", job.array_id)]  # "12", "12+0"


def output_file(job: Job) -> Path:
    """Where ``job`` printed to."""
    return Path(job.folder) / slurm.output_path(job, _known(job))


def output(job: Job) -> str:
    """What ``job`` printed."""
    return files.text(output_file(job))


def _stored(job: Job) -> str:
    """The script from accounting, else from the controller; empty where both have none."""
    kept = asking.ask_accounting(slurm.ask_batch_script, job.id)
    return kept or asking.ask(slurm.ask_held_script, job.id)


def _known(job: Job) -> str:
    """The script; empty for a job without one, as after ``salloc`` and ``srun``."""
    try:
        return script(job)
    except CheckFailed:
        return ""


def _on_command_line(job: Job, text: str) -> dict[str, str]:
    return slurm.read_submit_line(job.submit_line, script=text, name=job.name, comment=job.comment)[0]


def _script_file(job: Job) -> Path | None:
    rest = slurm.read_submit_line(job.submit_line, name=job.name, comment=job.comment)[1]
    return Path(job.folder) / rest[0] if rest and job.folder else None
