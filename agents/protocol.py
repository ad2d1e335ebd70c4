"""Learners in the order of calls of Meta-World's evaluator, for many arms at once.

`metaworld/evaluation.py` (Farama-Foundation/Metaworld) calls a meta-learner so: `init`; then, once or more often, some
episodes of `adapt_action` and `step` with an `adapt` behind them; then episodes of `eval_action`, with `reset` at the
start and wherever one ends. `Controller` (agents/episodes.py) is the same order in fewer words, and `ControllerAgent`
makes one of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from .episodes import Array, Controller, Episode, ears


class Timestep(NamedTuple):
    """One step of N arms: Meta-World's fields in its order, and what it leaves out."""

    observation: Array
    action: Array
    reward: Array
    terminated: Array
    truncated: Array
    aux_policy_outputs: Mapping[str, Array]
    next_observation: Array | None = None
    """What the step led to (where the episode ended: the last of the episode, not the first of the next); Meta-World
    does not say, then an episode is one step shorter."""


class MetaLearningAgent(Protocol):
    """A meta-learner as Meta-World's `metalearning_evaluation` calls it; observations (N, n_obs), actions (N, J)."""

    def init(self) -> None:
        """Forget every body: what follows is met for the first time."""
        ...

    def adapt_action(self, observations: Array) -> tuple[Array, dict[str, Array]]:
        """Return actions in an episode that will teach, and what else the policy says."""
        ...

    def step(self, timestep: Any) -> None:
        """Take note of a step of such an episode."""
        ...

    def adapt(self) -> None:
        """Learn from what was noted."""
        ...

    def eval_action(self, observations: Array) -> Array:
        """Return actions in an episode that counts."""
        ...

    def reset(self, env_mask: Array) -> None:
        """Begin an episode where the mask (N,) says so."""
        ...


class ControllerAgent:
    """A controller behind Meta-World's calls: every episode noted before `adapt` is one lesson."""

    def __init__(self, build: Callable[[], Controller]) -> None:
        """Take the way to a controller that has met no body; a chip is programmed anew by every `init`."""
        self._build = build
        self.lessons: list[Any] = []
        self.init()

    def init(self) -> None:
        """Build the controller anew."""
        self._controller = self._build()
        self._steps: list[Any] = []
        self._episodes: list[Episode] = []
        self._begun = False
        self.lessons = []

    def adapt_action(self, observations: Array) -> tuple[Array, dict[str, Array]]:
        """Return the controller's actions, and nothing else."""
        if not self._begun:
            self._controller.begin()
            self._begun = True
        return self._controller.act(observations), {}

    def step(self, timestep: Any) -> None:
        """Note a step; where all arms are at their end, the episode is whole."""
        self._steps.append(timestep)
        ears(self._controller)(timestep.reward)
        if _all_or_none(np.logical_or(timestep.terminated, timestep.truncated)):
            self._episodes.append(as_episode(self._steps))
            self._steps, self._begun = [], False

    def adapt(self) -> None:
        """Take the lesson of every episode noted."""
        self.lessons += [self._controller.learn(episode) for episode in self._episodes]
        self._episodes = []

    def eval_action(self, observations: Array) -> Array:
        """Return the controller's actions."""
        return self._controller.act(observations)

    def reset(self, env_mask: Array) -> None:
        """Begin an episode."""
        if _all_or_none(env_mask):
            self._controller.begin()
        self._steps, self._begun = [], False


def as_episode(steps: list[Any]) -> Episode:
    """Return the episode of T noted steps, of T - 1 where the last observation is not known; its error is not (NaN)."""
    last = getattr(steps[-1], "next_observation", None)
    seen = [step.observation for step in steps] + ([] if last is None else [last])
    done = np.stack([step.action for step in steps[: len(seen) - 1]], axis=1)
    reward = np.stack([step.reward for step in steps[: len(seen) - 1]], axis=1)
    n_arms = done.shape[0]
    return Episode(
        observation=np.stack(seen, axis=1).astype(np.float32),
        action=np.clip(done, -1.0, 1.0),
        reward=reward,
        error=np.full(n_arms, np.nan),
        success=np.zeros(n_arms, dtype=bool),
    )


def _all_or_none(mask: Array) -> bool:
    """Return whether all arms are meant.

    Raises:
        ValueError: Some are: a lesson is one write of all chips at once.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.any() and not mask.all():
        raise ValueError(
            f"all arms begin and end together, not {int(mask.sum())} of {mask.size}; give them one horizon"
        )
    return bool(mask.all())
