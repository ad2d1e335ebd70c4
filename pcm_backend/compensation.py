"""The compensation of drift: factors of output lines, measured by known inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import Compensated
from .pairs import Pairs

_DEAD_US = 1e-9


class Compensation:
    """Factors that undo drift, measured on one-hot inputs: one per output line, slice and core of rows, or one for all.

    The strength of a line is the root of its mean y^2 over one-hot inputs, in uS. The mean |y| of aihwkit
    (inference/compensation/drift.py) counts every row alike, but small conductances drift faster and carry little of
    the output: after a year it leaves weights 7 to 18 % too large, the root of the mean square 1 to 3 % too small.
    The global factor is aihwkit's own: mean |y| over all rows and lines, of each slice by itself.
    Assumption: this reading uses the full resolution of the converter, so it is not rounded, and its gain is taken out.
    """

    def __init__(self, factor: Tensor, reference_us: Tensor, blocks: tuple[slice, ...], kind: Compensated) -> None:
        self.factor, self.reference_us = factor, reference_us  # (K, slices, lines, blocks) each
        self.blocks = blocks
        self.kind: Compensated = kind

    @classmethod
    def blank(cls, like: Tensor, blocks: tuple[slice, ...], kind: Compensated) -> Compensation:
        """Return factors of 1 and no reference yet.

        Args:
            like: Shape (K, slices, lines, 1).
            blocks: Which rows lie on which core.
            kind: What shares a factor.
        """
        factor = torch.ones_like(like).repeat(1, 1, 1, len(blocks))
        return cls(factor, torch.zeros_like(factor), blocks, kind)

    def of_rows(self) -> Tensor:
        """Return the factor of every row: (K, slices, lines, rows), or (..., 1) where all rows lie on one core."""
        if len(self.blocks) == 1:
            return self.factor
        counts = torch.tensor([each.stop - each.start for each in self.blocks], device=self.factor.device)
        return self.factor.repeat_interleave(counts, -1)

    def of_currents(self) -> Tensor:
        """Return the factor of every current, as a read lays them out. Shape: (K, slices x blocks x lines)."""
        return self.factor.transpose(2, 3).flatten(1)

    def take_reference(self, pairs: Pairs, n_reads: int) -> None:
        """Take the lines as they are now for the reference; every factor is 1."""
        if self.kind != "none":
            self.reference_us = self._strength_us(pairs, n_reads)
        self.factor = torch.ones_like(self.reference_us)

    def measure(self, pairs: Pairs, n_reads: int) -> None:
        """Set every factor to reference over present strength; a line that conducts nothing keeps its own."""
        if self.kind == "none":
            return
        now = self._strength_us(pairs, n_reads)
        alive = (now > _DEAD_US) & (self.reference_us > _DEAD_US)
        self.factor = torch.where(alive, self.reference_us / now.clamp(min=_DEAD_US), self.factor)

    def rebase(self, pairs: Pairs, n_reads: int, lines: Tensor) -> None:
        """After a write on some lines, move their reference so that a measurement now would give the present factor.

        Args:
            pairs: What was written.
            n_reads: Noisy reads that a measurement averages.
            lines: Which lines, core by core. Shape: (K, lines, blocks), bool.
        """
        if self.kind == "none":
            return
        now, lines = self._strength_us(pairs, n_reads), lines.unsqueeze(1)
        lines = lines.any(2, keepdim=True).any(3, keepdim=True) if self.kind == "global" else lines
        self.reference_us = torch.where(lines, self.factor * now, self.reference_us)

    def repeat(self, n_copies: int) -> Compensation:
        """Return the factors of every chip's copies."""
        factor, reference_us = (each.repeat_interleave(n_copies, 0) for each in (self.factor, self.reference_us))
        return Compensation(factor, reference_us, self.blocks, self.kind)

    def state_dict(self) -> dict[str, Tensor]:
        """Return factors and references."""
        return {"factor": self.factor.clone(), "reference_us": self.reference_us.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set factors and references."""
        self.factor = state["factor"].to(self.factor).clone()
        self.reference_us = state["reference_us"].to(self.factor).clone()

    def _strength_us(self, pairs: Pairs, n_reads: int) -> Tensor:
        if self.kind == "global":
            return array_strength_us(pairs, n_reads).expand_as(self.factor)
        return line_strength_us(pairs, n_reads, self.blocks)


def line_strength_us(pairs: Pairs, n_reads: int, blocks: tuple[slice, ...]) -> Tensor:
    """Measure the root mean square of every line over one-hot inputs, uS. Shape: (K, slices, lines, blocks)."""
    power = _one_hot_us(pairs, n_reads).square()
    if len(blocks) == 1:
        return power.mean(-1, keepdim=True).sqrt()
    return torch.stack([power[..., rows].mean(-1) for rows in blocks], -1).sqrt()


def array_strength_us(pairs: Pairs, n_reads: int) -> Tensor:
    """Measure the mean magnitude of all lines over one-hot inputs, uS. Shape: (K, slices, 1, 1)."""
    return _one_hot_us(pairs, n_reads).abs().mean((2, 3), keepdim=True)


def _one_hot_us(pairs: Pairs, n_reads: int) -> Tensor:
    """Read every line with each row driven alone, uS. Shape: (K, slices, lines, rows)."""
    mean, variance = pairs.moments()
    current = mean[:, :, 0] - mean[:, :, 1]
    if variance is None:
        return current
    spread = ((variance[:, :, 0] + variance[:, :, 1]) / n_reads).sqrt_()
    return current + spread * pairs.streams.normal(*current.shape[1:])
