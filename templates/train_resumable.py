"""Train a network on light curves of asteroids, so that the training survives whatever ends it.

    python train_resumable.py --checkpoints run1                        one process
    torchrun --standalone --nproc-per-node=2 train_resumable.py         several, started by torchrun
    srun --ntasks-per-node=2 python train_resumable.py --parallel=fsdp  several, started by Slurm

Run the same command again and it goes on from its last checkpoint. **The losses and the weights are
those of a run that was never interrupted, bit for bit**, as long as the number of processes and the kind of
processor are the same; with others it goes on from the same weights and agrees but for rounding.

Exit codes: 0 finished (``--out`` is there); 75 stopped because it was asked to, and all is saved: run it again;
78 of no use to run it again as it is (the last line says why). Any other is a crash, and another attempt may help.

Beside it: lightcurves.py (the problem), loader.py (place in the data), state.py (what a training consists of),
checkpoint.py, storage.py and blocks.py (onto the disk), lock.py, stop.py (signals), attempts.py (the story of the run),
and train.py of module 01 for the rest.
"""

from __future__ import annotations

from stop import AGAIN, GIVE_UP, StopFlag

# Before torch is imported, which takes seconds: till somebody listens, SIGUSR1 ends a program.
stop = StopFlag() if __name__ == "__main__" else StopFlag(signals=())

import argparse  # noqa: E402
import hashlib  # noqa: E402
import math  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from datetime import timedelta  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from attempts import Story  # noqa: E402
from checkpoint import Checkpoints, NothingLoads, Problem, SaveFailed  # noqa: E402
from lightcurves import POINTS, Classifier, LightCurves, width_for  # noqa: E402
from loader import Batches  # noqa: E402
from state import TrainingState, seed_everything  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.fsdp import fully_shard  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402
from train import Place, choose_device, find_place, leave, mean_over_ranks, write_result  # noqa: E402

MODULES = ("train_resumable", "lightcurves", "loader", "state", "train")  # what decides about the numbers
# These make another training of it; a checkpoint of another training is refused.
SAME = ("lr", "width", "layers", "dropout", "epochs", "batch", "samples", "seed", "precision")


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train on light curves of asteroids, and survive.")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="folder of this run")
    parser.add_argument(
        "--save-every", type=int, default=20, help="steps between two saves; 0: only at the end"
    )
    parser.add_argument("--keep", type=int, default=2, help="how many checkpoints to keep")
    parser.add_argument("--background", action="store_true", help="go on training while a save is written")
    parser.add_argument(
        "--attempts", type=int, default=5, help="give up after so many without progress; 0: never"
    )
    parser.add_argument("--parallel", choices=("ddp", "fsdp"), default="ddp", help="with several processes")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--lr", type=float, default=0.003, help="highest learning rate")
    parser.add_argument("--width", type=int, default=64, help="units in a layer")
    parser.add_argument("--layers", type=int, default=2, help="blocks of two layers")
    parser.add_argument("--parameters", type=int, default=0, help="instead of --width: about so many")
    parser.add_argument("--dropout", type=float, default=0.1, help="part of the units left out in each step")
    parser.add_argument("--epochs", type=int, default=10, help="how often to go through the data")
    parser.add_argument("--batch", type=int, default=96, help="samples a step, all processes together")
    parser.add_argument("--samples", type=int, default=1920, help="training samples")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random")
    parser.add_argument("--out", type=Path, default=Path("result.json"), help="where the result goes")
    options = parser.parse_args(words)
    if options.parameters:
        options.width = width_for(options.parameters, options.layers)
    return options


def main() -> None:
    options = parse_arguments()
    if options.out.exists():
        # A job that was requeued although it had finished must not begin once more.
        print(f"{options.out} is there: this run is finished", flush=True)
        return
    place = find_place()
    device = choose_device(place)
    make_deterministic()
    if options.batch % place.world_size:
        print(
            f"--batch {options.batch} cannot be shared evenly by {place.world_size} processes",
            file=sys.stderr,
        )
        sys.exit(GIVE_UP)
    if place.world_size > 1:
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            rank=place.rank,
            world_size=place.world_size,
            timeout=timedelta(minutes=5),
            device_id=device if device.type == "cuda" else None,
        )
    try:
        code = 0 if train(options, place, device) else AGAIN
    except (Problem, NothingLoads, SaveFailed) as problem:  # the same on every rank
        code = GIVE_UP
        if place.rank == 0:
            print(f"error: {problem}", file=sys.stderr, flush=True)
    # Not after other errors: a rank that fails simply ends, and its launcher stops the others.
    leave(code, place)


