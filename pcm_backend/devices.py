"""Device models: programming error, drift and read noise of one conductance, as pure functions of tensors.

A device model is three fits (a class with `programming_sigma_us`, `drift_exponent`, `read_noise`, see `Fit`) in a
`FittedDevice`, which turns them into the calls that a crossbar makes. One of your own is added from outside:
`register_device("mine", TableFit(...))`, or any other class with those three methods.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .device_protocol import Device
from .fit import Fit, Ideal
from .fits_hermes import Hermes1, Hermes2
from .fits_pcm import PcmLike, StateIndependent
from .trains import after_train

OffDevice = Literal["noisy", "ideal"]

_GHAT_FLOOR = 1e-7  # aihwkit inference/noise: the logarithms of the fits are cut here


class DeviceState(NamedTuple):
    """What a programmed conductance carries from then on; both tensors have the shape of the target."""

    g_us: Tensor
    """Conductance right after programming, uS."""
    nu: Tensor
    """Drift exponent, drawn once at programming."""


@dataclass(frozen=True)
class FittedDevice:
    """A device model: state in, state or conductance out; nothing is kept here."""

    fit: Fit
    """What is known of its cells."""
    off_device: OffDevice = "noisy"
    """What a device programmed to exactly zero does: it has the error of the fit; or it conducts nothing, ever."""

    @property
    def g_max_us(self) -> float:
        """Largest conductance, uS."""
        return self.fit.g_max_us

    @property
    def n_physical(self) -> int:
        """Physical devices that one conductance is made of."""
        return self.fit.n_physical

    @property
    def t0_s(self) -> float:
        """Time of the first reading of the drift fit, s."""
        return self.fit.t0_s

    @property
    def off_limit_us(self) -> float:
        """Conductance below which a device counts as switched off, uS: three deviations of one programmed to zero."""
        return 3.0 * float(self.fit.programming_sigma_us(torch.zeros(1)))

    def program(self, g_target_us: Tensor, generator: torch.Generator) -> DeviceState:
        """Program every device of a tensor once.

        Args:
            g_target_us: Targets, any shape, uS.
            generator: Source of programming error and drift exponents.

        Raises:
            ValueError: A target is no number, below zero or above the largest conductance.
        """
        g_target_us = checked_targets(g_target_us, self.g_max_us)
        normal = torch.randn((2, *g_target_us.shape), generator=generator, device=g_target_us.device)
        return self.program_with(g_target_us, normal[0], normal[1])

    def program_with(self, g_target_us: Tensor, normal_g: Tensor, normal_nu: Tensor) -> DeviceState:
        """Program with given standard normal numbers: the pure form of `program`."""
        ghat = g_target_us / self.g_max_us
        g_us = (g_target_us + self.fit.programming_sigma_us(ghat) * normal_g).clamp_(min=0.0)
        if self.off_device == "ideal":
            g_us = torch.where(g_target_us == 0, 0.0, g_us)
        mean, spread = self.fit.drift_exponent(ghat.clamp(min=_GHAT_FLOOR))
        return DeviceState(g_us, (mean + spread * normal_nu).abs_())

    def program_drawn(self, g_target_us: Tensor, normal: Callable[[], Tensor]) -> DeviceState:
        """Program with a source of standard normal numbers, whose shape the target broadcasts to."""
        normal_g = normal()
        return self.program_with(g_target_us, normal_g, normal())

    def train(
        self, state: DeviceState, n_pulses: Tensor, normal: Callable[[], Tensor], age_s: float | Tensor = 0.0
    ) -> DeviceState:
        """Give conductances SET pulses that nobody verifies, see `trains`; the pulsed ones have age 0 afterwards.

        Args:
            state: Any shape.
            n_pulses: Whole numbers, zero or more; where it is zero the state stays.
            normal: Source of standard normal numbers of the shape of the state.
            age_s: Age at which the pulses come.
        """
        x = self.conductance(state, age_s) / self.g_max_us
        x = after_train(x, n_pulses, normal(), self.n_physical)
        mean, spread = self.fit.drift_exponent(x.clamp(min=_GHAT_FLOOR))
        pulsed, nu = n_pulses > 0, (mean + spread * normal()).abs_()
        return DeviceState(torch.where(pulsed, x * self.g_max_us, state.g_us), torch.where(pulsed, nu, state.nu))

    def measured(self, g_us: Tensor, age_s: float, normal: Callable[[], Tensor]) -> DeviceState:
        """Return the state of conductances that were measured at an age; their exponents are drawn for what they are.

        Args:
            g_us: Any shape, uS.
            age_s: Age at which they conducted this, s.
            normal: Source of standard normal numbers of the shape of the conductances.
        """
        mean, spread = self.fit.drift_exponent((g_us / self.g_max_us).clamp(_GHAT_FLOOR, 1.0))
        state = DeviceState(g_us, (mean + spread * normal()).abs_())
        return state._replace(g_us=g_us * torch.exp(state.nu * self._log_growth(state, age_s)))

    def blank(self, shape: tuple[int, ...], device: torch.device) -> DeviceState:
        """Return room for the state of devices yet to be programmed."""
        return DeviceState(torch.empty(shape, device=device), torch.empty(shape, device=device))

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
        age = torch.as_tensor(age_s, device=state.g_us.device)
        if age.numel() and not (youngest := float(age.amin())) >= 0.0:  # so that NaN is refused too
            raise ValueError(f"age_s must be zero or more, got {youngest:g}")
        age = age.to(torch.float32)
        return torch.log1p(age / self.fit.t0_s)


def checked_targets(g_target_us: Tensor, g_max_us: float) -> Tensor:
    """Return targets as float32.

    Raises:
        ValueError: A target is no number, below zero or above the largest conductance.
    """
    g_target_us = torch.as_tensor(g_target_us, dtype=torch.float32)
    if not bool(((g_target_us >= 0.0) & (g_target_us <= g_max_us * (1.0 + 1e-6))).all()):
        low, high = (f"{float(each):.6g}" for each in g_target_us.aminmax())
        raise ValueError(f"g_target_us must lie in 0 to {g_max_us} uS, got values from {low} to {high}")
    return g_target_us


DEVICES: dict[str, Device] = {
    "ideal": FittedDevice(Ideal()),
    "pcm_like": FittedDevice(PcmLike()),
    "state_independent": FittedDevice(StateIndependent()),
    "hermes_1": FittedDevice(Hermes1()),
    "hermes_2": FittedDevice(Hermes2()),
}


def find_device(name: str, off_device: OffDevice = "noisy") -> Device:
    """Return a device of `DEVICES` whose off devices are as told.

    Raises:
        ValueError: There is no such device, or its model has no other off devices than its own.
    """
    if name not in DEVICES:
        raise ValueError(f"unknown device {name!r}; choose from {sorted(DEVICES)}")
    device = DEVICES[name]
    if off_device == "noisy":
        return device
    if not isinstance(device, FittedDevice):
        fitted = sorted(each for each, model in DEVICES.items() if isinstance(model, FittedDevice))
        raise ValueError(f"device {name!r} has no off_device {off_device!r}; choose from {fitted}")
    return dataclasses.replace(device, off_device=off_device)


def register_device(name: str, fit: Fit) -> FittedDevice:
    """Put a device model of your own into `DEVICES`, for this process, and return it.

    Args:
        name: How it will be asked for: small letters, digits and underscores.
        fit: Its three fits; `TableFit` holds them as measured points.

    Raises:
        ValueError: The name is no name, or stands for another device already; the same one may come again.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "float":  # float is software, on every command line
        raise ValueError(f"a device's name is small letters, digits and underscores, and not 'float'; got {name!r}")
    device = FittedDevice(fit)
    if DEVICES.get(name, device) != device:
        raise ValueError(f"the name {name!r} is taken by another device; names in use are {sorted(DEVICES)}")
    DEVICES[name] = device
    return device
