"""Where headless labs run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.app import targets
from hpclab.cluster import lifecycle
from hpclab.shell import wait_until


def test_a_site_has_the_courses_programs_and_the_sites_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with targets.at_site(["SBATCH_ACCOUNT=m1234"])(lambda _: None) as launch:
        answer = launch(["sh", "-c", "command -v papermill; echo $SBATCH_ACCOUNT; ps -o pid= -o sid= -p $$"])
        missing = launch(["no-such-program"])
    program, account, numbers = answer.stdout.splitlines()
    assert (program, account) == (str(Path(sys.prefix) / "bin/papermill"), "m1234")
    assert len(set(numbers.split())) == 1, "Ctrl-C would reach it"
    assert missing.returncode == 127


def test_clusters_of_killed_runs_are_removed_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HPCLAB_STATE", str(tmp_path))
    clusters = tmp_path / "clusters"
    clusters.mkdir()
    killed = subprocess.Popen(["true"])
    killed.wait()
    alive = subprocess.Popen(
        ["flock", str(clusters / ".run-7.owner"), "cat"], stdin=subprocess.PIPE, cwd=clusters
    )
    for name in (f"run-{killed.pid}-1", f"run-{killed.pid}-2", "run-7-1", "default"):
        (clusters / name).mkdir()
    removed: list[str] = []
    monkeypatch.setattr(lifecycle, "down", lambda name, *_, **__: removed.append(name))
    try:
        wait_for_lock(clusters / ".run-7.owner")
        targets.remove_abandoned()
    finally:
        alive.communicate()
    assert removed == [f"run-{killed.pid}-1", f"run-{killed.pid}-2"]
    targets.remove_abandoned()
    assert removed[4:] == ["run-7-1"]


def wait_for_lock(path: Path) -> None:
    wait_until(
        lambda: subprocess.run(["flock", "--nonblock", str(path), "true"], check=False).returncode == 1,
        "the lock to be taken",
        seconds=30,
    )
