"""Gain and offset of every output line's converter: drawn with the chip, measured by known currents, taken out again.

A converter reads c = gain y + offset F with F its full scale; what is measured of both is used to take them out, so the
error of that measurement remains until the next one. Assumptions: the known currents come from a reference, not from
the array, so they are free of read noise; these readings use the full resolution of the counters (12 bit on HERMES),
so they are not rounded; neither gain nor offset moves with time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LEVEL = 0.5
"""Known currents, plus and minus, over full scale: the middle of the range, which no gain of HERMES pushes beyond."""
WIDEST = 3.0
"""Deviations at which a gain's spread ends: on HERMES 21 % for a deviation of 7.09 % (Khaddam-Aljameh JSSC 2022)."""


class Columns(NamedTuple):
    """The converters of K chips, and what was measured of them. Shape of each: (K, parts, lines)."""

    gain: Tensor
    """Reading over what is read."""
    offset: Tensor
    """Reading at no current, over full scale."""
    seen_gain: Tensor
    """The gain that is taken out."""
    seen_offset: Tensor
    """The offset that is taken out."""

    def repeat(self, n_copies: int) -> Columns:
        """Return the converters of every chip's copies."""
        return Columns(*(each.repeat_interleave(n_copies, 0) for each in self))


def drawn(gain_spread: float, offset_spread: float, normal: Tensor) -> Columns:
    """Return converters of which nothing is known yet.

    Args:
        gain_spread: Standard deviation of the gain about 1.
        offset_spread: Standard deviation of the offset, over full scale.
        normal: Standard normal numbers. Shape (K, 2, parts, lines).
    """
    gain = 1.0 + gain_spread * normal[:, 0].clamp(-WIDEST, WIDEST)
    return Columns(gain, offset_spread * normal[:, 1], torch.ones_like(gain), torch.zeros_like(gain))


def measured(columns: Columns, noise: float, n_reads: int, normal: Tensor) -> Columns:
    """Read a known current of either sign n times each, and keep the gain and offset that this gives.

    The deviation of the gain from its true value is sqrt(2 / n) noise, that of the offset noise / sqrt(2 n).

    Args:
        columns: The converters.
        noise: Standard deviation of one reading, over full scale.
        n_reads: Readings of each current.
        normal: Standard normal numbers. Shape (K, 2, parts, lines).
    """
    up, down = normal.mul(noise / math.sqrt(n_reads)).unbind(1)
    up, down = up + columns.gain * LEVEL + columns.offset, down - columns.gain * LEVEL + columns.offset
    return columns._replace(seen_gain=(up - down) / (2.0 * LEVEL), seen_offset=(up + down) / 2.0)


def distorted(y: Tensor, columns: Columns, full_scale: Tensor) -> Tensor:
    """Return what the converters see of y. Shapes: (K, batch, parts, lines); full scale broadcasts to it."""
    return torch.addcmul(columns.offset.unsqueeze(1) * full_scale, y, columns.gain.unsqueeze(1))


def corrected(codes: Tensor, columns: Columns, full_scale: Tensor) -> Tensor:
    """Return codes with what was measured of gain and offset taken out, digitally, so without rounding."""
    return (codes - columns.seen_offset.unsqueeze(1) * full_scale) / columns.seen_gain.unsqueeze(1)
