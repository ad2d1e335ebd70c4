"""What a crossbar asks of a device model, be it by fits or by pulses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from .fit import Fit


class Device(Protocol):
    """A device model; states are its own, with a conductance `g_us` and a drift exponent `nu` in them."""

    @property
    def fit(self) -> Fit:
        """Drift and read noise, and the programming error that it has or is held against."""
        ...

    @property
    def g_max_us(self) -> float:
        """Largest conductance, uS."""
        ...

    @property
    def n_physical(self) -> int:
        """Physical devices that one conductance is made of."""
        ...

    @property
    def off_limit_us(self) -> float:
        """Conductance below which a device counts as switched off, uS."""
        ...

    @property
    def t0_s(self) -> float:
        """Time of the first reading of the drift fit, s."""
        ...

    def blank(self, shape: tuple[int, ...], device: torch.device) -> Any:
        """Return room for the state of devices yet to be programmed, a NamedTuple of tensors of a shape, or None."""
        ...

    def measured(self, g_us: Tensor, age_s: float, normal: Callable[[], Tensor]) -> Any:
        """Return the state of conductances, uS, that were measured when they had an age, s."""
        ...

    def train(self, state: Any, n_pulses: Tensor, normal: Callable[[], Tensor], age_s: float | Tensor = 0.0) -> Any:
        """Return the state after SET pulses that nobody verifies; those without a pulse keep theirs."""
        ...

    def program(self, g_target_us: Tensor, generator: torch.Generator) -> Any:
        """Return the state of conductances that were just programmed."""
        ...

    def conductance(self, state: Any, age_s: float | Tensor) -> Tensor:
        """Return the drifted conductance without read noise, uS."""
        ...

    def read_moments(self, state: Any, age_s: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (uS) and variance (uS^2) of a read."""
        ...

    def read(self, state: Any, age_s: float | Tensor, generator: torch.Generator) -> Tensor:
        """Read once, uS."""
        ...

    def read_with(self, state: Any, age_s: float | Tensor, normal: Tensor) -> Tensor:
        """Read with given standard normal numbers, uS."""
        ...
