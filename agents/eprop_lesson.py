"""One lesson of the spiking arm, differentiable from end to end: a run, the update, a second run, and their loss.

Loss and wanted rates: Ortner, Petschenig et al., Nat. Commun. 16:1243 (2025), equation 19, means over time as in the
released code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.trajectories import Coding, Targets, clock_spikes, encode

from .eprop import (
    Activity,
    EpropCfg,
    Plastic,
    Weights,
    increments,
    learning_signals,
    path,
    run_trainee,
    velocities,
)
from .eprop_noise import WriteCfg, chips, column_range, mean_rate, read_current, rewritten, written
from .spiking import STEP, SpikeFunction

_TRAINEE_RATE, _LSG_RATE = 0.020, 0.010  # wanted spikes per step


@dataclass(frozen=True)
class ChipCfg:
    """Stand-ins for the chip during meta-training."""

    memory: Literal["float", "hermes_2", "hermes_1", "pcm_like"] = "float"
    """Device whose programming error both runs see."""
    chips: int = 4
    """Chips drawn at each iteration; the batch is split over them."""
    age_s: float = 3600.0
    """Age of the chips when they learn."""
    headroom: float = 1.0
    """Full conductance over the largest weight of an output line."""
    read_noise: bool = False
    """Noise of the reads in both runs."""
    write: WriteCfg = field(default_factory=WriteCfg)
    """Which increments are written."""


class Lesson(NamedTuple):
    """Targets as tensors, time first."""

    clock: Tensor
    """(T, 5)"""
    code: Tensor
    """(T, B, 48)"""
    velocity_rad_s: Tensor
    """(T, B, 2)"""
    tip_m: Tensor
    """(T, B, 3)"""


class Outcome(NamedTuple):
    """What one pass through both runs gave."""

    velocity_rad_s: Tensor
    """Of the second run. (T, B, 2)"""
    change: Plastic
    """What was written. (B, ...)"""
    first: Activity
    second: Activity
    lsg_spikes: Tensor
    """(T, B, M)"""


def lesson(targets: Targets, coding: Coding, like: Tensor) -> Lesson:
    """Return targets as tensors of the type and on the device of `like`."""

    def turn(x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).transpose(0, 1).to(like).contiguous()

    clock = torch.from_numpy(clock_spikes(targets.tip_m.shape[1])).to(like)
    return Lesson(clock, turn(encode(targets.tip_m, coding)), turn(targets.velocity_rad_s), turn(targets.tip_m))


def learn_once(
    weights: Weights,
    task: Lesson,
    cfg: EpropCfg,
    chip: ChipCfg,
    generator: torch.Generator,
    function: SpikeFunction = STEP,
    coarse: bool = False,
) -> Outcome:
    """Run, update, run again; differentiable through all of it."""
    n_targets, n_steps = task.code.shape[1], task.clock.shape[0]
    memory = None if chip.memory == "float" else chip.memory
    held = Plastic(weights.W_in.unsqueeze(0), weights.W_rec.unsqueeze(0))
    w_range = column_range(held, chip.headroom) if memory else torch.full((), math.inf)
    if memory:
        held = chips(held, chip.chips, chip.headroom, memory, chip.age_s, generator)

    def noise(plastic: Plastic) -> Tensor | None:
        if not (memory and chip.read_noise):
            return None
        return read_current(plastic, w_range, _TRAINEE_RATE, n_steps, memory, chip.age_s, generator)

    first = run_trainee(held, task.clock, cfg, function, coarse, noise(held))
    signals, lsg_spikes = learning_signals(weights, task.clock, task.code, cfg, function, coarse)
    change = written(increments(first, signals, task.clock, cfg), chip.write, generator)
    each = n_targets // held.w_in.shape[0]
    old = Plastic(*(w.repeat_interleave(each, 0) for w in held))
    new = rewritten(old, change, w_range, memory, generator)
    second = run_trainee(new, task.clock, cfg, function, coarse, noise(new))
    return Outcome(velocities(second.spikes, weights.W_out, cfg), change, first, second, lsg_spikes)


def losses(outcome: Outcome, task: Lesson, regularisation: float, position: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the error of the second run, half position and half velocity, and the penalty on rates."""
    miss_m, miss_rad_s = path(outcome.velocity_rad_s) - task.tip_m, outcome.velocity_rad_s - task.velocity_rad_s
    error = 0.5 * position * miss_m.square().mean() + 0.5 * miss_rad_s.square().mean()
    trainee = 0.5 * (mean_rate(outcome.first) + mean_rate(outcome.second))
    penalty = (trainee - _TRAINEE_RATE).square().sum() + (outcome.lsg_spikes.mean((0, 1)) - _LSG_RATE).square().sum()
    return error, regularisation * penalty
