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
from pcm_backend import WriteReport

from .checks import check_at_least
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
from .eprop_lesson import Lesson, lesson
from .eprop_noise import written

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
        check_at_least(1, self, "chips", "targets")
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


@torch.no_grad()
def evaluate(weights: Weights, networks: EpropCfg, cfg: TrajectoryCfg) -> tuple[Targets, Learnt]:
    """Draw fresh targets, let K chips learn each of them from one look, and score what they do."""
    targets = draw_targets(cfg.targets, (cfg.seed, 2))
    which = np.array_split(np.arange(cfg.targets), math.ceil(cfg.targets / _TOGETHER))
    tasks = [lesson(Targets(*(part[some] for part in targets)), networks.coding, weights.W_in) for some in which]
    trial = _Trial(weights, networks, cfg)
    learnt = Learnt(*(np.concatenate(part, 1) for part in zip(*map(trial.learn, tasks), strict=True)))
    if cfg.shuffled and cfg.targets > 1:  # last, so that it changes no number before it
        learnt = learnt._replace(shuffled_cm=np.concatenate([trial.mislead(task) for task in tasks], 1))
    return targets, learnt


class _Trial:
    """The chips of an evaluation, and what is done with them."""

    def __init__(self, weights: Weights, networks: EpropCfg, cfg: TrajectoryCfg) -> None:
        self._weights, self._networks, self._cfg = weights, networks, cfg
        self._chips, self._further = _deploy(weights, networks, cfg)
        self._rounding = torch.Generator().manual_seed(cfg.seed)

    def learn(self, task: Lesson) -> Learnt:
        """Show some targets, write, run again."""
        cfg, n_targets = self._cfg, task.code.shape[1]
        n_all = cfg.n_chips * n_targets
        meter = _Meter(self._chips, self._further)
        first, signals = self._show(task)
        before = self._driven(first)
        pupil, change, report = self._teach(first, signals, task)
        second = pupil.run(task.clock)
        velocity = self._driven(second)
        spent_j = (meter.spent_j() / n_targets).expand(cfg.n_chips).repeat_interleave(n_targets)
        if isinstance(pupil, TraineeChips):
            spent_j = spent_j + pupil.layer.ledger.energy_j()  # a copy's bill begins with the write
        zero = torch.zeros(n_all, dtype=torch.float64)
        miss = velocity - task.velocity_rad_s.repeat(1, cfg.n_chips, 1)
        found = {
            "tip_cm": self._error_cm(velocity, task),
            "before_cm": self._error_cm(before, task),
            "shuffled_cm": torch.full((n_all,), torch.nan),
            "aged_cm": self._aged_cm(pupil, task),
            "joint_rad_s": miss.square().mean(0).sqrt(),
            "weights_written": torch.stack([part.count_nonzero((1, 2)) for part in change]).sum(0),
            "devices_written": zero if report is None else report.devices,
            "energy_j": spent_j,
            "write_j": zero if report is None else report.energy_j,
            "velocity_rad_s": velocity.transpose(0, 1),
            "first_rad_s": before.transpose(0, 1),
            "spikes": second.spikes.transpose(0, 1).bool(),
            "first_spikes": first.spikes.transpose(0, 1).bool(),
        }
        return Learnt(**{name: values.unflatten(0, (cfg.n_chips, n_targets)).numpy() for name, values in found.items()})

    def mislead(self, task: Lesson) -> Array:
        """Return the error where every target is taught by the signals of the one before it. (K, B)."""
        first, signals = self._show(task)
        split = (self._cfg.n_chips, task.code.shape[1])
        pupil, _, _ = self._teach(first, signals.unflatten(1, split).roll(1, 2).flatten(1, 2), task)
        return self._error_cm(self._driven(pupil.run(task.clock)), task).unflatten(0, split).numpy()

    def _show(self, task: Lesson) -> tuple[Activity, Tensor]:
        """Return the first run and the learning signals, chip-major."""
        first = self._chips.run(task.clock, task.code.shape[1])
        if self._further is not None:
            return first, self._further.signals(task.clock, task.code)
        signals = learning_signals(self._weights, task.clock, task.code, self._networks)[0]
        return first, signals.repeat(1, self._cfg.n_chips, 1)

    def _teach(
        self, first: Activity, told: Tensor, task: Lesson
    ) -> tuple[TraineeChips | _Software, Plastic, WriteReport | None]:
        """Give every target a copy of its chip, and write there what the signals ask for."""
        change = increments(first, told, task.clock, self._networks)
        change = written(change, self._cfg.chip.write, self._rounding)
        pupil = self._chips.copies(task.code.shape[1])
        return pupil, change, pupil.write(change)

    def _aged_cm(self, pupil: TraineeChips | _Software, task: Lesson) -> Tensor:
        """Return the errors at AGES_S after the write. Shape: (K B, ages)."""
        n_all = self._cfg.n_chips * task.code.shape[1]
        if not (self._cfg.retention and isinstance(pupil, TraineeChips)):
            return torch.full((n_all, len(AGES_S)), torch.nan)
        errors = []
        for wait_s in np.diff([0.0, *AGES_S.values()]):
            pupil.layer.advance(float(wait_s))
            errors.append(self._error_cm(self._driven(pupil.run(task.clock)), task))
        return torch.stack(errors, 1)

    def _driven(self, ran: Activity) -> Tensor:
        """Return joint velocities (T, K B, 2)."""
        if self._further is not None:
            return self._further.velocities(ran.spikes)
        return velocities(ran.spikes, self._weights.W_out, self._networks)

    def _error_cm(self, velocity: Tensor, task: Lesson) -> Tensor:
        return 100.0 * tip_rmse_m(path(velocity), task.tip_m.repeat(1, self._cfg.n_chips, 1))


def _deploy(
    weights: Weights, networks: EpropCfg, cfg: TrajectoryCfg
) -> tuple[TraineeChips | _Software, GeneratorChips | None]:
    if cfg.chip.memory == "float":
        return _Software(Plastic(weights.W_in.unsqueeze(0), weights.W_rec.unsqueeze(0)), networks), None
    chips = deploy_trainee(weights, networks, cfg.chip, cfg.chips, cfg.seed)
    if cfg.chip.generator == "software":
        return chips, None
    return chips, GeneratorChips(weights, networks, cfg.chip, cfg.chips, cfg.seed + 1)


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
