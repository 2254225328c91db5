"""Read an author's MyST file into a checked Exercise.

The file begins with front matter (see About). Its ``code-cell`` blocks may have options, which ``cells`` checks.
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

from hpclab.exercises import cells, fences, links, plain_markdown
from hpclab.exercises.cells import GRADED as GRADED
from hpclab.exercises.cells import cell_id as cell_id
from hpclab.exercises.problem import Problem

# The languages that a code-cell may have, because a notebook has one kernel.
LANGUAGES = ("", "python", "python3", "ipython3")
CELL_FENCE = re.compile(r"\s*(`{3,}|~{3,}|:{3,})\{(code-cell|raw-cell)\}")
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]


class Cost(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The cost of one headless run: wall time in seconds, and CPUs that it uses."""

    seconds: PositiveInt
    cpus: PositiveInt


class About(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The front matter of a lab's file."""

    title: str
    difficulty: int  # 1 to 4 stars
    minutes: PositiveInt  # for a first-time learner
    builds_on: list[str] = []
    points: int = 10
    cost: Cost
    nodes: Annotated[int, msgspec.Meta(ge=0, le=16)] = 4  # of the cluster that grades it; 0: no cluster
    containers: bool = False  # it builds images, which an isolated cluster allows only on request


@dataclass(frozen=True)
class Exercise:
    """A lab as read from its file. Its cells have their options under ``metadata.hpclab``.

    ``images`` has the content of the pictures by their target in the text.
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
        """The lab's name, e.g. ``ex01-submit-monitor``."""
        return self.path.stem


def load(path: Path) -> Exercise:
    """Read and check the lab at ``path``. Raises ExerciseError with line and remedy."""
    return _require_sound(*examine(path))


def parse(text: str, path: Path) -> Exercise:
    """Like ``load``, from text and without pictures; ``path`` is used in error messages."""
    return _require_sound(*examine_text(text, path))


def _require_sound(exercise: Exercise | None, problems: list[Problem]) -> Exercise:
    if problems or exercise is None:
        raise problems[0].to_error()
    return exercise


def read(path: Path) -> str | Problem:
    """Return the text of an author's file, or the problem with it."""
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as problem:
        return Problem(path, 0, f"cannot be read: {problem}", "Save it as a MyST text file in UTF-8.")


def examine(path: Path) -> tuple[Exercise | None, list[Problem]]:
    """Return the lab at ``path`` and every problem of its front matter and cells.

    The lab is None if the file cannot be split into cells. Views may fail on a lab with problems.
    """
    text = read(path)
    if isinstance(text, Problem):
        return None, [text]
    exercise, problems = examine_text(text, path)
    return exercise and replace(exercise, images=dict(_read_images(exercise))), problems


def examine_text(text: str, path: Path) -> tuple[Exercise | None, list[Problem]]:
    """Like ``examine``, from text and without pictures."""
    found = split_cells(text, path)
    if isinstance(found, list):
        return None, found
    notebook, starts = found
    about = _parse_head(dict(notebook.metadata), path)
    if isinstance(about, Problem):
        return None, [about]
    problems: list[Problem] = []
    notebook.metadata = nbformat.from_dict({})  # type: ignore[no-untyped-call]
    if about.difficulty not in range(1, 5):
        problems.append(Problem(path, 1, f"difficulty is {about.difficulty}", "Use 1, 2, 3 or 4."))
    for cell, start in zip(notebook.cells, starts, strict=True):
        line = _find_first_line(cell, start, text)
        problems += (Problem(path, line, what, remedy) for what, remedy in cells.find_problems(cell))
        cells.keep_options(cell, line, _find_source_line(cell, line, text))
    problems += (
        Problem(path, line, what, remedy)
        for line, what, remedy in cells.find_task_problems(notebook, about.points)
    )
    _set_ids(notebook)
    return Exercise(path, about, notebook), problems


def split_cells(text: str, path: Path) -> tuple[NotebookNode, list[int]] | list[Problem]:
    """Split a MyST text into a notebook (front matter as metadata) and the first line of each cell, or return problems."""
    if problems := list(_check_blocks(text, path)):
        return problems
    try:
        notebook = jupytext.myst.myst_to_notebook(text, add_source_map=True)
    # jupytext does not convert the second kind, as for ":[a]: 1"; it bundles this YAML library.
    except (jupytext.myst.MystMetadataParsingError, jupytext.myst.yaml.YAMLError) as problem:
        remedy = "Cell options are YAML: ':name: value', one on each line."
        return [Problem(path, 0, " ".join(str(problem).split()), remedy)]
    except nbformat.ValidationError as invalid:
        remedy = "A cell option has an invalid value, such as ':tags: one' instead of ':tags: [one]'."
        return [Problem(path, 0, str(invalid).splitlines()[0], remedy)]
    starts = notebook.metadata.pop("source_map")
    notebook.metadata.pop("jupytext", None)
    notebook.metadata.pop("jupyter", None)
    return notebook, starts


def _check_blocks(text: str, path: Path) -> Iterator[Problem]:
    """Yield fences that are not closed, and cells that would silently become text."""
    lines = text.splitlines()
    try:
        blocks = list(fences.find_blocks(lines))
    except fences.UnbalancedFence as unbalanced:
        yield Problem(
            path,
            unbalanced.line,
            unbalanced.what,
            "Close the block with a fence of the same kind and length.",
        )
        return
    cells_at = set()
    for block in blocks:
        name, argument = block.directive or ("", "")
        if name == "code-cell" and lines[block.start].startswith("```"):
            cells_at.add(block.start)
            if argument not in LANGUAGES:
                remedy = "Use python; a shell cell begins with %%bash."
                yield Problem(path, block.start + 1, f"a code-cell in the language {argument!r}", remedy)
        elif name in ("", "code-block", "code"):
            cells_at.update(range(block.start, block.end))  # code, whatever it contains
    for index, line in enumerate(lines):
        if index not in cells_at and (match := CELL_FENCE.match(line)):
            what = f"a {match[2]} inside another block or after other text"
            remedy = "Begin the line with ```{code-cell}, outside other blocks."
            yield Problem(path, index + 1, what, remedy)


def _parse_head(head: dict[str, Any], path: Path) -> About | Problem:
    try:
        return msgspec.convert(head, About)
    except msgspec.ValidationError as problem:
        names = ", ".join(About.__struct_fields__)
        return Problem(
            path,
            1,
            f"the front matter is invalid: {problem}",
            f"Its fields, in YAML between two lines '---', are: {names}.",
        )


def _find_first_line(cell: NotebookNode, start: int, text: str) -> int:
    """The line, counted from 1, where the cell's text begins for an author."""
    if cell.cell_type == "code":
        return start
    lines = text.splitlines()
    while start < len(lines) and not lines[start].strip():
        start += 1
    return start + 1


def _find_source_line(cell: NotebookNode, line: int, text: str) -> int:
    """The line, counted from 1, of the cell's first line; ``line`` is where the cell begins."""
    if cell.cell_type != "code":
        return line
    lines = text.splitlines()
    wanted = cell.source.partition("\n")[0].strip()
    return next((at + 1 for at in range(line, len(lines)) if lines[at].strip() == wanted), line)


def _read_images(exercise: Exercise) -> Iterator[tuple[str, bytes]]:
    """Yield every local picture that exists; ``lint`` reports missing ones."""
    for cell in exercise.notebook.cells:
        if cell.cell_type != "markdown":
            continue
        try:
            references = list(links.find_references(plain_markdown.to_plain_markdown(cell.source)))
        except plain_markdown.UnsupportedMarkup:
            continue
        for reference in references:
            file = exercise.path.parent / reference.target
            if reference.image and reference.local and file.is_file():
                yield reference.target, file.read_bytes()


def _set_ids(notebook: NotebookNode) -> None:
    """Give every cell an id that depends only on its text, so that builds are reproducible."""
    used: Counter[str] = Counter()
    for cell in notebook.cells:
        name = cell_id(cell)
        if not name:
            digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
            used[digest] += 1
            name = f"c-{digest}" if used[digest] == 1 else f"c-{digest}-{used[digest]}"
        cell.id = name
