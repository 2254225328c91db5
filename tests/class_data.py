"""A class made up for tests: one lab, people with awkward names, and a result of every verdict."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import nbformat

from hpclab.exercises import build, source, views
from hpclab.grading import settings
from hpclab.grading.model import Cell, JobSeen, Lab, Mark, NotebookRun, Result, Task, Test, Verdict
from hpclab.grading.settings import Course
from hpclab.grading.submissions.store import Receipt

NOON = 1_796_040_000.25  # 30 November 2026, 12:00 UTC, and a quarter of a second
DUE = "2026-11-30T13:00:00"  # in Berlin: noon UTC
TEXT = """\
---
title: Jobs, asked & answered
difficulty: 1
minutes: 10
points: 5
cost: {seconds: 5, cpus: 1}
---

Some words.

## 1. The first job

**Your task.** Write it.

```{code-cell} python
:exercise: submit
:role: answer
:part: script

### BEGIN SOLUTION
script = "echo"
### END SOLUTION
```

```{code-cell} python
:exercise: submit
:role: answer
:part: run

### BEGIN SOLUTION
job = 12
### END SOLUTION
```

```{code-cell} python
:exercise: submit
:role: tests
:points: 2

assert job == 12
```

```{code-cell} python
print("given")
```

## 2. Why does it wait?

```{code-cell} python
:exercise: wait
:role: answer

### BEGIN SOLUTION
reason = "Resources"
### END SOLUTION
```

```{code-cell} python
:exercise: wait
:role: tests
:points: 1

assert reason
```

```{code-cell} python
:exercise: wait
:role: hidden-tests
:points: 2

assert reason == "Resources", "SECRET of the hidden test"
```
"""
SETTINGS = f"""\
title = "HPC 2026 & more"
zone = "Europe/Berlin"

[late]
policy = "percent"
percent_per_day = 10

[labs.ex01-jobs]
due = {DUE}

[[student]]
id = "ada"
name = "Ada Lovelace"
email = "ada@example.org"
lms = "1001"

[[student]]
id = "bob"
name = "=HYPERLINK(\\"http://evil.example\\",\\"Bob\\")"
email = "bob@example.org"

[[student]]
id = "eve"
name = "<script>alert(1)</script> Eve"

[[student]]
id = "fay"
name = "Фаина Раневская"

[[student]]
id = "gus"
name = "+Gus"

[[student]]
id = "hal"
name = "Hal, 9000"

[[student]]
id = "kim"
name = "김유신"

[[student]]
id = "leo"
name = "Leo \\u202eoeL"

[[student]]
id = "mia"
name = "Mia"

[[student]]
id = "zoe"
name = "Zoe (handed in nothing)"
"""
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
    "<svg onload=alert(1)><style>body{display:none}</style>"
    "[click](javascript:alert(1)) http://evil.example \x1b[31mred\x1b[0m \x1b]0;title\x07"
    " \u202egnp.exe \x00\x08 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
)


def exercise() -> source.Exercise:
    """The lab's source, read."""
    return source.parse(TEXT, Path("notebooks/01-slurm/ex01-jobs.md"))


def lab_of(read: source.Exercise) -> Lab:
    """The lab as grading has it."""
    released = views.student_view(read)
    kinds = {"answer": "answer", "tests": "check", "hidden-tests": "check"}
    roles = {cell.id: cell.metadata.hpclab.get("role") for cell in read.notebook.cells}
    text = build.serialize(released).decode()
    return Lab(
        module=read.module,
        name=read.name,
        title=read.about.title,
        points=read.about.points,
        seconds=5,
        nodes=0,
        containers=False,
        notebook=text,
        cells=tuple(
            Cell(id=cell.id, kind=kinds.get(roles.get(cell.id) or "", "given"), source=cell.source)
            for cell in released.cells
            if cell.cell_type == "code"
        ),
        tests=tuple(
            Test(
                id=cell.id,
                task=cell.metadata.hpclab.exercise,
                points=cell.metadata.hpclab.points,
                source=cell.source,
                hidden=cell.metadata.hpclab.role == "hidden-tests",
            )
            for cell in read.notebook.cells
            if cell.metadata.hpclab.get("role") in ("tests", "hidden-tests")
        ),
        digest="d" * 64,
    )


def lab() -> Lab:
    return lab_of(exercise())


def source_notebook() -> bytes:
    """The notebook with answers and hidden tests."""
    return build.serialize(views.grader_view(exercise()))


