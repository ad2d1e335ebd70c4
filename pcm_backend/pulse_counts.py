"""What programming a conductance takes, by target: measured on the pulse-level devices, booked for the fitted ones.

The fits say where a programmed conductance ends, not how it came there. The tables are the output of
`python -m pcm_backend.pulse_statistics` (50,000 conductances in every bin of target, seed 0).
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
        0, 2.097, 1.551, 1.336, 1.594, 1.917, 2.307, 2.724, 3.23, 3.789, 4.469, 5.244, 6.129, 7.156, 8.341, 9.738,
        11.33, 13.09, 15.07, 11.62, 8.357, 8.588, 8.986, 9.474, 10.02, 10.63, 11.37, 12.15, 13.11, 14.22, 15.47, 16.87,
        18.46,
    ),
    (
        2.019, 6.492, 9.187, 7.818, 6.642, 5.825, 5.201, 4.694, 4.302, 3.984, 3.745, 3.549, 3.358, 3.198, 3.049, 2.945,
        2.859, 2.782, 2.714, 6.223, 8.156, 7.431, 6.679, 6.026, 5.464, 4.955, 4.618, 4.279, 4.042, 3.857, 3.659, 3.519,
        3.411,
    ),
    (
        0.01922, 6.589, 8.738, 7.154, 6.236, 5.742, 5.508, 5.418, 5.532, 5.773, 6.214, 6.793, 7.488, 8.354, 9.39, 10.68,
        12.19, 13.87, 15.78, 12.26, 8.514, 8.019, 7.665, 7.5, 7.484, 7.584, 7.986, 8.429, 9.156, 10.08, 11.13, 12.39,
        13.87,
    ),
    (
        0, 0.0103, 0.00046, 0.00028, 0.00038, 0.00042, 0.00014, 0.00016, 0.00012, 0.00018, 0.00028, 0.0001, 0.00024,
        0.00018, 0.00032, 0.00038, 0.00074, 0.00158, 0.00284, 0.01538, 0.01808, 0.01202, 0.0091, 0.00692, 0.00598,
        0.005, 0.00492, 0.00448, 0.00448, 0.00606, 0.00754, 0.00982, 0.01644,
    ),
    (
        8.502, 11.53, 14.58, 17.47, 20.44, 23.19, 25.67, 27.92, 29.31, 29.89,
    ),
)
_SINGLE = PulseTable(
    (
        0, 1.091, 2.94, 1.631, 1.283, 1.297, 1.399, 1.536, 1.687, 1.85, 2.029, 2.22, 2.435, 2.641, 2.881, 3.117, 3.418,
        3.696, 4.007, 4.36, 4.717, 5.088, 5.514, 5.961, 6.432, 6.957, 7.53, 8.127, 8.781, 9.463, 10.22, 11.01, 11.84,
    ),
    (
        1.002, 2.613, 8.603, 8.445, 7.729, 7.048, 6.379, 5.802, 5.332, 4.923, 4.581, 4.268, 4.009, 3.768, 3.546, 3.359,
        3.194, 3.047, 2.896, 2.793, 2.677, 2.573, 2.485, 2.386, 2.307, 2.224, 2.152, 2.078, 2.03, 1.966, 1.91, 1.861,
        1.814,
    ),
    (
        0.00158, 2.704, 10.54, 9.076, 8.012, 7.344, 6.778, 6.338, 6.019, 5.773, 5.61, 5.488, 5.444, 5.409, 5.427, 5.476,
        5.611, 5.743, 5.903, 6.153, 6.393, 6.661, 6.999, 7.347, 7.739, 8.181, 8.682, 9.204, 9.811, 10.43, 11.13, 11.87,
        12.66,
    ),
    (
        0, 0.00176, 0.00996, 0.00012, 0.00014, 0.0004, 0.00042, 0.0005, 0.00044, 0.00052, 0.00026, 0.00018, 0.00012,
        8e-05, 0.0002, 0.00022, 0.00026, 0.00014, 0.00018, 0.00024, 0.00026, 0.00022, 0.00014, 0.00024, 0.00024, 6e-05,
        0.00018, 0.00028, 0.00024, 0.00022, 0.00048, 0.00054, 0.00062,
    ),
    (
        7.27, 9.764, 12, 14.22, 16.28, 18.38, 20.77, 23.02, 25, 26.94,
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
    slot = _slot(ghat) + chip * (BINS + 1)
    many = torch.bincount(slot, minlength=n_chips * (BINS + 1)).view(n_chips, BINS + 1)
    return many.double() @ _columns(n_physical, ghat.device)


def expected_on_all(ghat: Tensor, n_physical: int) -> Tensor:
    """Return the same sums where every conductance of a chip is programmed. Shape: (K, n) to (K, 4)."""
    return slot_counts(ghat).double() @ _columns(n_physical, ghat.device)


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
    longest = torch.tensor(table_for(n_physical).longest, dtype=torch.float64, device=together.device)
    place = together.double().clamp(min=1.0).log2().clamp(max=len(longest) - 1.0)
    below = place.floor().long().clamp(max=len(longest) - 2)
    steps = torch.lerp(longest[below], longest[below + 1], place - below)
    return torch.where(together > 0, steps, 0.0)
