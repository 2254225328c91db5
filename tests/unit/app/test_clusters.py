"""The folder for a learner's work, and what root may give away for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app import clusters
from hpclab.errors import HostUnsuitable


def test_the_lab_folder_is_in_the_clone_or_given_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert clusters.lab_folder() == layout.clone_folder() / "lab"
    monkeypatch.setenv("HPCLAB_LAB", str(tmp_path / "my work"))
    assert clusters.lab_folder() == tmp_path / "my work"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPCLAB_LAB", "here")
    assert clusters.lab_folder() == tmp_path / "here"


def test_root_does_not_give_away_a_folder_with_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    given: list[Path] = []
    monkeypatch.setattr(os, "chown", lambda path, *_ids, **_how: given.append(path))
    clusters._make_lab_folder(tmp_path / "new/folder")
    assert given == [tmp_path / "new/folder"] and given[0].is_dir()
    (tmp_path / "precious").touch()
    with pytest.raises(HostUnsuitable, match="another user"):
        clusters._make_lab_folder(tmp_path)
    assert given == [tmp_path / "new/folder"]
