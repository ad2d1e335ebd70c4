"""The fits of a device as tables that the native kernels read between their points, whatever class the fit is."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .fit import Fit

_POINTS = 4096
"""Intervals over the range of a conductance: between its points a logarithm of the fits errs by less than 1e-6, and
only the interval that holds a jump of a fit errs by more."""
_READ_RANGE = 2.0
"""Read noise is tabulated up to this share of the largest conductance, for programming overshoots."""
_FLOOR = 1e-7  # where the fits' logarithms are cut, as in devices.py


class FitTables(NamedTuple):
    """Tables on the CPU, float32."""

    fits: Tensor
    """Error (uS), mean and deviation of the drift exponent, by target. Shape: (3, points + 1)."""
    fit_scale: float
    """Intervals in a microsiemens."""
    q: Tensor
    """Read noise over conductance before the factor of its age, by programmed conductance. Shape: (points + 1,)."""
    q_scale: float
    since_start: float
    """ln((t0 + t_read) / (2 t_read))."""
    noise: int
    """1, or 2 where the cut of a read at zero matters."""


_KNOWN: dict[int, tuple[Fit, FitTables]] = {}  # with the fit, so that its id stays its own


def tables_of(fit: Fit) -> FitTables:
    """Return a fit's tables, made once."""
    if id(fit) not in _KNOWN:
        _KNOWN[id(fit)] = (fit, _tabulate(fit))
    return _KNOWN[id(fit)][1]


def _tabulate(fit: Fit) -> FitTables:
    ghat = torch.linspace(0.0, 1.0, _POINTS + 1, dtype=torch.float64).float()
    mean, spread = fit.drift_exponent(ghat.clamp(min=_FLOOR))
    rows = [fit.programming_sigma_us(ghat), mean, spread]
    points = round(_POINTS * _READ_RANGE)
    q = fit.read_noise(torch.linspace(0.0, _READ_RANGE, points + 1, dtype=torch.float64).float().clamp(min=_FLOOR))
    return FitTables(
        torch.stack([each.float().expand_as(ghat) for each in rows]).contiguous(),
        _POINTS / fit.g_max_us,
        q.float().expand(points + 1).contiguous(),
        points / (_READ_RANGE * fit.g_max_us),
        math.log((fit.t0_s + fit.t_read_s) / (2.0 * fit.t_read_s)),
        2 if fit.cut_matters else 1,
    )
