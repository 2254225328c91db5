"""What every Slurm user relies on: arrays, dependencies, records, accounts, limits, GPUs, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

NO_NODE_TYPE = "No architecture specified, cannot estimate job costs."
NO_POLICY = "Job request does not match any supported policy."


def test_an_array_runs_each_index_once(cluster: Cluster) -> None:
    job = cluster.sbatch(
        "i=$SLURM_ARRAY_TASK_ID; echo $SLURM_ARRAY_JOB_ID $i $SLURM_ARRAY_TASK_COUNT >array-$i.txt",
        "--array=1-5:2%2",
    )
    rows = cluster.records(job, "jobid,state", count=3)
    assert [row.split("|")[0] for row in sorted(rows)] == [f"{job}_{index}" for index in (1, 3, 5)]
    for index in (1, 3, 5):
        cluster.wait(f"{job}_{index}")
    assert cluster.out("cat array-[135].txt").splitlines() == [f"{job} {index} 3" for index in (1, 3, 5)]


def test_dependencies(cluster: Cluster) -> None:
    gate = cluster.sbatch("exit 3", "--hold")
    after_success = cluster.sbatch("true", f"--dependency=afterok:{gate}", "--kill-on-invalid-dep=yes")
    after_failure = cluster.sbatch("true", f"--dependency=afternotok:{gate}")
    after_both = cluster.sbatch("true", f"--dependency=afterany:{gate}:{after_failure}")
    assert cluster.out(f"squeue -h -j {after_failure} -o '%T %r'") == "PENDING Dependency"
    cluster.run(f"scontrol release {gate}")
    cluster.wait(gate, "FAILED")
    assert cluster.field(gate, "exitcode") == "3:0"
    cluster.wait(after_both)
    assert cluster.state_of(after_failure) == "COMPLETED"
    cluster.wait(after_success, "CANCELLED")


def test_the_submitted_script_is_kept(cluster: Cluster) -> None:
    script = "#!/bin/bash\n# só isto: “quotes”, 'apostrophes', $variables, 100 %\ntrue\n"
    job = cluster.sbatch(script)
    cluster.records(job, "jobid")
    assert script.strip() in cluster.out(f"sacct -B -j {job}")


def test_the_submission_environment_and_comment_are_kept(cluster: Cluster) -> None:
    job = cluster.sbatch("true", "--comment=a comment", "--export=ALL,COURSE=hpc")
    cluster.records(job, "jobid")
    assert "COURSE=hpc" in cluster.out(f"sacct --env-vars -j {job}")
    assert cluster.records(job, "comment")[0] == "a comment"


def test_a_job_over_its_time_limit_ends(cluster: Cluster) -> None:
    """The limit is one minute at least, so the clock is set on a running job's limit instead."""
    job = cluster.sbatch("sleep 300", "--time=1")
    cluster.wait(job, "RUNNING")
    assert cluster.out(f"scontrol show job {job} | grep -o 'TimeLimit=[0-9:]*'") == "TimeLimit=00:01:00"
    cluster.run(f"scancel --signal=TERM --full {job}")
    cluster.wait(job, ("FAILED", "CANCELLED"))


def test_exit_statuses_are_recorded(cluster: Cluster) -> None:
    failed = cluster.sbatch("srun false\nexit 42")
    killed = cluster.sbatch("kill -9 $$")
    cluster.wait(failed, "FAILED")
    cluster.wait(killed, "FAILED")
    assert cluster.field(failed, "exitcode") == "42:0"
    assert cluster.field(killed, "exitcode") == "0:9"


# ---- GPUs -----------------------------------------------------------------------------------


def test_a_job_sees_the_gpus_it_was_given(cluster: Cluster) -> None:
    show = "echo $SLURM_GPUS_ON_NODE $CUDA_VISIBLE_DEVICES $SLURM_JOB_GPUS"
    holder = cluster.sbatch(f"{show}\nsleep 60", "--gpus=3", "--nodelist=nid002")
    cluster.wait(holder, "RUNNING")
    taken = set(
        cluster.out(f"until [ -s slurm-{holder}.out ]; do :; done; cat slurm-{holder}.out")
        .split()[2]
        .split(",")
    )
    rest = cluster.sbatch(
        "scontrol -d show job $SLURM_JOB_ID | grep -o 'IDX:[0-9,-]*'", "--gpus=1", "--nodelist=nid002"
    )
    cluster.wait(rest)
    assert len(taken) == 3
    [last] = {"0", "1", "2", "3"} - taken
    assert cluster.output(rest) == f"IDX:{last}"
    cluster.run(f"scancel {holder}")
    cluster.wait(holder, "CANCELLED")


