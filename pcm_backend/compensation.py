"""The compensation of drift: factors of output lines, measured by known inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import check_shapes
from .config import Compensated

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
        """Return the factor of every current, as a read lays them out: slices, cores of rows, lines."""
        return self.factor if len(self.blocks) == 1 else self.factor.transpose(2, 3)

    def take_reference(self, now_us: Tensor) -> None:
        """Take the present strengths for the reference; every factor is 1. Shape: (K, slices, lines, blocks)."""
        self.reference_us, self.factor = now_us, torch.ones_like(now_us)

    def measure(self, now_us: Tensor) -> None:
        """Set every factor to reference over present strength; a line that conducts nothing keeps its own."""
        if self.kind == "none":
            return
        alive = (now_us > _DEAD_US) & (self.reference_us > _DEAD_US)
        self.factor = torch.where(alive, self.reference_us / now_us.clamp(min=_DEAD_US), self.factor)

    def rebase(self, now_us: Tensor, lines: Tensor) -> None:
        """After a write on some lines, move their reference so that a measurement now would give the present factor.

        Args:
            now_us: Strengths, measured after the write.
            lines: Which lines, core by core. Shape: (K, lines, blocks), bool.
        """
        lines = lines.unsqueeze(1)
        lines = lines.any(2, keepdim=True).any(3, keepdim=True) if self.kind == "global" else lines
        self.reference_us = torch.where(lines, self.factor * now_us, self.reference_us)

    def repeat(self, n_copies: int) -> Compensation:
        """Return the factors of every chip's copies."""
        factor, reference_us = (each.repeat_interleave(n_copies, 0) for each in (self.factor, self.reference_us))
        return Compensation(factor, reference_us, self.blocks, self.kind)

    def state_dict(self) -> dict[str, Tensor]:
        """Return factors and references."""
        return {"factor": self.factor.clone(), "reference_us": self.reference_us.clone()}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not of such lines."""
        check_shapes("factors", state, self.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set factors and references."""
        self.check_state(state)
        self.factor = state["factor"].to(self.factor).clone()
        self.reference_us = state["reference_us"].to(self.factor).clone()
