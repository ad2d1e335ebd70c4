"""Programming conductances of an array pulse by pulse, where its device is simulated at that level."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .pulse_device import PulsedDevice, PulseState
from .spending import Spent, spent_by_count_on_all
from .streams import Draw, SparseDraw
from .verify import Counts

_CHUNK = 1 << 17
"""Conductances that go through the loop together: its temporaries stay in the cache."""


class Pulsed(NamedTuple):
    """A list of conductances after the loop."""

    state: PulseState
    frozen_us: Tensor | None
    """A read of each, uS, where that is asked for."""
    counts: Counts

    @property
    def hit(self) -> Tensor:
        """Which received a pulse. Shape: (n,), bool."""
        return self.counts.pulses > 0


def pulse_all(
    device: PulsedDevice, target_us: Tensor, draw: Draw, *, frozen: bool
) -> tuple[PulseState, Tensor | None, Spent]:
    """Bring every conductance of a slice, of unknown state, to its target.

    Args:
        device: Their model.
        target_us: Shape (K, 2, lines, rows).
        draw: For the conductances of a slice.
        frozen: Whether to read each of them once.

    Returns:
        State and a read of each, of the shape of the target, and what it took.
    """
    (n_chips, *shape), per_chip = target_us.shape, target_us[0].numel()
    chip = torch.arange(n_chips, device=target_us.device).repeat_interleave(per_chip)
    place = torch.arange(per_chip, device=target_us.device).repeat(n_chips)
    parts = []
    for chips, places, target in zip(*(e.split(_CHUNK) for e in (chip, place, target_us.flatten())), strict=True):
        numbers = draw.at(chips, places)
        normal = numbers() if frozen else None  # now: the loop goes on with parts of the list
        state, counts = device.program_cells(target, numbers)
        parts.append(Pulsed(state, None if normal is None else device.read_with(state, 0.0, normal), counts))
    whole = _joined(parts)
    state = _each(whole.state, lambda tensor: tensor.view(target_us.shape))
    frozen_us = None if whole.frozen_us is None else whole.frozen_us.view(target_us.shape)
    return state, frozen_us, spent_by_count_on_all(whole.counts, (n_chips, shape[-1]))


def pulse_list(
    device: PulsedDevice, state: PulseState, age_s: Tensor, target_us: Tensor, draw: SparseDraw, *, frozen: bool
) -> Pulsed:
    """Bring a list of conductances from where they stand to their targets; what reads near enough stays as it is.

    What one of them draws does not depend on what else is in the list. Shape of every tensor: (n,).
    """
    parts = []
    for part in torch.arange(len(target_us), device=target_us.device).split(_CHUNK):
        numbers = draw.keep(part)
        normal = numbers() if frozen else None
        before = _each(state, operator.itemgetter(part))
        after, counts = device.reprogram(before, age_s[part], target_us[part], numbers)
        parts.append(Pulsed(after, None if normal is None else device.read_with(after, 0.0, normal), counts))
    return _joined(parts)


def _joined(parts: list[Pulsed]) -> Pulsed:
    trimmed = [part.state.trimmed_us for part in parts if part.state.trimmed_us is not None]
    state = PulseState(
        torch.cat([part.state.g_us for part in parts]),
        torch.cat([part.state.nu for part in parts]),
        torch.cat(trimmed) if trimmed else None,
    )
    counts = Counts(*(torch.cat(each) for each in zip(*(part.counts for part in parts), strict=True)))
    frozen = [part.frozen_us for part in parts if part.frozen_us is not None]
    return Pulsed(state, torch.cat(frozen) if frozen else None, counts)


def _each(state: PulseState, function: Callable[[Tensor], Tensor]) -> PulseState:
    trimmed_us = None if state.trimmed_us is None else function(state.trimmed_us)
    return PulseState(function(state.g_us), function(state.nu), trimmed_us)
