"""hpclab labs: build, check, new, release."""

import gzip
import shutil
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from hpclab import layout
from hpclab.app import manual
from hpclab.cli import main
from hpclab.exercises import scaffold


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with two exercises: one is finished, one is not."""
    monkeypatch.setattr(layout, "clone_folder", lambda: tmp_path)
    for path in scaffold.create_exercise("01", "Done", tmp_path / "notebooks"):
        path.write_text(path.read_text().replace("TODO", "done"))
    scaffold.create_exercise("02", "Begun", tmp_path / "notebooks")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/a.sbatch").touch()
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["labs", *words])


def test_build_writes_three_notebooks_a_lab(clone: Path) -> None:
    done = run("build", "ex01-done", "--out", str(clone / "out"))
    assert done.exit_code == 0, done.output
    assert sorted(
        path.relative_to(clone / "out").as_posix() for path in (clone / "out").rglob("*.ipynb")
    ) == [f"{kind}/01-slurm-basics/ex01-done.ipynb" for kind in ("grader", "reference", "student")]
    assert run("build").exit_code == 0
    assert (clone / "build/student/02-checkpointing/ex01-begun.ipynb").is_file()


def test_check_names_every_problem_of_every_lab(clone: Path) -> None:
    broken = clone / "notebooks/01-slurm-basics/ex01-done.md"
    broken.write_text(broken.read_text().replace("## Summary", "## End"))
    done = run("check")
    assert done.exit_code == 1
    assert "01-slurm-basics/ex01-done: 1 problem\n" in done.output
    assert "  notebooks/01-slurm-basics/ex01-done.md: no section 'Summary'\n      Add it" in done.output
    assert "notebooks/02-checkpointing/ex01-begun.md, line 9: a TODO remains" in done.output
    assert "2 of 2 labs need work" in done.output


def test_check_of_a_good_lab(clone: Path) -> None:
    done = run("check", "01")
    assert done.exit_code == 0, done.output
    assert "01-slurm-basics/ex01-done: no problem" in done.output


def test_check_asks_hpclab_itself_and_the_manual_pages(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = clone / "man"
    pages.mkdir()
    for name, text in (("sbatch", r"\-\-wait \-\-time"), ("apptainer", ""), ("apptainer-exec", r"\-\-nv")):
        (pages / f"{name}.1.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(manual, "page_folders", lambda: [pages])
    path = clone / "notebooks/01-slurm-basics/ex01-done.md"
    text = "`hpclab up --nodse 3`, `hpclab uup`, `hpclab fault lst`, `hpclab up --nodes 3`, `apptainer exec --vn a.sif ls`"
    path.write_text(path.read_text().replace("## Summary\n", f"## Summary\n\n{text}, `sbatch --tiem=1 a`\n"))
    said = run("check", "01").output
    for wrong in (
        "hpclab up has no option --nodse",
        "hpclab has no subcommand 'uup'",
        "hpclab fault has no subcommand",
    ):
        assert wrong in said
    assert "apptainer exec has no option --vn" in said
    assert "sbatch has no option --tiem" in said
    assert "Did you mean --time" in said
    assert "option --nodes" not in said
    assert "were not checked" not in said


def test_check_says_what_it_could_not_check(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual, "page_folders", lambda: [clone / "none"])
    assert "were not checked" in run("check", "01").output


def test_new_writes_a_skeleton_and_says_what_comes_next(clone: Path) -> None:
    done = run("new", "04", "Page cache")
    assert done.exit_code == 0, done.output
    assert (clone / "notebooks/04-filesystems/ex01-page-cache.md").is_file()
    assert "hpclab labs check 04-filesystems/ex01-page-cache" in done.output
    assert "01-slurm-basics, 02-checkpointing" in run("new", "9", "x").output


def test_release_to_a_folder_and_to_an_archive(clone: Path) -> None:
    done = run("release", "--out", str(clone / "s"), "--archive", str(clone / "s.tar.gz"))
    assert done.exit_code == 0, done.output
    assert (clone / "s/01-slurm-basics/ex01-done/ex01-done.ipynb").is_file()
    assert (clone / "s/templates/a.sbatch").is_file()
    assert (clone / "s.tar.gz").is_file()
    assert run("release").exit_code == 0 and (clone / "build/students/README.md").is_file()
    refused = run("release", "--archive", str(clone / "s.zip"))
    assert refused.exit_code == 2 and "ends in .tar.gz" in refused.output


def test_errors_list_valid_names(clone: Path) -> None:
    done = run("check", "ex07")
    assert done.exit_code == 2
    assert "no lab" in done.output and "02-checkpointing/ex01-begun" in done.output
    shutil.rmtree(clone / "notebooks")
    assert "hpclab labs new" in run("check").output


@pytest.mark.parametrize(
    ("words", "begun", "offered"),
    [
        (["labs", "check"], "01", ["01-slurm-basics/ex01-done"]),
        (["labs", "build"], "ex01-b", ["ex01-begun"]),
        (["labs", "new"], "04", ["04-filesystems"]),
    ],
)
def test_completion(clone: Path, words: list[str], begun: str, offered: list[str]) -> None:
    complete = ShellComplete(main, {}, "hpclab", "_HPCLAB_COMPLETE")
    assert [item.value for item in complete.get_completions(words, begun)] == offered
