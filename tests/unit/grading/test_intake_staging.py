"""Staging: folders full of traps, and folders that change while they are read."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hpclab.grading.submissions import paths
from hpclab.grading.submissions import staging as module
from hpclab.grading.submissions.staging import Staging, StagingLimits, open_below, open_entry

SECRET = b"everybody's marks"


def stage(folder: Path, target: Path, **more: object) -> Staging:
    staging = Staging(target, first="ex01.ipynb", **more)  # type: ignore[arg-type]
    with open_entry(folder, os.O_RDONLY | os.O_DIRECTORY) as file:
        staging.tree(file)
    return staging


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A submission, with a secret beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "ex01.ipynb").write_bytes(b"{}")
    return folder


def test_what_is_usual_is_taken_without_the_bits_of_its_mode(folder: Path, tmp_path: Path) -> None:
    (folder / "sub/deep").mkdir(parents=True)
    (folder / "sub/deep/Übung 1.txt").write_bytes(b"x")
    (folder / "ex01.ipynb").chmod(0o4777)
    (folder / "empty").mkdir()
    staging = stage(folder, tmp_path / "target")
    assert staging.files == {"ex01.ipynb": 2, "sub/deep/Übung 1.txt": 1}
    assert (tmp_path / "target/sub/deep/Übung 1.txt").read_bytes() == b"x"
    assert (tmp_path / "target/ex01.ipynb").stat().st_mode & 0o7111 == 0
    assert (tmp_path / "target").stat().st_mode & 0o077 == 0
    assert staging.notes == ("'ex01.ipynb': special bits of its mode were not kept",)
    assert staging.changed >= (folder / "sub/deep/Übung 1.txt").stat().st_ctime


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        before = Path.cwd()
        os.chdir(path.parent)  # a socket's address is short
        made.bind(path.name)
        os.chdir(before)


@pytest.mark.parametrize(
    ("doing", "why"),
    [
        (lambda path: path.symlink_to("../secret"), "it is a link"),
        (lambda path: path.symlink_to("/etc/passwd"), "it is a link"),
        (lambda path: path.symlink_to(path.parent.parent), "it is a link"),
        (lambda path: path.symlink_to("trap"), "it is a link"),
        (os.mkfifo, "it is a FIFO"),
        (bind, "it is a socket"),
        (
            lambda path: os.truncate(path, path.write_bytes(b"") or (1 << 40)),
            "it has 1099511627776 bytes",
        ),  # sparse
    ],
)
@pytest.mark.parametrize("name", ["trap", "ex01.ipynb", "sub/trap"])
def test_what_is_no_honest_file_is_noted_and_nothing_else_suffers(
    folder: Path, tmp_path: Path, doing: Callable[[Path], None], why: str, name: str
) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    doing(path)
    (folder / "zz").write_bytes(b"1")
    staging = stage(folder, tmp_path / "target")
    assert [note for note in staging.notes if note.startswith(f"'{name}' was not taken: {why}")]
    assert name not in staging.files and "zz" in staging.files
    assert not any(SECRET in file.read_bytes() for file in (tmp_path / "target").rglob("*") if file.is_file())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_are_not_even_opened(folder: Path, tmp_path: Path) -> None:
    try:
        os.mknod(folder / "zero", 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("no devices may be made here")
    assert "'zero' was not taken: it is a device" in stage(folder, tmp_path / "target").notes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_others_are_not_taken(folder: Path, tmp_path: Path) -> None:
    os.link(tmp_path / "secret", folder / "hard")
    os.chown(folder, 1234, 1234)
    os.chown(folder / "ex01.ipynb", 1234, 1234)
    staging = stage(folder, tmp_path / "one")
    assert staging.files == {"ex01.ipynb": 2}
    assert "second name (hard link) of another user's file" in staging.notes[0]
    (folder / "given").write_bytes(b"")  # root's, but one name only
    assert set(stage(folder, tmp_path / "two").files) == {"ex01.ipynb", "given"}
    strict = stage(folder, tmp_path / "three", owner=1234)
    assert strict.files == {"ex01.ipynb": 2}
    assert len([note for note in strict.notes if "belongs to another user" in note]) == 2


@pytest.mark.parametrize(
    "name", [b"a\nb", b"\xff\xfe", "a\u202eb".encode(), b"a\x1b[31m", b"x" * 201, b"C:x", b"a\\b"]
)
def test_names_that_mean_trouble_are_not_taken_and_told_harmlessly(
    folder: Path, tmp_path: Path, name: bytes
) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"")
    staging = stage(folder, tmp_path / "target")
    assert set(staging.files) == {"ex01.ipynb"}
    assert (
        len(staging.notes) == 1
        and staging.notes[0].replace("…", "").isascii()
        and staging.notes[0].isprintable()
    )


def test_what_tools_leave_is_passed_by_without_a_word(folder: Path, tmp_path: Path) -> None:
    for name in (
        ".ipynb_checkpoints/ex01-checkpoint.ipynb",
        ".git/config",
        "__pycache__/a.pyc",
        ".DS_Store",
        "._x",
        "timestamp.txt",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    staging = stage(folder, tmp_path / "target")
    assert (set(staging.files), staging.notes) == ({"ex01.ipynb"}, ())


def test_the_notebook_comes_before_any_heap_of_other_files(folder: Path, tmp_path: Path) -> None:
    for number in range(60):
        (folder / f"a{number:03}").write_bytes(b"x" * 10)
    caps = StagingLimits(entries=20, total_bytes=102, file_bytes=50, listed=1000)
    staging = stage(folder, tmp_path / "target", limits=caps)
    assert set(staging.files) == {
        "ex01.ipynb",
        *(f"a{number:03}" for number in range(10)),
    }  # in order, so always the same
    assert any("together have more than 102 bytes" in note for note in staging.notes)
    assert any("more than 20 files" in note for note in staging.notes)
    few = stage(folder, tmp_path / "few", limits=StagingLimits(listed=50))
    assert set(few.files) == {"ex01.ipynb"}
    assert "only the notebook was taken" in few.notes[0]


def test_deep_and_wide_trees_end(folder: Path, tmp_path: Path) -> None:
    deep = folder.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(b"")
    for number in range(300):
        (folder / f"e{number}").mkdir()
    staging = stage(folder, tmp_path / "target", limits=StagingLimits(entries=200))
    assert set(staging.files) == {"ex01.ipynb"}
    assert any("folders deep" in note for note in staging.notes)
    assert len(stage_notes := staging.notes) <= 21, stage_notes


def test_long_lists_of_notes_are_cut(folder: Path, tmp_path: Path) -> None:
    for number in range(100):
        (folder / f"l{number:03}").symlink_to("x")
    notes = stage(folder, tmp_path / "target").notes
    assert len(notes) == 21 and notes[-1] == "and 80 more of this kind"


# ---- folders that change under us ------------------------------------------------------------


def meanwhile(doing: Callable[[], None]) -> tuple[threading.Event, threading.Thread]:
    """Do it again and again in a thread, until told to stop."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            doing()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return stop, thread


