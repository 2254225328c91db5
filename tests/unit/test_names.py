"""Names in the package: two public classes never share one, and words of the old dialect do not come back.

``names_allowed.toml`` lists what is left to rename: a name that it does not list fails. After renaming, write it again,
so that it only shrinks:

    python -m tests.unit.test_names
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src/hpclab"
ALLOWED = Path(__file__).with_name("names_allowed.toml")
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
    "room": "tmpfs mount",
    "rooms": "tmpfs mounts",
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
    "words": "text, description",
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


def render(classes: Mapping[str, list[str]], words: Mapping[str, list[str]]) -> str:
    """The content of ALLOWED."""
    lines = ["# Names that are left to change; see test_names.py.", "", "[classes]"]
    lines += [f"{name} = {_quoted(files)}" for name, files in classes.items()]
    lines += ["", "[words]", *(f'"{file}" = {_quoted(found)}' for file, found in words.items())]
    return "\n".join(lines) + "\n"


def _quoted(values: list[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def new_entries(present: Mapping[str, list[str]], allowed: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What is ``present`` and not ``allowed``."""
    new = {key: sorted(set(values) - set(allowed.get(key, ()))) for key, values in present.items()}
    return {key: values for key, values in new.items() if values}


def test_two_public_classes_never_share_a_name() -> None:
    allowed = tomllib.loads(ALLOWED.read_text(encoding="utf-8"))["classes"]
    assert new_entries(shared_classes(PACKAGE), allowed) == {}


def test_no_name_has_a_word_of_the_old_dialect() -> None:
    allowed = tomllib.loads(ALLOWED.read_text(encoding="utf-8"))["words"]
    assert new_entries(dialect(PACKAGE), allowed) == {}, "WORDS has the term to use instead"


def test_only_what_is_not_allowed_is_new() -> None:
    present = {"a.py": ["told", "words"], "b.py": ["hut"], "c.py": ["lay"]}
    assert new_entries(present, {"a.py": ["told"], "c.py": ["lay", "mend"], "gone.py": ["hut"]}) == {
        "a.py": ["words"],
        "b.py": ["hut"],
    }


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


if __name__ == "__main__":
    ALLOWED.write_text(render(shared_classes(PACKAGE), dialect(PACKAGE)), encoding="utf-8")
