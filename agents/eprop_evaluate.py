"""One-shot trajectories, scored: show targets, write once, run again; on chips or in software."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.trajectories import Targets, draw_targets

from .eprop import (
    Activity,
    EpropCfg,
    Plastic,
    Weights,
    increments,
    learning_signals,
    path,
    run_trainee,
    tip_rmse_m,
    velocities,
)
from .eprop_chip import GeneratorChips, TraineeChipCfg, TraineeChips, deploy_trainee
from .eprop_noise import written
from .eprop_train import Lesson, lesson

_TOGETHER = 32
"""Targets that are learnt side by side: bounds the memory, and keeps a chip's numbers whatever the number of chips."""
AGES_S = {"1 hour": 3600.0, "1 day": 86400.0, "1 month": 30 * 86400.0}
"""Ages of the write at which the adapted trainee is run again."""
Array = NDArray[Any]


@dataclass(frozen=True)
class TrajectoryCfg:
    """What is run."""

    chips: int = 8
    """K."""
    targets: int = 32
    """Fresh targets; every chip meets all of them."""
    seed: int = 0
    """Seed of targets, chips and rounding."""
    chip: TraineeChipCfg = field(default_factory=TraineeChipCfg)
    """How the trainee lies on its chip."""
    shuffled: bool = True
    """Also write what the signals of another target teach."""
    retention: bool = True
    """Also run the adapted trainee at AGES_S."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("chips", "targets"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")

    @property
    def n_chips(self) -> int:
        """Chips; software counts as one."""
        return 1 if self.chip.memory == "float" else self.chips


class Learnt(NamedTuple):
    """What some targets gave; K chips first, then targets."""

    tip_cm: Array
    """Error of the tip after the one write. (K, B)"""
    before_cm: Array
    """The same of the first run. (K, B)"""
    shuffled_cm: Array
    """After the write that another target's signals ask for; NaN where it was not run. (K, B)"""
    aged_cm: Array
    """At the ages of AGES_S; NaN where it was not run. (K, B, ages)"""
    joint_rad_s: Array
    """Error of the joint velocities. (K, B, 2)"""
    weights_written: Array
    """(K, B)"""
    devices_written: Array
    """(K, B)"""
    energy_j: Array
    """Of both runs and the write. (K, B)"""
    write_j: Array
    """Of the write. (K, B)"""
    velocity_rad_s: Array
    """Of the second run. (K, B, T, 2)"""
    first_rad_s: Array
    """Of the first run. (K, B, T, 2)"""
    spikes: Array
    """Of the trainee in the second run. (K, B, T, N) bool"""
    first_spikes: Array
    """Of the trainee in the first run. (K, B, T, N) bool"""


class _Software:
    """The trainee in float: what `TraineeChips` is without a chip."""

    def __init__(self, held: Plastic, cfg: EpropCfg) -> None:
        self._held, self._cfg = held, cfg

    def run(self, clock: Tensor, side_by_side: int = 1) -> Activity:
        ran = run_trainee(self._held, clock, self._cfg)
        return Activity(*(part.repeat_interleave(side_by_side, 1) for part in ran))

    def write(self, change: Plastic) -> None:
        self._held = Plastic(*(w + step for w, step in zip(self._held, change, strict=True)))

    def copies(self, n: int) -> _Software:
        return _Software(Plastic(*(w.expand(n, -1, -1) for w in self._held)), self._cfg)


def evaluate(weights: Weights, networks: EpropCfg, cfg: TrajectoryCfg) -> tuple[Targets, Learnt]:
    """Draw fresh targets, let K chips learn each of them from one look, and score what they do."""
    targets = draw_targets(cfg.targets, (cfg.seed, 2))
    chips, generator = _deploy(weights, networks, cfg)
    rounding = torch.Generator().manual_seed(cfg.seed)
    n_parts = math.ceil(cfg.targets / _TOGETHER)
    parts = []
    for which in np.array_split(np.arange(cfg.targets), n_parts):
        some = Targets(*(part[which] for part in targets))
        task = lesson(some, networks.coding, weights.W_in)
        parts.append(_learn(weights, networks, cfg, task, chips, generator, rounding))
    return targets, Learnt(*(np.concatenate(part, 1) for part in zip(*parts, strict=True)))


