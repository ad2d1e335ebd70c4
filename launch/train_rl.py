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


@dataclass(frozen=True)
class TrainPpo:
    """Train domain-randomised PPO (Stable-Baselines3) on arms with varied dynamics; saves after every leg."""

    train: tyro.conf.OmitArgPrefixes[PpoCfg] = field(default_factory=PpoCfg)
    """The run."""
    out: Path | None = None
    """Folder for checkpoint.safetensors (to resume), learner.safetensors (to deploy) and metrics.jsonl; default: a new
    one under runs/."""
    resume: bool = False
    """Go on from the checkpoint in --out, with the same settings; --env-steps may be more (where the rate is constant)
    than it was."""
    threads: int = 1
    """Threads of torch; results are equal to the bit for equal numbers only."""


@dataclass(frozen=True)
class TrainRl2:
    """Train RL2 (sb3-contrib's RecurrentPPO over trials) on arms with varied dynamics; saves after every leg."""

    train: tyro.conf.OmitArgPrefixes[Rl2Cfg] = field(default_factory=Rl2Cfg)
    """The run."""
    out: Path | None = None
    """Folder for checkpoint.safetensors (to resume), learner.safetensors (to deploy) and metrics.jsonl; default: a new
    one under runs/."""
    resume: bool = False
    """Go on from the checkpoint in --out, with the same settings; --env-steps may be more (where the rate is constant)
    than it was."""
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
        folder = cli.run_folder(cfg.out, f"train-{type(cfg).__name__[5:].lower()}")
        trainer = start(cfg, kind(), folder)
        log, began = folder / "metrics.jsonl", time.process_time()
        lines = kept_lines(log, trainer.leg)
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
    checkpoint = folder / "checkpoint.safetensors"
    if cfg.resume and cfg.out is None:
        raise ValueError("--resume needs --out, the folder of the run to go on with")
    if checkpoint.exists() and not cfg.resume:
        raise ValueError(f"{folder} holds a run; add --resume to go on with it, or name another --out")
    train: RlCfg = cfg.train
    return resume(kind, train, checkpoint) if checkpoint.exists() else RlTrainer(kind, train)


def kept_lines(log: Path, done: int) -> list[str]:
    """Return the log's lines up to the leg that the checkpoint holds."""
    if not log.exists():
        return []
    return [line for line in log.read_text().splitlines() if json.loads(line)["leg"] <= done]
