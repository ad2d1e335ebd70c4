"""Second looks at an array: what cells hold as a read finds it, and which of them err by too much."""

from __future__ import annotations

import torch
from torch import Tensor

from .array import Array
from .increments import Increments
from .pair_state import Places
from .programming import Counts, both_of, by_polarity, difference, sense_both


def all_cells(array: Array) -> Increments:
    """Return every cell of every chip, every row that holds a weight counted."""
    chips, lines, rows = array.n_chips, array.n_out, array.rows
    everywhere = torch.ones(chips, lines, rows, dtype=torch.bool, device=array.unit.device)
    chip, line, row = everywhere.nonzero(as_tuple=True)
    return Increments(chip, line, row, torch.ones_like(chip, dtype=array.unit.dtype))


def sense_cells(array: Array, cells: Increments) -> tuple[Tensor, Tensor]:
    """Return the weights that reads find in a list of cells, shape (n,), and how many reads each chip took, (K,)."""
    pairs, n_reads, unit = array.pairs, array.cfg.verify_reads, array.unit / array.compensation.factor
    n_slices, (n_lines, n_rows) = pairs.shape[1], pairs.shape[3:]
    both = both_of(Places(cells.chip, cells.line * n_rows + cells.row), n_lines * n_rows)
    block, found = array.sums.block_of(cells.row), torch.zeros_like(cells.delta)
    for index in range(n_slices):
        seen_us = sense_both(both, by_polarity(pairs.moments_at(index, both)), n_reads, pairs.draw())
        found += difference(seen_us) / unit[cells.chip, index, cells.line, block]
    return found, Counts(array.n_chips, array.clock.now_s).add(cells.chip, n_reads * n_slices).total


def wanting(array: Array, cells: Increments, goal: Tensor, seen: Tensor) -> Tensor:
    """Return the positions of cells that err by more than is good enough. Shape of goal, seen: (n,).

    A weight that no conductance can hold is compared with the largest that one can.
    """
    pairs, unit = array.pairs, array.unit / array.compensation.factor
    block = array.sums.block_of(cells.row)
    first, last = (unit[cells.chip, index, cells.line, block] for index in (0, array.cfg.slices - 1))
    limit = pairs.device.g_max_us / first
    goal = torch.minimum(torch.maximum(goal, -limit), limit)
    sigma = pairs.sigma_us((goal * first).abs()) / first
    if array.cfg.slices > 1:  # the last slice holds what the first left
        sigma = pairs.sigma_us((sigma * last).abs()) / last
    return ((goal - seen).abs() > array.cfg.updates.looks.above * sigma).nonzero().squeeze(1)
