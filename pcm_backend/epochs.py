"""When every device was programmed: a list of moments per chip, and for each device its place in the list.

All devices of one write share a moment, so a device keeps four bytes where a float64 clock reading would take eight,
and what only depends on its age is worked out once for each moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from .checks import check_entries, check_tensor

_FIRST_CLEARANCE = 256


class Epochs:
    """Moments of programming, s on the chip's clock, float64; moment 0 is the first programming."""

    KEYS: ClassVar[tuple[str, ...]] = ("times_s", "epoch")
    """What a saved state calls them."""

    def __init__(self, shape: tuple[int, ...], times_s: Tensor, epoch: Tensor | None) -> None:
        """Hold the moments.

        Args:
            shape: Of the devices, chips first.
            times_s: Clock reading of every moment. Shape: (K, moments).
            epoch: Place of every device's moment, int32, of shape `shape`; None: all have the first.
        """
        self.shape, self.times_s, self.epoch = shape, times_s, epoch
        self._clear_at = _FIRST_CLEARANCE

    @classmethod
    def begin(cls, shape: tuple[int, ...], now_s: Tensor) -> Epochs:
        """Return devices that are all programmed now. Shape of now: (K,)."""
        return cls(tuple(shape), now_s.unsqueeze(1).clone(), None)

    def open(self, now_s: Tensor) -> None:
        """Begin a moment; what is marked from here on belongs to it. Shape: (K,)."""
        if self.times_s.shape[1] >= self._clear_at:
            self._clear()
        self.times_s = torch.cat([self.times_s, now_s.unsqueeze(1)], 1)

    def mark(self, flat: Tensor) -> None:
        """Give devices the present moment. Shape: (n,), places in the flattened array."""
        self.places().view(-1)[flat] = self.present

    @property
    def present(self) -> int:
        """Place of the last moment that was opened."""
        return self.times_s.shape[1] - 1

    def places(self) -> Tensor:
        """Return the place of every device's moment, to be changed."""
        if self.epoch is None:
            self.epoch = torch.zeros(self.shape, dtype=torch.int32, device=self.times_s.device)
        return self.epoch

    def ages_s(self, now_s: Tensor) -> Tensor:
        """Return the age of every device, or of all of a chip in one where they share it.

        Shape: (K, slices, 2, lines, rows) or (K, 1, 1, 1, 1).
        """
        ages = now_s.unsqueeze(1) - self.times_s
        if self.epoch is None:
            return ages.view(-1, *(1,) * (len(self.shape) - 1))
        return ages.gather(1, self.epoch.flatten(1).long()).view(self.shape)

    def ages_at(self, now_s: Tensor, chip: Tensor, flat: Tensor) -> Tensor:
        """Return the age of a list of devices: their chips, and their places in the flattened array. Shape: (n,)."""
        ages = now_s.unsqueeze(1) - self.times_s
        return ages[chip, 0] if self.epoch is None else ages[chip, self.epoch.view(-1)[flat].long()]

    def repeat(self, n_copies: int) -> Epochs:
        """Return the moments of every chip's copies."""
        epoch = None if self.epoch is None else self.epoch.repeat_interleave(n_copies, 0)
        shape = (self.shape[0] * n_copies, *self.shape[1:])
        return Epochs(shape, self.times_s.repeat_interleave(n_copies, 0), epoch)

    def state_dict(self) -> dict[str, Tensor]:
        """Return both tensors; without the places where all devices have the first moment."""
        places = {} if self.epoch is None else {"epoch": self.epoch.clone()}
        return {"times_s": self.times_s.clone(), **places}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse moments and places that are not of such devices; a state may hold more."""
        check_entries("moments", state, self.KEYS[:1])
        times_s, epoch = state["times_s"], state.get("epoch")
        check_tensor("times_s", times_s)
        if epoch is not None:
            check_tensor("epoch", epoch)
        listed = times_s.dim() == 2 and len(times_s) == self.shape[0] and times_s.shape[1] > 0
        if not listed or (epoch is not None and tuple(epoch.shape) != self.shape):
            theirs = (tuple(times_s.shape), None if epoch is None else tuple(epoch.shape))
            raise ValueError(f"the state has moments and places of shape {theirs}, this array devices of {self.shape}")
        if epoch is not None and not (int(epoch.min()) >= 0 and int(epoch.max()) < times_s.shape[1]):
            raise ValueError(f"the state has moments 0 to {times_s.shape[1] - 1}, and a device of another one")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set both tensors."""
        self.check_state(state)
        times_s, epoch = state["times_s"], state.get("epoch")
        self.times_s = times_s.to(self.times_s).clone()
        self.epoch = None if epoch is None else epoch.to(device=self.times_s.device, dtype=torch.int32).clone()
        self._clear_at = max(_FIRST_CLEARANCE, 2 * times_s.shape[1])

    def _clear(self) -> None:
        """Forget the moments that no device has any more."""
        if self.epoch is not None:
            alive = torch.unique(self.epoch)
            place = torch.zeros(self.times_s.shape[1], dtype=torch.int32, device=self.epoch.device)
            place[alive.long()] = torch.arange(len(alive), dtype=torch.int32, device=self.epoch.device)
            self.epoch, self.times_s = place[self.epoch.long()], self.times_s[:, alive.long()]
        self._clear_at = max(_FIRST_CLEARANCE, 2 * self.times_s.shape[1])