def make_deterministic() -> None:
    """Equal input gives equal bits. On GPUs that costs some speed; leave it out where rounding may differ."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def build(options: argparse.Namespace, place: Place, device: torch.device) -> TrainingState:
    """The training at its first step."""
    seed_everything([options.seed])  # the same first weights on every rank
    model: nn.Module = Classifier(options.width, options.layers, options.dropout).to(device)
    if place.world_size > 1 and options.parallel == "fsdp":
        # Each rank keeps its part of each block, with the optimizer's moments for it.
        mesh = init_device_mesh(device.type, (place.world_size,))
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    elif place.world_size > 1:
        model = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
    settle(model, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr)
    batches = Batches(
        LightCurves(options.samples, options.seed),
        options.batch,
        options.seed,
        place.rank,
        place.world_size,
        options.workers,
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.lr, total_steps=options.epochs * len(batches) + 1
    )
    scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "float16")
    state = TrainingState(
        model, optimizer, scheduler, scaler, batches, place.rank, place.world_size, options.seed
    )
    # From here on, for dropout, each rank has its own random numbers.
    seed_everything([options.seed, 0, place.rank, place.world_size])
    return state


class Run:
    """A training, its checkpoints and its story."""

    def __init__(self, options: argparse.Namespace, place: Place, device: torch.device) -> None:
        self.options, self.place, self.device = options, place, device
        self.story = Story(options.checkpoints, writes=place.rank == 0)
        self.checkpoints = Checkpoints(
            options.checkpoints, keep=options.keep, background=options.background, note=self.story.note
        )
        self.state = build(options, place, device)
        self.saved = -1  # the step that was saved last
        self.about: dict[str, Any] = {
            "options": {name: getattr(options, name) for name in SAME},
            "code": code_version(),
            "torch": torch.__version__,
            "processor": processor(device),
        }

    def resume(self) -> None:
        """Go back to where the last attempt came to, if there was one."""
        found = self.checkpoints.load(self.tensors_for)
        if found:
            self.state.restore(found.tensors, found.facts)
            self.saved = self.state.step
            self.compare(found.facts)
        ranks = self.place.world_size
        self.checkpoints.on_rank_0(
            lambda: self.story.begin(
                self.state.step, self.options.attempts, world_size=ranks, processor=self.about["processor"]
            )
        )
        where = f"goes on after step {self.state.step}" if found else "begins"
        self.say(f"attempt {self.story.attempt} {where}, on {ranks} x {self.device}")

    def tensors_for(self, facts: dict[str, Any]) -> dict[str, Any]:
        """What to load from a checkpoint with these ``facts``; NothingLoads if it is not one of this training."""
        then, now = facts["about"]["options"], self.about["options"]
        differ = [f"--{name}={then[name]}, now {now[name]}" for name in SAME if then[name] != now[name]]
        if differ:
            raise NothingLoads(f"{self.options.checkpoints} belongs to another training: {'; '.join(differ)}")
        return self.state.tensors(saved_by=facts["world_size"])

    def compare(self, facts: dict[str, Any]) -> None:
        """Say what may keep this run from giving the same bits."""
        for what in ("code", "torch", "processor"):
            then, now = facts["about"].get(what, "another"), self.about[what]
            if then != now:
                self.say(f"note: saved with {what} {then}, and this is {now}; the results may differ")
        then, now = facts["world_size"], self.place.world_size
        if then != now:
            self.say(
                f"note: saved by {then} processes, and these are {now}. Weights and place in the data are the"
                " same; dropout and rounding are not, so the losses agree only nearly"
            )

    def save(self) -> None:
        if self.saved != self.state.step:
            self.checkpoints.save(
                self.state.step, self.state.tensors(), self.state.facts() | {"about": self.about}
            )
            self.saved = self.state.step

    def save_if_possible(self) -> None:
        """In the middle of a run a save that fails is no reason to end it."""
        try:
            self.save()
        except SaveFailed as problem:
            self.say(f"warning: {problem}")

    def say(self, text: str) -> None:
        if self.place.rank == 0:
            print(text, flush=True)


def settle(model: nn.Module, device: torch.device) -> None:
    """Bring ``model`` into the shape that it has in all steps but its first.

    After its first backward pass DistributedDataParallel sorts the gradients into new buckets, and with them changes
    the order in which those of many ranks are added up. An attempt that resumes would add its first step up in
    the old order: other last bits, and from there on another run. With two ranks nobody sees it, since a + b = b + a.
    """
    for _ in range(2):
        model(torch.zeros(2, POINTS, device=device)).sum().backward()
    model.zero_grad()


def train(options: argparse.Namespace, place: Place, device: torch.device) -> bool:
    """Train from wherever the last attempt came to. True: to the end; False: stopped, and saved."""
    run = Run(options, place, device)
    run.resume()
    reason = stop.agreed(device) or run_epochs(run)
    try:
        run.checkpoints.wait()
    except SaveFailed as problem:
        run.say(f"warning: {problem}")
        run.saved = -1
    run.save()
    run.checkpoints.wait()
    if reason:
        run.story.note("stop", step=run.state.step, reason=reason)
        run.say(
            f"stopped by {reason} after step {run.state.step}; all is saved, run the same command to go on"
        )
        return False
    finish(run)
    return True


def run_epochs(run: Run) -> str:
    """Train to the end, or until a signal says stop; its name, or ""."""
    state, options = run.state, run.options
    while state.batches.epoch < options.epochs:
        for curves, kinds in state.batches:
            began = time.monotonic()
            loss = train_step(run, curves, kinds)
            state.step += 1
            run.story.step(state.step, loss, time.monotonic() - began)
            if not math.isfinite(loss):
                raise Problem(f"step {state.step}: the loss is {loss}; try a smaller --lr")
            if reason := stop.agreed(run.device):
                return reason
            if options.save_every and state.step % options.save_every == 0:
                run.save_if_possible()
        loss_now = evaluate(run)
        if loss_now is None:  # a signal came: this evaluation is made by the next attempt
            return stop.agreed(run.device)
        state.best = min(loss_now, state.best or math.inf)
        state.batches.next_epoch()
        run.say(
            f"epoch {state.batches.epoch} of {options.epochs}: loss {loss_now:.4f}, best {state.best:.4f}"
        )
    return ""


def train_step(run: Run, curves: Tensor, kinds: Tensor) -> float:
    """One step; the mean loss of all ranks."""
    state = run.state
    state.model.train()
    loss = batch_loss(run, curves, kinds)
    state.optimizer.zero_grad()
    state.scaler.scale(loss).backward()  # ranks average their gradients in here
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.scheduler.step()
    return mean_over_ranks(loss.detach().double(), run.place.world_size)


def batch_loss(run: Run, curves: Tensor, kinds: Tensor) -> Tensor:
    precision = run.options.precision
    with torch.autocast(run.device.type, getattr(torch, precision), enabled=precision != "float32"):
        scores = run.state.model(curves.to(run.device))
        return nn.functional.cross_entropy(scores.float(), kinds.to(run.device))


@torch.no_grad()
def evaluate(run: Run) -> float | None:
    """The mean loss on curves that were not trained on; None if a signal came meanwhile."""
    options, place = run.options, run.place
    others = LightCurves(max(options.samples // 4, options.batch), options.seed + 1)
    batches = Batches(others, options.batch, options.seed, place.rank, place.world_size)
    run.state.model.eval()
    total = torch.zeros((), dtype=torch.float64, device=run.device)
    for curves, kinds in batches:
        total += batch_loss(run, curves, kinds)
        if stop.agreed(run.device):  # an evaluation can be long, and the others must not wait in it
            return None
    return mean_over_ranks(total, place.world_size) / len(batches)


def finish(run: Run) -> None:
    """Write the result."""
    whole = get_model_state_dict(
        run.state.model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    if run.place.rank == 0:
        run.story.note("finish", step=run.state.step)
        result = {
            "options": run.about["options"],
            "step": run.state.step,
            "loss": run.state.best,
            "weights": fingerprint(whole),
            "history": run.story.losses(),
            "attempts": run.story.attempt,
            "world_size": run.place.world_size,
            "job": os.environ.get("SLURM_JOB_ID", ""),
        }
        write_result(result, run.options.out)
        run.say(f"finished after {run.state.step} steps: loss {run.state.best:.4f}; wrote {run.options.out}")


def fingerprint(tensors: dict[str, Tensor]) -> str:
    """A short digest of tensors: equal digests mean equal bits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def processor(device: torch.device) -> str:
    """What computes, and with which instructions: another one may round differently."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    names = [
        value.strip()
        for name, _, value in (line.partition(":") for line in cpus)
        if name.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def code_version() -> str:
    """A digest of the files that decide about the numbers."""
    digest = hashlib.sha256()
    for name in MODULES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
