"""A read: drive, product and its noise, errors of the lines, converters, compensation.

Each stage is a method that takes what the one before gives. What else happens to the currents of the lines, between
array and converter, is a function in `line_stages`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .array import Array
from .chip import count_cores
from .converters import convert, largest

LineStage = Callable[[Tensor, Tensor], Tensor]
"""Currents of the lines, in units of weight times input, shape (K, batch, slices * out), and what the rows are driven
with, shape (K, batch, in), to new currents."""


class _View(NamedTuple):
    """Mean and variance of a read in units of weights, kept until something changes. Shape: (K, slices * out, in)."""

    mean: Tensor
    variance: Tensor | None


class ReadPath:
    """The way from inputs to outputs of one array."""

    def __init__(self, array: Array, out_range: Tensor | None) -> None:
        """Prepare.

        Args:
            array: What is read.
            out_range: Output at full scale of every slice and line, shape (slices, out); None: largest of each vector.
        """
        self._array, self._out_range = array, out_range
        self.line_stages: list[LineStage] = []
        self._view: _View | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Read. Shape: (K, batch, in without the bias) to (K, batch, out)."""
        volts = self.drive(x)
        y = self.product(volts)
        for stage in self.line_stages:
            y = stage(y, volts)
        return self.compensate(self.digitise(y))

    def of(self, array: Array) -> ReadPath:
        """Return the same way for another array with the same configuration."""
        return ReadPath(array, self._out_range)

    def forget(self) -> None:
        """Look at the devices again before the next read, for something changed."""
        self._view = None

    def drive(self, x: Tensor) -> Tensor:
        """Add the row of the bias and convert. Shape: (K, batch, in without the bias) to (K, batch, in)."""
        cfg, drive = self._array.cfg, self._array.drive
        if drive is not None:
            x = torch.cat([x, x.new_full((*x.shape[:2], 1), drive)], -1)
        return x if cfg.dac_bits == 0 else convert(x, cfg.dac_bits, cfg.in_range or largest(x))

    def product(self, volts: Tensor) -> Tensor:
        """Multiply, with this read's noise drawn at the output. Shape: (K, batch, in) to (K, batch, slices * out)."""
        mean, variance = self._current_view()
        y = torch.bmm(volts, mean.transpose(1, 2))
        if variance is None:
            return y
        power = torch.bmm(volts.detach().square(), variance.transpose(1, 2))
        return y + power.sqrt_().mul_(self._array.streams.normal(*y.shape[1:]))

    def digitise(self, y: Tensor) -> Tensor:
        """Convert the currents and book the products. Shape: (K, batch, slices * out), kept."""
        cfg = self._array.cfg
        y = y.unflatten(-1, (cfg.slices, -1))
        doublings = self._doublings(y)
        self._book(y.shape[1], doublings)
        if cfg.adc_bits == 0:
            return y.flatten(-2)
        if self._out_range is None:
            full_scale = largest(y)
        else:
            full_scale = self._out_range if doublings is None else self._out_range * 2.0**doublings
        return convert(y, cfg.adc_bits, full_scale).flatten(-2)

    def compensate(self, y: Tensor) -> Tensor:
        """Multiply each line with its factor and add the slices. Shape: (K, batch, slices * out) to (K, batch, out)."""
        factor = self._array.compensation.factor
        y = y * factor.view(len(y), 1, -1)
        return y if self._array.cfg.slices == 1 else y.unflatten(-1, (self._array.cfg.slices, -1)).sum(2)

    @torch.no_grad()
    def _doublings(self, y: Tensor) -> Tensor | None:
        """Return how often each vector's full scale is doubled, shape (K, batch, 1, 1); None where none ever is."""
        cfg = self._array.cfg
        if self._out_range is None or cfg.out_doublings == 0 or cfg.adc_bits == 0:
            return None
        excess = (y.abs() / self._out_range).amax((2, 3), keepdim=True)
        return torch.log2(excess.clamp_(min=1.0)).ceil_().clamp_(max=cfg.out_doublings)

    def _book(self, batch: int, doublings: Tensor | None) -> None:
        """Book a product for each vector, and one more for each doubling."""
        array = self._array
        repeats = 0.0 if doublings is None else doublings.sum((1, 2, 3))
        array.ledger.book(
            f"products_{array.cfg.phases}_phase", (repeats + batch) * count_cores(array.rows, array.lines)
        )

    @torch.no_grad()
    def _current_view(self) -> _View:
        if self._view is None:
            array = self._array
            mean, variance = array.pairs.moments()
            per_us = 1.0 / array.unit
            mean = array.mean_of_rows((mean[:, :, 0] - mean[:, :, 1]) * per_us).flatten(1, 2)
            if variance is not None:
                variance = (variance[:, :, 0] + variance[:, :, 1]) * per_us.square()
                variance = array.mean_of_rows(variance).flatten(1, 2) / array.cfg.rows_per_weight
            self._view = _View(mean, variance)
        return self._view
