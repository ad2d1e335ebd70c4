"""A write on an array: which devices are pulsed, what that costs, and what it does to the compensation factors."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from .array import Array
from .billing import bill_calibration, bill_write
from .faults import KINDS
from .health import Health
from .increments import Increments, find_increments
from .ledger import Ledger
from .looks_array import all_cells, sense_cells, wanting
from .onesided import write_blind, write_set_only
from .programming import Counts, Written, difference, program_first, write_cells
from .report import WriteReport
from .updates import Base, Pulses


def program(array: Array, table: Tensor) -> None:
    """Program blank chips with a table of weights, shape (K or 1, out, in), and take their lines for the reference."""
    cfg, pairs = array.cfg, array.pairs
    unit = array.unit[: len(table)]
    written = program_first(pairs, array.sums, table.repeat(1, 1, cfg.rows_per_weight), unit, cfg)
    array.compensation.take_reference(array.strength_us())
    bill_write(array.ledger, cfg, written)
    bill_calibration(array.ledger, cfg, array.rows, array.lines)
    array.measure_converters()
    if array.health is not None:
        array.health.report()
        _mend(array, array.health, table)
    if cfg.updates.looks.rounds:
        cells = all_cells(array)
        goal = table.expand(array.n_chips, -1, -1)[cells.chip, cells.line, cells.row % array.n_in]
        _look_again(array, cells, goal)


def _mend(array: Array, health: Health, table: Tensor) -> None:
    """Write the cells that have a broken device once more: the other polarity and slice make up for what they can."""
    chip, line, row = health.broken_cells().nonzero(as_tuple=True)
    goal = table.expand(array.n_chips, -1, -1)[chip, line, row % array.n_in]
    apply(array, Increments(chip, line, row, torch.ones_like(goal)), goal, "verify")


def write(array: Array, delta: Tensor, base: Base | None = None) -> WriteReport:
    """Add increments to the weights, by the configured method.

    Args:
        array: What is written.
        delta: Exactly zero where nothing is to happen. Shape (K, out, in without the bias), or (out, in) for all.
        base: What the increments are added to; None: what the configuration says.
    """
    cfg, digital, base = array.cfg, array.digital, base or array.cfg.updates.base
    array.clock.settle()
    g_max_us, sensed = array.pairs.device.g_max_us, 0.0
    delta = digital.ask(delta, cfg.updates, g_max_us / array.unit[:, 0], array.streams)
    increments = find_increments(delta, array.n_chips, cfg.rows_per_weight, array.n_in)
    if not bool(torch.isfinite(increments.delta).all()):  # what is not finite is not zero
        raise ValueError("delta must be finite, got NaN or infinity")
    if base == "target" and digital.targets is None:
        digital.targets, sensed = _read_all(array)
    digital.aim(delta, g_max_us / array.unit_of_weights(0))
    goal = None
    if base == "target" and digital.targets is not None:
        goal = digital.targets[increments.chip, increments.line, increments.row % array.n_in]
    if not cfg.updates.looks.rounds:
        return apply(array, increments, goal, cfg.updates.pulses, sensed)
    if goal is None:
        held, reads = sense_cells(array, increments)
        goal, sensed = held + increments.delta, sensed + reads
    report = dataclasses.replace(apply(array, increments, goal, cfg.updates.pulses, sensed), base=base)
    return report.then(_look_again(array, increments, goal))


def _look_again(array: Array, cells: Increments, goal: Tensor) -> list[WriteReport]:
    """Read cells that were written, and write those once more that err by too much; as often as configured.

    Args:
        array: What is written.
        cells: Which cells.
        goal: Weights that they are to hold, of the shape of the cells.
    """
    reports = []
    for _ in range(array.cfg.updates.looks.rounds):
        seen, reads = sense_cells(array, cells)
        bad = wanting(array, cells, goal, seen)
        cells, goal = Increments(*(each[bad] for each in cells)), goal[bad]
        reports.append(apply(array, cells, goal, "verify", reads))
    return reports


def apply(
    array: Array, increments: Increments, goal: Tensor | None, by: Pulses, sensed: Tensor | float = 0.0
) -> WriteReport:
    """Write increments in one way, and book it.

    Args:
        array: What is written.
        increments: Which cells, and by how much.
        goal: Weights to aim at, of the shape of the increments; None: what a read finds plus the increment.
        by: How devices are pulsed.
        sensed: Reads of single cells of each chip that were taken before.
    """
    cfg, pairs = array.cfg, array.pairs
    written = _pulse(array, increments, goal, by)
    bill = Ledger(array.n_chips, increments.delta.device)
    time_s = bill_write(bill, cfg, written._replace(sensed=written.sensed + sensed))
    lost = increments.delta.abs() < written.error / math.sqrt(cfg.rows_per_weight)
    lines = array.sums.lines_of(increments.chip, increments.line, increments.row)
    array.compensation.rebase(array.strength_us(), lines)
    bill_calibration(bill, cfg, array.rows, array.lines, lines.flatten(1).any(-1))
    array.ledger.add_(bill)
    array.clock.owe(time_s)
    failed_by = {"not_converged": sum((each.failed for each in written.spent), torch.zeros_like(bill.devices))}
    if pairs.health is not None:
        failed_by |= dict(zip(KINDS, pairs.health.report(), strict=True))
    return WriteReport(
        devices=bill.devices,
        pulses=bill.pulses,
        saturated=written.saturated,
        failed=sum(failed_by.values(), torch.zeros_like(bill.devices)),
        energy_j=bill.energy_j(),
        time_s=time_s,
        increments=_count(array, increments.chip),
        below_error=_count(array, increments.chip[lost]),
        failed_by=failed_by,
        method=cfg.updates.method,
        base="read" if goal is None else "target",
        base_bytes=0 if goal is None else array.digital.target_bytes,
    )


def _pulse(array: Array, increments: Increments, goal: Tensor | None, by: Pulses) -> Written:
    cfg, unit = array.cfg, array.unit / array.compensation.factor
    if by == "blind":
        return write_blind(array.pairs, array.sums, increments, unit, cfg.updates.blind_step_at)
    if by == "set_only":
        share = cfg.updates.refresh_share
        return write_set_only(array.pairs, array.sums, increments, unit, cfg.verify_reads, share, goal)
    return write_cells(array.pairs, array.sums, increments, unit, cfg.verify_reads, goal)


def _read_all(array: Array) -> tuple[Tensor, float]:
    """Read all weights once to begin a copy of the targets; return it and the reads that it took on each chip."""
    pairs, n_reads = array.pairs, array.cfg.verify_reads
    slices = [difference(pairs.sense(index, n_reads)) / array.unit_now[:, index] for index in range(array.cfg.slices)]
    table = array.mean_of_rows(torch.stack(slices).sum(0))
    return table if array.drive is None else table[..., :-1], float(n_reads * array.lines * array.rows)


def _count(array: Array, chip: Tensor) -> Tensor:
    return Counts(array.n_chips, array.clock.now_s).add(chip, 1).total