def swap(one: Path, other: Path, aside: Path) -> Callable[[], None]:
    """Let two names change places, again and again; each is always there but for a moment."""

    def doing() -> None:
        one.rename(aside)
        other.rename(one)
        aside.rename(other)

    return doing


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_name_that_becomes_a_link_while_we_look_leads_nowhere(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    """Staged many times while a thread swaps a file or a folder with a link to secrets."""
    vault = tmp_path / "vault"
    vault.mkdir()
    (vault / "x").write_bytes(SECRET)
    spare = tmp_path / "spare"
    if kind == "file":
        (folder / "x").write_bytes(b"honest")
        spare.symlink_to(vault / "x")
    else:
        (folder / "x").mkdir()
        (folder / "x/x").write_bytes(b"honest")
        spare.symlink_to(vault)
    stop, thread = meanwhile(swap(folder / "x", spare, tmp_path / "aside"))
    seen = set()
    try:
        for number in range(5000):
            staging = stage(folder, tmp_path / f"target{number}")
            assert staging.files["ex01.ipynb"] == 2
            for path in set(staging.files) - {"ex01.ipynb"}:
                assert (tmp_path / f"target{number}" / path).read_bytes() == b"honest"
            seen.add(bool(staging.notes))
            if number > 300 and True in seen:
                break
    finally:
        stop.set()
        thread.join(30)
    assert True in seen  # the thread did come between


def test_a_file_that_never_stands_still_is_not_taken_half(folder: Path, tmp_path: Path) -> None:
    path = folder / "log"
    path.write_bytes(b"")

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"x" * 5000)
        if path.stat().st_size > 30 << 20:
            os.truncate(path, 0)

    stop, thread = meanwhile(grow)
    try:
        for number in range(30):
            staging = stage(folder, tmp_path / f"target{number}")
            place = tmp_path / f"target{number}/log"
            if "log" in staging.files:
                assert place.stat().st_size == staging.files["log"]
            else:
                assert not place.exists()
                assert "changed while it was read" in staging.notes[0]
    finally:
        stop.set()
        thread.join(30)


