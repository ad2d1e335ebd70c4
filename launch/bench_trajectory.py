"""Measure the speed of the spiking arm on this machine: `python -m launch.bench trajectory`."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from agents.eprop import Activity, EpropCfg, Plastic, Weights, draw_weights
from agents.eprop_chip import TraineeChipCfg
from agents.eprop_evaluate import TrajectoryCfg, evaluate
from agents.eprop_lesson import ChipCfg, Lesson, Outcome, learn_once, lesson, losses
from agents.eprop_noise import WriteCfg
from agents.eprop_plain import plain_learn_once
from agents.eprop_weights import load_trained
from envs.trajectories import N_STEPS, draw_targets
from launch import cli

WANTED = {"train_iteration_s": 2.0, "evaluate_30_s": 3.0}


class Times(NamedTuple):
    """How long something took."""

    wall_s: float
    """By the clock; on a busy machine it says as much of the machine."""
    cpu_s: float
    """Of all threads together."""


@dataclass(frozen=True)
class BenchTrajectory:
    """An iteration of meta-training and an evaluation at the size of the paper, and the plain way beside them."""

    batch: int = 90
    """Targets of an iteration of meta-training."""
    steps: int = N_STEPS
    """Steps of the network in a run."""
    targets: int = 30
    """Targets of the evaluation, on one chip of hermes_2 with noise in every read."""
    oracle_batch: int = 4
    """Targets of an iteration taken step by step with automatic differentiation: its time and memory grow with them."""
    repeats: int = 3
    """How often each is measured, after one run that does not count; the median is reported."""
    coarse: bool = False
    """Take the products of the backward pass in bfloat16."""
    write: str = "rounded"
    """Which increments the evaluation writes: all, rounded or top_k."""
    threads: int = min(2, os.cpu_count() or 1)
    """Threads of torch."""
    seed: int = 0
    """Seed of weights, targets and chips."""
    out: Path | None = None
    """Folder for metrics.json; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("batch", "steps", "targets", "oracle_batch", "repeats", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")


def run_trajectory(cfg: BenchTrajectory) -> Path:
    """Measure, print the table, write the folder; return it."""
    with cli.wrong_input():
        folder = cli.run_folder(cfg.out, "bench-trajectory")
        write = WriteCfg(cfg.write)  # type: ignore[arg-type]
    load = os.getloadavg()[0]
    torch.set_num_threads(cfg.threads)
    metrics = measure(cfg, write)
    metrics |= {"command": cli.command_line(), "load_average_at_start": round(load, 2), "wanted": WANTED}
    cli.write_json(folder / "metrics.json", metrics)
    print(table(metrics))
    print(folder)
    return folder


def measure(cfg: BenchTrajectory, write: WriteCfg) -> dict[str, Any]:
    """Return the times, s."""
    networks = EpropCfg()
    drawn = draw_weights(networks, torch.Generator().manual_seed(cfg.seed))
    weights = Weights(*(w.requires_grad_() for w in drawn))
    large, small = (_task(cfg, networks, weights, size) for size in (cfg.batch, cfg.oracle_batch))
    train = timed(cfg.repeats, lambda: iteration(weights, large, networks, cfg))
    alike = timed(cfg.repeats, lambda: iteration(weights, small, networks, cfg))
    oracle = timed(1, lambda: plain_iteration(weights, small, networks), warm=False)
    evaluated = timed(cfg.repeats, lambda: evaluation(cfg, write))
    return {
        "scenario": "trajectory",
        "train_iteration_s": train.wall_s,
        "train_iteration_cpu_s": train.cpu_s,
        "evaluate_30_s": evaluated.wall_s * 30 / cfg.targets,
        "evaluate_30_cpu_s": evaluated.cpu_s * 30 / cfg.targets,
        "batch": cfg.batch,
        "steps": cfg.steps,
        "targets": cfg.targets,
        "n_trainee": networks.trainee.n,
        "n_lsg": networks.lsg.n,
        "ratio_to_oracle": (oracle.wall_s / cfg.oracle_batch) / (train.wall_s / cfg.batch),
        "ratio_to_oracle_cpu": (oracle.cpu_s / cfg.oracle_batch) / (train.cpu_s / cfg.batch),
        "ratio_to_oracle_same_batch": oracle.wall_s / alike.wall_s,
        "oracle_batch": cfg.oracle_batch,
        "oracle_iteration_s": oracle.wall_s,
        "oracle_iteration_cpu_s": oracle.cpu_s,
        "threads": cfg.threads,
    }


def _task(cfg: BenchTrajectory, networks: EpropCfg, weights: Weights, size: int) -> Lesson:
    return lesson(draw_targets(size, (cfg.seed, 3), cfg.steps), networks.coding, weights.W_in)


def iteration(weights: Weights, task: Lesson, networks: EpropCfg, cfg: BenchTrajectory) -> None:
    """Take one iteration of meta-training in float, all but the optimiser's step."""
    generator = torch.Generator().manual_seed(cfg.seed)
    outcome = learn_once(weights, task, networks, ChipCfg(), generator, coarse=cfg.coarse)
    _back(outcome, task, weights)


def plain_iteration(weights: Weights, task: Lesson, networks: EpropCfg) -> None:
    """Take the same step by step, as automatic differentiation takes it."""
    found = plain_learn_once(weights, task, networks)
    change = Plastic(found["change_in"], found["change_rec"])
    first, second = (Activity(found[name], torch.empty(0)) for name in ("first", "second"))
    _back(Outcome(found["velocity"], change, first, second, found["lsg"]), task, weights)


def _back(outcome: Outcome, task: Lesson, weights: Weights) -> None:
    error, penalty = losses(outcome, task, 0.25)
    torch.autograd.grad(error + penalty, list(weights))


def evaluation(cfg: BenchTrajectory, write: WriteCfg) -> None:
    """Program a chip, show it targets, write and run again: the shipped network."""
    trained = load_trained()
    chip = TraineeChipCfg(write=write)
    protocol = TrajectoryCfg(1, cfg.targets, cfg.seed, chip, shuffled=False, retention=False)
    evaluate(trained.weights, trained.networks, protocol)


def timed(repeats: int, run_once: Callable[[], None], warm: bool = True) -> Times:
    """Return the median times of several runs; before them one that does not count."""
    wall, cpu = [], []
    for number in range(repeats + warm):
        began, spent = time.perf_counter(), time.process_time()
        run_once()
        if number >= warm:
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - spent)
    return Times(statistics.median(wall), statistics.median(cpu))


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people."""
    sizes = (
        f"{metrics['n_trainee']} + {metrics['n_lsg']} neurons, {metrics['steps']} steps, {metrics['threads']} threads"
    )
    rows = {
        f"one iteration of meta-training, {metrics['batch']} targets": "train_iteration",
        "evaluation of 30 targets on hermes_2, read noise at each step": "evaluate_30",
        f"iteration of {metrics['oracle_batch']} targets, step by step": "oracle_iteration",
    }
    lines = [f"{sizes}; load at start {metrics['load_average_at_start']}", f"{'seconds':<64}{'wall':>8}{'CPU':>8}"]
    lines += [f"{name:<64}{metrics[f'{key}_s']:8.2f}{metrics[f'{key}_cpu_s']:8.2f}" for name, key in rows.items()]
    lines.append(
        f"a target takes {metrics['ratio_to_oracle']:.1f} times as long step by step "
        f"({metrics['ratio_to_oracle_cpu']:.1f} by CPU time; "
        f"{metrics['ratio_to_oracle_same_batch']:.1f} in a batch of {metrics['oracle_batch']})"
    )
    return "\n".join(lines)
