"""Checks that take a name away from the notebook's own helpers.

A check runs among the learner's cells. Where it calls a list ``tail``, and a cell above defines a function of that name, every
cell that is run afterwards fails with words that have nothing to do with the learner's work.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from hpclab.exercises.cells import GRADED
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

HELPER = re.compile(r"^def (\w+)\(", re.MULTILINE)


def problems(exercise: Exercise) -> Iterator[Problem]:
    """Each name of a helper that a check uses for something else, with the check's line."""
    cells = [cell for cell in exercise.notebook.cells if cell.cell_type == "code"]
    given = [cell.source for cell in cells if not cell.metadata.hpclab.get("role")]
    helpers = {name for text in given if not text.startswith("%%") for name in HELPER.findall(text)}
    for cell in cells:
        if cell.metadata.hpclab.get("role") in GRADED:
            for name, line in assigned(cell.source):
                if name in helpers:
                    what = f"this check gives the name of the helper {name}() to something else"
                    at = cell.metadata.hpclab.first + line - 1
                    yield Problem(exercise.path, at, what, "Use another name, here or there.")


def assigned(text: str) -> Iterator[tuple[str, int]]:
    """The names that a cell leaves behind, and their lines; none where it is no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
