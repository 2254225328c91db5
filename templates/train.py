"""Train a small network to tell spirals apart: on a CPU, on a GPU, or on many of either.

    python train.py --out result.json                       one process
    torchrun --standalone --nproc-per-node=2 train.py       data parallel, started by torchrun
    srun --nodes=2 --ntasks-per-node=2 python train.py      data parallel, started by Slurm

The file is the same for all of them. Who started it shows in the environment, and so does
whether there is a GPU. The data are made on the spot, so nothing is downloaded.

Each step uses ``--batch`` samples however many processes share them, so the number of processes
changes the speed and not the result (but for rounding).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

CLASSES = 3


@dataclass(frozen=True)
class Place:
    """Which process of how many this is, and where they meet."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # the number among the processes of this node
    launcher: str = "none"


def find_place() -> Place:
    """Read this process's place from what its launcher set, and complete the environment for torch."""
    env = os.environ
    if "TORCHELASTIC_RUN_ID" in env:
        return Place(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env["LOCAL_RANK"]), "torchrun")
    # SLURM_NTASKS will not do: a batch script has it too, and a plain `python train.py` in there
    # would wait for ever for tasks that nobody started. Only srun sets SLURM_STEP_NUM_TASKS.
    tasks = int(env.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks == 1:
        return Place()
    nodes = env["SLURM_STEP_NODELIST"]
    first = subprocess.run(
        ["scontrol", "show", "hostnames", nodes], check=True, capture_output=True, text=True
    ).stdout.split()[0]
    env.setdefault("MASTER_ADDR", first)  # rank 0 runs on a step's first node
    # A port of one's own: two jobs on one node must not meet. Below 32768, where Linux begins to
    # hand out ports to anybody.
    port = 20000 + (int(env["SLURM_JOB_ID"]) * 10 + int(env["SLURM_STEP_ID"])) % 10000
    env.setdefault("MASTER_PORT", str(port))
    return Place(int(env["SLURM_PROCID"]), tasks, int(env["SLURM_LOCALID"]), "srun")


def leave(code: int, place: Place) -> NoReturn:
    """End this process with ``code``, when all ranks have come to their end; what is to last is on disk.

    Several ranks end at once, without what Python tidies up at its end, and without destroy_process_group(). In both gloo's
    destructor may wait for a thread that waits for Python, for ever: rare, and seen with torch 2.13
    (https://github.com/pytorch/pytorch/issues/56297).
    """
    if place.world_size > 1:
        try:
            # Together: some launchers stop all ranks when the first one ends with a code other than 0.
            dist.barrier()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    # Ending, Python takes our handlers away, and a late warning would kill.
    for number in (signal.SIGUSR1, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def choose_device(place: Place) -> torch.device:
    """This process's own GPU, or the CPU where torch sees no GPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    # The remainder is for --gpus-per-task=1, where each process sees one GPU only, as number 0.
    device = torch.device("cuda", place.local_rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def make_spirals(samples: int, seed: int) -> TensorDataset:
    """``samples`` points on three spiral arms with some noise; the arm is the class."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(samples) % CLASSES
    radius = torch.rand(samples, generator=generator)
    angle = 2 * math.pi * (label / CLASSES + radius) + 0.15 * torch.randn(samples, generator=generator)
    points = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    return TensorDataset(points, label)


def make_model(width: int) -> nn.Module:
    """A network with two hidden layers of ``width`` units."""
    return nn.Sequential(
        nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)
    )


def mean_over_ranks(value: Tensor, world_size: int) -> float:
    """The mean of ``value`` over all processes."""
    if world_size > 1:
        dist.all_reduce(value)
    return value.item() / world_size


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, ...]],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> Tensor:
    """Go through the data once; the mean loss of this process's share."""
    model.train()
    total = torch.zeros((), device=device)
    for points, label in loader:
        loss = nn.functional.cross_entropy(model(points.to(device)), label.to(device))
        optimizer.zero_grad()
        loss.backward()  # with several processes, their gradients are averaged in here
        optimizer.step()
        total += loss.detach()
    return total / len(loader)


@torch.no_grad()
def evaluate(model: nn.Module, dataset: TensorDataset, device: torch.device) -> tuple[float, float]:
    """Loss and accuracy (0 to 1) on ``dataset``."""
    model.eval()
    points, label = (part.to(device) for part in dataset.tensors)
    scores = model(points)
    loss = nn.functional.cross_entropy(scores, label)
    right = int((scores.argmax(dim=1) == label).sum())
    return loss.item(), right / len(label)


