"""Lines as they lie on cores: their rows, what their devices conduct, and what a read loses along their wires."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from . import ir_drop
from .array import Array
from .ir_drop import LineMeans
from .phases import partial_products, split_signs


class Lines(NamedTuple):
    """The lines of one core of rows; L is slices x out.

    Where all rows lie on one core those that hold the same weight are one input, else r counts each of them.
    """

    weights: Tensor
    """Positive and negative devices, or (P = 1) their difference, in units of weights. Shape (K, P, L, r)."""
    variance: Tensor | None
    """Of a read of them; not kept for the difference. Shape (K, 2, L, r)."""
    means: LineMeans
    """Over the rows. Shape of each (K, L)."""
    mean_weight: Tensor
    """Mean of positive minus negative over r, in units of weights. Shape (K, L)."""
    mean_total: Tensor
    """Mean of positive plus negative over r, in units of weights. Shape (K, L)."""
    largest_part: Tensor
    """Result of a phase that drives every row by 1 and reads the larger polarity. Shape (K, L)."""
    position: Tensor
    """How much of the loss each of r sees. Shape (r,)."""
    n_rows: int
    """Rows on this core."""
    per_input: int
    """Rows that each of r stands for."""


@torch.no_grad()
def look(array: Array, apart: bool) -> list[Lines]:
    """Return the lines of every core as a read finds them now, polarities apart or as one difference."""
    mean, variance = array.pairs.moments()
    mean = mean.transpose(1, 2).flatten(2, 3)  # (K, 2, slices x out, rows)
    per_us, copies = 1.0 / array.unit.flatten(1, 2).unsqueeze(1), array.cfg.rows_per_weight
    alone = len(array.blocks) == 1
    merge = array.mean_of_rows if alone else lambda rows: rows / copies
    weights = merge(mean * per_us)
    spread = None
    if apart and variance is not None:
        spread = merge(variance.transpose(1, 2).flatten(2, 3) * per_us.square()) / copies
    found = []
    for rows in array.blocks:
        n_rows, inputs = rows.stop - rows.start, slice(None) if alone else rows
        row, own = torch.arange(n_rows, device=mean.device), weights[..., inputs]
        net, position = own[:, 0] - own[:, 1], ir_drop.positions(n_rows, row)
        found.append(
            Lines(
                own if apart else net.unsqueeze(1),
                None if spread is None else spread[..., inputs],
                means=LineMeans(*mean[..., rows].mean(-1).unbind(1)),
                mean_weight=net.mean(-1),
                mean_total=own.sum(1).mean(-1),
                largest_part=own.sum(-1).amax(1),
                position=array.mean_of_rows(position) if alone else position,
                n_rows=n_rows,
                per_input=copies if alone else 1,
            )
        )
    return found


def fan_out(x: Tensor, array: Array) -> list[Tensor]:
    """Return what drives the inputs of every core. Shape: (K, batch, in) to (K, batch, r) each, as in `Lines`."""
    if len(array.blocks) == 1:
        return [x]
    x = x.repeat(1, 1, array.cfg.rows_per_weight)
    return [x[..., rows] for rows in array.blocks]


def by_core(y: Tensor, array: Array) -> list[Tensor]:
    """Cut currents by core of rows. Shape: (..., slices x blocks x out) to (..., slices x out) each."""
    if len(array.blocks) == 1:
        return [y]
    return [each.flatten(-2) for each in y.unflatten(-1, (array.cfg.slices, len(array.blocks), -1)).unbind(-2)]


def together(parts: list[Tensor], array: Array) -> Tensor:
    """Undo `by_core`."""
    if len(parts) == 1:
        return parts[0]
    return torch.stack([each.unflatten(-1, (array.cfg.slices, -1)) for each in parts], -2).flatten(-3)


def lost_net(x: Tensor, y: Tensor, lines: Lines, phases: int, wire_ohm: float, full_drive: Tensor | float) -> Tensor:
    """Return what a product loses along the wires of one core when only its sum over the phases is computed.

    Args:
        x: What drives the inputs. Shape (K, batch, r).
        y: The product. Shape (K, batch, L).
        lines: As they are now, their polarities as one difference.
        phases: 1 or 4.
        wire_ohm: Resistance of the line from one cell to the next.
        full_drive: Input at full scale.

    Returns:
        Shape (K, batch, L).
    """
    positioned = (x * lines.position) @ lines.weights[:, 0].mT
    driven = x.abs().sum(-1, keepdim=True) * lines.per_input / full_drive
    load = ir_drop.mean_load(driven, lines.means.positive + lines.means.negative, lines.n_rows, wire_ohm)
    if phases == 1:
        return ir_drop.lost_share(load) * positioned
    return ir_drop.summed_loss(x, y, positioned, lines.mean_weight, load, lines.means)


def partial_currents(x: Tensor, lines: Lines, load_per_part: Tensor | None, normal: Tensor | None) -> Tensor:
    """Return what arrives at the converters of one core in each of four phases, with losses and read noise.

    Args:
        x: What drives the inputs. Shape (K, batch, r).
        lines: As they are now, their polarities apart.
        load_per_part: Load of a line of one row over its product, in one phase; None: wires lose nothing.
            Shape (K, batch or 1, L).
        normal: Standard normal numbers. Shape (K, 2, 2, batch, L); None: without read noise.

    Returns:
        Signs of input, polarities. Shape (K, 2, 2, batch, L).
    """
    signs = split_signs(x)
    parts = partial_products(signs, lines.weights)
    if load_per_part is not None:
        load = parts * (load_per_part[:, None, None] * lines.n_rows)
        positioned = partial_products(signs * lines.position, lines.weights)
        parts = torch.addcmul(parts, ir_drop.lost_share(load), positioned, value=-1.0)
    if lines.variance is None or normal is None:
        return parts
    return torch.addcmul(parts, partial_products(signs.detach().square(), lines.variance).sqrt(), normal)
