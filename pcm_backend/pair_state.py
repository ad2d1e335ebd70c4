"""What an array keeps of its conductances, how some of them are named, and what comes of programming them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from .checks import check_kind, check_shapes
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


def check_kept(state: Any, mine: Mapping[str, Tensor], beside: Sequence[str]) -> None:
    """Refuse the tensors of a saved state where they are not those that are kept, or of other shapes or types.

    Args:
        state: The saved tensors by name.
        mine: Those that are kept.
        beside: Names of what somebody else looks at.
    """
    check_kind("the state of conductances", state, Mapping)
    check_shapes("conductances", {name: each for name, each in state.items() if name not in beside}, mine)
    for name, tensor in mine.items():
        if state[name].dtype != tensor.dtype:
            raise ValueError(f"the state has {name} of {state[name].dtype}, this array of {tensor.dtype}")
