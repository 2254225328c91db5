"""Fault: a job uses more memory than it requested."""

from __future__ import annotations

import re

from hpclab.cluster.faults.model import Ask, Command, Fault, Kind, Option, compute_nodes
from hpclab.cluster.spec import LOGIN
from hpclab.errors import ClusterError, HostUnsuitable, UsageError

SIZES = {"": 1, "M": 1, "G": 1024, "T": 1024 * 1024}


def ask_jobs(ask: Ask) -> Command:
    """Return the command that lists running jobs on the node with owner and memory, and the host's free memory (kB)."""
    script = (
        'for job in $(squeue -h -w "$1" -t R -o %A); do scontrol -d -o show job "$job"; done;'
        " grep MemAvailable /proc/meminfo"
    )
    return ("sh", "-c", script, "jobs", ask.target)


def jobs_on(node: str, answer: str) -> dict[str, tuple[str, int]]:
    """Parse ``scontrol -d -o show job``: job -> (owner, MiB that it may use on ``node``)."""
    found = {}
    for line in answer.splitlines():
        job = re.search(r"\bJobId=(\d+)", line)
        owner = re.search(r"\bUserId=([^(]+)\(", line)
        parts = re.findall(r"\bNodes=(\S+) CPU_IDs=\S+ Mem=(\d+)([MGT]?)", line)
        mine = [int(size) * SIZES[unit] for names, size, unit in parts if _has(names, node)]
        if job and owner and mine:
            found[job[1]] = (owner[1], mine[0])
    return found


def _has(names: str, node: str) -> bool:
    """Return whether Slurm's hostlist (nid[001-002,004]) contains ``node``."""
    form = re.fullmatch(r"([a-z]+)\[([\d,-]+)\]", names)
    if not form:
        return names == node
    number = int(node.removeprefix(form[1]))
    for part in form[2].split(","):
        first, _, last = part.partition("-")
        if int(first) <= number <= int(last or first):
            return True
    return False


def exhaust(ask: Ask, answer: str) -> Fault:
    node, wanted = ask.target, ask.text("job")
    jobs = jobs_on(node, answer)
    if not jobs:
        raise ClusterError(
            f"no job runs on {node}, and memory is limited for jobs only",
            "Start one there: sbatch -w " + node,
        )
    if wanted and wanted not in jobs:
        raise UsageError(f"job {wanted} does not run on {node}", f"Running there: {', '.join(jobs)}.")
    if not wanted and len(jobs) > 1:
        raise UsageError(
            f"several jobs run on {node}", f"Say which: --job ID. Running there: {', '.join(jobs)}."
        )
    job = wanted or next(iter(jobs))
    owner, limit = jobs[job]
    # Slurm polls once a second: the process must not get far beyond the limit by then.
    hog = limit + max(64, limit // 4)
    _check_free_memory(hog, answer)
    polling = ask.spec.host.cgroup == "none"
    who = {person.name: person for person in ask.spec.identity.people}[owner]
    person = ("env", f"HOME={who.home}", f"USER={who.name}", f"LOGNAME={who.name}", f"SHELL={who.shell}")
    enter = ("/run/hpclab/bin/enter", LOGIN, str(who.uid), str(who.gid), "/")
    script = ("/run/hpclab/bin/fault-exhaust-memory", job, node, str(hog))
    return Fault(
        id=f"exhaust-memory-{node}-{job}",
        kind="exhaust-memory",
        target=f"job {job} on {node}",
        node=node,
        inject=((*person, *enter, *script),),
        did=f"A step of job {job} on {node} took more memory than the {limit} MiB that the job has there,"
        f" and was stopped by {'Slurm' if polling else 'the kernel'}.",
        expect=f"`sacct -j {job}` shows the step as "
        + ("CANCELLED with exit code 0:9" if polling else "OUT_OF_MEMORY with exit code 0:125")
        + ". The batch script goes on unless it looks at that.",
    )


def _check_free_memory(hog: int, answer: str) -> None:
    left = re.search(r"^MemAvailable:\s*(\d+)", answer, re.MULTILINE)
    free = int(left[1]) // 1024 if left else 0
    if free < hog + 256:
        raise HostUnsuitable(
            f"this needs {hog} MiB of memory, and this machine has only {free} MiB left",
            "Take a job with a smaller --mem: the machine itself must not run out.",
        )


EXHAUST = Kind(
    name="exhaust-memory",
    help="A job on a node takes more memory than it asked for.",
    plan=exhaust,
    probe=ask_jobs,
    targets=compute_nodes,
    target="node",
    options=(Option(name="job", help="Which job, if several run there."),),
)
