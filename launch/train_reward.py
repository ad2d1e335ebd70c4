"""Meta-train the reward learner: `python -m launch.train dynamics --learner reward`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from agents.checkpoint import clear_unfinished, digest, write_whole
from agents.episodes import make_arms
from agents.reward_train import RewardTrainCfg, RewardTrainer
from launch import cli
from launch.training import Kept, found_checkpoint, kept_lines


@dataclass(frozen=True)
class TrainReward:
    """Meta-train plasticity from reward alone on arms with varied dynamics and wiring."""

    train: tyro.conf.OmitArgPrefixes[RewardTrainCfg] = field(default_factory=RewardTrainCfg)
    """The run."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    save_every: int = 10
    """Rounds from one saved state to the next."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device: the learner is small and the arms are on the CPU, so auto is the CPU."""

    def __post_init__(self) -> None:
        """Refuse never to save."""
        if self.save_every < 1:
            raise ValueError(f"--save-every must be at least 1, got {self.save_every}")


def run(cfg: TrainReward) -> Path:
    """Train to the end; return the run's folder."""
    with cli.wrong_input():
        folder = cfg.kept.folder("train-reward")
        trainer = start(cfg, folder)
        log, began = folder / "metrics.jsonl", time.monotonic()
        lines = kept_lines(log, "round", trainer.round)
    clear_unfinished(folder)
    rounds, bar = cfg.train.rounds, cli.progress(cfg.train.rounds, "meta-training")
    bar.update(trainer.round)
    while trainer.round < rounds:
        line: dict[str, Any] = trainer.run_round() | {"wall_s": round(time.monotonic() - began, 2)}
        lines.append(json.dumps(line))
        if trainer.round % cfg.save_every == 0 or trainer.round == rounds:
            write_whole(log, ("\n".join(lines) + "\n").encode())  # first: a line too many is dropped by the next start
            trainer.save(folder / "checkpoint.safetensors")
        bar.set_postfix_str(f"before {line['error'][0]:.3f} after {line['error'][-1]:.3f} m")
        bar.update()
    bar.close()
    trainer.export(folder / "learner.safetensors")
    print(f"learner {digest(trainer.learner.state_dict())}")
    print(folder)
    return folder


def start(cfg: TrainReward, folder: Path) -> RewardTrainer:
    """Return a new trainer, or the one that the folder's checkpoint holds."""
    cli.pick_device(cfg.device)
    torch.set_num_threads(cfg.train.threads)
    if not cfg.train.env.endswith("Reach-v0"):
        raise ValueError(f"--env {cfg.train.env}: the reward learner reaches; choose one that ends in Reach-v0")
    env = make_arms(cfg.train.env, cfg.train.trials, nthread=cfg.train.threads)
    trainer = RewardTrainer(cfg.train, env, lambda n, seed: env.unwrapped.sample_tasks(n, split="train", seed=seed))
    checkpoint = found_checkpoint(folder)
    if checkpoint is not None:
        trainer.resume(checkpoint)
    return trainer
