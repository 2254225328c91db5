"""What preemptible-training.sbatch and auto-resume.sbatch decide, with stand-ins for Slurm's commands.

On a real Slurm: tests/cluster/test_resume.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import TEMPLATES

COMMANDS = {
    # What the training did: `code` is its exit code, `finishes` names the result it leaves behind.
    "srun": """
    echo "srun $*" >>calls
    trap 'echo "srun got USR1" >>calls; kill "$!"; exit 75' USR1
    if [ -e waits ]; then sleep 60 & touch started; wait; fi
    if [ -e finishes ]; then echo {} >"$(cat finishes)"; fi
    exit "$(cat code)"
    """,
    "squeue": "cat state",
    "scontrol": 'echo "scontrol $*" >>calls',
    "scancel": 'echo "scancel $*" >>calls',
    "sbatch": """
    echo "sbatch $*" >>calls
    env >environment
    if [ -e refuse ]; then exit 1; fi
    echo '34;cluster'
    """,
}


class Job:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in COMMANDS.items():
            path = folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)
        self.say(code="75", state="RUNNING")
        for chain in ("33", "11"):  # the training has begun
            (folder / f"checkpoints-{chain}").mkdir()
            (folder / f"checkpoints-{chain}/goodput.jsonl").write_text("{}\n")
        (folder / "train_resumable.py").touch()
        self.process: subprocess.Popen[str] | None = None

    def say(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def start(self, script: str, **environment: str) -> subprocess.Popen[str]:
        settings = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "SLURM_JOB_ID": "33",
            "SLURM_JOB_NODELIST": "nid[001-002]",
            "SLURM_NTASKS": "4",
            **environment,
        }
        self.process = subprocess.Popen(
            ["bash", TEMPLATES / f"{script}.sbatch", "--epochs=2"],
            cwd=self.folder,
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.process

    def run(self, script: str, **environment: str) -> tuple[int, str]:
        process = self.start(script, **environment)
        out, _ = process.communicate(timeout=60)
        return process.returncode, out

    def calls(self, command: str) -> list[str]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(command)]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    if made.process:
        with contextlib.suppress(ProcessLookupError):
            made.process.kill()
        made.process.wait(10)
        if made.process.stdout:
            made.process.stdout.close()


@pytest.mark.parametrize("code", ["75", "1", "137", "0"])
def test_an_unfinished_training_is_requeued(job: Job, code: str) -> None:
    """Stopped, crashed, killed with its node: all worth another attempt. And 0 without a result is not the end."""
    job.say(code=code)
    assert job.run("preemptible-training")[0] == 0
    assert job.calls("scontrol") == ["scontrol requeue 33"]
    assert "--checkpoints=checkpoints-33 --out=result-33.json" in job.calls("srun")[0]
    assert job.calls("srun")[0].endswith("--epochs=2")


@pytest.mark.parametrize(
    ("files", "environment", "code"),
    [
        ({"code": "0", "finishes": "result-33.json"}, {}, 0),
        ({"code": "78"}, {}, 78),
        ({"code": "75"}, {"SLURM_RESTART_COUNT": "50"}, 1),
        ({"code": "75"}, {"SLURM_RESTART_COUNT": "2", "MAX_RESTARTS": "2"}, 1),
        ({"code": "75", "state": "COMPLETING"}, {}, 75),
        ({"code": "0", "state": ""}, {}, 1),
    ],
    ids=["finished", "of no use", "often enough", "my own limit", "cancelled", "gone"],
)
def test_not_requeued(job: Job, files: dict[str, str], environment: dict[str, str], code: int) -> None:
    job.say(**files)
    assert job.run("preemptible-training", **environment)[0] == code
    assert not job.calls("scontrol")


@pytest.mark.parametrize("script", ["preemptible-training", "auto-resume"])
@pytest.mark.parametrize("code", ["1", "2"])
def test_a_training_that_does_not_even_begin_is_not_repeated(job: Job, script: str, code: str) -> None:
    (job.folder / "checkpoints-33/goodput.jsonl").unlink()
    job.say(code=code)
    assert job.run(script)[0] == int(code)
    assert not job.calls("scontrol")
    assert job.calls("scancel") == (["scancel 34"] if script == "auto-resume" else [])


@pytest.mark.parametrize("script", ["preemptible-training", "auto-resume"])
def test_a_training_that_was_killed_at_its_start_is_repeated(job: Job, script: str) -> None:
    (job.folder / "checkpoints-33/goodput.jsonl").unlink()
    job.say(code="137")
    job.run(script)
    assert job.calls("scontrol" if script == "preemptible-training" else "sbatch")
    assert not job.calls("scancel")


def test_a_task_of_an_array_requeues_itself_only(job: Job) -> None:
    """Its siblings would go with $SLURM_JOB_ID, where that is the array's ID too."""
    job.run("preemptible-training", SLURM_ARRAY_JOB_ID="33", SLURM_ARRAY_TASK_ID="3")
    assert job.calls("scontrol") == ["scontrol requeue 33_3"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_warning_reaches_the_training_and_the_script_waits_on(job: Job, number: signal.Signals) -> None:
    job.say(waits="")
    process = job.start("preemptible-training")
    deadline = time.monotonic() + 60
    while not (job.folder / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"{number.name}: telling the training" in out and "ended with code" in out
    assert job.calls("srun got") == ["srun got USR1"]
    assert job.calls("scontrol") == ["scontrol requeue 33"]


def test_the_next_job_of_a_chain(job: Job) -> None:
    code, _ = job.run(
        "auto-resume", LINK="2", LINKS="3", CHAIN="11", SLURM_CONF="/etc/slurm.conf", SBATCH_QOS="debug"
    )
    assert code == 75
    (call,) = job.calls("sbatch")
    assert "--dependency=afternotok:33 --kill-on-invalid-dep=yes" in call
    assert "--export=ALL,LINK=3" in call and call.endswith("auto-resume.sbatch --epochs=2")
    given = dict(
        line.split("=", 1) for line in (job.folder / "environment").read_text().splitlines() if "=" in line
    )
    assert {name for name in given if name.startswith("SLURM_")} == {"SLURM_CONF"}, (
        "not this job's description"
    )
    assert given["SBATCH_QOS"] == "debug", "the site's answers go on"
    assert given["CHAIN"] == "11"
    assert "--checkpoints=checkpoints-11 --out=result-11.json" in job.calls("srun")[0]
    assert not job.calls("scancel")


def test_a_chain_ends(job: Job) -> None:
    job.say(code="0", finishes="result-33.json")
    assert job.run("auto-resume")[0] == 0
    assert len(job.calls("sbatch")) == 1, "Slurm removes it, since this job is COMPLETED"
    code, out = job.run("auto-resume")
    assert code == 0 and "nothing to do" in out
    assert len(job.calls("srun")) == 1


def test_a_chain_that_is_of_no_use_is_cut(job: Job) -> None:
    job.say(code="78")
    assert job.run("auto-resume")[0] == 78
    assert job.calls("scancel") == ["scancel 34"]


def test_the_last_link_of_a_chain(job: Job) -> None:
    job.say(code="0")
    assert job.run("auto-resume", LINK="3", LINKS="3")[0] == 75, "not COMPLETED: there is no result"
    assert not job.calls("sbatch")


def test_a_chain_that_may_not_submit_still_trains(job: Job) -> None:
    job.say(refuse="", code="78")
    code, out = job.run("auto-resume")
    assert code == 78 and "this is the last" in out
    assert job.calls("srun") and not job.calls("scancel")


@pytest.mark.parametrize("script", ["preemptible-training", "auto-resume"])
def test_no_program(job: Job, script: str) -> None:
    (job.folder / "train_resumable.py").unlink()
    code, out = job.run(script)
    assert code == 2 and "submit from the folder that holds it" in out
    assert not job.calls("s")
