"""The resources that one submission of a lab may use, and those that its job requests from Slurm. Pure."""

from __future__ import annotations

import math

import msgspec

from hpclab.grading.model import Lab, Limits

ENOUGH = 5  # times the author's measurement: another machine, other submissions beside it
PLACES = 4  # folders of a sandbox that a submission can fill, each up to its limit
SLURM_MIB = 2048
WORKER_MIB = 512
START = 120.0  # seconds to start Python, and to start and stop an isolated cluster


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """The resources that a job grading one submission requests."""

    memory_mib: int
    cpus: int
    seconds: int


def limits(lab: Lab) -> Limits:
    """Return the limits of a submission of ``lab``."""
    if not lab.nodes:
        return Limits(
            seconds=max(60.0, lab.seconds * ENOUGH),
            job_wait_seconds=0.0,
            test_seconds=max(30.0, lab.seconds * ENOUGH / 2),
            memory_mib=1024,
            processes=64,
            disk_mib=128,
            inodes=5_000,
            output_mib=4,
        )
    return Limits(
        seconds=max(600.0, lab.seconds * ENOUGH),
        job_wait_seconds=60.0,
        test_seconds=180.0,  # a test may wait for accounting, which lags
        memory_mib=3_000,
        processes=2_000,
        disk_mib=2_000,
        inodes=50_000,
        output_mib=8,
    )


def to_break(limits: Limits) -> Limits:
    """Return smaller limits for a cluster whose probes break each of them, which saves time."""
    return msgspec.structs.replace(
        limits,
        seconds=60.0,
        job_wait_seconds=5.0,
        memory_mib=1_000,
        processes=300,
        disk_mib=64,
        inodes=2_000,
        output_mib=1,
    )


def needs(lab: Lab, limits: Limits, tries: int) -> Needs:
    """Return the resources of a submission's job. It outlasts every limit inside, so that no verdict depends on its end."""
    asks = any(
        word in test.source for test in lab.tests for word in ("evidence.function(", "evidence.replay(")
    )
    once = limits.seconds * (1 + asks) + limits.job_wait_seconds + limits.test_seconds * len(lab.tests)
    # Only an error of the grader causes a second try; both tries using all their time is unlikely.
    total = START + once * min(tries, 1.5)
    # The memory of a submission, of the folders in memory that it fills, and of the grading process; or of a
    # whole Slurm.
    memory = limits.memory_mib + (SLURM_MIB if lab.nodes else PLACES * limits.disk_mib) + WORKER_MIB
    return Needs(memory_mib=memory, cpus=2 if lab.nodes else 1, seconds=math.ceil(total))
