"""How fast the embedded cluster is: medians with N, and ratios against the same Slurm started by hand.

    .venv/bin/python bench/bench_cluster.py [--rounds 5] [--jobs 1000] [--large 128] [--only up,srun,jobs,large]

Prints a table and writes bench/results/cluster-DATE.json. Times in seconds, memory in MiB
(PSS: shared pages are counted once). The machine should be quiet; the load is recorded.
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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from hpclab import layout
from hpclab.cluster import lifecycle

HPCLAB = [str(Path(sys.executable).with_name("hpclab"))]
NAME = "bench"
HERE = Path(__file__).parent
BURST = """\
cd "$(mktemp -d)"
cat >job.sh <<'SCRIPT'
#!/bin/sh
exec true
SCRIPT
start=$(date +%s.%N)
for _ in $(seq JOBS); do sbatch --parsable -o /dev/null OPTIONS -t 5 job.sh; done >ids
accepted=$(date +%s.%N)
while [ "$(squeue -h | wc -l)" -gt 0 ]; do sleep 0.1; done
echo "$start $accepted $(date +%s.%N) $(sort -un ids | wc -l)"
"""


def hpclab(*words: str) -> str:
    done = subprocess.run([*HPCLAB, *words], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise SystemExit(f"hpclab {' '.join(words)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


@contextmanager
def cluster(*options: str) -> Iterator[None]:
    hpclab("up", "--name", NAME, *options)
    try:
        yield
    finally:
        hpclab("down", "--name", NAME, "--force", "--purge")


def measure_up(rounds: int) -> dict[str, list[float]]:
    """A new cluster, four nodes with accounting, until srun may start; and its end."""
    found: dict[str, list[float]] = {"up, 4 nodes, new": [], "up, 4 nodes, again": [], "down": []}
    hpclab("up", "--name", NAME)  # packages and database are there from now on
    hpclab("down", "--name", NAME, "--purge")
    for _ in range(rounds):
        found["up, 4 nodes, new"].append(timed(lambda: hpclab("up", "--name", NAME)))
        found["down"].append(timed(lambda: hpclab("down", "--name", NAME)))
        found["up, 4 nodes, again"].append(timed(lambda: hpclab("up", "--name", NAME)))
        found["down"].append(timed(lambda: hpclab("down", "--name", NAME)))
        hpclab("down", "--name", NAME, "--purge")
    return found


def measure_first(rounds: int) -> dict[str, list[float]]:
    """The first time after the packages: the database has to be made."""
    found = []
    packages = layout.cache_home() / "packages"
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=layout.cache_home()) as cache:
            Path(cache).chmod(0o755)
            Path(cache, "packages").symlink_to(packages)
            os.environ["HPCLAB_CACHE"] = cache
            try:
                found.append(timed(lambda: hpclab("up", "--name", NAME)))
            finally:
                hpclab("down", "--name", NAME, "--force", "--purge")
                del os.environ["HPCLAB_CACHE"]
    return {"up, first time": found}


def measure_srun(rounds: int) -> dict[str, list[float]]:
    """Inside the cluster, as a learner sees it."""
    with cluster():
        script = "for _ in $(seq ROUNDS); do s=$(date +%s.%N); srun -C gpu -N4 hostname >/dev/null; echo $s $(date +%s.%N); done"
        out = hpclab("exec", "--name", NAME, "--", "bash", "-c", script.replace("ROUNDS", str(rounds * 4)))
        spans = [float(b) - float(a) for a, b in (line.split() for line in out.splitlines())]
        return {"srun -N4 hostname": spans, "memory, 4 nodes": [memory()]}


def measure_jobs(rounds: int, jobs: int) -> dict[str, list[float]]:
    """A burst of jobs of `true`, here and by hand, alternating."""
    found: dict[str, list[float]] = {}
    burst = BURST.replace("JOBS", str(jobs))
    for number in range(rounds):
        order = [_jobs_here, _jobs_by_hand] if number % 2 else [_jobs_by_hand, _jobs_here]
        for run in order:
            label, text = run(burst)
            start, accepted, ended, ids = (float(word) for word in text.split()[-4:])
            if ids != jobs:
                raise SystemExit(f"{label}: {ids:g} of {jobs} jobs were accepted")
            found.setdefault(f"{jobs} jobs accepted, {label}", []).append(accepted - start)
            found.setdefault(f"{jobs} jobs completed, {label}", []).append(ended - start)
    return found


def _jobs_here(burst: str) -> tuple[str, str]:
    with cluster():
        script = burst.replace("OPTIONS", "-C gpu -q regular")
        return "here", hpclab("exec", "--name", NAME, "--", "bash", "-c", script)


def _jobs_by_hand(burst: str) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(dir=layout.cache_home()) as folder:
        prefix = next(path.parent for path in (layout.cache_home() / "packages").glob("*/manifest.json"))
        done = subprocess.run(
            [HERE / "by-hand.sh", folder, prefix],
            input=burst.replace("OPTIONS", ""),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"by-hand.sh:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return "by hand", done.stdout


def measure_large(nodes: int) -> dict[str, list[float]]:
    up = timed(lambda: hpclab("up", "--name", NAME, "--nodes", str(nodes), "--timeout", "120"))
    try:
        used = memory()
        srun = timed(
            lambda: hpclab(
                "exec", "--name", NAME, "--", "srun", "-C", "gpu", "-q", "regular", f"-N{nodes}", "hostname"
            )
        )
    finally:
        down = timed(lambda: hpclab("down", "--name", NAME, "--force", "--purge"))
    return {
        f"up, {nodes} nodes": [up],
        f"memory, {nodes} nodes": [used],
        f"srun -N{nodes} hostname": [srun],
        f"down, {nodes} nodes": [down],
    }


def memory() -> float:
    """MiB of all processes of the cluster."""
    top = psutil.Process(lifecycle.supervisor_of(NAME).pid)
    total = 0
    for process in [top, *top.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 2**20


MEASURES: dict[str, Callable[[argparse.Namespace], dict[str, list[float]]]] = {
    "up": lambda chosen: measure_up(chosen.rounds),
    "first": lambda chosen: measure_first(3),
    "srun": lambda chosen: measure_srun(chosen.rounds),
    "jobs": lambda chosen: measure_jobs(3, chosen.jobs),
    "large": lambda chosen: measure_large(chosen.large),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--large", type=int, default=128)
    parser.add_argument(
        "--only", default=",".join(MEASURES), help=f"some of {','.join(MEASURES)}, separated by commas"
    )
    chosen = parser.parse_args()
    wanted = [name.strip() for name in chosen.only.split(",")]
    if unknown := [name for name in wanted if name not in MEASURES]:
        parser.error(f"--only has no measurement {unknown[0]!r}. Valid names: {', '.join(MEASURES)}.")
    shutil.which("apt-get") or sys.exit("this benchmark needs the embedded cluster")
    found: dict[str, list[float]] = {}
    before = os.getloadavg()[0]
    for name in wanted:
        found |= MEASURES[name](chosen)
    table = Table(title="seconds (memory: MiB)")
    for heading in ("what", "median", "min", "max", "N"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for what, values in found.items():
        table.add_row(what, *(f"{f(values):.2f}" for f in (statistics.median, min, max)), str(len(values)))
    Console(width=100).print(table)
    record = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} CPUs, {psutil.virtual_memory().total >> 30} GiB, Linux {platform.release()}",
        "load_before": round(before, 2),
        "as_root": os.geteuid() == 0,
        "values": {what: [round(value, 3) for value in values] for what, values in found.items()},
    }
    out = HERE / "results" / f"cluster-{record['date']}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
