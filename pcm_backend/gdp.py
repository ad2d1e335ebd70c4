"""Gradient descent on the error of products: programming that looks at whole products and never at single cells.

Buechel et al., JETCAS 2023, arXiv 2305.16647: random inputs are applied, the error of the outputs is multiplied with
the inputs, and what that gradient says of each weight is written. A product reads all cells at once through the
converters that inference uses, so no finer converter is needed, and errors of converters and lines are learned too.

A device that is programmed anew takes a fresh programming error. So a cell is written only where the gradient puts its
error above the error of programming: what is good stays, and the errors that remain are the tries that came out small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GdpCfg:
    """How long to descend, and how sure to be before a cell is written."""

    rounds: int = 10
    """Rounds of products and writes."""
    inputs_per_row: float = 8.0
    """Random inputs in a round over the rows of the array: the gradient of a weight carries the errors of all others,
    with a standard deviation of their mean square's root times sqrt(rows / inputs)."""
    threshold: float = 1.0
    """Estimated error above which a cell is written, in standard deviations of programming."""

    def __post_init__(self) -> None:
        """Refuse rounds and numbers that cannot be."""
        if not (isinstance(self.rounds, int) and self.rounds >= 1):
            raise ValueError(f"rounds must be a whole number, 1 or more, got {self.rounds!r}")
        for name in ("inputs_per_row", "threshold"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)!r}")


def weight_gradient(x: Tensor, error: Tensor) -> Tensor:
    """Return what the error of products says of each weight: the least-squares gradient, scaled to weights.

    For inputs that are independent with mean square s^2, the mean of error x / s^2 is the missing weight.

    Args:
        x: Inputs, shape (K, batch, in).
        error: Wanted minus read outputs, shape (K, batch, out).
    """
    power = x.square().mean(1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)  # (K, 1, in)
    return torch.bmm(error.transpose(1, 2), x / power) / x.shape[1]


def believed(gradient: Tensor, x: Tensor, error: Tensor) -> Tensor:
    """Return the gradient without the share that is chance, line by line.

    A gradient from B inputs has the variance of the errors of its line over B times that of the input. Where the mean
    square of a line's gradients is no larger than that, nothing is left of them (Wiener: signal over signal and noise).
    """
    noise = error.square().mean(1).unsqueeze(-1) / (x.shape[1] * x.square().mean((1, 2), keepdim=True))  # (K, out, 1)
    power = gradient.square().mean(-1, keepdim=True)
    return gradient * ((power - noise) / power.clamp(min=torch.finfo(power.dtype).tiny)).clamp(min=0.0)


def worth_writing(gradient: Tensor, sigma: Tensor, threshold: float) -> Tensor:
    """Return the gradient where it exceeds the error that a write would make, zero elsewhere."""
    return torch.where(gradient.abs() > threshold * sigma, gradient, 0.0)


def descend(
    table: Tensor,
    cfg: GdpCfg,
    inputs: Callable[[int], Tensor],
    read: Callable[[Tensor], Tensor],
    write: Callable[[Tensor], None],
    sigma: Callable[[], Tensor],
) -> None:
    """Bring programmed weights closer to a table.

    Args:
        table: Wanted weights, shape (K, out, in).
        cfg: Rounds and thresholds.
        inputs: Returns so many random inputs, shape (K, batch, in).
        read: Returns the chip's product.
        write: Writes increments, exactly zero where nothing is to happen.
        sigma: Returns the error that a write of each weight would make now, of the shape of the table.
    """
    batch = math.ceil(cfg.inputs_per_row * table.shape[-1])
    for _ in range(cfg.rounds):
        x = inputs(batch)
        error = torch.bmm(x, table.transpose(1, 2)) - read(x)
        gradient = believed(weight_gradient(x, error), x, error)
        write(worth_writing(gradient, sigma(), cfg.threshold))
