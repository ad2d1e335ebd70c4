"""Meta-training of the few-shot classifier in software: tasks in, features and rates out."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .adam import adam_state, adam_tensors
from .augment import jitter
from .checkpoint import check_arrays, check_settings, entries, load, save
from .checks import check_at_least
from .convnet import NETS
from .fewshot import Family, few_shot_accuracy
from .maml import STEPS, InnerCfg, MamlLearner, meta_loss, to_pictures
from .maml_checkpoint import maml_header, maml_tensors, restore_maml
from .quantize import stochastic_round, weight_noise

FOLLOW_RATE = 0.02  # of the running statistics, towards each batch's


@dataclass(frozen=True)
class MamlTrainCfg:
    """Meta-training in software."""

    data: str = "glyphs"
    """glyphs: drawn on the fly; omniglot: downloaded once; or a file of Omniglot's arrays."""
    split: Literal["vinyals", "halves"] = "vinyals"
    """Omniglot's training characters: Vinyals' 1028, or the background half."""
    iterations: int = 15000
    """Steps of Adam; its rate falls to zero over them."""
    ways: int = 20
    """Characters in a task."""
    shots: tuple[int, ...] = (1, 5)
    """Support drawings of each character; with several, every iteration draws one of them."""
    queries: int = 5
    """Query drawings of each character."""
    tasks: int = 2
    """Tasks in an iteration; they share one forward pass."""
    early: float = 0.25
    """Weight of the query loss after each step before the last, whose weight is 1; 0: the published way."""
    own_statistics: float = 0.3
    """Share of the iterations, from the start, in which batch norm uses a meta-batch's own statistics; then it
    normalises as the running ones do, as deployment will. 1: the published way."""
    rate: float = 2e-3
    """Adam's rate at the start."""
    jitter: float = 1.0
    """Strength of the affine jitter of training pictures; 0: none."""
    weight_noise: float = 0.03
    """Standard deviation of errors put on kernels and readouts, as a share of the largest |weight| of an output line,
    drawn anew each iteration and step; 0: the published way."""
    spread: float = 2.5
    """Kernels that are handed on are cut at so many times the root mean square of their output line: no outlier widens
    the range that a chip's errors are a share of. 2.5 cost nothing in software, and of what hermes_2 lost by its
    kernels it halved (5 ways, 1 shot: .5 to .2 points); 0: the published way."""
    quantize: int = 0
    """Bits that weights are stochastically rounded to; 0: float."""
    net: Literal["small", "large"] = "small"
    """small: 56 channels and four steps, on the chip of the reference; large: 256, a readout with bias, five steps."""
    inner: InnerCfg = field(default_factory=InnerCfg)
    """The inner loop."""
    round: int = 100
    """Iterations between two saves, each with a line of the curve."""
    seed: int = 0
    """Seed of everything: network, tasks, jitter, rounding."""
    threads: int = 2
    """Threads of torch; results are equal to the bit for equal numbers only."""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_at_least(1, self, "iterations", "queries", "tasks", "round", "threads")
        if self.ways < 2:
            raise ValueError(f"ways must be at least 2, got {self.ways}")
        if not self.shots or min(self.shots) < 1:
            raise ValueError(f"shots must be one or more numbers of at least 1, got {self.shots}")
        if not 0.0 < self.rate <= 1.0:
            raise ValueError(f"rate must be above 0 and at most 1, got {self.rate}")
        if not 0.0 <= self.own_statistics <= 1.0:
            raise ValueError(f"own_statistics must be 0 to 1, got {self.own_statistics}")
        for name in ("jitter", "weight_noise", "spread", "early"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")
        if self.quantize != 0 and not 2 <= self.quantize <= 16:
            raise ValueError(f"quantize must be 0 (float) or 2 to 16 bits, got {self.quantize}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to {2**32 - 1}, got {self.seed}")


class MamlTrainer:
    """The state of a meta-training run, whole after every round."""

    def __init__(self, cfg: MamlTrainCfg, family: Family, validation: Family, device: torch.device) -> None:
        """Start a run on characters of training, watched on those of validation."""
        self.cfg, self.family, self.validation, self.device = cfg, family, validation, device
        inner = dataclasses.replace(cfg.inner, steps=cfg.inner.steps or STEPS[cfg.net])
        self.learner = MamlLearner(NETS[cfg.net], inner)
        self.learner.net.draw(torch.Generator().manual_seed(cfg.seed))
        self.learner.to(device)
        self.iteration = 0
        self._adam = torch.optim.Adam(self.learner.parameters(), lr=cfg.rate)

    def run_round(self) -> dict[str, float]:
        """Take the steps of one round; return a line of the curve."""
        until = min(self.iteration + self.cfg.round, self.cfg.iterations)
        seen = []
        while self.iteration < until:
            seen.append(self.step())
        loss, right = torch.stack(seen).mean(0).tolist()
        found = self.validate()
        return {"iteration": self.iteration, "loss": loss, "accuracy": right, "validation_accuracy": found}

    def step(self) -> Tensor:
        """Take one step of the outer loop; return the query's loss and accuracy."""
        cfg = self.cfg
        rng = np.random.default_rng([cfg.seed, self.iteration])
        generator = torch.Generator().manual_seed(cfg.seed * 1_000_003 + self.iteration)
        shots = int(rng.choice(cfg.shots))
        episodes = self.family.sample(cfg.tasks, cfg.ways, shots, cfg.queries, rng)
        for group in self._adam.param_groups:
            group["lr"] = cfg.rate * 0.5 * (1 + math.cos(math.pi * self.iteration / cfg.iterations))
        self._adam.zero_grad()
        settled = self.iteration >= cfg.own_statistics * cfg.iterations
        loss, right = outer_loss(self.learner, cfg, episodes.support, episodes.query, generator, settled)
        loss.backward()
        self._adam.step()
        self.iteration += 1
        return torch.stack([loss.detach(), right])

    def validate(self, tasks: int = 20) -> float:
        """Return the accuracy on characters of validation, with running statistics, after the last step."""
        rng = np.random.default_rng([self.cfg.seed, 77])
        episodes = self.validation.sample(tasks, self.cfg.ways, max(self.cfg.shots), self.cfg.queries, rng)
        return float(few_shot_accuracy(self.learner, episodes)[-1].mean())

    def save(self, path: Path) -> None:
        """Write the whole state; a run resumed from it ends as if it had never stopped."""
        tensors = maml_tensors(self.learner) | adam_tensors("adam", self._adam)
        header = maml_header(self.learner, iteration=self.iteration, train=plain_cfg(self.cfg))
        save(path, tensors, header)

    def resume(self, path: Path) -> None:
        """Take up the state that `save` wrote.

        Raises:
            ValueError: The checkpoint is of a run with other settings.
        """
        tensors, header = load(path)
        check_settings(path, header.get("train", {}), plain_cfg(self.cfg))
        learner = check_arrays("the learner", restore_maml(tensors, header).state_dict(), self.learner.state_dict())
        (done,), adam = entries(path, header, "iteration"), adam_state("adam", self._adam, tensors)
        self.learner.load_state_dict(learner)  # from here on nothing can fail
        self.iteration = done
        self._adam.load_state_dict(adam)


def outer_loss(
    learner: MamlLearner,
    cfg: MamlTrainCfg,
    support: np.ndarray,
    query: np.ndarray,
    generator: torch.Generator,
    settled: bool,
) -> tuple[Tensor, Tensor]:
    """Return the query's loss and accuracy after the inner loop; running statistics follow the batch's.

    Args:
        learner: Its running statistics move towards the batch's.
        cfg: Jitter, rounding, errors.
        support: uint8 (tasks, N, K, 28, 28).
        query: uint8 (tasks, N, Q, 28, 28).
        generator: For jitter, rounding and errors.
        settled: Normalise as the running statistics do.
    """

    def stored(weights: Tensor) -> Tensor:
        """Return weights as the memory that meta-training imitates would hold them."""
        if cfg.quantize:
            weights = stochastic_round(weights, cfg.quantize, generator)
        return weight_noise(weights, cfg.weight_noise, generator) if cfg.weight_noise else weights

    episodes = torch.from_numpy(np.concatenate([support, query], axis=2))
    pictures = jitter(to_pictures(episodes), cfg.jitter, generator).to(learner.rates.device)
    pictures = pictures.unflatten(0, episodes.shape[:3])
    toward = learner.net.statistics() if settled else None
    found = meta_loss(learner, pictures, support.shape[2], stored, toward=toward, early=cfg.early)
    learner.net.follow(found.seen, rate=FOLLOW_RATE)
    return found.loss, found.accuracy


def plain_cfg(cfg: MamlTrainCfg) -> dict[str, Any]:
    """Return a configuration as JSON gives it back."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(cfg).items()}
