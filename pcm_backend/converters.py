"""Converters at both ends of a product: clip to a full scale, round to steps."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-30  # full scale of a vector of zeros


def convert(x: Tensor, bits: int, full_scale: Tensor | float) -> Tensor:
    """Clip and round to the steps of a converter; gradients pass straight through the rounding.

    Args:
        x: What is converted.
        bits: Resolution with its sign, so 2^(bits - 1) - 1 steps either side of zero; 0: nothing is done.
        full_scale: Largest magnitude, broadcast to x.
    """
    if bits == 0:
        return x
    steps = 2 ** (bits - 1) - 1
    if isinstance(full_scale, Tensor):
        clipped = torch.minimum(torch.maximum(x, -full_scale), full_scale)
        full_scale = full_scale.clamp(min=_LEAST)
    else:
        clipped = x.clamp(-full_scale, full_scale)
    rounded = torch.round(clipped.detach() * (steps / full_scale)) * (full_scale / steps)
    return clipped + (rounded - clipped.detach()) if clipped.requires_grad else rounded


def largest(x: Tensor) -> Tensor:
    """Return the largest magnitude of each vector, kept as a last dimension of 1."""
    return x.detach().abs().amax(-1, keepdim=True)
