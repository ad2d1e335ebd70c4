"""Meta-train the spiking arm: `python -m launch.train trajectory`."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from agents.checkpoint import clear_unfinished, digest, write_whole
from agents.eprop_train import EpropTrainCfg, EpropTrainer, export
from launch import cli, curve
from launch.training import Kept, found_checkpoint


@dataclass(frozen=True)
class TrainTrajectory:
    """Meta-train the spiking arm to learn a trajectory from one look at it; saves as it goes."""

    train: tyro.conf.OmitArgPrefixes[EpropTrainCfg] = field(default_factory=EpropTrainCfg)
    """The run."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    save_every: int = 25
    """Iterations between two saves."""
    minutes: float = 0.0
    """Stop after so many, 0: only after all iterations."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if self.save_every < 1:
            raise ValueError(f"save_every must be at least 1, got {self.save_every}")
        if self.minutes < 0.0:
            raise ValueError(f"minutes must be 0 or more, got {self.minutes}")


def run(cfg: TrainTrajectory) -> Path:
    """Train to the end; return the run's folder."""
    with cli.wrong_input():
        folder = cfg.kept.folder("train-trajectory")
        trainer = start(cfg, folder)
        lines = kept_lines(folder / "learning_curve.csv", trainer.iteration)
    clear_unfinished(folder)
    cli.write_json(folder / "config.json", trainer.header())
    bar = cli.progress(cfg.train.iterations, "meta-training")
    bar.update(trainer.iteration)
    before, began = trainer.hours, time.monotonic()
    while trainer.iteration < cfg.train.iterations:
        lines.append(trainer.run_iteration())
        spent_s = time.monotonic() - began
        trainer.hours = before + spent_s / 3600.0
        bar.set_postfix_str(f"tip {lines[-1]['tip_rmse_cm']:.1f} cm")
        bar.update()
        late = 0.0 < cfg.minutes * 60.0 <= spent_s
        if trainer.iteration % cfg.save_every == 0 or late or trainer.iteration == cfg.train.iterations:
            write_curve(folder / "learning_curve.csv", lines)
            trainer.save(folder / "checkpoint.safetensors")
        if late:
            break
    bar.close()
    if lines:
        steps, errors = [line["iteration"] for line in lines], [line["tip_rmse_cm"] for line in lines]
        curve.learning_curve(
            folder / "learning_curve.png", steps, errors, "Tip RMSE of fresh targets after one write, cm"
        )
    export(folder / "learner.safetensors", trainer)
    print(f"learner {digest(trainer.mean._asdict())}")
    print(folder)
    return folder


def start(cfg: TrainTrajectory, folder: Path) -> EpropTrainer:
    """Return a new trainer, or the one that the folder's checkpoint holds."""
    torch.set_num_threads(cfg.train.threads)
    trainer = EpropTrainer(cfg.train, cli.pick_device(cfg.device))
    checkpoint = found_checkpoint(folder)
    if checkpoint is not None:
        trainer.resume(checkpoint)
    return trainer


def kept_lines(log: Path, done: int) -> list[dict[str, Any]]:
    """Return the learning curve up to the iteration that the checkpoint holds."""
    if not log.exists():
        return []
    rows = csv.DictReader(io.StringIO(log.read_text()))
    lines = [{name: json.loads(value) for name, value in row.items()} for row in rows]
    return [line for line in lines if line["iteration"] <= done]


def write_curve(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write the learning curve, whole or not at all."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(lines[0]))
    table.writeheader()
    table.writerows(lines)
    write_whole(path, text.getvalue().encode())
