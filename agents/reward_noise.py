"""Trials in software: the matrices of many arms, with crude stand-ins for a chip's noise where they are asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .bill import Bill
from .network import Reading
from .reward import RewardLearner


@dataclass(frozen=True)
class HardwareCfg:
    """What meta-training knows of the chip; all off by default."""

    write_noise: float = 0.0
    """Standard deviation of what each write leaves in the head, as a share of the largest weight of each output."""
    read_noise: float = 0.0
    """Standard deviation of the noise with which each feature is read at each step."""
    write_cost: float = 0.0
    """Cost in the loss of a lesson whose increments add up, in absolute value, to the largest weight of each output."""

    def __post_init__(self) -> None:
        """Refuse what is no spread or cost."""
        for name in self.__dataclass_fields__:
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")


def span_of(head: Tensor) -> Tensor:
    """Return the largest weight of each output over all arms, (J, 1), of heads (N, J, D); at least .001."""
    return head.detach().abs().amax(dim=(0, 2))[:, None].clamp(min=1e-3)


class NoisySubstrate:
    """Float matrices whose noise is drawn once and kept, so that the outer loop can go through the same trial again."""

    def __init__(self, learner: RewardLearner, n_arms: int, cfg: HardwareCfg, generator: torch.Generator) -> None:
        """Give every arm the head that meta-training begins lessons with."""
        self._learner, self._cfg, self._generator = learner, cfg, generator
        self.weights = learner.head.detach().expand(n_arms, -1, -1).clone()
        self._read: list[Tensor] = []
        self._left: list[Tensor] = []

    def fixed(self, x: Tensor) -> Reading:
        """Read the fixed layers for (N, T, n_inputs); the constant feature has no noise, being an input line."""
        reading = self._learner.fixed(x)
        if self._cfg.read_noise == 0.0:
            return reading
        drawn = self._cfg.read_noise * torch.randn(reading.features.shape, generator=self._generator)
        drawn[..., -1] = 0.0
        self._read.append(drawn)
        return Reading(reading.features + drawn, reading.command)

    def head(self, features: Tensor) -> Tensor:
        """Read the heads."""
        return features @ self.weights.transpose(-1, -2)

    def write(self, increment: Tensor) -> None:
        """Add the increments, and what a write leaves."""
        self.weights = self.weights + increment
        if self._cfg.write_noise > 0.0:
            drawn = torch.randn(increment.shape, generator=self._generator)
            self._left.append(self._cfg.write_noise * span_of(self.weights) * drawn)
            self.weights = self.weights + self._left[-1]

    def read_noise(self, n_episodes: int) -> Tensor | None:
        """Return the noise of the features so far, (N, n_episodes, T, D), None where there was none."""
        return torch.cat(self._read, dim=1).unflatten(1, (n_episodes, -1)) if self._read else None

    def write_noise(self) -> Tensor | None:
        """Return the noise that the writes left, (N, writes, J, D), None where there was none."""
        return torch.stack(self._left, dim=1) if self._left else None

    def bill(self) -> Bill:
        """Return zeros: software is not billed."""
        return Bill.nothing(self.weights.shape[0])

    def digital(self, name: str, count: float) -> None:
        """Book nothing."""