def course(folder: Path, text: str = SETTINGS) -> Course:
    """The class, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.toml").write_text(text, encoding="utf-8")
    return settings.load(folder)


def png(width: int = 3, height: int = 2, extra: bytes = b"") -> bytes:
    """A small picture; ``extra`` chunks stand before its pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = zlib.compress((b"\0" + b"\x30\x90\x60" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def executed(answers: dict[str, str] | None = None, outputs: dict[str, list[Any]] | None = None) -> str:
    """The learner's notebook with what it printed."""
    notebook = nbformat.reads(lab().notebook, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = (answers or {}).get(cell.id, cell.source)
            cell.outputs = nbformat.from_dict((outputs or {}).get(cell.id, []))  # type: ignore[no-untyped-call]
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return text


SOLVED = {"submit-script": "script = 'echo'", "submit-run": "job = 12", "wait": "reason = 'Resources'"}


def result(
    student: str,
    verdict: Verdict = Verdict.PASS,
    earned: tuple[float, float, float] = (2, 1, 2),
    *,
    received: float = NOON - 3600,
    number: int = 1,
    **more: Any,
) -> Result:
    """A result; ``earned`` for the tests of submit, wait, and the hidden one of wait."""
    marks = []
    for test, got in zip(lab().tests, earned, strict=True):
        lost = got < test.points
        words = {
            "found": f"job 12 ended FAILED ({student})",
            "expected": "COMPLETED",
            "look": "sacct -X -j 12",
        }
        shown = words if lost and not test.hidden else {}
        marks.append(
            Mark(test=test.id, task=test.task, points=test.points, earned=got, hidden=test.hidden, **shown)
        )
    task = Task(
        lab="ex01-jobs",
        student=student,
        number=number,
        hash=hashlib.sha256(f"{student} {number}".encode()).hexdigest(),
        received=received,
        uuid=f"{student}-{number}",
        seed=7,
    )
    fields: dict[str, Any] = {
        "task": task,
        "lab_digest": "d" * 64,
        "grader": "1.0",
        "verdict": verdict,
        "marks": tuple(marks),
        "run": NotebookRun(ended="done", seconds=3.5),
        "executed": executed(SOLVED),
        "seconds": 4.0,
    }
    return Result(**(fields | more))


def all_results() -> list[Result]:
    """One of each verdict, and a hostile one."""
    jobs = (
        JobSeen(id="11", name="estimate", state="COMPLETED", submit=NOON, start=NOON + 5, end=NOON + 30),
        JobSeen(
            id="12",
            name=f"$x$ {HOSTILE}",
            state="FAILED",
            submit=NOON + 9,
            start=NOON + 12,
            end=NOON + 20,
            exit_code=3,
        ),
        JobSeen(id="13", name="never", state="CANCELLED", submit=NOON + 40, end=NOON + 50),
    )
    picture = {"image/png": base64.b64encode(png()).decode(), "text/html": HOSTILE, "text/plain": "<Figure>"}
    loud = {
        "submit-run": [
            {"output_type": "stream", "name": "stdout", "text": HOSTILE},
            {"output_type": "display_data", "data": picture, "metadata": {}},
            {
                "output_type": "display_data",
                "data": {"image/svg+xml": "<svg onload=alert(1)>"},
                "metadata": {},
            },
            {"output_type": "error", "ename": "E", "evalue": HOSTILE, "traceback": [f"\x1b[31m{HOSTILE}"]},
        ]
    }
    return [
        result("ada"),
        result("bob", Verdict.PARTIAL, (2, 1, 0), received=NOON + 7200),
        result(
            "eve",
            Verdict.TAMPER,
            (0, 0, 0),
            problem=f"'points' of the graded cell 'submit-tests' was changed to {HOSTILE}",
        ),
        result(
            "fay",
            Verdict.TIMEOUT,
            (2, 0, 0),
            run=NotebookRun(ended="timeout", seconds=60.0, last_cell="wait"),
            executed=executed({"submit-script": "script = 'echo'", "submit-run": "job = 12"}),
        ),
        result(
            "gus", Verdict.FAIL, (0, 0, 0), executed=executed(), notes=("the check 'wait-tests' was changed",)
        ),
        result(
            "hal", Verdict.SYSTEM_ERROR, (0, 0, 0), marks=(), problem="the cluster did not start", tries=3
        ),
        result(
            "kim",
            Verdict.BAD_INPUT,
            marks=(),
            executed="",
            problem="ex01-jobs.ipynb is not JSON, which every notebook is",
        ),
        result(
            "leo",
            Verdict.MEMORY,
            (2, 1, 0),
            run=NotebookRun(ended="memory", seconds=2.0, last_cell="submit-run"),
        ),
        result(
            "mia",
            Verdict.PARTIAL,
            (0, 1, 2),
            jobs=jobs,
            log=f"start\n{HOSTILE}\nTraceback (most recent call last):\nslurmstepd: error: exceeded memory\n",
            executed=executed({**SOLVED, "submit-run": HOSTILE}, loud),
            run=NotebookRun(ended="error", seconds=9.0, last_cell="submit-run"),
        ),
    ]


def receipts(results: list[Result]) -> list[Receipt]:
    return [
        Receipt(
            student=one.task.student,
            lab=one.task.lab,
            number=one.task.number,
            hash=one.task.hash,
            received=one.task.received,
            source="folder",
            files={f"{one.task.lab}.ipynb": len(json.dumps(one.executed))},
        )
        for one in results
    ]
