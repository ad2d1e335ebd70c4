"""Full scales of converters, from what a calibration batch drives through each matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import CrossbarCfg
from .kinds import Stand, kind_of, replaced
from .through import Matrix

MARGIN = 1.1
"""Full scale of the converters over the largest value of the calibration batch: room for noise and for other inputs."""


class Span:
    """A float product that remembers the largest input, and the largest output of each of its lines."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self.largest_in = matrix.weight.new_zeros(())
        self.largest_out = matrix.weight.new_zeros(matrix.weight.shape[0])

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply. Shape: (1, batch, in) to (1, batch, out)."""
        y = functional.linear(x, *self._matrix)
        self.largest_in = torch.maximum(self.largest_in, x.abs().amax())
        self.largest_out = torch.maximum(self.largest_out, y.abs().amax((0, 1)))
        return y

    def fill(self, cfg: CrossbarCfg) -> CrossbarCfg:
        """Return a configuration with the ranges that it leaves open."""
        changes: dict[str, Any] = {}
        if cfg.in_range is None and self.largest_in > 0:
            changes["in_range"] = float(self.largest_in) * MARGIN
        if cfg.out_range is None:
            floor = max(float(self.largest_out.max()), 1e-6) * 1e-3  # a line that stayed silent needs a full scale too
            changes["out_range"] = tuple((self.largest_out.clamp(min=floor) * MARGIN).tolist())
        return dataclasses.replace(cfg, **changes)


@torch.no_grad()
def measure_spans(module: nn.Module, layers: Mapping[str, nn.Module], batch: Any) -> dict[str, dict[str, Span]]:
    """Run a batch through a module in software; return the span of every matrix, by layer and name.

    Args:
        module: The network, in software.
        layers: Its layers that a chip holds.
        batch: Its input, or a tuple of its inputs.
    """
    spans = {
        name: {part: Span(each) for part, each in kind_of(layer).matrices(layer).items()}
        for name, layer in layers.items()
    }
    stand_ins = {id(layer): Stand(layer, lambda own=spans[name]: own) for name, layer in layers.items()}
    replaced(module, stand_ins)(*(batch if isinstance(batch, tuple) else (batch,)))
    return spans
