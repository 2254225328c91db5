"""A notebook as a batch job, with a scheduler that answers from memory."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hpclab import headless, layout, slurm
from hpclab.errors import CommandFailed, NotebookFailed, UsageError

JOB = slurm.Job(
    id="12", raw_id="12", name="lab", state="COMPLETED", exit_code=0, signal=0, nodes="nid001", elapsed=40
)
TEMPLATE = layout.course() / "templates" / "notebook.sbatch"


def cell(
    name: str, *, points: float = 0, error: str = "", ran: bool = True, tags: Sequence[str] = ()
) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stderr", "text": ["sbatch: re", "fused\n"]}
    ]
    outputs += [{"output_type": "error", "ename": "CheckFailed", "evalue": error}] if error else []
    status = ("failed" if error else "completed") if ran else "pending"
    metadata: dict[str, Any] = {"papermill": {"status": status}, "tags": list(tags)}
    if points:
        metadata["nbgrader"] = {"grade": True, "grade_id": name, "points": points}
    return {
        "id": name,
        "cell_type": "code",
        "source": f"code of {name}",
        "metadata": metadata,
        "outputs": outputs,
    }


def notebook(*cells: dict[str, Any]) -> str:
    return json.dumps({"cells": list(cells)})


def test_marks_are_the_points_of_the_tests_that_passed() -> None:
    text = notebook(
        cell("one", points=2),
        cell("two", points=3, error="Found: nothing."),
        cell("three", points=1, ran=False),
        cell("four", points=4, tags=["hidden-tests"]),
    )
    result = headless.summary(JOB, "/x", text, "")
    assert [mark.earned for mark in result.marks] == [2, 0, 0, 0]
    assert (result.earned, result.points, result.ok) == (2, 10, False)
    assert result.marks[1].said == "CheckFailed: Found: nothing."


def test_all_passed() -> None:
    result = headless.summary(JOB, "/x", notebook(cell("setup"), cell("one", points=2)), "")
    assert result.ok
    assert result.sentence() == "job 12 COMPLETED on nid001 in 40 s, 2/2 points"


def test_a_failed_cell_is_named_with_error_and_log() -> None:
    marker = cell("m", tags=["papermill-error-cell-tag"])
    text = notebook(
        marker, cell("setup"), marker, cell("work", error="boom"), cell("one", points=2, ran=False)
    )
    result = headless.summary(JOB, "/x", text, "first\n\x1b[31mlast\x1b[0m\n")
    assert result.failure and (result.failure.cell, result.failure.number) == ("work", 2)
    with pytest.raises(NotebookFailed) as caught:
        headless.require(result, Path("/runs/1"))
    for said in (
        "cell 2 (work) failed",
        "code of work",
        "boom",
        "sbatch: refused",
        "one: 0 of 2",
        "not run",
        "first\n    last",
    ):
        assert said in caught.value.problem
    assert "/runs/1/executed.ipynb" in caught.value.remedy


@pytest.mark.parametrize("text", ["", '{"cells": [', "[]"])
def test_a_run_that_left_no_notebook(text: str) -> None:
    result = headless.summary(slurm.Job(id="12", raw_id="12", name="lab", state="TIMEOUT"), "/x", text, "log")
    assert not result.ok
    with pytest.raises(NotebookFailed, match="TIMEOUT"):
        headless.require(result, Path("/runs/1"))


class Cluster:
    """A login node whose files are this machine's and whose scheduler is scripted."""

    def __init__(self, executed: str = "", refuse: str = "") -> None:
        self.executed, self.refuse = executed, refuse
        self.commands: list[list[str]] = []

    def __call__(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        words = list(argv)
        self.commands.append(words)
        if words[0] == "sbatch":
            if self.refuse:
                return subprocess.CompletedProcess(words, 1, "", self.refuse)
            arguments = words[words.index(str(TEMPLATE)) + 1 :]
            Path(arguments[1]).write_text(self.executed)
            Path(next(word for word in words if word.startswith("--output=")).split("=", 1)[1]).write_text(
                "log\n"
            )
            return subprocess.CompletedProcess(words, 0, "12\n", "sbatch: a remark")
        if words[0] == "env":
            separator = next(word for word in words if word.startswith("--delimiter=")).split("=", 1)[1]
            values = {"id": "12", "raw_id": "12", "state": "COMPLETED", "exit": "0:0", "elapsed": "40"}
            row = separator.join(values.get(name, "x") for name in slurm.SACCT_FIELDS)
            return subprocess.CompletedProcess(words, 0, row + "\n", "")
        return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    path = tmp_path / "lab.ipynb"
    path.write_text(notebook())
    return path


def test_a_whole_run(lab: Path, tmp_path: Path) -> None:
    cluster = Cluster(executed=notebook(cell("one", points=2)))
    folder, out = tmp_path / "cluster/run 1", tmp_path / "runs/1"
    result = headless.run(
        lab, str(folder), out, launch=cluster, parameters={"n": 3}, minutes=7, options=["--qos=shared"]
    )
    headless.require(result, out)
    assert (out / "executed.ipynb").is_file()
    assert (out / "notebook.log").read_text() == "log\n"
    assert json.loads((out / "result.json").read_text())["marks"][0]["earned"] == 2
    sbatch = next(words for words in cluster.commands if words[0] == "sbatch")
    assert {"--parsable", "--time=7", "--qos=shared", f"--chdir={folder}/work"} <= set(sbatch)
    assert sbatch.index("--qos=shared") < sbatch.index(str(TEMPLATE))
    coded = next(word for word in sbatch if word.startswith("--parameters_base64=")).split("=", 1)[1]
    assert json.loads(base64.b64decode(coded)) == {"n": 3}


def test_a_folder_of_an_earlier_run_is_left_alone(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        headless.submit(lab, str(tmp_path / "run"), launch=Cluster())


def test_a_refusal_is_shown_in_the_sites_words(lab: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="No architecture specified"):
        headless.submit(lab, str(tmp_path / "run"), launch=Cluster(refuse="error: No architecture specified"))


def test_ctrl_c_cancels_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(headless.slurm, "wait_for_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        headless.watch("12", launch=lambda argv: cluster.commands.append(list(argv)), seconds=1)  # type: ignore[arg-type,return-value]
    assert cluster.commands == [["scancel", "12"]]


def run_template(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The template itself, with a papermill that prints its arguments and environment."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "papermill").write_text('#!/bin/bash\nprintf "arg:%s\\n" "$@"\nenv\n')
    (fake / "papermill").chmod(0o755)
    return subprocess.run(
        [shutil.which("bash") or "bash", str(TEMPLATE), *arguments],
        env={"PATH": f"{fake}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_template_forgets_its_own_job_and_keeps_the_site(tmp_path: Path) -> None:
    forgotten = {
        "SLURM_JOB_ID": "12",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_NTASKS": "1",
        "SLURM_MEM_PER_CPU": "1000",
        "SLURMD_NODENAME": "nid001",
        "SBATCH_TIMELIMIT": "5",
        "SBATCH_EXPORT": "NONE",
        "SRUN_CPUS_PER_TASK": "1",
    }
    kept = {
        "SLURM_CONF": "/etc/slurm/slurm.conf",
        "SBATCH_CONSTRAINT": "gpu",
        "SBATCH_ACCOUNT": "m0000",
        "SBATCH_QOS": "debug",
        "SALLOC_QOS": "debug",
        "SLURM_CONSTRAINT": "gpu",
        "HOME": "/home/mira",
    }
    done = run_template(tmp_path, "a b.ipynb", "out.ipynb", "--cwd=/w", **forgotten, **kept)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, value in kept.items():
        assert f"{name}={value}" in lines
    for name in forgotten:
        assert not any(line.startswith(f"{name}=") for line in lines)
    assert [line for line in lines if line.startswith("arg:")][-3:] == [
        "arg:--cwd=/w",
        "arg:a b.ipynb",
        "arg:out.ipynb",
    ]
    assert "in job 12 on" in lines[0]


def test_the_template_without_arguments_says_how(tmp_path: Path) -> None:
    done = run_template(tmp_path, "a.ipynb")
    assert done.returncode == 2
    assert "usage: sbatch notebook.sbatch" in done.stderr