def test_a_file_changed_once_is_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Staging._copy
    times = []

    def copy(self: Staging, handle: int, place: Path, found: os.stat_result) -> int:
        count = real(self, handle, place, found)
        if not times:
            (folder / "ex01.ipynb").write_bytes(b"{...}")
        times.append(count)
        return count

    monkeypatch.setattr(Staging, "_copy", copy)
    staging = stage(folder, tmp_path / "target")
    assert (tmp_path / "target/ex01.ipynb").read_bytes() == b"{...}"
    assert (staging.files, staging.notes, times) == ({"ex01.ipynb": 5}, (), [2, 5])


def test_what_was_looked_at_is_what_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the reading, the name comes to mean something else."""
    real = Staging._copy

    def copy(self: Staging, handle: int, place: Path, found: os.stat_result) -> int:
        if not (folder / "ex01.ipynb").is_symlink():
            (tmp_path / "link").symlink_to(tmp_path / "secret")
            (tmp_path / "link").rename(folder / "ex01.ipynb")
        return real(self, handle, place, found)

    monkeypatch.setattr(Staging, "_copy", copy)
    staging = stage(folder, tmp_path / "target")
    assert (staging.files, (tmp_path / "target/ex01.ipynb").read_bytes()) == ({"ex01.ipynb": 2}, b"{}")


def test_a_folder_that_becomes_another_one_is_not_entered(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x").write_bytes(SECRET)

    def swapping(name: str | Path, flags: int, folder_: int | None = None) -> AbstractContextManager[int]:
        if name == "sub" and flags & os.O_DIRECTORY:
            (folder / "sub").rmdir()
            (tmp_path / "other").rename(folder / "sub")
        return open_entry(name, flags, folder_)

    monkeypatch.setattr(module, "open_entry", swapping)
    staging = stage(folder, tmp_path / "target")
    assert staging.notes == ("'sub' was not taken: it changed while it was read",)
    assert set(staging.files) == {"ex01.ipynb"}


def test_folders_are_entered_step_by_step(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    with open_entry(tmp_path, os.O_RDONLY | os.O_DIRECTORY) as top:
        with open_below(top, "a", "b") as inner:
            assert os.path.samestat(os.fstat(inner), (tmp_path / "a/b").stat())
        with pytest.raises(OSError), open_below(top, "link", "b"):
            pass
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_entry(tmp_path, os.O_RDONLY | os.O_DIRECTORY) as top:
        for _ in range(50):
            with pytest.raises(OSError), open_below(top, "a", "none"):
                pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before  # nothing stays open


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a/b.txt", ""),
        ("Übung/日本.ipynb", ""),
        ("/etc/passwd", "absolute"),
        ("../a", "leaves the folder"),
        ("a/../../b", "leaves the folder"),
        ("a/./b", "leaves the folder"),
        ("a//b", "an empty part"),
        ("", "an empty part"),
        ("C:/x", "Windows"),
        ("a\\..\\b", "Windows"),
        ("a\0b", "NUL"),
        ("/".join("a" * 13), "folders deep"),
        ("/".join(["a" * 190] * 3), "longer than 400"),
        ("a\u200b.txt", "invisible"),
        ("a\u2028b", "invisible"),
    ],
)
def test_which_paths_are_taken(path: str, why: str) -> None:
    found = paths.wrong_with(path)
    assert (why in found) if why else not found


def test_twins_are_names_that_some_systems_hold_for_one() -> None:
    assert paths.twins(["a", "A", "b", "e\u0301", "é"]) == {"a", "A", "e\u0301", "é"}
