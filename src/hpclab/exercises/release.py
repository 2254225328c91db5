"""The learners' edition of the course: notebooks and templates, as a folder or an archive.

nbgitpuller can pull the folder: it has notebooks without answers, and nothing needs to be built. Equal sources
give equal bytes.
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
from hpclab.exercises.lab_names import list_sources
from hpclab.files import write_whole

MANIFEST = "MANIFEST.sha256"  # for `sha256sum --check`, and to recognize the files of an earlier release
# Its first line, which sha256sum ignores. It distinguishes this manifest from others with the same name.
SIGNATURE = "# HPC Lab, the learners' edition"
ARCHIVE_ROOT = "hpc-lab"  # the folder within an archive
README = """\
# HPC Lab

Notebooks of a hands-on course in high-performance computing. You submit real
Slurm jobs; the checks look at what really happened. Open the first notebook in
JupyterLab on a machine with Slurm's commands, and continue in this order:

{labs}

`templates/` has batch scripts that run unchanged. The checks import the Python
package `hpclab`; your instructor tells you how to get it. Your own changes in
these files are kept when you pull the course again with nbgitpuller.
`sha256sum --check {manifest}` lists the files that differ from the originals.
"""


@dataclass(frozen=True)
class ReleaseFile:
    """A file of the release."""

    data: bytes
    executable: bool = False


def collect_files(course: Path) -> dict[str, ReleaseFile]:
    """Return the files of the release of the clone ``course``, by path. Raises ExerciseError."""
    files: dict[str, ReleaseFile] = {}
    labs = []
    for path in list_sources(course / "notebooks"):
        exercise = source.load(path)
        name = f"{exercise.module}/{exercise.name}/{exercise.name}.ipynb"
        files[name] = ReleaseFile(build.serialize(views.student_view(exercise)))
        labs.append(f"- [{exercise.about.title}]({name}), about {exercise.about.minutes} minutes")
    for path in build.list_templates(course / "templates"):
        name = path.relative_to(course).as_posix()
        files[name] = ReleaseFile(path.read_bytes(), os.access(path, os.X_OK))
    if (course / "LICENSE").is_file():
        files["LICENSE"] = ReleaseFile((course / "LICENSE").read_bytes())
    files["README.md"] = ReleaseFile(README.format(labs="\n".join(labs), manifest=MANIFEST).encode())
    sums = [f"{hashlib.sha256(file.data).hexdigest()}  {name}" for name, file in sorted(files.items())]
    files[MANIFEST] = ReleaseFile("".join(f"{line}\n" for line in (SIGNATURE, *sums)).encode())
    return dict(sorted(files.items()))


def write_archive(files: Mapping[str, ReleaseFile], path: Path) -> None:
    """Write ``files`` to ``path`` as a .tar.gz; equal files give equal bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, file in sorted(files.items()):
            entry = tarfile.TarInfo(f"{ARCHIVE_ROOT}/{name}")
            entry.size, entry.mode = len(file.data), 0o755 if file.executable else 0o644
            tar.addfile(entry, io.BytesIO(file.data))
    write_whole(path, packed.getvalue())


def write_folder(files: Mapping[str, ReleaseFile], path: Path) -> None:
    """Write ``files`` into ``path``, which may be new, empty, or an earlier release.

    A new folder is written under a temporary name and renamed. In an earlier release each file is replaced
    atomically, the manifest last; files that are no longer part of the release are removed, and other files (for
    example ``.git``) stay. Links in it are not followed, because their targets may be writable. Raises UsageError.
    """
    path = path.resolve()
    earlier = _list_earlier(path)
    if earlier is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            temporary.chmod(0o755)
            _write(files, temporary)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return
    for name in earlier | files.keys():
        _refuse_links(path, name)
    _write(files, path)
    for name in earlier - files.keys():
        (path / name).unlink(missing_ok=True)
        for parent in (path / name).relative_to(path).parents:
            if parent != Path() and (path / parent).is_dir() and not any((path / parent).iterdir()):
                (path / parent).rmdir()


def _list_earlier(path: Path) -> set[str] | None:
    """The files of the release in ``path``; None if it is new or empty."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    if (path / MANIFEST).is_file():
        manifest = (path / MANIFEST).read_text(errors="replace")
        if manifest.startswith(f"{SIGNATURE}\n"):
            return set(_parse_manifest(manifest))
    if path.is_dir() and [entry.name for entry in path.iterdir()] == [".git"]:
        return set()
    raise UsageError(
        f"{path} is not a release of this course",
        f"Give a new or empty folder, or one with the {MANIFEST} of an earlier release.",
    )


def _refuse_links(path: Path, name: str) -> None:
    """Raise UsageError if a folder between ``path`` and ``path / name`` is a link."""
    for parent in PurePosixPath(name).parents:
        if (path / parent).is_symlink() and parent != PurePosixPath():
            raise UsageError(
                f"{path / parent} is a link to another folder", "Remove the link, or give a new folder."
            )


def _parse_manifest(manifest: str) -> Iterator[str]:
    for line in manifest.splitlines():
        name = line.partition("  ")[2]
        relative = PurePosixPath(name)
        if name and not relative.is_absolute() and ".." not in relative.parts:
            yield name


def _write(files: Mapping[str, ReleaseFile], path: Path) -> None:
    for name, file in sorted(files.items(), key=lambda item: item[0] == MANIFEST):
        write_whole(path / name, file.data)
        if file.executable:
            (path / name).chmod(0o755)
