"""What programming some conductances of every chip took: counted where pulses are simulated, else by the tables."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .pulse_counts import bin_counts, expected_of, expected_steps, slot_counts
from .verify import Counts


class Spent(NamedTuple):
    """Sums over the conductances of each chip, float64; of shape (K,) but for the steps."""

    devices: Tensor
    """Physical devices that received at least one pulse."""
    set_pulses: Tensor
    """SET pulses."""
    reset_pulses: Tensor
    """RESET pulses, whole and partial."""
    reads: Tensor
    """Reads of single conductances by the loop."""
    failed: Tensor
    """Conductances that did not converge."""
    steps: Tensor
    """Pulses with a read each that a row waits for: those of its longest conductance. Shape: (K, rows)."""

    @property
    def pulses(self) -> Tensor:
        """All pulses."""
        return self.set_pulses + self.reset_pulses

    def plus(self, other: Spent) -> Spent:
        """Return what both took, one after the other."""
        return Spent(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def spent_by_table(ghat: Tensor, chip: Tensor, row: Tensor, shape: tuple[int, int], n_physical: int) -> Spent:
    """Return the measured means for a list of conductances whose pulses are not simulated.

    A fitted model contains the few that do not converge in its spread, so `failed` is zero here.

    Args:
        ghat: Targets over the largest conductance. Shape: (n,).
        chip: Which chip each lies on. Shape: (n,).
        row: Which row of that chip. Shape: (n,).
        shape: Chips, rows.
        n_physical: Devices of a conductance.
    """
    in_row = torch.bincount(chip * shape[1] + row, minlength=shape[0] * shape[1]).view(shape)
    return spent_by_bins(bin_counts(ghat, chip, shape[0]), in_row, n_physical)


def spent_on_all(ghat: Tensor, n_chips: int, n_physical: int) -> Spent:
    """Return the measured means for all conductances of a slice: targets of shape (K or 1, 2, lines, rows)."""
    counts = slot_counts(ghat.flatten(1))
    return spent_on_bins(counts, n_chips, ghat.shape[-1], ghat.shape[1] * ghat.shape[2], n_physical)


def spent_on_bins(counts: Tensor, n_chips: int, n_rows: int, in_row: int, n_physical: int) -> Spent:
    """Return the same from the numbers of targets in each bin.

    Args:
        counts: Shape (K or 1, bins + 1).
        n_chips: K.
        n_rows: Rows of the array.
        in_row: Conductances of a row.
        n_physical: Devices of a conductance.
    """
    together = torch.full((len(counts), n_rows), in_row, device=counts.device)
    spent = spent_by_bins(counts, together, n_physical)
    return Spent(*(each.repeat(n_chips // len(counts), *(1,) * (each.dim() - 1)) for each in spent))


def spent_by_bins(counts: Tensor, in_row: Tensor, n_physical: int) -> Spent:
    """Return the measured means from numbers of targets in each bin, (K, bins + 1), and in each row, (K, rows)."""
    sums, programmed = expected_of(counts, n_physical), in_row.sum(1).double()
    reads = sums[:, 2] + programmed
    steps = expected_steps(in_row, n_physical)
    return Spent(programmed * n_physical, sums[:, 0], sums[:, 1], reads, torch.zeros_like(reads), steps)


def spent_by_count(counts: Counts, chip: Tensor, row: Tensor, shape: tuple[int, int]) -> Spent:
    """Return the sums of what was counted.

    Args:
        counts: Of a list of conductances.
        chip: Which chip each lies on. Shape: (cells,).
        row: Which row of that chip. Shape: (cells,).
        shape: Chips, rows.
    """
    zero = torch.zeros(shape[0], dtype=torch.float64, device=chip.device)
    each = (counts.devices, counts.set_pulses, counts.reset_pulses, counts.iterations.double() + 1.0, ~counts.converged)
    devices, sets, resets, reads, failed = (zero.index_add(0, chip, one.double()) for one in each)
    steps = zero.new_zeros(shape[0] * shape[1])
    steps.scatter_reduce_(0, chip * shape[1] + row, counts.iterations.double(), "amax")
    return Spent(devices, sets, resets, reads, failed, steps.view(shape))


def spent_by_count_on_all(counts: Counts, shape: tuple[int, int]) -> Spent:
    """Return the same where every conductance of a slice is counted, in order; of whole numbers, so exact either way.

    Args:
        counts: Of all conductances, chip by chip, the row running fastest.
        shape: Chips, rows.
    """

    def total(each: Tensor) -> Tensor:
        return each.view(shape[0], -1).sum(1).double()

    reads = total(counts.iterations) + counts.iterations.numel() / shape[0]
    steps = counts.iterations.view(shape[0], -1, shape[1]).amax(1).double()
    sums = total(counts.devices), total(counts.set_pulses), total(counts.reset_pulses)
    return Spent(*sums, reads=reads, failed=total(~counts.converged), steps=steps)
