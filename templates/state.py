"""Everything that a training consists of while it runs, so that it can go on as if nothing had happened.

Tensors go to DCP: the weights, the optimizer's moments, the state of the random generators. The rest are
facts, small enough for JSON: step, epoch, place in the data, learning rate schedule, loss scale, best loss.
Leave out one of them and the run goes on, but it is another run; some of that shows only much later.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from loader import Batches
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)


class TrainingState:
    """The parts of a training. ``model`` may be plain, in DistributedDataParallel, or sharded by FSDP."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        scaler: torch.amp.GradScaler,
        batches: Batches,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
    ) -> None:
        self.model, self.optimizer, self.scheduler, self.scaler = model, optimizer, scheduler, scaler
        self.batches, self.rank, self.world_size, self.seed = batches, rank, world_size, seed
        self.step = 0
        self.best: float | None = None  # the smallest loss in an evaluation so far
        # The optimizer's moments must be there before they can be saved or filled. torch makes them in this call, by a
        # step with gradients and learning rate 0, and counts it: uncounted again here, or a run that is
        # saved before its first step would go on with another bias correction.
        get_optimizer_state_dict(model, optimizer)
        for moments in optimizer.state.values():
            if "step" in moments:
                moments["step"].zero_()

    def tensors(self, saved_by: int | None = None) -> dict[str, Any]:
        """All tensors, by name: not copies, so DCP can fill them. ``saved_by``: the ranks of the run that saved."""
        found = {
            # These two know about "module." in front of DDP's names and about FSDP's shards.
            "model": get_model_state_dict(self.model),
            "optimizer": get_optimizer_state_dict(self.model, self.optimizer)["state"],
        }
        if saved_by in (None, self.world_size):
            # The rank is in the name. Under one name for all, DCP would take these for copies of one
            # tensor and keep that of one rank only.
            found[f"random.rank{self.rank}"] = random_state()
        return found

    def facts(self) -> dict[str, Any]:
        """The rest, ready for JSON; the same on every rank."""
        groups = get_optimizer_state_dict(self.model, self.optimizer)["param_groups"]
        return {
            "step": self.step,
            "best": self.best,
            "world_size": self.world_size,
            "loader": self.batches.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "param_groups": groups,
        }

    def restore(self, tensors: dict[str, Any], facts: dict[str, Any]) -> None:
        """Take up what ``tensors()`` and ``facts()`` gave."""
        set_model_state_dict(self.model, tensors["model"])
        set_optimizer_state_dict(
            self.model,
            self.optimizer,
            {"state": tensors["optimizer"], "param_groups": facts["param_groups"]},
        )
        self.scheduler.load_state_dict(facts["scheduler"])
        self.scaler.load_state_dict(facts["scaler"])
        self.batches.load_state_dict(facts["loader"])
        self.step, self.best = facts["step"], facts["best"]
        mine = tensors.get(f"random.rank{self.rank}")
        if mine is not None:
            set_random_state(mine)  # last: whatever was made above may have drawn numbers
        else:
            # Saved by another number of ranks, whose states cannot be shared out. New ones, but not by chance.
            seed_everything([self.seed, self.step, self.rank, self.world_size])


def seed_everything(entropy: list[int]) -> None:
    """Start Python's, NumPy's and torch's generators from ``entropy``."""
    first, second, third = (int(word) for word in np.random.SeedSequence(entropy).generate_state(3))
    random.seed(first)
    np.random.seed(second)
    torch.manual_seed(third)  # that of the GPU too


def random_state() -> dict[str, Tensor]:
    """The state of all generators, as tensors of fixed sizes: nothing has to be unpickled."""
    _, words, gauss = random.getstate()
    numpy: dict[str, Any] = np.random.get_state(legacy=False)
    twister = numpy["state"]
    found = {
        "python": torch.tensor(words),
        "numpy": torch.tensor([*twister["key"].tolist(), twister["pos"], numpy["has_gauss"]]),
        # Normal numbers are made in pairs; each keeps the second for the next call.
        "gauss": torch.tensor(
            [float("nan") if gauss is None else gauss, numpy["gauss"]], dtype=torch.float64
        ),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def set_random_state(found: dict[str, Tensor]) -> None:
    gauss, second = found["gauss"].tolist()
    random.setstate((3, tuple(found["python"].tolist()), None if gauss != gauss else gauss))
    *key, position, has_gauss = found["numpy"].tolist()
    twister = {"key": np.array(key, np.uint32), "pos": position}
    np.random.set_state(
        {"bit_generator": "MT19937", "state": twister, "has_gauss": has_gauss, "gauss": second}
    )
    torch.set_rng_state(found["torch"])
    if "cuda" in found:
        torch.cuda.set_rng_state(found["cuda"])
