"""How increments of weights become programmed conductances: what is sensed, what is aimed at, and what is pulsed.

Units: `unit` is the conductance that stands for a weight of one at the present compensation factor, uS. So a target of
`weight * unit` reads as `weight` from now until the factor is measured again. A write works on lists of cells, so that
it costs what it touches.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .config import CrossbarCfg
from .fault_programming import given_up, program_at, silence, within_reach
from .filling import half_of
from .increments import Increments
from .pair_state import Places, averaged
from .pairs import Pairs
from .spending import Spent, spent_by_bins
from .streams import Draw
from .strength import LineSums


class Written(NamedTuple):
    """What programming took and did."""

    spent: list[Spent]
    """What the loop of pulses and reads took, one after another; each has rows of its own to wait for."""
    sensed: Tensor
    """Reads of single cells beside the loop's own. Shape: (K,), float64."""
    saturated: Tensor
    """Cells set to the limit. Shape: (K,), float64."""
    error: Tensor
    """Standard deviation of what a write made of each cell, in units of weights; of the shape of the increments."""
    trains: list[Spent]
    """What SET pulses took that nobody verified."""


def program_first(pairs: Pairs, sums: LineSums, weights: Tensor, unit: Tensor, cfg: CrossbarCfg) -> Written:
    """Program every device once: each weight on its pair, and what the verify read misses on the second slice.

    Args:
        pairs: Blank pairs.
        sums: Of the lines of `pairs`.
        weights: Shape (K or 1, lines, rows).
        unit: Conductance per weight, uS. Shape (K or 1, slices, lines, 1).
        cfg: Reads that a verify averages, and whether two devices are filled one after the other.
    """
    left, sensed, spent, n_reads = weights, 0.0, [], cfg.verify_reads
    half = half_of(cfg.device, cfg.off_device) if cfg.updates.first == "max_set_fill" else None
    for index in range(unit.shape[1]):
        if index > 0:
            left = weights - difference(pairs.sense(index - 1, n_reads)) / unit[:, index - 1]
            sensed += n_reads * weights[0].numel()
        aim = (left * unit[:, index]).clamp(-pairs.device.g_max_us, pairs.device.g_max_us)
        if half is None and pairs.health is None:
            took, found = pairs.program_pairs(index, aim)
            spent.append(took)
            if found is not None:
                sums.take(pairs, index, found)
            continue
        target_us, in_vain = within_reach(pairs, index, torch.stack([aim.clamp(min=0.0), (-aim).clamp(min=0.0)], 1))
        spent += [pairs.program_all(index, target_us, half), *in_vain]
        silence(pairs, index)
    none = torch.zeros_like(pairs.clock.now_s)
    return Written(spent, none + sensed, none, none[:0], [])


def write_cells(
    pairs: Pairs, sums: LineSums, increments: Increments, unit: Tensor, n_reads: int, goal: Tensor | None = None
) -> Written:
    """Move the weights of some cells from where a verify read finds them by their increments.

    With two slices the first is left alone where the second can hold the rest: fewer devices, and more precise.

    Args:
        pairs: What is written.
        sums: Of the lines of `pairs`; they are kept up to date.
        increments: Which cells, and by how much, chip after chip.
        unit: Conductance per weight at the present factor, uS. Shape (K, slices, lines, blocks).
        n_reads: Reads that a verify averages.
        goal: Weights to aim at, of the shape of the increments; None: what the read finds plus the increment.
    """
    n_chips, n_slices = pairs.shape[:2]
    sums.refresh(pairs)
    pairs.epochs.open(pairs.clock.now_s)
    draws = [[pairs.draw() for _ in range(5)] for _ in range(n_slices)]  # always, so that no draw depends on the data
    counts, saturated = Counts(n_chips, pairs.clock.now_s), Counts(n_chips, pairs.clock.now_s)
    if pairs.fast is not None and pairs.health is None:
        now_s, n_physical = pairs.clock.now_s, pairs.device.n_physical
        tally = pairs.fast.write_cells(
            pairs.state.device, pairs.epochs, now_s, increments, goal, unit, n_reads, draws, sums.sums, sums.edges
        )
        counts.add(increments.chip, n_reads * n_slices)
        steps = zip(tally.bins.flatten(0, 1), tally.in_row.flatten(0, 1), strict=True)
        sensed = counts.total + n_reads * tally.seen_again
        spent = [spent_by_bins(bins, in_row, n_physical) for bins, in_row in steps]
        return Written(spent, sensed, tally.saturated.double(), tally.error, [])
    spent: list[Spent] = []
    errors = []
    for part in increments.parts(n_chips):
        some = increments.at(part)
        took, error = _write_part(
            pairs, sums, some, unit, n_reads, None if goal is None else goal[part], draws, counts, saturated
        )
        spent = [one.plus(other) for one, other in zip(spent, took, strict=True)] if spent else took
        errors.append(error)
    return Written(spent, counts.total, saturated.total, torch.cat(errors), [])


