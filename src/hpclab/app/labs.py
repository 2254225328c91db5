"""The labs of the clone, found by the names that people type (see exercises/lab_names)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hpclab import layout
from hpclab.errors import UsageError
from hpclab.exercises.lab_names import SUFFIXES, LabName, list_sources, select_lab, select_labs


def labs_of_clone() -> dict[LabName, Path]:
    """Every lab of the clone with its source text, in the order of the course."""
    paths = list_sources(layout.clone_folder() / "notebooks")
    return {LabName(path.parent.name, path.stem): path for path in paths}


def with_modules(names: Iterable[str]) -> list[LabName]:
    """Labs that a course knows by name alone, each with its module where the clone has the lab."""
    modules = {lab.name: lab.module for lab in labs_of_clone()}
    return [LabName(modules.get(name, ""), name) for name in names]


def find_labs(texts: Sequence[str]) -> list[Path]:
    """The labs of the clone that ``texts`` name, each once; all of them where nothing is named.

    A path of a text or notebook that exists stands for itself. Raises UsageError.
    """
    sources = labs_of_clone()
    if not sources:
        raise UsageError(
            f"{layout.clone_folder() / 'notebooks'} holds no labs", "Begin one: hpclab labs new 01 'A title'"
        )
    if not texts:
        return list(sources.values())
    paths: list[Path] = []
    for text in texts:
        if _is_file(text):
            paths.append(Path(text).resolve())
        else:
            paths += (sources[lab] for lab in select_labs(text, [*sources]))
    return list(dict.fromkeys(paths))


def find_lab(text: str) -> Path:
    """The one lab of the clone that ``text`` names, or the file that it is. Raises UsageError."""
    sources = labs_of_clone()
    return Path(text).resolve() if _is_file(text) else sources[select_lab(text, [*sources])]


def _is_file(text: str) -> bool:
    return text.endswith(SUFFIXES) and Path(text).is_file()
