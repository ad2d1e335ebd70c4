"""The figures of learnt trajectories: what metrics.json holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.playback import play, tip_rmse_m
from envs.trajectories import STEP_S, Targets, tip_position

from .eprop_evaluate import AGES_S, Array, Learnt, TrajectoryCfg
from .statistics import NestedBootstrap


def figures(cfg: TrajectoryCfg, learnt: Learnt) -> dict[str, Any]:
    """Return the figures, means over chips and targets; None where something was not run."""
    n_chips, n_targets = learnt.tip_cm.shape
    boot = NestedBootstrap(n_chips, n_targets, cfg.seed)
    return {
        "scenario": "trajectory",
        "memory": cfg.chip.memory,
        "scale": cfg.chip.scale,
        "chips": n_chips,
        "seed": cfg.seed,
        "targets": n_targets,
        "tip_rmse_cm": float(learnt.tip_cm.mean()),
        "tip_rmse_cm_std": float(learnt.tip_cm.std()),
        "tip_rmse_cm_ci95": list(boot.interval(learnt.tip_cm)),
        "tip_rmse_cm_per_chip": learnt.tip_cm.mean(1).tolist(),
        "before_tip_rmse_cm": float(learnt.before_cm.mean()),
        "shuffled_tip_rmse_cm": _mean(learnt.shuffled_cm),
        "velocity_rmse_rad_s": learnt.joint_rad_s.mean((0, 1)).tolist(),
        "weights_written": float(learnt.weights_written.mean()),
        "devices_written": float(learnt.devices_written.mean()),
        "energy_j": float(learnt.energy_j.mean()),
        "write_energy_j": float(learnt.write_j.mean()),
        "retention_tip_rmse_cm": {name: _mean(learnt.aged_cm[..., index]) for index, name in enumerate(AGES_S)},
    }


def played_figures(targets: Targets, learnt: Learnt, n_played: int, hold_s: float) -> dict[str, Any]:
    """Return the figures of trajectories that the MuJoCo arm plays, target t as learnt by chip t mod K.

    Args:
        targets: What was to be drawn.
        learnt: What was learnt.
        n_played: How many of them are played, from the first on; 0: none.
        hold_s: How long each step of the network is held, s.
    """
    which = np.arange(min(n_played, len(targets.tip_m)))
    if len(which) == 0:
        return {"mujoco_tip_rmse_cm": None}
    velocity = learnt.velocity_rad_s[which % len(learnt.tip_cm), which].astype(np.float64)
    angle, wanted = STEP_S * velocity.cumsum(1), targets.tip_m[which]
    played = 100.0 * float(tip_rmse_m(play(angle, hold_s).tip_m, wanted).mean())
    kinematic = 100.0 * float(tip_rmse_m(tip_position(angle), wanted).mean())
    return {
        "mujoco_tip_rmse_cm": played,
        "mujoco_trajectories": len(which),
        "mujoco_hold_s": hold_s,
        "mujoco_kinematic_tip_rmse_cm": kinematic,
        "mujoco_growth_cm": played - kinematic,
    }


def _mean(values: Array) -> float | None:
    return None if np.isnan(values).any() else float(values.mean())
