"""The problem: what is an asteroid, judged by how its brightness changes while it turns?

Three kinds: a body that spins about one axis, one that tumbles about two, and a pair that
eclipse each other. The curves are computed on the spot, so nothing is downloaded.

``LightCurves`` answers ``curves[epoch, index]``. Everything random in a sample comes from the
seed, the epoch and the index, and from nothing else: however many processes or loader workers there
are, and wherever a run was interrupted, the same key gives the same bits.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

KINDS = ("spinning", "tumbling", "binary")
POINTS = 64  # measurements in one curve


class LightCurves(Dataset[tuple[Tensor, Tensor]]):
    """``samples`` asteroids; a new observation, with new noise, of each in every epoch."""

    def __init__(self, samples: int, seed: int, noise: float = 0.4) -> None:
        self.samples, self.seed, self.noise = samples, seed, noise

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The curve (``POINTS`` values) and the number of its kind."""
        epoch, index = key
        kind = index % len(KINDS)
        body = np.random.default_rng([self.seed, index])
        time = np.linspace(0, 1, POINTS, dtype=np.float32)
        turns = body.uniform(2, 6)
        phase = 2 * np.pi * (turns * time + body.random())
        curve = 0.5 * np.cos(2 * phase)  # an elongated body shows its long side twice a turn
        if KINDS[kind] == "tumbling":
            curve = curve + 0.5 * np.cos(body.uniform(0.5, 0.9) * phase + body.uniform(0, 2 * np.pi))
        elif KINDS[kind] == "binary":
            curve = 0.3 * curve - np.exp(-50 * (np.modf(turns * time / 2 + body.random())[0] - 0.5) ** 2)
        observation = np.random.default_rng([self.seed, index, epoch + 1])
        curve = curve + self.noise * observation.standard_normal(POINTS)
        return torch.from_numpy(curve.astype(np.float32)), torch.tensor(kind)


class Block(nn.Module):
    """A residual block. FSDP shards the network block by block."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Classifier(nn.Module):
    """``layers`` blocks of ``width`` units: about 2 * layers * width**2 parameters."""

    def __init__(self, width: int, layers: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.Linear(POINTS, width)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(layers))
        self.last = nn.Linear(width, len(KINDS))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


def width_for(parameters: int, layers: int) -> int:
    """The width with which ``layers`` blocks have about ``parameters`` parameters."""
    return max(8, round(math.sqrt(parameters / (2 * layers)) / 8) * 8)
