"""Recorded output of two Slurm releases; test_slurm_data/README.md describes its origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpclab import slurm
from hpclab.slurm import Job

DATA = Path(__file__).parent / "test_slurm_data"
MIB = 2**20


def recorded(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


def jobs_of(release: str) -> list[Job]:
    return slurm.select_latest(slurm.parse_sacct(recorded(f"{release}-sacct"), "¦"))


def test_the_jobs_of_22_05() -> None:
    train, oom, again, gone, *sweep = sorted(jobs_of("22.05"), key=lambda job: "_" in job.id)
    assert (train.id, train.state, train.node_count, train.cpus, train.time_limit) == (
        "23",
        "COMPLETED",
        2,
        2,
        120,
    )
    assert train.requested == {"billing": 2, "cpu": 2, "gres/gpu": 2, "mem": 600 * MIB, "node": 2}
    assert train.allocated == train.requested
    assert (train.total_cpu, train.comment, train.priority) == (0.131, "first try", 93999)
    assert (oom.state, oom.exit_code, oom.signal) == ("FAILED", 1, 0)
    assert (again.state, again.restarts, again.waited) == ("COMPLETED", 1, 11)
    assert (gone.state, gone.state_text, gone.cancelled_by) == ("CANCELLED", "CANCELLED by 1000", 1000)
    assert (gone.start, gone.waited, dict(gone.allocated)) == (None, None, {})
    assert [(job.id, job.array_id, job.array_index, job.exit_code) for job in sweep] == [
        ("25_1", "25", 1, 0),
        ("25_2", "25", 2, 1),
        ("25_3", "25", 3, 2),
    ]
    assert all(job.complete and job.ended for job in [train, oom, again, gone, *sweep])
    assert train.array_index is None


def test_the_steps_of_22_05() -> None:
    job = jobs_of("22.05")[0]
    steps = slurm.parse_steps(recorded("22.05-steps"), job, "¦")
    assert [(step.id, step.name, step.state, step.exit_code) for step in steps] == [
        ("23.batch", "batch", "COMPLETED", 0),
        ("23.0", "hostname", "COMPLETED", 0),
        ("23.1", "eater", "COMPLETED", 0),
        ("23.2", "bash", "FAILED", 3),
    ]
    hostname, eater = steps[1:3]
    assert (hostname.tasks, hostname.node_count, hostname.nodes) == (2, 2, "nid[001-002]")
    assert (hostname.max_rss, hostname.total_rss) == (4480 * 1024, 8756 * 1024)
    assert eater.max_rss == 90068 * 1024 and eater.total_cpu == 0.082 and eater.elapsed == 3
    assert eater.allocated == {"cpu": 1, "gres/gpu": 1, "mem": 300 * MIB, "node": 1}
    assert eater.submit_line.startswith("srun -N1 -n1 --job-name=eater")


def test_every_attempt_has_its_own_end_and_steps() -> None:
    records = slurm.parse_sacct(recorded("22.05-sacct"), "¦")
    first, second = slurm.select_attempts(records, "26")
    assert [(one.state, one.restarts, one.ended) for one in (first, second)] == [
        ("REQUEUED", 0, False),
        ("COMPLETED", 1, True),
    ]
    assert first.end == 1795614012 and first.end < second.submit  # type: ignore[operator]
    text = recorded("22.05-requeued")
    assert [step.state for step in slurm.parse_steps(text, first, "¦")] == ["CANCELLED"]
    assert [step.state for step in slurm.parse_steps(text, second, "¦")] == ["COMPLETED"]


def test_the_queue_of_22_05_knows_jobs_that_just_ended() -> None:
    queued = {job.id: job for job in slurm.parse_squeue(recorded("22.05-squeue"), "¦")}
    train = queued["23"]
    assert (train.state, train.elapsed, train.time_limit, train.node_count, train.comment) == (
        "COMPLETED",
        3,
        120,
        2,
        "first try",
    )
    assert (queued["25_3"].raw_id, queued["24"].comment, queued["27"].start) == ("25", "", None)


def test_accounting_and_queue_of_22_05_agree() -> None:
    known, queued = jobs_of("22.05"), slurm.parse_squeue(recorded("22.05-squeue"), "¦")
    found, late = slurm.merge_records(known, queued)
    assert found == known and late == []


def test_the_script_of_22_05() -> None:
    script = slurm.parse_batch_script(recorded("22.05-script"))
    assert script.startswith("#!/bin/bash\n") and script.endswith("\ntrue\n")
    assert slurm.read_directives(script) == {
        "job-name": "train",
        "nodes": "2",
        "ntasks": "2",
        "mem": "300M",
        "time": "2",
        "comment": "first try",
    }


def test_the_jobs_of_24_05() -> None:
    train, short, sweep = jobs_of("24.05")
    assert (train.cpus, train.node_count, train.time_limit) == (256, 2, None)  # UNLIMITED
    assert train.complete  # although there is no limit
    assert (train.allocated["gres/gpu"], train.allocated["gres/gpu:a100"]) == (8, 8)
    assert train.allocated["mem"] == 458976 * MIB
    assert train.total_cpu == 26 * 3600 + 3 * 60 + 4
    assert (short.state, short.start, short.waited) == ("CANCELLED", None, None)
    assert (sweep.id, sweep.array_index, sweep.state, sweep.restarts) == ("54326041_7", 7, "PENDING", 1)


def test_the_steps_of_24_05() -> None:
    batch, extern, python = slurm.parse_steps(recorded("24.05-steps"), jobs_of("24.05")[0], "¦")
    assert batch.max_rss == int(13.61 * 2**30)
    assert (extern.id, extern.max_rss, extern.total_rss) == ("54326039.extern", None, None)
    assert python.max_rss == 6559080 * 1024 and python.total_rss == int(51242.5 * MIB)
    assert python.tasks == 8 and python.total_cpu == 26 * 3600 + 2 * 60 + 49


def test_the_command_line_of_24_05_has_quotation_marks() -> None:
    job = jobs_of("24.05")[0]
    options, rest = slurm.read_submit_line(job.submit_line, comment=job.comment)
    assert options == {"parsable": "", "comment": "two words", "constraint": "gpu", "gpus-per-node": "4"}
    assert rest == ["train.sbatch", "--epochs", "3"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("13188K", 13188 * 1024.0),
        ("1.5G", 1.5 * 2**30),
        ("0", 0.0),
        ("512", 512.0),
        ("", None),
        ("16Gn", None),
    ],
)
def test_sizes(text: str, value: float | None) -> None:
    assert slurm.parse_size(text) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00.398", 0.398),
        ("01:02:03", 3723),
        ("2-00:00:01", 172801),
        ("10:05", 605),
        ("", None),
        ("INVALID", None),
    ],
)
def test_cpu_times(text: str, seconds: float | None) -> None:
    assert slurm.parse_cpu_time(text) == seconds


def test_typed_gpus_count_as_gpus() -> None:
    assert slurm.parse_tres("cpu=1,gres/gpu:a100=2,gres/gpu:h100=1")["gres/gpu"] == 3
    assert slurm.parse_tres("gres/gpu:a100=2,gres/gpu=3")["gres/gpu"] == 3
    assert slurm.parse_tres("") == {}


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("12_[4-6,9%2]", [4, 5, 6, 9]),
        ("12_[0-8:4]", [0, 4, 8]),
        ("12_[7]", [7]),
        ("1-3%1", [1, 2, 3]),
        ("12_[1,...]", []),
        ("12+0", []),
        ("12_[0-9:0]", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_indices_of_an_array(text: str, indices: list[int]) -> None:
    assert slurm.parse_array_indices(text) == indices
