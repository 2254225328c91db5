"""Read an author's text file: one MyST document becomes one checked Exercise.

The file opens with facts about the exercise (see About). Its ``code-cell``
blocks may carry options; ``cells`` knows them and what is wrong with them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import jupytext.myst  # type: ignore[import-untyped,unused-ignore]
import msgspec
import nbformat
from nbformat import NotebookNode

from hpclab.exercises import cells, fences, links, plain
from hpclab.exercises.cells import GRADED as GRADED
from hpclab.exercises.cells import identity as identity
from hpclab.exercises.problem import Problem

# The languages that a code-cell may name: a learner's notebook has one kernel.
LANGUAGES = ("", "python", "python3", "ipython3")
CELL_FENCE = re.compile(r"\s*(`{3,}|~{3,}|:{3,})\{(code-cell|raw-cell)\}")
Some = Annotated[int, msgspec.Meta(ge=1)]


class Cost(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What one headless run takes: wall time in seconds, and CPUs it keeps busy."""

    seconds: Some
    cpus: Some


class About(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The head of an exercise's file."""

    title: str
    difficulty: int  # 1 to 4 stars
    minutes: Some  # an honest guess for a first-time learner
    builds_on: list[str] = []
    points: int = 10
    cost: Cost
    nodes: Annotated[int, msgspec.Meta(ge=0, le=16)] = 4  # of the cluster it is graded on; 0: plain Python
    containers: bool = False  # it builds images, which needs more than a sealed cluster otherwise gives


@dataclass(frozen=True)
class Exercise:
    """One exercise, read and checked. Cells carry their options under ``metadata.hpclab``.

    ``images`` holds the pictures that the text shows, by the name that it uses.
    """

    path: Path
    about: About
    notebook: NotebookNode
    images: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The folder's name, e.g. ``01-slurm-basics``."""
        return self.path.parent.name

    @property
    def name(self) -> str:
        """The exercise's own name, e.g. ``ex01-submit-monitor``."""
        return self.path.stem


def load(path: Path) -> Exercise:
    """Read and check the exercise at ``path``. Raises ExerciseError with line and cure."""
    return _sound(*examine(path))


def parse(text: str, path: Path) -> Exercise:
    """Like ``load``, from text and without pictures; ``path`` names the file in errors."""
    return _sound(*examine_text(text, path))


def _sound(exercise: Exercise | None, problems: list[Problem]) -> Exercise:
    if problems or exercise is None:
        raise problems[0].error()
    return exercise


def read(path: Path) -> str | Problem:
    """The text of an author's file."""
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as problem:
        return Problem(path, 0, f"cannot be read: {problem}", "Give a MyST text file in UTF-8.")


def examine(path: Path) -> tuple[Exercise | None, list[Problem]]:
    """The exercise at ``path`` and every problem of its head and cells.

    None where the file cannot even be cut into cells. An exercise that comes
    with problems is good for looking at only: views may fail on it.
    """
    text = read(path)
    if isinstance(text, Problem):
        return None, [text]
    exercise, problems = examine_text(text, path)
    return exercise and replace(exercise, images=dict(_images(exercise))), problems


def examine_text(text: str, path: Path) -> tuple[Exercise | None, list[Problem]]:
    """Like ``examine``, from text and without pictures."""
    found = cut(text, path)
    if isinstance(found, list):
        return None, found
    notebook, starts = found
    about = _about(dict(notebook.metadata), path)
    if isinstance(about, Problem):
        return None, [about]
    problems: list[Problem] = []
    notebook.metadata = nbformat.from_dict({})  # type: ignore[no-untyped-call]
    if about.difficulty not in range(1, 5):
        problems.append(
            Problem(path, 1, f"difficulty is {about.difficulty}", "It counts stars: 1, 2, 3 or 4.")
        )
    for cell, start in zip(notebook.cells, starts, strict=True):
        line = _first_line(cell, start, text)
        problems += (Problem(path, line, what, cure) for what, cure in cells.problems(cell))
        cells.keep_options(cell, line, _source_line(cell, line, text))
    problems += (
        Problem(path, line, what, cure) for line, what, cure in cells.task_problems(notebook, about.points)
    )
    _set_ids(notebook)
    return Exercise(path, about, notebook), problems


def cut(text: str, path: Path) -> tuple[NotebookNode, list[int]] | list[Problem]:
    """A MyST text as a notebook, its head as the metadata, and where each cell begins; or why it is none."""
    if problems := list(_blocks(text, path)):
        return problems
    try:
        notebook = jupytext.myst.myst_to_notebook(text, add_source_map=True)
    # The second kind jupytext lets through, as for ":[a]: 1"; it brings this YAML library.
    except (jupytext.myst.MystMetadataParsingError, jupytext.myst.yaml.YAMLError) as problem:
        cure = "Cell options are YAML: one ':name: value' a line."
        return [Problem(path, 0, " ".join(str(problem).split()), cure)]
    except nbformat.ValidationError as invalid:
        cure = "A cell has a value that a notebook may not have, such as ':tags: one' for ':tags: [one]'."
        return [Problem(path, 0, str(invalid).splitlines()[0], cure)]
    starts = notebook.metadata.pop("source_map")
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.pop("jupyter", None)
    return notebook, starts


def _blocks(text: str, path: Path) -> Iterator[Problem]:
    """Fences that are not closed, and cells that would silently become text."""
    lines = text.splitlines()
    try:
        blocks = list(fences.outermost(lines))
    except fences.Unbalanced as wrong:
        yield Problem(
            path, wrong.line, wrong.what, "Close the block with a fence of the same kind and length."
        )
        return
    cells_at = set()
    for block in blocks:
        name, argument = block.directive or ("", "")
        if name == "code-cell" and lines[block.start].startswith("```"):
            cells_at.add(block.start)
            if argument not in LANGUAGES:
                cure = "Write python; a shell cell of a notebook begins with %%bash."
                yield Problem(path, block.start + 1, f"a code-cell in the language {argument!r}", cure)
        elif name in ("", "code-block", "code"):
            cells_at.update(range(block.start, block.end))  # shown as code, whatever is in it
    for index, line in enumerate(lines):
        if index not in cells_at and (found := CELL_FENCE.match(line)):
            what = f"a {found[2]} that is no cell of its own"
            cure = "Only ```{code-cell} at the beginning of a line, outside of other blocks, becomes a cell."
            yield Problem(path, index + 1, what, cure)


def _about(head: dict[str, Any], path: Path) -> About | Problem:
    try:
        return msgspec.convert(head, About)
    except msgspec.ValidationError as problem:
        names = ", ".join(About.__struct_fields__)
        return Problem(
            path,
            1,
            f"the head of the file: {problem}",
            f"It names, in YAML between two lines '---': {names}.",
        )


def _first_line(cell: NotebookNode, start: int, text: str) -> int:
    """The line, counted from 1, where a person looks for this cell."""
    if cell.cell_type == "code":
        return start
    lines = text.splitlines()
    while start < len(lines) and not lines[start].strip():
        start += 1
    return start + 1


def _source_line(cell: NotebookNode, line: int, text: str) -> int:
    """The line, counted from 1, of the cell's first line; ``line`` is where the cell begins."""
    if cell.cell_type != "code":
        return line
    lines = text.splitlines()
    wanted = cell.source.partition("\n")[0].strip()
    return next((at + 1 for at in range(line, len(lines)) if lines[at].strip() == wanted), line)


def _images(exercise: Exercise) -> Iterator[tuple[str, bytes]]:
    """Every local picture that is there; ``lint`` tells of those that are not."""
    for cell in exercise.notebook.cells:
        if cell.cell_type != "markdown":
            continue
        try:
            found = list(links.references(plain.plain(cell.source)))
        except plain.NotPlain:
            continue
        for reference in found:
            file = exercise.path.parent / reference.target
            if reference.image and reference.local and file.is_file():
                yield reference.target, file.read_bytes()


def _set_ids(notebook: NotebookNode) -> None:
    """Give every cell an id that depends on nothing but the text, so that builds are stable."""
    taken: Counter[str] = Counter()
    for cell in notebook.cells:
        name = identity(cell)
        if not name:
            digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
            taken[digest] += 1
            name = f"c-{digest}" if taken[digest] == 1 else f"c-{digest}-{taken[digest]}"
        cell.id = name
