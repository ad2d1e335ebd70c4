"""Evaluation of the few-shot classifier: held-out characters, K chips, and the same tasks in software."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .baselines.scratch import scratch_accuracy
from .checkpoint import PRETRAINED, load
from .checks import check_at_least
from .drawings import read_tasks
from .fewshot import Family, Norm, few_shot_accuracy, load_published
from .maml import MamlLearner, accuracy, labels
from .maml_checkpoint import restore_maml, settled
from .maml_chip import Chips, MamlChipCfg, adapt_on_chip, deploy_classifier
from .statistics import Array, NestedBootstrap

SHIPPED = PRETRAINED / "characters.safetensors"
TASKS_AT_ONCE = 50
PUBLISHED_CALIBRATION = 256

Tell = Callable[[str], None]


@dataclass(frozen=True)
class FewShotCfg:
    """What is asked of a classifier."""

    ways: int = 5
    """Characters in a task."""
    shots: int = 5
    """Support drawings of each character."""
    queries: int = 5
    """Query drawings of each character."""
    tasks: int = 600
    """Tasks; every chip meets all of them."""
    chips: int = 8
    """Chips, each programmed once."""
    seed: int = 0
    """Seed of tasks and chips."""
    transductive: bool = False
    """Let batch norm use the statistics of the query drawings, as published; else those of training drawings."""
    retention_s: tuple[float, ...] = (86400.0, 30 * 86400.0)
    """Rests after which the queries are asked again, rising, s."""
    scratch_tasks: int = 100
    """Tasks for which the same network is also trained from scratch; 0: none."""
    chip: MamlChipCfg = field(default_factory=MamlChipCfg)
    """How the classifier lies on the chip."""

    def __post_init__(self) -> None:
        """Refuse what cannot run; ways and shots are checked against the characters."""
        check_at_least(1, self, "tasks", "chips")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to {2**32 - 1}, got {self.seed}")
        if self.scratch_tasks < 0:
            raise ValueError(f"scratch_tasks must be 0 or more, got {self.scratch_tasks}")
        if list(self.retention_s) != sorted(set(self.retention_s)) or any(not s > 0 for s in self.retention_s):
            raise ValueError(f"retention_s must be positive and rising, got {self.retention_s}")

    @property
    def norm(self) -> Norm:
        """Statistics of batch norm."""
        return "transductive" if self.transductive else "running"


class Classifier(NamedTuple):
    """A learner with what deployment needs."""

    learner: MamlLearner
    """Features with settled statistics, and rates."""
    start: Tensor | None
    """Readout before any step, (N, n_inputs); None: zero, for any N."""
    pictures: Tensor
    """Calibration, uint8 (n, 28, 28), of training characters."""
    readout_range: float | None
    """What |weight| of adapted readouts mostly stays below, where it is known."""

    def begin(self, ways: int) -> Tensor:
        """Return the readout before any step, (ways, n_inputs).

        Raises:
            ValueError: The start was learned for another number of ways.
        """
        if self.start is None:
            return self.learner.start(1, ways)[0].detach()
        if len(self.start) != ways:
            raise ValueError(f"these weights are for {len(self.start)} ways, got ways {ways}")
        return self.start


def load_classifier(path: Path) -> Classifier:
    """Read a checkpoint of the few-shot learner.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a checkpoint.
    """
    tensors, header = load(path)
    learner = restore_maml(tensors, header).requires_grad_(False)
    if missing := sorted({"calibration.pictures", "calibration.readout_range"} - set(tensors)):
        raise ValueError(f"{path} lacks {missing}: deploy the learner.safetensors of a finished run")
    if spoilt := [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise ValueError(f"{path} holds numbers that are not finite in {spoilt}; choose one of a run that converged")
    return Classifier(learner, None, tensors["calibration.pictures"], float(tensors["calibration.readout_range"]))


def load_released(path: Path, training: Family) -> Classifier:
    """Read the reference's released weights; drawings of training characters, paper bright, take the place of a
    checkpoint's.

    Raises:
        ValueError: The file is damaged or holds other arrays.
        OSError: No such file.
    """
    published = load_published(path)
    drawings = training.images.reshape(-1, *training.images.shape[2:])
    chosen = drawings[np.random.default_rng(78).integers(0, len(drawings), PUBLISHED_CALIBRATION)]
    pictures = torch.from_numpy(chosen)
    published.learner.requires_grad_(False)
    published.learner.net.follow(settled(published.learner, pictures), rate=1.0)
    return Classifier(published.learner, published.start, pictures, None)


def evaluate_characters(classifier: Classifier, family: Family, cfg: FewShotCfg, tell: Tell) -> dict[str, Any]:
    """Return metrics of a classifier on test characters, in software and, unless memory is float, on chips.

    Args:
        classifier: What was meta-trained.
        family: Test characters.
        cfg: What is asked.
        tell: Called with what was done, `steps_of` times.
    """
    start = classifier.begin(cfg.ways)
    episodes = family.sample(cfg.tasks, cfg.ways, cfg.shots, cfg.queries, np.random.default_rng([cfg.seed, 5]))
    n_chips = 1 if cfg.chip.memory == "float" else cfg.chips
    bootstrap = NestedBootstrap(n_chips, cfg.tasks, cfg.seed)
    found = few_shot_accuracy(classifier.learner, episodes, cfg.norm, start).numpy()
    software = {"accuracy": found.mean(1).tolist(), "accuracy_ci95": [bootstrap.interval(each) for each in found]}
    tell("software")
    metrics: dict[str, Any] = {**software, "energy_j": 0.0, "devices_total": 0, "devices_written_per_step": 0}
    if cfg.chip.memory != "float":
        metrics = on_chips(classifier, start, episodes, cfg, bootstrap, tell)
    metrics["software"] = software
    if cfg.scratch_tasks:
        metrics["from_scratch"] = from_scratch(episodes, cfg)
    tell("from scratch")
    return metrics


def steps_of(cfg: FewShotCfg) -> int:
    """Return how often `evaluate_characters` tells."""
    return 2 + (0 if cfg.chip.memory == "float" else 1 + len(_chunks(cfg)))


def from_scratch(episodes: Any, cfg: FewShotCfg) -> dict[str, Any]:
    """Return what the same network learns from the support drawings alone, on the first tasks."""
    n = min(cfg.tasks, cfg.scratch_tasks)
    some = _Drawings(episodes.support[:n], episodes.query[:n])
    support, query = scratch_accuracy(some, torch.Generator().manual_seed(cfg.seed))
    interval = NestedBootstrap(1, n, cfg.seed).interval(query.numpy())
    return {
        "tasks": n,
        "accuracy": float(query.mean()),
        "accuracy_ci95": interval,
        "support_accuracy": float(support.mean()),
    }


class _Drawings(NamedTuple):
    support: np.ndarray
    query: np.ndarray


class _Found(NamedTuple):
    """Of some tasks, chips first."""

    right: Array  # (steps + 1, K, tasks)
    rested: Array  # (rests, K, tasks)
    pulsed: Array  # (steps, K, tasks)
    saturated: Array
    energy: Array  # (K, tasks): of the steps


class _Given(NamedTuple):
    """The readout's inputs for some tasks, (K, tasks, drawings, n_inputs)."""

    known: Tensor
    asked: Tensor
    later: list[Tensor]  # the questions after each rest


