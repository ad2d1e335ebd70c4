"""What acting and learning cost on the chip, per chip and task."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bill import Bill
from .episodes import Array, Controller, Episode
from .policy import Substrate


class Metered:
    """A policy with a meter on it: what each lesson cost and could not write, and what the rest, the acting, cost."""

    def __init__(self, policy: Controller, substrate: Substrate) -> None:
        self._policy, self._substrate = policy, substrate
        self._start = substrate.bill()
        self.lessons: list[Bill] = []
        self.failed: list[Array] = []

    def begin(self) -> None:
        """Begin an episode."""
        self._policy.begin()

    def act(self, observation: Array) -> Array:
        """Act."""
        return self._policy.act(observation)

    def learn(self, episode: Episode) -> Any:
        """Take the lesson and note its cost."""
        before = self._substrate.bill()
        report = self._policy.learn(episode)
        self.lessons.append(self._substrate.bill().minus(before))
        nothing = np.zeros(len(episode.error))
        self.failed.append(nothing if report is None else report.failed.cpu().numpy())
        return report

    def acting(self) -> Bill:
        """Return the cost of everything but the lessons."""
        total = self._substrate.bill().minus(self._start)
        for lesson in self.lessons:
            total = total.minus(lesson)
        return total
