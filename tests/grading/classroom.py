"""A class in a folder of its own, its students' work taken in as a command would, and `hpclab grade` on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hpclab.grading.batch import marks_of
from hpclab.grading.model import Lab, Result, Verdict
from hpclab.grading.submissions.store import Store
from tests.unit.grading import labs

GRADING = 900  # seconds for one command

Marks = tuple[Verdict, tuple[tuple[str, float], ...]]


@dataclass
class Classroom:
    """One class and one lab. ``place`` is on a disk and readable by others, as a clone has to be."""

    place: Path
    lab: Lab
    source: Path
    students: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.place / "class"

    def enrol(self, students: Sequence[str]) -> None:
        self.students += students
        people = "".join(f'[[student]]\nid = "{one}"\n' for one in self.students)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        text = f'title = "Tests"\nzone = "UTC"\n[labs.{self.lab.name}]\n{people}'
        (self.folder / "settings.toml").write_text(text)

    def hand_in(self, student: str, files: Mapping[str, bytes]) -> None:
        """Take ``files`` in, as they lie below the lab's folder."""
        staged = self.place / "staged" / f"{student}-{time.monotonic_ns()}"
        for path, data in files.items():
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            (staged / path).write_bytes(data)
        staged.mkdir(parents=True, exist_ok=True)
        Store(self.folder).receive(student, self.lab.name, staged, "test", time.time())

    def command(self, *words: object) -> list[str]:
        program = str(Path(sys.executable).with_name("hpclab"))
        return [program, "grade", *map(str, [self.source, "--course", self.folder, *words])]

    def grade(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`hpclab grade LAB --yes WORDS`."""
        done = subprocess.run(
            self.command("--yes", *words),
            capture_output=True,
            text=True,
            timeout=GRADING,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": "200"},
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done

    def results(self) -> dict[str, Result]:
        """The newest result of each student."""
        found: dict[str, Result] = {}
        paths = self.folder.glob("batches/*/*/results/*.json")
        for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
            one = msgspec.json.decode(path.read_bytes(), type=Result)
            found[one.task.student] = one
        return found

    def marks(self) -> dict[str, Marks]:
        """What has to be the same whenever and wherever it is graded."""
        return {student: marks_of(one) for student, one in sorted(self.results().items())}

    def logs(self) -> str:
        return "\n".join(
            f"== {path}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted(self.folder.glob("batches/*/*/log/*"))
        )


def room(place: Path, text: str = labs.TEXT) -> Classroom:
    """A class whose lab is ``text``."""
    place.chmod(0o755)
    lab = labs.make(place / "labs", text)
    return Classroom(place, lab, place / "labs" / lab.module / f"{lab.name}.md")


def files(lab: Lab, answers: Mapping[str, str], *more: str) -> dict[str, bytes]:
    """The learner's notebook with these answers, and with ``more`` cells at its end."""
    made = labs.notebook(lab, dict(answers))
    made["cells"] += [labs.code(source) for source in more]
    return {f"{lab.name}.ipynb": json.dumps(made).encode()}
