"""Device models: programming error, drift and read noise of one conductance, as pure functions of tensors.

A device model is three fits (a class with `programming_sigma_us`, `drift_exponent`, `read_noise`) in a `FittedDevice`,
which turns them into the calls that a crossbar makes. To add one, write the class of fits and a line in `DEVICES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .choose import choose

_GHAT_FLOOR = 1e-7  # aihwkit inference/noise: the logarithms of the fits are cut here


class DeviceState(NamedTuple):
    """What a programmed conductance carries from then on; both tensors have the shape of the target."""

    g_us: Tensor
    """Conductance right after programming, uS."""
    nu: Tensor
    """Drift exponent, drawn once at programming."""


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
class FittedDevice:
    """A device model: state in, state or conductance out; nothing is kept here."""

    fit: Fit

    @property
    def g_max_us(self) -> float:
        """Largest conductance, uS."""
        return self.fit.g_max_us

    @property
    def n_physical(self) -> int:
        """Physical devices that one conductance is made of."""
        return self.fit.n_physical

    @property
    def off_limit_us(self) -> float:
        """Conductance below which a device counts as switched off, uS: three deviations of one programmed to zero."""
        return 3.0 * float(self.fit.programming_sigma_us(torch.zeros(1)))

    def program(self, g_target_us: Tensor, generator: torch.Generator) -> DeviceState:
        """Program every device of a tensor once.

        Args:
            g_target_us: Targets, any shape, uS.
            generator: Source of programming error and drift exponents.
        """
        g_target_us = torch.as_tensor(g_target_us, dtype=torch.float32)
        normal = torch.randn((2, *g_target_us.shape), generator=generator, device=g_target_us.device)
        return self.program_with(g_target_us, normal[0], normal[1])

    def program_with(self, g_target_us: Tensor, normal_g: Tensor, normal_nu: Tensor) -> DeviceState:
        """Program with given standard normal numbers: the pure form of `program`."""
        ghat = g_target_us / self.g_max_us
        g_us = (g_target_us + self.fit.programming_sigma_us(ghat) * normal_g).clamp_(min=0.0)
        mean, spread = self.fit.drift_exponent(ghat.clamp(min=_GHAT_FLOOR))
        return DeviceState(g_us, (mean + spread * normal_nu).abs_())

    def conductance(self, state: DeviceState, age_s: float | Tensor) -> Tensor:
        """Return the drifted conductance without read noise: g ((t + t0) / t0)^-nu, uS."""
        return state.g_us * torch.exp(-state.nu * self._log_growth(state, age_s))

    def noisy_conductance(self, state: DeviceState, age_s: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return the drifted conductance and the standard deviation of a read of it before the cut at zero, uS."""
        growth = self._log_growth(state, age_s)
        g_us = state.g_us * torch.exp(-state.nu * growth)
        q = self.fit.read_noise((state.g_us / self.g_max_us).clamp_(min=_GHAT_FLOOR))
        # ln((t' + t_read) / (2 t_read)) with t' = t + t0; t_read beside t0 is lost in float32, so one logarithm does.
        since_start = math.log((self.fit.t0_s + self.fit.t_read_s) / (2.0 * self.fit.t_read_s))
        return g_us, g_us * q * torch.sqrt(growth + since_start)

    def read_moments(self, state: DeviceState, age_s: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (uS) and variance (uS^2) of a read, the cut at zero included.

        For g (1 + s N) cut at zero the mean is g [Phi(1/s) + s phi(1/s)] and the second moment
        g^2 [(1 + s^2) Phi(1/s) + s phi(1/s)].
        """
        g_us, sigma_us = self.noisy_conductance(state, age_s)
        if not self.fit.cut_matters:
            return g_us, sigma_us.square()
        s = (sigma_us / g_us.clamp(min=1e-12)).clamp_(min=1e-3)
        upper = torch.special.ndtr(1.0 / s)
        edge = s * torch.exp(-0.5 / s.square()) / math.sqrt(2.0 * math.pi)
        mean = upper + edge
        second = (1.0 + s.square()) * upper + edge
        return g_us * mean, g_us.square() * (second - mean.square()).clamp_(min=0.0)

    def read(self, state: DeviceState, age_s: float | Tensor, generator: torch.Generator) -> Tensor:
        """Read every device once: drifted, noisy, never below zero, uS."""
        normal = torch.randn(state.g_us.shape, generator=generator, device=state.g_us.device)
        return self.read_with(state, age_s, normal)

    def read_with(self, state: DeviceState, age_s: float | Tensor, normal: Tensor) -> Tensor:
        """Read with given standard normal numbers: the pure form of `read`."""
        g_us, sigma_us = self.noisy_conductance(state, age_s)
        return (g_us + sigma_us * normal).clamp_(min=0.0)

    def _log_growth(self, state: DeviceState, age_s: float | Tensor) -> Tensor:
        """Return ln((t + t0) / t0); the age may come in float64 and leaves as float32."""
        if not isinstance(age_s, Tensor) and not age_s >= 0.0:
            raise ValueError(f"age_s must be zero or more, got {age_s!r}")
        age = torch.as_tensor(age_s, device=state.g_us.device).to(torch.float32)
        return torch.log1p(age / self.fit.t0_s)


def _cubic(x: Tensor, c0: float, c1: float, c2: float, c3: float = 0.0) -> Tensor:
    return ((c3 * x + c2) * x + c1) * x + c0


def _hermes_drift_mean(ghat: Tensor) -> Tensor:
    # aihwkit inference/noise/hermes.py (fit on the HERMES chip, Le Gallo 2023), mu_nu, one and two devices
    low = (-0.0387 * torch.log(ghat) - 0.0182).clamp_(0.0720, 0.13)
    return choose(ghat < 0.0945, low, _cubic(ghat, 0.0736, -0.0126, -0.0436))


@dataclass(frozen=True)
class Hermes2:
    """The two devices of one polarity of a HERMES cell, programmed one after the other (max-SET-fill).

    Numbers: aihwkit inference/noise/hermes.py, `num_devices=2` (Vasilopoulos TED 2023, Le Gallo NatElectron 2023).
    """

    g_max_us: float = 20.7
    n_physical: int = 2
    t0_s: float = 300.0
    t_read_s: float = 512e-9
    cut_matters: bool = False  # noise stays under .04 x 5.9 of g for 30 years: the cut moves the mean by less than 1e-6

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return _cubic(ghat, 0.16603222, 4.71806468, -8.48101252, 4.68961419)  # hermes.py prog_coeff, 2 devices

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        low = (-0.0117 * torch.log(ghat) - 0.0057).clamp_(0.0091, 0.04)  # hermes.py sig_drift, 2 devices
        spread = choose(ghat < 0.3055, low, _cubic(ghat, 0.0073, 0.0093, -0.0118))
        return _hermes_drift_mean(ghat), spread

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q."""
        low = (-0.0117 * torch.log(ghat) - 0.0069).clamp_(0.015, 0.04)  # hermes.py q_s, 2 devices
        return choose(ghat < 0.16, low, _cubic(ghat, 0.0123, 0.0211, -0.0280, 0.0069))


@dataclass(frozen=True)
class Hermes1:
    """One HERMES device per polarity. Numbers: aihwkit inference/noise/hermes.py, `num_devices=1`."""

    g_max_us: float = 10.35
    n_physical: int = 1
    t0_s: float = 200.0
    t_read_s: float = 512e-9
    cut_matters: bool = False  # as for two devices

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return _cubic(ghat, 0.15781817, 2.32443916, -2.16310839, 0.68841818)  # hermes.py prog_coeff, 1 device

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        low = (-0.0120 * torch.log(ghat) - 0.0023).clamp_(0.0124, 0.04)  # hermes.py sig_drift, 1 device
        spread = choose(ghat < 0.3039, low, _cubic(ghat, 0.0104, 0.0116, -0.0165))
        return _hermes_drift_mean(ghat), spread

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q."""
        low = (-0.0078 * torch.log(ghat) + 0.0038).clamp_(0.0179, 0.04)  # hermes.py q_s, 1 device
        return choose(ghat < 0.1591, low, _cubic(ghat, 0.0088, 0.0768, -0.1352, 0.0664))


@dataclass(frozen=True)
class PcmLike:
    """IBM's 90 nm cells (Nandakumar ICECS 2019, Joshi NatComm 2020). Numbers: aihwkit inference/noise/pcm.py."""

    g_max_us: float = 25.0
    n_physical: int = 1
    t0_s: float = 20.0
    t_read_s: float = 250e-9
    cut_matters: bool = True  # a device that is off has noise as large as itself

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return _cubic(ghat, 0.26348, 1.9650, -1.1731)  # pcm.py prog_coeff

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        log_g = torch.log(ghat)  # pcm.py mu_drift, sig_drift
        return (-0.0155 * log_g + 0.0244).clamp_(0.049, 0.1), (-0.0125 * log_g - 0.0059).clamp_(0.008, 0.045)

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q."""
        return (0.0088 / ghat.pow(0.65).clamp_(min=1e-3)).clamp_(max=0.2)  # pcm.py q_s


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


DEVICES: dict[str, FittedDevice] = {
    "ideal": FittedDevice(Ideal()),
    "pcm_like": FittedDevice(PcmLike()),
    "hermes_1": FittedDevice(Hermes1()),
    "hermes_2": FittedDevice(Hermes2()),
}
