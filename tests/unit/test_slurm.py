"""Command lines and parsers, from output recorded in Slurm's fixed formats."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from hpclab import slurm
from hpclab.errors import CommandFailed, DeadlineExceeded

FIELDS = list(slurm.SACCT_FIELDS)


def record(**values: str) -> str:
    default = {
        "id": "12",
        "raw_id": "12",
        "name": "train",
        "state": "COMPLETED",
        "reason": "None",
        "exit": "0:0",
        "user": "mira",
        "account": "m0000",
        "qos": "debug",
        "partition": "perlmutter",
        "nodes": "nid001",
        "cpus": "1",
        "submit": "1700000000",
        "start": "1700000003",
        "end": "1700000010",
        "elapsed": "7",
        "time_limit": "5",
        "folder": "/home/mira/lab",
        "submit_line": "sbatch train.sbatch",
        "node_count": "1",
        "priority": "93999",
        "total_cpu": "00:03.500",
        "comment": "",
        "requested": "billing=1,cpu=1,mem=1000M,node=1",
        "allocated": "billing=1,cpu=1,mem=1000M,node=1",
    }
    assert set(values) <= set(FIELDS) and set(default) == set(FIELDS)
    return slurm.SEPARATOR.join((default | values)[name] for name in FIELDS) + "\n"


def test_a_finished_job() -> None:
    (job,) = slurm.parse_sacct(record())
    assert (job.id, job.state, job.exit_code, job.signal) == ("12", "COMPLETED", 0, 0)
    assert (job.waited, job.elapsed, job.time_limit) == (3, 7, 300)
    assert job.ended and job.reason == ""


def test_cancelled_job_has_the_user_who_cancelled() -> None:
    (job,) = slurm.parse_sacct(
        record(state="CANCELLED by 1000", start="None", elapsed="0", nodes="None assigned")
    )
    assert (job.state, job.cancelled_by, job.start, job.waited, job.nodes) == (
        "CANCELLED",
        1000,
        None,
        None,
        "",
    )


def test_job_cancelled_while_pending_never_started() -> None:
    (job,) = slurm.parse_sacct(record(state="CANCELLED by 1000", start="1700000010", nodes="None assigned"))
    assert job.start is None and job.waited is None


def test_sacct_without_ids_lists_all_states() -> None:
    argv = slurm.sacct_argv(names=["a"])
    assert any(word.startswith("--state=") for word in argv) and "--endtime=now" in argv
    assert not any(word.startswith("--state=") for word in slurm.sacct_argv(jobs=["12"]))


def test_out_of_memory() -> None:
    (job,) = slurm.parse_sacct(record(state="OUT_OF_MEMORY", exit="0:125"))
    assert (job.exit_code, job.signal) == (0, 125)
    assert job.ended


def test_tasks_of_an_array() -> None:
    jobs = slurm.parse_sacct(
        record(id="12_1", raw_id="13") + record(id="12_[2-9%2]", raw_id="12", state="PENDING", nodes="")
    )
    assert [job.array_id for job in jobs] == ["12", "12"]
    assert jobs[1].start is None and not jobs[1].ended


def test_a_requeued_job_is_one_job_with_restarts() -> None:
    first = record(state="PREEMPTED", start="1700000003")
    second = record(state="REQUEUED", start="1700000100")
    third = record(state="RUNNING", start="1700000200", end="Unknown")
    for text in (first + second + third, third + first + second):
        (job,) = slurm.select_latest(slurm.parse_sacct(text))
        assert (job.state, job.restarts, job.start) == ("RUNNING", 2, 1700000200)


def test_pending_requeued_job_has_not_ended() -> None:
    text = record(state="NODE_FAIL", start="1700000003") + record(state="PENDING", start="Unknown")
    (job,) = slurm.select_latest(slurm.parse_sacct(text))
    assert (job.state, job.restarts, job.ended) == ("PENDING", 1, False)


def test_jobs_come_in_the_order_of_submission() -> None:
    text = (
        record(id="9", raw_id="9")
        + record(id="100", raw_id="100")
        + record(id="5", raw_id="5", submit="1700000001")
    )
    assert [job.id for job in slurm.select_latest(slurm.parse_sacct(text))] == ["9", "100", "5"]


def test_a_line_break_in_a_name_does_not_shift_fields() -> None:
    jobs = slurm.parse_sacct(record(name="a\nb") + record(id="13", raw_id="13"))
    assert [(job.id, job.name) for job in jobs] == [("12", "a\nb"), ("13", "train")]


def test_a_name_cannot_forge_a_record() -> None:
    secret = "\x1fdeadbeef\x1f"
    forged = "x\n" + record(id="99", raw_id="99")
    text = record(name=forged).replace(slurm.SEPARATOR, secret)
    text = text.replace(forged.replace(slurm.SEPARATOR, secret), forged)  # the forger knows no secret
    jobs = slurm.parse_sacct(text, secret)
    assert [job.id for job in jobs] == ["12"]


def test_greeting_of_the_site_is_skipped() -> None:
    assert [job.id for job in slurm.parse_sacct("Welcome to the cluster\n\n" + record())] == ["12"]


def test_the_queue() -> None:
    values = {
        "state": "PENDING",
        "reason": "JobHeldUser",
        "start": "1700000099",
        "nodes": "",
        "submit": "1700000000",
        "id": "7",
    }
    row = slurm.SEPARATOR.join(values.get(name, "x") for name in slurm.SQUEUE_FIELDS)
    (job,) = slurm.parse_squeue(row + "\n")
    assert (job.id, job.state, job.reason, job.start, job.ended) == (
        "7",
        "PENDING",
        "JobHeldUser",
        None,
        False,
    )


def queue_row(**values: str) -> str:
    default = {
        "id": "12",
        "raw_id": "12",
        "name": "train",
        "state": "RUNNING",
        "nodes": "nid001",
        "submit": "100",
    }
    return slurm.SEPARATOR.join((default | values).get(name, "") for name in slurm.SQUEUE_FIELDS) + "\n"


def test_expected_end_in_squeue_is_not_an_end() -> None:
    running, over = slurm.parse_squeue(
        queue_row(start="110", end="710") + queue_row(state="FAILED", start="110", end="113")
    )
    assert (running.end, running.elapsed) == (None, None)
    assert (over.end, over.elapsed) == (113, 3)


def test_squeue_can_list_recent_jobs() -> None:
    assert "--states=all" in slurm.squeue_argv(recent=True)
    assert "--states=all" not in slurm.squeue_argv()


def merged(known: str, queued: str) -> tuple[list[tuple[str, float | None, int]], list[str]]:
    found, late = slurm.merge_records(
        slurm.select_latest(slurm.parse_sacct(known)), slurm.parse_squeue(queued)
    )
    return [(job.state, job.start, job.restarts) for job in found], [job.id for job in late]


def test_newer_of_two_records_is_kept() -> None:
    over = record(start="110", end="117")
    # They agree; the controller has forgotten it; it completes still.
    for queued in (queue_row(state="COMPLETED", start="110"), "", queue_row(state="COMPLETING", start="110")):
        assert merged(over, queued) == ([("COMPLETED", 110, 0)], [])
    # Accounting has not heard of it, of its end, or not of all of it.
    done = queue_row(state="FAILED", start="110", end="113")
    started = record(state="RUNNING", start="110", end="Unknown")
    for known in ("", started, record(state="FAILED", start="110", time_limit="")):
        assert merged(known, done) == ([("FAILED", 110, 0)], ["12"])
    assert merged(record(state="FAILED", start="110", time_limit=""), "") == ([("FAILED", 110, 0)], ["12"])
    # It is not over.
    waiting = queue_row(state="PENDING", nodes="", start="999")
    assert merged("", waiting) == ([("PENDING", None, 0)], [])
    assert merged(record(state="PENDING", nodes=""), queue_row(start="110")) == ([("RUNNING", 110, 0)], [])
    assert merged(started, queue_row(start="110")) == ([("RUNNING", 110, 0)], [])


def test_newer_of_two_records_of_a_requeued_job_is_kept() -> None:
    failed, requeued = record(state="NODE_FAIL", start="110"), record(state="REQUEUED", start="110")
    waiting = queue_row(state="PENDING", nodes="", submit="120")
    for known in (failed, requeued):
        assert merged(known, waiting) == ([("PENDING", None, 1)], [])
        assert merged(known, queue_row(start="130")) == ([("RUNNING", 130, 1)], [])
        again = queue_row(state="COMPLETED", start="130", end="140")
        assert merged(known, again) == ([("COMPLETED", 130, 1)], ["12"])
        assert merged(known + record(submit="1700000120", start="130"), again) == (
            [("COMPLETED", 130, 1)],
            [],
        )


def test_jobs_that_only_the_controller_knows_come_last() -> None:
    found, _ = slurm.merge_records(
        slurm.parse_sacct(record(id="9", raw_id="9")),
        slurm.parse_squeue(
            queue_row(id="11", raw_id="11", submit="102") + queue_row(id="10", raw_id="10", submit="101")
        ),
    )
    assert [job.id for job in found] == ["9", "10", "11"]


@pytest.mark.parametrize(
    ("text", "job"),
    [("12\n", "12"), ("12;perlmutter\n", "12"), ("Welcome!\n\n12\n\n", "12")],
)
def test_the_id_of_a_new_job(text: str, job: str) -> None:
    assert slurm.parse_submitted(text) == job


@pytest.mark.parametrize("text", ["", "Submitted batch job 12\n", "12 13\n"])
def test_missing_job_id_raises(text: str) -> None:
    with pytest.raises(ValueError, match="no job ID"):
        slurm.parse_submitted(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:07", 7),
        ("01:02:03", 3723),
        ("1-00:00:00", 86400),
        ("2-03", 2 * 86400 + 3 * 3600),
        ("05:00", 300),
        ("00:00.123", 0),
        ("UNLIMITED", None),
        ("Partition_Limit", None),
        ("", None),
    ],
)
def test_durations(text: str, seconds: int | None) -> None:
    assert slurm.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["Unknown", "None", "N/A", "", "0"])
def test_unknown_times_are_none(text: str) -> None:
    assert slurm.parse_time(text) is None


def test_local_time() -> None:
    assert slurm.parse_time("2026-11-23T10:00:00") == slurm.parse_time("2026-11-23T09:59:00") + 60  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "pair"), [("0:0", (0, 0)), ("1:0", (1, 0)), ("0:9", (0, 9)), ("", (None, None))]
)
def test_exit_codes(text: str, pair: tuple[int | None, int | None]) -> None:
    assert slurm.parse_exit(text) == pair


def test_the_stored_script() -> None:
    script = "#!/bin/bash\n#SBATCH --time=1\n\necho -----\n"
    header = "Batch Script for 12\n" + "-" * 80 + "\n"
    assert slurm.parse_batch_script(header + script + "\n") == script  # sacct adds a line break
    assert slurm.parse_batch_script(header + "NONE\n") == ""
    assert slurm.parse_batch_script("") == ""


@pytest.mark.parametrize(
    ("submit_line", "script", "path"),
    [
        ("sbatch a.sbatch", "#!/bin/bash\ntrue\n", "slurm-12.out"),
        ("sbatch a.sbatch", "#!/bin/bash\n#SBATCH -o %x-%j.out\n", "train-12.out"),
        ("sbatch a.sbatch", "#!/bin/bash\n#SBATCH --output=logs/%j.out # here\n", "logs/12.out"),
        ("sbatch --output one.out a.sbatch", "#SBATCH --output=two.out\n", "one.out"),
        ("sbatch -oone.out a.sbatch", "", "one.out"),
        ("sbatch --wrap='echo \"x' -o 'a b.out'", "", "a b.out"),
        ("sbatch a.sbatch", "#SBATCH -o %%-%5j.out\n", "%-00012.out"),
        ("sbatch --comment=two words --output=one.out a.sbatch", "", "one.out"),
        ("sbatch -o %N-%n-%02t-%s-%4x-%J-%20j-%b a.sbatch", "", "nid001-0-00-batch-train-12-0000000012-%b"),
        ("sbatch -o %A-%a a.sbatch", "", "12-4294967294"),
    ],
)
def test_output_path_of_a_job(submit_line: str, script: str, path: str) -> None:
    (job,) = slurm.parse_sacct(record(submit_line=submit_line, nodes="nid[001-002]", comment="two words"))
    assert slurm.resolve_output_path(job, script) == path


def test_output_path_of_an_array_task() -> None:
    (job,) = slurm.parse_sacct(record(id="12_3", raw_id="15"))
    assert slurm.resolve_output_path(job, "") == "slurm-12_3.out"
    assert slurm.resolve_output_path(job, "#SBATCH -o %A-%3a-%j\n") == "12-003-15"


def answer(stdout: str = "", code: int = 0, stderr: str = "") -> slurm.Runner:
    def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        separator = next((word.split("=", 1)[1] for word in argv if word.startswith("--delimiter=")), "")
        return subprocess.CompletedProcess(argv, code, stdout.replace(slurm.SEPARATOR, separator), stderr)

    return run


def test_text_on_stderr_is_not_a_failure() -> None:
    (job,) = slurm.query_accounting(answer(record(), stderr="sacct: a remark"), jobs=["12"])
    assert job.id == "12"


def test_failure_shows_slurms_message() -> None:
    with pytest.raises(CommandFailed, match="Connection refused"):
        slurm.query_accounting(answer(code=1, stderr="sacct: error: Connection refused"))


def test_unknown_job_is_left_out_of_the_queue() -> None:
    gone = answer(code=1, stderr="slurm_load_jobs error: Invalid job id specified")
    assert slurm.query_queue(gone, jobs=["12"]) == []


def test_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(slurm.queries.time, "sleep", sleep)
    monkeypatch.setattr(slurm.queries.time, "monotonic", lambda: clock[0])
    with pytest.raises(DeadlineExceeded):
        slurm.wait_with_backoff(lambda: None, "nothing", seconds=60)
    assert pauses[:4] == [0.25, 0.5, 1.0, 2.0]
    assert max(pauses) == 10.0
    assert len(pauses) < 13
