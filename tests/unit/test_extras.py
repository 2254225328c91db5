"""What each extra of pyproject.toml installs is enough for what is said to need it, and no more is needed.

Packages outside an extra are hidden from a Python of its own, so that one .venv stands for every kind of install.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hpclab import cli

# Parts of hpclab that need more than the base install. Commands (in "cli", and what they compose in "app")
# each name their extra in the table of commands.
EXTRA = {"exercises": "cluster", "packages": "cluster", "grading": "grading", "book": "book"}
COMPOSING = {"cli", "app"}
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

HIDE = """
import importlib, json, sys
hidden, rest = set(json.loads(sys.argv[1])), sys.argv[2:]
from importlib.machinery import PathFinder
class Install(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Install
"""
IMPORT = "for name in rest: importlib.import_module(name)"
RUN = "from hpclab import cli; sys.argv[1:] = rest; cli.main(prog_name='hpclab')"


def needs(extra: str) -> list[str]:
    """The requirements that pyproject.toml has for the base install, or for an extra of it."""
    found: list[str] = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return found


@functools.cache
def installed(extra: str) -> frozenset[str]:
    """Every distribution that `pip install 'hpclab[EXTRA]'` gives."""
    seen: set[tuple[str, str]] = set()
    left = [("hpclab", ""), *([("hpclab", extra)] if extra else [])]
    while left:
        name, of = left.pop()
        if (name, of) in seen:
            continue
        seen.add((name, of))
        for text in needs(of) if name == "hpclab" else required(name):
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": of}):
                target = canonicalize_name(need.name)
                left += [(target, ""), *((target, more) for more in need.extras)]
    return frozenset(name for name, _ in seen)


def required(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # for another platform, or another Python
        return []


@functools.cache
def hidden(extra: str) -> frozenset[str]:
    """The top-level modules that this .venv has, and an install with ``extra`` has not."""
    # A Python of its own: here sys.path may have grown by what setuptools brings along.
    program = "import importlib.metadata as m, json; print(json.dumps(m.packages_distributions()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return frozenset(
        module
        for module, names in json.loads(done.stdout).items()
        if not {canonicalize_name(name) for name in names} & installed(extra)
    )


def with_only(extra: str, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDE + program, json.dumps(sorted(hidden(extra))), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def modules(part: str) -> list[str]:
    """Every module of a part, dotted; programs that run as they are imported have a guard."""
    source = ROOT / "src"
    place = source / "hpclab" / part
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    names = [path.relative_to(source).with_suffix("").as_posix().replace("/", ".") for path in files]
    return [name.removesuffix(".__init__") for name in names]


def imports(path: Path) -> Iterator[str]:
    """The top-level name of every import in a file, late ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def test_the_extras_are_those_that_the_commands_name() -> None:
    assert set(PROJECT["optional-dependencies"]) == {"cluster", "grading", "book", "dev"}
    assert {entry.extra for entry in cli.COMMANDS.values()} == {"", "cluster", "grading", "book"}


def test_what_is_in_which_install() -> None:
    assert {"torch", "numpy", "h5py", "matplotlib", "ipykernel"} <= installed("")
    assert {"jupyterlab", "nbgrader", "papermill", "lief"} <= installed("cluster") - installed("")
    assert installed("cluster") <= installed("grading")
    assert {"jupyter-book", "playwright"} <= installed("book") - installed("grading")
    assert {"pytest", "mypy"} <= installed("dev") - installed("book") - installed("grading")
    assert installed("book") | installed("grading") <= installed("dev")


def test_no_part_imports_what_its_extra_does_not_install() -> None:
    parts = {path.stem for path in (ROOT / "src/hpclab").iterdir() if path.suffix == ".py" or path.is_dir()}
    wrong = []
    for part in sorted(parts - COMPOSING - {"__init__", "__pycache__"}):
        extra = EXTRA.get(part, "")
        for name in modules(part):
            base = ROOT / "src" / name.replace(".", "/")
            path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
            wrong += [f"{name}: {one}" for one in imports(path) if one in hidden(extra)]
    assert wrong == []


@pytest.mark.parametrize("part", ["evidence", "plots", "slurm", "sites"])
def test_what_a_learners_notebook_uses_is_in_the_base_install(part: str) -> None:
    done = with_only("", IMPORT, *modules(part))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("extra", ["", "cluster", "grading", "book"])
def test_a_command_starts_with_the_extra_that_it_names(extra: str) -> None:
    places = [entry.place for entry in cli.COMMANDS.values() if entry.extra == extra]
    assert places
    done = with_only(extra, IMPORT, *{f"hpclab.cli.{place.partition(':')[0]}" for place in places})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["run", "--help"], "pip install 'hpclab[cluster]'    (in a clone of the course: make setup)"),
        (["release", "--help"], "pip install 'hpclab[grading]'    (in a clone of the course: make setup)"),
        (["book", "build"], "pip install 'hpclab[book]'    (in a clone of the course: make dev)"),
    ],
)
def test_a_command_says_which_extra_is_missing(words: list[str], remedy: str) -> None:
    done = with_only("", RUN, *words)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert re.fullmatch(
        rf"hpclab: `hpclab {words[0]}` needs the Python package '\w+', which is not installed", first
    )
    assert second.endswith(remedy)


def test_a_package_that_is_missed_later_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(name: str) -> object:
        raise ModuleNotFoundError("No module named 'psutil._common'", name="psutil._common")

    monkeypatch.setattr("hpclab.cli.site.load_site", late)
    done = CliRunner().invoke(cli.main, ["site", "show", "local"])
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "hpclab: `hpclab site` needs the Python package 'psutil', which is not installed",
        "Install it with the rest of what this command needs: pip install hpclab"
        "    (in a clone of the course: make setup)",
    ]


def test_a_missing_module_of_our_own_is_no_missing_package() -> None:
    done = with_only("", f"sys.modules['hpclab.cli.site'] = None\n{RUN}", "site", "list")
    assert "ModuleNotFoundError" in done.stderr and "pip install" not in done.stderr
