"""Evaluate a meta-trained learner on held-out bodies, on simulated chips and beside its baselines.

python -m launch.evaluate dynamics --env envs:PhaseArm/PlanarTrack-v0 --memory hermes_2 --chips 8 --tasks 100
python -m launch.evaluate dynamics --suite --out runs/suite --workers 2
python -m launch.evaluate characters --data omniglot --ways 5 --shots 5
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from agents.budget import budget
from agents.chip import ChipCfg
from agents.evaluation import Arena, EvaluationCfg
from agents.shipped import load_shipped, shipped_path
from agents.tables import evaluate_band
from launch import cli, evaluate_characters, evaluate_reach, evaluate_suite, evaluate_trajectory
from launch.evaluate_characters import EvaluateCharacters
from launch.evaluate_suite import EvaluateSuite
from launch.evaluate_trajectory import EvaluateTrajectory
from launch.plots import evaluation_figure

Band = Literal["in_range", "mild", "hard"]
RUNS_PER_BAND = 13


@dataclass(frozen=True)
class EvaluateDynamics:
    """Five lessons on held-out arms: the policy on K chips, in software, and everything it is measured against; with
    --suite, learners x memories x bands x meta-seeds into one table (its own options: --suite --help).
    """

    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id of the family of tasks."""
    memory: str = "hermes_2"
    """What the network lives on: float is software, others are devices (ideal, pcm_like, state_independent, hermes_1,
    hermes_2); or a JSON or CSV table of your own devices."""
    chips: int = 8
    """Chips, each programmed once."""
    tasks: int = 100
    """Held-out bodies per band; every chip meets all of them."""
    bands: tuple[Band, ...] = ("in_range",)
    """Bands of dynamics to evaluate."""
    lessons: int | None = None
    """Writes; there is one more episode than that. Default: 5 on Track, 3 on Reach."""
    seed: int = 0
    """Seed of bodies, references, starts, sensors and chips; 0 draws the published bodies."""
    age_s: float = 3600.0
    """Age of the programmed chips when the first episode begins, s."""
    scale: Literal["column", "matrix", "core"] = "column"
    """What shares one factor from weight to conductance."""
    periphery: Literal["ideal", "hermes"] = "ideal"
    """What errs around the arrays besides the resolution of their converters."""
    stuck_share: float = 0.0
    """Share of the physical devices that are stuck, half of them SET and half RESET."""
    dead_rows: int = 0
    """Rows of every layer that conduct nothing."""
    retention_s: float = 365 * 24 * 3600.0
    """Also let the adapted policy rest so long and run it again, with and without drift compensation, s; 0: do not."""
    random_features: bool = True
    """Also run the same network with random features, adapted."""
    checkpoint: Path | None = None
    """Learner to evaluate; default: the shipped one of --env."""
    out: Path | None = None
    """Folder for metrics.json and the figure; default: a new one under runs/."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device; the arms are on the CPU and the arrays are small, so auto is the CPU."""

    def __post_init__(self) -> None:
        """Refuse a rest of no length, and no bands."""
        if not 0.0 <= self.retention_s < math.inf:
            raise ValueError(f"--retention-s must be 0 or more and finite, got {self.retention_s}")
        if not self.bands:
            raise ValueError(f"--bands () names no band; choose from {list(get_args(Band))}")

    def learner_path(self) -> Path:
        """Return the checkpoint to evaluate."""
        return self.checkpoint or shipped_path(self.env)

    def protocol(self) -> EvaluationCfg:
        """Return the protocol that these options ask for."""
        faults: dict[str, Any] = {"stuck_share": self.stuck_share, "dead_rows": self.dead_rows}
        common: dict[str, Any] = {"scale": self.scale, "periphery": self.periphery, "age_s": self.age_s}
        chip = ChipCfg(memory=cli.memory(self.memory), **common, **faults)
        lessons = (3 if "Reach" in self.env else 5) if self.lessons is None else self.lessons
        return EvaluationCfg(self.env, self.chips, self.tasks, lessons, self.seed, chip)


def run(cfg: EvaluateDynamics) -> Path:
    """Evaluate, print the table, write the folder; return it."""
    if "Reach" in cfg.env:
        return evaluate_reach.run(cfg)
    with cli.wrong_input():
        protocol, folder = cfg.protocol(), cli.run_folder(cfg.out, "evaluate-dynamics")
        cli.pick_device(cfg.device)
        shipped = load_shipped(cfg.learner_path(), cfg.env)
        random = load_shipped(shipped_path(cfg.env, "random"), cfg.env) if cfg.random_features else None
        bar = cli.progress(RUNS_PER_BAND * len(cfg.bands), "evaluation")
        arenas = [Arena(protocol, band, lambda text: cli.tick(bar, text)) for band in cfg.bands]
    found = {arena.band: evaluate_band(arena, shipped, random, cfg.retention_s) for arena in arenas}
    bar.close()
    metrics = assemble(cfg, found)
    cli.write_json(folder / "metrics.json", metrics)
    evaluation_figure(metrics, folder)
    print(table(metrics))
    print(folder)
    return folder


