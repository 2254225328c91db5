"""Up, down, and what can go wrong around them."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from hpclab.shell import wait_until

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster, Person

SMALL = ("--nodes", "1", "--no-outbound")


def supervisors(cluster: Cluster) -> list[int]:
    """Every process 1 of this cluster that lives, also one that nobody remembers."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["s6-svscan", "/run/hpclab/services"]:
            try:
                inside = Path(f"/proc/{process.pid}/root/run/hpclab").stat()
                same = (inside.st_dev, inside.st_ino) == (
                    cluster.folder.stat().st_dev,
                    cluster.folder.stat().st_ino,
                )
            except OSError:
                continue
            found += [process.pid] * same
    return found


def test_up_twice_says_so(cluster: Cluster) -> None:
    before = cluster.supervisor
    said = cluster.up().stdout
    assert "is running already, with 4 nodes" in said
    assert "hpclab down" not in said.split("Log in")[0]
    assert cluster.supervisor == before
    other = cluster.up("--nodes", "2").stdout
    assert "stop it first" in other


def test_up_twice_at_once_makes_one_cluster(stopped: Cluster) -> None:
    both = [
        subprocess.Popen(
            stopped.command("up", *SMALL), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = []
    for one in both:
        out, err = one.communicate(timeout=120)
        assert one.returncode == 0, err
        said.append(out)
    assert sum("is up" in text for text in said) == 1
    assert sum("is running already" in text for text in said) == 1
    assert supervisors(stopped) == [stopped.supervisor]
    assert stopped.out(["hostname"], node="nid001") == "nid001"


def test_down_twice(stopped: Cluster) -> None:
    stopped.up(*SMALL)
    assert "is stopped" in stopped.down().stdout
    assert "was not running" in stopped.down().stdout


def test_several_side_by_side(start: Callable[..., Cluster], cluster: Cluster) -> None:
    one = start(*SMALL, tag="a")
    two = start(*SMALL, "--site", "generic", tag="b")
    assert "normal" in two.out("sacctmgr -n -P show qos format=name").split()
    assert "premium" in one.out("sacctmgr -n -P show qos format=name").split()
    for each in (one, two):
        assert each.out("srun -C gpu -t 1 hostname") == "nid001"
        assert each.out("sinfo -h -o %D") == "1"
    one.down()
    assert two.out("srun -C gpu -t 1 hostname") == "nid001"
    assert cluster.out("sinfo -h -o %D") == "4"


def test_down_with_jobs_asks_for_force(stopped: Cluster) -> None:
    stopped.up(*SMALL)
    job = stopped.sbatch("sleep 600")
    stopped.wait(job, "RUNNING")
    refused = stopped.hpclab("down", check=False)
    assert refused.returncode == 1
    assert "1 job is still in the queue" in refused.stderr and "--force" in refused.stderr
    assert stopped.state_of(job) == "RUNNING"
    assert stopped.hpclab("down", "--force").returncode == 0
    assert supervisors(stopped) == []


def test_jobs_and_numbers_outlive_down_and_up(stopped: Cluster) -> None:
    stopped.up(*SMALL)
    old = stopped.sbatch("echo first")
    stopped.wait(old)
    stopped.records(old, "jobid")
    stopped.hpclab("down")
    stopped.up(*SMALL)
    new = stopped.sbatch("echo second")
    assert int(new) == int(old) + 1
    stopped.wait(new)
    assert stopped.state_of(old) == "COMPLETED"
    assert "echo first" in stopped.out(f"sacct -B -j {old}")
    assert stopped.output(old) == "first"


def test_another_site_on_kept_records_is_refused(stopped: Cluster) -> None:
    stopped.up(*SMALL)
    stopped.hpclab("down")
    refused = stopped.hpclab("up", *SMALL, "--site", "generic", check=False)
    assert refused.returncode == 1
    assert "earlier start" in refused.stderr and "--purge" in refused.stderr


@pytest.mark.parametrize("round_", range(5))
def test_up_killed_at_any_moment_can_be_repeated(stopped: Cluster, round_: int) -> None:
    """From the first imports to the last wait: one moment from each fifth of the whole way."""
    delay = 0.1 + (round_ + random.random()) * 0.4
    victim = subprocess.Popen(
        stopped.command("up", *SMALL), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        victim.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        victim.send_signal(signal.SIGKILL)
        victim.wait(timeout=10)
    stopped.up(*SMALL)
    assert stopped.out("srun -C gpu -t 1 hostname") == "nid001", f"killed after {delay:.2f} s"
    wait_until(
        lambda: supervisors(stopped) == [stopped.supervisor],
        f"one supervisor (killed after {delay:.2f} s)",
        seconds=10,
    )
    stopped.hpclab("down", "--force")
    assert supervisors(stopped) == [], f"killed after {delay:.2f} s"


def test_up_killed_when_its_machines_begin_can_be_repeated(stopped: Cluster) -> None:
    """What it started lives on without it; the next `up` has to wait for that, not to start a second one."""
    begun = stopped.folder / "supervisor.json"
    victim = subprocess.Popen(
        stopped.command("up", *SMALL), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(begun.exists, "process 1 to be recorded", seconds=60, every=0.001)
    victim.kill()
    victim.wait(timeout=10)
    stopped.up(*SMALL)
    assert stopped.out("srun -C gpu -t 1 hostname") == "nid001"
    assert supervisors(stopped) == [stopped.supervisor]


def test_a_killed_supervisor_takes_everything_along(stopped: Cluster) -> None:
    stopped.up(*SMALL)
    all_ = stopped.processes()
    os.kill(stopped.supervisor, signal.SIGKILL)
    _, alive = psutil.wait_procs(all_, timeout=20)
    assert alive == []
    asked = stopped.hpclab("status", check=False)
    assert asked.returncode == 1 and "is not running" in asked.stderr
    stopped.up(*SMALL)
    assert stopped.out("srun -C gpu -t 1 hostname") == "nid001"


# ---- names and values that cannot be ----------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["exec", "--node", "nid9", "--", "true"], "nid[001-004]"),
        (["exec", "--user", "nobody", "--", "true"], "student40"),
        (["up", "--site", "nonesuch"], "perlmutter"),
        (["up", "--nodes", "0"], "Valid: 1 to 200"),
        (["up", "--nodes", "many"], "is not a valid integer"),
        (["up", "--cpus-per-node", "0"], "Valid: 1 to 256"),
        (["up", "--gpus-per-node", "-1"], "Valid: 0 to 16"),
        (["up", "--memory-per-node", "1"], "Valid: 256 to"),
        (["up", "--colour"], "No such option"),
        (["logs", "nonesuch"], "slurmctld"),
    ],
)
def test_unknown_values_name_the_valid_ones(cluster: Cluster, argv: list[str], says: str) -> None:
    fresh = dataclasses.replace(cluster, name=f"{cluster.name}-x") if argv[0] == "up" else cluster
    done = fresh.hpclab(*argv, check=False)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not fresh.folder.exists() or fresh is cluster


@pytest.mark.parametrize("name", ["Upper", "with space", "", "-x", "a/b", "..", "x" * 32])
def test_names_that_a_cluster_cannot_have(cluster: Cluster, name: str) -> None:
    for command in ("up", "down", "status"):
        done = dataclasses.replace(cluster, name=name).hpclab(command, check=False)
        assert done.returncode == 2, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (cluster.state / "clusters").glob("[!.]*")) == [cluster.name]


def test_a_cluster_that_is_not_there(cluster: Cluster) -> None:
    for argv in (["status"], ["exec", "--", "true"], ["logs"], ["shell"]):
        done = dataclasses.replace(cluster, name="nonesuch").hpclab(*argv, check=False)
        assert done.returncode == 1
        assert "hpclab up --name nonesuch" in done.stderr
        assert "Traceback" not in done.stderr


# ---- folders -----------------------------------------------------------------------------------


def test_a_long_path_with_spaces(stopped: Cluster) -> None:
    deep = stopped.state / ("a folder with spaces, 'quotes', a comma: and a colon " + "x" * 60) / ("y" * 80)
    deep.mkdir(parents=True)
    assert len(str(deep)) > 180
    there = dataclasses.replace(stopped, state=deep)
    try:
        there.up(*SMALL)
        assert there.out("srun -C gpu -t 1 hostname") == "nid001"
        job = there.sbatch("echo $PWD")
        there.wait(job)
        assert there.output(job).startswith("/scratch/")
    finally:
        there.hpclab("down", "--force", "--purge", check=False)
    assert not there.folder.exists()


def test_a_folder_that_cannot_be_written(me: Person, stopped: Cluster, tmp_path: Path) -> None:
    """Root writes everywhere, so a file stands where the folder should."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    for state in (blocked, blocked / "below", Path("/proc/hpclab")):
        done = dataclasses.replace(stopped, state=state).hpclab("up", *SMALL, check=False)
        assert done.returncode == 1, done.stderr
        assert "HPCLAB_STATE" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("megabytes", [1, 30])
def test_a_full_disk_is_said(stopped: Cluster, megabytes: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a small disk")
    mount = f"mount -t tmpfs -o size={megabytes}m small '{stopped.state}' && exec \"$@\""
    person = dataclasses.replace(stopped.person, prefix=["unshare", "--mount", "--", "sh", "-c", mount, "sh"])
    done = dataclasses.replace(stopped, person=person).hpclab("up", *SMALL, check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr and "HPCLAB_STATE" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_user_namespaces_the_setting_is_named(stopped: Cluster) -> None:
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    person = dataclasses.replace(
        stopped.person, prefix=["unshare", "--user", "--map-root-user", "--", "sh", "-c", forbid, "sh"]
    )
    done = dataclasses.replace(stopped, person=person).hpclab("up", *SMALL, check=False)
    assert done.returncode == 1
    assert "/proc/sys/user/max_user_namespaces" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_killed_start_left_can_be_removed(stopped: Cluster) -> None:
    (stopped.folder / "layers").mkdir(parents=True)
    (stopped.folder / "layers/half").write_text("")
    stopped.down("--purge")
    assert not stopped.folder.exists()


def test_a_working_folder_with_spaces(cluster: Cluster) -> None:
    cluster.run("mkdir -p 'a folder'; cd 'a folder'; echo '#!/bin/bash\necho $PWD' >'a script.sh'")
    assert cluster.out("cd 'a folder' && srun -C gpu -q regular -t 1 sh './a script.sh'").endswith(
        "/a folder"
    )


# ---- bad days ----------------------------------------------------------------------------------


def test_a_killed_daemon_comes_back(start: Callable[..., Cluster]) -> None:
    one = start(*SMALL)
    for program in ("slurmctld", "slurmdbd", "mariadbd", "munged", "slurmd"):
        [victim] = one.named(program)
        victim.kill()
        wait_until(
            lambda victim=victim, program=program: any(process != victim for process in one.named(program)),
            f"{program} to come back",
            seconds=20,
        )
        wait_until(
            lambda: one.run("srun -C gpu -t 1 hostname", check=False).stdout.strip() == "nid001",
            f"jobs to run after {program} was killed",
            seconds=60,
            every=0.5,
        )


def test_a_lost_nodes_job_runs_again_elsewhere(start: Callable[..., Cluster]) -> None:
    two = start("--nodes", "2", "--no-outbound")
    job = two.sbatch(
        'try=${SLURM_RESTART_COUNT:-0}; echo "try $try on $(hostname)"\n[ $try -gt 0 ] || sleep 600',
        "--requeue",
        "--open-mode=append",
    )
    unlucky = two.sbatch("sleep 600", "--nodelist=nid001")
    two.wait(job, "RUNNING")
    wait_until(lambda: "try 0" in two.output(job), "the job's first line", seconds=20)
    assert two.output(job) == "try 0 on nid001"
    two.wait(unlucky, "RUNNING")
    two.as_controller("s6-svc", "-d", "/run/hpclab/services/nid001")
    gone = two.run(["hostname"], node="nid001", check=False)
    assert gone.returncode != 0 and "nid001 is switched off" in gone.stderr
    two.wait(unlucky, "NODE_FAIL", seconds=90)
    two.wait(job, "COMPLETED", seconds=90, passing="NODE_FAIL")
    assert two.output(job).splitlines() == ["try 0 on nid001", "try 1 on nid002"]
    two.as_controller("s6-svc", "-u", "/run/hpclab/services/nid001")
    wait_until(lambda: two.out("sinfo -h -n nid001 -o %t") == "idle", "nid001 to be idle again", seconds=60)


def test_a_controller_killed_after_a_burst_loses_nothing_in_silence(start: Callable[..., Cluster]) -> None:
    one = start(*SMALL)
    array = one.sbatch("true", "--array=1-3")
    for index in (1, 2, 3):
        one.wait(f"{array}_{index}")
    before = one.out("sacct -X -n -P -o jobidraw").split()  # each task of an array has a number too
    assert len(before) == 3
    [controller] = one.named("slurmctld")
    text = one.out(
        "for i in 1 2 3 4 5 6; do sbatch --parsable -C gpu -q regular --hold --wrap 'sleep 600'; done"
    )
    accepted = text.split()
    assert len(accepted) == 6
    controller.kill()
    wait_until(
        lambda: "UP" in one.run("scontrol ping", check=False).stdout,
        "the controller to come back",
        seconds=30,
    )

    def all_accounted_for() -> bool:
        known = set(one.out("squeue -h -o %i").split())
        said = one.hpclab("status").stdout
        lost = {
            word
            for line in said.splitlines()
            if line.startswith("Lost: job ")
            for word in [line.split()[2].strip(",;")]
        }
        return known | lost >= set(accepted) and not known & lost

    wait_until(all_accounted_for, f"{accepted} to be known or listed as lost", seconds=30, every=0.5)
    again = one.sbatch("true")
    assert int(again) > max(map(int, [*accepted, *before])), "a number was given out twice"
    one.wait(again)


def test_up_and_down_are_quick_enough_to_be_used(stopped: Cluster) -> None:
    """Not a benchmark: ten times the promised two seconds is a fault."""
    began = time.monotonic()
    stopped.up(*SMALL)
    assert time.monotonic() - began < 40
