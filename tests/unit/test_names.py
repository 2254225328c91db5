"""Names in the package: two public classes never share one, and words that standard terms replaced do not come back."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src/hpclab"
# By word, the term to use instead.
WORDS = {
    "asking": "protocol",
    "chosen": "select",
    "converse": "pipe session",
    "cure": "remedy",
    "furnish": "populate rootfs",
    "harmless": "sanitize",
    "heard": "messages",
    "hut": "sandbox init",
    "huts": "sandbox init",
    "inmate": "sandbox process",
    "inmates": "sandbox processes",
    "keeper": "client",
    "klass": "course",
    "lay": "write",
    "mend": "repair",
    "mended": "repaired",
    "room": "tmpfs mount, bytes left",
    "settle": "recover, apply or drain",
    "standing": "scores",
    "standings": "scores",
    "stranger": "untrusted code, submission",
    "strangers": "untrusted code, submissions",
    "talk": "messages",
    "told": "feedback, messages",
    "warden": "agent",
    "warm": "forkserver",
    "warmed": "forkserver",
}


def public_classes(package: Path) -> dict[str, list[str]]:
    """By name, the files that define a public class at their top level."""
    files = defaultdict(list)
    for name, tree in _modules(package):
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                files[node.name].append(name)
    return files


def shared_classes(package: Path) -> dict[str, list[str]]:
    """The public classes that more than one file defines."""
    return {name: files for name, files in sorted(public_classes(package).items()) if len(files) > 1}


def dialect(package: Path) -> dict[str, list[str]]:
    """By file, the words of WORDS that are part of a name defined there."""
    found = {}
    for name, tree in _modules(package):
        parts = {part for identifier in _defined(tree) for part in split(identifier)}
        if words := sorted(parts & WORDS.keys()):
            found[name] = words
    return found


def split(identifier: str) -> list[str]:
    """``_task_toldBy`` → task, told, by."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().split("_")


def _modules(package: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names of functions, classes, arguments, variables, fields and modules that ``tree`` introduces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def test_two_public_classes_never_share_a_name() -> None:
    assert shared_classes(PACKAGE) == {}


def test_no_name_has_a_replaced_word() -> None:
    assert dialect(PACKAGE) == {}, "WORDS has the term to use instead"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("class TaskTold: pass", ["told"]),
        ("def _stranger(x): pass", ["stranger"]),
        ("def f(klass): pass", ["klass"]),
        ("for inmates in x: pass", ["inmates"]),
        ("self.standing = 1", ["standing"]),
        ("with x as warmed: pass", ["warmed"]),
        ("import x as warden", ["warden"]),
        ("x: list[stranger] = told.layout", []),
    ],
)
def test_a_word_in_a_new_name_is_found(tmp_path: Path, code: str, words: list[str]) -> None:
    (tmp_path / "part.py").write_text(code)
    assert dialect(tmp_path) == ({"part.py": words} if words else {})


def test_a_shared_class_is_found(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("class Same: pass\nclass _Private: pass\n")
    assert shared_classes(tmp_path) == {"Same": ["one.py", "two.py"]}
