"""One lab, run once: settings, stamps, failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hpclab.app import lab_run, targets
from hpclab.errors import ClusterError
from hpclab.slurm import Runner

pytestmark = pytest.mark.usefixtures("own_build")


def test_account_and_node_type_reach_the_labs_jobs_the_qos_does_not() -> None:
    settings = lab_run.load_run_settings("perlmutter", account="m1234", qos="debug", gpu=False)
    assert {"SBATCH_ACCOUNT=m1234", "SBATCH_CONSTRAINT=cpu", "SLURM_ACCOUNT=m1234"} <= set(
        settings.environment
    )
    assert not any("QOS" in variable for variable in settings.environment)
    assert settings.options == ["--qos=debug"]
    assert lab_run.load_run_settings("perlmutter").options == ["--qos=shared"]
    assert "SBATCH_CONSTRAINT=gpu" in lab_run.load_run_settings("perlmutter").environment
    assert lab_run.load_run_settings("local").options == ["--qos=shared"]  # of the site that it imitates


def test_a_long_lab_gets_a_longer_job() -> None:
    settings = lab_run.load_run_settings("local")
    short = lab_run.LabNotebook("a/b", Path("x"), seconds=60)
    long = lab_run.LabNotebook("a/b", Path("x"), seconds=600)
    assert (settings.limit_minutes(short), settings.limit_minutes(long)) == (15, 50)
    assert replace(settings, minutes=3).limit_minutes(long) == 3


def test_at_a_site_jobs_may_wait_a_day() -> None:
    assert lab_run.load_run_settings("local").queue_minutes == 10
    assert lab_run.load_run_settings("generic").queue_minutes == 24 * 60


def test_the_stamp_covers_everything_a_run_is_made_from(ex01: Path) -> None:
    settings, lab = lab_run.load_run_settings("local"), lab_run.write_reference(ex01)
    stamp = lab_run.stamp_lab(lab, settings)
    assert stamp == lab_run.stamp_lab(lab, settings)
    for other in (replace(settings, parameters={"n": 1}), replace(settings, options=[])):
        assert lab_run.stamp_lab(lab, other) != stamp
    assert set(stamp) == {"notebook", "templates", "parameters", "site", "evidence", "version"}


def test_a_target_that_fails_is_a_result(ex01: Path) -> None:
    @contextmanager
    def broken(_progress: targets.Progress) -> Iterator[Runner]:
        raise ClusterError("the nodes did not come", "Look at the log.")
        yield

    run = lab_run.run_lab(
        lab_run.write_reference(ex01), lab_run.load_run_settings(), broken, lambda _: None, lambda _: None
    )
    assert not run.result.ok
    assert (run.result.problem, run.result.remedy) == ("the nodes did not come", "Look at the log.")
    assert run.result.stamp