def on_chips(
    classifier: Classifier, start: Tensor, episodes: Any, cfg: FewShotCfg, bootstrap: NestedBootstrap, tell: Tell
) -> dict[str, Any]:
    """Return the metrics of K chips, each of which meets all tasks, every one beginning on the chip as deployed."""
    chips = deploy_classifier(
        classifier.learner, start, classifier.pictures, cfg.chip, cfg.chips, cfg.seed, classifier.readout_range
    )
    (known, asked), spent_j = read_tasks(chips.features, (episodes.support, episodes.query), cfg.transductive)
    aged = (chips.features.aged(rest) for rest in cfg.retention_s)
    later = [read_tasks(each, (episodes.query,), cfg.transductive).inputs[0] for each in aged]
    tell("drawings")
    parts = []
    for chunk in _chunks(cfg):
        given = _Given(known[:, chunk], asked[:, chunk], [each[:, chunk] for each in later])
        parts.append(_some_tasks(classifier.learner, chips, given, cfg))
        tell(f"{chunk.stop} tasks")
    found = _Found(*(np.concatenate(each, -1) for each in zip(*parts, strict=True)))
    energy = float(spent_j.mean()) * cfg.ways * cfg.shots, float(found.energy.mean())
    metrics: dict[str, Any] = {
        "accuracy": found.right.mean((1, 2)).tolist(),
        "accuracy_ci95": [bootstrap.interval(each) for each in found.right],
        "accuracy_of_chips": found.right[-1].mean(1).tolist(),
        "devices_total": chips.devices,
        "devices_written_per_step": chips.devices_rewritten,
        "devices_pulsed_per_step": found.pulsed.mean((1, 2)).tolist(),
        "cells_saturated_per_step": found.saturated.mean((1, 2)).tolist(),
        "energy_j": sum(energy),
        "energy_of_support_features_j": energy[0],
        "energy_of_steps_j": energy[1],
    }
    metrics["retention"] = [
        {"age_s": rest, "accuracy": float(each.mean()), "accuracy_ci95": bootstrap.interval(each)}
        for rest, each in zip(cfg.retention_s, found.rested, strict=True)
    ]
    return metrics


def _some_tasks(learner: MamlLearner, chips: Chips, given: _Given, cfg: FewShotCfg) -> _Found:
    """Adapt to tasks and ask: a copy of the readout for each."""
    split = given.known.shape[:2]
    readout = chips.readout.copies(split[1])
    known, asked = given.known.flatten(0, 1), given.asked.flatten(0, 1)
    lessons = adapt_on_chip(readout, known, asked, learner.rates, chips.cfg)
    label = labels(cfg.ways, cfg.queries)
    rested, now = [], 0.0
    for rest, inputs in zip(cfg.retention_s, given.later, strict=True):
        readout.advance(rest - now)
        now = rest
        rested.append(accuracy(readout(inputs.flatten(0, 1)), label))
    right = accuracy(lessons.logits, label)
    rest_right = torch.stack(rested) if rested else right[:0]
    parts = (right, rest_right, lessons.pulsed, lessons.saturated, torch.from_numpy(lessons.bill.energy_nominal_j))
    return _Found(*(each.unflatten(-1, split).numpy() for each in parts))


def _chunks(cfg: FewShotCfg) -> list[slice]:
    """Return which tasks are adapted to together."""
    return [slice(at, min(at + TASKS_AT_ONCE, cfg.tasks)) for at in range(0, cfg.tasks, TASKS_AT_ONCE)]
