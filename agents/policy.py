"""The delta learner's policy at work: in software, or with every learned matrix on simulated chips."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .bill import Bill
from .delta import DeltaLearner, Lesson, command_trace, head_increment
from .episodes import Array, Episode
from .network import Encoding, Reading, encode
from .surprise import take_back


class Tracing(Encoding, Protocol):
    """A learner whose lessons aim at a trace of past commands."""

    @property
    def trace(self) -> Tensor:
        """Weight of each lag in the trace, (lags,), summing to 1."""
        ...


class Substrate(Protocol):
    """What the matrices live on. Arms are chip-major: the tasks of chip 0 first, then those of chip 1."""

    def fixed(self, x: Tensor) -> Reading:
        """Read the fixed layers for inputs (N, T, n_inputs)."""
        ...

    def head(self, features: Tensor) -> Tensor:
        """Read the head for features (N, T, D); returns (N, T, J)."""
        ...

    def write(self, increment: Tensor) -> Any:
        """Write increments (N, J, D) into the heads; returns a report."""
        ...

    def bill(self) -> Any:
        """Return the bill so far, per arm."""
        ...

    def digital(self, name: str, count: float) -> None:
        """Book digital operations of every arm."""
        ...


class SoftwareSubstrate:
    """Float matrices: N heads that share one set of fixed layers."""

    def __init__(self, learner: DeltaLearner, n_arms: int, added: Tensor | None = None) -> None:
        """Start the heads where meta-training put them, plus what other bodies' lessons have `added`, (N, J, D)."""
        self._learner = learner
        start = learner.head.detach().expand(n_arms, -1, -1)
        self.weights = start.clone() if added is None else start + added

    def fixed(self, x: Tensor) -> Reading:
        """Read the fixed layers."""
        return self._learner.fixed(x)

    def head(self, features: Tensor) -> Tensor:
        """Read the heads."""
        return features @ self.weights.transpose(-1, -2)

    def write(self, increment: Tensor) -> None:
        """Add exactly."""
        self.weights = self.weights + increment

    def bill(self) -> Bill:
        """Return zeros: software is not billed."""
        return Bill.nothing(self.weights.shape[0])

    def digital(self, name: str, count: float) -> None:
        """Book nothing."""


class DeltaPolicy:
    """Encodes, reads, acts, and after each episode takes its lesson; the digital part of the learner."""

    def __init__(
        self,
        learner: DeltaLearner,
        substrate: Substrate,
        arm_cfg: Any,
        *,
        plastic: bool = True,
        surprise: float = math.inf,
    ) -> None:
        """Put a learner on a substrate.

        Args:
            learner: Scales, rule and rates (its matrices are not read: the substrate holds them).
            substrate: What the matrices live on.
            arm_cfg: The arm's layout of observations and law of the wanted acceleration.
            plastic: False: never write.
            surprise: A lesson whose mean error is beyond it, in network units, begins again from the head's start.

        Raises:
            ValueError: The surprise is not positive.
        """
        if not surprise > 0:
            raise ValueError(f"surprise must be positive, got {surprise}")
        self._learner, self._substrate, self._arm, self._plastic = learner, substrate, arm_cfg, plastic
        self._surprise = surprise
        self._added: Tensor | None = None  # (N, J, D) sum of all increments; kept only where it may be taken back

    def begin(self) -> None:
        """Nothing belongs to one episode."""

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """Return actions (N, J) for observations (N, n_obs)."""
        reading = self._substrate.fixed(foresight(self._learner, self._arm, observation))
        self._book(1)
        command = reading.command + self._substrate.head(reading.features)
        return (command * self._learner.action_scale).clamp(-1.0, 1.0)[:, 0].numpy()

    @torch.no_grad()
    def learn(self, episode: Episode) -> Any:
        """Read the episode once more with measured accelerations, and write what it teaches."""
        if not self._plastic:
            return None
        lesson = self.lesson(episode)
        self._book(episode.action.shape[1])
        rule, (n_joints, n_features) = self._learner.rule, self._learner.head.shape
        self._substrate.digital("outer_product_macs", rule.steps * episode.action.shape[1] * n_joints * n_features * 2)
        return self._substrate.write(self._increment(lesson))

    def _increment(self, lesson: Lesson) -> Tensor:
        """Return what a lesson writes, (N, J, D): where it surprises, what was added before is taken back in it."""
        rate, rule = self._learner.rate, self._learner.rule
        if math.isinf(self._surprise):
            return head_increment(lesson, rate, rule)
        n_arms, n_steps, n_features = lesson.features.shape
        if self._added is None:
            self._added = torch.zeros(n_arms, *self._learner.head.shape)
        self._substrate.digital("take_back_macs", n_steps * n_features * self._learner.head.shape[0])
        lesson, back = take_back(lesson, self._added, self._surprise, rule)
        increment = back + head_increment(lesson, rate, rule)
        self._added = self._added + increment
        return increment

    def _book(self, n_steps: int) -> None:
        """Book what is digital in `n_steps` readings of the network."""
        cfg = self._learner.network
        angles = cfg.n_joints + len(cfg.parallel_joints) - 1
        self._substrate.digital("sines", n_steps * 2 * angles)
        self._substrate.digital("tanhs", n_steps * (2 * cfg.hidden + cfg.n_features - 1 + cfg.n_joints))
        self._substrate.digital("law_and_scaling_macs", n_steps * (2 * cfg.n_joints + cfg.n_inputs + cfg.n_joints))

    def lesson(self, episode: Episode) -> Lesson:
        """Return what the substrate says of an episode in hindsight."""
        x = hindsight(self._learner, self._arm, episode)
        reading = self._substrate.fixed(x)
        trace = issued(self._learner, episode)
        return Lesson(reading.features, trace, reading.command, self._substrate.head(reading.features))


def foresight(learner: Encoding, arm_cfg: Any, observation: Array) -> Tensor:
    """Return encoded inputs (N, 1, n_inputs) for observations (N, n_obs), with the wanted acceleration."""
    seen = torch.from_numpy(np.asarray(observation, dtype=np.float32))[:, None]
    parts = arm_cfg.unpack(seen)
    return encode(learner.network, parts.q_rad, parts.qd_rad_s, arm_cfg.commanded_acceleration(seen))


def issued(learner: Tracing, episode: Episode) -> Tensor:
    """Return the trace (N, T, J) of the commands that were issued in an episode, in network units."""
    return command_trace(torch.from_numpy(episode.action.astype(np.float32)) / learner.action_scale, learner.trace)


def hindsight(learner: Encoding, arm_cfg: Any, episode: Episode) -> Tensor:
    """Return encoded inputs (N, T, n_inputs) with the measured acceleration in place of the wanted one.

    The acceleration over a control step is the difference of the velocities around it; no sensor gives it.
    """
    parts = arm_cfg.unpack(torch.from_numpy(episode.observation.astype(np.float32)))
    measured = (parts.qd_rad_s[:, 1:] - parts.qd_rad_s[:, :-1]) / arm_cfg.dt_s
    return encode(learner.network, parts.q_rad[:, :-1], parts.qd_rad_s[:, :-1], measured)
