"""Writes by SET pulses alone: the device grows whose polarity the increment has, until there is no room left."""

from __future__ import annotations

import torch
from torch import Tensor

from .fault_programming import train_at
from .increments import Increments
from .pair_state import Places
from .pairs import Pairs
from .programming import (
    Counts,
    Written,
    both_of,
    by_polarity,
    difference,
    sense_both,
    write_slice,
)
from .spending import Spent
from .strength import LineSums
from .trains import MAX_PULSES, blind_pulses_for, pulses_for, train_moments


def write_blind(pairs: Pairs, sums: LineSums, increments: Increments, unit: Tensor, step_at: float) -> Written:
    """Give every cell one train of SET pulses, counted by the mean step; nothing is read.

    Args:
        pairs: What is written; one slice.
        sums: Of the lines of `pairs`; they are kept up to date.
        increments: Which cells, and by how much.
        unit: Conductance per weight at the present factor, uS. Shape (K, 1, lines, 1).
        step_at: Share of the range at which a device is supposed to stand.
    """
    cells, both = _places(pairs, increments)
    n_physical, n_chips = pairs.device.n_physical, pairs.shape[0]
    unit_at = unit[increments.chip, 0, increments.line, sums.block_of(increments.row)]
    growth_us = increments.delta * unit_at
    n_pulses = blind_pulses_for(growth_us.abs() / pairs.device.g_max_us, n_physical, step_at)
    sums.refresh(pairs)
    before = by_polarity(pairs.moments_at(0, both))  # only for the sums
    pairs.epochs.open(pairs.clock.now_s)
    trains = _train(pairs, cells, growth_us < 0, n_pulses)
    sums.move(pairs, 0, cells, before, by_polarity(pairs.moments_at(0, both)))
    full = Counts(n_chips, pairs.clock.now_s).add(increments.chip[n_pulses >= MAX_PULSES * n_physical], 1).total
    _, spread = train_moments(torch.full_like(n_pulses, step_at), n_pulses, n_physical)
    return Written([], torch.zeros_like(full), full, _error_us(pairs, n_pulses, spread) / unit_at, [trains])


def write_set_only(
    pairs: Pairs,
    sums: LineSums,
    increments: Increments,
    unit: Tensor,
    n_reads: int,
    refresh_share: float,
    goal: Tensor | None = None,
) -> Written:
    """Give every cell a train counted from what a read finds; pairs that come to their end are refreshed.

    A refresh programs the difference anew: the device that is to be off is RESET, the other programmed and verified.

    Args:
        pairs: What is written; one slice.
        sums: Of the lines of `pairs`; they are kept up to date.
        increments: Which cells, and by how much.
        unit: Conductance per weight at the present factor, uS. Shape (K, 1, lines, 1).
        n_reads: Reads that a verify averages.
        refresh_share: Share of the largest conductance beyond which a device must not be asked to grow.
        goal: Weights to aim at, of the shape of the increments; None: what the read finds plus the increment.
    """
    chip, line, row, delta = increments
    cells, both = _places(pairs, increments)
    sums.refresh(pairs)
    before = by_polarity(pairs.moments_at(0, both))
    unit_at, g_max_us = unit[chip, 0, line, sums.block_of(row)], pairs.device.g_max_us
    draws = [pairs.draw() for _ in range(5)]
    seen_us = sense_both(both, before, n_reads, draws[0])
    held_us = difference(seen_us)
    aim_us = held_us + delta * unit_at if goal is None else goal * unit_at
    over = aim_us.abs() > g_max_us
    growth_us = aim_us.clamp_(-g_max_us, g_max_us) - held_us
    x, growth = torch.where(growth_us < 0, seen_us[1], seen_us[0]) / g_max_us, growth_us.abs() / g_max_us

    refresh = x + growth > refresh_share
    n_pulses = torch.where(refresh, 0.0, pulses_for(x, growth, pairs.device.n_physical))
    counts = Counts(len(pairs.clock.now_s), pairs.clock.now_s).add(chip, n_reads)
    pairs.epochs.open(pairs.clock.now_s)
    trains = _train(pairs, cells, growth_us < 0, n_pulses)
    some = refresh.nonzero().squeeze(1)
    spent, refreshed_us = write_slice(pairs, 0, cells, some, aim_us, seen_us, n_reads, False, draws[1:], counts)
    sums.move(pairs, 0, cells, before, by_polarity(pairs.moments_at(0, both)))
    _, spread = train_moments(x, n_pulses, pairs.device.n_physical)
    error_us = _error_us(pairs, n_pulses, spread).index_put_((some,), refreshed_us)
    saturated = Counts(len(pairs.clock.now_s), pairs.clock.now_s).add(chip[over], 1).total
    return Written(spent, counts.total, saturated, error_us / unit_at, [trains])


def _error_us(pairs: Pairs, n_pulses: Tensor, spread: Tensor) -> Tensor:
    """Return the error of trains, uS; an increment that is too small for a pulse is lost whatever its size."""
    return torch.where(n_pulses > 0, spread * pairs.device.g_max_us, torch.inf)


def _places(pairs: Pairs, increments: Increments) -> tuple[Places, Places]:
    """Return the places of the positive devices of some cells, and those of both."""
    n_lines, n_rows = pairs.shape[3:]
    cells = Places(increments.chip, increments.line * n_rows + increments.row)
    return cells, both_of(cells, n_lines * n_rows)


def _train(pairs: Pairs, cells: Places, negative: Tensor, n_pulses: Tensor) -> Spent:
    """Give each cell's pulses to the polarity that is to grow; return what it took.

    Of the devices of a conductance the one that conducts less takes each pulse; a row waits for its longest train.
    """
    draw, (k, n_rows) = pairs.draw(), (pairs.shape[0], pairs.shape[-1])
    hit = (n_pulses > 0).nonzero().squeeze(1)
    step = torch.Size(pairs.shape[3:]).numel()
    places, n_pulses = Places(cells.chip, cells.place + step * negative.long()).keep(hit), n_pulses[hit]
    train_at(pairs, 0, places, n_pulses, draw)
    each, none = n_pulses.double(), torch.zeros_like(pairs.clock.now_s)
    devices = each.clamp(max=pairs.device.n_physical)
    steps = none.new_zeros(k * n_rows).scatter_reduce_(0, places.chip * n_rows + places.place % n_rows, each, "amax")
    devices, sets = (none.index_add(0, places.chip, one) for one in (devices, each))
    return Spent(devices, sets, none, none, none, steps.view(k, n_rows))