def _deploy(
    weights: Weights, networks: EpropCfg, cfg: TrajectoryCfg
) -> tuple[TraineeChips | _Software, GeneratorChips | None]:
    if cfg.chip.memory == "float":
        return _Software(Plastic(weights.W_in.unsqueeze(0), weights.W_rec.unsqueeze(0)), networks), None
    chips = deploy_trainee(weights, networks, cfg.chip, cfg.chips, cfg.seed)
    if cfg.chip.generator == "software":
        return chips, None
    return chips, GeneratorChips(weights, networks, cfg.chip, cfg.chips, cfg.seed + 1)


@torch.no_grad()
def _learn(
    weights: Weights,
    networks: EpropCfg,
    cfg: TrajectoryCfg,
    task: Lesson,
    chips: TraineeChips | _Software,
    further: GeneratorChips | None,
    rounding: torch.Generator,
) -> Learnt:
    """Show some targets, write, run again."""
    n_chips, n_targets = cfg.n_chips, task.code.shape[1]
    wanted_m, wanted_rad_s = (w.repeat(1, n_chips, 1) for w in (task.tip_m, task.velocity_rad_s))

    def per_target(values: Tensor) -> Array:
        return values.unflatten(0, (n_chips, n_targets)).numpy()

    def driven(ran: Activity) -> Tensor:
        return velocities(ran.spikes, weights.W_out, networks) if further is None else further.velocities(ran.spikes)

    def error_cm(velocity: Tensor) -> Array:
        return per_target(100.0 * tip_rmse_m(path(velocity), wanted_m))

    meter = _Meter(chips, further)
    first = chips.run(task.clock, n_targets)
    if further is None:
        signals = learning_signals(weights, task.clock, task.code, networks)[0].repeat(1, n_chips, 1)
    else:
        signals = further.signals(task.clock, task.code)
    before = driven(first)

    def taught(told: Tensor) -> tuple[TraineeChips | _Software, Plastic, Any]:
        change = written(increments(first, told, task.clock, networks), cfg.chip.write, rounding)
        pupil = chips.copies(n_targets)
        return pupil, change, pupil.write(change)

    pupil, change, report = taught(signals)
    second = pupil.run(task.clock)
    velocity = driven(second)
    spent_j = (meter.spent_j() / n_targets).expand(n_chips).repeat_interleave(n_targets)
    if isinstance(pupil, TraineeChips):
        spent_j = spent_j + pupil.layer.ledger.energy_j()  # a copy's bill begins with the write
    nothing = np.full((n_chips, n_targets), np.nan)
    aged = np.full((n_chips, n_targets, len(AGES_S)), np.nan)
    if cfg.retention and isinstance(pupil, TraineeChips):
        for index, wait_s in enumerate(np.diff([0.0, *AGES_S.values()])):
            pupil.layer.advance(float(wait_s))
            aged[..., index] = error_cm(driven(pupil.run(task.clock)))
    wrong = nothing
    if cfg.shuffled and n_targets > 1:
        others = signals.unflatten(1, (n_chips, n_targets)).roll(1, 2).flatten(1, 2)
        wrong = error_cm(driven(taught(others)[0].run(task.clock)))
    touched = torch.stack([part.count_nonzero((1, 2)) for part in change]).sum(0)
    zero = torch.zeros(n_chips * n_targets, dtype=torch.float64)
    return Learnt(
        tip_cm=error_cm(velocity),
        before_cm=error_cm(before),
        shuffled_cm=wrong,
        aged_cm=aged,
        joint_rad_s=per_target((velocity - wanted_rad_s).square().mean(0).sqrt()),
        weights_written=per_target(touched),
        devices_written=per_target(zero if report is None else report.devices),
        energy_j=per_target(spent_j),
        write_j=per_target(zero if report is None else report.energy_j),
        velocity_rad_s=per_target(velocity.transpose(0, 1)),
        first_rad_s=per_target(before.transpose(0, 1)),
        spikes=per_target(second.spikes.transpose(0, 1).bool()),
        first_spikes=per_target(first.spikes.transpose(0, 1).bool()),
    )


class _Meter:
    """What the K deployed chips spend from now on, J."""

    def __init__(self, chips: TraineeChips | _Software, further: GeneratorChips | None) -> None:
        self._ledgers = [chips.layer.ledger] if isinstance(chips, TraineeChips) else []
        self._ledgers += further.ledgers if further is not None else []
        self._start = [ledger.energy_j() for ledger in self._ledgers]

    def spent_j(self) -> Tensor:
        """Return it, chip by chip. Shape: (K,), or (1,) where nothing lies on chips."""
        pairs = zip(self._ledgers, self._start, strict=True)
        return sum((ledger.energy_j() - start for ledger, start in pairs), torch.zeros(1, dtype=torch.float64))
