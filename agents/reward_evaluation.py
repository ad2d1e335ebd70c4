"""Evaluation of the reward learner on held-out bodies: on chips and in software, every meta-seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from .chip import deploy_learner
from .episodes import Array, Controller
from .evaluation import Arena
from .metering import Metered
from .policy import Substrate
from .reward_checkpoint import ShippedReward
from .reward_noise import HardwareCfg, NoisySubstrate
from .reward_policy import RewardPolicy
from .statistics import NestedBootstrap, iqm, worst_tenth


class ReachTrial(NamedTuple):
    """Errors in m and what the lesson before each episode cost; (chips, tasks, episodes), or meta-seeds before them."""

    tip_m: Array
    success: Array
    devices_written: Array
    energy_j: Array
    devices_failed: Array


def place_reward(arena: Arena, shipped: ShippedReward, *, software: bool = False) -> tuple[Substrate, int]:
    """Return the substrate that the configuration asks for, and the number of its chips."""
    cfg, learner = arena.cfg, shipped.learner
    if software or cfg.chip.memory == "float":
        return NoisySubstrate(learner, cfg.tasks, HardwareCfg(), torch.Generator()), 1
    return deploy_learner(learner, shipped.calibration, cfg.chip, cfg.chips, cfg.tasks, cfg.seed), cfg.chips


def reward_controller(
    shipped: ShippedReward, substrate: Substrate, unpack: Any, lessons: int, seed: int, *, plastic: bool = True
) -> RewardPolicy:
    """Return the policy at work: it explores for as many episodes as it has lessons, then goes by the mean."""
    generator = torch.Generator().manual_seed(seed)
    return RewardPolicy(shipped.learner, substrate, unpack, generator, explores=lessons, plastic=plastic)


def run_reward(
    arena: Arena, shipped: ShippedReward, *, software: bool = False, plastic: bool = True, name: str = "policy"
) -> ReachTrial:
    """Run a learner's policy through its lessons; never written, it acts by the mean throughout."""
    substrate, n_chips = place_reward(arena, shipped, software=software)
    lessons = arena.cfg.lessons if plastic else 0
    unpack = arena.world(1).unwrapped.unpack
    policy = reward_controller(shipped, substrate, unpack, lessons, arena.cfg.seed, plastic=plastic)
    meter = Metered(policy, substrate)
    errors, episodes = arena.run(meter, name, n_chips)
    shape = (n_chips, arena.cfg.tasks, -1)
    nothing = np.zeros(n_chips * arena.cfg.tasks)
    devices = [lesson.devices for lesson in meter.lessons]
    energy = [lesson.energy_nominal_j for lesson in meter.lessons]
    per_lesson = (np.stack([nothing, *lists], axis=-1).reshape(shape) for lists in (devices, energy, meter.failed))
    success = np.stack([episode.success for episode in episodes], axis=-1).astype(float).reshape(shape)
    return ReachTrial(errors, success, *per_lesson)


def run_all(
    arena: Arena, shipped: Sequence[ShippedReward], *, software: bool = False, plastic: bool = True, name: str
) -> ReachTrial:
    """Run every meta-seed; return (meta-seeds, chips, tasks, episodes)."""
    trials = [
        run_reward(arena, each, software=software, plastic=plastic, name=f"{name}, meta-seed {each.seed}")
        for each in shipped
    ]
    return ReachTrial(*(np.stack(part) for part in zip(*trials, strict=True)))


def reach_figures(trial: ReachTrial, seed: int) -> dict[str, Any]:
    """Return the figures of trials (meta-seeds, chips, tasks, episodes), each a list with entry k after k lessons."""
    seeds, chips, tasks, episodes = trial.tip_m.shape
    boot = NestedBootstrap(chips, tasks, seed, n_meta_seeds=seeds)
    per_k = [trial.tip_m[..., k] for k in range(episodes)]
    every = (0, 1, 2)
    return {
        "tip_m": [float(v.mean()) for v in per_k],
        "tip_m_iqm": [iqm(v) for v in per_k],
        "tip_m_worst_tenth": [worst_tenth(v) for v in per_k],
        "tip_m_ci95": [boot.interval(v) for v in per_k],
        "tip_m_by_meta_seed": trial.tip_m.mean(axis=(1, 2)).tolist(),
        "success": trial.success.mean(axis=every).tolist(),
        "devices_written": trial.devices_written.mean(axis=every).tolist(),
        "devices_failed": trial.devices_failed.mean(axis=every).tolist(),
        "energy_j": trial.energy_j.mean(axis=every).tolist(),
    }


def run_other(arena: Arena, controller: Controller, name: str) -> list[float]:
    """Run a controller that owns no chip; return its mean error in each episode, m."""
    errors, _ = arena.run(controller, name)
    return errors[0].mean(axis=0).tolist()


def evaluate_reach_band(
    arena: Arena, shipped: Sequence[ShippedReward], others: dict[str, Controller]
) -> dict[str, dict[str, Any]]:
    """Run everything on one band; return its figures on the memory and in software, and those of other controllers.

    Args:
        arena: The band's bodies.
        shipped: The learner, one a meta-seed.
        others: Controllers in software by the name of their figures, such as "oracle".
    """
    seed, found = arena.cfg.seed, {}
    bases = {f"{name}_tip_m": run_other(arena, controller, name) for name, controller in others.items()}
    for part, software in (("policy", False), ("software", True)):
        still = run_all(arena, shipped[:1], software=True, plastic=False, name="never written")
        figures = reach_figures(run_all(arena, shipped, software=software, name=part), seed)
        found[part] = figures | {"never_written_tip_m": still.tip_m.mean(axis=(0, 1, 2)).tolist()} | bases
    return found
