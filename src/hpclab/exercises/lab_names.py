"""The names of labs that a person types: which labs they mean, and how the shell completes them.

A lab is MODULE/NAME, such as ``01-slurm-basics/ex01-submit-monitor``. Accepted are this label, the
name alone, the beginnings of both words (``01/ex01``, ``ex01-sub``), a module (``01``) for all of
its labs, each with a trailing slash, as a path, or as a file (``.md``, ``.ipynb``).

The module imports no notebook library: completion and commands on a course's marks are quick.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hpclab.errors import UsageError

SUFFIXES = (".md", ".ipynb")


class LabName(NamedTuple):
    """What a lab is called. ``module`` is empty where it is unknown: a course may have labs of its own."""

    module: str
    name: str

    @property
    def label(self) -> str:
        return f"{self.module}/{self.name}" if self.module else self.name


def list_sources(folder: Path) -> list[Path]:
    """The texts of the labs below ``folder`` (the course's ``notebooks/``), in the order of the course."""
    return sorted(folder.glob("[0-9][0-9]-*/ex[0-9][0-9]-*.md"))


def select_labs(text: str, known: Sequence[LabName], hint: str = "") -> list[LabName]:
    """The labs of ``known`` that ``text`` means: one, or all of one module. Pure.

    Raises UsageError that lists the valid names; ``hint`` ends its remedy.
    """
    labs = _matching(text, known)
    if len(labs) > 1 and not (len({lab.module for lab in labs}) == 1 and _names_module(text, labs[0].module)):
        raise UsageError(f"{text!a} names several labs", _valid(labs, hint))
    if not labs:
        raise UsageError(f"{text!a} names no lab", _near(text, known) + _valid(known, hint))
    return labs


def select_lab(text: str, known: Sequence[LabName], hint: str = "") -> LabName:
    """The one lab of ``known`` that ``text`` means. Pure. Raises UsageError that lists the valid names."""
    labs = select_labs(text, known, hint)
    if len(labs) > 1:
        raise UsageError(f"{text!a} names a module with several labs", _valid(labs, hint))
    return labs[0]


def complete_lab_names(incomplete: str, known: Sequence[LabName]) -> list[str]:
    """Names that continue ``incomplete``: labels, or names alone where the name has been begun. Pure.

    A name that several labs share is completed to the label.
    """
    labels = [lab.label for lab in known if lab.label.startswith(incomplete)]
    if labels:
        return labels
    names = [lab.name for lab in known]
    return [
        lab.name if names.count(lab.name) == 1 else lab.label
        for lab in known
        if lab.name.startswith(incomplete)
    ]


def _split(text: str) -> tuple[str, str]:
    """The last two words of a path; the first is empty where there is one."""
    path = PurePosixPath(text)
    name = path.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return path.parent.name, name


def _matching(text: str, known: Sequence[LabName]) -> list[LabName]:
    """The labs that ``text`` may mean: those with exactly this name, else those that begin with it."""
    module, name = _split(text)
    if not name:
        return []
    labs = [lab for lab in known if not lab.module or lab.module.startswith(module)]
    exact = [lab for lab in labs if lab.name == name]
    whole = [lab for lab in known if _names_module(text, lab.module)]
    return exact or whole or [lab for lab in labs if lab.name.startswith(name)]


def _names_module(text: str, module: str) -> bool:
    """Whether ``text`` is the module's name, the path of its folder, or how its name begins."""
    parent, name = _split(text)
    return bool(module and name) and (name == module or (not parent and module.startswith(name)))


def _near(text: str, known: Sequence[LabName]) -> str:
    _, name = _split(text)
    labels = {lab.name: lab.label for lab in known}
    close = difflib.get_close_matches(name, labels, n=3)
    return f"Did you mean {' or '.join(labels[name] for name in close)}?\n" if close else ""


def _valid(labs: Sequence[LabName], hint: str) -> str:
    valid = "Valid:\n    " + "\n    ".join(lab.label for lab in labs) if labs else "There are no labs yet."
    return f"{valid}\n{hint}" if hint else valid
