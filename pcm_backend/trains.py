"""Trains of SET pulses that nobody looks at: mean, spread and number of pulses, without a loop over pulses.

Conductances here are shares x = g / g_max. The pulse is that of `pulses`: x <- x + f(x) (1 + s N), whose step f shrinks
as the device grows. The first pulse is exact. From there the mean follows one curve T(n) that starts in the RESET
state: a device at x1 enters it at n1 = T^-1(x1) and leaves it n - 1 pulses later. Small fluctuations about such a curve
shrink as its slope does, v' = 2 (f'/f) v + (s f)^2, so their variance after n pulses is
f(x_n)^2 [A(n1 + n - 1) - A(n1)] with A(n) = sum of (s f(x_k) / f(x_k+1))^2: two short tables serve any train (linear
noise approximation; van Kampen, Stochastic Processes in Physics and Chemistry, ch. X).

Of the devices of one conductance the one that conducts less takes each pulse, so they grow together: n pulses on p of
them are n / p pulses for each, and the spread of their mean is 1 / sqrt(p) of that of one.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .pulses import PulseCfg, mean_set_step_us

MAX_PULSES = 31
"""Longest train on one device (aihwkit parameters/training.py, desired_bl)."""
_PULSE = PulseCfg()
_TABLE = 60  # pulses from RESET to far beyond the range


def mean_step(x: Tensor) -> Tensor:
    """Return the mean growth of one SET pulse on one device, as a share of its range."""
    return mean_set_step_us(x * _PULSE.g_device_us, _PULSE) / _PULSE.g_device_us


def pulses_for(x: Tensor, growth: Tensor, n_physical: int) -> Tensor:
    """Return the whole number of pulses whose mean comes nearest to a growth, from a known conductance.

    Args:
        x: Conductance before, share of the largest.
        growth: Growth that is asked for, zero or more, share of the largest.
        n_physical: Devices that share the pulses.
    """
    goal, longest = x + growth, MAX_PULSES * n_physical
    less = (n_physical * (1.0 + _pulses_to(goal) - _pulses_to(x + mean_step(x)))).floor_().clamp_(0, longest)
    below, above = (train_moments(x, n_pulses, n_physical)[0] for n_pulses in (less, less + 1.0))
    return (less + (goal - below > above - goal).to(x.dtype)).clamp_(max=longest)


def blind_pulses_for(growth: Tensor, n_physical: int, x: float) -> Tensor:
    """Return the number of pulses for a growth without knowing where the device stands: by the step at a share x."""
    step = float(mean_step(torch.tensor(x))) / n_physical
    return (growth / step).round_().clamp_(0, MAX_PULSES * n_physical)


def after_train(x: Tensor, n_pulses: Tensor, normal: Tensor, n_physical: int = 1) -> Tensor:
    """Return where a conductance stands after a train of pulses, between 0 and 1; without a pulse it stays exactly.

    Args:
        x: Conductance before, share of the largest.
        n_pulses: Pulses of the train.
        normal: Standard normal numbers, one for the whole train.
        n_physical: Devices that share the pulses.
    """
    mean, spread = train_moments(x, n_pulses, n_physical)
    return (mean + spread * normal).clamp_(0.0, 1.0)


def train_moments(x: Tensor, n_pulses: Tensor, n_physical: int = 1) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation after a train, as shares, before the ends of the range cut them."""
    curve, ragged = _tables(x.device, x.dtype)
    each = n_pulses / n_physical
    first = x + mean_step(x) * each.clamp(max=1.0)
    start = _pulses_to(first)
    end = (start + (each - 1.0).clamp(min=0.0)).clamp(max=_TABLE)
    mean = torch.where(each > 1.0, _along(curve, end), first)
    alone = (_PULSE.set_spread * mean_step(x) / mean_step(first)).square() * each.clamp(max=1.0)
    variance = (alone + (_along(ragged, end) - _along(ragged, start)).clamp(min=0.0)) / n_physical
    return mean, torch.where(n_pulses > 0, mean_step(mean) * variance.sqrt(), 0.0)


@functools.cache
def _numbers() -> tuple[list[float], list[float]]:
    """Return T and A after 0, 1, ... pulses from the RESET state."""
    x, ragged = torch.zeros((), dtype=torch.float64), 0.0
    curve, sums = [0.0], [0.0]
    for _ in range(_TABLE):
        after = x + mean_step(x)
        ragged += float(_PULSE.set_spread * mean_step(x) / mean_step(after)) ** 2  # noise is added where a step ends
        x = after
        curve.append(float(x))
        sums.append(ragged)
    return curve, sums


@functools.cache
def _tables(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    curve, ragged = _numbers()
    return torch.tensor(curve, device=device, dtype=dtype), torch.tensor(ragged, device=device, dtype=dtype)


def _pulses_to(x: Tensor) -> Tensor:
    """Return the place on the mean curve, in pulses, where it passes x."""
    curve, _ = _tables(x.device, x.dtype)
    x = x.clamp(0.0, float(curve[-1]))
    after = torch.bucketize(x, curve).clamp_(1, _TABLE)
    below, above = curve[after - 1], curve[after]
    return after - 1 + (x - below) / (above - below)


def _along(table: Tensor, n: Tensor) -> Tensor:
    """Return a table between its entries."""
    before = n.floor().clamp(max=_TABLE - 1)
    index = before.long()
    return torch.lerp(table[index], table[index + 1], n - before)
