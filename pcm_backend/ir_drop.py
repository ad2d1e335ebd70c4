"""Current lost along an output line: cells far from the converter are driven less, the more the line carries.

A line of n cells on n pieces of wire of resistance R carries, to first order, a current short by
R sum_j I_j sum_l min(j, l) |I_l| / V. Where currents are spread evenly over the rows that is (a / 2) sum_j I_j p_j with
the load a = n R sum_l |I_l| / V and the position p_j = 1 - (1 - j / n)^2, row 0 being next to the converter. The
polynomial carries this to larger loads (aihwkit rpu_forward_backward_pass.cpp, applyIrDrop).

In one phase both polarities load the line at once, and the formula holds with the load T of every device. In four
phases each phase has a load of its own, its very product: the partial results of `phases.py` lose `loss(..., load)`
each. Where only their sum is computed, `summed_loss` estimates what the four lose together.

Assumptions: the wires of the rows lose nothing; the converter holds its end of the line at the reference; inputs are
amplitudes, as in aihwkit. Of inputs that are lengths of pulses which start together, more are driven early: a line
then loses more, by a third where lengths are uniform.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_MEAN_POSITION = 2.0 / 3.0  # of 1 - (1 - u)^2 over the line


class LineMeans(NamedTuple):
    """Mean conductance of the devices of a line over its rows, uS. Shape of each: (..., lines)."""

    positive: Tensor
    negative: Tensor


def positions(n_rows: int, device: torch.device | str = "cpu") -> Tensor:
    """Return how much of the loss each row sees, from 0 next to the converter towards 1. Shape: (n_rows,)."""
    return 1.0 - (1.0 - torch.arange(n_rows, device=device) / n_rows).square()


def lost_share(load: Tensor) -> Tensor:
    """Return the share of its current that the farthest row loses at a load: a (.5 - .2 a + .05 a^2)."""
    return load * (0.5 + load * (0.05 * load - 0.2))


def exact_load(drive: Tensor, g_us: Tensor, wire_ohm: float) -> Tensor:
    """Return the load of every line from each of its devices, which takes a product.

    Args:
        drive: Inputs over full scale, -1 to 1. Shape (..., batch, rows).
        g_us: What the line's devices of a row conduct together, uS. Shape (..., lines, rows).
        wire_ohm: Resistance of the line from one cell to the next.

    Returns:
        No unit. Shape (..., batch, lines).
    """
    return drive.abs() @ g_us.mT * (g_us.shape[-1] * wire_ohm * 1e-6)


def mean_load(drive: Tensor, line_us: Tensor, n_rows: int, wire_ohm: float) -> Tensor:
    """Return the load of every line as if its conductances were spread evenly over the rows: no product is needed.

    Args:
        drive: Inputs over full scale, -1 to 1. Shape (..., batch, inputs).
        line_us: Mean over the rows of what a line's devices conduct together, uS. Shape (..., lines).
        n_rows: Rows of the line; a multiple of the inputs where several rows hold the same weight.
        wire_ohm: Resistance of the line from one cell to the next.

    Returns:
        No unit. Shape (..., batch, lines).
    """
    driven = drive.abs().sum(-1, keepdim=True) * (n_rows / drive.shape[-1])  # rows at full scale
    return driven * (line_us * (n_rows * wire_ohm * 1e-6)).unsqueeze(-2)


def loss(x: Tensor, weights: Tensor, load: Tensor, position: Tensor) -> Tensor:
    """Return what a product loses: one more product, in which every row counts by its position.

    Args:
        x: Inputs. Shape (..., batch, rows).
        weights: Shape (..., lines, rows).
        load: Shape (..., batch, lines).
        position: Shape (rows,).

    Returns:
        To be subtracted from the product. Shape (..., batch, lines).
    """
    return lost_share(load) * ((x * position) @ weights.mT)


def summed_loss(
    y: Tensor, positioned: Tensor, drive: Tensor, means: LineMeans, unit: Tensor, n_rows: int, wire_ohm: float
) -> Tensor:
    """Return what four phases lose together, without their four products.

    Let a phase of sign s and polarity t carry m + d, where m = T f_s h_t is its share by mean field (f the part of the
    inputs, h that of the conductances) and d what makes it differ. It loses (m + d)(p' + d p), which sums over the
    phases, with their signs, to the current-weighted mean of m times (y' + p (y - T (f+ - f-)(h+ - h-))).

    Args:
        y: The product. Shape (..., batch, lines).
        positioned: The product in which every row counts by its position, y'.
        drive: Inputs over full scale, -1 to 1. Shape (..., batch, inputs).
        means: Of the devices of every line.
        unit: Product, in the unit of y, of one row at full scale and 1 uS. Shape (..., lines).
        n_rows: Rows of the line.
        wire_ohm: Resistance of the line from one cell to the next.
    """
    line_us = (means.positive + means.negative).clamp(min=1e-12)
    up = drive.clamp(min=0.0).sum(-1, keepdim=True)
    driven = drive.abs().sum(-1, keepdim=True).clamp(min=1e-12)
    signs, polarities = 2.0 * up / driven - 1.0, (means.positive - means.negative) / line_us  # f+ - f-, h+ - h-
    load = mean_load(drive, line_us, n_rows, wire_ohm)
    phase_load = load * (1.0 + signs.square()) * (1.0 + polarities.square()).unsqueeze(-2) / 4.0
    expected = driven * signs * (line_us * polarities * unit * (n_rows / drive.shape[-1])).unsqueeze(-2)
    return lost_share(phase_load) * (positioned + _MEAN_POSITION * (y - expected))
