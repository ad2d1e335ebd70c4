"""Train the reinforcement-learning baselines: `python -m launch.train dynamics --learner {ppo,rl2}`."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro

from agents.baselines.ppo import Ppo
from agents.baselines.rl_cfg import PpoCfg, Rl2Cfg, RlCfg
from agents.baselines.rl_train import Kind, RlTrainer, resume
from agents.checkpoint import clear_unfinished, digest, load, write_whole
from launch import cli
from launch.training import Kept, found_checkpoint, kept_lines


@dataclass(frozen=True)
class TrainPpo:
    """Train domain-randomised PPO (Stable-Baselines3) on arms with varied dynamics; saves after every leg."""

    train: tyro.conf.OmitArgPrefixes[PpoCfg] = field(default_factory=PpoCfg)
    """The run."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    threads: int = 1
    """Threads of torch; results are equal to the bit for equal numbers only."""


@dataclass(frozen=True)
class TrainRl2:
    """Train RL2 (sb3-contrib's RecurrentPPO over trials) on arms with varied dynamics; saves after every leg."""

    train: tyro.conf.OmitArgPrefixes[Rl2Cfg] = field(default_factory=Rl2Cfg)
    """The run."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    threads: int = 1
    """Threads of torch; results are equal to the bit for equal numbers only."""


def run_ppo(cfg: TrainPpo) -> Path:
    """Train PPO to the end; return the run's folder."""
    return run(cfg, Ppo)


def run_rl2(cfg: TrainRl2) -> Path:
    """Train RL2 to the end; return the run's folder."""
    return run(cfg, rl2)


def rl2() -> Kind:
    """Return RL2.

    Raises:
        ValueError: sb3-contrib is not there.
    """
    try:
        return importlib.import_module("agents.baselines.rl2").Rl2()
    except ImportError as error:
        raise ValueError("--learner rl2 needs sb3-contrib: pip install 'phasearm[rl2]'") from error


def run(cfg: TrainPpo | TrainRl2, kind: Callable[[], Kind]) -> Path:
    """Train to the end; return the run's folder."""
    with cli.wrong_input():
        folder = cfg.kept.folder(f"train-{type(cfg).__name__[5:].lower()}")
        trainer = start(cfg, kind(), folder)
        log, began = folder / "metrics.jsonl", time.process_time()
        lines = kept_lines(log, "leg", trainer.leg)
    clear_unfinished(folder)
    bar = cli.progress(cfg.train.env_steps, "training")
    bar.update(trainer.env_steps)
    while not trainer.done:
        before = trainer.env_steps
        line: dict[str, Any] = trainer.run_leg() | {"cpu_s": round(time.process_time() - began, 2)}
        lines.append(json.dumps(line))
        write_whole(log, ("\n".join(lines) + "\n").encode())  # first: a line too many is dropped by the next start
        trainer.save(folder / "checkpoint.safetensors")
        bar.set_postfix_str(f"return {line['return']:.2f}")
        bar.update(trainer.env_steps - before)
    bar.close()
    trainer.export(folder / "learner.safetensors")
    print(f"learner {digest(load(folder / 'learner.safetensors')[0])}")
    print(folder)
    return folder


def start(cfg: TrainPpo | TrainRl2, kind: Kind, folder: Path) -> RlTrainer:
    """Return a new trainer, or the one that the folder's checkpoint holds."""
    torch.set_num_threads(cfg.threads)
    train: RlCfg = cfg.train
    checkpoint = found_checkpoint(folder)
    return RlTrainer(kind, train) if checkpoint is None else resume(kind, train, checkpoint)
