"""A file is replaced atomically."""

from pathlib import Path

import pytest

from hpclab import files


def test_a_failure_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("disk full")

    files.write_whole(tmp_path / "deep/a", b"old")
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        files.write_whole(tmp_path / "deep/a", b"new")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "deep").iterdir()] == [("a", b"old")]


def test_two_writers_of_one_file_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one process: the second begins and ends while the first is at work."""
    others = iter([b"two"])

    def meanwhile(_: int) -> None:
        for data in others:
            files.write_whole(tmp_path / "a", data)
            assert (tmp_path / "a").read_bytes() == data

    monkeypatch.setattr(files.os, "fsync", meanwhile)
    files.write_whole(tmp_path / "a", b"one")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"one")]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"old")
    (tmp_path / "a").symlink_to("precious")
    files.write_whole(tmp_path / "a", b"new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"old"
