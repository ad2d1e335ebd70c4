"""What an array keeps of its conductances, how some of them are named, and what comes of programming them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from .spending import Spent
from .streams import Normal


class PairState(NamedTuple):
    """State of every conductance. Shape of each tensor: (K, slices, 2, lines, rows), 2 being positive and negative."""

    device: Any
    """What the device model keeps of each, a NamedTuple of tensors."""
    frozen_us: Tensor | None
    """The read that holds until the next advance or write, uS; only with frozen read noise."""


class Places(NamedTuple):
    """Devices of one slice, as a list. Shape of each: (n,), int64."""

    chip: Tensor
    """Which chip."""
    place: Tensor
    """Which of its devices: (polarity x lines + line) x rows + row."""

    def keep(self, where: Tensor) -> Places:
        """Return those of a list of positions."""
        return Places(self.chip[where], self.place[where])


class Fresh(NamedTuple):
    """Devices programmed a moment ago."""

    device: Any
    """What the device model keeps of them; None where the array has to be asked."""
    frozen_us: Tensor | None
    spent: Spent
    """What it took."""


def averaged(mean: Tensor, variance: Tensor | None, n_reads: int, normal: Normal) -> Tensor:
    """Return the mean of some noisy reads of devices with these moments, cut at zero."""
    if variance is None:
        return mean
    return normal().mul_((variance / n_reads).sqrt_()).add_(mean).clamp_(min=0.0)


def each_of(state: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return a NamedTuple of tensors with a function applied to each; None stays None."""
    return type(state)(*(None if tensor is None else function(tensor) for tensor in state))


def present_in(state: Any, frozen_us: Tensor | None) -> list[Tensor]:
    """Return the tensors that are kept, in a fixed order."""
    return [each for each in (*state, frozen_us) if each is not None]
