"""What tests of exercises are told, from a scheduler that answers from memory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hpclab import evidence, plots, slurm
from hpclab.evidence import CheckFailed
from hpclab.slurm import Job

Answer = Callable[..., None]


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Sets the records that accounting and queue give; each field has a default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evidence, "APPEAR_SECONDS", 0.3)
    monkeypatch.setattr(evidence, "END_SECONDS", 0.3)
    default = {
        "id": "12",
        "raw_id": "12",
        "name": "a",
        "state": "COMPLETED",
        "reason": "",
        "folder": str(tmp_path),
    }
    default |= {
        "submit": "100",
        "start": "103",
        "end": "110",
        "elapsed": "7",
        "nodes": "n1",
        "submit_line": "sbatch a.sbatch",
    }
    rows: list[dict[str, str]] = []
    script = "#!/bin/bash\n#SBATCH -o a-%j.out\n"

    def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        text = "\n".join(argv)
        if "--batch-script" in argv:
            header = "Batch Script for 12\n" + "-" * 80 + "\n"
            return subprocess.CompletedProcess(argv, 0, header + script, "")
        fields = slurm.SACCT_FIELDS if "sacct" in argv else slurm.SQUEUE_FIELDS
        separator = "\x1f" + text.split("\x1f")[1] + "\x1f"
        shown = rows if "sacct" in argv else [row for row in rows if row["state"] in ("PENDING", "RUNNING")]
        lines = [separator.join(row.get(name, "x") for name in fields) + "\n" for row in shown]
        return subprocess.CompletedProcess(argv, 0, "".join(lines), "sacct: a remark")

    monkeypatch.setattr(evidence, "_run", run)

    def set_rows(*changes: dict[str, str]) -> None:
        rows[:] = [default | change for change in changes]

    return set_rows


def test_the_newest_job_counts(answer: Answer) -> None:
    answer({"id": "12", "raw_id": "12", "state": "FAILED"}, {"id": "13", "raw_id": "13", "submit": "200"})
    assert evidence.job("a").id == "13"
    assert [job.id for job in evidence.jobs_ended("a", at_least=2)] == ["12", "13"]


def test_a_job_of_another_folder_does_not_count(answer: Answer) -> None:
    answer({"folder": "/elsewhere"})
    with pytest.raises(CheckFailed, match="no job named 'a' that was submitted"):
        evidence.job("a")


def test_too_few_jobs(answer: Answer) -> None:
    answer({})
    with pytest.raises(CheckFailed, match=r"Found: one job named 'a' .*\nExpected: 2 jobs"):
        evidence.jobs_ended("a", at_least=2)


def test_a_job_that_does_not_end_is_said_with_its_reason(answer: Answer) -> None:
    answer({"state": "PENDING", "reason": "JobHeldUser", "start": "Unknown"})
    with pytest.raises(CheckFailed, match=r"job 12 \(a\) still PENDING, JobHeldUser"):
        evidence.job("a")


def test_output_and_script(answer: Answer, tmp_path: Path) -> None:
    answer({})
    job = evidence.job("a")
    (tmp_path / "a-12.out").write_bytes(b"done \xff\n")
    assert evidence.output(job) == "done \ufffd\n"
    assert evidence.script(job).startswith("#!/bin/bash")


def test_a_missing_file_is_a_failed_check(answer: Answer) -> None:
    answer({})
    with pytest.raises(CheckFailed, match=r"Found: no file result\.txt"):
        evidence.text("result.txt")
    with pytest.raises(CheckFailed, match=r"no file result\.txt"):
        evidence.modified("result.txt")


@pytest.mark.parametrize("content", ["Submitted batch job 12", "", "12 13"])
def test_no_job_id(answer: Answer, tmp_path: Path, content: str) -> None:
    (tmp_path / "id").write_text(content)
    with pytest.raises(CheckFailed, match="a job ID and nothing else"):
        evidence.job_id("id")


def test_a_job_id_with_its_cluster(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("12;perlmutter\n")
    assert evidence.job_id("id") == "12"


def test_a_huge_file_is_not_read(answer: Answer, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(evidence.MOST_BYTES + 1)
    with pytest.raises(CheckFailed, match="larger than"):
        evidence.text("big")


def test_a_failed_check_is_two_lines_without_traceback() -> None:
    with pytest.raises(CheckFailed) as caught:
        evidence.check(0, "two", "three", "ls")
    assert caught.value._render_traceback_() == ["Found: two.\nExpected: three.\nLook: ls"]


def test_the_timeline_in_words_and_as_a_picture() -> None:
    jobs = [
        Job(id="1", raw_id="1", name="a", state="COMPLETED", submit=100, start=103, end=110, elapsed=7),
        Job(id="2", raw_id="2", name="b", state="CANCELLED", submit=101, end=105, elapsed=0),
        Job(id="3", raw_id="3", name="c", state="RUNNING", submit=102, start=104),
    ]
    assert plots.describe(jobs).splitlines()[:2] == [
        "a (1): waited 3 s, ran 7 s, COMPLETED",
        "b (2): never started, CANCELLED",
    ]
    figure = plots.timeline(jobs, now=120)
    bars = [(bar.get_x(), bar.get_width()) for bar in figure.axes[0].patches]
    assert bars == [(0, 3), (3, 7), (1, 4), (2, 2), (4, 16)]
    assert plots.timeline([]) is not None
