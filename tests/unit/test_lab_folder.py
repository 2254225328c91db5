"""Where a learner's work goes, and what root may give away for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app import clusters
from hpclab.errors import HostUnsuitable


def test_the_folder_is_in_the_clone_or_where_one_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert clusters.lab_folder() == layout.clone_folder() / "lab"
    monkeypatch.setenv("HPCLAB_LAB", str(tmp_path / "my work"))
    assert clusters.lab_folder() == tmp_path / "my work"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPCLAB_LAB", "here")
    assert clusters.lab_folder() == tmp_path / "here"


def test_root_gives_away_no_folder_that_somebody_uses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    given: list[Path] = []
    monkeypatch.setattr(os, "chown", lambda path, *_ids, **_how: given.append(path))
    clusters._learners_folder(tmp_path / "new/folder")
    assert given == [tmp_path / "new/folder"] and given[0].is_dir()
    (tmp_path / "precious").touch()
    with pytest.raises(HostUnsuitable, match="somebody else"):
        clusters._learners_folder(tmp_path)
    assert given == [tmp_path / "new/folder"]
