"""The grader's name: it changes with what decides a mark, and with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab import layout
from hpclab.app.grading import version


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package in another place, to be changed."""
    package = tmp_path / "src/hpclab"
    shutil.copytree(
        layout.clone_folder() / "src/hpclab", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(layout, "clone_folder", lambda: tmp_path)
    return package


@pytest.mark.parametrize(
    ("name", "decides"),
    [
        ("grading/assess/verdict.py", True),
        ("grading/assess/test_runner.py", True),  # started by its name in a string
        ("grading/execute/forkserver.py", True),
        ("app/grading/isolated_sandbox.py", True),  # imported inside of a function
        ("cluster/agent.py", True),
        ("evidence/__init__.py", True),
        ("__init__.py", True),
        ("shell.py", True),
        ("cli/report.py", False),
        ("cli/grade.py", False),
        ("grading/reports/overview.py", False),
        ("grading/gradebook/__init__.py", False),
        ("book/build.py", False),
        ("app/grading/class_run.py", False),
    ],
)
def test_what_a_worker_imports_decides(clone: Path, name: str, decides: bool) -> None:
    before = version.grader()
    with (clone / name).open("a") as file:
        file.write("\nCHANGED = True\n")
    assert (version.grader() != before) is decides


def test_data_of_isolated_clusters_decides(clone: Path) -> None:
    before = version.grader()
    path = next(path for path in sorted((clone / version.DATA).rglob("*")) if path.is_file())
    path.write_bytes(path.read_bytes() + b"#")
    assert version.grader() != before


def test_a_new_import_brings_its_module_along(clone: Path) -> None:
    known = version.parts()
    assert "grading/lateness.py" not in known
    with (clone / "grading/assess/verdict.py").open("a") as file:
        file.write("\nfrom hpclab.grading import lateness\n")
    assert "grading/lateness.py" in version.parts()
    assert version.grader(known) != version.grader(version.parts())


def test_every_module_that_a_worker_has_in_memory_is_among_them() -> None:
    code = (
        "import sys\nimport hpclab.app.grading.array_task, hpclab.app.grading.isolated_sandbox\n"
        "import hpclab.grading.execute.plain_sandbox, hpclab.evidence\n"
        "print('\\n'.join(m.__file__ for n, m in sys.modules.items() if n.startswith('hpclab') and m.__file__))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    package = version.package_folder()
    loaded = {Path(line).relative_to(package).as_posix() for line in done.stdout.split()}
    assert loaded and loaded <= set(version.parts())