def _write_part(
    pairs: Pairs,
    sums: LineSums,
    increments: Increments,
    unit: Tensor,
    n_reads: int,
    goal: Tensor | None,
    draws: list[list[Draw]],
    counts: Counts,
    saturated: Counts,
) -> tuple[list[Spent], Tensor]:
    """Write some of the cells; return what it took, and the error made of each in units of weights."""
    chip, line, row, delta = increments
    n_slices, (n_lines, n_rows) = pairs.shape[1], pairs.shape[3:]
    cells = Places(chip, line * n_rows + row)
    both, block = both_of(cells, n_lines * n_rows), sums.block_of(row)
    unit_at = [unit[chip, index, line, block] for index in range(n_slices)]

    before = [by_polarity(pairs.moments_at(index, both)) for index in range(n_slices)]
    seen = [sense_both(both, moments, n_reads, own[0]) for moments, own in zip(before, draws, strict=True)]
    held = [difference(each) / unit_at[index] for index, each in enumerate(seen)]
    limit = [pairs.device.g_max_us / each for each in unit_at]
    goal = torch.stack(held).sum(0) + delta if goal is None else goal
    over = goal.abs() > limit[0]
    goal = torch.minimum(torch.maximum(goal, -limit[0]), limit[0])
    counts.add(chip, n_reads * n_slices)
    saturated.add(chip[over], 1)

    coarse = None if n_slices == 1 else ((goal - held[0]).abs() > limit[1]).nonzero().squeeze(1)
    aim_us = goal * unit_at[0]
    spent, error_us = write_slice(pairs, 0, cells, coarse, aim_us, seen[0], n_reads, n_slices > 1, draws[0][1:], counts)
    if n_slices > 1:
        rest = (goal - difference(seen[0]) / unit_at[0]) * unit_at[1]
        more, error_us = write_slice(pairs, 1, cells, None, rest, seen[1], n_reads, False, draws[1][1:], counts)
        spent += more
    for index in range(n_slices):
        sums.move(pairs, index, cells, before[index], by_polarity(pairs.moments_at(index, both)))
    return spent, error_us / unit_at[-1]


