"""A write on an array: which devices are programmed, what that costs, and what it does to the compensation factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .array import Array
from .billing import bill_calibration, bill_write
from .ledger import Ledger
from .programming import find_increments, program_first, write_cells


@dataclass(frozen=True)
class WriteReport:
    """What one write did to each chip; every tensor has shape (K,)."""

    devices: Tensor
    """Physical devices that received at least one pulse."""
    pulses: Tensor
    """SET and RESET pulses: counted where the device is simulated at that level, else the means measured there."""
    saturated: Tensor
    """Cells whose target lay beyond the range and was set to its limit."""
    failed: Tensor
    """Conductances that the verify loop gave up on; fitted models contain those few in their spread, so zero there."""
    energy_j: Tensor
    """Energy of pulses, verify reads and the reading that re-bases the compensation, nominal, J."""
    time_s: Tensor
    """Duration, s; the clock moves by it at the next read or advance."""


def program(array: Array, table: Tensor) -> None:
    """Program blank chips with a table of weights, shape (K or 1, out, in), and take their lines for the reference."""
    cfg, pairs = array.cfg, array.pairs
    unit = array.unit[: len(table)]
    written = program_first(pairs, table.repeat(1, 1, cfg.rows_per_weight), unit, cfg.verify_reads)
    array.compensation.take_reference(array.strength_us())
    bill_write(array.ledger, cfg, written)
    bill_calibration(array.ledger, cfg, array.rows, array.lines)
    array.measure_converters()


def write(array: Array, delta: Tensor) -> WriteReport:
    """Add increments to the weights as a verify read finds them.

    Args:
        array: What is written.
        delta: Exactly zero where nothing is to happen. Shape (K, out, in without the bias), or (out, in) for all.
    """
    cfg, pairs = array.cfg, array.pairs
    increments = find_increments(delta, array.n_chips, cfg.rows_per_weight, array.n_in)
    if not bool(torch.isfinite(increments.delta).all()):  # what is not finite is not zero
        raise ValueError("delta must be finite, got NaN or infinity")
    array.clock.settle()
    unit = array.unit / array.compensation.factor
    written = write_cells(pairs, array.sums, increments, unit, cfg.verify_reads)
    bill = Ledger(array.n_chips, delta.device)
    time_s = bill_write(bill, cfg, written)
    lines = array.sums.lines_of(increments.chip, increments.line, increments.row)
    array.compensation.rebase(array.strength_us(), lines)
    bill_calibration(bill, cfg, array.rows, array.lines, lines.flatten(1).any(-1))
    array.ledger.add_(bill)
    array.clock.owe(time_s)
    return WriteReport(
        devices=bill.devices,
        pulses=bill.pulses,
        saturated=written.saturated,
        failed=sum((each.failed for each in written.spent), torch.zeros_like(bill.devices)),
        energy_j=bill.energy_j(),
        time_s=time_s,
    )
