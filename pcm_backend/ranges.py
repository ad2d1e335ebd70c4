"""Full scales of converters, from what a calibration batch drives through each matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .chip import row_blocks
from .config import CrossbarCfg
from .deal import Stand
from .kinds import kind_of, replaced
from .through import Matrix

MARGIN = 1.1
"""Full scale of the converters over the largest value of the calibration batch: room for noise and for other inputs."""


class Span:
    """A float product that remembers the largest input, and the largest current of each line on each core of rows."""

    def __init__(self, matrix: Matrix, cfg: CrossbarCfg) -> None:
        """Lay out the rows as the crossbar will.

        Args:
            matrix: What is multiplied.
            cfg: How it will lie on the chip.
        """
        weight, bias = matrix
        self._n_in = weight.shape[-1]
        self._copies, self._cfg, self._has_bias = cfg.rows_per_weight, cfg, bias is not None
        table = weight if bias is None else torch.cat([weight, bias.unsqueeze(-1)], -1)
        self._rows = table.repeat(1, self._copies) / self._copies
        self._blocks = row_blocks(self._rows.shape[1])
        self.largest_in = weight.new_zeros(())
        self.largest_out = weight.new_zeros(len(self._blocks), len(weight))

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply. Shape: (1, batch, in) to (1, batch, out)."""
        if x.shape[-1] != self._n_in:
            raise ValueError(f"calibration drives a matrix of {self._n_in} inputs by vectors of {x.shape[-1]}")
        self.largest_in = torch.maximum(self.largest_in, x.abs().amax())
        x = functional.pad(x, (0, 1), value=1.0) if self._has_bias else x
        x = x.repeat(1, 1, self._copies)
        parts = torch.stack([functional.linear(x[..., rows], self._rows[:, rows]) for rows in self._blocks])
        self.largest_out = torch.maximum(self.largest_out, parts.abs().amax((1, 2)))
        return parts.sum(0)

    def fill(self) -> CrossbarCfg:
        """Return the configuration with the ranges that it leaves open."""
        cfg = self._cfg
        changes: dict[str, Any] = {}
        if cfg.in_range is None and self.largest_in > 0:
            changes["in_range"] = float(self.largest_in) * MARGIN
        if cfg.out_range is None:
            floor = max(float(self.largest_out.max()), 1e-6) * 1e-3  # a line that stayed silent needs a full scale too
            changes["out_range"] = tuple((self.largest_out.clamp(min=floor) * MARGIN).flatten().tolist())
        return dataclasses.replace(cfg, **changes)


@torch.no_grad()
def measure_spans(
    module: nn.Module, layers: Mapping[str, nn.Module], cfgs: Mapping[str, CrossbarCfg], batch: Any
) -> dict[str, dict[str, Span]]:
    """Run a batch through a module in software; return the span of every matrix, by layer and name.

    Args:
        module: The network, in software.
        layers: Its layers that a chip holds.
        cfgs: How each of them will lie there.
        batch: Its input, or a tuple of its inputs.
    """
    spans = {
        name: {part: Span(each, cfgs[name]) for part, each in kind_of(layer).matrices(layer).items()}
        for name, layer in layers.items()
    }
    stand_ins = {id(layer): Stand(layer, spans[name]) for name, layer in layers.items()}
    replaced(module, stand_ins)(*(batch if isinstance(batch, tuple) else (batch,)))
    return spans
