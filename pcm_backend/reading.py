"""A read: drive, product and its noise, converters, compensation; each stage takes what the one before gives.

Where the periphery errs, what lies between drive and compensation is that of `periphery_read.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .array import Array
from .chip import count_cores
from .converters import convert, largest
from .fast_read import FastRead
from .native import library
from .patches import Patches
from .periphery_read import PeripheryRead
from .views import View, add_rows


class ReadPath:
    """The way from inputs to outputs of one array."""

    def __init__(self, array: Array, out_range: Tensor | None) -> None:
        """Prepare.

        Args:
            array: What is read.
            out_range: Full scale of every current, shape (slices * blocks, out); None: the largest of each vector.
        """
        self._array, self._out_range = array, out_range
        self._parts = array.cfg.slices * len(array.blocks)  # converted by themselves, then added
        self._product, self._cores = f"products_{array.cfg.phases}_phase", count_cores(array.rows, array.lines)
        self._view = View(array)
        self._rows: Tensor | None = None  # the same with its rows in one piece: (K x in, currents, or twice as many)
        self._levels: Tensor | None = None  # at which the rows of that piece are driven
        self._periphery = PeripheryRead(array, out_range) if array.cfg.periphery.errs else None
        plain = self._periphery is None and array.unit.device.type == "cpu"
        self._fast = FastRead(array, out_range) if plain and library() is not None else None

    def __call__(self, x: Tensor) -> Tensor:
        """Read. Shape: (K, batch, in without the bias) to (K, batch, out)."""
        if self._fast is not None and not (x.requires_grad and torch.is_grad_enabled()):
            return self._booked(*self._fast(x, self._view))
        _check_finite(x)
        volts = self.drive(x)
        if self._periphery is not None:
            return self.compensate(self._periphery(volts, self))
        return self.compensate(self.digitise(self.product(volts)))

    def spikes(self, spikes: Tensor, levels: Tensor | None = None) -> Tensor:
        """Read with some rows at their level and all others at rest; what rests is not looked at.

        Full scale is a step of the input's converter, so nothing is rounded there; other levels are.

        Args:
            spikes: Non-zero where a row is driven. Shape: (K, batch, in without the bias).
            levels: Input of each row that is driven, shape (in,); None: full scale.
        """
        if self._rows is None or self._levels is not levels:
            self._rows, self._levels = self._rows_of(self._view, levels), levels
            self._view = View(self._array)  # one of the two is enough to keep
        if self._fast is not None:
            return self._booked(*self._fast.spikes(spikes, self._rows))
        return self.compensate(self.digitise(self._spike_product(spikes, self._rows)))

    @property
    def takes_pictures(self) -> bool:
        """Whether the patches of a picture need not be cut, for nothing looks at one of them alone, and better are not.

        Where patches are smaller than what comes of them, cutting them costs less than putting that in order.
        """
        array, cfg = self._array, self._array.cfg
        if self._periphery is not None or (cfg.dac_bits > 0 and cfg.in_range is None):
            return False
        return array.n_in > self._parts * array.n_out and (len(array.blocks) == 1 or cfg.rows_per_weight == 1)

    def pictures(self, x: Tensor, patches: Patches) -> Tensor:
        """Read every patch of pictures. Shape: (K, batch, channels, height, width) to (K, batch x patches, out)."""
        if self._fast is not None and not (x.requires_grad and torch.is_grad_enabled()):
            return self._booked(*self._fast.pictures(x, patches, self._view))
        cfg, drive = self._array.cfg, self._array.drive
        _check_finite(x)
        volts = convert(patches.arranged(x), cfg.dac_bits, cfg.in_range or 1.0)
        mean, variance = self._view.mean(), self._view.variance()
        y = patches.sums(volts, mean, self._array.blocks, cfg.slices, drive)
        if variance is not None:
            squared = None if drive is None else drive**2
            power = patches.sums(volts.detach().square(), variance, self._array.blocks, cfg.slices, squared)
            y = torch.addcmul(y, power.sqrt_(), self._array.streams.normal(*y.shape[1:]))
        return self.compensate(self.digitise(y))

    def of(self, array: Array) -> ReadPath:
        """Return the same way for another array with the same configuration."""
        return ReadPath(array, self._out_range)

    def forget(self) -> None:
        """Look at the devices again before the next read, for something changed."""
        self._view, self._rows = View(self._array), None
        if self._periphery is not None:
            self._periphery.forget()

    def drive(self, x: Tensor) -> Tensor:
        """Add the row of the bias and convert. Shape: (K, batch, in without the bias) to (K, batch, in)."""
        cfg, drive = self._array.cfg, self._array.drive
        if drive is not None:
            x = torch.cat([x, x.new_full((*x.shape[:2], 1), drive)], -1)
        return x if cfg.dac_bits == 0 else convert(x, cfg.dac_bits, cfg.in_range or largest(x))

    def product(self, volts: Tensor) -> Tensor:
        """Multiply, with this read's noise drawn at the output. Shape: (K, batch, in) to (K, batch, currents)."""
        mean, variance = self._view.mean(), self._view.variance()
        y = add_rows(volts, mean, self._array)
        if variance is None:
            return y
        power = add_rows(volts.detach().square(), variance, self._array)
        return y + power.sqrt_().mul_(self._array.streams.normal(*y.shape[1:]))

    @torch.no_grad()
    def _spike_product(self, spikes: Tensor, rows: Tensor) -> Tensor:
        """Add up the rows that are driven, with this read's noise. Shape: (K, batch, in) to (K, batch, currents)."""
        where, counts = spikes.flatten().nonzero().squeeze(-1), spikes.count_nonzero(-1).flatten()
        n_chips, batch, n_in = spikes.shape
        if batch > 1:  # number (k, b, i) of the spikes to row (k, i) of the view
            where = where // (batch * n_in) * n_in + where % n_in
        sums = functional.embedding_bag(where, rows, counts.cumsum(0) - counts, mode="sum")
        sums = sums.view(n_chips, batch, -1)
        n = self._array.lines
        if sums.shape[-1] == n:
            return sums
        y, power = sums.split(n, -1)
        return torch.addcmul(y, power.sqrt(), self._array.streams.normal(batch, n))

    def _rows_of(self, view: View, levels: Tensor | None) -> Tensor:
        """Return mean and variance of each driven row. Shape: (K x in, currents), or (K x in, twice as many)."""
        cfg = self._array.cfg
        level = cfg.in_range or 1.0 if levels is None else convert(levels, cfg.dac_bits, cfg.in_range or 1.0)
        moments, variance = [view.mean() * level], view.variance()
        if variance is not None:
            moments.append(variance * level**2)
        return torch.cat([each.transpose(1, 2) for each in moments], -1).flatten(0, 1)

    def digitise(self, y: Tensor) -> Tensor:
        """Convert the currents and book the products. Shape: (K, batch, currents), kept."""
        cfg = self._array.cfg
        y = y.unflatten(-1, (self._parts, -1))
        doublings = self.doublings(y, self._out_range)
        self.book(y.shape[1] if doublings is None else doublings.sum((1, 2, 3)) + y.shape[1])
        if cfg.adc_bits == 0:
            return y.flatten(-2)
        if self._out_range is None:
            full_scale = largest(y)
        else:
            full_scale = self._out_range if doublings is None else self._out_range * 2.0**doublings
        return convert(y, cfg.adc_bits, full_scale).flatten(-2)

    def compensate(self, y: Tensor) -> Tensor:
        """Multiply currents with factors and add those of a line. Shape: (K, batch, currents) to (K, batch, out)."""
        y = y * self._array.compensation.of_currents().reshape(len(y), 1, -1)
        return y if self._parts == 1 else y.unflatten(-1, (self._parts, -1)).sum(2)

    @torch.no_grad()
    def doublings(self, y: Tensor, out_range: Tensor | None) -> Tensor | None:
        """Return how often each vector's full scale is doubled, shape (K, batch, 1, 1); None where none ever is."""
        cfg = self._array.cfg
        if out_range is None or cfg.out_doublings == 0 or cfg.adc_bits == 0:
            return None
        excess = (y.abs() / out_range).amax((2, 3), keepdim=True)
        return torch.log2(excess.clamp_(min=1.0)).ceil_().clamp_(max=cfg.out_doublings)

    def _booked(self, y: Tensor, doublings: Tensor | None) -> Tensor:
        """Book the products of what was read, shape (K, batch, out), and return it."""
        self.book(y.shape[1] if doublings is None else doublings + y.shape[1])
        return y

    def book(self, products: Tensor | float) -> None:
        """Book products of every chip, each on all the cores that the array lies on."""
        self._array.ledger.book(self._product, products * self._cores)


def _check_finite(x: Tensor) -> None:
    if not bool(torch.isfinite(x.detach()).all()):
        raise ValueError("x must be finite, got NaN or infinity")
