"""Fixed scales of what a library's learner sees and earns, measured once before its training and handed on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

CUT = 3.0
"""Scaled observations are cut to this: inputs of a crossbar must share one range with a hidden state of at most 1."""


class Scaling(NamedTuple):
    """How observations and rewards are scaled."""

    mean: Tensor  # (n_obs,)
    std: Tensor  # (n_obs,)
    reward: Tensor  # (), one over the spread of the discounted return

    def observe(self, observation: Tensor) -> Tensor:
        """Return scaled observations (..., n_obs)."""
        return ((observation - self.mean) / self.std).clamp(-CUT, CUT)

    def tensors(self) -> dict[str, Tensor]:
        """Return the arrays by the names that `scaling_of` reads."""
        return {f"scaling.{name}": value for name, value in zip(self._fields, self, strict=True)}


def scaling_of(tensors: Mapping[str, Tensor]) -> Scaling:
    """Return the scaling of a checkpoint."""
    return Scaling(*(tensors[f"scaling.{name}"] for name in Scaling._fields))
