"""Evaluation's figures as plain lists: what metrics.json holds and the printed table shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .chip import ChipSubstrate
from .evaluation import Arena, Baselines, Shipped, Trial, place, run_baselines, run_policy
from .retention import retention
from .statistics import NestedBootstrap, iqm, percentile_interval, worst_tenth


def evaluate_band(
    arena: Arena, shipped: Shipped, random_features: Shipped | None, rest_s: float = 0.0
) -> dict[str, Any]:
    """Run everything on one band; return its figures for the chip, software, random features, and after a rest."""
    bases = run_baselines(arena)
    substrate, n_chips = place(arena, shipped)
    trial = run_policy(arena, shipped, substrate, n_chips, "policy on the chip")
    out = {"policy": figures(arena, trial, _never_written(arena, shipped, software=False), bases)}
    if rest_s > 0 and isinstance(substrate, ChipSubstrate):
        out["retention"] = retention(arena, shipped, substrate, rest_s)
    trial = run_policy(arena, shipped, *place(arena, shipped, software=True), "policy in software")
    out["software"] = figures(arena, trial, _never_written(arena, shipped, software=True), bases)
    if random_features is not None:
        trial = run_policy(arena, random_features, *place(arena, random_features), "random features")
        out["random_features"] = figures(arena, trial, _never_written(arena, random_features, software=False), bases)
    return out


def _never_written(arena: Arena, shipped: Shipped, *, software: bool) -> Trial:
    """Run the policy as deployed through all episodes."""
    substrate, n_chips = place(arena, shipped, software=software)
    return run_policy(arena, shipped, substrate, n_chips, "never written", plastic=False)


def figures(arena: Arena, trial: Trial, still: Trial, bases: Baselines) -> dict[str, Any]:
    """Return the figures of one policy, each a list with entry k after k lessons."""
    chips, tasks, episodes = trial.rmse_rad.shape
    boot = NestedBootstrap(chips, tasks, arena.cfg.seed)
    score, interval = zip(
        *(normalized_score(trial.rmse_rad[..., k], bases, k, boot) for k in range(episodes)), strict=True
    )
    per_k = [trial.rmse_rad[..., k] for k in range(episodes)]
    return {
        "rmse_rad": [float(v.mean()) for v in per_k],
        "rmse_rad_iqm": [iqm(v) for v in per_k],
        "rmse_rad_worst_tenth": [worst_tenth(v) for v in per_k],
        "rmse_rad_ci95": [boot.interval(v) for v in per_k],
        "nominal_rmse_rad": bases.nominal.mean(axis=0).tolist(),
        "pi_rmse_rad": bases.integral.mean(axis=0).tolist(),
        "pi_gain_per_s3": bases.integral_gain,
        "oracle_rmse_rad": bases.oracle.mean(axis=0).tolist(),
        "never_written_rmse_rad": still.rmse_rad.mean(axis=(0, 1)).tolist(),
        "normalized_score": list(score),
        "normalized_score_ci95": list(interval),
        "devices_written": trial.devices_written.mean(axis=(0, 1)).tolist(),
        "devices_failed": trial.devices_failed.mean(axis=(0, 1)).tolist(),
        "energy_j": trial.energy_j.mean(axis=(0, 1)).tolist(),
    }


def normalized_score(errors: Any, bases: Baselines, k: int, boot: NestedBootstrap) -> tuple[float, tuple[float, float]]:
    """Return (N - P) / (N - O) of the means in episode k, and its 95 % interval over chips and tasks.

    N is the nominal controller, O the oracle: zero and one are fixed by the world, not by the learner.
    """
    nominal, oracle = bases.nominal[:, k], bases.oracle[:, k]
    score = (nominal.mean() - errors.mean()) / (nominal.mean() - oracle.mean())
    resampled = (boot.means(nominal) - boot.means(errors)) / (boot.means(nominal) - boot.means(oracle))
    return float(score), percentile_interval(np.asarray(resampled))
