"""A notebook as a batch job, with a scheduler that answers from memory."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from hpclab import headless, layout, slurm
from hpclab.errors import ClusterError, CommandFailed, UsageError
from hpclab.headless import job as job_module

TEMPLATE = layout.clone_folder() / "templates" / "notebook.sbatch"
EXECUTED = json.dumps(
    {
        "cells": [
            {
                "id": "one",
                "cell_type": "code",
                "source": "1",
                "outputs": [],
                "metadata": {
                    "papermill": {"start_time": "10:00", "end_time": "10:01"},
                    "nbgrader": {"grade": True, "grade_id": "one", "points": 2},
                },
            }
        ]
    }
)


class Cluster:
    """A login node whose files are this machine's and whose scheduler is scripted.

    ``states`` are job the job is, one look after another; the last one stays.
    """

    def __init__(
        self,
        executed: str = "",
        refuse: str = "",
        states: Sequence[str] = ("COMPLETED",),
        papermill: bool = True,
    ) -> None:
        self.executed, self.refuse, self.states = executed, refuse, list(states)
        self.papermill = papermill
        self.commands: list[list[str]] = []

    def __call__(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        words = list(argv)
        self.commands.append(words)
        if words[-1] == "command -v papermill":
            return subprocess.CompletedProcess(words, 0 if self.papermill else 127, "", "")
        if words[0] == "sbatch":
            if self.refuse:
                return subprocess.CompletedProcess(words, 1, "", self.refuse)
            arguments = words[words.index(str(TEMPLATE)) + 1 :]
            Path(arguments[1]).write_text(self.executed)
            log = next(word for word in words if word.startswith("--output=")).split("=", 1)[1]
            Path(log).write_text("Executing Cell 1---\n")
            return subprocess.CompletedProcess(words, 0, "12\n", "sbatch: a remark")
        if words[0] == "scancel":
            self.states = ["CANCELLED"]
            return subprocess.CompletedProcess(words, 0, "", "")
        if words[0] == "env" and "squeue" in words:
            return self.queue(words)
        if words[0] == "env" and "sacct" in words:
            return self.accounting(words)
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def queue(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state == "no answer":
            return subprocess.CompletedProcess(words, 1, "", "Unable to contact slurm controller")
        if state in slurm.FINAL_STATES:
            return subprocess.CompletedProcess(
                words, 1, "", "slurm_load_jobs error: Invalid job id specified"
            )
        form = next(word for word in words if word.startswith("--format=")).removeprefix("--format=")
        first, second = list(slurm.SQUEUE_FIELDS.values())[:2]
        separator = form.split(first, 1)[1].split(second, 1)[0]
        values = {"id": "12", "raw_id": "12", "state": state, "reason": "Resources", "nodes": "nid001"}
        row = separator.join(values.get(name, "") for name in slurm.SQUEUE_FIELDS)
        return subprocess.CompletedProcess(words, 0, row + "\n", "")

    def accounting(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        separator = next(word for word in words if word.startswith("--delimiter=")).split("=", 1)[1]
        values = {"id": "12", "raw_id": "12", "state": self.states[-1], "exit": "0:0", "elapsed": "40"}
        rows = [separator.join(values.get(name, "") for name in slurm.SACCT_FIELDS)]
        if not any(word.startswith("--jobs=") for word in words):
            [work] = [word.removeprefix("--chdir=") for word in self.sbatch if word.startswith("--chdir=")]
            for number, folder in (("13", work), ("14", "/elsewhere")):
                other = values | {"id": number, "raw_id": number, "folder": folder}
                rows.append(separator.join(other.get(name, "") for name in slurm.SACCT_FIELDS))
        return subprocess.CompletedProcess(words, 0, "\n".join(rows) + "\n", "")

    @property
    def sbatch(self) -> list[str]:
        return next(words for words in self.commands if words[0] == "sbatch")


def notebook_job(tmp_path: Path, **settings: object) -> headless.NotebookJob:
    notebook = tmp_path / "lab.ipynb"
    notebook.write_text(EXECUTED)
    return headless.NotebookJob(notebook=notebook, folder=str(tmp_path / "cluster/run 1"), **settings)  # type: ignore[arg-type]


def run_on(
    cluster: Cluster, job: headless.NotebookJob, messages: list[str] | None = None
) -> headless.FinishedRun:
    progress = messages.append if messages is not None else lambda _: None
    return headless.run_notebook(job, launch=cluster, progress=progress, pause=lambda _: None)


def test_a_whole_run(tmp_path: Path) -> None:
    cluster = Cluster(executed=EXECUTED, states=["PENDING", "RUNNING", "COMPLETED"])
    job = notebook_job(
        tmp_path, parameters={"n": 3}, minutes=7, cell_s=99, options=["--qos=shared"], lab="01-x/lab"
    )
    messages: list[str] = []
    done = run_on(cluster, job, messages)
    assert done.result.ok
    assert (done.result.lab, done.result.jobs, done.log) == ("01-x/lab", ["13"], "Executing Cell 1---\n")
    assert messages == ["job 12 waits: Resources", "job 12 runs on nid001, cell 1 of 1"]
    chosen = cluster.sbatch
    assert {"--parsable", "--time=7", "--qos=shared", f"--chdir={job.work}"} <= set(chosen)
    assert chosen.index("--qos=shared") < chosen.index(str(TEMPLATE)) < chosen.index("--execution-timeout=99")
    coded = next(word for word in chosen if word.startswith("--parameters_base64=")).split("=", 1)[1]
    assert json.loads(base64.b64decode(coded)) == {"n": 3}
    assert (Path(job.work) / "../../templates/notebook.sbatch").read_bytes() == TEMPLATE.read_bytes()


def test_a_folder_of_an_earlier_run_is_left_alone(tmp_path: Path) -> None:
    job = notebook_job(tmp_path)
    Path(job.folder).mkdir(parents=True)
    with pytest.raises(UsageError, match="exists already"):
        run_on(Cluster(), job)


def test_a_refusal_is_shown_in_the_sites_words(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="No architecture specified"):
        run_on(Cluster(refuse="error: No architecture specified"), notebook_job(tmp_path))


def test_without_papermill_nothing_is_submitted(tmp_path: Path) -> None:
    cluster = Cluster(papermill=False)
    with pytest.raises(CommandFailed, match="papermill, which runs notebooks, is not on PATH"):
        run_on(cluster, notebook_job(tmp_path))
    assert len(cluster.commands) == 1


def test_without_sbatch_the_error_says_where(tmp_path: Path) -> None:
    cluster = Cluster()

    def launch(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if argv[0] == "sbatch":
            return subprocess.CompletedProcess(argv, 127, "", "env: 'sbatch': No such file or directory")
        return cluster(argv)

    with pytest.raises(CommandFailed, match="there is no sbatch here") as caught:
        headless.run_notebook(notebook_job(tmp_path), launch=launch)
    assert "login node" in caught.value.remedy


def test_whatever_stops_the_wait_cancels_the_job(tmp_path: Path) -> None:
    cluster = Cluster(states=["RUNNING"])

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        headless.run_notebook(notebook_job(tmp_path), launch=cluster, pause=stop)
    assert cluster.commands[-1] == ["scancel", "12"]


def test_a_job_that_never_starts_is_cancelled_and_its_reason_told(tmp_path: Path) -> None:
    cluster = Cluster(states=["PENDING"])
    done = run_on(cluster, notebook_job(tmp_path, queue_s=0))
    assert ["scancel", "12"] in cluster.commands
    assert done.result.state == "CANCELLED"
    assert "did not start within 0 s and was cancelled; it waited for: Resources" in done.result.problem


def test_a_job_that_outlives_its_limit_is_cancelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(job_module, "GRACE_S", -61.0)
    cluster = Cluster(executed=EXECUTED, states=["RUNNING"])
    done = run_on(cluster, notebook_job(tmp_path, minutes=1))
    assert ["scancel", "12"] in cluster.commands
    assert "with a limit of 1 min, and was cancelled" in done.result.problem
    assert done.executed == EXECUTED


def test_a_controller_that_does_not_answer_for_a_while_is_waited_for(tmp_path: Path) -> None:
    cluster = Cluster(executed=EXECUTED, states=["RUNNING", "no answer", "no answer", "COMPLETED"])
    assert run_on(cluster, notebook_job(tmp_path)).result.ok


def test_a_controller_that_never_answers_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(job_module, "PATIENCE_S", -1.0)
    with pytest.raises(CommandFailed, match="Unable to contact slurm controller"):
        run_on(Cluster(states=["no answer"]), notebook_job(tmp_path))


def test_a_cluster_that_is_gone_is_an_error_at_once(tmp_path: Path) -> None:
    cluster = Cluster(states=["RUNNING"])

    def launch(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if "squeue" in argv:
            raise ClusterError("cluster 'x' is not running")
        return cluster(argv)

    with pytest.raises(ClusterError):
        headless.run_notebook(notebook_job(tmp_path), launch=launch, pause=lambda _: None)


def run_template(
    tmp_path: Path, *arguments: str, papermill: bool = True, **environ: str
) -> subprocess.CompletedProcess[str]:
    """The template itself, with a papermill that prints its arguments and environment."""
    fake = tmp_path / "bin"
    fake.mkdir()
    if papermill:
        (fake / "papermill").write_text('#!/bin/bash\nprintf "arg:%s\\n" "$@"\nenv\n')
        (fake / "papermill").chmod(0o755)
    return subprocess.run(
        [shutil.which("bash") or "bash", str(TEMPLATE), *arguments],
        env={"PATH": f"{fake}:{os.environ['PATH'] if papermill else '/usr/bin:/bin'}", **environ},
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


def test_the_template_names_a_missing_papermill(tmp_path: Path) -> None:
    done = run_template(tmp_path, "a.ipynb", "out.ipynb", papermill=False)
    assert done.returncode == 127
    assert "papermill, which runs notebooks, is not on PATH on " in done.stderr
