"""What checks learn from real jobs, asked on the login node as a learner's notebook asks."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Cluster

PREPARE = r"""
set -euo pipefail
mkdir evidence && cd evidence
export SBATCH_CONSTRAINT=cpu SBATCH_QOS=regular

cat > train.sbatch <<'SCRIPT'
#!/bin/bash
#SBATCH -J train
#SBATCH --nodes=2 --ntasks=2   # two of each
#SBATCH --mem=300M -t 2
#SBATCH --comment="first try"
srun hostname
#SBATCH --time=9
srun -N1 -n1 --job-name=eater python3 -c 'x = bytearray(80 << 20); import time; time.sleep(2)'
srun -N1 -n1 bash -c 'exit 3'
echo "trained with $1"
SCRIPT
train=$(sbatch --parsable -C gpu --gpus-per-node=1 --output=%x-%j.out train.sbatch 7)
python3 - "$train" <<'PYTHON'
import pathlib, sys
pathlib.Path("train.jobid").write_text(sys.argv[1])
PYTHON
sbatch -J oom -n1 --mem=60M --wrap="srun python3 -c 'x = bytearray(200 << 20); import time; time.sleep(5)'"
sbatch -J sweep --array=1,3,10%2 --wrap='echo $SLURM_ARRAY_TASK_ID; exit $((SLURM_ARRAY_TASK_ID % 3))'
sbatch -J again --requeue --open-mode=append --output=again.out \
    --wrap='echo start; [ "${SLURM_RESTART_COUNT:-}" ] || { scontrol requeue $SLURM_JOB_ID; sleep 60; }'
held=$(sbatch --parsable --hold -J first --wrap=false)
sbatch -J merge --dependency="afterany:$held:$train" --wrap='echo "-n 4 --time=1"; true'
sbatch -J bare --dependency="$held" --wrap=true
sbatch -J either -d "afterok:$held?after:$held" --wrap=true
sbatch -J merge -d singleton --wrap=true
sbatch -J stuck -d "afterok:$held" --wrap=true
squeue --noheader --name=bare --format=%E > bare.dependency
scontrol release "$held"
sbatch -J 'a,b' --wrap=true
sbatch -J 'x|y "z" $1' --comment='two  words --time=1' --wrap="echo 'it is' --time=2"
sbatch -J "$(printf 'two\nlines\037')" --wrap=true
"""


@pytest.fixture(scope="module")
def ask(cluster: Cluster) -> Callable[..., Any]:
    """A function that runs Python in the learner's folder and gives the value of ``answer``."""
    cluster.run(PREPARE)

    def run(code: str, environment: str = "") -> Any:
        program = "import json, time\nfrom hpclab import evidence, plots\n" + textwrap.dedent(code)
        program += "\nprint('answer', json.dumps(answer))\n"
        done = cluster.run(f"cd evidence && {environment} '{sys.executable}' -", stdin=program, timeout=200)
        lines = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
        assert len(lines) == 1, f"{done.stdout}{done.stderr}"
        return json.loads(lines[0].removeprefix("answer "))

    return run


def test_a_job_of_several_steps(ask: Callable[..., Any]) -> None:
    answer = ask("""
        job = evidence.job("train")
        use = evidence.usage(job)
        answer = dict(
            saved=evidence.job_id("train.jobid") == job.id, output=evidence.output(job),
            job=[job.state, job.time_limit, job.node_count, job.comment, job.complete],
            requested=job.requested, allocated=job.allocated, cpu=job.total_cpu,
            directives=evidence.directives(job), options=evidence.options(job),
            script=evidence.script(job) == open("train.sbatch").read(),
            steps=[[s.id.partition(".")[2], s.name, s.state, s.exit_code, s.tasks, s.node_count] for s in evidence.steps(job)],
            rss={s.name: [s.max_rss, s.total_rss] for s in evidence.steps(job)},
            use=[use.cpus, use.memory, use.memory_used, use.elapsed],
            words=plots.describe_request_against_use([use]),
        )
    """)
    assert answer["saved"] and answer["script"]
    assert answer["output"].splitlines()[-1] == "trained with 7"
    assert answer["job"] == ["COMPLETED", 120, 2, "first try", True]
    asked = {"billing": 2, "cpu": 2, "gres/gpu": 2, "mem": 600 * 2**20, "node": 2}
    assert answer["requested"] == answer["allocated"] == asked
    assert answer["cpu"] > 0
    directives = {
        "job-name": "train",
        "nodes": "2",
        "ntasks": "2",
        "mem": "300M",
        "time": "2",
        "comment": "first try",
    }
    assert answer["directives"] == directives
    assert answer["options"] == directives | {
        "parsable": "",
        "constraint": "gpu",
        "gpus-per-node": "1",
        "output": "%x-%j.out",
    }
    assert answer["steps"] == [
        ["batch", "batch", "COMPLETED", 0, 1, 1],
        ["0", "hostname", "COMPLETED", 0, 2, 2],
        ["1", "eater", "COMPLETED", 0, 1, 1],
        ["2", "bash", "FAILED", 3, 1, 1],
    ]
    assert all(most and total and most <= total for most, total in answer["rss"].values())
    assert answer["rss"]["eater"][0] > 80 * 2**20
    assert answer["use"][:2] == [2, 600 * 2**20] and answer["use"][2] > 80 * 2**20
    assert len(answer["words"].splitlines()) == 3


