"""What a checkpoint costs: the reference code in templates/ beside torch.save, DCP, and the bare disk.

    .venv/bin/python bench/bench_checkpoint.py [--gigabytes 2] [--rounds 5] [--ranks 1,2,4] [--folder DIR] [--loads]
                                          [--no-record]

One run, every method in each round, in random order, the loads after the saves; medians, and ratios within the round.
Prints tables and writes bench/results/checkpoint-DATE.json. The state is that of an FSDP training with AdamW, with
random numbers in it. "Durable": when the call returns, all bytes were handed to the disk (fsync). "raw" is what the disk
gives: the same number of bytes, from page-aligned memory that was filled before, in blocks of 16 MiB with O_DIRECT, two
threads a rank, and fsync. Loads are cold: the files were dropped from the page cache, as after a restart on another
node; "load_raw" reads as many bytes past the page cache, 8 blocks of 4 MiB under way in each rank, and does nothing with
them. Neighbours on the machine and its disk change the numbers twofold; hence the ratios. Where load_raw takes as long as
load_dcp, the disk is the limit, and no way to load is quicker. ``--loads`` measures the loads only.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import mmap
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "templates"))

FULL = 2  # the number of ranks for which everything is measured
BLOCK = 16 << 20
READ, READERS = 4 << 20, 8  # raw reads
LOADS = ("load_raw", "load_reference", "load_dcp")


# ---- in each rank ----------------------------------------------------------------------------


class Rank:
    """One process of the measured training, and the ways to save it."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        import torch
        import torch.distributed as dist
        from lightcurves import width_for
        from train import Place
        from train_resumable import build, parse_arguments

        self.torch, self.dist, self.folder = torch, dist, Path(chosen.folder)
        dist.init_process_group("gloo", timeout=datetime.timedelta(minutes=10))
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        layers = 4
        width = width_for(int(chosen.gigabytes * 1e9 / 12), layers)  # a weight and two moments, 4 bytes each
        options = parse_arguments([f"--width={width}", f"--layers={layers}", "--parallel=fsdp"])
        self.state = build(options, Place(self.rank, self.ranks, self.rank), torch.device("cpu"))
        self.tensors = self.state.tensors()
        with torch.no_grad():
            for tensor in self.local():
                if tensor.is_floating_point():
                    tensor.uniform_()
        self.bytes = sum(tensor.nbytes for tensor in self.local())
        total = torch.tensor(self.bytes)
        dist.all_reduce(total)
        self.total = int(total)
        self.raw_memory = mmap.mmap(-1, -(-self.bytes // BLOCK) * BLOCK)
        block = os.urandom(BLOCK)
        for start in range(0, len(self.raw_memory), BLOCK):
            self.raw_memory[start : start + BLOCK] = block
        self.dcp_group = dist.new_group(backend="gloo")
        self.whole: dict[str, Any] = {}
        from checkpoint import Checkpoints

        self.reference = Checkpoints(self.folder / "reference", keep=1)
        self.background = Checkpoints(self.folder / "background", keep=1, background=True)

    def local(self) -> list[Any]:
        """This rank's tensors, as plain ones."""
        found: list[Any] = []

        def walk(one: Any) -> None:
            if isinstance(one, dict):
                for value in one.values():
                    walk(value)
            elif isinstance(one, self.torch.Tensor):
                found.append(one.to_local() if hasattr(one, "to_local") else one.detach())

        walk(self.tensors)
        return found

    # Each method returns the seconds that the training was blocked, or None: all of them.

    def raw(self) -> None:
        path = self.folder / f"raw{self.rank}"
        view = memoryview(self.raw_memory)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT)
        with ThreadPoolExecutor(2) as pool:
            starts = range(0, len(view), BLOCK)
            list(pool.map(lambda start: os.pwrite(descriptor, view[start : start + BLOCK], start), starts))
        os.ftruncate(descriptor, self.bytes)
        os.fsync(descriptor)
        os.close(descriptor)

    def save_reference(self) -> None:
        self.reference.save(1, self.tensors, {})

    def save_background(self) -> float:
        begun = time.perf_counter()
        self.background.save(1, self.tensors, {})
        blocked = time.perf_counter() - begun
        self.background.wait()
        return blocked

    def save_dcp(self) -> None:
        import torch.distributed.checkpoint as dcp

        dcp.save(self.tensors, checkpoint_id=self.folder / "dcp")

    def save_dcp_async(self) -> float:
        import torch.distributed.checkpoint as dcp

        begun = time.perf_counter()
        future = dcp.async_save(
            self.tensors, checkpoint_id=self.folder / "dcp-async", process_group=self.dcp_group
        )
        blocked = time.perf_counter() - begun
        future.result()  # type: ignore[union-attr]
        return blocked

    def save_torch(self) -> None:
        """Rank 0 saves the whole state. Gathering it is not counted, which is in favour of this method."""
        if self.rank == 0:
            with (self.folder / "torch.pt").open("wb") as file:
                self.torch.save(self.whole, file)
                file.flush()
                os.fsync(file.fileno())

    def load_raw(self) -> None:
        path = self.folder / f"raw{self.rank}"
        view = memoryview(self.raw_memory)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        with ThreadPoolExecutor(READERS) as pool:
            starts = range(0, self.bytes, READ)
            got = pool.map(lambda start: os.preadv(descriptor, [view[start : start + READ]], start), starts)
            assert sum(got) == self.bytes
        os.close(descriptor)

    def load_reference(self) -> None:
        found = self.reference.load(lambda facts: self.tensors)
        assert found

    def load_dcp(self) -> None:
        import torch.distributed.checkpoint as dcp

        dcp.load(self.tensors, checkpoint_id=self.folder / "dcp")

    # ----

    def prepare(self, name: str) -> None:
        """Outside of the timing: what a method needs, and what others left.

        Rank 0 alone looks at the folder: it is also the one that replaces folders in it, and a rank that looks
        meanwhile may find a folder gone.
        """
        there = [False, False, False]
        if self.rank == 0:
            read = (
                {"reference", "dcp", *(f"raw{rank}" for rank in range(self.ranks))}
                if name in LOADS
                else set()
            )
            for path in self.folder.iterdir():
                if path.name in read:
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for one in ("reference", "background"):
                (self.folder / one).mkdir(exist_ok=True)
                # The folder may be new; its owner is the same.
                shutil.copy(self.folder.parent / f"{one}-owner.json", self.folder / one / "owner.json")
            there = [
                bool(list((self.folder / "reference").glob("step-*"))),
                (self.folder / "dcp/.metadata").exists(),
                (self.folder / "raw0").exists(),
            ]
        self.dist.broadcast_object_list(there, src=0)
        if name == "load_reference" and not there[0]:
            self.save_reference()
        if name == "load_dcp" and not there[1]:
            self.save_dcp()
        if name == "load_raw" and not there[2]:
            self.raw()
        self.dist.barrier()  # raw() waits for no other rank
        if self.rank == 0:
            os.sync()
            for path in self.folder.rglob("*"):
                if path.is_file():
                    descriptor = os.open(path, os.O_RDONLY)
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(descriptor)
            # Pages that were just freed come back quicker than others: give every method the same chance.
            time.sleep(1)
        self.dist.barrier()

    def measure(self, name: str, method: Callable[[], float | None]) -> dict[str, float]:
        self.prepare(name)
        begun = time.perf_counter()
        blocked = method()
        self.dist.barrier()
        seconds = time.perf_counter() - begun
        slowest = self.torch.tensor([seconds if blocked is None else blocked], dtype=self.torch.float64)
        self.dist.all_reduce(slowest, op=self.dist.ReduceOp.MAX)
        return {"seconds": seconds, "blocked": slowest.item()}


def be_rank(chosen: argparse.Namespace) -> None:
    warnings.filterwarnings("ignore")
    rank = Rank(chosen)
    if rank.rank == 0:
        for one in ("reference", "background"):
            shutil.copy(rank.folder / one / "owner.json", rank.folder.parent / f"{one}-owner.json")
    saves: dict[str, Callable[[], float | None]] = {
        "raw": rank.raw,
        "raw, again": rank.raw,
        "reference": rank.save_reference,
        "dcp.save": rank.save_dcp,
    }
    loads: dict[str, Callable[[], float | None]] = {name: getattr(rank, name) for name in LOADS}
    if rank.ranks == FULL:
        saves |= {
            "reference, background": rank.save_background,
            "dcp.async_save": rank.save_dcp_async,
            "torch.save": rank.save_torch,
        }
        if rank.rank == 0:  # as many bytes as all ranks have together
            numbers = rank.torch.rand(rank.total // 4 // 50)
            rank.whole = {str(name): numbers.clone() for name in range(50)}
    # The loads by themselves, afterwards: a disk that was just written to reads slowly for a while.
    passes = {"saves": {} if chosen.loads else saves, "loads": loads if rank.ranks == FULL else {}}
    order = random.Random(chosen.seed)
    rounds: list[dict[str, Any]] = [{"order": [], "load": os.getloadavg()[0]} for _ in range(chosen.rounds)]
    for what, methods in passes.items():
        for name, method in methods.items():  # once without counting: first touch of buffers, first imports
            rank.measure(name, method)
        for number, found in enumerate(rounds, 1):
            names = list(methods)
            order.shuffle(names)
            found["order"] += names
            for name in names:
                found[name] = rank.measure(name, methods[name])
            if methods and rank.rank == 0:
                say = f"{rank.ranks} ranks, {what}, round {number} of {chosen.rounds}"
                print(say, file=sys.stderr, flush=True)
    if rank.rank == 0:
        print(json.dumps({"bytes": rank.total, "rounds": rounds}))
    rank.dist.destroy_process_group()


# ---- the whole -------------------------------------------------------------------------------


def run_ranks(ranks: int, chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    place = Path(tempfile.mkdtemp(dir=folder))
    (place / "state").mkdir()
    words = [
        sys.executable,
        __file__,
        "--rank",
        "--folder",
        str(place / "state"),
        f"--rounds={chosen.rounds}",
    ]
    words += [f"--gigabytes={chosen.gigabytes}", f"--seed={chosen.seed}", *["--loads"] * chosen.loads]
    started = []
    try:
        for rank in range(ranks):
            settings = {"RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
            settings |= {"MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
            started.append(
                subprocess.Popen(words, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
            )
        out, _ = started[0].communicate(timeout=3600)
        if any(one.wait(60) for one in started):
            raise SystemExit("a rank failed; see above")
    finally:
        for one in started:
            with contextlib.suppress(ProcessLookupError):
                one.kill()
        shutil.rmtree(place)
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def ratios(rounds: list[dict[str, Any]]) -> dict[str, list[float]]:
    """How many times as fast, within each round."""

    def of(one: dict[str, Any], above: str, below: str, what: str = "seconds") -> float:
        return float(one[above]["seconds"] / one[below][what])

    found: dict[str, list[float]] = {}
    if "load_raw" in rounds[0]:
        found |= {
            "load, reference : dcp": [of(one, "load_dcp", "load_reference") for one in rounds],
            "load, reference : raw": [of(one, "load_raw", "load_reference") for one in rounds],
            "load, dcp : raw": [of(one, "load_raw", "load_dcp") for one in rounds],
        }
    if "raw" not in rounds[0]:
        return found
    found |= {
        "reference : dcp.save": [of(one, "dcp.save", "reference") for one in rounds],
        "reference : raw": [
            statistics.mean((one["raw"]["seconds"], one["raw, again"]["seconds"]))
            / one["reference"]["seconds"]
            for one in rounds
        ],
        "dcp.save : raw": [
            statistics.mean((one["raw"]["seconds"], one["raw, again"]["seconds"]))
            / one["dcp.save"]["seconds"]
            for one in rounds
        ],
        "raw : raw, again": [of(one, "raw, again", "raw") for one in rounds],
    }
    if "torch.save" in rounds[0]:
        found |= {
            "blocked by reference in background : torch.save": [
                1 / of(one, "torch.save", "reference, background", "blocked") for one in rounds
            ],
            "blocked by dcp.async_save : torch.save": [
                1 / of(one, "torch.save", "dcp.async_save", "blocked") for one in rounds
            ],
        }
    return found


def show(ranks: int, found: dict[str, Any]) -> dict[str, Any]:
    from rich.console import Console
    from rich.table import Table

    rounds = found["rounds"]
    gigabytes = found["bytes"] / 1e9
    table = Table(title=f"{ranks} ranks, {gigabytes:.2f} GB, N = {len(rounds)}")
    for heading in ("what", "seconds", "min", "max", "GB/s", "blocked"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name in sorted(set(rounds[0]) - {"order", "load"}):
        seconds = [one[name]["seconds"] for one in rounds]
        middle = statistics.median(seconds)
        blocked = statistics.median(one[name]["blocked"] for one in rounds)
        table.add_row(
            name,
            *(f"{value:.2f}" for value in (middle, min(seconds), max(seconds), gigabytes / middle, blocked)),
        )
    compared = Table(title="times as fast, within a round")
    for heading in ("what", "median", "min", "max"):
        compared.add_column(heading, justify="left" if heading == "what" else "right")
    values = ratios(rounds)
    for name, many in values.items():
        compared.add_row(name, *(f"{value:.3f}" for value in (statistics.median(many), min(many), max(many))))
    console = Console(width=110)
    console.print(table)
    console.print(compared)
    return {
        "gigabytes": round(gigabytes, 3),
        "median_ratios": {name: round(statistics.median(many), 3) for name, many in values.items()},
        "ratios": {name: [round(value, 3) for value in many] for name, many in values.items()},
        "rounds": [
            {
                name: {what: round(number, 3) for what, number in value.items()}
                if isinstance(value, dict)
                else value
                for name, value in one.items()
            }
            for one in rounds
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ranks", default="2,1,4")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to be measured")
    parser.add_argument("--loads", action="store_true", help="measure the loads only, on 2 ranks")
    parser.add_argument("--no-record", action="store_true", help="print only")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rank:
        be_rank(chosen)
        return
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} CPUs, Linux {platform.release()}",
        "nice": os.nice(0),
        "load_before": round(os.getloadavg()[0], 2),
        "ranks": {},
    }
    folder = Path(tempfile.mkdtemp(prefix="bench-checkpoint-", dir=chosen.folder))
    try:
        for ranks in [FULL] if chosen.loads else map(int, chosen.ranks.split(",")):
            record["ranks"][str(ranks)] = show(ranks, run_ranks(ranks, chosen, folder))
    finally:
        shutil.rmtree(folder)
    if chosen.no_record:
        return
    out = HERE / "results" / f"checkpoint{'-loads' * chosen.loads}-{record['date']}.json"
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
