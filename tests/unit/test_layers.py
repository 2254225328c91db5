"""The rule of the house: a part of hpclab imports only from layers below its own.

A new module or package directly under src/hpclab goes into LAYERS here and into
the picture in CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"shell", "layout", "files", "ansi"}),
    frozenset({"locks"}),
    frozenset({"sites", "slurm", "sandbox"}),
    frozenset(
        {"book", "packages", "cluster", "exercises", "headless", "doctor", "evidence", "plots", "grading"}
    ),
    frozenset({"app"}),
    frozenset({"cli", "__main__"}),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# Libraries that only these parts speak to.
CONFINED: dict[str, set[str]] = {
    "click": {"cli"},
    "rich": {"cli"},
    "jinja2": {"grading"},
    "jupytext": {"exercises"},
    "nbgrader": {"exercises", "grading"},
    "papermill": {"headless"},
    "lief": {"packages"},
    "sphinx": {"book"},
    "docutils": {"book"},
    "playwright": {"book"},
    "axe_playwright_python": {"book"},
}

# What runs in a sandbox, in a process of its own, gives tests and questions what they are written in.
BESIDE = {"grading/assess/test_runner.py": {"evidence"}, "grading/execute/runner.py": {"evidence"}}

# Who may print and exit: the command line, and programs that run as processes of their own: what enters the
# cluster's namespace, what puts a command under the filter, and what runs in a sandbox (cells, tests).
TALKS = (
    "cli/",
    "cli.py",
    "__main__.py",
    "cluster/boot.py",
    "cluster/agent.py",
    "sandbox/seccomp.py",
    "app/grading/array_task.py",
    "app/hand_out.py",
    "app/grading/local_worker.py",
    "grading/execute/runner.py",
    "grading/assess/test_runner.py",
    "grading/execute/ipython.py",
    "grading/execute/forkserver.py",
)


def violations(package: Path) -> list[str]:
    """Every break of the rules under ``package`` (the folder hpclab), as FILE:LINE: WHAT."""
    found = []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        part = name.split("/")[0].removesuffix(".py")
        tree = ast.parse(path.read_text(), filename=name)
        if part not in LEVEL and part != "__init__":
            found.append(
                f"{name}:1: the part {part!r} has no layer: add it to LAYERS in tests/unit/test_layers.py"
                " and to the picture in CONTRIBUTING.md"
            )
            continue
        found += [f"{name}:{line}: {what}" for line, what in _wrong_imports(tree, part, name, package)]
        if not name.startswith(TALKS):
            found += [f"{name}:{line}: {what}" for line, what in _talk(tree)]
    return found


def _wrong_imports(tree: ast.AST, part: str, name: str, package: Path) -> Iterator[tuple[int, str]]:
    for line, module in _imports(tree, name):
        top, _, rest = module.partition(".")
        if top in CONFINED and part not in CONFINED[top]:
            yield line, f"{top} belongs to {', '.join(sorted(CONFINED[top]))}"
        if top != "hpclab" or not rest:
            continue
        other = rest.split(".")[0]
        if other == part or not _is_part(package, other):
            continue
        if other in BESIDE.get(name, ()):
            continue
        if LEVEL.get(other, len(LAYERS)) >= LEVEL.get(part, -1):
            yield line, f"{part} imports {other}, which is not in a layer below it"


def _is_part(package: Path, name: str) -> bool:
    """Whether ``name`` is a part, not a value that hpclab/__init__.py defines."""
    return name in LEVEL or (package / name).is_dir() or (package / f"{name}.py").is_file()


def _imports(tree: ast.AST, name: str) -> Iterator[tuple[int, str]]:
    """Every imported module as a full dotted name; relative ones are resolved."""
    folders = ["hpclab", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folders[: len(folders) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from hpclab import shell` names a module, `from hpclab.shell import run` a function.
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"__import__", "importlib.import_module"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def _talk(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in {"print", "input", "exit", "quit", "sys.exit"}:
            yield node.lineno, f"{_called(node)}(): only the command line prints and exits"
        elif isinstance(node, ast.Raise) and node.exc and "SystemExit" in ast.unparse(node.exc):
            yield node.lineno, "raise SystemExit: only the command line exits"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"}:
            yield node.lineno, f"{ast.unparse(node)}: only the command line prints"


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def test_the_package_keeps_its_layers(root: Path) -> None:
    assert violations(root / "src/hpclab") == []


def import_cycle(package: Path, part: str) -> list[str]:
    """Modules of ``part`` that import each other in a circle, late imports too; empty where there is none."""
    graph: dict[str, set[str]] = {}
    for path in sorted((package / part).rglob("*.py")):
        name = path.relative_to(package).as_posix()
        tree = ast.parse(path.read_text(), filename=name)
        module = ".".join(("hpclab", *path.relative_to(package).with_suffix("").parts))
        imported = {_module_file(package, target) for _, target in _imports(tree, name)}
        graph[module.removesuffix(".__init__")] = imported
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as cycle:
        return list(cycle.args[1])
    return []


def _module_file(package: Path, dotted: str) -> str:
    """The module that an import of ``dotted`` loads: itself, or where it is a value in a module, that one."""
    path = package.parent / dotted.replace(".", "/")
    return dotted if path.is_dir() or path.with_suffix(".py").is_file() else dotted.rpartition(".")[0]


@pytest.mark.parametrize("part", ["app", "cli"])
def test_no_modules_import_each_other_in_a_circle(root: Path, part: str) -> None:
    assert import_cycle(root / "src/hpclab", part) == []


@pytest.mark.parametrize(
    "late", ["from hpclab.cli import b", "def f():\n    from hpclab.cli.b import g", "from . import b"]
)
def test_a_circle_is_caught(tmp_path: Path, late: str) -> None:
    (tmp_path / "hpclab/cli").mkdir(parents=True)
    (tmp_path / "hpclab/cli/a.py").write_text(late)
    (tmp_path / "hpclab/cli/b.py").write_text("import importlib\nimportlib.import_module('hpclab.cli.a')")
    assert set(import_cycle(tmp_path / "hpclab", "cli")) == {"hpclab.cli.a", "hpclab.cli.b"}
    (tmp_path / "hpclab/cli/b.py").write_text("import click")
    assert import_cycle(tmp_path / "hpclab", "cli") == []


def test_every_part_has_one_layer() -> None:
    assert sum(len(parts) for parts in LAYERS) == len(LEVEL)


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("shell.py", "from hpclab.cluster.nodes import start", "shell imports cluster"),
        ("shell.py", "from hpclab import layout", "shell imports layout"),
        ("shell.py", "import hpclab.cli", "shell imports cli"),
        ("shell.py", "def f():\n    from . import sites", "shell imports sites"),
        ("cluster/nodes.py", "from ..exercises.source import read", "cluster imports exercises"),
        ("cluster/deep/x.py", "from ... import doctor", "cluster imports doctor"),
        ("doctor.py", "import importlib\nimportlib.import_module('hpclab.cli.main')", "doctor imports cli"),
        ("__init__.py", "from hpclab.errors import HpclabError", "__init__ imports errors"),
        ("doctor.py", "import rich.table", "rich belongs to cli"),
        ("cluster/spec.py", "from jupytext import read", "jupytext belongs to exercises"),
        ("cluster/spec.py", "print('hello')", "print()"),
        ("cluster/spec.py", "import sys\nsys.exit(1)", "sys.exit()"),
        ("cluster/spec.py", "raise SystemExit(1)", "SystemExit"),
        ("cluster/spec.py", "import sys\nsys.stderr.write('x')", "sys.stderr"),
        ("novelty.py", "", "add it to LAYERS in tests/unit/test_layers.py"),
    ],
)
def test_a_break_is_caught(tmp_path: Path, name: str, code: str, says: str) -> None:
    path = tmp_path / "hpclab" / name
    path.parent.mkdir(parents=True)
    path.write_text(code)
    [found] = violations(tmp_path / "hpclab")
    assert found.startswith(f"{name}:")
    assert says in found


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("shell.py", "from hpclab.errors import CommandFailed"),
        ("shell.py", "from hpclab import __version__, errors"),
        ("cluster/nodes.py", "from hpclab.cluster import spec\nfrom .spec import render\nimport subprocess"),
        ("cluster/boot.py", "import sys\nprint('ready')\nsys.exit(0)"),
        ("cli/__init__.py", "import click\nfrom hpclab import doctor\nprint('x')"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path: Path, name: str, code: str) -> None:
    path = tmp_path / "hpclab" / name
    path.parent.mkdir(parents=True)
    path.write_text(code)
    assert violations(tmp_path / "hpclab") == []
