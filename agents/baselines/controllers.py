"""Model-based controllers that the learners are measured against; none of them writes a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..episodes import Array, Episode


class ComputedTorque:
    """Computed torque from a model of the arm: the nominal one, or the truth (then it is the oracle).

    An integral of the joint error may be added to the wanted acceleration.
    """

    def __init__(self, env: Any, tasks: Sequence[Any] | None = None, integral_per_s3: float | Array = 0.0) -> None:
        """Build the controller.

        Args:
            env: Vector environment, for its model of the arm and the law of the wanted acceleration.
            tasks: True bodies, one an arm; None for the nominal arm.
            integral_per_s3: Gain of the integral of the joint error, rad/s2 per rad s; a number or (N, 1).
        """
        self._world = env.unwrapped
        self._tasks = None if tasks is None else list(tasks)
        self._gain = integral_per_s3
        self._integral: Array | float = 0.0

    def begin(self) -> None:
        """Empty the integral."""
        self._integral = 0.0

    def act(self, observation: Array) -> Array:
        """Return the actions that the model holds right."""
        arm = self._world.arm_cfg
        seen = arm.unpack(observation)
        wanted = arm.commanded_acceleration(observation) + self._gain * self._integral
        self._integral = self._integral + (seen.q_ref_rad - seen.q_rad) * arm.dt_s
        action = self._world.inverse_dynamics(seen.q_rad, seen.qd_rad_s, wanted, self._tasks)
        return np.clip(action, -1.0, 1.0)

    def learn(self, episode: Episode) -> None:
        """Learn nothing."""


class Blend:
    """Actions between those of two controllers: behaviour of every quality to start meta-training from."""

    def __init__(self, one: ComputedTorque, other: ComputedTorque, share: Array) -> None:
        """Mix `share` (N, 1) of `other` into `one`."""
        self._one, self._other, self._share = one, other, share

    def begin(self) -> None:
        """Begin an episode in both."""
        self._one.begin()
        self._other.begin()

    def act(self, observation: Array) -> Array:
        """Return the blended actions."""
        return (1 - self._share) * self._one.act(observation) + self._share * self._other.act(observation)

    def learn(self, episode: Episode) -> None:
        """Learn nothing."""
