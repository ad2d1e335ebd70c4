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
    """Return the magnitudes of positive and of negative inputs. Shape: (..., batch, rows) to (..., 2, batch, rows)."""
    return torch.stack([x.clamp(min=0.0), torch.relu(-x)], -3)  # at 0 only clamp passes a gradient: it passes once


def partial_products(signs: Tensor, weights: Tensor) -> Tensor:
    """Return all four partial results, none negative, in one batched product.

    Args:
        signs: Magnitudes of positive and of negative inputs. Shape (..., 2, batch, rows).
        weights: Positive and negative devices in units of weights. Shape (..., 2, lines, rows).

    Returns:
        Shape (..., 2 signs of input, 2 polarities, batch, lines).
    """
    products = signs.flatten(-3, -2) @ weights.flatten(-3, -2).mT
    return products.unflatten(-1, (2, -1)).unflatten(-3, (2, -1)).transpose(-3, -2)


def recombined(parts: Tensor) -> Tensor:
    """Return the product of four partial results. Shape: (..., 2, 2, batch, lines) to (..., batch, lines)."""
    pos_pos, pos_neg, neg_pos, neg_neg = parts.flatten(-4, -3).unbind(-3)
    return pos_pos - pos_neg - neg_pos + neg_neg


def count_up(y: Tensor, bits: int, full_scale: Tensor | float) -> Tensor:
    """Clip and round to the steps of a converter that counts from zero: 2^bits - 1 of them to full scale.

    Gradients pass straight through the rounding and the cut at zero, where only noise leads, not beyond full scale.

    Args:
        y: What is converted.
        bits: Resolution; 0: nothing is done.
        full_scale: Largest reading, broadcast to y.
    """
    if bits == 0:
        return y
    top = torch.as_tensor(full_scale, device=y.device).to(y)
    step = (top / (2**bits - 1)).clamp(min=torch.finfo(y.dtype).tiny)
    clipped = torch.minimum(y, top)
    counted = torch.round(clipped.detach().clamp(min=0.0) / step) * step
    return clipped + (counted - clipped.detach()) if clipped.requires_grad else counted


def polarity_error(x: Tensor, mean_total: Tensor, asymmetry: Tensor) -> Tensor:
    """Return what one phase reads beside the product, since devices conduct otherwise at the other polarity.

    Products of positive sign are read at one polarity, of negative sign at the other, at which a device conducts
    1 + d times as much. So the reading is P - (1 + d) N = (1 + d / 2) y - (d / 2) T, where T sums all currents;
    calibration takes the gain out and leaves -(d / 2) T. T is taken as if conductances were spread evenly.

    Args:
        x: Inputs. Shape (K, batch, inputs).
        mean_total: Mean over a line of what both devices of a weight conduct together, in units of weights; (K, lines).
        asymmetry: What calibration left of d, for each line. Shape (K, lines).

    Returns:
        Shape (K, batch, lines).
    """
    return x.abs().sum(-1, keepdim=True) * (mean_total * asymmetry).mul(-0.5).unsqueeze(1)
