"""The pulse-level device: every conductance is one or two devices that are pulsed, verified, relax and drift.

What 60 s after the loop means: the fits take a device as it was at its first reading, t0 = 300 s (hermes_2) or 200 s
(hermes_1) after programming on the chip, for freshly programmed; their programming error therefore holds the loop's own
error and everything that happened between the last verify and that reading, and they let g fall as ((t + t0) / t0)^-nu
from there. Ages in this simulator count from the end of the write, as in the fits' own code: age 0 is that first
reading. So relaxation happens here as a whole at the end of the loop, with a mean of zero (a chip aims at what the
first reading will find), and in the following 60 s there is only the fits' drift, a factor 1.2^-nu of about .99 on
hermes_2 and 1.3^-nu on hermes_1, whose spread is well below the programming error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .devices import DEVICES, DeviceState, Fit, FittedDevice, Hermes1, Hermes2, checked_targets
from .pulses import PulseCfg, relaxed, reset_pulse, set_pulse
from .verify import Counts, Devices, Numbers, Start, erase_and_fill, numbers_from, program_and_verify, refill

_CHUNK = 1 << 17
"""Cells that go through the loop together: its temporaries stay in the cache."""


class PulseState(NamedTuple):
    """What a conductance carries; every tensor has the shape of the target. At most 12 bytes for two devices."""

    g_us: Tensor
    """Conductance of all its devices right after programming, uS."""
    nu: Tensor
    """Drift exponent of the conductance, drawn when a device of it was last pulsed."""
    trimmed_us: Tensor | None
    """The part of g_us that the trimmed device conducts, uS; None: a conductance is one device."""


@dataclass(frozen=True)
class PulsedDevice:
    """A device model by pulses: drift and read noise of a fit, and a programming error that comes out of the loop."""

    fit: Fit
    cfg: PulseCfg

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
        """Conductance below which a device counts as switched off, uS."""
        return self._fitted.off_limit_us

    @property
    def t0_s(self) -> float:
        """Time of the first reading of the drift fit, s."""
        return self.fit.t0_s

    def blank(self, shape: tuple[int, ...], device: torch.device) -> PulseState:
        """Return room for the state of conductances yet to be programmed."""
        g_us, nu = torch.empty(shape, device=device), torch.empty(shape, device=device)
        return PulseState(g_us, nu, None if self.n_physical == 1 else torch.empty(shape, device=device))

    def program(self, g_target_us: Tensor, generator: torch.Generator) -> PulseState:
        """Program every conductance of a tensor once, from devices of unknown state.

        Args:
            g_target_us: Targets, any shape, uS.
            generator: Source of every noise.

        Raises:
            ValueError: A target is no number, below zero or above the largest conductance.
        """
        return self.program_counted(g_target_us, generator)[0]

    def program_counted(self, g_target_us: Tensor, generator: torch.Generator) -> tuple[PulseState, Counts]:
        """Program as `program` does; return also the pulses that it took and which conductances converged."""
        target_us = checked_targets(g_target_us, self.g_max_us)
        numbers = numbers_from(target_us.numel(), generator)
        parts = [
            self.program_cells(target_us.flatten()[part], numbers.keep(part))
            for part in torch.arange(target_us.numel(), device=target_us.device).split(_CHUNK)
        ]
        return _joined(parts, target_us.shape)

    def program_cells(self, g_target_us: Tensor, numbers: Numbers) -> tuple[PulseState, Counts]:
        """Program a flat list of conductances from devices of unknown state. Shape of the target: (cells,)."""
        return self._verified(
            erase_and_fill(g_target_us, self.n_physical == 2, numbers, self.cfg), g_target_us, numbers
        )

    def reprogram(
        self, state: PulseState, age_s: float | Tensor, g_target_us: Tensor, numbers: Numbers
    ) -> tuple[PulseState, Counts]:
        """Bring conductances from where they stand to a target; those that read near enough receive no pulse.

        Flat lists: every tensor of the state, the target and an age that is a tensor have shape (cells,). A cell whose
        counts are zero keeps its state; the others have age 0. Both devices of a cell share one age and one exponent,
        though a write may have pulsed one of them alone.
        """
        start = refill(self._now(state, age_s), g_target_us, numbers, self.cfg)
        new, counts = self._verified(start, g_target_us, numbers)
        return _choose(counts.pulses > 0, new, state), counts

    def measured(self, g_us: Tensor, age_s: float, normal: Callable[[], Tensor]) -> PulseState:
        """Return the state of conductances, uS, that were measured at an age, s; of two devices one is full or off."""
        state = self._fitted.measured(g_us, age_s, normal)
        if self.n_physical == 1:
            return PulseState(*state, None)
        full_us = self.cfg.g_device_us
        return PulseState(*state, torch.where(state.g_us > full_us, state.g_us - full_us, state.g_us))

    def set_pulses(
        self, state: PulseState, n: Tensor, generator: torch.Generator, age_s: float | Tensor = 0.0
    ) -> PulseState:
        """Give every conductance n SET pulses that nobody verifies, as `train` does; n is broadcast to the state."""
        return self.train(state, n.expand_as(state.g_us), lambda: self._normal(state, generator), age_s)

    def train(
        self, state: PulseState, n_pulses: Tensor, normal: Callable[[], Tensor], age_s: float | Tensor = 0.0
    ) -> PulseState:
        """Give conductances SET pulses that nobody verifies; where there are none the state stays.

        Of two devices the one that conducts less takes each pulse.

        Args:
            state: Any shape.
            n_pulses: Whole numbers, zero or more, of the shape of the state.
            normal: Source of steps, relaxation and drift exponent: standard normal numbers of the shape of the state.
            age_s: Age at which the pulses come; pulsed conductances have age 0 afterwards.
        """
        trimmed_us, filled_us = self._now(state, age_s)
        ends = normal(), normal()  # first: how many pulses there are to draw for depends on the others in the list
        for index in range(int(n_pulses.amax()) if n_pulses.numel() else 0):
            numbers, due = normal(), n_pulses > index
            if filled_us is None:
                trimmed_us = torch.where(due, set_pulse(trimmed_us, numbers, self.cfg), trimmed_us)
                continue
            second = filled_us < trimmed_us
            grown = set_pulse(torch.minimum(filled_us, trimmed_us), numbers, self.cfg)
            trimmed_us = torch.where(due & ~second, grown, trimmed_us)
            filled_us = torch.where(due & second, grown, filled_us)
        g_us = Devices(trimmed_us, filled_us).g_us
        return _choose(n_pulses > 0, self._settled(Devices(trimmed_us, filled_us), g_us, *ends), state)

    def reset(self, state: PulseState, generator: torch.Generator, mask: Tensor | None = None) -> PulseState:
        """RESET all devices of the masked conductances, or of all; their age is 0 afterwards."""
        off = [reset_pulse(self._normal(state, generator), self.cfg) for _ in range(self.n_physical)]
        devices = Devices(off[0], off[1] if self.n_physical == 2 else None)
        normal = self._normal(state, generator), self._normal(state, generator)
        new = self._settled(devices, devices.g_us, *normal)
        return new if mask is None else _choose(mask.expand_as(state.g_us), new, state)

    def conductance(self, state: DeviceState | PulseState, age_s: float | Tensor) -> Tensor:
        """Return the drifted conductance without read noise, uS."""
        return self._fitted.conductance(_sum(state), age_s)

    def noisy_conductance(self, state: DeviceState | PulseState, age_s: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return the drifted conductance and the standard deviation of a read of it, uS."""
        return self._fitted.noisy_conductance(_sum(state), age_s)

    def read_moments(self, state: DeviceState | PulseState, age_s: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (uS) and variance (uS^2) of a read."""
        return self._fitted.read_moments(_sum(state), age_s)

    def read(self, state: DeviceState | PulseState, age_s: float | Tensor, generator: torch.Generator) -> Tensor:
        """Read every conductance once: drifted, noisy, never below zero, uS."""
        return self._fitted.read(_sum(state), age_s, generator)

    def read_with(self, state: DeviceState | PulseState, age_s: float | Tensor, normal: Tensor) -> Tensor:
        """Read with given standard normal numbers."""
        return self._fitted.read_with(_sum(state), age_s, normal)

    @property
    def _fitted(self) -> FittedDevice:
        return FittedDevice(self.fit)

    def _verified(self, start: Start, target_us: Tensor, numbers: Numbers) -> tuple[PulseState, Counts]:
        ends = numbers(), numbers()  # before the loop: its cells leave the list one by one
        devices, counts = program_and_verify(start, target_us, numbers, self.cfg)
        return self._settled(devices, target_us, *ends), counts

    def _settled(self, devices: Devices, nominal_us: Tensor, normal_g: Tensor, normal_nu: Tensor) -> PulseState:
        """Relax, and draw the drift exponent that belongs to a nominal conductance."""
        before_us = devices.g_us
        g_us = relaxed(before_us, normal_g, self.cfg)
        mean, spread = self.fit.drift_exponent((nominal_us / self.g_max_us).clamp(1e-7, 1.0))
        nu = (mean + spread * normal_nu).abs_()
        if devices.filled_us is None:
            return PulseState(g_us, nu, None)
        return PulseState(g_us, nu, devices.trimmed_us * (g_us / before_us.clamp(min=1e-6)))

    def _now(self, state: PulseState, age_s: float | Tensor) -> Devices:
        """Return what every device conducts now: both of a pair have drifted alike."""
        g_us = self.conductance(state, age_s)
        if state.trimmed_us is None:
            return Devices(g_us, None)
        trimmed_us = state.trimmed_us * (g_us / state.g_us.clamp(min=1e-6))
        return Devices(trimmed_us, (g_us - trimmed_us).clamp(min=0.0))

    def _normal(self, state: PulseState, generator: torch.Generator) -> Tensor:
        return torch.randn(state.g_us.shape, generator=generator, device=state.g_us.device)


HERMES_PAIR = PulsedDevice(Hermes2(), PulseCfg(reset_us=0.16603222 / 2**0.5))
"""Two HERMES devices as one conductance; together a RESET leaves them with the fit's spread at zero."""
HERMES_SINGLE = PulsedDevice(Hermes1(), PulseCfg())
"""One HERMES device."""
DEVICES.update(hermes_2_pulses=HERMES_PAIR, hermes_1_pulses=HERMES_SINGLE)


def _sum(state: DeviceState | PulseState) -> DeviceState:
    return DeviceState(state.g_us, state.nu)


def _choose(mask: Tensor, new: PulseState, old: PulseState) -> PulseState:
    trimmed_us = None
    if new.trimmed_us is not None and old.trimmed_us is not None:
        trimmed_us = torch.where(mask, new.trimmed_us, old.trimmed_us)
    return PulseState(torch.where(mask, new.g_us, old.g_us), torch.where(mask, new.nu, old.nu), trimmed_us)


def _joined(parts: list[tuple[PulseState, Counts]], shape: torch.Size) -> tuple[PulseState, Counts]:
    """Put the chunks together again."""
    states, counts = zip(*parts, strict=True)
    g_us, nu, trimmed_us = (
        None if each[0] is None else torch.cat(each).view(shape) for each in zip(*states, strict=True)
    )
    assert g_us is not None
    assert nu is not None
    return PulseState(g_us, nu, trimmed_us), Counts(
        *(torch.cat(each).view(shape) for each in zip(*counts, strict=True))
    )
