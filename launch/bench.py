"""Measure the speed of arms, chips and meta-training on this machine.

python -m launch.bench envs
python -m launch.bench physics
python -m launch.bench chip
python -m launch.bench chip --floorplan --network scorbot
python -m launch.bench characters
"""

from __future__ import annotations

import dataclasses
import os
import platform
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy loads: its threads would take the arms' cores

import gymnasium as gym

from agents.episodes import make_arms
from launch import bench_characters, bench_physics, cli
from launch.bench_characters import BenchCharacters
from launch.bench_chip import BenchChip, run_chip
from launch.bench_physics import BenchPhysics
from launch.bench_trajectory import BenchTrajectory, run_trajectory
from launch.contenders import RawLoop, Speed, Vector, mlp_policy, worker_arms

WANTED = {"vector_over_raw_loop_times_threads": 0.7, "vector_over_workers": 4.0}
Measured = dict[str, list[Speed]]


@dataclass(frozen=True)
class BenchEnvs:
    """Many arms at once against MuJoCo's own loop and against a process per arm, in turns."""

    arm: Literal["planar", "scorbot"] = "planar"
    """Arm whose tracking world is measured."""
    env: str | None = None
    """Registered id to measure instead."""
    arms: int = 256
    """Arms of the vector environment, each with a body of its own."""
    workers: int = 16
    """Processes of Gymnasium's AsyncVectorEnv, an arm each."""
    threads: int = os.cpu_count() or 1
    """Native threads of the vector environment."""
    hidden: int = 64
    """Width of the policy's two hidden layers."""
    raw_arms: int = 128
    """Arms whose starts and actions the raw loop repeats in each turn."""
    seconds: float = 20.0
    """How long to measure; one round of turns at least, and a few seconds to start."""
    warm_episodes: int = 6
    """Episodes before the clock starts: in them the shared link lengths are compiled, once in a process."""
    seed: int = 0
    """Seed of bodies, references and policy."""
    out: Path | None = None
    """Folder for metrics.json; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("arms", "workers", "threads", "hidden", "raw_arms"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}")
        if not self.seconds > 0 or self.warm_episodes < 0:
            raise ValueError(
                f"--seconds must be above 0 and --warm-episodes at least 0, not {self.seconds}, {self.warm_episodes}"
            )

    @property
    def env_id(self) -> str:
        """The registered id.

        Raises:
            ValueError: There is none of that name.
        """
        known = sorted(f"envs:{name}" for name in gym.registry if name.startswith("PhaseArm/"))
        chosen = self.env or f"envs:PhaseArm/{self.arm.capitalize()}Track-v0"
        if chosen not in known:
            raise ValueError(f"unknown env {chosen!r}; choose from {known}")
        return chosen


def run_envs(cfg: BenchEnvs) -> Path:
    """Measure, print the table, write the folder; return it."""
    with cli.wrong_input():
        env_id, folder = cfg.env_id, cli.run_folder(cfg.out, "bench-envs")
    load = os.getloadavg()[0]
    metrics = summarize(cfg, measure(cfg, env_id)) | {"load_average_at_start": round(load, 2)}
    cli.write_json(folder / "metrics.json", metrics)
    print(table(metrics))
    print(folder)
    return folder


def measure(cfg: BenchEnvs, env_id: str) -> Measured:
    """Return the speeds of the three, one a round; they take turns, so that all meet the same machine."""
    workers_env = worker_arms(env_id, cfg.workers)  # first: forking a process that has threads is not safe
    arms = make_arms(env_id, cfg.arms, nthread=cfg.threads)
    space = arms.single_observation_space.shape[0], arms.single_action_space.shape[0]
    policy = mlp_policy(*space, cfg.hidden, cfg.seed)
    vector, workers = Vector(arms, policy, cfg.seed), Vector(workers_env, policy, cfg.seed)
    raw, found = RawLoop(env_id), {"vector": [], "raw_loop": [], "workers": []}
    for _ in range(cfg.warm_episodes):
        vector.play()
    began, bar = time.monotonic(), cli.progress(round(cfg.seconds), "measuring, seconds")
    while not found["vector"] or time.monotonic() - began < cfg.seconds:
        played = vector.play()
        found["vector"].append(played.speed)
        found["raw_loop"].append(raw.play(played, cfg.raw_arms))
        found["workers"].append(workers.play().speed)
        bar.update(min(bar.total, round(time.monotonic() - began)) - bar.n)
    bar.close()
    workers.close()
    vector.close()
    return found


def summarize(cfg: BenchEnvs, found: Measured) -> dict[str, Any]:
    """Return metrics.json, but for the load."""
    pairs = list(zip(found["vector"], found["raw_loop"], strict=True))
    ratios = {
        "vector_over_raw_loop_times_threads": [a.per_s / (cfg.threads * b.per_s) for a, b in pairs],
        "vector_over_workers": [a.per_s / c.per_s for a, c in zip(found["vector"], found["workers"], strict=True)],
        "vector_over_raw_loop_per_cpu_second": [a.per_cpu_s / b.per_cpu_s for a, b in pairs],
    }
    return {
        "scenario": "envs",
        "env": cfg.env_id,
        "command": cli.command_line(),
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(cfg).items()},
        "rounds": len(pairs),
        "threads": cfg.threads,
        "cpu_count": os.cpu_count(),
        "steps_per_s": {name: spread([speed.per_s for speed in speeds]) for name, speeds in found.items()},
        "ratios": {name: spread(values) for name, values in ratios.items()},
        "wanted": WANTED,
        "versions": {name: version(name) for name in ("mujoco", "gymnasium", "numpy")}
        | {"python": platform.python_version()},
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people."""
    cfg, threads = metrics["config"], metrics["threads"]
    names = {
        "vector": f"ArmVectorEnv, {cfg['arms']} bodies, {threads} threads, policy",
        "raw_loop": "raw mj_step loop, nominal arm, same actions, 1 thread",
        "workers": f"AsyncVectorEnv, {cfg['workers']} workers, policy",
        "vector_over_raw_loop_times_threads": f"ArmVectorEnv / (raw loop x {threads})",
        "vector_over_workers": "ArmVectorEnv / AsyncVectorEnv",
        "vector_over_raw_loop_per_cpu_second": "ArmVectorEnv / raw loop, per CPU second: on a busy machine",
    }
    versions = ", ".join(f"{name} {number}" for name, number in metrics["versions"].items())
    lines = [
        f"{metrics['env']}: {metrics['rounds']} rounds in turns on {metrics['cpu_count']} CPUs, "
        f"load at start {metrics['load_average_at_start']}; {versions}",
        f"{'control steps per second':<60}{'median':>10}{'least':>10}{'most':>10}",
    ]
    lines += [row(names[name], rates, "10,.0f") for name, rates in metrics["steps_per_s"].items()]
    for name, ratio in metrics["ratios"].items():
        wanted = metrics["wanted"].get(name)
        lines.append(row(names[name], ratio, "10.2f") + (f"   at least {wanted:g} wanted" if wanted else ""))
    return "\n".join(lines)


def row(name: str, values: dict[str, float], form: str) -> str:
    """Return a line of the table."""
    return f"{name:<60}" + "".join(f"{values[key]:{form}}" for key in ("median", "min", "max"))


SCENARIOS = {
    "envs": BenchEnvs,
    "physics": BenchPhysics,
    "chip": BenchChip,
    "trajectory": BenchTrajectory,
    "characters": BenchCharacters,
}
RUNS = {
    BenchEnvs: run_envs,
    BenchPhysics: bench_physics.run,
    BenchChip: run_chip,
    BenchTrajectory: run_trajectory,
    BenchCharacters: bench_characters.run,
}


def main() -> None:
    """Read the command line and measure."""
    cfg = cli.choose("bench", "Measure speed on this machine.", SCENARIOS)
    RUNS[type(cfg)](cfg)


if __name__ == "__main__":
    main()
