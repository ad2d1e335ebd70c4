"""Few-shot learning by a delta rule on the readout alone, through features that were meta-trained for it.

Ortner et al. 2025, equations 1 to 3: inner steps W <- W + a (y - softmax(W h)) h, averaged over the support; the outer
loss is the query's after the last step, and its gradient passes through all steps (second order). As only the readout
changes, the gradient of a step has a closed form, so plain back-propagation is second-order MAML, and the features of
all pictures of all tasks come from one forward pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .convnet import NETS, ConvNet, ConvNetCfg, Statistics, features

STEPS = {"small": 4, "large": 5}  # of the inner loop, as published for these nets
REFERENCE_WAYS = 5  # the number of ways that a rate is given for

Stored = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class InnerCfg:
    """The inner loop."""

    steps: int | None = None
    """Full-batch steps on the support drawings; after each the readout is programmed again. None: as many as published,
    4, and 5 with the large net."""
    inner_rate: float = 0.1
    """Rate of a step for five ways. It grows with the ways: the mean over N characters of one character's drawings
    falls as 1/N, and with it the step that a character's own drawings ask for."""
    learned_rate: bool = True
    """Learn a rate for each step, from `inner_rate` on; False: the published constant."""

    def __post_init__(self) -> None:
        """Refuse what cannot learn."""
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not 0.0 < self.inner_rate < float("inf"):
            raise ValueError(f"inner_rate must be positive and finite, got {self.inner_rate}")


def readout_increment(readout: Tensor, inputs: Tensor, label: Tensor, rate: Tensor | float) -> Tensor:
    """Return what one step adds to readouts: the delta rule, minus the gradient of the mean cross-entropy.

    Args:
        readout: (..., N, F).
        inputs: (..., D, F), of D support drawings.
        label: (D, N), one-hot.
        rate: For five ways.

    Returns:
        (..., N, F).
    """
    said = inputs @ readout.transpose(-1, -2)
    return increment_from(said, inputs, label, rate)


def increment_from(logits: Tensor, inputs: Tensor, label: Tensor, rate: Tensor | float) -> Tensor:
    """Return the delta rule's increment (..., N, F) from logits (..., D, N) that anything computed, also a chip."""
    wrong = label - logits.softmax(-1)
    scale = logits.shape[-1] / REFERENCE_WAYS / logits.shape[-2]
    return (rate * scale) * (wrong.transpose(-1, -2) @ inputs)


def adapt(readout: Tensor, inputs: Tensor, label: Tensor, rates: Tensor, stored: Stored | None = None) -> list[Tensor]:
    """Return the readouts before any step and after each, each (tasks, N, F).

    `stored` stands in for what the memory does to a readout that is written to it (rounding, errors).
    """
    found = [readout]
    for rate in rates:
        readout = readout + readout_increment(readout, inputs, label, rate)
        if stored is not None:
            readout = stored(readout)
        found.append(readout)
    return found


def labels(ways: int, drawings: int, device: torch.device | str = "cpu") -> Tensor:
    """Return one-hot labels (ways x drawings, ways) of drawings that lie character by character."""
    return torch.eye(ways, device=device).repeat_interleave(drawings, 0)


def query_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (..., D, N)."""
    return -(label * logits.log_softmax(-1)).sum(-1).mean()


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Return each task's share of right answers, (...,), from logits (..., D, N).

    Ties count for what a guess among the tied is worth: a readout of zeros scores 1/N.
    """
    best = logits == logits.amax(-1, keepdim=True)
    return ((best * label).sum(-1) / best.sum(-1)).mean(-1)


class MamlLearner(nn.Module):
    """What meta-training finds: features, and the rates of the inner steps.

    The readout of every task starts from zero. Characters get their places among the N at random, so nothing can tell
    one output line's start from another's; and a start that all lines share adds the same to every logit, which
    softmax does not see. One learner therefore serves every number of ways.
    """

    def __init__(self, net: ConvNetCfg = NETS["small"], inner: InnerCfg = InnerCfg()) -> None:
        super().__init__()
        self.inner = dataclasses.replace(inner, steps=(steps := inner.steps or STEPS["small"]))
        self.net = ConvNet(net)
        self.rates = nn.Parameter(torch.full((steps,), inner.inner_rate), requires_grad=inner.learned_rate)

    def start(self, tasks: int, ways: int) -> Tensor:
        """Return the readouts before any step, (tasks, ways, n_inputs)."""
        return self.rates.new_zeros(tasks, ways, self.net.cfg.n_inputs)


class Outcome(NamedTuple):
    """What the outer loop sees of a meta-batch."""

    loss: Tensor
    """Mean cross-entropy of the queries after the last step, and in part after earlier ones."""
    accuracy: Tensor
    """Their share of right answers; no gradient."""
    seen: Statistics
    """What normalised the features."""


def meta_loss(
    learner: MamlLearner,
    pictures: Tensor,
    shots: int,
    stored: Stored | None = None,
    given: Statistics | None = None,
    toward: Statistics | None = None,
    early: float = 0.0,
) -> Outcome:
    """Return the outer loss; its gradient is the second-order one.

    Args:
        learner: Features and rates.
        pictures: (tasks, N, K + Q, C, H, W), the support drawings of a character first.
        shots: K.
        stored: Stands in for what the memory does to kernels and readouts that are written to it.
        given: Statistics for batch norm; None: those of all the pictures together.
        toward: As in `features`.
        early: Weight of the loss after each step before the last, whose weight is 1.
    """
    tasks, ways, drawings = pictures.shape[:3]
    kernels = [kernel if stored is None else stored(kernel) for kernel in learner.net.kernel]
    inputs, seen = features(pictures.flatten(0, 2), kernels, learner.net.cfg, given, toward)
    known, asked = inputs.unflatten(0, (tasks, ways, drawings)).split([shots, drawings - shots], dim=2)
    label = labels(ways, shots, inputs.device)
    readouts = adapt(learner.start(tasks, ways), known.flatten(1, 2), label, learner.rates, stored)
    logits = logits_after(readouts[1:], asked.flatten(1, 2))
    label = labels(ways, drawings - shots, inputs.device)
    loss = query_loss(logits[-1], label)
    if early:
        steps = len(logits) - 1
        loss = (loss + early * steps * query_loss(logits[:-1], label)) / (1 + early * steps)
    return Outcome(loss, accuracy(logits[-1].detach(), label).mean(), seen)


def logits_after(readouts: list[Tensor], inputs: Tensor) -> Tensor:
    """Return the logits of drawings (tasks, D, F) with each of several readouts, (readouts, tasks, D, N)."""
    return torch.stack([inputs @ readout.transpose(-1, -2) for readout in readouts])


def to_pictures(images: Tensor) -> Tensor:
    """Return uint8 pictures (..., 28, 28) as float (n, 1, 28, 28) in [0, 1], all leading axes flattened."""
    return images.reshape(-1, 1, *images.shape[-2:]).float() / 255
