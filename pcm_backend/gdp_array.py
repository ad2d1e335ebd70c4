"""Gradient descent on the error of products, run on an array: `gdp` with its reads and writes."""

from __future__ import annotations

import torch
from torch import Tensor

from .array import Array
from .gdp import descend
from .increments import find_increments
from .reading import ReadPath
from .writing import apply


def refine(array: Array, read: ReadPath, table: Tensor) -> None:
    """Bring an array that was programmed closer to its table; products, writes and their time are booked.

    Args:
        array: What is written.
        read: Its way from inputs to outputs, converters and noise included.
        table: Wanted weights, and the bias as a last row where there is one. Shape (K or 1, out, in).
    """
    table = table.expand(array.n_chips, -1, -1)

    def write(delta: Tensor) -> None:
        increments = find_increments(delta, array.n_chips, array.cfg.rows_per_weight, array.n_in)
        apply(array, increments, None, "verify")
        read.forget()

    def product(x: Tensor) -> Tensor:
        if array.clock.settle():
            read.forget()
        return read(x if array.drive is None else x[..., :-1])

    descend(
        table,
        array.cfg.updates.gdp,
        inputs=lambda n: _random_inputs(array, table, n),
        read=product,
        write=write,
        sigma=lambda: _write_error(array, table),
    )


def _random_inputs(array: Array, table: Tensor, n: int) -> Tensor:
    """Return inputs, even over the range of the converters or as much of it as keeps every output within its own.

    Shape: (K, n, in), the row of the bias driven as always.
    """
    cfg, drive = array.cfg, array.drive
    n_in = array.n_in if drive is None else array.n_in - 1
    x = (2.0 * torch.special.ndtr(array.streams.normal(n, n_in)) - 1.0) * (cfg.in_range or 1.0)
    if cfg.out_range is not None:
        per_core = torch.as_tensor(cfg.out_range, device=x.device)
        per_core = per_core.view(-1, array.n_out) if per_core.numel() >= array.n_out > 1 else per_core.view(-1, 1)
        room = per_core.amin(0).expand(array.n_out) * 2.0**cfg.out_doublings
        if drive is not None:
            room = room - (table[..., -1] * drive).abs()
        largest = torch.bmm(x, table[..., :n_in].transpose(1, 2)).abs().amax(1)  # (K, out)
        share = (room / largest.clamp(min=1e-12)).amin(1).clamp(0.05, 1.0)
        x = x * share[:, None, None]
    return x if drive is None else torch.cat([x, torch.full_like(x[..., :1], drive)], -1)


def _write_error(array: Array, table: Tensor) -> Tensor:
    """Return the error that a write of each weight makes, in weights, as a standard deviation. Shape: as the table."""
    unit, pairs = [array.unit_of_weights(index) for index in range(array.cfg.slices)], array.pairs
    error = pairs.sigma_us((table * unit[0]).abs()) / unit[0]
    if array.cfg.slices > 1:  # the second slice holds what the first left
        error = pairs.sigma_us(error * unit[1]) / unit[1]
    return error / array.cfg.rows_per_weight**0.5
