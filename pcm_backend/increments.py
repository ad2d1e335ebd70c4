"""Which cells a write is to move, as a list: a write costs what it touches."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from .native import usable

_PART = 1 << 16
"""Cells of a write that are worked on together."""


class Increments(NamedTuple):
    """The cells that a write is to move, chip after chip. Shape of each: (n,)."""

    chip: Tensor
    line: Tensor
    row: Tensor
    delta: Tensor
    """What is added to their weights, never zero."""

    def at(self, part: slice) -> Increments:
        """Return some of them."""
        return Increments(*(each[part] for each in self))

    def parts(self, n_chips: int) -> list[slice]:
        """Cut the list between chips, so that what is worked out of a part stays in the processor's cache."""
        n = len(self.chip)
        if n <= _PART:
            return [slice(0, n)]
        ends = torch.bincount(self.chip, minlength=n_chips).cumsum(0)
        steps = torch.arange(_PART, n, _PART, device=ends.device)
        cuts = ends[torch.searchsorted(ends, steps)].unique().tolist()
        return [slice(start, stop) for start, stop in pairwise([0, *(cut for cut in cuts if cut < n), n])]


def find_increments(delta: Tensor, n_chips: int, rows_per_weight: int, n_in: int) -> Increments:
    """List the cells whose increment is not zero, once for every row that holds the weight.

    Args:
        delta: Shape (K, out, in), or (out, in) for all chips.
        n_chips: K.
        rows_per_weight: Rows that hold the same weight; copy r of input i is row r x n_in + i.
        n_in: Inputs of the array, that of the bias included.
    """
    chip, line, row, values = _find(delta if delta.dim() == 3 else delta.unsqueeze(0))
    if delta.dim() == 2:
        chip = torch.arange(n_chips, device=delta.device).repeat_interleave(len(values))
        line, row, values = (each.repeat(n_chips) for each in (line, row, values))
    if rows_per_weight > 1:
        copies = torch.arange(rows_per_weight, device=delta.device).repeat(len(row)) * n_in
        chip, line, row, values = (each.repeat_interleave(rows_per_weight) for each in (chip, line, row, values))
        row = row + copies
    return Increments(chip, line, row, values)


def _find(delta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return chip, line, row and value of what is not zero. Shape: (K, out, in)."""
    kernels = usable(delta)
    if kernels is None or delta.dtype != torch.float32:
        chip, line, row = delta.nonzero(as_tuple=True)
        return chip, line, row, delta[chip, line, row]
    counts = torch.empty(delta.shape[:2], dtype=torch.int64)
    kernels.count_nonzero(counts.data_ptr(), delta.data_ptr(), counts.numel(), delta.shape[2])
    n, first = int(counts.sum()), counts.flatten().cumsum(0) - counts.flatten()
    chip, line, row = (torch.empty(n, dtype=torch.int64) for _ in range(3))
    values = torch.empty(n)
    kernels.find_nonzero(
        *(chip.data_ptr(), line.data_ptr(), row.data_ptr(), values.data_ptr(), delta.data_ptr()),
        *(counts.data_ptr(), first.data_ptr(), *delta.shape),
    )
    return chip, line, row, values
