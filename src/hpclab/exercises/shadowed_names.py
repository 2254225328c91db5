"""Find checks that assign to the name of a helper function of the notebook.

A check runs in the learner's namespace. If it assigns a list to ``tail``, and a cell above defines a function of that
name, cells that call the function afterwards fail, although the learner's work is correct.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from hpclab.exercises.cells import GRADED
from hpclab.exercises.problem import Problem
from hpclab.exercises.source import Exercise

HELPER = re.compile(r"^def (\w+)\(", re.MULTILINE)


def find_problems(exercise: Exercise) -> Iterator[Problem]:
    """Yield each helper's name that a check assigns to, with the line in the check."""
    cells = [cell for cell in exercise.notebook.cells if cell.cell_type == "code"]
    given = [cell.source for cell in cells if not cell.metadata.hpclab.get("role")]
    helpers = {name for text in given if not text.startswith("%%") for name in HELPER.findall(text)}
    for cell in cells:
        if cell.metadata.hpclab.get("role") in GRADED:
            for name, line in find_assignments(cell.source):
                if name in helpers:
                    what = f"this check assigns to the name of the helper {name}()"
                    at = cell.metadata.hpclab.first + line - 1
                    yield Problem(exercise.path, at, what, "Rename one of them.")


def find_assignments(text: str) -> Iterator[tuple[str, int]]:
    """Yield the names that a cell assigns, with their lines; nothing if it is not Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            pending += ast.iter_child_nodes(node)
