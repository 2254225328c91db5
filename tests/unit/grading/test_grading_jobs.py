"""Where tasks run, and what they find there."""

from __future__ import annotations

from pathlib import Path

from hpclab.app import lab_run
from hpclab.app.grading import rounds


def how(image: Path | None) -> rounds.GradingOptions:
    return rounds.GradingOptions(
        site="local", at_once=2, usual=lab_run.load_run_settings("local", account="", qos=""), image=image
    )


def test_the_nodes_of_this_machines_cluster_find_the_image_in_the_spool(tmp_path: Path) -> None:
    image, spool = tmp_path / "grader.sif", tmp_path / "spool"
    image.write_bytes(b"an image")
    image.chmod(0o600)
    spool.mkdir()
    found = rounds.with_image_in(spool, how(image)).image
    assert found and found.parent == spool and found.read_bytes() == b"an image"
    assert found.stat().st_mode & 0o004, "the tasks' account is another one"
    assert rounds.with_image_in(spool, how(None)).image is None
