"""Counts, joules and seconds of the chip, per chip and task."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .episodes import Array

LEVELS = ("low", "nominal", "high")


class Bill(NamedTuple):
    """Counts, joules and seconds, each (chips x tasks,); what all tasks of a chip share is split evenly."""

    products: Array
    calibration_products: Array
    verify_reads: Array
    devices: Array
    pulses: Array
    energy_low_j: Array
    energy_nominal_j: Array
    energy_high_j: Array
    seconds: Array

    @classmethod
    def of(cls, ledger: Any, n_copies: int = 1) -> Bill:
        """Return the bill of a ledger whose every chip is shared by `n_copies` tasks."""
        energy = [ledger.energy_j(level) for level in LEVELS]
        counts = (ledger.products, ledger.calibration_products, ledger.verify_reads, ledger.devices, ledger.pulses)
        return cls(*(np.repeat(v.numpy() / n_copies, n_copies) for v in (*counts, *energy, ledger.seconds())))

    @classmethod
    def nothing(cls, n: int) -> Bill:
        """Return a bill of zeros."""
        return cls(*(np.zeros(n) for _ in cls._fields))

    def means(self) -> dict[str, float]:
        """Return the means over chips and tasks by name."""
        return {name: float(value.mean()) for name, value in zip(self._fields, self, strict=True)}

    def plus(self, other: Bill) -> Bill:
        """Return the sum of two bills."""
        return Bill(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, earlier: Bill) -> Bill:
        """Return what was booked since an earlier bill."""
        return Bill(*(a - b for a, b in zip(self, earlier, strict=True)))
