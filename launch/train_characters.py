"""Meta-train the few-shot classifier of drawn characters in software.

python -m launch.train characters --data omniglot --out runs/characters
"""

from __future__ import annotations

import csv
import dataclasses
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import tyro

from agents.checkpoint import clear_unfinished, digest, write_whole
from agents.maml_checkpoint import export, maml_tensors
from agents.maml_train import MamlTrainCfg, MamlTrainer, plain_cfg
from envs.characters import load_characters
from launch import cli
from launch.curve import learning_curve
from launch.training import Kept, found_checkpoint

COLUMNS: list[str] = ["iteration", "loss", "accuracy", "validation_accuracy"]


@dataclass(frozen=True)
class TrainCharacters:
    """Meta-train the few-shot classifier on tasks of drawn characters; saves after every round of iterations."""

    train: tyro.conf.OmitArgPrefixes[MamlTrainCfg] = field(default_factory=MamlTrainCfg)
    """The run."""
    kept: tyro.conf.OmitArgPrefixes[Kept] = field(default_factory=Kept)
    """Its folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Torch's device; auto takes a GPU where there is one."""


def run(cfg: TrainCharacters) -> Path:
    """Train to the end; return the run's folder."""
    with cli.wrong_input():
        folder = cfg.kept.folder("train-characters")
        trainer = start(cfg, folder)
        curve = kept_curve(folder / "curve.csv", trainer.iteration)
    clear_unfinished(folder)
    cli.write_json(folder / "config.json", dataclasses.asdict(cfg.train) | {"command": cli.command_line()})
    bar = cli.progress(cfg.train.iterations, "meta-training")
    bar.update(trainer.iteration)
    while trainer.iteration < cfg.train.iterations:
        before = trainer.iteration
        curve.append(trainer.run_round())
        write_curve(folder / "curve.csv", curve)  # first: a line too many is dropped by the next start
        trainer.save(folder / "checkpoint.safetensors")
        bar.set_postfix_str(f"validation {curve[-1]['validation_accuracy']:.3f}")
        bar.update(trainer.iteration - before)
    bar.close()
    trained = plain_cfg(cfg.train) | {"data": trainer.family.name}  # no paths in what is handed on
    export(folder / "learner.safetensors", trainer.learner, trainer.family, trained)
    wrong = [1 - line["validation_accuracy"] for line in curve]
    name = f"Wrong answers on validation characters, {cfg.train.ways} ways"
    learning_curve(folder / "curve.png", [int(line["iteration"]) for line in curve], wrong, name)
    print(f"learner {digest(maml_tensors(trainer.learner))}")
    print(folder)
    return folder


def start(cfg: TrainCharacters, folder: Path) -> MamlTrainer:
    """Return a new trainer, or the one that the folder's checkpoint holds."""
    device = cli.pick_device(cfg.device)
    torch.set_num_threads(cfg.train.threads)
    family = load_characters(cfg.train.data, "train", cfg.train.split).rotated()
    watched = load_characters(
        cfg.train.data, "validation" if cfg.train.split == "vinyals" else "train", cfg.train.split
    )
    for shots in cfg.train.shots:
        family.check(cfg.train.ways, shots, cfg.train.queries)
        watched.check(cfg.train.ways, shots, cfg.train.queries)
    trainer = MamlTrainer(cfg.train, family, watched, device)
    checkpoint = found_checkpoint(folder)
    if checkpoint is not None:
        trainer.resume(checkpoint)
    return trainer


def kept_curve(path: Path, done: int) -> list[dict[str, float]]:
    """Return the curve's lines up to the iteration that the checkpoint holds."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        lines = [{name: float(value) for name, value in line.items()} for line in csv.DictReader(file)]
    return [line for line in lines if line["iteration"] <= done]


def write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    """Write the curve as a table, whole or not at all."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({**line, "iteration": int(line["iteration"])} for line in curve)
    write_whole(path, text.getvalue().encode())
