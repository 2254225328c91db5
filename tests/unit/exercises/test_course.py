"""Every lab of the course passes lint."""

from pathlib import Path

import pytest

from hpclab.cli import labs
from hpclab.exercises import build, lint

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "path", build.list_sources(ROOT / "notebooks"), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_lab_of_the_course_has_no_problems(path: Path) -> None:
    found = lint.find_problems(path, dict(labs._manual()))
    assert not found, "\n".join(f"{problem}\n    {problem.remedy}" for problem in found)
