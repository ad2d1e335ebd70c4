"""The conductances of K chips: programmed, aged and sensed, all at once or by list; they know nothing of weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .chip import Clock
from .config import ReadNoise
from .device_protocol import Device
from .devices import FittedDevice
from .epochs import Epochs
from .fast_devices import FastDevices
from .filling import fill
from .health import Health
from .pair_state import Fresh, PairState, Places, averaged, check_kept, each_of, present_in
from .pulse_array import pulse_all, pulse_list
from .pulse_device import PulsedDevice
from .spending import Spent, spent_by_count, spent_by_table, spent_on_all, spent_on_bins
from .streams import Draw, Normal, Streams


class Pairs:
    """Differential pairs of conductances, every device with an age of its own."""

    def __init__(
        self,
        device: Device,
        read_noise: ReadNoise,
        state: PairState,
        *,
        epochs: Epochs,
        streams: Streams,
        clock: Clock,
        health: Health | None = None,
    ) -> None:
        self.device, self.state, self.epochs = device, state, epochs
        self.streams, self.clock = streams, clock
        self.read_noise: ReadNoise = read_noise
        self.health = health  # None: nothing is broken
        self.fast = FastDevices.of(device, state.device, state.frozen_us, read_noise != "off")

    @classmethod
    def blank(
        cls,
        device: Device,
        read_noise: ReadNoise,
        shape: tuple[int, ...],
        *,
        streams: Streams,
        clock: Clock,
        health: Health | None = None,
    ) -> Pairs:
        """Return pairs yet to be programmed. Shape: (K, slices, 2, lines, rows)."""
        state = device.blank(shape, clock.now_s.device)
        frozen = torch.empty(shape, device=clock.now_s.device) if read_noise == "frozen" else None
        epochs = Epochs.begin(shape, clock.now_s)
        parts: dict[str, Any] = {"epochs": epochs, "streams": streams, "clock": clock, "health": health}
        return cls(device, read_noise, PairState(state, frozen), **parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, slices, 2, lines, rows)."""
        return self.epochs.shape

    def draw(self) -> Draw:
        """Begin a draw for the devices of one slice."""
        return self.streams.draw(*self.shape[2:])

    def program_pairs(self, index: int, aim_us: Tensor) -> tuple[Spent, Tensor | None]:
        """Program every device of one slice so that each pair has a wanted difference, at the first programming.

        Args:
            index: Slice.
            aim_us: Shape (K, lines, rows), or (1, lines, rows) for all chips.

        Returns:
            What it took, and the sums of every line where they came with it, shape (K, lines, 4) (see `LineSums`).
        """
        if self.fast is None:
            return self.program_all(index, torch.stack([aim_us.clamp(min=0.0), (-aim_us).clamp(min=0.0)], 1)), None
        sums, counts = self.fast.program_all(self.state.device, index, aim_us, self.draw())
        n_chips, _, _, lines, rows = self.shape
        return spent_on_bins(counts, n_chips, rows, 2 * lines, self.device.n_physical), sums

    def program_all(self, index: int, target_us: Tensor, half: FittedDevice | None = None) -> Spent:
        """Program every device of one slice, at the first programming.

        Args:
            index: Slice.
            target_us: Shape (K, 2, lines, rows), or (1, 2, lines, rows) for all chips.
            half: Model of one of two devices of a conductance, to be filled one after the other; None: as one.
        """
        draw = self.draw()
        if isinstance(self.device, PulsedDevice):
            everywhere_us, frozen = target_us.expand(self.shape[0], -1, -1, -1), self.state.frozen_us is not None
            state, frozen_us, spent = pulse_all(self.device, everywhere_us, draw, frozen=frozen)
        else:
            state, frozen_us = self._fresh(target_us, draw, half)
            spent = spent_on_all(target_us / self.device.g_max_us, self.shape[0], self.device.n_physical)
        for kept, new in zip(self._kept(), present_in(state, frozen_us), strict=True):
            kept[:, index] = new
        return spent

    def take_over(self, index: int, g_us: Tensor, age_s: float) -> None:
        """Make the devices of one slice conduct what was measured, at one age for the whole array.

        Args:
            index: Slice.
            g_us: Shape (K, 2, lines, rows), or (1, 2, lines, rows) for all chips, uS.
            age_s: Time since they were programmed, s.
        """
        draw = self.draw()
        state = self.device.measured(g_us.expand(self.shape[0], *self.shape[2:]), age_s, draw)
        frozen_us = None if self.state.frozen_us is None else self.device.read_with(state, age_s, draw())
        for kept, new in zip(self._kept(), present_in(state, frozen_us), strict=True):
            kept[:, index] = new
        self.epochs = Epochs.begin(self.shape, self.clock.now_s - age_s)

    def program_at(self, index: int, places: Places, target_us: Tensor, draw: Draw) -> Fresh:
        """Program a list of devices of one slice once; the moment is that of the last `epochs.open`.

        Args:
            index: Slice.
            places: Which devices, each at most once.
            target_us: Conductance aimed at. Shape: (n,).
            draw: One of `draw()`. What is drawn for a device does not depend on what else is in the list.
        """
        flat = self.flat(index, places)
        row = places.place % self.shape[-1]
        size = (self.shape[0], self.shape[-1])
        if isinstance(self.device, PulsedDevice):
            state, age_s = self.state_at(flat), self.epochs.ages_at(self.clock.now_s, places.chip, flat)
            frozen = self.state.frozen_us is not None
            pulsed = pulse_list(self.device, state, age_s, target_us, draw.at(*places), frozen=frozen)
            hit = pulsed.hit.nonzero().squeeze(1)
            frozen_us = None if pulsed.frozen_us is None else pulsed.frozen_us[hit]
            self._store(flat[hit], each_of(pulsed.state, lambda tensor: tensor[hit]), frozen_us)
            return Fresh(None, None, spent_by_count(pulsed.counts, places.chip, row, size))
        if self.fast is not None:
            state, frozen_us = (
                self.fast.program_list(self.state.device, self.epochs, *places, flat, target_us, draw),
                None,
            )
        else:
            state, frozen_us = self._fresh(target_us, draw.at(*places))
            self._store(flat, state, frozen_us)
        ghat = target_us / self.device.g_max_us
        return Fresh(state, frozen_us, spent_by_table(ghat, places.chip, row, size, self.device.n_physical))

    def train_at(self, index: int, places: Places, n_pulses: Tensor, draw: Draw) -> None:
        """Give a list of devices of one slice SET pulses that nobody verifies.

        Args:
            index: Slice.
            places: Which devices, each at most once.
            n_pulses: Whole numbers, 1 or more. Shape: (n,).
            draw: One of `draw()`.
        """
        flat, normal = self.flat(index, places), draw.at(*places)
        state, frozen = self.state_at(flat), self.state.frozen_us is not None
        numbers = normal() if frozen else None  # now: how often the train draws depends on the others in the list
        state = self.device.train(state, n_pulses, normal, self.epochs.ages_at(self.clock.now_s, places.chip, flat))
        self._store(flat, state, None if numbers is None else self.device.read_with(state, 0.0, numbers))

    def scale_at(self, flat: Tensor, factor: Tensor) -> None:
        """Multiply what a list of devices conducts. Shape: (n,)."""
        for each in (each for name, each in self._tensors().items() if name.endswith("_us")):
            each.view(-1)[flat] *= factor

    def sigma_us(self, target_us: Tensor) -> Tensor:
        """Return the error that programming to a target makes, as a standard deviation, uS."""
        return self.device.fit.programming_sigma_us((target_us / self.device.g_max_us).clamp(0.0, 1.0))

    def sense(self, index: int, n_reads: int) -> Tensor:
        """Return the mean of noisy reads of every device of one slice, uS; frozen noise does not average out.

        Shape: (K, 2, lines, rows).
        """
        return averaged(*self.moments(index), n_reads, self.draw())

    def sense_fresh(self, index: int, places: Places, fresh: Fresh, n_reads: int, draw: Draw) -> Tensor:
        """Return the mean of noisy reads of a list of devices programmed a moment ago, uS. Shape: (n,)."""
        if fresh.device is None:
            moments = self.moments_at(index, places)
        else:
            moments = self._moments(fresh.device, fresh.frozen_us, 0.0)
        return averaged(*moments, n_reads, draw.at(*places))

    def moments(self, index: int | None = None, chips: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return mean (uS) and variance (uS^2) of a read now; None: no noise.

        Args:
            index: One slice, or None for all.
            chips: Some chips alone, int64, or None for all.
        """

        def pick(tensor: Tensor) -> Tensor:
            tensor = tensor if chips is None else tensor[chips]
            return tensor if index is None else tensor[:, index]

        frozen = None if self.state.frozen_us is None else pick(self.state.frozen_us)
        age_s = self.epochs.ages_s(self.clock.now_s)
        age_s = pick(age_s.expand(len(age_s), *self.shape[1:]) if age_s.shape[1] == 1 else age_s)
        return self._moments(each_of(self.state.device, pick), frozen, age_s)

    def moments_at(self, index: int, places: Places) -> tuple[Tensor, Tensor | None]:
        """Return mean and variance of a read now of a list of devices of one slice. Shape of each: (n,)."""
        flat = self.flat(index, places)
        if self.fast is not None:
            return self.fast.moments_list(self.state.device, self.epochs, self.clock.now_s, places.chip, flat)
        frozen = None if self.state.frozen_us is None else self.state.frozen_us.view(-1)[flat]
        return self._moments(self.state_at(flat), frozen, self.epochs.ages_at(self.clock.now_s, places.chip, flat))

    def conductance(self) -> Tensor:
        """Return what every device conducts now without read noise, uS."""
        return self.device.conductance(self.state.device, self.epochs.ages_s(self.clock.now_s))

    def ages_s(self) -> Tensor:
        """Return the age of every device, s, float64. Shape: (K, slices, 2, lines, rows)."""
        return self.epochs.ages_s(self.clock.now_s).expand(self.shape)

    def refreeze(self) -> None:
        """Draw the read that holds from now on, where read noise is frozen."""
        if self.state.frozen_us is None:
            return
        normal = self.streams.normal(*self.shape[1:])
        ages_s = self.epochs.ages_s(self.clock.now_s)
        self.state = self.state._replace(frozen_us=self.device.read_with(self.state.device, ages_s, normal))

    def repeat(self, n_copies: int, *, streams: Streams, clock: Clock, health: Health | None) -> Pairs:
        """Return the pairs of every chip's copies, row k T + t for copy t of chip k."""

        def rows(tensor: Tensor) -> Tensor:
            return tensor.repeat_interleave(n_copies, 0)

        frozen = None if self.state.frozen_us is None else rows(self.state.frozen_us)
        state = PairState(each_of(self.state.device, rows), frozen)
        epochs = self.epochs.repeat(n_copies)
        parts: dict[str, Any] = {"epochs": epochs, "streams": streams, "clock": clock, "health": health}
        return Pairs(self.device, self.read_noise, state, **parts)

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor of the state."""
        return {**{name: each.clone() for name, each in self._tensors().items()}, **self.epochs.state_dict()}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not of such devices."""
        check_kept(state, self._tensors(), Epochs.KEYS)
        self.epochs.check_state(state)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set every tensor of the state."""
        self.check_state(state)
        self.epochs.load_state_dict(state)
        for name, tensor in self._tensors().items():
            tensor.copy_(state[name])

    def _tensors(self) -> dict[str, Tensor]:
        named = {**self.state.device._asdict(), "frozen_us": self.state.frozen_us}
        return {name: each for name, each in named.items() if each is not None}

    def _kept(self) -> list[Tensor]:
        return present_in(self.state.device, self.state.frozen_us)

    def _store(self, flat: Tensor, state: Any, frozen_us: Tensor | None) -> None:
        frozen_us = frozen_us if self.state.frozen_us is not None else None
        for kept, new in zip(self._kept(), present_in(state, frozen_us), strict=True):
            kept.view(-1)[flat] = new
        self.epochs.mark(flat)

    def flat(self, index: int, places: Places) -> Tensor:
        """Return the places of some devices of one slice in the flattened array. Shape: (n,)."""
        _, slices, *one = self.shape
        return (places.chip * slices + index) * torch.Size(one).numel() + places.place

    def _fresh(self, target_us: Tensor, normal: Normal, half: FittedDevice | None = None) -> tuple[Any, Tensor | None]:
        assert isinstance(self.device, FittedDevice)
        state = self.device.program_drawn(target_us, normal) if half is None else fill(target_us, half, normal)
        return state, self._frozen(state, normal)

    def _frozen(self, state: Any, normal: Normal) -> Tensor | None:
        return None if self.state.frozen_us is None else self.device.read_with(state, 0.0, normal())

    def state_at(self, flat: Tensor) -> Any:
        """Return what the device model keeps of a list of devices, by their places in the flattened array."""
        return each_of(self.state.device, lambda tensor: tensor.view(-1)[flat])

    def _moments(self, state: Any, frozen_us: Tensor | None, age_s: Tensor | float) -> tuple[Tensor, Tensor | None]:
        if frozen_us is not None:
            return frozen_us, None
        if self.read_noise == "off":
            return self.device.conductance(state, age_s), None
        return self.device.read_moments(state, age_s)
