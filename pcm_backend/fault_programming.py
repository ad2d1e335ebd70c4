"""Programming an array in which something may be broken: what cannot be reached is cut off, noted and paid for.

The loop of pulses and reads does not know what is broken. It gives a conductance up after its last iteration, so what
is missed costs all of them. On a healthy array everything here falls through to `pairs`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .health import Cut, Health
from .pair_state import Fresh, Places
from .pairs import Pairs
from .pulse_counts import expected_pulses
from .spending import Spent
from .streams import Draw
from .verify import MAX_ITERATIONS


def program_at(pairs: Pairs, index: int, places: Places, target_us: Tensor, draw: Draw) -> Fresh:
    """Program a list of devices of one slice once, as far as they can be; see `Pairs.program_at`."""
    health = pairs.health
    if health is None:
        return pairs.program_at(index, places, target_us, draw)
    flat = pairs.flat(index, places)
    _wear(pairs, health, flat, _mean_pulses(pairs, target_us))
    cut = health.cut(flat, target_us, pairs.sigma_us(target_us))
    able = health.movable(flat).nonzero().squeeze(1)
    spent = pairs.program_at(index, places.keep(able), cut.reached_us[able], draw).spent
    return Fresh(None, None, spent.plus(given_up(pairs, health, index, places, cut)))


def train_at(pairs: Pairs, index: int, places: Places, n_pulses: Tensor, draw: Draw) -> None:
    """Give a list of devices of one slice SET pulses that nobody verifies; see `Pairs.train_at`."""
    health = pairs.health
    if health is None:
        return pairs.train_at(index, places, n_pulses, draw)
    flat = pairs.flat(index, places)
    _wear(pairs, health, flat, n_pulses / pairs.device.n_physical)
    able = health.movable(flat).nonzero().squeeze(1)
    pairs.train_at(index, places.keep(able), n_pulses[able], draw)
    now_us = pairs.state_at(flat[able]).g_us
    pairs.scale_at(flat[able], health.nearest(flat[able], now_us) / now_us.clamp(min=1e-9))
    return None


def within_reach(pairs: Pairs, index: int, target_us: Tensor) -> tuple[Tensor, list[Spent]]:
    """Return the targets of a whole slice as far as they can be reached, and what the loop spends on the others.

    Shape of the targets: (K or 1, 2, lines, rows).
    """
    health = pairs.health
    if health is None:
        return target_us, []
    k, _, *one = pairs.shape
    n = torch.Size(one).numel()
    chip = torch.arange(k, device=target_us.device).repeat_interleave(n)
    places = Places(chip, torch.arange(n, device=target_us.device).repeat(k))
    wanted_us = target_us.expand(k, *one).flatten()
    flat = pairs.flat(index, places)
    health.wear(flat, _mean_pulses(pairs, wanted_us))
    cut = health.cut(flat, wanted_us, pairs.sigma_us(wanted_us))
    return cut.reached_us.view(k, *one), [given_up(pairs, health, index, places, cut)]


def silence(pairs: Pairs, index: int) -> None:
    """Take from the conductances on dead lines of a slice even what an off device conducts."""
    if pairs.health is not None:
        silent = pairs.health.silent(index)
        for each in (pairs.state.device.g_us, pairs.state.frozen_us):
            if each is not None:
                each[:, index].masked_fill_(silent, 0.0)


def given_up(pairs: Pairs, health: Health, index: int, places: Places, cut: Cut) -> Spent:
    """Return what the loop spends on conductances that it gives up: a pulse and a read in each of its iterations."""
    k, n_rows = pairs.shape[0], pairs.shape[-1]
    low, high = (
        torch.bincount(places.chip[missed], minlength=k).double() * MAX_ITERATIONS
        for missed in (cut.too_low, cut.too_high)
    )
    missed = places.keep((cut.too_low | cut.too_high).nonzero().squeeze(1))
    steps = torch.zeros((k, n_rows), dtype=torch.float64, device=low.device)
    steps[missed.chip, missed.place % n_rows] = MAX_ITERATIONS
    stuck = missed.chip[~health.movable(pairs.flat(index, missed))]  # the others are counted where they are programmed
    devices = torch.bincount(stuck, minlength=k).double() * pairs.device.n_physical
    return Spent(devices, low, high, low + high, torch.zeros_like(low), steps)


def _mean_pulses(pairs: Pairs, target_us: Tensor) -> Tensor:
    """Return the mean number of pulses that each device of a conductance receives. Shape: (n,)."""
    n_physical = pairs.device.n_physical
    return expected_pulses(target_us / pairs.device.g_max_us, n_physical) / n_physical


def _wear(pairs: Pairs, health: Health, flat: Tensor, pulses: Tensor) -> None:
    """Let pulses wear a list of devices; what breaks conducts nothing from now on."""
    low_us = health.lowest_us(flat)
    left = health.wear(flat, pulses)
    if left is not None:
        now_us = pairs.state_at(flat).g_us
        low_us = torch.minimum(low_us, now_us)
        pairs.scale_at(flat, torch.lerp(low_us, now_us, left) / now_us.clamp(min=1e-9))
