"""Trains of SET pulses that nobody looks at: mean, spread and number of pulses, without a loop over pulses.

One device, in shares x = g / g_max of its own largest conductance. The published step is IBM's preset of a PCM device
for training (aihwkit presets/devices.py:296 and rpu_expstep_device.cpp, after Nandakumar 2018), whose weight runs from
0 to 2, so w = 2 x:

    w <- w + f(w) + s(w) N,   f(w) = .01 (1 + 27.235 exp(-2.5 w)),   s(w) = .6 (f(w) + .042 + .108 w).

The first pulse is exact. From there the mean follows one curve T(n) that starts in the RESET state: a device at w1
enters it at n1 = T^-1(w1) and leaves it n - 1 pulses later. Small fluctuations about
such a curve shrink as its slope does, v' = 2 (f'/f) v + s^2, so their variance after n pulses is
f(w_n)^2 [A(n1 + n - 1) - A(n1)] with A(n) = sum of (s / f)^2: two short tables serve any train (linear noise
approximation; van Kampen, Stochastic Processes in Physics and Chemistry, ch. X).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

MAX_PULSES = 31
"""Longest train (aihwkit parameters/training.py, desired_bl)."""
_TABLE = 100  # pulses from RESET to where the curve has passed w = 2


def mean_step(x: Tensor) -> Tensor:
    """Return the mean growth of one SET pulse, as a share of the largest conductance."""
    return _step(2.0 * x) / 2.0


def pulses_for(x: Tensor, growth: Tensor) -> Tensor:
    """Return the whole number of pulses whose mean comes nearest to a growth, 0 to 31, from a known conductance.

    Args:
        x: Conductance before, share of the largest.
        growth: Growth that is asked for, zero or more, share of the largest.
    """
    goal = x + growth
    less = (1.0 + _pulses_to(goal) - _pulses_to(x + mean_step(x))).floor_().clamp_(0, MAX_PULSES)
    below, above = (train_moments(x, n_pulses)[0] for n_pulses in (less, less + 1.0))
    return (less + (goal - below > above - goal).to(x.dtype)).clamp_(max=MAX_PULSES)


def blind_pulses_for(growth: Tensor) -> Tensor:
    """Return the number of pulses for a growth without knowing where the device stands: by the step halfway up."""
    return (growth / float(mean_step(torch.tensor(0.25)))).round_().clamp_(0, MAX_PULSES)


def after_train(x: Tensor, n_pulses: Tensor, normal: Tensor) -> Tensor:
    """Return where a device stands after a train of pulses, between 0 and 1; without a pulse it stays exactly.

    Args:
        x: Conductance before, share of the largest.
        n_pulses: Pulses of the train.
        normal: Standard normal numbers, one for the whole train.
    """
    mean, spread = train_moments(x, n_pulses)
    return (mean + spread * normal).clamp_(0.0, 1.0)


def train_moments(x: Tensor, n_pulses: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation after a train, as shares, before the ends of the range cut them."""
    curve, ragged = _tables(x.device, x.dtype)
    w = 2.0 * x
    first = w + _step(w)
    start = _pulses_to(first / 2.0)
    end = (start + n_pulses - 1.0).clamp(max=_TABLE)
    mean = torch.where(n_pulses > 1, _along(curve, end), first)
    variance = (_spread(w) / _step(first)).square() + (_along(ragged, end) - _along(ragged, start)).clamp(min=0.0)
    pulsed = n_pulses > 0
    return torch.where(pulsed, mean / 2.0, x), torch.where(pulsed, _step(mean) * variance.sqrt() / 2.0, 0.0)


def _step(w: Tensor) -> Tensor:
    return 0.01 * (1.0 + 27.235 * torch.exp(-2.5 * w))  # aihwkit: dw_min, A_up, gamma_up


def _spread(w: Tensor) -> Tensor:
    return 0.6 * (_step(w) + 0.042 + 0.108 * w)  # aihwkit: dw_min_std .6, write_noise std_add .042, std_slope .108


@functools.cache
def _numbers() -> tuple[list[float], list[float]]:
    """Return T and A after 0, 1, ... pulses from the RESET state."""
    w, ragged = torch.zeros((), dtype=torch.float64), 0.0
    curve, sums = [0.0], [0.0]
    for _ in range(_TABLE):
        after = w + _step(w)
        ragged += float(_spread(w) / _step(after)) ** 2  # noise is added where the step ends
        w = after
        curve.append(float(w))
        sums.append(ragged)
    return curve, sums


@functools.cache
def _tables(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    curve, ragged = _numbers()
    return torch.tensor(curve, device=device, dtype=dtype), torch.tensor(ragged, device=device, dtype=dtype)


def _pulses_to(x: Tensor) -> Tensor:
    """Return the place on the mean curve, in pulses, where it passes x."""
    curve, _ = _tables(x.device, x.dtype)
    w = (2.0 * x).clamp(0.0, float(curve[-1]))
    after = torch.bucketize(w, curve).clamp_(1, _TABLE)
    below, above = curve[after - 1], curve[after]
    return after - 1 + (w - below) / (above - below)


def _along(table: Tensor, n: Tensor) -> Tensor:
    """Return a table between its entries."""
    before = n.floor().clamp(max=_TABLE - 1)
    index = before.long()
    return torch.lerp(table[index], table[index + 1], n - before)
