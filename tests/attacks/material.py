"""The attacks that lie in this folder, read and made into what a learner hands in.

Attack      attack.toml: what is tried, what has to come of it
Lab         one of the suite's two labs, its planted secrets filled in; what a ``make.py`` may call
hand_in     an attack → a folder as it comes from a learner
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from hpclab.exercises import source, views
from hpclab.exercises.cells import cell_id
from hpclab.exercises.source import Exercise

HERE = Path(__file__).parent
LABS = {"numbers": "ex01-numbers", "jobs": "ex02-jobs"}
KINDS = {
    "inside": "inside the learner's process",
    "evidence": "forged evidence",
    "steal": "stealing",
    "history": "history: what was left, what was changed",
    "exhaust": "exhaustion",
    "scheduler": "the scheduler",
    "intake": "what is handed in",
    "text": "text that is obeyed where it is shown",
    "other": "the other side: results, keeper, names",
}

REFUSED = "REFUSED"  # at intake: nothing is kept, and the learner is told why
Make = Callable[[Path, "Lab"], object]


class Attack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``attack.toml`` says.

    A verdict that is a list means that either is right (it depends on what the machine enforces first), a
    mark that is a list likewise. ``rest``: what stands in the answer cells that have no file of their own.
    """

    tries: str
    naive: str  # why a grader without defences falls for it, stock nbgrader 0.9.6 above all
    lab: str
    verdict: str | list[str]
    marks: dict[str, float | list[float]]
    rest: str = "honest"
    slow: bool = False  # takes a time-out or much of the machine: left to make test-all
    says: str = ""  # a text that the result's notes or its problem hold
    harm: str = ""  # where to look for harm besides what is looked at after every run
    path: Path = Path()

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]

    @property
    def verdicts(self) -> list[str]:
        return self.verdict if isinstance(self.verdict, list) else [self.verdict]

    @property
    def answers(self) -> dict[str, str]:
        """The attacker's answers, by cell."""
        return {path.stem: path.read_text() for path in self.path.glob("*.py") if path.name != "make.py"}


def attacks(lab: str = "") -> list[Attack]:
    """Every attack, or those on one lab, by name."""
    read = [
        msgspec.structs.replace(msgspec.toml.decode(path.read_text(), type=Attack), path=path.parent)
        for path in sorted(HERE.glob("*/attack.toml"))
    ]
    return [one for one in read if not lab or one.lab == lab]


@dataclass(frozen=True)
class Lab:
    """One of the two labs. ``secret`` and ``canary`` are files of the host: not to be read, not to be written."""

    name: str
    exercise: Exercise
    text: str  # the author's file, secrets filled in
    secret: Path = Path("/nowhere")
    canary: Path = Path("/nowhere")
    classmate: str = ""  # planted in every honest answer
    answers: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name of the learner's notebook."""
        return f"{LABS[self.name]}.ipynb"

    @property
    def full(self) -> dict[str, float]:
        """Points by task."""
        points: dict[str, float] = {}
        for cell in self.exercise.notebook.cells:
            mark = cell.metadata.hpclab
            if mark.get("points"):
                points[mark.exercise] = points.get(mark.exercise, 0.0) + mark.points
        return points

    def read(self, folder: Path) -> Any:
        return json.loads((folder / self.file).read_text())

    def write(self, folder: Path, notebook: Any) -> None:
        (folder / self.file).write_text(json.dumps(notebook, indent=1))

    def at(self, notebook: Any, name: str) -> int:
        """Where the cell with this grade id stands."""
        ids = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in notebook["cells"]]
        return ids.index(name)

    def code(self, text: str) -> dict[str, Any]:
        return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": text}

    def markdown(self, text: str) -> dict[str, Any]:
        return {"cell_type": "markdown", "metadata": {}, "source": text}


def lab(name: str, secrets: Mapping[str, str], **more: Any) -> Lab:
    """The lab ``name`` with ``@NAME@`` in its text replaced by the secrets of that name."""
    path = HERE / "labs/90-attacks" / f"{LABS[name]}.md"
    text = path.read_text()
    for key, value in secrets.items():
        text = text.replace(f"@{key}@", value)
    exercise = source.parse(text, path)
    answers = {
        cell_id(cell): "\n".join(line for line in cell.source.splitlines() if "### " not in line) + "\n"
        for cell in exercise.notebook.cells
        if cell.metadata.hpclab.get("role") == "answer"
    }
    return Lab(name, exercise, text, answers=answers, **more)


def honest(lab: Lab, folder: Path) -> Path:
    """An honest learner's folder."""
    return _lay(lab, folder, {name: _signed(text, lab.classmate) for name, text in lab.answers.items()})


def _signed(text: str, mark: str) -> str:
    """An answer that says whose it is; a cell's magic has to stay in its first line."""
    return f"{text}\n# {mark}\n"


def hand_in(attack: Attack, lab: Lab, folder: Path) -> Path:
    """What the attacker hands in, as a folder at ``folder``, or what its ``make.py`` gives instead."""
    kept = lab.answers if attack.rest == "honest" else {}
    _lay(lab, folder, {**kept, **attack.answers})
    for path in sorted((attack.path / "files").rglob("*")):
        if path.is_file():
            target = folder / path.relative_to(attack.path / "files")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    made = _maker(attack)(folder, lab)
    return made if isinstance(made, Path) else folder


def _lay(lab: Lab, folder: Path, answers: Mapping[str, str]) -> Path:
    notebook = views.student_view(lab.exercise)
    for cell in notebook.cells:
        cell.source = answers.get(cell.id, cell.source)
    folder.mkdir(parents=True)
    lab.write(folder, notebook)
    return folder


def _maker(attack: Attack) -> Make:
    path = attack.path / "make.py"
    if not path.is_file():
        return lambda _folder, _lab: None
    spec = importlib.util.spec_from_file_location(f"make_{attack.name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make: Make = module.make
    return make
