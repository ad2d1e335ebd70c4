"""A read of an array whose periphery errs: wires, read polarities, converters that differ and are noisy."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from .array import Array
from .columns import corrected, distorted
from .converters import convert, largest
from .phases import count_up, polarity_error, recombined
from .wires import Lines, by_core, fan_out, look, lost_net, partial_currents, together


class Plain(Protocol):
    """The stages of a read that errors of the periphery leave alone."""

    def product(self, volts: Tensor) -> Tensor:
        """Multiply, with read noise."""
        ...

    def doublings(self, y: Tensor, out_range: Tensor | None) -> Tensor | None:
        """Return how often each vector's full scale is doubled."""
        ...

    def book(self, products: Tensor | float) -> None:
        """Book products."""
        ...


class PeripheryRead:
    """From what drives the rows to what the converters give, with all that errs in between."""

    def __init__(self, array: Array, out_range: Tensor | None) -> None:
        self._array, self._out_range = array, out_range
        self._lines: list[Lines] | None = None
        cfg = array.cfg
        self.each_phase = cfg.phases == 4 and cfg.periphery.conversion == "each_phase"

    def forget(self) -> None:
        """Look at the devices again before the next read."""
        self._lines = None

    def __call__(self, volts: Tensor, plain: Plain) -> Tensor:
        """Read and book. Shape: (K, batch, in) to (K, batch, currents), before compensation."""
        if not self.each_phase:
            return self._convert(self._currents(volts, plain), plain)
        return recombined(self._count(self._partial_currents(volts), volts, plain))

    def _currents(self, volts: Tensor, plain: Plain) -> Tensor:
        """Return the currents of all phases together. Shape: (K, batch, currents)."""
        array, around, y = self._array, self._array.cfg.periphery, plain.product(volts)
        asymmetry = array.periphery.asymmetry if array.cfg.phases == 1 else None
        if around.wire_ohm == 0 and asymmetry is None:
            return y
        cores = zip(fan_out(volts, array), self._current_lines(), strict=True)
        errors, full_drive = [torch.zeros(())] * len(array.blocks), self._full_drive(volts)
        for core, (x, lines) in enumerate(cores):
            if around.wire_ohm > 0:
                own = by_core(y, array)[core]
                errors[core] = -lost_net(x, own, lines, array.cfg.phases, around.wire_ohm, full_drive)
            if asymmetry is not None:
                own = by_core(asymmetry.flatten(1), array)[core]
                errors[core] = errors[core] + polarity_error(x, lines.mean_total, own)
        return y + together(errors, array)

    def _partial_currents(self, volts: Tensor) -> Tensor:
        """Return the currents of each phase. Shape: (K, 2, 2, batch, currents)."""
        array, found = self._array, []
        per_part = None
        if array.cfg.periphery.wire_ohm > 0:
            scale = array.cfg.rows_per_weight * array.cfg.periphery.wire_ohm * 1e-6
            per_part = array.unit.flatten(1).unsqueeze(1) * scale / self._full_drive(volts)
        for x, lines in zip(fan_out(volts, array), self._current_lines(), strict=True):
            noisy = lines.variance is not None
            normal = array.streams.normal(2, 2, volts.shape[1], array.lines) if noisy else None
            found.append(partial_currents(x, lines, per_part, normal))
        return together(found, array)

    def _convert(self, y: Tensor, plain: Plain) -> Tensor:
        """Convert and take out what is known of the converters. Shape: (K, batch, currents), kept."""
        cfg, converters = self._array.cfg, self._array.periphery.converters
        y = y.unflatten(-1, (-1, self._array.n_out))
        doublings = plain.doublings(y if converters is None else y * converters.gain.unsqueeze(1), self._out_range)
        plain.book(y.shape[1] if doublings is None else doublings.sum((1, 2, 3)) + y.shape[1])
        full_scale = largest(y) if self._out_range is None else self._out_range
        full_scale = full_scale if doublings is None else full_scale * 2.0**doublings
        raw = self._raw(y, full_scale, cfg.phases)
        codes = convert(raw, cfg.adc_bits, largest(raw) if self._out_range is None else full_scale)
        return (codes if converters is None else corrected(codes, converters, full_scale)).flatten(-2)

    def _count(self, parts: Tensor, volts: Tensor, plain: Plain) -> Tensor:
        """Convert each phase from zero up, in a range that follows from the lines. Shape of parts, kept."""
        array, converters = self._array, self._array.periphery.converters
        plain.book(volts.shape[1])
        largest_part = together([each.largest_part for each in self._current_lines()], array)
        full_scale = largest_part.unsqueeze(1) * (array.cfg.periphery.partial_range * self._full_drive(volts))
        full_scale = full_scale.unflatten(-1, (-1, array.n_out))  # (K, batch or 1, parts, out)
        full_scale = full_scale if full_scale.shape[1] == 1 else full_scale.repeat(1, 4, 1, 1)
        raw = self._raw(parts.flatten(1, 3).unflatten(-1, (-1, array.n_out)), full_scale, 1)
        codes = count_up(raw, array.cfg.adc_bits, full_scale)
        codes = codes if converters is None else corrected(codes, converters, full_scale)
        return codes.flatten(-2).unflatten(1, (2, 2, -1))

    def _raw(self, y: Tensor, full_scale: Tensor, n_phases: int) -> Tensor:
        """Add gain, offset and noise of so many phases. Shape: (K, conversions, parts, out), kept."""
        converters, noise = self._array.periphery.converters, self._array.cfg.periphery.out_noise
        raw = y if converters is None else distorted(y, converters, full_scale)
        if noise == 0:
            return raw
        return torch.addcmul(raw, self._array.streams.normal(*y.shape[1:]), noise * math.sqrt(n_phases) * full_scale)

    def _full_drive(self, volts: Tensor) -> Tensor | float:
        return self._array.cfg.in_range or largest(volts).clamp(min=torch.finfo(volts.dtype).tiny)

    def _current_lines(self) -> list[Lines]:
        if self._lines is None:
            self._lines = look(self._array, self.each_phase)
        return self._lines
