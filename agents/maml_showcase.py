"""One task on one chip, to be looked at: what was shown, what was answered after each step, what the devices hold."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pcm_backend import Crossbar

from .fewshot import Family
from .maml import accuracy, labels, to_pictures
from .maml_chip import adapt_on_chip, deploy_classifier
from .maml_evaluate import Classifier, FewShotCfg

CANDIDATES = 24


@dataclass(frozen=True)
class Showcase:
    """A task; N characters, K drawings to learn from, Q to ask, S steps."""

    task: int
    """Its number among the candidates."""
    support: np.ndarray
    """uint8 (N, K, 28, 28)."""
    query: np.ndarray
    """uint8 (N, Q, 28, 28)."""
    answers: np.ndarray
    """Number of the character answered, (S + 1, N, Q)."""
    accuracy: np.ndarray
    """Share of right answers, (S + 1,)."""
    before_us: np.ndarray
    """Conductance of each weight's pair, positive minus negative, before any step, uS, (N, n_inputs)."""
    after_us: np.ndarray
    """The same after the last step."""
    target: np.ndarray
    """Weights that the last step asked for, (N, n_inputs)."""
    programmed: np.ndarray
    """Weights as they stand after it."""
    pulsed: np.ndarray
    """Devices that received a pulse, (S,)."""


@torch.no_grad()
def show_task(classifier: Classifier, family: Family, cfg: FewShotCfg, task: int | None = None) -> Showcase:
    """Adapt one chip to tasks; return one of them.

    Args:
        classifier: What was meta-trained.
        family: Test characters.
        cfg: What is asked; of one chip.
        task: Number of the task; None: the hardest, by wrong answers summed over all steps.

    Raises:
        ValueError: No such task.
    """
    if task is not None and not 0 <= task < CANDIDATES:
        raise ValueError(f"task must be 0 to {CANDIDATES - 1}, got {task}")
    cfg = replace(cfg, chips=1, tasks=CANDIDATES)
    start = classifier.begin(cfg.ways)
    episodes = family.sample(CANDIDATES, cfg.ways, cfg.shots, cfg.queries, np.random.default_rng([cfg.seed, 6]))
    chips = deploy_classifier(
        classifier.learner, start, classifier.pictures, cfg.chip, 1, cfg.seed, classifier.readout_range
    )
    given = None if cfg.transductive else chips.features.settled
    known, asked = (
        chips.features.read(to_pictures(torch.from_numpy(part)).unflatten(0, (CANDIDATES, -1)), given)[0][0]
        for part in (episodes.support, episodes.query)
    )
    readout = chips.readout.copies(CANDIDATES)
    before = _pair_us(readout.conductances_us())
    lessons = adapt_on_chip(readout, known, asked, classifier.learner.rates, chips.cfg)
    right = accuracy(lessons.logits, labels(cfg.ways, cfg.queries))
    chosen = _hardest(right) if task is None else task
    return Showcase(
        task=chosen,
        support=episodes.support[chosen],
        query=episodes.query[chosen],
        answers=lessons.logits[:, chosen].argmax(-1).unflatten(-1, (cfg.ways, cfg.queries)).numpy(),
        accuracy=right[:, chosen].numpy(),
        before_us=before[chosen],
        after_us=_pair_us(readout.conductances_us())[chosen],
        target=_asked_for(start, lessons.increments[:, chosen], _limit(readout)[chosen]).numpy(),
        programmed=readout.weights()[chosen].numpy(),
        pulsed=lessons.pulsed[:, chosen].numpy(),
    )


def _hardest(right: Tensor) -> int:
    """Return the task with the most wrong answers after all steps, from shares of right ones (steps + 1, tasks)."""
    return int((1 - right[1:]).sum(0).argmax())


def _limit(readout: Crossbar) -> Tensor:
    """Return the largest |weight| that a write asks for: the range times the factor of its line, (chips, N, 1)."""
    assert isinstance(readout.cfg.w_range, float)
    return readout.cfg.w_range * readout.factors[:, 0].unsqueeze(-1)


def _asked_for(start: Tensor, increments: Tensor, limit: Tensor) -> Tensor:
    """Return the targets after all steps: a weight beyond the range is set to its limit."""
    weights = start
    for increment in increments:
        weights = torch.minimum(torch.maximum(weights + increment, -limit), limit)
    return weights


def _pair_us(conductances: Tensor) -> np.ndarray:
    """Return positive minus negative conductance (chips, N, n_inputs) of the first slice."""
    return (conductances[:, 0, 0] - conductances[:, 0, 1]).numpy()
