"""A training that is preempted, runs out of time, loses a node or crashes ends with the weights of one that was not.

The scripts of templates/ are submitted as they stand; options only make the limits short. The training is
held while the file ``slow`` is there, so that it cannot finish before it is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpclab.shell import wait_until

from .conftest import Cluster

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
# Each waits for Slurm: for a grace time, a node to be given up, a minute to pass.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE = 240.0  # four ranks import torch on two cores, and the machine may be busy
SCRIPTS = ("preemptible-training", "auto-resume")
TRAINING = "--epochs=4 --save-every=7"  # 80 steps; saves do not fall on the ends of epochs
SITE = "SBATCH_CONSTRAINT=gpu SLURM_CONSTRAINT=gpu"
BRAKE = """

import pathlib  # from here on: the test's brake
import time

_quick = LightCurves.__getitem__


def _braked(self, key):
    if pathlib.Path("slow").exists():
        time.sleep(0.08)  # times 24 samples: a step takes two seconds
    if pathlib.Path("broken").exists():
        raise RuntimeError("broken")
    return _quick(self, key)


LightCurves.__getitem__ = _braked
"""


class Training:
    """A folder with the templates, and the jobs that run in it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        script = f"rm -rf {name}; mkdir -p {name}; cd {name} || exit\n"
        for path in [*TEMPLATES.glob("*.py"), *(TEMPLATES / f"{script}.sbatch" for script in SCRIPTS)]:
            text = path.read_text() + (BRAKE if path.name == "lightcurves.py" else "")
            script += f"cat >{path.name} <<'END OF FILE'\n{text}END OF FILE\n"
        cluster.run(
            ["bash", "-c", 'cd "$SCRATCH" && exec bash -s'], stdin=script
        )  # one call: each takes a second

    def out(self, what: str) -> str:
        return self.cluster.out(f"cd {self.name} && {what}")

    def submit(self, script: str, options: str = "", words: str = TRAINING) -> str:
        return self.out(f"{SITE} sbatch --parsable {options} {script}.sbatch {words}")

    def lines(self, job: str, file: str) -> list[dict[str, Any]]:
        text = self.cluster.run(f"cat {self.name}/checkpoints-{job}/{file}", check=False).stdout
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def events(self, job: str, *wanted: str) -> list[tuple[str, int]]:
        return [
            (one["event"], one["step"]) for one in self.lines(job, "goodput.jsonl") if one["event"] in wanted
        ]

    def reached(self, job: str, steps: int, attempt: int = 1) -> None:
        """Wait until ``attempt`` has made some steps and saved."""

        def there() -> bool:
            made = [one for one in self.lines(job, "losses.jsonl") if one["attempt"] == attempt]
            return len(made) >= steps

        try:
            wait_until(there, f"{steps} steps in attempt {attempt} of {job}", seconds=PATIENCE, every=0.5)
        except Exception as late:
            raise AssertionError(f"{late}\n{self.log()}\n{self.cluster.story(job)}") from None

    def log(self) -> str:
        return self.cluster.run(f"cat {self.name}/*.log", check=False).stdout[-6000:]

    def finished(self, job: str) -> Any:
        """The result, once it is there.

        A requeued job is left to wait as long as Slurm wants. Started in the second in which its last attempt ended
        (scontrol update StartTime=now), it fails with 1:0: nodes take its credential for the one they revoked.
        """

        def there() -> bool:
            return not self.cluster.run(f"ls {self.name}/result-{job}.json", check=False).returncode

        try:
            wait_until(there, f"the result of {job}", seconds=PATIENCE, every=1)
        except Exception as late:
            raise AssertionError(f"{late}\n{self.log()}\n{self.cluster.story(job)}") from None
        return json.loads(self.out(f"cat result-{job}.json"))

    def time_is_running_out(self, job: str, least: int = 0) -> None:
        """Leave the job between one minute and two, if ``least`` minutes are over by then: its warning is due."""
        *_, minutes, _ = f"0:{self.cluster.out(f'squeue -h -j {job} -o %M')}".split(":")
        self.cluster.run(f"scontrol update JobId={job} TimeLimit={max(int(minutes) + 2, least)}")

    def held(self) -> Training:
        self.out("touch slow")
        return self

    def let_go(self) -> None:
        self.out("rm -f slow")


def equal(result: Any, undisturbed: Any) -> None:
    """The same run, bit for bit."""
    assert result["history"] == undisturbed["history"]
    assert result["weights"] == undisturbed["weights"]
    assert result["attempts"] > 1, "it was never interrupted"


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster) -> Any:
    training = Training(cluster, "resume-undisturbed")
    job = training.submit("preemptible-training")
    cluster.wait(job, seconds=PATIENCE)
    result = training.finished(job)
    assert len(result["history"]) == 80 and result["attempts"] == 1 and result["world_size"] == 4
    assert result["loss"] < 0.5
    return result


@pytest.fixture
def training(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Training]:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    yield Training(cluster, name).held()
    cluster.run("scancel --me")
    cluster.hpclab("fault", "heal", "--all")
    wait_until(
        lambda: set(cluster.out("sinfo -h -N -o %t").split()) == {"idle"},
        "all nodes to be idle",
        seconds=90,
        every=0.5,
    )


