"""Programming conductances of an array pulse by pulse, where its device is simulated at that level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .pulse_device import PulsedDevice, PulseState
from .spending import Spent, spent_by_count
from .verify import Counts

if TYPE_CHECKING:
    from .pairs import Pairs

_CHUNK = 1 << 17
"""Conductances that go through the loop together: its temporaries stay in the cache."""


def pulse_cells(
    pairs: Pairs, device: PulsedDevice, index: int, mask: Tensor, target_us: Tensor, *, anew: bool
) -> tuple[Tensor, Spent]:
    """Bring the masked conductances of a slice to their targets.

    What one conductance draws depends on its chip and place alone, not on what else is programmed.

    Args:
        pairs: The array; its state is changed in place.
        device: Its device.
        index: Slice.
        mask: Shape (K, 2, lines, rows), bool.
        target_us: Of the shape of the mask.
        anew: From devices of unknown state; else from where they stand, and what reads near enough stays as it is.

    Returns:
        Which conductances received a pulse, of the shape of the mask, and what it took.
    """
    chip, place = mask.flatten(1).nonzero(as_tuple=True)
    draw = pairs.streams.draw(*mask.shape[1:])
    pulsed, counts = torch.zeros_like(mask), []
    for part in torch.arange(len(chip), device=chip.device).split(_CHUNK):
        cells = _Cells(pairs, index, chip[part], place[part])
        aim_us, numbers = target_us.flatten(1)[cells.chip, cells.place], draw.at(cells.chip, cells.place)
        normal = None if pairs.state.frozen_us is None else numbers()  # now: the loop goes on with parts of the list
        if anew:
            state, count = device.program_cells(aim_us, numbers)
        else:
            state, count = device.reprogram(cells.state(), cells.age_s(), aim_us, numbers)
        hit = count.pulses > 0
        frozen_us = None if normal is None else device.read_with(state, 0.0, normal)
        cells.store(state, frozen_us, hit)
        pulsed.view(len(mask), -1)[cells.chip, cells.place] = hit
        counts.append(count)
    count = Counts(*(torch.cat(each) for each in zip(*counts, strict=True))) if counts else _nothing(chip)
    n_rows = mask.shape[-1]
    return pulsed, spent_by_count(count, chip, place % n_rows, (len(mask), n_rows))


class _Cells:
    """Some conductances of one slice of an array."""

    def __init__(self, pairs: Pairs, index: int, chip: Tensor, place: Tensor) -> None:
        self._pairs, self.chip, self.place = pairs, chip, place
        per_slice = pairs.state.g_us[0, 0].numel()
        self._flat = chip * pairs.state.g_us[0].numel() + index * per_slice + place

    def state(self) -> PulseState:
        """Return what they carry. Shape: (cells,)."""
        kept = self._pairs.state
        trimmed_us = None if kept.trimmed_us is None else kept.trimmed_us.view(-1)[self._flat]
        return PulseState(kept.g_us.view(-1)[self._flat], kept.nu.view(-1)[self._flat], trimmed_us)

    def age_s(self) -> Tensor:
        """Return how long ago they were pulsed, s."""
        return self._pairs.clock.now_s[self.chip] - self._pairs.state.programmed_s.view(-1)[self._flat]

    def store(self, new: PulseState, frozen_us: Tensor | None, hit: Tensor) -> None:
        """Write back those that were hit."""
        kept, flat = self._pairs.state, self._flat[hit]
        kept.g_us.view(-1)[flat] = new.g_us[hit]
        kept.nu.view(-1)[flat] = new.nu[hit]
        kept.programmed_s.view(-1)[flat] = self._pairs.clock.now_s[self.chip[hit]]
        for tensor, value in ((kept.trimmed_us, new.trimmed_us), (kept.frozen_us, frozen_us)):
            if tensor is not None and value is not None:
                tensor.view(-1)[flat] = value[hit]


def _nothing(chip: Tensor) -> Counts:
    none = torch.zeros_like(chip, dtype=torch.uint8)
    return Counts(none, none, none, none, none.bool())
