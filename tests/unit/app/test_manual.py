"""Commands that a lab may name, from manual pages."""

from __future__ import annotations

import gzip
from pathlib import Path

from hpclab.app import manual


def test_subcommands_are_named_by_their_pages(tmp_path: Path) -> None:
    for name in ("apptainer", "apptainer-remote", "apptainer-run", "apptainer-run-help"):
        (tmp_path / f"{name}.1.gz").touch()
    page = "apptainer-remote-get-login-password"
    assert manual.command_of(page, tmp_path) == ("apptainer", "remote", "get-login-password")
    assert manual.command_of("apptainer-run-help", tmp_path) == ("apptainer", "run-help")


def test_options_are_read_from_the_pages_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "sbatch.1.gz").write_bytes(gzip.compress(rb"\-\-wait \-\-time"))
    pages = manual.read_pages([tmp_path / "none", tmp_path])
    assert pages == {("sbatch",): frozenset({"--wait", "--time"})}
    assert not manual.has_cluster_commands(pages)
    (tmp_path / "apptainer.1.gz").write_bytes(gzip.compress(b""))
    assert manual.has_cluster_commands(manual.read_pages([tmp_path]))
