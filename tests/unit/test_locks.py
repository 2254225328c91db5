"""The locks, pyproject.toml and environment.yml name one set of versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

# What conda-forge calls by another name.
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "py-lief": "lief"}


def pins(lock: Path) -> dict[str, str]:
    """Name → version, as pip-compile writes them."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), flags=re.MULTILINE))


@pytest.fixture(scope="module")
def course(root: Path) -> dict[str, str]:
    return pins(root / "requirements/course.txt") | pins(root / "requirements/torch.txt")


@pytest.fixture(scope="module")
def dev(root: Path) -> dict[str, str]:
    return pins(root / "requirements/dev.txt") | pins(root / "requirements/torch.txt")


@pytest.mark.parametrize("name", ["course", "dev"])
def test_every_pin_has_a_hash_and_no_address(root: Path, name: str) -> None:
    text = (root / f"requirements/{name}.txt").read_text()
    for block in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_learner_and_developer_have_the_same_versions(course: dict[str, str], dev: dict[str, str]) -> None:
    assert course.items() <= dev.items()


def test_torch_is_pinned_apart(root: Path, course: dict[str, str]) -> None:
    assert "torch" not in pins(root / "requirements/course.txt") | pins(root / "requirements/dev.txt")
    assert {"filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions"} <= course.keys()


def wanted(root: Path, *extras: str) -> list[str]:
    """What pyproject.toml asks for by itself and in ``extras``; an extra names others as hpclab[OTHER]."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    found = list(project["dependencies"])
    for extra in extras:
        for need in project["optional-dependencies"][extra]:
            others = re.fullmatch(r"hpclab\[(.*)\]", need)
            found += wanted(root, *others[1].split(",")) if others else [need]
    return found


@pytest.mark.parametrize(("extra", "lock"), [("grading", "course"), ("dev", "dev")])
def test_everything_pyproject_asks_for_is_locked(
    root: Path, extra: str, lock: str, request: pytest.FixtureRequest
) -> None:
    locked = request.getfixturevalue(lock)
    for need in wanted(root, extra):
        name, exact = re.fullmatch(r"([A-Za-z0-9_.-]+?)(?:==(\S+)|[><~].*)?", need).groups()  # type: ignore[union-attr]
        assert name in locked, f"{need}: make locks"
        assert exact in (None, locked[name]), f"{need}: make locks"


def test_conda_gives_the_same_versions(root: Path, course: dict[str, str]) -> None:
    text = (root / "environment.yml").read_text()
    found = re.findall(r"^  - ([a-z0-9._-]+)=([0-9][0-9a-z.]*)$", text, flags=re.MULTILINE)
    named = {CONDA_NAMES.get(name, name): version for name, version in found if name != "python"}
    direct = {re.split(r"[><=~]", need)[0] for need in wanted(root, "grading")}
    assert named == {name: course[name] for name in direct}