def test_tasks_and_steps_share_a_jobs_gpus_out(cluster: Cluster) -> None:
    step = "srun -n1 --exact --mem=100 --gpus-per-node=2 sh -c 'echo step $CUDA_VISIBLE_DEVICES; sleep 1' &\n"
    job = cluster.sbatch(
        "echo job $SLURM_GPUS_ON_NODE $CUDA_VISIBLE_DEVICES\n"
        "srun --ntasks=4 --gpus-per-task=1 sh -c 'echo task $CUDA_VISIBLE_DEVICES'\n"
        f"{step}{step}wait\n"
        "srun --ntasks=1 --gpus-per-node=0 --gpus=0 sh -c 'echo none $CUDA_VISIBLE_DEVICES'\n",
        "--nodes=1",
        "--ntasks=4",
        "--gpus-per-node=4",
    )
    cluster.wait(job)
    rows = [line.split() for line in cluster.output(job).splitlines()]
    assert ["job", "4", "0,1,2,3"] in rows
    assert sorted(row[1] for row in rows if row[0] == "task") == ["0", "1", "2", "3"]
    assert sorted(row[1] for row in rows if row[0] == "step") == ["0,1", "2,3"]
    assert ["none"] in rows


def test_a_job_without_gpus_sees_none(cluster: Cluster) -> None:
    assert cluster.out("srun -C gpu -q regular sh -c 'echo \"<$CUDA_VISIBLE_DEVICES>\"'") in (
        "<>",
        "<NoDevFiles>",
    )


@pytest.mark.parametrize("option", ["--gpus-per-node=5", "--gpus-per-node=a100:1"])
def test_gpus_that_no_node_has_are_refused(cluster: Cluster, option: str) -> None:
    done = cluster.try_sbatch("true", "-C", "gpu", "-q", "regular", option)
    assert done.returncode != 0
    assert "Requested node configuration is not available" in done.stderr


def test_gpus_are_in_the_records(cluster: Cluster) -> None:
    job = cluster.sbatch("true", "--gpus=2")
    cluster.wait(job)
    assert "gres/gpu=2" in cluster.records(job, "alloctres")[0].split(",")


# ---- the site's rules -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], NO_NODE_TYPE),
        (["-C", "knl"], NO_POLICY),
        (["-C", "gpu&knl"], NO_POLICY),
        (["-C", "cpu", "--gpus=1"], NO_POLICY),
        (["-C", "cpu", "--gpus-per-node=1"], NO_POLICY),
        (["-C", "cpu", "--gpus-per-task=1", "-n1"], NO_POLICY),
    ],
)
def test_the_submit_filter_refuses_in_the_sites_words(
    cluster: Cluster, options: list[str], words: str
) -> None:
    by_sbatch = cluster.try_sbatch("true", *options)
    by_srun = cluster.run(["srun", *options, "true"], check=False)
    for done in (by_sbatch, by_srun):
        assert done.returncode != 0
        assert words in done.stderr
    assert by_sbatch.stdout == ""


@pytest.mark.parametrize("constraint", ["cpu", "gpu", "gpu&hbm80g", "gpu&hbm40g", "[gpu|cpu]", "a100"])
def test_node_types_of_the_site_are_accepted(cluster: Cluster, constraint: str) -> None:
    done = cluster.try_sbatch("true", "-C", constraint, "-q", "regular", "--test-only")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-q", "debug", "-t", "31"], "QOSMaxWallDurationPerJobLimit"),
        (["-q", "regular", "-t", "2881"], "QOSMaxWallDurationPerJobLimit"),
        (["-q", "shared", "-N2"], "QOSMaxNodePerJobLimit"),
        (["-q", "shared", "--gpus=3"], "QOSMaxGRESPerJob"),
        (["-q", "normal"], "Invalid qos specification"),
        (["-q", "nonesuch"], "Invalid qos specification"),
        (["-A", "m9999"], "Invalid account"),
    ],
)
def test_limits_are_refused_at_submission(cluster: Cluster, options: list[str], words: str) -> None:
    done = cluster.try_sbatch("true", "-C", "gpu", *options)
    assert done.returncode != 0, f"accepted: {done.stdout}"
    assert words in done.stderr


def test_account_and_qos_by_default_and_by_choice(cluster: Cluster) -> None:
    plain = cluster.sbatch("true", "-C", "gpu", plain=True)
    chosen = cluster.sbatch("true", "-C", "gpu", "-A", "m0000_g", "-q", "shared", plain=True)
    assert cluster.records(plain, "account,qos,timelimit") == ["m0000|debug|00:10:00"]
    assert cluster.records(chosen, "account,qos") == ["m0000_g|shared"]


def test_debug_runs_two_jobs_and_takes_five(cluster: Cluster) -> None:
    who = "student7"
    jobs = [cluster.sbatch("sleep 100", "-C", "gpu", plain=True, user=who) for _ in range(5)]
    try:
        sixth = cluster.try_sbatch("sleep 100", "-C", "gpu", user=who)
        assert sixth.returncode != 0
        assert "QOSMaxSubmitJobPerUserLimit" in sixth.stderr
        for job in jobs[:2]:
            cluster.wait(job, "RUNNING")
        reasons = cluster.out("squeue -h --me -t PD -o %r", user=who).splitlines()
        assert reasons == ["QOSMaxJobsPerUserLimit"] * 3
    finally:
        cluster.run("scancel --me", user=who)


def test_people_cannot_touch_each_others_jobs(cluster: Cluster) -> None:
    job = cluster.sbatch("sleep 100")
    done = cluster.run(f"scancel {job}", user="student1", check=False)
    assert "Access/permission denied" in done.stderr
    assert cluster.run("ls /scratch/$(id -un 1000)", user="student1", check=False).returncode != 0
    cluster.run(f"scancel {job}")
    cluster.wait(job, "CANCELLED")
