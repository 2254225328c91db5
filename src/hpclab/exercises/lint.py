"""Everything that can be said against an exercise without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

from hpclab.errors import UsageError
from hpclab.exercises import build, commands, form, leaks, links, plain, shadows, source, wrong
from hpclab.exercises.cells import GRADED
from hpclab.exercises.lab_names import LabName, select_lab
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

# As a learner sees it: the folder of the lab's module lies beside it.
TEMPLATES = "../../templates/"  # as a learner sees them from a lab's folder
LEFT = re.compile(r"\bTODO\b")
# What a test can ask on a cluster only, and what only without one.
JOBS = re.compile(r"\bevidence\.(?:jobs?(?:_ended)?|tasks|attempts|steps|usage)\b|\b(?:sacct|squeue|sinfo)\b")
FUNCTION = re.compile(r"\bevidence\.function\b")


def problems(path: Path, manual: commands.Manual) -> list[Problem]:
    """Every problem of the exercise at ``path`` and of its wrong answers, in the order of its lines.

    ``manual`` says which programs' subcommands and options are checked.
    """
    exercise, found = source.examine(path)
    if exercise is None:
        return found
    sound = not found
    found += form.problems(exercise)
    found += _left(path)
    found += _builds_on(exercise)
    found += _cluster(exercise)
    found += commands.problems(exercise, manual)
    found += shadows.problems(exercise)
    texts = list(_texts(exercise))
    found += texts
    if sound and not texts:
        found += leaks.problems(exercise)
        found += _unstable(exercise)
    return sorted(set(found)) + (sorted(_wrong_answers(exercise)) if sound else [])


def _builds_on(exercise: Exercise) -> Iterator[Problem]:
    paths = build.sources(exercise.path.resolve().parent.parent)
    known = [LabName(path.parent.name, path.stem) for path in paths]
    for name in exercise.about.builds_on:
        try:
            select_lab(name, known)
        except UsageError as unknown:
            yield Problem(
                exercise.path, 1, f"builds_on: {unknown.problem}", "Name a lab: NAME or MODULE/NAME."
            )


def _cluster(exercise: Exercise) -> Iterator[Problem]:
    """What the head says of the cluster must fit what the tests ask for."""
    about = exercise.about
    if about.containers and not about.nodes:
        cure = "Leave 'nodes' out, or set it to 1."
        yield Problem(exercise.path, 1, "it builds containers, and has 'nodes: 0'", cure)
    for cell in exercise.notebook.cells:
        if cell.metadata.hpclab.get("role") not in GRADED:
            continue
        if not about.nodes and (asked := JOBS.search(cell.source)):
            cure = "A lab with 'nodes: 0' is marked without Slurm; leave 'nodes' out."
            yield Problem(exercise.path, cell.metadata.hpclab.line, f"this test uses {asked[0]}", cure)
        elif about.nodes and (asked := FUNCTION.search(cell.source)):
            cure = "It needs 'nodes: 0'; where there is a cluster, ask for what a job wrote."
            yield Problem(exercise.path, cell.metadata.hpclab.line, f"this test uses {asked[0]}", cure)


def _texts(exercise: Exercise) -> Iterator[Problem]:
    """MyST that has no plain form, and links and pictures that lead nowhere."""
    for cell in exercise.notebook.cells:
        if cell.cell_type != "markdown":
            continue
        line = cell.metadata.hpclab.line
        try:
            text = plain.plain(cell.source)
        except plain.NotPlain as wrong_text:
            cure = f"Use Markdown, or one of: {', '.join(plain.OTHERS + plain.ADMONITIONS)}."
            yield Problem(exercise.path, line + wrong_text.line, wrong_text.what, cure)
            continue
        for reference in links.references(text):
            if reference.local and reference.target not in cell.source:
                what = f"the path {reference.target!r} is not written as it is"
                yield Problem(exercise.path, line, what, "Name files with letters, digits, '-', '_' and '.'.")
            elif said := _lost(exercise.path, reference):
                at = next((i for i, one in enumerate(cell.source.splitlines()) if reference.target in one), 0)
                yield Problem(exercise.path, line + at, *said)


def _lost(path: Path, reference: links.Reference) -> tuple[str, str] | None:
    """What is wrong with a link of the exercise at ``path``, and the cure."""
    target = reference.target.partition("#")[0]
    kind = "picture" if reference.image else "link"
    if not target:
        cure = "JupyterLab and the book name headings differently: name the section in words."
        return f"the link {reference.target!r} points into this page", cure
    if not reference.local:
        return None
    file = path.parent / target
    if reference.image:
        if file.is_file():
            return None
    elif target.startswith(TEMPLATES):
        if (path.resolve().parent.parent.parent / target.removeprefix("../../")).is_file():
            return None
    elif links.LAB.fullmatch(target) and file.is_file():
        return None
    elif file.exists():
        cure = (
            "A learner has the labs ('ex02-name.md', '../02-module/ex01-name.md') and '../../templates/NAME'. "
            "Name anything else in words or give its public address."
        )
        return f"the {kind} {target!r} leads to a file that learners do not have", cure
    return f"the {kind} {target!r} leads nowhere", "Paths are relative to this file."


def _unstable(exercise: Exercise) -> Iterator[Problem]:
    """Two readings must give equal bytes, and each view a valid notebook."""
    again = source.load(exercise.path)
    for name, view in build.VIEWS.items():
        notebook = view(exercise)
        try:
            nbformat.validate(notebook)
        except nbformat.ValidationError as invalid:
            what = f"the {name} notebook is not valid: {str(invalid).splitlines()[0]}"
            yield Problem(exercise.path, 0, what, "Look for unusual cell options and tags.")
            continue
        if build.as_bytes(notebook) != build.as_bytes(view(again)):
            yield Problem(
                exercise.path, 0, f"two builds of the {name} notebook differ", "Build it twice and compare."
            )


def _wrong_answers(exercise: Exercise) -> Iterator[Problem]:
    for path in wrong.files(exercise):
        yield from wrong.examine(path, exercise)[1]
        yield from _left(path)


def _left(path: Path) -> Iterator[Problem]:
    text = source.read(path)
    for number, line in enumerate(text.splitlines() if isinstance(text, str) else [], 1):
        if LEFT.search(line):
            yield Problem(path, number, "TODO is left", "Finish this part.")
