"""A few-shot learner at work in software: features, inner loop, answers; and the weights that were published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from .convnet import ConvNetCfg, Statistics, features, settled_statistics
from .drawings import distinct_drawings
from .maml import InnerCfg, MamlLearner, Stored, accuracy, adapt, labels, logits_after, to_pictures

Norm = Literal["running", "support", "transductive"]
TASKS_AT_ONCE = 16  # more leaves the caches
PICTURES_AT_ONCE = 256


class Family(Protocol):
    """What meta-training asks of a family of characters."""

    @property
    def name(self) -> str:
        """What they are called."""
        ...

    @property
    def images(self) -> np.ndarray:
        """(characters, drawings, H, W), uint8."""
        ...

    def sample(self, n_tasks: int, ways: int, shots: int, queries: int, rng: np.random.Generator) -> Any:
        """Return episodes with `support` (tasks, N, K, H, W) and `query` (tasks, N, Q, H, W), uint8."""
        ...


class Task(NamedTuple):
    """The readout's inputs for tasks whose drawings went through the features."""

    known: Tensor
    """(tasks, N x K, n_inputs), support drawings, character by character."""
    asked: Tensor
    """(tasks, N x Q, n_inputs), query drawings, character by character."""


def task_statistics(learner: MamlLearner, support: Tensor, query: Tensor, norm: Norm) -> tuple[Statistics, Statistics]:
    """Return what batch norm uses for the support drawings of tasks, and for their query drawings.

    Args:
        learner: Features.
        support: (tasks, N, K, H, W), uint8.
        query: (tasks, N, Q, H, W), uint8.
        norm: `running`, the training pictures' statistics; `support`, those of a task's support drawings;
            `transductive`, as published, the support's for the support and those of a task's own queries for these.

    Raises:
        ValueError: No such norm.
    """
    if norm not in get_args(Norm):
        raise ValueError(f"unknown norm {norm!r}; choose from {sorted(get_args(Norm))}")
    net, tasks = learner.net, support.shape[0]
    if norm == "running":
        return net.statistics(), net.statistics()
    known = settled_statistics(to_pictures(support), list(net.kernel), net.cfg, groups=tasks)
    if norm == "support":
        return known, known
    return known, settled_statistics(to_pictures(query), list(net.kernel), net.cfg, groups=tasks)


@torch.no_grad()
def task_inputs(learner: MamlLearner, support: Tensor, query: Tensor, norm: Norm = "running") -> Task:
    """Return the readout's inputs for tasks, arguments as in `task_statistics`."""
    kernels, cfg, tasks = list(learner.net.kernel), learner.net.cfg, support.shape[0]
    used = task_statistics(learner, support, query, norm)
    known, asked = (
        features(to_pictures(part), kernels, cfg, given)[0].unflatten(0, (tasks, -1))
        for part, given in zip((support, query), used, strict=True)
    )
    return Task(known, asked)


@torch.no_grad()
def few_shot_accuracy(
    learner: MamlLearner,
    episodes: Any,
    norm: Norm = "running",
    start: Tensor | None = None,
    stored: Stored | None = None,
) -> Tensor:
    """Return the accuracy on the queries before any step and after each, (steps + 1, tasks).

    Args:
        learner: Features and rates.
        episodes: `support` (tasks, N, K, 28, 28) and `query` (tasks, N, Q, 28, 28), uint8 arrays.
        norm: As in `task_statistics`.
        start: Readout before any step (N, n_inputs); None: zero.
        stored: Stands in for what the memory does to readouts that are written to it.
    """
    device = learner.rates.device
    parts = (episodes.support, episodes.query)
    ways = episodes.support.shape[1]
    known_label, asked_label = (labels(ways, part.shape[2], device) for part in parts)
    found = []
    for task in _shared(learner, parts) if norm == "running" else _one_by_one(learner, parts, norm):
        n = len(task.known)
        first = learner.start(n, ways) if start is None else start.expand(n, -1, -1)
        readouts = adapt(first, task.known, known_label, learner.rates, stored)
        found.append(accuracy(logits_after(readouts, task.asked), asked_label))
    return torch.cat(found, dim=1)


def _one_by_one(learner: MamlLearner, parts: tuple[np.ndarray, np.ndarray], norm: Norm) -> Iterator[Task]:
    """Give the readout's inputs for a few tasks at a time, with statistics of their own."""
    support, query = (torch.from_numpy(part).to(learner.rates.device).split(TASKS_AT_ONCE) for part in parts)
    for s, q in zip(support, query, strict=True):
        yield task_inputs(learner, s, q, norm)


def _shared(learner: MamlLearner, parts: tuple[np.ndarray, np.ndarray]) -> Iterator[Task]:
    """Give the readout's inputs for a few tasks at a time; a drawing that several show is looked at once."""
    pictures, where = distinct_drawings(parts)
    kernels, cfg, given = list(learner.net.kernel), learner.net.cfg, learner.net.statistics()
    batches = to_pictures(pictures).to(learner.rates.device).split(PICTURES_AT_ONCE)
    once = torch.cat([features(some, kernels, cfg, given)[0] for some in batches])
    for known, asked in zip(*(index.to(once.device).split(TASKS_AT_ONCE) for index in where), strict=True):
        yield Task(once[known], once[asked])


class Published(NamedTuple):
    """The reference's released classifier."""

    learner: MamlLearner
    """Features and constant rates; it needs transductive norm, bright paper."""
    start: Tensor
    """Readout before any step, (5, 56): the release learned one."""


def load_published(path: Path) -> Published:
    """Return the classifier from a file of arrays `kernel1` to `kernel4` (H, W, in, out) and `readout` (in, out).

    Raises:
        ValueError: The file is damaged or holds other arrays.
        OSError: No such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            kernels = [torch.from_numpy(file[f"kernel{k}"]).permute(3, 2, 0, 1) for k in range(1, 5)]
            start = torch.from_numpy(file["readout"]).T
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        raise ValueError(f"{path} is damaged or holds no published weights ({' '.join(str(error).split())})") from error
    cfg = ConvNetCfg(channels=kernels[0].shape[0], image_channels=kernels[0].shape[1])
    learner = MamlLearner(cfg, InnerCfg(learned_rate=False))
    expected = [tuple(kernel.shape) for kernel in learner.net.kernel]
    got = [tuple(kernel.shape) for kernel in kernels]
    if got != expected or start.shape[1] != cfg.channels:
        raise ValueError(f"{path}: kernels are {got} and the readout {tuple(start.shape)}, expected {expected}")
    for own, kernel in zip(learner.net.kernel, kernels, strict=True):
        own.data.copy_(kernel)
    return Published(learner, start.float().contiguous())
