"""The learners' edition of the course: notebooks and templates, as a folder or an archive.

The folder is what nbgitpuller pulls: notebooks without answers, nothing to
build. Equal sources give equal bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hpclab.errors import UsageError
from hpclab.exercises import build, source, views
from hpclab.files import write_whole

MANIFEST = "MANIFEST.sha256"  # for `sha256sum --check`, and to know our own files again
# Its first line, which sha256sum passes over: other collections of files have a manifest of this name too.
OURS = "# HPC Lab, the learners' edition"
TOP = "hpc-lab"  # the folder within an archive
README = """\
# HPC Lab

Notebooks of a hands-on course in high-performance computing. You submit real
Slurm jobs; the checks look at what really happened. Open the first notebook in
JupyterLab on a machine that has Slurm's commands, and go on in this order:

{labs}

`templates/` holds batch scripts that run as they stand. The checks import the
Python package `hpclab`: whoever teaches the course says how to get it. Your own
changes in these files are kept when the course is pulled again with nbgitpuller.
`sha256sum --check {manifest}` tells which files differ from the ones handed out.
"""


@dataclass(frozen=True)
class File:
    """One file of the release."""

    data: bytes
    program: bool = False


def contents(course: Path) -> dict[str, File]:
    """The files of the release of the clone ``course``, by their path in it. Raises ExerciseError."""
    files: dict[str, File] = {}
    labs = []
    for path in build.sources(course / "notebooks"):
        exercise = source.load(path)
        name = f"{exercise.module}/{exercise.name}/{exercise.name}.ipynb"
        files[name] = File(build.as_bytes(views.student_view(exercise)))
        labs.append(f"- [{exercise.about.title}]({name}), about {exercise.about.minutes} minutes")
    for path in build.given(course / "templates"):
        name = path.relative_to(course).as_posix()
        files[name] = File(path.read_bytes(), os.access(path, os.X_OK))
    if (course / "LICENSE").is_file():
        files["LICENSE"] = File((course / "LICENSE").read_bytes())
    files["README.md"] = File(README.format(labs="\n".join(labs), manifest=MANIFEST).encode())
    sums = [f"{hashlib.sha256(file.data).hexdigest()}  {name}" for name, file in sorted(files.items())]
    files[MANIFEST] = File("".join(f"{line}\n" for line in (OURS, *sums)).encode())
    return dict(sorted(files.items()))


def archive(files: Mapping[str, File], path: Path) -> None:
    """Write ``files`` to ``path`` as a .tar.gz whose bytes depend on nothing but the files."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, file in sorted(files.items()):
            entry = tarfile.TarInfo(f"{TOP}/{name}")
            entry.size, entry.mode = len(file.data), 0o755 if file.program else 0o644
            tar.addfile(entry, io.BytesIO(file.data))
    write_whole(path, packed.getvalue())


def folder(files: Mapping[str, File], path: Path) -> None:
    """Make ``path`` hold ``files``: new, empty, or an earlier release, which is brought up to date.

    A new folder is made aside and renamed. In an earlier release each file is
    written whole, the manifest last; files that are no longer part of it go, and
    files that never were stay (a ``.git`` for instance). Links in it are not
    followed: whoever runs this may be able to write where they lead. Raises UsageError.
    """
    path = path.resolve()
    earlier = _earlier(path)
    if earlier is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            aside.chmod(0o755)
            _write(files, aside)
            aside.rename(path)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return
    for name in earlier | files.keys():
        _no_link(path, name)
    _write(files, path)
    for name in earlier - files.keys():
        (path / name).unlink(missing_ok=True)
        for parent in (path / name).relative_to(path).parents:
            if parent != Path() and (path / parent).is_dir() and not any((path / parent).iterdir()):
                (path / parent).rmdir()


def _earlier(path: Path) -> set[str] | None:
    """The files of the release that ``path`` holds; None where there is nothing yet."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    if (path / MANIFEST).is_file():
        manifest = (path / MANIFEST).read_text(errors="replace")
        if manifest.startswith(f"{OURS}\n"):
            return set(_listed(manifest))
    if path.is_dir() and [one.name for one in path.iterdir()] == [".git"]:
        return set()
    raise UsageError(
        f"{path} holds something else than a release of this course",
        f"Name a new or empty folder, or one with the {MANIFEST} of an earlier release.",
    )


def _no_link(path: Path, name: str) -> None:
    """Raise UsageError where a link stands for one of the folders above ``path / name``."""
    for parent in PurePosixPath(name).parents:
        if (path / parent).is_symlink() and parent != PurePosixPath():
            raise UsageError(
                f"{path / parent} is a link to another place", "Remove the link, or name a new folder."
            )


def _listed(manifest: str) -> Iterator[str]:
    for line in manifest.splitlines():
        name = line.partition("  ")[2]
        inside = PurePosixPath(name)
        if name and not inside.is_absolute() and ".." not in inside.parts:
            yield name


def _write(files: Mapping[str, File], path: Path) -> None:
    for name, file in sorted(files.items(), key=lambda item: item[0] == MANIFEST):
        write_whole(path / name, file.data)
        if file.program:
            (path / name).chmod(0o755)
