"""Time a meta-training iteration of the few-shot classifier against the same one with weights of each task's own.

python -m launch.bench characters
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.convnet import NETS
from agents.maml import MamlLearner, meta_loss, to_pictures
from agents.maml_plain import plain_meta_gradient
from envs.characters import Characters
from envs.glyphs import draw_glyphs
from launch import cli

WANTED = 0.2
CHARACTERS, DRAWINGS = 64, 20


@dataclass(frozen=True)
class BenchCharacters:
    """One iteration of the outer loop, forward, backward and Adam: in one pass for all tasks, and by torch.func."""

    tasks: int = 32
    """Tasks in an iteration."""
    ways: int = 5
    """Characters in a task."""
    shots: int = 5
    """Support drawings of each character."""
    queries: int = 5
    """Query drawings of each character."""
    rounds: int = 3
    """Iterations that are timed of each, in turns, after one that is not."""
    threads: int = 1
    """Threads of torch."""
    seed: int = 0
    """Seed of network and tasks."""
    out: Path | None = None
    """Folder for metrics.json; default: a new one under runs/."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        for name in ("tasks", "shots", "queries", "rounds", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, not {getattr(self, name)}")


def run(cfg: BenchCharacters) -> Path:
    """Measure, print the table, write the folder; return it."""
    with cli.wrong_input():
        folder, pictures = cli.run_folder(cfg.out, "bench-characters"), draw(cfg)
    load = os.getloadavg()[0]
    torch.set_num_threads(cfg.threads)
    metrics = measure(cfg, pictures) | {"load_average_at_start": round(load, 2)}
    cli.write_json(folder / "metrics.json", metrics)
    print(table(metrics))
    print(folder)
    return folder


def draw(cfg: BenchCharacters) -> Tensor:
    """Return the drawings of a meta-batch, (tasks, N, K + Q, 1, 28, 28)."""
    rng = np.random.default_rng(cfg.seed)
    family = Characters(draw_glyphs(CHARACTERS, DRAWINGS, rng), "drawn glyphs")
    episodes = family.sample(cfg.tasks, cfg.ways, cfg.shots, cfg.queries, rng)
    drawings = torch.from_numpy(np.concatenate([episodes.support, episodes.query], axis=2))
    return to_pictures(drawings).unflatten(0, drawings.shape[:3])


def measure(cfg: BenchCharacters, pictures: Tensor) -> dict[str, Any]:
    """Return metrics.json, but for the load; the two take turns, so that both meet the same machine."""
    learners = {name: MamlLearner(NETS["small"]) for name in ("shared", "plain")}
    for learner in learners.values():
        learner.net.draw(torch.Generator().manual_seed(cfg.seed))
    steps = {
        "shared": shared_iteration(learners["shared"], pictures, cfg.shots),
        "plain": plain_iteration(learners["plain"], pictures, cfg.shots),
    }
    wall: dict[str, list[float]] = {name: [] for name in steps}
    busy: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(cfg.rounds + 1):
        for name, step in steps.items():
            seconds = timed(step)
            if number:
                wall[name].append(seconds[0])
                busy[name].append(seconds[1])
    ratios = [a / b for a, b in zip(busy["shared"], busy["plain"], strict=True)]
    return {
        "scenario": "characters",
        "command": cli.command_line(),
        "config": {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(cfg).items()},
        "iteration_s": {name: statistics.median(each) for name, each in wall.items()},
        "iteration_cpu_s": {name: statistics.median(each) for name, each in busy.items()},
        "ratio": statistics.median(ratios),
        "ratio_wall": statistics.median(a / b for a, b in zip(wall["shared"], wall["plain"], strict=True)),
        "wanted_at_most": WANTED,
        "torch": torch.__version__,
    }


def shared_iteration(learner: MamlLearner, pictures: Tensor, shots: int) -> Callable[[], None]:
    """Return an iteration in which all drawings of all tasks go through the features together."""
    adam = torch.optim.Adam(learner.parameters(), lr=1e-3)

    def iterate() -> None:
        adam.zero_grad()
        meta_loss(learner, pictures, shots).loss.backward()
        adam.step()

    return iterate


def plain_iteration(learner: MamlLearner, pictures: Tensor, shots: int) -> Callable[[], None]:
    """Return an iteration in which every task has its own copy of all weights."""
    adam = torch.optim.Adam(learner.parameters(), lr=1e-3)

    def iterate() -> None:
        by_kernels, by_rates = plain_meta_gradient(learner, pictures, shots)
        for kernel, gradient in zip(learner.net.kernel, by_kernels, strict=True):
            kernel.grad = gradient
        learner.rates.grad = by_rates
        adam.step()

    return iterate


def timed(step: Callable[[], None]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of a call."""
    wall, busy = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - busy


def table(metrics: dict[str, Any]) -> str:
    """Return the table for people."""
    cfg = metrics["config"]
    size = f"{cfg['tasks']} tasks, {cfg['ways']} ways, {cfg['shots']} shots, {cfg['queries']} queries"
    lines = [
        f"a meta-training iteration of {size}; {cfg['threads']} thread(s), load {metrics['load_average_at_start']}",
        f"{'':<52}{'seconds':>10}{'CPU s':>10}",
    ]
    names = {
        "shared": "one pass for all tasks, closed-form inner steps",
        "plain": "torch.func, every task its own weights",
    }
    for name, text in names.items():
        lines.append(f"{text:<52}{metrics['iteration_s'][name]:10.3f}{metrics['iteration_cpu_s'][name]:10.3f}")
    ratios = f"{metrics['ratio_wall']:10.3f}{metrics['ratio']:10.3f}"
    lines.append(f"{'ratio':<52}{ratios}   at most {metrics['wanted_at_most']:g} wanted")
    return "\n".join(lines)
