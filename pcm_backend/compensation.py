"""The compensation of drift: factors of output lines, measured by known inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from .pairs import Pairs

_DEAD_US = 1e-9


class Compensation:
    """One factor per output line and slice that undoes drift, measured on one-hot inputs.

    The strength of a line is the root of its mean y^2 over one-hot inputs, in uS. The mean |y| of aihwkit
    (inference/compensation/drift.py) counts every row alike, but small conductances drift faster and carry little of
    the output: after a year it leaves weights 7 to 18 % too large, the root of the mean square 1 to 3 % too small.
    Assumption: this reading uses the full resolution of the converter, so it is not rounded.
    """

    def __init__(self, factor: Tensor, reference_us: Tensor) -> None:
        self.factor, self.reference_us = factor, reference_us  # (K, slices, lines, 1) each

    @classmethod
    def blank(cls, like: Tensor) -> Compensation:
        """Return factors of 1, of the shape and kind of `like`, and no reference yet."""
        return cls(torch.ones_like(like), torch.zeros_like(like))

    def take_reference(self, pairs: Pairs, n_reads: int) -> None:
        """Take the lines as they are now for the reference; every factor is 1."""
        self.reference_us = line_strength_us(pairs, n_reads)
        self.factor = torch.ones_like(self.reference_us)

    def measure(self, pairs: Pairs, n_reads: int) -> None:
        """Set every factor to reference over present strength; a line that conducts nothing keeps its own."""
        now = line_strength_us(pairs, n_reads)
        alive = (now > _DEAD_US) & (self.reference_us > _DEAD_US)
        self.factor = torch.where(alive, self.reference_us / now.clamp(min=_DEAD_US), self.factor)

    def rebase(self, pairs: Pairs, n_reads: int, lines: Tensor) -> None:
        """After a write on some lines, move their reference so that a measurement now would give the present factor."""
        now = line_strength_us(pairs, n_reads)
        self.reference_us = torch.where(lines, self.factor * now, self.reference_us)

    def repeat(self, n_copies: int) -> Compensation:
        """Return the factors of every chip's copies."""
        return Compensation(*(each.repeat_interleave(n_copies, 0) for each in (self.factor, self.reference_us)))

    def state_dict(self) -> dict[str, Tensor]:
        """Return factors and references."""
        return {"factor": self.factor.clone(), "reference_us": self.reference_us.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set factors and references."""
        self.factor = state["factor"].to(self.factor).clone()
        self.reference_us = state["reference_us"].to(self.factor).clone()


def line_strength_us(pairs: Pairs, n_reads: int) -> Tensor:
    """Measure the root mean square of every line over one-hot inputs, uS. Shape: (K, slices, lines, 1)."""
    mean, variance = pairs.moments()
    current = mean[:, :, 0] - mean[:, :, 1]
    if variance is not None:
        spread = ((variance[:, :, 0] + variance[:, :, 1]) / n_reads).sqrt_()
        current = current + spread * pairs.streams.normal(*current.shape[1:])
    return current.square().mean(-1, keepdim=True).sqrt()
