"""One class that is collected and graded with everybody in it: honest learners, and attackers between them.

Everything goes through the command line, as an instructor would do it: `class new`, `collect`, `grade`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hpclab.grading.model import Result
from tests.attacks import material
from tests.attacks.host import Host, planted
from tests.attacks.material import Attack, Lab

# Honest learners, whose ids put them before, between and after the attackers.
HONEST = {
    "numbers": ("a-honest", "g-honest", "i-honest", "p-honest", "u-honest"),
    "jobs": ("a-honest", "g-honest", "u-honest"),
}
STUDENT = 47_110  # whom the handed-in files belong to, where root may say so
COLLECTING, GRADING = 300, 3000  # seconds


@dataclass
class Graded:
    """What came of a class."""

    lab: Lab
    folder: Path  # of the class
    refused: dict[str, str]  # whose submission was not taken, and why
    results: dict[str, Result]
    shown: dict[str, str]  # everything that a learner is given back
    harm: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    log: str = ""  # what the commands said
    grading: str = ""  # the end of what `hpclab grade` said


def graded(name: str, chosen: Sequence[Attack], place: Path) -> Graded:
    """Hand in, collect, grade, give feedback, export."""
    honest = HONEST[name]
    place.chmod(0o755)
    with Host(place / "host") as host:
        lab = material.lab(
            name,
            {"HIDDEN": planted("hidden")},
            secret=host.secret,
            canary=host.canary,
            classmate=planted("classmate"),
        )
        source = place / "labs" / "90-attacks" / f"{material.LABS[name]}.md"
        source.parent.mkdir(parents=True)
        source.write_text(lab.text)
        school = School(place, lab, host)
        school.begin([*honest, *(one.name for one in chosen)])
        school.hand_in(chosen, honest)
        refused = school.collect()
        grade = school.run("grade", source, "--yes", "--course", school.folder, seconds=GRADING)
        for command in ("feedback", "export", "report"):
            school.run(command, material.LABS[name], "--course", school.folder, seconds=COLLECTING)
        done = Graded(lab, school.folder, refused, school.results(), {})
        done.shown = {student: school.given_back(student) for student in done.results}
        done.harm, done.left = host.harm(), [f"{one.pid} {one.cmdline()}" for one in host.left()]
        done.log, done.grading = school.log, (grade.stdout + grade.stderr)[-3000:]
        return done


class School:
    """The class's folder, and the commands that work on it."""

    def __init__(self, place: Path, lab: Lab, host: Host) -> None:
        self.place, self.lab, self.host = place, lab, host
        self.folder = place / "class"
        self.log = ""

    def run(self, *words: object, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """`hpclab WORDS`, with a secret in its environment."""
        done = subprocess.run(
            [Path(sys.executable).with_name("hpclab"), *map(str, words)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env={**os.environ, "HPCLAB_TEST_SECRET": self.host.environment, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        self.log += f"$ hpclab {' '.join(map(str, words))}\n{done.stdout}{done.stderr}\n"
        return done

    def begin(self, students: Sequence[str]) -> None:
        assert self.run("course", "new", self.folder, "--zone", "UTC").returncode == 0, self.log
        people = "".join(f'[[student]]\nid = "{one}"\nname = "{planted("name")}"\n' for one in students)
        text = f'title = "Attacked"\nzone = "UTC"\n[labs.{material.LABS[self.lab.name]}]\n{people}'
        (self.folder / "settings.toml").write_text(text)
        (self.folder / "note.txt").write_text(planted("class"))

    def hand_in(self, chosen: Sequence[Attack], honest: Sequence[str]) -> None:
        """A folder for each, in one place; archives beside it."""
        inbox = self.place / "inbox"
        inbox.mkdir()
        for student in honest:
            material.honest(self.lab, inbox / student)
        for attack in chosen:
            made = material.hand_in(attack, self.lab, inbox / attack.name)
            if made != inbox / attack.name:
                made.rename(self.place / made.name)
                shutil.rmtree(inbox / attack.name)
        if os.geteuid() == 0:  # all but second names (hard links) of other people's files
            ours = ["-mindepth", "1", "(", "-type", "d", "-o", "-links", "1", ")"]
            change = ["-exec", "chown", "--no-dereference", f"{STUDENT}:{STUDENT}", "{}", "+"]
            subprocess.run(
                ["find", inbox, *ours, *change], capture_output=True, check=False
            )  # some paths are too long

    def collect(self) -> dict[str, str]:
        """Take it all; who was refused, and why."""
        refused = {}
        archives = sorted(one for one in self.place.iterdir() if one.suffix in (".zip", ".gz"))
        for source in [self.place / "inbox", *archives]:
            words = ("collect", material.LABS[self.lab.name], source, "--from", "folders", "--json")
            done = self.run(*words, "--course", self.folder, seconds=COLLECTING)
            assert done.returncode in (0, 1), self.log
            for outcome in map(json.loads, done.stdout.splitlines()):
                if outcome["what"] == "refused":
                    refused[outcome.get("student") or outcome["label"].partition("/")[0]] = outcome["why"]
        return refused

    def results(self) -> dict[str, Result]:
        found = {}
        for path in sorted(self.folder.glob("batches/*/*/results/*.json")):  # the newest batch last
            one = msgspec.json.decode(path.read_bytes(), type=Result)
            found[one.task.student] = one
        return found

    def given_back(self, student: str) -> str:
        """Every text that this learner gets: the pages of feedback, and the result but for what is the instructor's."""
        texts = [path.read_text(errors="replace") for path in self._pages(student)]
        for path in self.folder.glob(f"batches/*/*/results/{student}.json"):
            result = msgspec.json.decode(path.read_bytes(), type=Result)
            marks = tuple(msgspec.structs.replace(mark, private="") for mark in result.marks)
            texts.append(result.executed)
            texts.append(msgspec.json.encode(msgspec.structs.replace(result, marks=marks)).decode())
        return "\n".join(texts)

    def _pages(self, student: str) -> Iterator[Path]:
        yield from (path for path in (self.folder / "feedback" / student).rglob("*") if path.is_file())
