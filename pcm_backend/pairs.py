"""The conductances of K chips: programmed, aged and sensed; they know nothing of weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .chip import Clock
from .choose import put
from .config import ReadNoise
from .device import Device
from .devices import DeviceState, FittedDevice
from .pulse_device import PulsedDevice
from .pulsing import pulse_cells
from .spending import Spent, spent_by_table
from .streams import Streams


class PairState(NamedTuple):
    """State of every conductance. Shape of each: (K, slices, 2, lines, rows), the 2 being positive and negative."""

    g_us: Tensor
    """Conductance as programmed, uS."""
    nu: Tensor
    """Drift exponent."""
    programmed_s: Tensor
    """Clock reading at programming, s, float64."""
    frozen_us: Tensor | None
    """The read that holds until the next advance or write, uS; only with frozen read noise."""
    trimmed_us: Tensor | None
    """The part of g_us that the trimmed device of two conducts; only where pulses are simulated."""


class Fresh(NamedTuple):
    """Devices programmed a moment ago."""

    state: DeviceState | None
    """As programmed; None: pulse by pulse, and what came of it stands in the array."""
    frozen_us: Tensor | None
    pulsed: Tensor
    """Conductances that received a pulse. Shape: (K, 2, lines, rows), bool."""
    spent: Spent
    """What it took."""


class Pairs:
    """Differential pairs of conductances, every device with an age of its own."""

    def __init__(self, device: Device, read_noise: ReadNoise, state: PairState, streams: Streams, clock: Clock) -> None:
        self.device, self.state, self.streams, self.clock = device, state, streams, clock
        self.read_noise: ReadNoise = read_noise

    @classmethod
    def blank(
        cls,
        device: Device,
        read_noise: ReadNoise,
        shape: tuple[int, ...],
        *,
        streams: Streams,
        clock: Clock,
    ) -> Pairs:
        """Return pairs that conduct nothing, to be programmed. Shape: (K, slices, 2, lines, rows)."""
        zero = torch.zeros(shape, device=clock.now_s.device)
        frozen = zero.clone() if read_noise == "frozen" else None
        trimmed = zero.clone() if isinstance(device, PulsedDevice) and device.n_physical > 1 else None
        state = PairState(zero, zero.clone(), zero.double(), frozen, trimmed)
        return cls(device, read_noise, state, streams, clock)

    def program(self, index: int, mask: Tensor, target_us: Tensor) -> Fresh:
        """Program devices of one slice once; of a cell at most one polarity, so one draw per cell serves both.

        What is drawn does not depend on the mask, so no chip's numbers depend on what its neighbours write.

        Args:
            index: Slice.
            mask: Devices that are pulsed. Shape: (K, 2, lines, rows).
            target_us: Conductance aimed at in each cell. Shape: (K, 1, lines, rows).
        """
        if isinstance(self.device, PulsedDevice):
            return Fresh(
                None, None, *pulse_cells(self, self.device, index, mask, target_us.expand_as(mask), anew=False)
            )
        state, frozen_us = self._draw(target_us)
        if bool(mask.any()):
            self._store(index, mask, state, frozen_us)
        spent = spent_by_table(target_us / self.device.g_max_us, mask, self.device.n_physical)
        return Fresh(state, frozen_us, mask, spent)

    def program_all(self, index: int, target_us: Tensor) -> Fresh:
        """Program every device of one slice, each with its own draw. Shape of the target: (K, 2, lines, rows)."""
        everything = torch.ones_like(target_us, dtype=torch.bool)
        if isinstance(self.device, PulsedDevice):
            return Fresh(None, None, *pulse_cells(self, self.device, index, everything, target_us, anew=True))
        state, frozen_us = self._draw(target_us)
        self._store(index, everything, state, frozen_us)
        spent = spent_by_table(target_us / self.device.g_max_us, None, self.device.n_physical)
        return Fresh(state, frozen_us, everything, spent)

    def sense(self, index: int, n_reads: int) -> Tensor:
        """Return the mean of noisy reads of every device of one slice, uS; frozen noise does not average out.

        Shape: (K, 2, lines, rows).
        """
        return self._average(*self.moments(index), n_reads)

    def sense_fresh(self, index: int, fresh: Fresh, n_reads: int) -> Tensor:
        """Return the mean of noisy reads of devices of one slice programmed a moment ago, uS."""
        if fresh.state is None:
            return self.sense(index, n_reads)
        if fresh.frozen_us is not None:
            return fresh.frozen_us
        if self.read_noise == "off":
            return fresh.state.g_us
        return self._average(*self.device.read_moments(fresh.state, 0.0), n_reads)

    def moments(self, index: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Return mean (uS) and variance (uS^2) of a read now; None: no noise. One slice, or all."""
        which = slice(None) if index is None else index
        if self.state.frozen_us is not None:
            return self.state.frozen_us[:, which].clone(), None
        state = DeviceState(self.state.g_us[:, which], self.state.nu[:, which])
        if self.read_noise == "off":
            return self.device.conductance(state, self._age_s(which)), None
        return self.device.read_moments(state, self._age_s(which))

    def conductance(self) -> Tensor:
        """Return what every device conducts now without read noise, uS."""
        return self.device.conductance(DeviceState(self.state.g_us, self.state.nu), self._age_s(slice(None)))

    def ages_s(self) -> Tensor:
        """Return the age of every device, s, float64."""
        return self._age_s(slice(None))

    def refreeze(self) -> None:
        """Draw the read that holds from now on, where read noise is frozen."""
        if self.state.frozen_us is None:
            return
        normal = self.streams.normal(*self.state.g_us.shape[1:])
        state = DeviceState(self.state.g_us, self.state.nu)
        self.state = self.state._replace(frozen_us=self.device.read_with(state, self._age_s(slice(None)), normal))

    def repeat(self, n_copies: int, *, streams: Streams, clock: Clock) -> Pairs:
        """Return the pairs of every chip's copies, row k T + t for copy t of chip k."""
        rows = {name: each.repeat_interleave(n_copies, 0) for name, each in self._present().items()}
        return Pairs(self.device, self.read_noise, self._state_of(rows), streams, clock)

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor of the state."""
        return {name: each.clone() for name, each in self._present().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set every tensor of the state."""
        mine = self.state_dict()
        shapes, wanted = ({name: tuple(each.shape) for name, each in s.items()} for s in (state, mine))
        if shapes != wanted:
            raise ValueError(f"the state has conductances of shape {shapes}, this array {wanted}")
        self.state = self._state_of({name: state[name].to(each).clone() for name, each in mine.items()})

    def _present(self) -> dict[str, Tensor]:
        return {name: each for name, each in self.state._asdict().items() if each is not None}

    def _state_of(self, own: dict[str, Tensor]) -> PairState:
        return PairState(own["g_us"], own["nu"], own["programmed_s"], own.get("frozen_us"), own.get("trimmed_us"))

    def _average(self, mean: Tensor, variance: Tensor | None, n_reads: int) -> Tensor:
        if variance is None:
            return mean
        noise = self.streams.normal(*mean.shape[1:]).mul_((variance / n_reads).sqrt_())
        return noise.add_(mean).clamp_(min=0.0)

    def _draw(self, target_us: Tensor) -> tuple[DeviceState, Tensor | None]:
        device = self.device
        assert isinstance(device, FittedDevice)
        normal = self.streams.normal(2, *target_us.shape[1:])
        state = device.program_with(target_us, normal[:, 0], normal[:, 1])
        if self.state.frozen_us is None:
            return state, None
        return state, device.read_with(state, 0.0, self.streams.normal(*target_us.shape[1:]))

    def _store(self, index: int, mask: Tensor, state: DeviceState, frozen_us: Tensor | None) -> None:
        now = self.clock.now_s[:, None, None, None]
        put(self.state.g_us[:, index], mask, state.g_us)
        put(self.state.nu[:, index], mask, state.nu)
        put(self.state.programmed_s[:, index], mask, now)
        if self.state.frozen_us is not None and frozen_us is not None:
            put(self.state.frozen_us[:, index], mask, frozen_us)

    def _age_s(self, which: slice | int) -> Tensor:
        programmed_s = self.state.programmed_s[:, which]
        return self.clock.now_s.view(-1, *(1,) * (programmed_s.dim() - 1)) - programmed_s
