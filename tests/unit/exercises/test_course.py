"""Every lab of the course passes lint."""

from pathlib import Path

import pytest

from hpclab.cli import labs, main
from hpclab.exercises import lint
from hpclab.exercises.lab_names import list_sources

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "path", list_sources(ROOT / "notebooks"), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_lab_of_the_course_has_no_problems(path: Path) -> None:
    found = lint.find_problems(path, labs.known_commands(main))
    assert not found, "\n".join(f"{problem}\n    {problem.remedy}" for problem in found)
