"""Select the notebook to mark from a submission's files. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from hpclab.grading.execute.matching import identity, texts_of
from hpclab.grading.model import Lab
from hpclab.grading.submissions.ipynb import BadInput, SubmittedCell, read


def choose(files: Mapping[str, bytes], lab: Lab) -> tuple[str, list[SubmittedCell], list[str]]:
    """Return the lab's notebook: the one with the lab's name, else the one with most of its cells."""
    wanted = f"{lab.name}.ipynb"
    there = [path for path in sorted(files, key=lambda path: (path.count("/"), path)) if _is_notebook(path)]
    if not there:
        raise BadInput(
            f"there is no notebook in what was handed in, only: {_listed(list(files)) or 'nothing'}",
            f"Hand in the folder with {wanted}.",
        )
    ids = {cell.id for cell in lab.cells if cell.kind != "given"}
    texts = texts_of(lab)
    best: tuple[int, str, list[SubmittedCell]] | None = None
    trouble: BadInput | None = None
    for path in sorted(there, key=lambda path: PurePosixPath(path).name != wanted)[:20]:
        try:
            cells = read(files[path], path)
        except BadInput as problem:
            trouble = trouble or problem
            continue
        fitting = sum(1 for cell in cells if identity(cell, ids))
        if not fitting:  # a tool may have removed every id: compare the texts instead
            same = {cell.source.strip() for cell in cells} & texts.keys()
            fitting = len(same) if 2 * len(same) >= len(texts) else 0
        if fitting and (best is None or fitting > best[0]):
            best = (fitting, path, cells)
        if fitting and PurePosixPath(path).name == wanted:
            break
    if best is None:
        if trouble:
            raise trouble
        raise BadInput(
            f"no notebook with the cells of {lab.name} was handed in, only: {_listed(there)}",
            f"Hand in your {wanted}. If you copied your work into a notebook of another kind,"
            " copy it back into the one that you were given.",
        )
    _, path, cells = best
    notes = []
    if PurePosixPath(path).name != wanted:
        notes.append(f"the notebook {path} was marked, since there is no {wanted} that can be read")
    if others := [one for one in there if one != path]:
        notes.append(f"{path} was marked; not looked at: {_listed(others)}")
    return path, cells, notes


def _is_notebook(path: str) -> bool:
    return path.endswith(".ipynb") and ".ipynb_checkpoints" not in PurePosixPath(path).parts


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(path[:80] for path in paths[:5]) + more