def fingerprint(model: nn.Module) -> str:
    """A short digest of all weights: equal digests mean equal bits."""
    digest = hashlib.sha256()
    for weights in model.state_dict().values():
        digest.update(weights.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def write_result(result: dict[str, Any], path: Path) -> None:
    """Write ``result`` as JSON whole or not at all: a job that is killed leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small network to tell spirals apart.")
    parser.add_argument("--lr", type=float, default=0.03, help="learning rate")
    parser.add_argument("--width", type=int, default=32, help="units in each of the two hidden layers")
    parser.add_argument("--epochs", type=int, default=20, help="how often to go through the data")
    parser.add_argument("--batch", type=int, default=240, help="samples a step, all processes together")
    parser.add_argument("--samples", type=int, default=1200, help="training samples")
    parser.add_argument("--seed", type=int, default=0, help="of the data, their order and the first weights")
    parser.add_argument("--out", type=Path, default=Path("result.json"), help="where the result goes")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    place = find_place()
    device = choose_device(place)
    parallel = place.world_size > 1
    if parallel and options.batch % place.world_size:
        raise SystemExit(f"--batch {options.batch} cannot be shared evenly by {place.world_size} processes")
    print(
        f"rank {place.rank} of {place.world_size} (local rank {place.local_rank}) on {socket.gethostname()}"
        f" uses {device}, CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}\n",
        end="",  # text and line end in one piece: torchrun's processes are unbuffered, and lines would mix
        flush=True,  # into a file Python writes late, and a job that is killed would say nothing
    )
    if place.rank == 0 and device.type == "cpu" and os.environ.get("CUDA_VISIBLE_DEVICES"):
        print("note: Slurm gave GPUs to this job, but torch sees none; training on the CPU", flush=True)
    if parallel:
        # How long a rank waits for one that is late or dead. gloo's default is half an hour.
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            rank=place.rank,
            world_size=place.world_size,
            timeout=timedelta(minutes=5),
            device_id=device if device.type == "cuda" else None,
        )
    result = train(options, place, device)
    if place.rank == 0:
        write_result(result, options.out)
        print(f"wrote {options.out}", flush=True)
    # Not in a `finally`: a rank that fails simply ends, and its launcher stops the others.
    leave(0, place)


def train(options: argparse.Namespace, place: Place, device: torch.device) -> dict[str, Any]:
    """Train and evaluate; what came of it, ready for JSON, the same on all ranks."""
    started = time.monotonic()
    torch.manual_seed(options.seed)  # the same first weights on every rank
    model: nn.Module = make_model(options.width).to(device)
    train_set = make_spirals(options.samples, options.seed)
    test_set = make_spirals(600, options.seed + 1)
    # With one process the sampler takes everything; with several, each takes its share of every batch.
    sampler: DistributedSampler[tuple[Tensor, ...]] = DistributedSampler(
        train_set, num_replicas=place.world_size, rank=place.rank, seed=options.seed
    )
    loader = DataLoader(train_set, batch_size=options.batch // place.world_size, sampler=sampler)
    if place.world_size > 1:
        model = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)

    history: list[float] = []
    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)  # without it every epoch has the same order
        loss = train_one_epoch(model, loader, optimizer, device)
        history.append(mean_over_ranks(loss, place.world_size))
        if not math.isfinite(history[-1]):
            raise SystemExit(f"epoch {epoch + 1}: the loss is {history[-1]}; try a smaller --lr")
        if place.rank == 0 and (epoch % 10 == 9 or epoch + 1 == options.epochs):
            print(f"epoch {epoch + 1} of {options.epochs}: training loss {history[-1]:.4f}", flush=True)

    plain = model.module if isinstance(model, DistributedDataParallel) else model
    test_loss, accuracy = evaluate(plain, test_set, device)
    here = asdict(place) | {
        "host": socket.gethostname(),
        "device": str(device),
        "weights": fingerprint(plain),
    }
    ranks: list[Any] = [here]
    if place.world_size > 1:
        ranks = [None] * place.world_size
        dist.all_gather_object(ranks, here)
    if place.rank == 0:
        print(f"test loss {test_loss:.4f}, accuracy {accuracy:.3f}", flush=True)
    return {
        "lr": options.lr,
        "width": options.width,
        "epochs": options.epochs,
        "batch": options.batch,
        "samples": options.samples,
        "seed": options.seed,
        "train_loss": history[-1] if history else None,
        "test_loss": test_loss,
        "accuracy": accuracy,
        "history": history,
        "seconds": round(time.monotonic() - started, 3),
        "torch": torch.__version__,
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "array_job": os.environ.get("SLURM_ARRAY_JOB_ID", ""),
        "array_task": os.environ.get("SLURM_ARRAY_TASK_ID", ""),
        "ranks": ranks,
    }


if __name__ == "__main__":
    main()
