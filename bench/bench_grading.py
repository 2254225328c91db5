"""How fast a class is graded: stock nbgrader and `hpclab grade` side by side, the same submissions, the same machine.

    .venv/bin/python bench/bench_grading.py [--submissions 50] [--rounds 3] [--clusters 2] [--only nbgrader,hpclab,cluster]

nbgrader runs each notebook in a kernel of its own, beside the hidden tests, with the rights of whoever grades.
hpclab runs each in a sandbox, in workers of this machine, with probes before and the gradebook after: all of that is
in its time. Both start from what is handed in and end in the gradebook.

Prints a table and writes bench/results/grading-DATE.json. Times in seconds, memory in MiB. The machine
should be quiet; the load is recorded.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from hpclab import layout
from hpclab.app.grading.lab_model import lab_of
from hpclab.exercises import build, source, views
from hpclab.grading.model import Lab, Result
from hpclab.grading.submissions.store import Store

BIN = Path(sys.executable).parent
HERE = Path(__file__).parent
EX01 = layout.clone_folder() / "notebooks/01-slurm-basics/ex01-submit-monitor.md"
LAB = """---
title: Four small answers
difficulty: 1
minutes: 5
points: 4
cost: {seconds: 2, cpus: 1}
nodes: 0
---

**You will be able to** write numbers into files.
""" + "".join(
    f"""
**Your task (1 point).** Write the square of {number} into `square-{number}.txt`.

```{{code-cell}} python
:exercise: square-{number}
:role: answer

### BEGIN SOLUTION
open("square-{number}.txt", "w").write(str({number} ** 2))
### END SOLUTION
```

```{{code-cell}} python
:exercise: square-{number}
:role: {role}
:points: 1

from hpclab import evidence
found = evidence.text("square-{number}.txt").strip()
evidence.check(found == str({number} ** 2), f"{{found[:20]}}", "the square of {number}")
```
"""
    for number, role in ((3, "tests"), (5, "hidden-tests"), (7, "tests"), (11, "hidden-tests"))
)


def answers(path: Path) -> dict[str, str]:
    cells = source.load(path).notebook.cells
    return {
        cell.id: "\n".join(line for line in cell.source.splitlines() if "### " not in line)
        for cell in cells
        if cell.metadata.hpclab.get("role") == "answer"
    }


def notebook(lab: Lab, given: Mapping[str, str]) -> bytes:
    made = json.loads(lab.notebook)
    for cell in made["cells"]:
        cell["source"] = given.get(cell["id"], cell["source"])
    return json.dumps(made).encode()


def submissions(lab: Lab, path: Path, number: int) -> dict[str, bytes]:
    """Right ones, untouched ones, and such as answer half."""
    right = answers(path)
    half = dict(list(right.items())[: len(right) // 2])
    kinds = [right, right, half, {}]
    return {f"s{one:03d}": notebook(lab, kinds[one % len(kinds)]) for one in range(number)}


@contextmanager
def place() -> Iterator[Path]:
    """A folder on a disk that other accounts can walk through, and a state of its own."""
    folder = Path(tempfile.mkdtemp(prefix="hpclab-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    os.environ["HPCLAB_STATE"] = str(folder / "state")
    os.environ["HPCLAB_LAB"] = str(folder / "lab")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Peak:
    """The largest memory of each kind of trusted process while this is entered."""

    def __init__(self, folder: Path) -> None:
        self._kinds = {"the command": "grade", "a task": "hpclab.app.grading.array_task"}
        self._folder = str(folder)
        self.mib: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            for process in psutil.process_iter(["cmdline", "memory_info"]):
                line = process.info["cmdline"] or []
                ours = any(word.startswith(self._folder) for word in line) and process.info["memory_info"]
                for kind, word in self._kinds.items():
                    if ours and word in line:
                        now = process.info["memory_info"].rss / 2**20
                        self.mib[kind] = max(self.mib.get(kind, 0.0), round(now, 1))


def run(*words: object, cwd: Path | None = None) -> float:
    """Run a command to its end; how long it took."""
    began = time.perf_counter()
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*map(str, words)], capture_output=True, text=True, timeout=3600, cwd=cwd, env=env, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.perf_counter() - began


def by_nbgrader(folder: Path, path: Path, given: Mapping[str, bytes]) -> float:
    """nbgrader's own way: a course, its autograde."""
    lab = path.stem
    exercise = source.load(path)
    build.write_notebook(views.grader_view(exercise), folder / "source" / lab / f"{lab}.ipynb")
    (folder / "nbgrader_config.py").write_text(
        'c = get_config()\nc.ClearSolutions.code_stub = {"python": "# YOUR WORK HERE"}\n'
        'c.CourseDirectory.course_id = "bench"\n'
    )
    run("nbgrader", "generate_assignment", lab, cwd=folder)
    for student, data in given.items():
        handed_in = folder / "submitted" / student / lab
        handed_in.mkdir(parents=True)
        (handed_in / f"{lab}.ipynb").write_bytes(data)
    return run("nbgrader", "autograde", lab, cwd=folder)


