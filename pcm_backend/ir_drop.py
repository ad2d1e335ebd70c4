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

from torch import Tensor

_MEAN_POSITION = 2.0 / 3.0  # of 1 - (1 - u)^2 over the line


class LineMeans(NamedTuple):
    """Mean conductance of the devices of a line over its rows, uS. Shape of each: (..., lines)."""

    positive: Tensor
    negative: Tensor


def positions(n_rows: int | Tensor, row: Tensor) -> Tensor:
    """Return how much of the loss each row sees, from 0 next to the converter towards 1; of the shape of `row`."""
    return 1.0 - (1.0 - row / n_rows).clamp(min=0.0).square()


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


def mean_load(driven: Tensor, line_us: Tensor, n_rows: int | Tensor, wire_ohm: float) -> Tensor:
    """Return the load of every line as if its conductances were spread evenly over the rows: no product is needed.

    Args:
        driven: Sum of the drives of all rows, each over full scale. Shape (..., batch, 1).
        line_us: Mean over the rows of what a line's devices conduct together, uS. Shape (..., lines).
        n_rows: Rows of the line.
        wire_ohm: Resistance of the line from one cell to the next.

    Returns:
        No unit. Shape (..., batch, lines).
    """
    return driven * (n_rows * wire_ohm * 1e-6) * line_us.unsqueeze(-2)


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
    x: Tensor, y: Tensor, positioned: Tensor, mean_weight: Tensor, load: Tensor, means: LineMeans
) -> Tensor:
    """Return what four phases lose together, without their four products.

    Let a phase of sign s and polarity t carry m + d, where m = T f_s h_t is its share by mean field (f the part of the
    inputs, h that of the conductances) and d what makes it differ. It loses (m + d)(p' + d p), which sums over the
    phases, with their signs, to the current-weighted mean of m times (y' + p (y - T (f+ - f-)(h+ - h-))).

    Args:
        x: Inputs. Shape (..., batch, inputs).
        y: The product. Shape (..., batch, lines).
        positioned: The product in which every row counts by its position, y'.
        mean_weight: Mean of the weights of a line. Shape (..., lines).
        load: Of all devices at once. Shape (..., batch, lines).
        means: Of the devices of every line.
    """
    polarities = (means.positive - means.negative) / (means.positive + means.negative).clamp(min=1e-12)  # h+ - h-
    signed = x.sum(-1, keepdim=True)
    signs = signed / x.abs().sum(-1, keepdim=True).clamp(min=1e-30)  # f+ - f-
    phase_load = load * (0.25 + 0.25 * signs.square()) * (1.0 + polarities.square()).unsqueeze(-2)
    expected = signed * mean_weight.unsqueeze(-2)
    return lost_share(phase_load) * (positioned + _MEAN_POSITION * (y - expected))
