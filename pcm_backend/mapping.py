"""From weights to conductances: the table that is programmed, and what the largest conductance stands for."""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_floats, check_whole
from .chip import CORE
from .config import CrossbarCfg


def weight_table(weights: Tensor, bias: Tensor | None, n_chips: int) -> Tensor:
    """Return weights and bias as one float32 table. Shape: (K, out, rows); (1, out, rows) where all chips share it."""
    check_whole("n_chips", n_chips)
    for name, each in (("weights", weights), ("bias", weights if bias is None else bias)):
        check_floats(name, each)
    if weights.dim() not in (2, 3) or (weights.dim() == 3 and weights.shape[0] != n_chips) or weights.numel() == 0:
        raise ValueError(f"weights must have shape (out, in) or ({n_chips}, out, in), got {tuple(weights.shape)}")
    table = weights.detach().to(torch.float32)
    table = table.unsqueeze(0) if weights.dim() == 2 else table
    if bias is not None:
        n_out = table.shape[1]
        if tuple(bias.shape) not in ((n_out,), (n_chips, n_out)):
            raise ValueError(f"bias must have shape {(n_out,)} or {(n_chips, n_out)}, got {tuple(bias.shape)}")
        n_tables = n_chips if bias.dim() == 2 else len(table)
        bias = bias.detach().to(table).expand(n_tables, n_out).unsqueeze(-1)
        table = torch.cat([table.expand(n_tables, -1, -1), bias], -1)
    if not bool(torch.isfinite(table).all()):
        raise ValueError("weights and bias must be finite, got NaN or infinity")
    return table


def weight_ranges(table: Tensor, cfg: CrossbarCfg) -> Tensor:
    """Return the weight that the largest conductance of each slice stands for. Shape: (K or 1, slices, out, 1)."""
    n_chips, n_out, _ = table.shape
    if cfg.w_range is not None:
        first = _per_line("w_range", cfg.w_range, n_out, table).expand(n_chips, n_out)
    else:
        first = _shared(table.abs().amax(-1), cfg.scale) * cfg.headroom
        if not bool((first > 0).all()):
            dead = (first <= 0).any(0).nonzero().flatten().tolist()
            raise ValueError(f"output lines {dead} hold only zeros: give w_range, the range their weights will need")
    slices = [first / cfg.slice_ratio**index for index in range(cfg.slices)]
    return torch.stack(slices, 1).unsqueeze(-1)


def _shared(line_max: Tensor, scale: str) -> Tensor:
    """Return the largest weight of all lines that share a factor; a line keeps its factor over all cores it crosses."""
    if scale == "column":
        return line_max
    if scale == "matrix":
        return line_max.amax(1, keepdim=True).expand_as(line_max)
    parts = [part.amax(1, keepdim=True).expand_as(part) for part in line_max.split(CORE, 1)]
    return torch.cat(parts, 1)


def output_range(cfg: CrossbarCfg, table: Tensor, n_blocks: int) -> Tensor | None:
    """Return the output at full scale of every converted current; None: the largest of each vector.

    Args:
        cfg: Holds `out_range`: one for all, one per line for every core of rows, or one per line core by core.
        table: Shape (K, out, in).
        n_blocks: Cores that the rows lie on.

    Returns:
        Shape (slices x blocks, out).
    """
    if cfg.out_range is None:
        return None
    n_out = table.shape[1]
    if isinstance(cfg.out_range, tuple) and len(cfg.out_range) == n_blocks * n_out:
        first = table.new_tensor(cfg.out_range).view(n_blocks, n_out)
    else:
        first = _per_line("out_range", cfg.out_range, n_out, table).expand(n_blocks, n_out)
    return torch.cat([first, first * cfg.slice_out_share][: cfg.slices])


def _per_line(name: str, value: float | tuple[float, ...], n_out: int, like: Tensor) -> Tensor:
    if isinstance(value, tuple) and len(value) != n_out:
        raise ValueError(f"{name} has {len(value)} values for {n_out} output lines")
    return like.new_tensor(value)
