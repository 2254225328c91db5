"""Every exercise of the course keeps the form, leaks nothing, and names commands that exist."""

from pathlib import Path

import pytest

from hpclab.cli import labs, main
from hpclab.exercises import build, lint

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "path", build.sources(ROOT / "notebooks"), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_an_exercise_has_no_problem(path: Path) -> None:
    found = lint.problems(path, labs.known_commands(main))
    assert not found, "\n".join(f"{problem}\n    {problem.cure}" for problem in found)