def test_a_step_that_ran_out_of_memory(cluster: Cluster, ask: Callable[..., Any]) -> None:
    job, steps = ask("""
        job = evidence.job("oom")
        answer = [job.state, job.exit_code], [[s.name, s.state, s.signal] for s in evidence.steps(job)]
    """)
    assert job[0] != "COMPLETED"
    if (
        "polling" in cluster.hpclab("status").stdout
    ):  # Slurm polls where it has no cgroups, and cancels the step
        assert [step for step in steps if step[1] == "CANCELLED"]
    else:
        assert ["python3", "OUT_OF_MEMORY", 125] in steps


def test_the_tasks_of_an_array(ask: Callable[..., Any]) -> None:
    answer = ask("""
        tasks = evidence.tasks("sweep")
        answer = dict(
            tasks=[[t.array_index, t.id == f"{t.array_id}_{t.array_index}", t.exit_code] for t in tasks],
            output=[evidence.output(t).strip() for t in tasks],
            scripts=len({evidence.script(t) for t in tasks}),
            steps=[s.id.partition("_")[2] for t in tasks for s in evidence.steps(t)],
            array=evidence.options(tasks[-1])["array"],
            attempts=[len(evidence.attempts(t)) for t in tasks],
        )
    """)
    assert answer["tasks"] == [[1, True, 1], [3, True, 0], [10, True, 1]]
    assert answer["output"] == ["1", "3", "10"]
    assert answer["scripts"] == 1  # the last task has the array's number, and not everybody's script
    assert answer["steps"] == ["1.batch", "3.batch", "10.batch"]
    assert answer["array"] == "1,3,10%2" and answer["attempts"] == [1, 1, 1]


def test_the_attempts_of_a_requeued_job(ask: Callable[..., Any]) -> None:
    answer = ask("""
        job = evidence.job("again")
        tries = evidence.attempts(job)
        picture = plots.timeline(tries)
        answer = dict(
            job=[job.state, job.restarts], tries=[[t.state, t.restarts] for t in tries],
            order=all(a.end <= b.start for a, b in zip(tries, tries[1:])), newest=tries[-1].start == job.start,
            steps=[s.state for s in evidence.steps(tries[0])], output=evidence.output(job).split().count("start"),
            words=picture.description.count("attempt"), png=len(picture.png()),
        )
    """)
    assert answer["job"] == ["COMPLETED", 1]
    assert answer["tries"] == [["REQUEUED", 0], ["COMPLETED", 1]]
    assert answer["order"] and answer["newest"] and answer["output"] == 2
    assert answer["steps"] in (["CANCELLED"], [])  # it was requeued in its first second
    assert answer["words"] == 2 and answer["png"] > 1000


def test_dependencies(ask: Callable[..., Any], cluster: Cluster) -> None:
    answer = ask("""
        first = evidence.jobs("first")[0]
        first = evidence.job("first")
        train = evidence.job("train")
        merge, second = evidence.jobs_ended("merge", at_least=2)
        names = {first.id: "first", train.id: "train", merge.id: "merge"}
        said = lambda job: [[d.kind, [names[i] for i in d.ids], d.any_of] for d in evidence.dependencies(job)]
        jobs = [first, train, merge, second, evidence.job("bare"), evidence.job("either")]
        edges = evidence.edges(jobs)
        answer = dict(
            merge=said(merge), singleton=said(second), bare=said(jobs[4]), either=said(jobs[5]), first=said(first),
            edges=sorted([names.get(a, a), names.get(b, "later"), kind] for a, b, kind in edges),
            late=[merge.start >= train.end, second.start >= merge.end], wrap=evidence.options(merge)["wrap"],
            words=plots.dependency_graph(jobs, edges).description,
        )
    """)
    assert answer["merge"] == [["afterany", ["first", "train"], False]]
    assert answer["singleton"] == [["singleton", [], False]]
    assert answer["either"] == [["afterok", ["first"], True], ["after", ["first"], True]]
    assert answer["bare"] == [["afterany", ["first"], False]]
    assert answer["first"] == []
    # What Slurm itself makes of a bare number.
    assert cluster.out("cat evidence/bare.dependency").startswith("afterany:")
    assert ["merge", "later", "singleton"] in answer["edges"] and ["train", "merge", "afterany"] in answer[
        "edges"
    ]
    assert answer["late"] == [True, True]
    assert answer["wrap"] == 'echo "-n 4 --time=1"; true'
    assert "waited for afterany first" in answer["words"]


