"""How increments of weights become programmed conductances: what is sensed, what is aimed at, and what is pulsed.

Units: `unit` is the conductance that stands for a weight of one at the present compensation factor, uS. So a target of
`weight * unit` reads as `weight` from now until the factor is measured again.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .chip import count_cores
from .choose import choose
from .config import CrossbarCfg
from .ledger import PRODUCT_S, Ledger
from .pairs import Pairs
from .spending import Spent


class Written(NamedTuple):
    """What programming took."""

    spent: list[Spent]
    """What programming took, one after another; each has rows of its own to wait for."""
    sensed: Tensor
    """Reads of single cells beside the loop's own. Shape: (K,)."""
    saturated: Tensor
    """Cells set to the limit. Shape: (K,)."""


def program_first(pairs: Pairs, weights: Tensor, unit: Tensor, n_reads: int) -> Written:
    """Program every device once: each weight on its pair, and what the verify read misses on the second slice.

    Args:
        pairs: Blank pairs.
        weights: Shape (K, lines, rows).
        unit: Conductance per weight, uS. Shape (K or 1, slices, lines, 1).
        n_reads: Reads that a verify averages.
    """
    left, sensed, spent = weights, 0.0, []
    for index in range(unit.shape[1]):
        if index > 0:
            left = weights - difference(pairs.sense(index - 1, n_reads)) / unit[:, index - 1]
            sensed += n_reads * weights[0].numel()
        aim = (left * unit[:, index]).clamp(-pairs.device.g_max_us, pairs.device.g_max_us)
        spent.append(pairs.program_all(index, torch.stack([aim.clamp(min=0.0), (-aim).clamp(min=0.0)], 1)).spent)
    return Written(spent, torch.full_like(pairs.clock.now_s, sensed), torch.zeros_like(pairs.clock.now_s))


def write_cells(pairs: Pairs, delta: Tensor, unit: Tensor, n_reads: int) -> Written:
    """Move the weights of the touched cells from where a verify read finds them by delta.

    With two slices the first is left alone where the second can hold the rest: fewer devices, and more precise.

    Args:
        pairs: What is written.
        delta: Increments, exactly zero where nothing is to happen. Shape (K, lines, rows).
        unit: Conductance per weight at the present factor, uS. Shape (K, slices, lines, 1).
        n_reads: Reads that a verify averages.
    """
    n_slices = unit.shape[1]
    touched = delta != 0
    seen = [pairs.sense(index, n_reads) for index in range(n_slices)]
    held = [difference(each) / unit[:, index] for index, each in enumerate(seen)]
    limit = pairs.device.g_max_us / unit
    goal = torch.stack(held).sum(0) + delta
    saturated = touched & (goal.abs() > limit[:, 0])
    goal = torch.minimum(torch.maximum(goal, -limit[:, 0]), limit[:, 0])
    sensed = n_reads * n_slices * _count(touched)

    coarse = touched if n_slices == 1 else touched & ((goal - held[0]).abs() > limit[:, 1])
    seen[0], spent, extra = _write_slice(pairs, 0, coarse, goal * unit[:, 0], seen[0], n_reads, n_slices > 1)
    sensed = sensed + extra
    if n_slices > 1:
        rest = (goal - difference(seen[0]) / unit[:, 0]) * unit[:, 1]
        _, more, extra = _write_slice(pairs, 1, touched, rest, seen[1], n_reads, False)
        spent, sensed = [*spent, *more], sensed + extra
    return Written(spent, sensed, _count(saturated))


def _write_slice(
    pairs: Pairs, index: int, cells: Tensor, aim_us: Tensor, seen_us: Tensor, n_reads: int, look_again: bool
) -> tuple[Tensor, list[Spent], Tensor]:
    """Bring the difference of each cell's pair to an aim; return what is now seen, what it took, and reads taken.

    The device that carries the sign takes the whole difference and also what the other one still conducts, as it was
    seen. The other is switched off only where it is not off already, and seen again before its partner is programmed.
    """
    positive = (aim_us >= 0).unsqueeze(1)
    carries = torch.cat([positive, ~positive], 1) & cells.unsqueeze(1)
    reset = ~carries & cells.unsqueeze(1) & (seen_us > pairs.device.off_limit_us)
    off = pairs.program(index, reset, torch.zeros_like(aim_us).unsqueeze(1))
    seen_us = choose(reset, pairs.sense_fresh(index, off, n_reads), seen_us)

    other_us = choose(positive[:, 0], seen_us[:, 1], seen_us[:, 0])
    target_us = (aim_us.abs() + other_us).clamp(max=pairs.device.g_max_us)
    fresh = pairs.program(index, carries, target_us.unsqueeze(1))
    reads = n_reads * _count(reset)
    if look_again:
        seen_us = choose(carries, pairs.sense_fresh(index, fresh, n_reads), seen_us)
        reads = reads + n_reads * _count(carries)
    return seen_us, [off.spent, fresh.spent], reads


def bill_write(ledger: Ledger, cfg: CrossbarCfg, written: Written) -> Tensor:
    """Book pulses, verify reads and duration of a write; return the duration, s, shape (K,).

    Assumption: the rows of a core are written one after another, the lines of a row at once (O(N) programming,
    Khaddam-Aljameh JSSC 2022, 10.1109/jssc.2022.3140414); each step is one pulse and one read of the row.
    """
    seconds = torch.zeros_like(written.sensed)
    read_s = PRODUCT_S[cfg.phases].nominal
    for spent in written.spent:
        ledger.book("devices", spent.devices)
        ledger.book("set_pulses", spent.set_pulses)
        ledger.book("reset_pulses", spent.reset_pulses)
        ledger.book(f"verify_reads_{cfg.phases}_phase", spent.reads)
        rows = (spent.steps > 0).sum(1)  # each is seen as a whole before it is pulsed
        seconds = seconds + spent.steps.sum(1) * (cfg.pulse_s + read_s) + rows * cfg.verify_reads * read_s
    ledger.book(f"verify_reads_{cfg.phases}_phase", written.sensed)
    ledger.book("write_s", seconds)
    return seconds


def bill_calibration(ledger: Ledger, cfg: CrossbarCfg, n_rows: int, n_lines: int, chips: Tensor | float = 1.0) -> None:
    """Book a measurement of compensation factors: every row driven alone, on the cores it crosses."""
    if cfg.compensation == "none":
        return
    products = n_rows * cfg.calibration_reads * count_cores(1, n_lines)
    ledger.book(f"calibration_products_{cfg.phases}_phase", products * chips)


def difference(g_us: Tensor) -> Tensor:
    """Return positive minus negative conductance. Shape: (K, 2, ...) to (K, ...)."""
    return g_us[:, 0] - g_us[:, 1]


def _count(mask: Tensor) -> Tensor:
    return mask.flatten(1).sum(1).double()
