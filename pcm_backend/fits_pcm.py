"""Fits to IBM's 90 nm phase-change cells, and the model beside them whose errors do not depend on the state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .fit import cubic


@dataclass(frozen=True)
class PcmLike:
    """IBM's 90 nm cells.

    Numbers: aihwkit 1.2.0, src/aihwkit/inference/noise/pcm.py, class PCMLikeNoiseModel, after Nandakumar, ICECS 2019
    (10.1109/ICECS46596.2019.8964852), and Joshi, Nat. Commun. 2020 (10.1038/s41467-020-16108-9).
    """

    g_max_us: float = 25.0  # pcm.py, default of the single-pair converter and reference of prog_coeff
    n_physical: int = 1
    t0_s: float = 20.0  # pcm.py t_0
    t_read_s: float = 250e-9  # pcm.py t_read
    cut_matters: bool = True  # a device that is off has noise as large as itself

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return cubic(ghat, 0.26348, 1.9650, -1.1731)  # pcm.py prog_coeff

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        log_g = torch.log(ghat)
        mean = (-0.0155 * log_g + 0.0244).clamp_(0.049, 0.1)  # pcm.py mu_drift
        return mean, (-0.0125 * log_g - 0.0059).clamp_(0.008, 0.045)  # pcm.py sig_drift

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q."""
        return (0.0088 / ghat.pow(0.65).clamp_(min=1e-3)).clamp_(max=0.2)  # pcm.py q_s


@dataclass(frozen=True)
class StateIndependent:
    """Cells whose programming error, drift and relative read noise are the same at every conductance.

    Numbers: aihwkit 1.2.0, src/aihwkit/inference/noise/custom.py, class StateIndependentNoiseModel: no fit to an array
    but plain values, which show what the dependence on the state does where the two are compared.
    """

    g_max_us: float = 25.0  # inference/converter/conductance.py, default of the single-pair converter
    n_physical: int = 1
    t0_s: float = 20.0  # custom.py t_0
    t_read_s: float = 250e-9  # custom.py t_read
    cut_matters: bool = False  # noise stays under .04 x 6 of g for 30 years: the cut moves the mean by 1e-6 at most

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return torch.full_like(ghat, 0.2)  # custom.py prog_coeff [0.2, 0, 0]

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        return torch.full_like(ghat, 0.1), torch.full_like(ghat, 0.05)  # custom.py drift_nu_mean, drift_nu_std

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q: custom.py has a noise of (g / g_max) sqrt(ln(...)) uS, so 1 uS over g_max of the conductance."""
        return torch.full_like(ghat, 1.0 / self.g_max_us)  # custom.py read_noise_scale 1
