"""How much one submission of a lab may use, and what its job asks Slurm for. Pure."""

from __future__ import annotations

import math

import msgspec

from hpclab.grading.model import Lab, Limits

ENOUGH = 5  # times what the author measured: another machine, other submissions beside it
PLACES = 4  # folders of a sandbox that a submission can fill, each up to its limit
SLURM_MIB = 2048
WORKER_MIB = 512
START = 120.0  # seconds in which Python starts, and an isolated cluster comes up and goes down


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a job that grades one submission asks for."""

    memory_mib: int
    cpus: int
    seconds: int


def limits(lab: Lab) -> Limits:
    """What a submission of ``lab`` may use."""
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
    """Smaller ones of a cluster, for probes that break each of them: that takes less time."""
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
    """What its job asks for; it must outlast every limit inside, so that no verdict is the job's end."""
    asks = any(
        word in test.source for test in lab.tests for word in ("evidence.function(", "evidence.replay(")
    )
    once = limits.seconds * (1 + asks) + limits.job_wait_seconds + limits.test_seconds * len(lab.tests)
    # Only an error of ours makes a second try; that both take all their time is not to be expected.
    total = START + once * min(tries, 1.5)
    # What a submission may use, the folders in memory that it fills, and the grading process; or a whole Slurm beside it.
    memory = limits.memory_mib + (SLURM_MIB if lab.nodes else PLACES * limits.disk_mib) + WORKER_MIB
    return Needs(memory_mib=memory, cpus=2 if lab.nodes else 1, seconds=math.ceil(total))
