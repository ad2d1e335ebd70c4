"""Fits to IBM's HERMES chip: 14 nm mushroom cells, one or two devices per conductance.

Numbers: aihwkit 1.2.0, src/aihwkit/inference/noise/hermes.py, class HermesNoiseModel, after Le Gallo, Nat. Electron.
2023 (10.1038/s41928-023-01010-1, the chip) and Vasilopoulos, IEEE TED 2023 (two devices, max-SET-fill). The mean of the
drift exponent is one fit for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .choose import choose
from .fit import cubic


@dataclass(frozen=True)
class Hermes2:
    """The two devices of one polarity of a HERMES cell, programmed one after the other (max-SET-fill)."""

    g_max_us: float = 20.7  # hermes.py, largest conductance characterised, num_devices=2
    n_physical: int = 2
    t0_s: float = 300.0  # hermes.py t_0, num_devices=2
    t_read_s: float = 512e-9  # hermes.py t_read
    cut_matters: bool = False  # noise stays under .04 x 6 of g for 30 years: the cut moves the mean by less than 1e-6

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return cubic(ghat, 0.16603222, 4.71806468, -8.48101252, 4.68961419)  # hermes.py prog_coeff, num_devices=2

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        low = (-0.0117 * torch.log(ghat) - 0.0057).clamp_(0.0091, 0.04)  # hermes.py sig_drift, num_devices=2
        spread = choose(ghat < 0.3055, low, cubic(ghat, 0.0073, 0.0093, -0.0118))  # the same, upper branch
        return _drift_mean(ghat), spread

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q."""
        low = (-0.0117 * torch.log(ghat) - 0.0069).clamp_(0.015, 0.04)  # hermes.py q_s, num_devices=2
        return choose(ghat < 0.16, low, cubic(ghat, 0.0123, 0.0211, -0.0280, 0.0069))  # the same, upper branch


@dataclass(frozen=True)
class Hermes1:
    """One device per polarity of a HERMES cell."""

    g_max_us: float = 10.35  # hermes.py, largest conductance characterised, num_devices=1
    n_physical: int = 1
    t0_s: float = 200.0  # hermes.py t_0, num_devices=1
    t_read_s: float = 512e-9  # hermes.py t_read
    cut_matters: bool = False  # as for two devices

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return cubic(ghat, 0.15781817, 2.32443916, -2.16310839, 0.68841818)  # hermes.py prog_coeff, num_devices=1

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        low = (-0.0120 * torch.log(ghat) - 0.0023).clamp_(0.0124, 0.04)  # hermes.py sig_drift, num_devices=1
        spread = choose(ghat < 0.3039, low, cubic(ghat, 0.0104, 0.0116, -0.0165))  # the same, upper branch
        return _drift_mean(ghat), spread

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q."""
        low = (-0.0078 * torch.log(ghat) + 0.0038).clamp_(0.0179, 0.04)  # hermes.py q_s, num_devices=1
        return choose(ghat < 0.1591, low, cubic(ghat, 0.0088, 0.0768, -0.1352, 0.0664))  # the same, upper branch


def _drift_mean(ghat: Tensor) -> Tensor:
    low = (-0.0387 * torch.log(ghat) - 0.0182).clamp_(0.0720, 0.13)  # hermes.py mu_drift
    return choose(ghat < 0.0945, low, cubic(ghat, 0.0736, -0.0126, -0.0436))  # the same, upper branch
