"""What a device model must know of its cells, three fits over the conductance, and the simplest: a perfect memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LARGEST_READ_FACTOR = 6.0
"""Bound of sqrt(ln((t + t_read) / (2 t_read))), which Q is multiplied by: 5.93 after 30 years, for reads of 250 ns."""


class Fit(Protocol):
    """What is known of a kind of device; `ghat` is conductance over the largest one, from 0 to 1."""

    @property
    def g_max_us(self) -> float:
        """Largest conductance, uS."""
        ...

    @property
    def n_physical(self) -> int:
        """Physical devices in one conductance."""
        ...

    @property
    def t0_s(self) -> float:
        """Time of the first reading of the drift fit, s."""
        ...

    @property
    def t_read_s(self) -> float:
        """Duration of a read in the 1/f fit, s."""
        ...

    @property
    def cut_matters(self) -> bool:
        """Whether read noise is so large that cutting a read at zero moves its mean."""
        ...

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the standard deviation of the programmed conductance about its target, uS."""
        ...

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the drift exponent at a target."""
        ...

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q, read noise over conductance before the factor sqrt(ln(...)) of its age."""
        ...


@dataclass(frozen=True)
class Ideal:
    """A memory that keeps what it is given: no error, no drift, no noise; the range of `Hermes2`."""

    g_max_us: float = 20.7
    n_physical: int = 2
    t0_s: float = 300.0
    t_read_s: float = 512e-9
    cut_matters: bool = False

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return zero."""
        return torch.zeros_like(ghat)

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return zero, without spread."""
        return torch.zeros_like(ghat), torch.zeros_like(ghat)

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return zero."""
        return torch.zeros_like(ghat)


def cubic(x: Tensor, c0: float, c1: float, c2: float, c3: float = 0.0) -> Tensor:
    """Return c0 + c1 x + c2 x^2 + c3 x^3."""
    return ((c3 * x + c2) * x + c1) * x + c0
