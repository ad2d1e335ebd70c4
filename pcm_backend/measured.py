"""An array that was measured: its conductances are taken over as they are, and nothing is programmed."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .array import Array
from .billing import bill_calibration
from .checks import check_tensor
from .config import CrossbarCfg
from .devices import find_device

MOST = 1.25
"""Largest conductance that is believed, over that of the device model: four deviations of programming to its top."""


def measured_cfg(cfg: CrossbarCfg) -> CrossbarCfg:
    """Return a configuration that says what a conductance stands for: without `w_range` a weight is one in uS."""
    if cfg.slices != 1 or cfg.rows_per_weight != 1 or cfg.updates.first != "verify":
        got = f"slices={cfg.slices}, rows_per_weight={cfg.rows_per_weight}, updates.first={cfg.updates.first!r}"
        raise ValueError(f'a measured array has slices=1, rows_per_weight=1 and updates.first="verify", got {got}')
    g_max_us = find_device(cfg.device, cfg.off_device).g_max_us
    return cfg if cfg.w_range is not None else dataclasses.replace(cfg, w_range=g_max_us)


def stacked_us(g_plus_us: Tensor, g_minus_us: Tensor, cfg: CrossbarCfg, n_chips: int) -> Tensor:
    """Return both conductances of every cell, uS. Shape: (K or 1, 2, out, in).

    Raises:
        ValueError: Their shapes differ, or are not (out, in) or (K, out, in); a value is no number or out of range.
    """
    most_us = MOST * find_device(cfg.device, cfg.off_device).g_max_us
    for name, g_us in (("g_plus_us", g_plus_us), ("g_minus_us", g_minus_us)):
        check_tensor(name, g_us)
        if g_us.dim() not in (2, 3) or (g_us.dim() == 3 and len(g_us) != n_chips) or g_us.numel() == 0:
            raise ValueError(f"{name} must have shape (out, in) or ({n_chips}, out, in), got {tuple(g_us.shape)}")
        if not bool(((g_us >= 0) & (g_us <= most_us)).all()):
            low, high = (f"{float(each):.6g}" for each in g_us.aminmax())
            raise ValueError(f"{name} must lie in 0 to {most_us:.6g} uS, got values from {low} to {high}")
    if g_plus_us.shape != g_minus_us.shape:
        raise ValueError(f"g_plus_us has shape {tuple(g_plus_us.shape)}, g_minus_us {tuple(g_minus_us.shape)}")
    pair = torch.stack([g_plus_us.detach(), g_minus_us.detach()], -3).float()
    return pair if pair.dim() == 4 else pair.unsqueeze(0)


def take_over(array: Array, g_us: Tensor, age_s: float) -> None:
    """Make blank chips conduct what was measured, and take their lines for the reference of the compensation.

    Drift exponents and read noise are those that the device model draws for such conductances. What `faults` breaks
    is broken here too: it cuts the measured values off.

    Args:
        array: Blank, of one slice.
        g_us: Shape (K or 1, 2, out, in).
        age_s: Time since the devices were programmed, s.
    """
    if array.health is not None:
        g_us = array.health.clipped(g_us.expand(array.n_chips, -1, -1, -1).unsqueeze(1)).squeeze(1)
    array.pairs.take_over(0, g_us, age_s)
    array.compensation.take_reference(array.strength_us())
    bill_calibration(array.ledger, array.cfg, array.rows, array.lines)
    array.measure_converters()