def write_slice(
    pairs: Pairs,
    index: int,
    cells: Places,
    some: Tensor | None,
    aim_us: Tensor,
    seen_us: Tensor,
    n_reads: int,
    look_again: bool,
    draws: list[Draw],
    counts: Counts,
) -> tuple[list[Spent], Tensor]:
    """Bring the difference of each cell's pair to an aim; return what it took, and the error made of each, uS.

    The device that carries the sign takes the whole difference and also what the other one still conducts, as it was
    seen. The other is switched off only where it is not off already, and seen again before its partner is programmed.
    Where faults keep the first from going as low as that, the other makes up for what it conducts too much.

    Args:
        pairs: What is written.
        index: Slice.
        cells: Chips, and places of the positive devices.
        some: Positions of the cells that are written; None: all.
        aim_us: Wanted difference of every cell. Shape: (n,).
        seen_us: Both devices as last seen, shape (2, n); what is seen again is put in.
        n_reads: Reads that a verify averages.
        look_again: Whether the device that carries the sign is seen again too.
        draws: Four, whatever comes to be drawn.
        counts: Reads of cells; those taken here are added.
    """
    if some is None:
        some = torch.arange(len(aim_us), device=aim_us.device)
    cells, aim_us = cells.keep(some), aim_us[some]
    step = torch.Size(pairs.shape[3:]).numel()
    least_us, in_vain = least_difference(pairs, index, cells, aim_us)
    negative = (aim_us < least_us).long()
    carrying, other = cells.place + step * negative, cells.place + step * (1 - negative)
    other_us = seen_us[1 - negative, some]

    on = (other_us > pairs.device.off_limit_us).nonzero().squeeze(1)
    reset = Places(cells.chip[on], other[on])
    off = program_at(pairs, index, reset, torch.zeros_like(on, dtype=aim_us.dtype), draws[0])
    other_us[on] = pairs.sense_fresh(index, reset, off, n_reads, draws[1])
    seen_us[1 - negative, some] = other_us
    counts.add(reset.chip, n_reads)

    target_us = (torch.where(negative == 0, aim_us, -aim_us) + other_us).clamp(min=0.0, max=pairs.device.g_max_us)
    places = Places(cells.chip, carrying)
    fresh = program_at(pairs, index, places, target_us, draws[2])
    if look_again:
        seen_us[negative, some] = pairs.sense_fresh(index, places, fresh, n_reads, draws[3])
        counts.add(places.chip, n_reads)
    return [*in_vain, off.spent, fresh.spent], pairs.sigma_us(target_us)


def least_difference(pairs: Pairs, index: int, cells: Places, aim_us: Tensor) -> tuple[Tensor | float, list[Spent]]:
    """Return the difference of each pair with both devices at their lowest, uS, and what was spent in vain.

    With aims below it the negative device is the one to program. It is zero on healthy pairs: there the sign of the aim
    decides. Where faults change who is programmed, the loop tries the one first that the sign would have chosen.
    """
    health = pairs.health
    if health is None:
        return 0.0, []
    both = both_of(cells, torch.Size(pairs.shape[3:]).numel())
    low_us = health.lowest_us(pairs.flat(index, both)).view(2, -1)
    wanted, least_us = (aim_us < 0).long(), difference(low_us)
    tried = ((aim_us < least_us).long() != wanted).nonzero().squeeze(1)
    places = both.keep(tried + len(aim_us) * wanted[tried])
    target_us = aim_us[tried].abs() + low_us[1 - wanted[tried], tried]
    cut = health.cut(pairs.flat(index, places), target_us, pairs.sigma_us(target_us))
    return least_us, [given_up(pairs, health, index, places, cut)]


def difference(g_us: Tensor) -> Tensor:
    """Return positive minus negative conductance. Shape: (K, 2, ...) to (K, ...), or (2, n) to (n,)."""
    return g_us[0] - g_us[1] if g_us.dim() == 2 else g_us[:, 0] - g_us[:, 1]


class Counts:
    """Something counted on each chip, float64."""

    def __init__(self, n_chips: int, like: Tensor) -> None:
        self.total = like.new_zeros(n_chips)

    def add(self, chip: Tensor, each: float) -> Counts:
        """Count so many for each element of a list of chips."""
        self.total += torch.bincount(chip, minlength=len(self.total)) * each
        return self


def both_of(cells: Places, step: int) -> Places:
    """Return the positive devices of some cells, and then their negative ones."""
    return Places(cells.chip.repeat(2), torch.cat([cells.place, cells.place + step]))


def by_polarity(moments: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """Return moments of `both_of` by polarity. Shape: (2 n,) to (2, n)."""
    mean, variance = moments
    return mean.view(2, -1), None if variance is None else variance.view(2, -1)


def sense_both(both: Places, moments: tuple[Tensor, Tensor | None], n_reads: int, draw: Draw) -> Tensor:
    """Return the mean of noisy reads of `both_of` some cells. Shape: (2, n)."""
    listed = draw.at(*both)
    return averaged(*moments, n_reads, lambda: listed().view(2, -1))
