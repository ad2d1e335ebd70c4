"""The strength of every output line: what it conducts over one-hot inputs, kept up to date without walking all devices.

A measurement drives the rows one by one and takes the root of the mean square of the currents of a line. Its noise is
drawn once for a line, which is the same to second order as a number for each row: with currents c and deviations s of
independent normal errors the mean square has the mean (sum c^2 + s^2) / n and the variance
(4 sum c^2 s^2 + 2 sum s^4) / n^2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .checks import check_shapes
from .pair_state import Places
from .pairs import Pairs

_TOLERANCE = 1e-4
"""Sums hold until the clock has moved by this share of the drift fit's first reading: no exponent of these devices
changes a current by more than 2e-5 in that time, a hundredth of what noise does to the measurement."""


Moments = tuple[Tensor, Tensor | None]
"""Mean and variance of reads; None: no noise."""


class LineSums:
    """Sums of c^2, s^2, c^2 s^2 and s^4 over the rows of every line on each core, float64, uS to the powers."""

    def __init__(self, sums: Tensor, at_s: Tensor, blocks: tuple[slice, ...]) -> None:
        """Hold the sums.

        Args:
            sums: Shape (K, slices, lines, blocks, 4).
            at_s: Clock reading that they hold for. Shape (K,).
            blocks: Which rows lie on which core.
        """
        self.sums, self.at_s, self._blocks = sums, at_s, blocks
        self.edges = torch.tensor([0, *(each.stop for each in blocks)], device=sums.device)
        self._n_rows = self.edges.diff()

    @classmethod
    def blank(cls, pairs: Pairs, blocks: tuple[slice, ...]) -> LineSums:
        """Return sums that are out of date."""
        k, slices, _, lines, _ = pairs.shape
        zero = torch.zeros((k, slices, lines, len(blocks), 4), dtype=torch.float64, device=pairs.clock.now_s.device)
        return cls(zero, torch.full_like(pairs.clock.now_s, -torch.inf), blocks)

    def forget(self) -> None:
        """Walk the devices at the next measurement, for something happened to all of them."""
        self.at_s = torch.full_like(self.at_s, -torch.inf)

    def measure_us(self, pairs: Pairs, n_reads: int) -> Tensor:
        """Measure every line, each input read some times, uS. Shape: (K, slices, lines, blocks)."""
        self.refresh(pairs)
        c2, s2, c2s2, s4 = (self.sums / self._n_rows.unsqueeze(-1)).unbind(-1)
        mean, variance = c2 + s2 / n_reads, (4.0 * c2s2 / n_reads + 2.0 * s4 / n_reads**2) / self._n_rows
        normal = pairs.streams.normal(*mean.shape[1:]).double()
        return (mean + variance.sqrt() * normal).clamp(min=0.0).sqrt().float()

    def refresh(self, pairs: Pairs) -> None:
        """Walk the devices of those chips whose sums are out of date."""
        now_s = pairs.clock.now_s
        late = (now_s - self.at_s) > _TOLERANCE * pairs.device.t0_s
        if not bool(late.any()):
            return
        chips = None if bool(late.all()) else late.nonzero().squeeze(1)
        if pairs.fast is not None:
            listed = torch.arange(len(late)) if chips is None else chips
            self._put(chips, pairs.fast.line_sums(pairs.state.device, pairs.epochs, now_s, listed, self.edges), now_s)
            return
        mean, variance = pairs.moments(chips=chips)
        current = mean[:, :, 0] - mean[:, :, 1]
        spread = torch.zeros_like(current) if variance is None else variance[:, :, 0] + variance[:, :, 1]
        sums = torch.stack([self._per_block(each) for each in _powers(current, spread)], -1)
        self._put(chips, sums, now_s)

    def take(self, pairs: Pairs, index: int, sums: Tensor) -> None:
        """Take over the sums of a slice that was just programmed as a whole; shape (K, lines, 4).

        They are those of all rows, so of no use where these lie on several cores.
        """
        if len(self._blocks) == 1:
            self.sums[:, index, :, 0], self.at_s = sums, pairs.clock.now_s.clone()

    def _put(self, chips: Tensor | None, sums: Tensor, now_s: Tensor) -> None:
        if chips is None:
            self.sums, self.at_s = sums, now_s.clone()
        else:
            self.sums[chips], self.at_s[chips] = sums, now_s[chips]

    def move(self, pairs: Pairs, index: int, cells: Places, before: Moments, after: Moments) -> None:
        """Replace what a list of cells contributed before a write with what it does after it.

        Args:
            pairs: The devices.
            index: Slice.
            cells: Chips, and places of the positive devices.
            before: Mean and variance of a read of both devices, each of shape (2, n).
            after: The same.
        """
        slices, lines, blocks = self.sums.shape[1:4]
        line = (cells.chip * slices + index) * lines + cells.place // pairs.shape[-1]
        line = line * blocks + self.block_of(cells.place % pairs.shape[-1])
        if pairs.fast is not None:
            pairs.fast.move_sums(self.sums, line, before, after)
        else:
            self.sums.view(-1, 4).index_add_(0, line, _contribution(*after) - _contribution(*before))

    def block_of(self, row: Tensor) -> Tensor | int:
        """Return on which core rows lie."""
        return 0 if len(self._blocks) == 1 else torch.bucketize(row, self._n_rows.cumsum(0), right=True)

    def lines_of(self, chip: Tensor, line: Tensor, row: Tensor) -> Tensor:
        """Return which lines a list of cells touches, core by core. Shape: (K, lines, blocks), bool."""
        k, _, lines, blocks, _ = self.sums.shape
        touched = torch.zeros((k, lines, blocks), dtype=torch.bool, device=self.sums.device)
        touched[chip, line, self.block_of(row)] = True
        return touched

    def _per_block(self, rows: Tensor) -> Tensor:
        """Add up the rows of each core. Shape: (K, slices, lines, rows) to (K, slices, lines, blocks), float64."""
        return torch.stack([rows[..., block].sum(-1, dtype=torch.float64) for block in self._blocks], -1)

    def repeat(self, n_copies: int) -> LineSums:
        """Return the sums of every chip's copies."""
        sums, at_s = (each.repeat_interleave(n_copies, 0) for each in (self.sums, self.at_s))
        return LineSums(sums, at_s, self._blocks)

    def state_dict(self) -> dict[str, Tensor]:
        """Return sums and their moment."""
        return {"sums": self.sums.clone(), "at_s": self.at_s.clone()}

    def check_state(self, state: Any) -> None:
        """Refuse a state that is not of such lines."""
        check_shapes("line sums", state, self.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set both."""
        self.check_state(state)
        self.sums, self.at_s = (state[name].to(self.sums).clone() for name in ("sums", "at_s"))


def _contribution(mean_us: Tensor, variance: Tensor | None) -> Tensor:
    """Return what cells add to the sums of their lines.

    Args:
        mean_us: Of a read of both devices. Shape: (2, n).
        variance: The same; None: no noise.

    Returns:
        Shape: (n, 4), float64.
    """
    current = mean_us[0] - mean_us[1]
    spread = torch.zeros_like(current) if variance is None else variance[0] + variance[1]
    return torch.stack([each.double() for each in _powers(current, spread)], -1)


def _powers(current: Tensor, spread: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    c2 = current.square()
    return c2, spread, c2 * spread, spread.square()


def array_strength_us(pairs: Pairs, n_reads: int) -> Tensor:
    """Measure the mean magnitude of all lines over one-hot inputs, uS. Shape: (K, slices, 1, 1)."""
    mean, variance = pairs.moments()
    current = mean[:, :, 0] - mean[:, :, 1]
    if variance is not None:
        spread = ((variance[:, :, 0] + variance[:, :, 1]) / n_reads).sqrt_()
        current = current + spread * pairs.streams.normal(*current.shape[1:])
    return current.abs().mean((2, 3), keepdim=True)
