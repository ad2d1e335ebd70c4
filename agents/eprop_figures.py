"""The figures of learnt trajectories: what metrics.json holds."""

from __future__ import annotations

from typing import Any

import numpy as np

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


def _mean(values: Array) -> float | None:
    return None if np.isnan(values).any() else float(values.mean())
