"""The learners' edition: complete, reproducible, and careful with existing files."""

import hashlib
import os
import stat
import subprocess
import tarfile
import time
from pathlib import Path

import nbformat
import pytest

from hpclab.errors import UsageError
from hpclab.exercises import release

from .test_source import GOOD


@pytest.fixture
def course(tmp_path: Path) -> Path:
    path = tmp_path / "clone/notebooks/00-x/ex01-lab.md"
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    templates = tmp_path / "clone/templates"
    (templates / "__pycache__").mkdir(parents=True)
    (templates / "__pycache__/a.pyc").touch()
    (templates / "a.sbatch").write_text("#!/bin/bash\n")
    (templates / "tool.sh").write_text("#!/bin/bash\n")
    (templates / "tool.sh").chmod(0o755)
    return tmp_path / "clone"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_release_has_notebooks_templates_and_readme(course: Path) -> None:
    files = release.collect_files(course)
    assert list(files) == [
        "00-x/ex01-lab/ex01-lab.ipynb",
        "MANIFEST.sha256",
        "README.md",
        "templates/a.sbatch",
        "templates/tool.sh",
    ]
    notebook = files["00-x/ex01-lab/ex01-lab.ipynb"].data.decode()
    nbformat.validate(nbformat.reads(notebook, as_version=4))
    assert "total = 1 + 1" not in notebook and "total + 1 == 3" not in notebook
    assert b"[A lab](00-x/ex01-lab/ex01-lab.ipynb), about 10 minutes" in files["README.md"].data
    first, *lines = files["MANIFEST.sha256"].data.decode().splitlines()
    assert first == release.SIGNATURE
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256(files[name].data).hexdigest() == digest


def test_an_archive_depends_on_nothing_but_the_files(course: Path, tmp_path: Path) -> None:
    release.write_archive(release.collect_files(course), tmp_path / "one.tar.gz")
    for path in course.rglob("*"):
        os.utime(path, (time.time() + 99, time.time() + 99))
    release.write_archive(dict(reversed(release.collect_files(course).items())), tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert (tmp_path / "one.tar.gz").read_bytes()[4:8] == bytes(4)  # gzip's own time
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        course = {member.name: member for member in tar.getmembers()}
    assert list(course) == sorted(course)
    assert {member.mtime for member in course.values()} == {0}
    assert course["hpc-lab/templates/tool.sh"].mode == 0o755
    assert course["hpc-lab/templates/a.sbatch"].mode == 0o644


def test_release_folder_is_created_and_updated(course: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    release.write_folder(release.collect_files(course), out)
    assert {name: file.data for name, file in release.collect_files(course).items()} == tree(out)
    assert (out / "templates/tool.sh").stat().st_mode & stat.S_IXUSR

    (out / ".git").mkdir()
    (out / ".git/HEAD").write_text("main")
    (course / "notebooks/00-x/ex01-lab.md").rename(course / "notebooks/00-x/ex01-better.md")
    release.write_folder(release.collect_files(course), out)
    assert (out / "00-x/ex01-better/ex01-better.ipynb").is_file() and not (
        out / "00-x/ex01-lab/ex01-lab.ipynb"
    ).exists()
    assert (out / ".git/HEAD").read_text() == "main"


def test_emptied_folder_is_removed(course: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    release.write_folder(release.collect_files(course), out)
    (course / "notebooks/00-x").rename(course / "notebooks/01-y")
    release.write_folder(release.collect_files(course), out)
    assert not (out / "00-x").exists() and (out / "01-y").is_dir()


def test_failure_leaves_no_partial_release(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == release.MANIFEST:
            raise OSError("disk full")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr(release, "write_whole", full)
    with pytest.raises(OSError, match="disk full"):
        release.write_folder(release.collect_files(course), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["clone"]


def test_folder_with_other_files_is_refused(course: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="is not a release of this course"):
        release.write_folder(release.collect_files(course), out)
    (out / "thesis.tex").unlink()
    (out / ".git").mkdir()
    release.write_folder(release.collect_files(course), out)
    assert (out / "README.md").is_file()


def test_a_manifest_cannot_point_out_of_its_folder(course: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    release.write_folder(release.collect_files(course), out)
    (tmp_path / "precious").touch()
    (out / release.MANIFEST).write_text(f"{release.SIGNATURE}\n0  ../precious\n0  {tmp_path}/precious\n")
    release.write_folder(release.collect_files(course), out)
    assert (tmp_path / "precious").exists()


def test_manifest_of_other_files_is_not_a_release(course: Path, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    out.mkdir()
    (out / "data.csv").write_text("1")
    (out / release.MANIFEST).write_text("0  data.csv\n")
    with pytest.raises(UsageError, match="is not a release of this course"):
        release.write_folder(release.collect_files(course), out)
    assert (out / "data.csv").read_text() == "1"


def test_sha256sum_accepts_the_manifest(course: Path, tmp_path: Path) -> None:
    release.write_folder(release.collect_files(course), tmp_path / "out")
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", release.MANIFEST], cwd=tmp_path / "out", capture_output=True
    )
    assert checked.returncode == 0 and checked.stderr == b""


@pytest.mark.parametrize("gone", [False, True])
def test_links_out_of_the_folder_are_refused(course: Path, tmp_path: Path, gone: bool) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    release.write_folder(release.collect_files(course), out)
    (out / "00-x").rename(other)
    (out / "00-x").symlink_to(other)
    (other / "ex01-lab.ipynb").write_text("precious")
    if gone:
        (course / "notebooks/00-x/ex01-lab.md").unlink()
    with pytest.raises(UsageError, match="is a link to another folder"):
        release.write_folder(release.collect_files(course), out)
    assert (other / "ex01-lab.ipynb").read_text() == "precious"


def test_link_given_as_target_is_followed(course: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    for _ in range(2):
        release.write_folder(release.collect_files(course), tmp_path / "out")
    assert (tmp_path / "out").is_symlink() and (tmp_path / "real/README.md").is_file()