def test_preempted_by_a_job_of_higher_rank(cluster: Cluster, training: Training, undisturbed: Any) -> None:
    job = training.submit("preemptible-training", "--qos=preempt")
    training.reached(job, 10)
    options = ["--constraint=gpu", "--nodes=4", "--exclusive", "--time=2", "--qos=interactive"]
    urgent = cluster.sbatch("true", *options, plain=True)
    cluster.wait(urgent, seconds=PATIENCE)
    training.let_go()
    equal(training.finished(job), undisturbed)
    (started, zero), (stopped, step), (again, resumed), (finished, last) = training.events(
        job, "start", "stop", "finish"
    )
    assert (started, stopped, again, finished) == ("start", "stop", "start", "finish")
    assert (zero, last) == (0, 80)
    assert 0 < step == resumed < 80, "not a step was lost"
    log = training.out(f"cat preemptible-{job}.log")
    assert "restart 0" in log and "restart 1" in log, "both attempts write into one log"
    # PREEMPTED if it was still there when the grace ended, REQUEUED if it had asked for that before.
    states = cluster.out(f"sacct -D -X -n -P -o state -j {job}").split()
    assert states[0] in ("PREEMPTED", "REQUEUED") and len(states) == 2


@pytest.mark.slow  # two minutes, since Slurm's limits are minutes
def test_out_of_time(cluster: Cluster, training: Training, undisturbed: Any) -> None:
    job = training.submit("preemptible-training")
    training.reached(job, 5)
    training.time_is_running_out(job)
    wait_until(
        lambda: training.events(job, "stop"), "the warning before the time limit", seconds=PATIENCE, every=0.5
    )
    training.let_go()
    cluster.as_controller("scontrol", "update", f"JobId={job}", "TimeLimit=10")  # for the next attempt
    equal(training.finished(job), undisturbed)
    stops = [one for one in training.lines(job, "goodput.jsonl") if one["event"] == "stop"]
    assert stops[0]["reason"] == "SIGUSR1"
    assert "TIMEOUT" not in cluster.out(f"sacct -D -X -n -P -o state -j {job}")


def test_a_lost_node(cluster: Cluster, training: Training, undisturbed: Any) -> None:
    job = training.submit("preemptible-training")
    training.reached(job, 10)
    lost = cluster.out(f"squeue -h -j {job} -o %N | xargs scontrol show hostnames").split()[1]
    cluster.hpclab("fault", "kill-node", lost)
    wait_until(
        lambda: cluster.out(f"squeue -h -j {job} -o %T") == "PENDING",
        "Slurm to give up the node and requeue the job",
        seconds=PATIENCE,
        every=0.5,
    )
    training.let_go()
    equal(training.finished(job), undisturbed)
    starts = training.events(job, "start")
    assert len(starts) == 2 and starts[1][1] in (7, 14, 21), "from the last save"
    assert not training.events(job, "stop"), "there was nobody left who could stop"


def test_cancelled_stays_cancelled(cluster: Cluster, training: Training) -> None:
    job = training.submit("preemptible-training")
    training.reached(job, 3)
    cluster.run(f"scancel {job}")
    cluster.wait(job, "CANCELLED")
    wait_until(lambda: not cluster.out("squeue -h --me"), "the queue to be empty", seconds=60)
    assert "asking for another attempt" not in training.log()


def test_a_training_that_always_fails_is_not_repeated_for_ever(cluster: Cluster, training: Training) -> None:
    training.let_go()
    training.out("touch broken")
    job = training.submit("preemptible-training", words=f"{TRAINING} --attempts=2")

    def over() -> bool:
        return cluster.state_of(job) == "FAILED" and not cluster.out("squeue -h --me")

    wait_until(over, "the job to be given up", seconds=PATIENCE, every=1)
    assert cluster.out(f"sacct -X -n -P -o exitcode -j {job}") == "78:0"
    assert training.events(job, "start") == [("start", 0), ("start", 0)]
    assert "saved nothing beyond it" in training.log()


@pytest.mark.slow  # three minutes
def test_a_chain_of_jobs(cluster: Cluster, training: Training, undisturbed: Any) -> None:
    """One link runs out of time, one crashes, one finishes; and what was still waiting goes away."""
    first = training.submit("auto-resume")
    training.reached(first, 5)
    training.time_is_running_out(first, least=3)  # its --time-min
    cluster.wait(first, "FAILED", seconds=PATIENCE)
    assert cluster.records(first, "exitcode") == ["75:0"]
    training.reached(first, 1, attempt=2)
    second = cluster.out("squeue -h --me -t RUNNING -o %A")
    assert second != first
    cluster.run(f"scancel --signal=KILL {second}.0")  # every rank dies at once, nothing is saved
    training.let_go()
    cluster.wait(second, "FAILED", seconds=PATIENCE)
    equal(training.finished(first), undisturbed)
    assert [event for event, _ in training.events(first, "start", "stop", "finish")] == [
        "start",
        "stop",
        "start",
        "start",
        "finish",
    ]
    wait_until(lambda: not cluster.out("squeue -h --me"), "the chain to end", seconds=90)
    assert cluster.out(f"sacct -X -n -P -o state -j {second}") == "FAILED"
