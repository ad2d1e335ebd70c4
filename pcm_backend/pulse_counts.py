"""What programming a conductance takes, by target: measured on the pulse-level devices, booked for the fitted ones.

The fits say where a programmed conductance ends, not how it came there. The tables are the output of
`python -m pcm_backend.pulse_statistics` (50,000 conductances in every bin of target, seed 0).

Two things make this an upper account. A write to a fitted device is booked as if it began at devices of unknown state,
as its new error is drawn; a simulated one begins where it stands, and a cell takes 8 pulses instead of 12 for an
increment about as large as the weights, 5 instead of 10 for a fifth of that. And pulses of the staircase that melt a
part are booked as RESET, though their currents are those of SET.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from .native import usable

BINS = 32
"""Bins of target over (0, g_max], each without its lower end; a target of exactly zero has a place of its own."""
ROWS_TOGETHER = tuple(2**power for power in range(10))
"""Numbers of conductances that are programmed together, for which the tables hold the longest."""


@dataclass(frozen=True)
class PulseTable:
    """Means over conductances: at a target of zero, then for each bin of target."""

    set_pulses: tuple[float, ...]
    """SET pulses on all devices of a conductance."""
    reset_pulses: tuple[float, ...]
    """RESET pulses, whole and partial."""
    iterations: tuple[float, ...]
    """Pulses that were verified; the first read comes on top."""
    failed: tuple[float, ...]
    """Share of conductances that did not converge."""
    longest: tuple[float, ...]
    """Iterations that the longest of 1, 2, 4, ... conductances takes: a row waits for its last."""


# fmt: off
_PAIR = PulseTable(
    (
        0, 2.107, 1.552, 1.332, 1.598, 1.91, 2.303, 2.731, 3.238, 3.797, 4.467, 5.243, 6.123, 7.155, 8.351, 9.755,
        11.32, 13.07, 15.05, 11.61, 8.356, 8.604, 8.994, 9.446, 9.999, 10.64, 11.33, 12.18, 13.16, 14.22, 15.45, 16.84,
        18.43,
    ),
    (
        2.02, 6.484, 9.193, 7.812, 6.673, 5.791, 5.209, 4.714, 4.309, 3.988, 3.751, 3.535, 3.355, 3.203, 3.063, 2.968,
        2.855, 2.768, 2.709, 6.167, 8.167, 7.45, 6.743, 6.001, 5.421, 4.989, 4.59, 4.296, 4.047, 3.831, 3.663, 3.535,
        3.42,
    ),
    (
        0.01998, 6.591, 8.745, 7.144, 6.271, 5.701, 5.512, 5.444, 5.547, 5.785, 6.218, 6.777, 7.478, 8.358, 9.414,
        10.72, 12.17, 13.84, 15.76, 12.2, 8.523, 8.054, 7.737, 7.447, 7.42, 7.624, 7.918, 8.476, 9.202, 10.05, 11.11,
        12.38, 13.85,
    ),
    (
        0, 0.01054, 0.00058, 0.00046, 0.00046, 0.00038, 0.00036, 0.00026, 0.00018, 0.00024, 0.00016, 0.00018, 0.00016,
        0.00018, 0.00028, 0.00028, 0.00068, 0.00138, 0.00276, 0.017, 0.01796, 0.01258, 0.00982, 0.0068, 0.0053, 0.00498,
        0.00464, 0.00444, 0.0049, 0.00514, 0.00696, 0.01018, 0.01552,
    ),
    (
        8.733, 11.69, 14.68, 17.6, 20.44, 23.19, 25.73, 27.86, 29.28, 29.88,
    ),
)
_SINGLE = PulseTable(
    (
        0, 1.087, 2.928, 1.634, 1.287, 1.296, 1.394, 1.526, 1.704, 1.848, 2.021, 2.211, 2.425, 2.649, 2.871, 3.122,
        3.394, 3.696, 4.011, 4.337, 4.734, 5.093, 5.505, 5.953, 6.448, 6.95, 7.534, 8.132, 8.778, 9.47, 10.22, 10.98,
        11.86,
    ),
    (
        1.001, 2.612, 8.58, 8.443, 7.743, 7.035, 6.355, 5.758, 5.378, 4.943, 4.591, 4.273, 4.023, 3.796, 3.545, 3.349,
        3.181, 3.03, 2.918, 2.773, 2.695, 2.563, 2.474, 2.386, 2.295, 2.223, 2.174, 2.091, 2.015, 1.966, 1.912, 1.858,
        1.834,
    ),
    (
        0.00148, 2.699, 10.51, 9.077, 8.03, 7.332, 6.749, 6.284, 6.081, 5.791, 5.612, 5.484, 5.448, 5.445, 5.417, 5.471,
        5.575, 5.725, 5.929, 6.11, 6.428, 6.656, 6.978, 7.339, 7.743, 8.172, 8.708, 9.224, 9.793, 10.44, 11.13, 11.84,
        12.7,
    ),
    (
        0, 0.00186, 0.00928, 6e-05, 0.0002, 0.00036, 0.00036, 0.00026, 0.00048, 0.00036, 0.00024, 0.00018, 0.00038,
        0.00022, 0.00014, 0.00018, 0.00018, 0.0002, 0.00024, 0.0002, 0.0003, 0.00012, 0.00022, 0.00018, 0.00024,
        0.00016, 0.00016, 0.0001, 0.00024, 0.00036, 0.00036, 0.00044, 0.00078,
    ),
    (
        7.372, 9.722, 12, 14.19, 16.34, 18.51, 20.7, 22.89, 25.01, 26.95,
    ),
)
# fmt: on


def table_for(n_physical: int) -> PulseTable:
    """Return the table of conductances of one, or of two and more devices; every kind is billed as HERMES's."""
    return _SINGLE if n_physical == 1 else _PAIR