def by_hpclab(folder: Path, path: Path, given: Mapping[str, bytes]) -> tuple[float, Peak, list[Result]]:
    """A class, its submissions taken in, `hpclab grade`."""
    course = folder / "class"
    course.mkdir(mode=0o700)
    people = "".join(f'[[student]]\nid = "{one}"\n' for one in given)
    (course / "settings.toml").write_text(f'title = "Bench"\nzone = "UTC"\n[labs.{path.stem}]\n{people}')
    store = Store(course)
    for student, data in given.items():
        staged = folder / "staged" / student
        staged.mkdir(parents=True)
        (staged / f"{path.stem}.ipynb").write_bytes(data)
        store.receive(student, path.stem, staged, "bench", time.time())
    with Peak(folder) as peak:
        seconds = run(BIN / "hpclab", "grade", path, "--course", course, "--yes")
    results = [
        msgspec.json.decode(one.read_bytes(), type=Result)
        for one in course.glob("batches/*/*/results/*.json")
    ]
    return seconds, peak, results


def measure(options: argparse.Namespace) -> dict[str, object]:
    found: dict[str, object] = {}
    times: dict[str, list[float]] = {"nbgrader": [], "hpclab": []}
    each: list[float] = []
    peaks: dict[str, float] = {}
    for _ in range(options.rounds):
        for who in times:
            if who not in options.only:
                continue
            with place() as folder:
                path = folder / "labs" / "90-bench" / "ex01-bench.md"
                path.parent.mkdir(parents=True)
                path.write_text(LAB)
                lab = lab_of(path)
                given = submissions(lab, path, options.submissions)
                if who == "nbgrader":
                    times[who].append(by_nbgrader(folder / "course", path, given))
                    continue
                seconds, peak, results = by_hpclab(folder, path, given)
                times[who].append(seconds)
                each += [one.seconds for one in results]
                for kind, mib in peak.mib.items():
                    peaks[kind] = max(mib, peaks.get(kind, 0.0))
                if len(results) != options.submissions:
                    raise SystemExit(f"{len(results)} results for {options.submissions} submissions")
    for who, seconds_of in times.items():
        if seconds_of:
            found[f"{options.submissions} plain submissions, {who}"] = seconds_of
    if times["nbgrader"] and times["hpclab"]:
        ratio = statistics.median(times["nbgrader"]) / statistics.median(times["hpclab"])
        found["nbgrader / hpclab, medians"] = round(ratio, 2)
    if each:
        found["one plain submission in its sandbox"] = each
    if "cluster" in options.only and options.clusters:
        with place() as folder:
            lab = lab_of(EX01)
            given = {f"s{one}": notebook(lab, answers(EX01)) for one in range(options.clusters)}
            _, peak, results = by_hpclab(folder, EX01, given)
            found["ex01, cells and jobs"] = [one.run.seconds for one in results if one.run]
            found["ex01, isolated cluster, tests and all else"] = [
                round(one.seconds - one.run.seconds, 3) for one in results if one.run
            ]
            found["ex01, verdicts"] = sorted(str(one.verdict) for one in results)
            for kind, mib in peak.mib.items():
                peaks[kind] = max(mib, peaks.get(kind, 0.0))
    found |= {f"peak memory, {kind} (MiB)": mib for kind, mib in peaks.items()}
    return found


def show(found: Mapping[str, object]) -> None:
    table = Table(show_edge=False)
    for heading in ("what", "median", "N", "least", "most"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], float):
            middle = statistics.median(value)
            table.add_row(name, f"{middle:.2f}", str(len(value)), f"{min(value):.2f}", f"{max(value):.2f}")
        else:
            table.add_row(name, str(value), "", "", "")
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--submissions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clusters", type=int, default=2, help="submissions of a lab with a cluster")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=["nbgrader", "hpclab", "cluster"]
    )
    parser.add_argument("--no-record", action="store_true", help="print only")
    options = parser.parse_args()
    before = os.getloadavg()
    found = measure(options)
    show(found)
    if options.no_record:
        return
    record = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "memory_mib": psutil.virtual_memory().total >> 20,
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "load_before": before,
        "options": {key: value for key, value in vars(options).items() if key != "no_record"},
        "results": found,
    }
    path = HERE / "results" / f"grading-{datetime.date.today().isoformat()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
