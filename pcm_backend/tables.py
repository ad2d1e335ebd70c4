"""Device models from measured points: programming error, drift and read noise over conductance, piecewise linear.

The points come from arrays (`TableFit.from_arrays`) or from a JSON or CSV file (`read_table`); `register_device` gives
them a name.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .fit import LARGEST_READ_FACTOR

COLUMNS = ("g_us", "programming_sd_us", "drift_mean", "drift_sd", "read_q")
"""What every point of a table says."""
CONSTANTS = ("t0_s", "t_read_s", "n_physical")
"""What a table may say once, and has defaults for."""


@dataclass(frozen=True)
class TableFit:
    """A device known at some conductances; straight lines between them, and constant beyond the first and the last.

    aihwkit 1.2.0 interpolates drift exponents of the user alike (inference/noise/pcm.py, CustomDriftPCMLikeNoiseModel).
    """

    g_us: tuple[float, ...]
    """Conductances of the points, uS, rising; the last is the largest that is programmed."""
    programming_sd_us: tuple[float, ...]
    """Standard deviation of the programmed conductance about such a target, uS."""
    drift_mean: tuple[float, ...]
    """Mean of the drift exponent nu of such a target, in g(t) = g ((t + t0) / t0)^-nu."""
    drift_sd: tuple[float, ...]
    """Standard deviation of the drift exponent from device to device."""
    read_q: tuple[float, ...]
    """Q of a device with such a conductance: a read t seconds after programming has the relative standard deviation
    Q sqrt(ln((t + t0 + t_read) / (2 t_read))). From a deviation measured at some t, divide by that root."""
    t0_s: float = 20.0
    """Time from programming to the first reading of the drift measurement, s."""
    t_read_s: float = 250e-9
    """Duration of a read, s."""
    n_physical: int = 1
    """Physical devices in one conductance."""

    def __post_init__(self) -> None:
        """Refuse what is no table."""
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(lengths.values())) > 1 or len(self.g_us) < 2:
            raise ValueError(f"a table needs two points or more and every column a value for each, got {lengths}")
        for name in COLUMNS:
            if bad := [value for value in getattr(self, name) if not 0.0 <= value < math.inf]:
                raise ValueError(f"{name} must be zero or more and finite, got {bad}")
        if any(after <= before for before, after in zip(self.g_us, self.g_us[1:], strict=False)):
            raise ValueError(f"g_us must rise from point to point, got {list(self.g_us)}")
        for name in ("t0_s", "t_read_s"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)!r}")
        if not (isinstance(self.n_physical, int) and self.n_physical >= 1):
            raise ValueError(f"n_physical must be a whole number, 1 or more, got {self.n_physical!r}")

    @classmethod
    def from_arrays(cls, **table: Any) -> TableFit:
        """Take columns as lists, NumPy arrays or tensors, and constants by name.

        Raises:
            ValueError: A column is missing or unknown, has no numbers, or is refused by `TableFit`.
        """
        if unknown := sorted(set(table) - {*COLUMNS, *CONSTANTS}):
            raise ValueError(f"unknown {unknown} in a table; choose from {[*COLUMNS, *CONSTANTS]}")
        if missing := [name for name in COLUMNS if name not in table]:
            raise ValueError(f"the table lacks {missing}; it needs {list(COLUMNS)}")
        columns: dict[str, Any] = {name: _numbers(name, table[name]) for name in COLUMNS}
        columns |= {name: _number(name, table[name]) for name in CONSTANTS if name in table}
        return cls(**columns)

    @property
    def g_max_us(self) -> float:
        """Largest conductance, uS."""
        return self.g_us[-1]

    @property
    def cut_matters(self) -> bool:
        """Whether a read may come within four deviations of zero: there the cut at zero moves its mean."""
        return max(self.read_q) * LARGEST_READ_FACTOR > 0.25

    def programming_sigma_us(self, ghat: Tensor) -> Tensor:
        """Return the spread about the target, uS."""
        return interpolate(ghat * self.g_max_us, self.g_us, self.programming_sd_us)

    def drift_exponent(self, ghat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and spread of the drift exponent."""
        g_us = ghat * self.g_max_us
        return interpolate(g_us, self.g_us, self.drift_mean), interpolate(g_us, self.g_us, self.drift_sd)

    def read_noise(self, ghat: Tensor) -> Tensor:
        """Return Q."""
        return interpolate(ghat * self.g_max_us, self.g_us, self.read_q)


def interpolate(x: Tensor, at: tuple[float, ...], values: tuple[float, ...]) -> Tensor:
    """Return the piecewise linear function through the points (at, values), constant outside; `numpy.interp`."""
    knots, heights = x.new_tensor(at), x.new_tensor(values)
    slopes = heights.diff() / knots.diff()
    inside = x.clamp(at[0], at[-1])
    left = torch.bucketize(inside, knots[1:-1], right=True)
    return heights[left] + slopes[left] * (inside - knots[left])


def read_table(path: str | Path, **constants: Any) -> TableFit:
    """Read a table from a JSON or CSV file.

    Args:
        path: JSON: an object of the columns of `TableFit` as lists, and of constants. CSV: a line with the names of the
            columns, then a line for each point; lines that begin with # are comments.
        constants: `t0_s`, `t_read_s`, `n_physical`, before those of the file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no such table; the message names the file and what is wrong with it.
    """
    path = Path(path)
    readers = {".json": _from_json, ".csv": _from_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: a table of devices ends in {' or '.join(readers)}")
    try:
        table = readers[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
        return TableFit.from_arrays(**{**table, **constants})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _from_json(text: str) -> dict[str, Any]:
    table = json.loads(text)
    if not isinstance(table, dict):
        raise ValueError(f"needs an object with {list(COLUMNS)}, got a {type(table).__name__}")
    return table


def _from_csv(text: str) -> dict[str, Any]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    rows = list(csv.reader((line for _, line in lines), skipinitialspace=True))
    if not rows:
        raise ValueError(f"needs a line with the columns {list(COLUMNS)}, got no line at all")
    names = [name.strip() for name in rows[0]]
    if len(set(names)) < len(names):
        raise ValueError(f"names a column twice: {names}")
    for (number, _), row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(names):
            raise ValueError(f"line {number} has {len(row)} values for {len(names)} columns: {row}")
    return {name: [row[place] for row in rows[1:]] for place, name in enumerate(names)}


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of numbers, got {values!r}")
    return tuple(float(_number(name, value)) for value in values)


def _number(name: str, value: Any) -> float | int:
    """Return a number that may have come as text; true and false are none."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value) if isinstance(value, str) else value + 0
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} holds {value!r}, which is no number") from error