def assemble(cfg: EvaluateDynamics, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return metrics.json."""
    metrics = evaluate_reach.facts(cfg, "delta", budget(cfg.learner_path()))
    metrics["bands"] = {band: parts["policy"] for band, parts in found.items()}
    for name in ("software", "random_features"):
        metrics[name] = {"bands": {band: parts[name] for band, parts in found.items() if name in parts}}
    metrics["retention"] = {band: parts["retention"] for band, parts in found.items() if "retention" in parts}
    return metrics


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people: errors in rad after 0, 1, ... lessons."""
    lines = []
    for band, chip in metrics["bands"].items():
        lines += [
            "",
            f"{metrics['env']}, {band}: joint error [rad] after k lessons, mean over bodies and chips",
        ]
        lines.append(f"{'k':<34}" + "".join(f"{k:>8d}" for k in range(metrics["episodes"])))
        rows = {
            f"policy on {metrics['memory']}": chip["rmse_rad"],
            "  its worst tenth": chip["rmse_rad_worst_tenth"],
        }
        rows["policy in software"] = metrics["software"]["bands"][band]["rmse_rad"]
        if band in metrics["random_features"]["bands"]:
            rows["random features"] = metrics["random_features"]["bands"][band]["rmse_rad"]
        rows |= {name: chip[f"{key}_rmse_rad"] for name, key in BASELINES.items()}
        lines += [f"{name:<34}" + "".join(f"{value:8.3f}" for value in values) for name, values in rows.items()]
        for name, where in scores(metrics, band).items():
            lines.append(f"{name:<34}" + "".join(f"{value:8.3f}" for value in where["normalized_score"]))
        lines.append(f"{'devices written':<34}" + "".join(f"{value:8.0f}" for value in chip["devices_written"]))
        if any(chip["devices_failed"]):
            lines.append(f"{'devices that failed':<34}" + "".join(f"{value:8.1f}" for value in chip["devices_failed"]))
        lines.append(f"{'energy of the lesson, uJ':<34}" + "".join(f"{value * 1e6:8.1f}" for value in chip["energy_j"]))
        low, high = chip["normalized_score_ci95"][-1]
        spread = f"95 % interval over chips and bodies {low:.3f} to {high:.3f}; one meta-seed"
        lines.append(f"score after {metrics['episodes'] - 1} lessons: {spread}")
        lines += rest_lines(metrics["retention"].get(band))
    return "\n".join(lines)


BASELINES = {
    "never written": "never_written",
    "nominal": "nominal",
    "best integral": "pi",
    "oracle": "oracle",
}


def scores(metrics: dict[str, Any], band: str) -> dict[str, dict[str, Any]]:
    """Return the figures whose normalized scores the table shows."""
    found = {"score, chip": metrics["bands"][band], "score, software": metrics["software"]["bands"][band]}
    if band in metrics["random_features"]["bands"]:
        found["score, random features"] = metrics["random_features"]["bands"][band]
    return found


def rest_lines(rest: dict[str, Any] | None) -> list[str]:
    """Return what the table says of the rest."""
    if rest is None:
        return []
    with_, without = rest["rested_rmse_rad"], rest["rested_uncompensated_rmse_rad"]
    left, left_without = rest["advantage_left_rested"], rest["advantage_left_rested_uncompensated"]
    return [
        f"after {rest['age_s'] / 86400:.0f} days of rest: {with_:.3f} rad with drift compensation "
        f"({left:.2f} of the advantage left), {without:.3f} without ({left_without:.2f})"
    ]


SCENARIOS = {"dynamics": EvaluateDynamics, "trajectory": EvaluateTrajectory, "characters": EvaluateCharacters}
RUNS = {
    EvaluateDynamics: run,
    EvaluateSuite: evaluate_suite.run,
    EvaluateTrajectory: evaluate_trajectory.run,
    EvaluateCharacters: evaluate_characters.run,
}


def main() -> None:
    """Read the command line and evaluate."""
    suite: dict[str, Any] = {"dynamics": EvaluateSuite} if "--suite" in sys.argv else {}
    cfg = cli.choose("evaluate", "Evaluate a meta-trained learner on held-out tasks.", SCENARIOS | suite)
    RUNS[type(cfg)](cfg)


if __name__ == "__main__":
    main()
