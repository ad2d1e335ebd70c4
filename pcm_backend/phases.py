"""A product in four phases, each converted by itself: one sign of input against one polarity of weight at a time.

On HERMES a product takes either one phase, in which both signs of input drive both polarities of weight and one
conversion gives the sum, or four, each of one sign and one polarity (Le Gallo NatElectron 2023, extended data figure 4;
Le Gallo npj Unconv. Comput. 2024, 10.1038/s44335-024-00010-4). Model: in four phases

- every partial result is a current of one sign, so its converter counts from zero and needs no bit for a sign;
- every conversion has noise and rounding of its own, and their sum is digital;
- the same converter serves all four, so its gain stays in the sum and its offset, counted twice up and twice down,
  cancels where no count is cut at zero.

In one phase a single conversion does, but the line carries the current of all devices at once, so it loses about four
times as much along its wire, and products of positive and of negative sign are read at voltages of opposite polarity,
at which a device does not conduct quite the same.
"""

from __future__ import annotations

import torch
from torch import Tensor


def split_signs(x: Tensor) -> Tensor:
    """Return the magnitudes of positive and of negative inputs. Shape: (K, batch, rows) to (K, 2, batch, rows)."""
    return torch.stack([x.clamp(min=0.0), (-x).clamp(min=0.0)], 1)


def partial_products(x: Tensor, weights: Tensor) -> Tensor:
    """Return all four partial results, none negative, in one batched product.

    Args:
        x: Inputs. Shape (K, batch, rows).
        weights: Positive and negative devices in units of weights. Shape (K, 2, lines, rows).

    Returns:
        Shape (K, 2 signs of input, 2 polarities, batch, lines).
    """
    signs, polarities = split_signs(x).flatten(1, 2), weights.flatten(1, 2)
    products = torch.bmm(signs, polarities.mT)
    return products.unflatten(2, (2, -1)).unflatten(1, (2, -1)).transpose(2, 3)


def recombined(parts: Tensor) -> Tensor:
    """Return the product that four partial results add up to. Shape: (K, 2, 2, ...) to (K, ...)."""
    return parts[:, 0, 0] - parts[:, 0, 1] - parts[:, 1, 0] + parts[:, 1, 1]


def count_up(y: Tensor, bits: int, full_scale: Tensor | float) -> Tensor:
    """Clip and round to the steps of a converter that counts from zero: 2^bits - 1 of them to full scale.

    Args:
        y: What is converted.
        bits: Resolution; 0: nothing is done.
        full_scale: Largest reading, broadcast to y.
    """
    if bits == 0:
        return y
    step = torch.as_tensor(full_scale, device=y.device) / (2**bits - 1)
    step = step.clamp(min=torch.finfo(y.dtype).tiny)
    clipped = torch.minimum(y.clamp(min=0.0), torch.as_tensor(full_scale, device=y.device).to(y))
    rounded = torch.round(clipped.detach() / step) * step
    return clipped + (rounded - clipped.detach()) if clipped.requires_grad else rounded


def polarity_error(drive: Tensor, line_us: Tensor, n_rows: int, asymmetry: Tensor) -> Tensor:
    """Return what one phase reads beside the product, since devices conduct otherwise at the other polarity.

    Products of positive sign are read at one polarity, of negative sign at the other, at which a device conducts
    1 + d times as much. So the reading is P - (1 + d) N = (1 + d / 2) y - (d / 2) T, where T sums all currents;
    calibration takes the gain out and leaves -(d / 2) T. T is taken as if conductances were spread evenly.

    Args:
        drive: Inputs over full scale, -1 to 1. Shape (K, batch, inputs).
        line_us: Mean of what both devices of a cell conduct together, uS. Shape (K, lines).
        n_rows: Rows of the line; a multiple of the inputs where several rows hold the same weight.
        asymmetry: What calibration left of d, for each line. Shape (K, lines).

    Returns:
        Current over full drive, uS. Shape (K, batch, lines).
    """
    driven = drive.abs().sum(-1, keepdim=True) * (n_rows / drive.shape[-1])
    return -0.5 * driven * (line_us * asymmetry).unsqueeze(1)
