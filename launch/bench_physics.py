"""Time what can step many arms, MJX against the batch on native threads.

python -m launch.bench physics --arms 1024
"""

from __future__ import annotations

import dataclasses
import os
import statistics
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym
import numpy as np

from agents.episodes import check_family, make_arms
from envs.physics import Physics
from launch import cli
from launch.contenders import Clock, Speed


@dataclass(frozen=True)
class BenchPhysics:
    """Control steps per second of many arms on random commands, by what steps them; they take turns."""

    env: str = "envs:PhaseArm/PlanarTrack-v0"
    """Registered id."""
    arms: int = 1024
    """Arms, each with a body of its own."""
    steps: int = 20
    """Control steps in a turn, of the present episode."""
    rounds: int = 3
    """Turns of each that are timed, after one that is not: it compiles."""
    threads: int = os.cpu_count() or 1
    """Native threads of the batch; XLA takes its own."""
    seed: int = 0
    """Seed of bodies, references and commands."""
    out: Path | None = None
    """Folder for metrics.json; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("arms", "steps", "rounds", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, not {getattr(self, name)}")


def run(cfg: BenchPhysics) -> Path:
    """Measure, print the table, write the folder; return it."""
    with cli.wrong_input():
        folder = cli.run_folder(cfg.out, "bench-physics")
        check_family(cfg.env)
        arms = {name: arms_of(cfg, name) for name in get_args(Physics)}
    load = os.getloadavg()[0]
    metrics = summarize(cfg, measure(cfg, arms)) | {"load_average_at_start": round(load, 2)}
    cli.write_json(folder / "metrics.json", metrics)
    print(table(metrics))
    print(folder)
    return folder


def arms_of(cfg: BenchPhysics, physics: Physics) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Return arms at the start of an episode.

    Raises:
        ValueError: What would step them is not installed.
    """
    try:
        arms = make_arms(cfg.env, cfg.arms, nthread=cfg.threads, physics=physics)
    except ImportError as error:
        raise ValueError(str(error)) from error
    arms.reset(seed=cfg.seed)
    return arms


def measure(cfg: BenchPhysics, arms: dict[str, Any]) -> dict[str, list[Speed]]:
    """Return the speeds of each, one a round."""
    shape = (cfg.steps, cfg.arms, arms["batch"].single_action_space.shape[0])
    actions = np.random.default_rng(cfg.seed).uniform(-0.4, 0.4, shape)
    found: dict[str, list[Speed]] = {name: [] for name in arms}
    for number in range(cfg.rounds + 1):
        for name, env in arms.items():
            clock = Clock()
            for action in actions:
                env.step(action)
            if number:
                found[name].append(clock.speed(cfg.steps * cfg.arms))
    return found


def summarize(cfg: BenchPhysics, found: dict[str, list[Speed]]) -> dict[str, Any]:
    """Return metrics.json, but for the load."""
    by_wall = {name: statistics.median(speed.per_s for speed in speeds) for name, speeds in found.items()}
    by_cpu = {name: statistics.median(speed.per_cpu_s for speed in speeds) for name, speeds in found.items()}
    return {
        "scenario": "physics",
        "command": cli.command_line(),
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(cfg).items()},
        "cpu_count": os.cpu_count(),
        "steps_per_s": by_wall,
        "steps_per_cpu_s": by_cpu,
        "over_batch": {name: speed / by_wall["batch"] for name, speed in by_wall.items()},
        "over_batch_per_cpu_s": {name: speed / by_cpu["batch"] for name, speed in by_cpu.items()},
        "versions": {name: version(name) for name in ("mujoco", "mujoco-mjx", "jax")},
        "device": device(),
    }


def device() -> str:
    """Return what JAX calculates on."""
    import jax  # pyright: ignore[reportMissingImports]  # an extra

    return str(jax.devices()[0])


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people."""
    cfg, versions = metrics["config"], ", ".join(f"{name} {number}" for name, number in metrics["versions"].items())
    lines = [
        f"{cfg['env']}: {cfg['arms']} arms, {cfg['rounds']} turns of {cfg['steps']} control steps on "
        f"{metrics['cpu_count']} CPUs, JAX on {metrics['device']}, load at start {metrics['load_average_at_start']}; "
        f"{versions}",
        f"{'control steps':<16}{'per second':>12}{'over batch':>12}{'per CPU s':>12}{'over batch':>12}",
    ]
    for name, speed in metrics["steps_per_s"].items():
        ratios = metrics["over_batch"][name], metrics["over_batch_per_cpu_s"][name]
        lines.append(
            f"{name:<16}{speed:12,.0f}{ratios[0]:12.3f}{metrics['steps_per_cpu_s'][name]:12,.0f}{ratios[1]:12.3f}"
        )
    return "\n".join(lines)
