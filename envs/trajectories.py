"""Tip trajectories of the Scorbot's base and shoulder joints: the targets, their coding, the clock, the kinematics.

Numbers: Ortner, Petschenig et al., Nat. Commun. 16:1243 (2025), and the authors' released code, which is followed where
the two differ (spread of the velocities, coding of the target).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Coding = Literal["binary", "one_hot", "bumps", "motion"]
CODINGS: tuple[Coding, ...] = ("binary", "one_hot", "bumps", "motion")

N_STEPS = 249
N_CLOCK = 5
N_CODE = 48
STEP_S = 0.01  # seconds of the arm in one step of the network, which the paper calls 1 ms
LIMIT_RAD = np.deg2rad([130.0, 70.0])  # base, shoulder
_STEP_SD = 0.065  # of the walk, rad/s; released code: 0.65 sqrt(0.01). The paper prints a variance of 0.09.
_WINDOW = 120
_TOP_SPEED_RAD_S = np.pi
_SPIKE_EVERY, _TICKS = 10, 5  # each clock neuron spikes 5 times, 10 steps apart

# Denavit-Hartenberg lengths of the Scorbot ER-VII, m (released code)
D1, A1, A2, A3, A4 = 0.3585, 0.050, 0.300, 0.350, 0.22
D23 = -0.098 + 0.065

# What the targets visit: one bin, or the centres of bumps, spread over these. 99 % of 4,000 targets, m and m/s.
TIP_RANGE_M = np.array([[-0.46, 0.93], [-0.92, 0.92], [-0.46, 1.17]])
TIP_SPEED_M_S = np.array([1.2, 1.0, 1.0])


class Targets(NamedTuple):
    """Trajectories to be learnt; the first axis counts them."""

    velocity_rad_s: NDArray[np.float64]
    """Joint velocities. Shape: (B, T, 2)."""
    angle_rad: NDArray[np.float64]
    """Joint angles. Shape: (B, T, 2)."""
    tip_m: NDArray[np.float64]
    """Positions of the tip. Shape: (B, T, 3)."""


def tip_position(angle_rad: Any, xp: ModuleType = np) -> Any:
    """Return the tip for base and shoulder angles, elbow and wrist at home: shape (..., 2) to (..., 3), m.

    Args:
        angle_rad: Angles, an array of `xp`.
        xp: Library of the array: numpy, or torch where gradients are wanted.
    """
    base, shoulder = angle_rad[..., 0], angle_rad[..., 1]
    reach = A1 + (A2 + A3 + A4) * xp.cos(shoulder)
    x = reach * xp.cos(base) + D23 * xp.sin(base)
    y = D23 * xp.cos(base) - reach * xp.sin(base)
    z = D1 + (A2 + A3 + A4) * xp.sin(shoulder)
    return xp.stack((x, y, z), -1)


def draw_targets(n: int, seed: int | tuple[int, ...], n_steps: int = N_STEPS) -> Targets:
    """Return `n` targets; one that touches a joint limit is drawn again.

    Args:
        n: How many.
        seed: Seed, or several that count as one; equal seeds give equal targets.
        n_steps: Steps of each.
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n!r}")
    rng = np.random.default_rng(seed)
    kept = np.empty((0, n_steps, 2))
    while len(kept) < n:
        drawn = _smooth_walk(max(2 * (n - len(kept)), 8), n_steps, rng)
        inside = (np.abs(STEP_S * np.cumsum(drawn, 1)) < LIMIT_RAD).all((1, 2))
        kept = np.concatenate([kept, drawn[inside]])
    velocity = kept[:n]
    angle = STEP_S * np.cumsum(velocity, 1)
    return Targets(velocity, angle, tip_position(angle))


def _smooth_walk(n: int, n_steps: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return random walks smoothed by a Hann window: zeros before them, their mirror image after them."""
    walk = np.cumsum(rng.normal(0.0, _STEP_SD, (n, max(n_steps, _WINDOW), 2)), 1)
    padded = np.concatenate([np.zeros((n, _WINDOW - 1, 2)), walk, walk[:, :-_WINDOW:-1]], 1)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)
    views = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, _WINDOW // 2 :][:, :n_steps]
    return np.clip(views @ (window / window.sum()), -_TOP_SPEED_RAD_S, _TOP_SPEED_RAD_S)


def clock_spikes(n_steps: int = N_STEPS) -> NDArray[np.float32]:
    """Return the clock: five neurons, one after the other for 50 steps, a spike every 10. Shape: (T, 5)."""
    spikes = np.zeros((n_steps, N_CLOCK), np.float32)
    times = np.arange(0, n_steps, _SPIKE_EVERY)
    spikes[times, times // (_SPIKE_EVERY * _TICKS) % N_CLOCK] = 1.0
    return spikes


def encode(tip_m: NDArray[np.float64], coding: Coding) -> NDArray[np.float32]:
    """Return what the learning-signal generator sees of a target.

    Args:
        tip_m: Positions of the tip. Shape: (B, T, 3), m.
        coding: "binary": the 16 bits of each coordinate (released code). "one_hot": one of 16 neurons for each, firing
            every 10 steps (the paper). "bumps": 16 bell-shaped activities for each. "motion": 8 such for each
            coordinate and 8 for its speed.

    Returns:
        Shape (B, T, 48).
    """
    if coding == "binary":
        # released code: int((coordinate + 1) 2^15), lowest bit first
        level = ((tip_m + 1.0) * 2**15).astype(np.int64)
        code = (level[..., None] >> np.arange(16)) & 1
    elif coding == "one_hot":
        low, high = TIP_RANGE_M.T
        level = np.clip(((tip_m - low) / (high - low) * 16).astype(int), 0, 15)
        code = (level[..., None] == np.arange(16)) & (np.arange(tip_m.shape[1]) % _SPIKE_EVERY == 0)[:, None, None]
    elif coding == "bumps":
        code = _bumps(tip_m, TIP_RANGE_M, 16)
    elif coding == "motion":
        speed = np.diff(tip_m, axis=1, prepend=tip_m[:, :1]) / STEP_S
        speeds = _bumps(speed, TIP_SPEED_M_S[:, None] * np.array([-1.0, 1.0]), 8)
        code = 0.5 * np.concatenate([_bumps(tip_m, TIP_RANGE_M, 8), speeds], -1)  # twice as many, in all as active
    else:
        raise ValueError(f"unknown coding {coding!r}; choose from {list(CODINGS)}")
    return code.reshape(*tip_m.shape[:2], N_CODE).astype(np.float32)


def _bumps(value: NDArray[np.float64], span: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return bell-shaped activities of `n` centres over each span, as wide as their distance. Shape: (..., 3, n)."""
    low, high = span.T
    place = (value - low) / (high - low) * (n - 1)
    return np.exp(-0.5 * (place[..., None] - np.arange(n)) ** 2)