def test_a_job_that_waits_for_ever_is_said_at_once(ask: Callable[..., Any]) -> None:
    said = ask("""
        evidence.job("first")
        try:
            answer = evidence.job("stuck").state
        except evidence.CheckFailed as failed:
            answer = str(failed)
    """)
    assert "still PENDING, DependencyNeverSatisfied" in said and "Look: squeue --jobs=" in said


def test_odd_names(ask: Callable[..., Any]) -> None:
    answer = ask(r"""
        comma, odd, lines = evidence.job("a,b"), evidence.job('x|y "z" $1'), evidence.job("two\nlines\x1f")
        answer = dict(
            states=[j.state for j in (comma, odd, lines)], comment=odd.comment, options=evidence.options(odd),
            steps=[len(evidence.steps(j)) for j in (comma, odd, lines)], output=evidence.output(odd),
        )
    """)
    assert answer["states"] == ["COMPLETED"] * 3 and answer["steps"] == [1, 1, 1]
    assert answer["comment"] == "two  words --time=1" and answer["output"] == "it is --time=2\n"
    assert answer["options"] == {
        "job-name": 'x|y "z" $1',
        "comment": "two  words --time=1",
        "wrap": "echo 'it is' --time=2",
    }


def test_a_check_right_after_the_end_has_the_whole_record(ask: Callable[..., Any]) -> None:
    answer = ask("""
        import subprocess
        answer = []
        for number in range(3):
            subprocess.run(
                ["sbatch", "--wait", "-C", "cpu", "-q", "regular", "-t", "1", "-n1", "-J", "quick", "--wrap", f"exit {number}"]
            )
            job = evidence.job("quick")
            step = evidence.steps(job)[0]
            answer.append([job.exit_code, job.time_limit, job.allocated["cpu"], job.complete, len(evidence.jobs("quick")),
                           step.exit_code, step.max_rss is not None, job.end is not None, evidence.script(job)[-7:-1]])
    """)
    assert answer == [[n, 60, 1, True, n + 1, n, True, True, f"exit {n}"] for n in range(3)]


def test_tasks_that_were_cancelled_before_they_started(ask: Callable[..., Any]) -> None:
    answer = ask("""
        import subprocess
        options = ["-C", "cpu", "-q", "regular", "-t", "1", "-n1", "--parsable", "-o", "/dev/null", "--wrap", "sleep 60"]

        def submit(name, *more):
            return subprocess.run(["sbatch", "-J", name, *more, *options], capture_output=True, text=True).stdout.strip()

        def told(name):
            return [[t.array_index, t.state, t.start is None, t.cancelled_by is not None] for t in evidence.tasks(name)]

        answer = []
        unheard = submit("never", "--hold", "--array=2-4")
        subprocess.run(["scancel", unheard])
        answer.append(told("never"))
        part = submit("part", "--array=1-3%1")
        while subprocess.run(["squeue", "-h", "-t", "R", "-j", part], capture_output=True).stdout == b"":
            time.sleep(0.2)
        subprocess.run(["scancel", part])
        answer += [told("part"), evidence.steps(evidence.tasks("part")[-1])]
    """)
    assert answer == [
        [[index, "CANCELLED", True, True] for index in (2, 3, 4)],
        [[index, "CANCELLED", index > 1, True] for index in (1, 2, 3)],
        [],
    ]


def test_without_accounting_the_controller_is_asked(ask: Callable[..., Any]) -> None:
    """As at a site that keeps no accounting: sacct says so."""
    answer = ask(
        """
        import os, pathlib, stat, warnings
        fake = pathlib.Path("fake"); fake.mkdir(exist_ok=True)
        (fake / "sacct").write_text("#!/bin/sh\\necho 'sacct: error: Slurm accounting storage is disabled' >&2; exit 1\\n")
        (fake / "sacct").chmod(0o755)
        os.environ["PATH"] = f"{fake.resolve()}:{os.environ['PATH']}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            job = evidence.job("train")
            answer = dict(
                job=[job.state, job.node_count, job.time_limit, job.exit_code],
                script=evidence.directives(job)["mem"], steps=evidence.steps(job),
                said=sorted({str(w.message).partition(";")[0] for w in caught if w.category is evidence.Fallback}),
            )
        """
    )
    assert answer["job"] == ["COMPLETED", 2, 120, None]
    assert answer["script"] == "300M" and answer["steps"] == []
    assert answer["said"] == ["Accounting is not available on this site"]