@cache
def _columns(n_physical: int, device: torch.device) -> Tensor:
    table = table_for(n_physical)
    columns = [table.set_pulses, table.reset_pulses, table.iterations, table.failed]
    return torch.tensor(columns, dtype=torch.float64, device=device).T.contiguous()


def expected(ghat: Tensor, chip: Tensor, n_chips: int, n_physical: int) -> Tensor:
    """Return sums over the programmed conductances of each chip: SET and RESET pulses, iterations, failures.

    Args:
        ghat: Targets over the largest conductance. Shape: (n,).
        chip: Which chip each lies on. Shape: (n,), int64.
        n_chips: K.
        n_physical: Devices of a conductance.

    Returns:
        Shape (K, 4), float64.
    """
    return expected_of(bin_counts(ghat, chip, n_chips), n_physical)


def bin_counts(ghat: Tensor, chip: Tensor, n_chips: int) -> Tensor:
    """Return how many of a list of targets lie in each bin, chip by chip. Shape: (n,), (n,) to (K, BINS + 1)."""
    slot = _slot(ghat) + chip * (BINS + 1)
    return torch.bincount(slot, minlength=n_chips * (BINS + 1)).view(n_chips, BINS + 1)


def expected_of(counts: Tensor, n_physical: int) -> Tensor:
    """Return the same sums from how many targets lie in each bin. Shape: (K, BINS + 1) to (K, 4), float64."""
    return counts.double() @ _columns(n_physical, counts.device)


def slot_counts(ghat: Tensor) -> Tensor:
    """Return how many targets of each chip are zero, and how many lie in each bin. Shape: (K, n) to (K, BINS + 1)."""
    n_chips, n = ghat.shape
    kernels = usable(ghat)
    if kernels is None or ghat.dtype != torch.float32:
        slot = _slot(ghat)
        slot += torch.arange(n_chips, device=ghat.device).unsqueeze(1) * (BINS + 1)
        return torch.bincount(slot.flatten(), minlength=n_chips * (BINS + 1)).view(n_chips, -1)
    out = torch.empty((n_chips, BINS + 1), dtype=torch.int64)
    kernels.slot_counts(out.data_ptr(), ghat.data_ptr(), n_chips, n, BINS)
    return out


def expected_pulses(ghat: Tensor, n_physical: int) -> Tensor:
    """Return the mean number of pulses, SET and RESET, of each of a list of conductances. Shape: (n,)."""
    return _columns(n_physical, ghat.device)[_slot(ghat), :2].sum(1).to(ghat.dtype)


def _slot(ghat: Tensor) -> Tensor:
    """Return the place of targets in a table."""
    return (ghat * BINS).ceil_().clamp_(0, BINS).long()


def expected_steps(together: Tensor, n_physical: int) -> Tensor:
    """Return the steps that rows take in which so many conductances are programmed together; 0 takes none."""
    return _steps(n_physical, together.device)[together.clamp(max=ROWS_TOGETHER[-1])]


@cache
def _steps(n_physical: int, device: torch.device) -> Tensor:
    """Return the steps of rows of 0, 1, 2, ... conductances; beyond the last of the table they stay the same."""
    longest = torch.tensor(table_for(n_physical).longest, dtype=torch.float64, device=device)
    place = torch.arange(1, ROWS_TOGETHER[-1] + 1, dtype=torch.float64, device=device).log2()
    below = place.floor().long().clamp(max=len(longest) - 2)
    return torch.cat([longest.new_zeros(1), torch.lerp(longest[below], longest[below + 1], place - below)])
