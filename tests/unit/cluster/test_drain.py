"""Which jobs of a learner's may yet run when the last cell has ended."""

from __future__ import annotations

from hpclab.cluster.drain import Waiting, active, unrecorded


def test_what_can_never_start_is_not_waited_for() -> None:
    jobs = [
        Waiting("1", "PENDING", "JobHeldUser", ""),
        Waiting("2", "PENDING", "Dependency", "afterok:1(unfulfilled)"),
        Waiting("3", "PENDING", "Dependency", "afterany:2_*(unfulfilled)"),
        Waiting("4", "PENDING", "Dependency", "afterok:2(unfulfilled)?afterok:5(unfulfilled)"),
        Waiting("5", "RUNNING", "None", ""),
        Waiting("6_[1-4]", "PENDING", "DependencyNeverSatisfied", "afterok:9(failed)"),
        Waiting("7", "PENDING", "Resources", ""),
        Waiting("8", "PENDING", "QOSMaxWallDurationPerJobLimit", ""),
        Waiting("9", "PENDING", "QOSMaxJobsPerUserLimit", ""),
    ]
    assert [job.id for job in active(jobs)] == ["4", "5", "7", "9"]


def test_a_held_job_that_runs_is_active() -> None:
    assert active([Waiting("1", "COMPLETING", "JobHeldUser", "")])


def test_nothing_is_nothing() -> None:
    assert active([]) == []


def test_the_end_of_every_job_that_ran_must_be_in_the_books() -> None:
    known = (
        "7|COMPLETED|2026-11-25T20:46:05|nid001\n"
        "8|PENDING|N/A|\n"
        "9|CANCELLED|2026-11-25T20:46:09|nid[001-002]\n"
        "10|CANCELLED|2026-11-25T20:46:09|\n"  # before it could begin
    )
    assert unrecorded(known, "") == "7"  # accounting has not heard of any job
    assert unrecorded(known, "7|2026-11-25T20:46:05\n9|Unknown\n") == "9"
    assert unrecorded(known, "7|2026-11-25T20:45:00\n9|2026-11-25T20:46:09\n") == "7"  # the attempt before
    assert unrecorded(known, "7|2026-11-25T20:46:05\n9|2026-11-25T20:46:09\n") == ""
    assert unrecorded("", "") == ""
