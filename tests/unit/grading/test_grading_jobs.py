"""Where tasks run, and what they find there."""

from __future__ import annotations

from pathlib import Path

from hpclab.cli import attempt
from hpclab.cli.grading import jobs


def how(image: Path | None) -> jobs.How:
    return jobs.How(
        site="local", at_once=2, usual=attempt.how_to_run("local", account="", qos=""), image=image
    )


def test_the_nodes_of_this_machines_cluster_find_the_image_in_the_spool(tmp_path: Path) -> None:
    image, spool = tmp_path / "grader.sif", tmp_path / "spool"
    image.write_bytes(b"an image")
    image.chmod(0o600)
    spool.mkdir()
    found = jobs.with_image_in(spool, how(image)).image
    assert found and found.parent == spool and found.read_bytes() == b"an image"
    assert found.stat().st_mode & 0o004, "the tasks' account is another one"
    assert jobs.with_image_in(spool, how(None)).image is None
