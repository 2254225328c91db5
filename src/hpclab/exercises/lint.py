"""Find the problems of a lab that show without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

from hpclab.errors import UsageError
from hpclab.exercises import (
    answer_leaks,
    build,
    commands,
    links,
    plain_markdown,
    required_parts,
    shadowed_names,
    source,
    wrong_answers,
)
from hpclab.exercises.cells import GRADED
from hpclab.exercises.lab_names import LabName, list_sources, select_lab
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

TEMPLATES = "../../templates/"  # as seen from a lab's folder in the learner's copy
TODO = re.compile(r"\bTODO\b")
# Functions that a test can use only with a cluster, and only without one.
NEEDS_CLUSTER = re.compile(
    r"\bevidence\.(?:jobs?(?:_ended)?|tasks|attempts|steps|usage)\b|\b(?:sacct|squeue|sinfo)\b"
)
NEEDS_NO_CLUSTER = re.compile(r"\bevidence\.function\b")


def find_problems(path: Path, manual: commands.Manual) -> list[Problem]:
    """Return every problem of the lab at ``path`` and of its wrong answers, sorted by line.

    ``manual`` has the subcommands and options to check against.
    """
    exercise, found = source.examine(path)
    if exercise is None:
        return found
    is_valid = not found
    found += required_parts.find_problems(exercise)
    found += _find_todos(path)
    found += _check_builds_on(exercise)
    found += _check_cluster(exercise)
    found += commands.find_problems(exercise, manual)
    found += shadowed_names.find_problems(exercise)
    text_problems = list(_check_texts(exercise))
    found += text_problems
    if is_valid and not text_problems:
        found += answer_leaks.find_problems(exercise)
        found += _check_builds(exercise)
    return sorted(set(found)) + (sorted(_check_wrong_answers(exercise)) if is_valid else [])


def _check_builds_on(exercise: Exercise) -> Iterator[Problem]:
    paths = list_sources(exercise.path.resolve().parent.parent)
    known = [LabName(path.parent.name, path.stem) for path in paths]
    for name in exercise.about.builds_on:
        try:
            select_lab(name, known)
        except UsageError as unknown:
            yield Problem(
                exercise.path,
                1,
                f"builds_on: {unknown.problem}",
                "Use the name of a lab: NAME or MODULE/NAME.",
            )


def _check_cluster(exercise: Exercise) -> Iterator[Problem]:
    """Check that the cluster in the front matter fits what the tests use."""
    about = exercise.about
    if about.containers and not about.nodes:
        remedy = "Remove 'nodes', or set it to 1."
        yield Problem(exercise.path, 1, "the lab builds containers, but has 'nodes: 0'", remedy)
    for cell in exercise.notebook.cells:
        if cell.metadata.hpclab.get("role") not in GRADED:
            continue
        if not about.nodes and (used := NEEDS_CLUSTER.search(cell.source)):
            remedy = "A lab with 'nodes: 0' is graded without Slurm. Remove 'nodes'."
            yield Problem(exercise.path, cell.metadata.hpclab.line, f"this test uses {used[0]}", remedy)
        elif about.nodes and (used := NEEDS_NO_CLUSTER.search(cell.source)):
            remedy = "Set 'nodes: 0', or check a file that a job wrote."
            yield Problem(exercise.path, cell.metadata.hpclab.line, f"this test uses {used[0]}", remedy)


def _check_texts(exercise: Exercise) -> Iterator[Problem]:
    """Find MyST without a plain form, and links and pictures with missing targets."""
    for cell in exercise.notebook.cells:
        if cell.cell_type != "markdown":
            continue
        line = cell.metadata.hpclab.line
        try:
            text = plain_markdown.to_plain_markdown(cell.source)
        except plain_markdown.UnsupportedMarkup as wrong_text:
            remedy = f"Use Markdown, or one of: {', '.join(plain_markdown.OTHER_DIRECTIVES + plain_markdown.ADMONITIONS)}."
            yield Problem(exercise.path, line + wrong_text.line, wrong_text.what, remedy)
            continue
        for reference in links.find_references(text):
            if reference.local and reference.target not in cell.source:
                what = f"the path {reference.target!r} has escaped characters"
                yield Problem(exercise.path, line, what, "Name files with letters, digits, '-', '_' and '.'.")
            elif problem := _check_target(exercise.path, reference):
                at = next(
                    (i for i, text in enumerate(cell.source.splitlines()) if reference.target in text), 0
                )
                yield Problem(exercise.path, line + at, *problem)


def _check_target(path: Path, reference: links.Reference) -> tuple[str, str] | None:
    """The problem of a link of the lab at ``path``, and the remedy; None if it is valid."""
    target = reference.target.partition("#")[0]
    kind = "picture" if reference.image else "link"
    if not target:
        remedy = "JupyterLab and the book make different anchors. Refer to the section by its title."
        return f"the link {reference.target!r} points into this page", remedy
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
        remedy = (
            "Link to labs ('ex02-name.md', '../02-module/ex01-name.md'), to '../../templates/NAME', "
            "or to a public URL."
        )
        return f"the {kind} {target!r} is a file that learners do not have", remedy
    return f"the {kind} {target!r} does not exist", "Paths are relative to this file."


def _check_builds(exercise: Exercise) -> Iterator[Problem]:
    """Check that each view is a valid notebook, and that two builds are equal."""
    reloaded = source.load(exercise.path)
    for name, view in build.VIEWS.items():
        notebook = view(exercise)
        try:
            nbformat.validate(notebook)
        except nbformat.ValidationError as invalid:
            what = f"the {name} notebook is not valid: {str(invalid).splitlines()[0]}"
            yield Problem(exercise.path, 0, what, "Check the cell options and tags.")
            continue
        if build.serialize(notebook) != build.serialize(view(reloaded)):
            yield Problem(
                exercise.path,
                0,
                f"two builds of the {name} notebook differ",
                "Build it twice and compare the results.",
            )


def _check_wrong_answers(exercise: Exercise) -> Iterator[Problem]:
    for path in wrong_answers.list_files(exercise):
        yield from wrong_answers.examine(path, exercise)[1]
        yield from _find_todos(path)


def _find_todos(path: Path) -> Iterator[Problem]:
    text = source.read(path)
    for number, line in enumerate(text.splitlines() if isinstance(text, str) else [], 1):
        if TODO.search(line):
            yield Problem(path, number, "a TODO remains", "Finish this part.")
