"""Ridge refit of the delta learner's head: all lessons so far, kept and solved digitally; what writes can aim at.

It reads the same features in the same hindsight, with the same trace of commands, but keeps every lesson and solves for
the head that fits them all, with a penalty on the distance from where it started. In software: nothing is written.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..delta import DeltaLearner, Lesson
from ..episodes import Array, Episode
from ..policy import DeltaPolicy, SoftwareSubstrate

PENALTY = 0.3
"""Weight of the squared distance from the start over that of the mean squared error of a lesson: the best of ten on
32 training bodies of seed 1000."""


class Normal:
    """The normal equations of N arms' heads, summed over lessons."""

    def __init__(self, head: Tensor, n_arms: int) -> None:
        """Begin without lessons.

        Args:
            head: Where every head starts, (J, D).
            n_arms: N.
        """
        n_features = head.shape[1]
        self._start = head.detach().double()
        self._square = torch.zeros(n_arms, n_features, n_features, dtype=torch.float64)
        self._product = torch.zeros(n_arms, n_features, head.shape[0], dtype=torch.float64)

    def add(self, lesson: Lesson) -> None:
        """Take a lesson in."""
        features = lesson.features.double()
        target = (lesson.command - lesson.innate).double() - features @ self._start.T
        self._square += features.mT @ features / features.shape[1]
        self._product += features.mT @ target / features.shape[1]

    def solve(self, penalty: float) -> Tensor:
        """Return the heads (N, J, D) of least mean squared error plus penalty times squared distance from the start."""
        eye = torch.eye(self._square.shape[-1], dtype=torch.float64)
        moved = torch.linalg.solve(self._square + penalty * eye, self._product)
        return (self._start + moved.mT).float()


class RidgePolicy:
    """The delta learner's policy in software, its head refitted after each episode."""

    def __init__(self, learner: DeltaLearner, arm_cfg: Any, n_arms: int, penalty: float = PENALTY) -> None:
        """Put the learner in software.

        Raises:
            ValueError: The penalty is not positive.
        """
        if not penalty > 0:
            raise ValueError(f"penalty must be positive, got {penalty}")
        self.substrate = SoftwareSubstrate(learner, n_arms)
        self._policy = DeltaPolicy(learner, self.substrate, arm_cfg)
        self._normal, self._penalty = Normal(learner.head, n_arms), penalty

    def begin(self) -> None:
        """Begin an episode."""
        self._policy.begin()

    def act(self, observation: Array) -> Array:
        """Act as the delta learner's policy does."""
        return self._policy.act(observation)

    @torch.no_grad()
    def learn(self, episode: Episode) -> None:
        """Keep the lesson and refit."""
        self._normal.add(self._policy.lesson(episode))
        self.substrate.weights = self._normal.solve(self._penalty)
