"""Batches in a random order, with a position that can be saved and taken up again.

    batches = Batches(dataset, batch=240, seed=0, rank=rank, world_size=world_size)
    while batches.epoch < 20:
        for curves, kinds in batches:    what is left of this epoch
            ...
        batches.next_epoch()

A batch is that of all ranks together, and each takes its slice of it. So the position is the same number on every
rank, and it means the same when a run goes on with another number of ranks. (A loader whose ranks each walk
through a share of their own, as with DistributedSampler, has a position for each rank, and these
cannot be handed to fewer or more ranks.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class Batches:
    """The batches of one epoch after another."""

    def __init__(
        self,
        dataset: Dataset[Any],
        batch: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
    ) -> None:
        if batch % world_size:
            raise ValueError(f"a batch of {batch} cannot be shared evenly by {world_size} processes")
        self.dataset, self.batch, self.seed, self.workers = dataset, batch, seed, workers
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.position = 0  # batches of this epoch that were handed out

    def __len__(self) -> int:
        """Batches in an epoch; samples that do not fill one are left out."""
        return len(self.dataset) // self.batch

    def __iter__(self) -> Iterator[Any]:
        """The batches that are left of this epoch."""
        loader = DataLoader(
            self.dataset,
            batch_sampler=self._keys(),
            num_workers=self.workers,
            # Of its own: without one, each new iterator draws a number from torch's global generator, and a run
            # that was resumed in the middle of an epoch would have drawn once more than one that was not.
            generator=torch.Generator(),
        )
        for samples in loader:
            # Counted here, where a batch is handed out, and not in the sampler: worker processes
            # fetch several batches ahead, and those would be lost to a resumed run.
            self.position += 1
            yield samples

    def _keys(self) -> list[list[tuple[int, int]]]:
        """For each batch that is left, the keys (epoch, index) of this rank's slice."""
        # A generator for each epoch, so that the order of any epoch can be had without the ones before.
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.dataset))
        share = self.batch // self.world_size
        first = self.rank * share
        return [
            [(self.epoch, int(index)) for index in order[start + first : start + first + share]]
            for start in range(self.position * self.batch, len(self) * self.batch, self.batch)
        ]

    def next_epoch(self) -> None:
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """What a checkpoint keeps: ready for JSON, the same on every rank."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where ``state`` was taken; the next ``for`` begins there."""
        self.epoch, self.position = state["epoch"], state["position"]
