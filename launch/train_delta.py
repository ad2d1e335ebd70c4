"""Meta-train the delta learner: `python -m launch.train dynamics`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import tyro

from agents.checkpoint import clear_unfinished, digest, learner_tensors, write_whole
from agents.episodes import make_arms
from agents.meta_train import MetaTrainCfg, MetaTrainer, export
from agents.methods import DELTA, Method
from launch import cli
from launch.training import Kept, found_checkpoint, kept_lines

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # tensorboard is an extra
    SummaryWriter = None


@dataclass(frozen=True)
class TrainDynamics:
    """Meta-train the delta learner on arms with varied dynamics; saves after every round."""

    train: tyro.conf.OmitArgPrefixes[MetaTrainCfg] = field(default_factory=MetaTrainCfg)
    """The run."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device: the learner is small and the arms are on the CPU, so auto is the CPU."""


def run(cfg: TrainDynamics) -> Path:
    """Train to the end; return the run's folder."""
    return meta_train(cfg, DELTA)


class Run(Protocol):
    """The command line of a run."""

    @property
    def train(self) -> MetaTrainCfg:
        """The run."""
        ...

    @property
    def kept(self) -> Kept:
        """Its folder."""
        ...

    @property
    def device(self) -> str:
        """Torch's device."""
        ...


def meta_train(cfg: Run, method: Method) -> Path:
    """Train a learner to the end; return the run's folder."""
    with cli.wrong_input():
        folder = cfg.kept.folder("train-dynamics")
        trainer = start(cfg, folder, method)
        log, began = folder / "metrics.jsonl", time.monotonic()
        lines = kept_lines(log, "round", trainer.round)
    clear_unfinished(folder)
    board = SummaryWriter(str(folder)) if SummaryWriter is not None else None
    bar = cli.progress(cfg.train.rounds, "meta-training")
    bar.update(trainer.round)
    while trainer.round < cfg.train.rounds:
        line: dict[str, Any] = trainer.run_round() | {"wall_s": round(time.monotonic() - began, 2)}
        lines.append(json.dumps(line))
        write_whole(log, ("\n".join(lines) + "\n").encode())  # first: a line too many is dropped by the next start
        trainer.save(folder / "checkpoint.safetensors")
        show(board, line)
        bar.set_postfix_str(f"before {line['rmse_rad'][0]:.3f} after {line['rmse_rad'][-1]:.3f} rad")
        bar.update()
    bar.close()
    trainer.finish()
    export(folder / "learner.safetensors", trainer)
    print(f"learner {digest(learner_tensors(trainer.learner))}")
    print(folder)
    return folder


def start(cfg: Run, folder: Path, method: Method) -> MetaTrainer:
    """Return a new trainer, or the one that the folder's checkpoint holds."""
    cli.pick_device(cfg.device)
    torch.set_num_threads(cfg.train.threads)
    env = make_arms(cfg.train.env, cfg.train.bodies, nthread=cfg.train.threads)
    tasks = lambda n, seed: env.unwrapped.sample_tasks(n, split="train", seed=seed)  # noqa: E731
    trainer = MetaTrainer(cfg.train, env, tasks, method)
    checkpoint = found_checkpoint(folder)
    if checkpoint is not None:
        trainer.resume(checkpoint)
    return trainer


def show(board: Any, line: dict[str, Any]) -> None:
    """Add a round to TensorBoard's events, where TensorBoard is installed."""
    if board is None:
        return
    for key in ("rmse_rad", "predicted_rmse_rad"):
        for lessons, value in enumerate(line[key]):
            board.add_scalar(f"{key}/after_{lessons}_lessons", value, line["round"])
