"""The conductances of K chips: programmed, aged and sensed; they know nothing of weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .chip import Clock
from .config import ReadNoise
from .devices import DeviceState, FittedDevice
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


class Pairs:
    """Differential pairs of conductances, every device with an age of its own."""

    def __init__(
        self, device: FittedDevice, read_noise: ReadNoise, state: PairState, streams: Streams, clock: Clock
    ) -> None:
        self.device, self.state, self.streams, self.clock = device, state, streams, clock
        self.read_noise: ReadNoise = read_noise

    @classmethod
    def blank(
        cls,
        device: FittedDevice,
        read_noise: ReadNoise,
        shape: tuple[int, ...],
        *,
        streams: Streams,
        clock: Clock,
    ) -> Pairs:
        """Return pairs that conduct nothing, to be programmed. Shape: (K, slices, 2, lines, rows)."""
        zero = torch.zeros(shape, device=clock.now_s.device)
        frozen = zero.clone() if read_noise == "frozen" else None
        state = PairState(zero, zero.clone(), zero.double(), frozen)
        return cls(device, read_noise, state, streams, clock)

    def program(self, index: int, mask: Tensor, target_us: Tensor) -> None:
        """Program devices of one slice once; of a cell at most one polarity, so one draw per cell serves both.

        Args:
            index: Slice.
            mask: Devices that are pulsed. Shape: (K, 2, lines, rows).
            target_us: Conductance aimed at; broadcasts to the mask.
        """
        normal = self.streams.normal(2, 1, *mask.shape[2:])
        self._store(index, mask, self.device.program_with(target_us, normal[:, 0], normal[:, 1]))

    def program_all(self, index: int, target_us: Tensor) -> None:
        """Program every device of one slice, each with its own draw. Shape of the target: (K, 2, lines, rows)."""
        normal = self.streams.normal(2, *target_us.shape[1:])
        everywhere = torch.ones_like(target_us, dtype=torch.bool)
        self._store(index, everywhere, self.device.program_with(target_us, normal[:, 0], normal[:, 1]))

    def sense(self, index: int, n_reads: int, *, one_draw_per_cell: bool = False) -> Tensor:
        """Return the mean of noisy reads of every device of one slice, uS. Shape: (K, 2, lines, rows).

        Args:
            index: Slice.
            n_reads: Reads that are averaged; a frozen noise does not average out.
            one_draw_per_cell: Both polarities share a draw: cheaper, for callers that look at one of them.
        """
        mean, variance = self.moments(index)
        if variance is None:
            return mean
        polarities = 1 if one_draw_per_cell else 2
        normal = self.streams.normal(polarities, *mean.shape[2:])
        return (mean + (variance / n_reads).sqrt_() * normal).clamp_(min=0.0)

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

    def refreeze(self) -> None:
        """Draw the read that holds from now on, where read noise is frozen."""
        if self.state.frozen_us is None:
            return
        normal = self.streams.normal(*self.state.g_us.shape[1:])
        state = DeviceState(self.state.g_us, self.state.nu)
        self.state = self.state._replace(frozen_us=self.device.read_with(state, self._age_s(slice(None)), normal))

    def repeat(self, n_copies: int, *, streams: Streams, clock: Clock) -> Pairs:
        """Return the pairs of every chip's copies, row k T + t for copy t of chip k."""
        g_us, nu, programmed_s, frozen_us = self.state
        rows = [each.repeat_interleave(n_copies, 0) for each in (g_us, nu, programmed_s)]
        frozen_us = None if frozen_us is None else frozen_us.repeat_interleave(n_copies, 0)
        state = PairState(rows[0], rows[1], rows[2], frozen_us)
        return Pairs(self.device, self.read_noise, state, streams, clock)

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor of the state."""
        return {name: each.clone() for name, each in self.state._asdict().items() if each is not None}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set every tensor of the state."""
        mine = self.state_dict()
        shapes, wanted = ({name: tuple(each.shape) for name, each in s.items()} for s in (state, mine))
        if shapes != wanted:
            raise ValueError(f"the state has conductances of shape {shapes}, this array {wanted}")
        own = {name: state[name].to(each).clone() for name, each in mine.items()}
        self.state = PairState(own["g_us"], own["nu"], own["programmed_s"], own.get("frozen_us"))

    def _store(self, index: int, mask: Tensor, fresh: DeviceState) -> None:
        g_us, nu, programmed_s, frozen_us = self.state
        g_us[:, index] = torch.where(mask, fresh.g_us, g_us[:, index])
        nu[:, index] = torch.where(mask, fresh.nu, nu[:, index])
        now = self.clock.now_s[:, None, None, None]
        programmed_s[:, index] = torch.where(mask, now, programmed_s[:, index])
        if frozen_us is not None:
            normal = self.streams.normal(*mask.shape[1:])
            frozen_us[:, index] = torch.where(mask, self.device.read_with(fresh, 0.0, normal), frozen_us[:, index])

    def _age_s(self, which: slice | int) -> Tensor:
        programmed_s = self.state.programmed_s[:, which]
        return self.clock.now_s.view(-1, *(1,) * (programmed_s.dim() - 1)) - programmed_s
