"""What one pulse does to one phase-change device: SET, partial RESET, RESET, and the relaxation afterwards.

Pure functions of tensors of any shape; conductances of single physical devices in uS, standard normal numbers as an
argument. A cell of two devices is the business of `pulse_device`, the loop over pulses that of `verify`.

SET pulses are all alike, as in training by pulses of 90 uA and 50 ns (Nandakumar 2018 and IBM's aihwkit after it):
each crystallises a part of what is still amorphous, so the steps shrink as the device grows. RESET melts everything.
The six currents of Joshi's staircase (NatComm 2020, 10.1038/s41467-020-16108-9: 160 to 60 uA, RESET at 450 uA) stand
between the two: one of them melts a part, all of them in falling order after a RESET anneal the device until it is
fully SET.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

RESET_UA = 450.0
"""Current that melts everything (Joshi 2020)."""
STAIRCASE_UA = (160.0, 140.0, 120.0, 100.0, 80.0, 60.0)
"""Currents of the staircase (Joshi 2020: six pulses, 160 to 60 uA; equal steps are an assumption)."""
STAIRCASE_PULSES = len(STAIRCASE_UA)
A_UP, GAMMA_UP = 27.235, 2.5
"""How SET steps shrink over w = g / g_device (aihwkit presets/devices.py:296, PCMPresetDevice)."""
_FULL_SPREAD = 0.1  # the same preset: w_max differs by 10 % from device to device


@dataclass(frozen=True)
class PulseCfg:
    """The constants of pulses on one kind of physical device, and of the loop that verifies them.

    The four fitted numbers come from a random search (60 candidates, 30,000 conductances each) for the smallest of the
    largest log ratio between the deviation from target after 60 s and the programming error of `hermes_2` in ten bins
    of target from .05 to 1, among those that let 98 to 99.9 % of the conductances converge; then rounded.
    """

    margin_us: float = 0.15
    """Verify margin: a cell is done when a read comes this near to its target. HERMES uses 5 counts of its converter,
    whose size in uS is not published; fitted."""
    set_step_us: float = 2.92
    """Mean step of a SET pulse on a device that is RESET: .282 of the range of one device (aihwkit's preset)."""
    set_spread: float = 0.6
    """Standard deviation of a step over its mean (the same preset, dw_min_std); its further terms, which do not shrink
    with the step, are left out: the read noise in them is counted at the verify."""
    verify_noise: float = 0.02
    """Read noise of a verify over conductance; fitted. The fits' own is .012 to .04 times the root of a logarithm."""
    relaxation_us: float = 1.1
    """Standard deviation of the change between the last verify and the first reading of the fits, for large
    conductances; fitted."""
    relaxation_half_us: float = 1.9
    """Conductance at which this is half as large: below, relaxation is in proportion to g; fitted."""
    g_device_us: float = 10.35
    """Largest conductance of one physical device (aihwkit inference/noise/hermes.py, num_devices=1)."""
    reset_us: float = 0.15781817
    """What a RESET leaves is a normal number of this deviation cut at zero (the same file, sigma at zero)."""

    def __post_init__(self) -> None:
        """Refuse constants that mean nothing."""
        for name, value in vars(self).items():
            smallest_is_zero = name not in ("margin_us", "set_step_us", "g_device_us", "relaxation_half_us")
            if not (0.0 <= value < math.inf) or (value == 0.0 and not smallest_is_zero):
                wanted = "zero or more" if smallest_is_zero else "positive"
                raise ValueError(f"{name} must be {wanted} and finite, got {value!r}")


def mean_set_step_us(g_us: Tensor, cfg: PulseCfg) -> Tensor:
    """Return the mean step of a SET pulse: set_step (1 + A exp(-gamma g / g_device)) / (1 + A), uS."""
    grown = torch.exp(g_us * (-GAMMA_UP / cfg.g_device_us))
    return (1.0 + A_UP * grown) * (cfg.set_step_us / (1.0 + A_UP))


def set_pulse(g_us: Tensor, normal: Tensor, cfg: PulseCfg) -> Tensor:
    """Return the conductance after one SET pulse; a step can fail or go back, but never below zero."""
    return (g_us + mean_set_step_us(g_us, cfg) * (1.0 + cfg.set_spread * normal)).clamp(min=0.0)


def reset_pulse(normal: Tensor, cfg: PulseCfg) -> Tensor:
    """Return the conductance after a RESET, whatever it was before."""
    return (cfg.reset_us * normal).clamp(min=0.0)


def melted_share(current_ua: Tensor) -> Tensor:
    """Return the mean share of its conductance that a pulse takes off a device: Joule heat over that of a RESET."""
    return (current_ua / RESET_UA).square()


def staircase_current_ua(share: Tensor) -> Tensor:
    """Return the current of the staircase that comes nearest to taking off a share."""
    top, bottom = STAIRCASE_UA[0], STAIRCASE_UA[-1]
    step = (top - bottom) / (STAIRCASE_PULSES - 1)
    wanted = RESET_UA * share.clamp(min=0.0).sqrt()
    return bottom + step * ((wanted - bottom) / step).round().clamp(0.0, STAIRCASE_PULSES - 1.0)


def partial_reset_pulse(g_us: Tensor, current_ua: Tensor, normal: Tensor, cfg: PulseCfg) -> Tensor:
    """Return the conductance after a pulse that melts a part; its spread over its mean is that of a SET pulse."""
    share = melted_share(current_ua) * (1.0 + cfg.set_spread * normal)
    return g_us * (1.0 - share).clamp(0.0, 1.0)


def full_set(normal: Tensor, cfg: PulseCfg) -> Tensor:
    """Return the conductance after a RESET and the whole staircase: fully SET, 10 % from device to device."""
    return (cfg.g_device_us * (1.0 + _FULL_SPREAD * normal)).clamp(min=0.0)


def relaxation_us(g_us: Tensor, cfg: PulseCfg) -> Tensor:
    """Return the standard deviation of what relaxation does to a conductance, of one or of several devices, uS.

    In proportion to g for small conductances, a constant for large ones: without it the loop's error would be flat.
    """
    return cfg.relaxation_us * g_us / (g_us + cfg.relaxation_half_us)


def relaxed(g_us: Tensor, normal: Tensor, cfg: PulseCfg) -> Tensor:
    """Return the conductance at the first reading of the fits, uS."""
    return (g_us + relaxation_us(g_us, cfg) * normal).clamp(min=0.0)
