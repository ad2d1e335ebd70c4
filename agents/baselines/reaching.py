"""Reaching by a model of the arm: the ends of reaching's scale, from the nominal model or from the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..episodes import Array, Episode


@dataclass(frozen=True)
class ReachLawCfg:
    """How the arm is to move once joint angles are found that bring the tip to the goal."""

    move_s: float = 1.0
    """Time of the way there, which is as smooth as can be (least jerk: Flash and Hogan, J. Neurosci. 5, 1985)."""
    kp_per_s2: float = 100.0
    """Gain of the wanted acceleration on the position error."""
    kd_per_s: float = 20.0
    """Gain of the wanted acceleration on the velocity error."""


class ReachComputedTorque:
    """Inverse kinematics and computed torque from a model: the nominal arm's, or the truth (then it is the oracle).

    A model that knows of a delay plans for the moment at which a command arrives: the accelerations that are on their
    way are known, being its own.
    """

    def __init__(self, env: Any, tasks: Sequence[Any] | None = None, cfg: ReachLawCfg = ReachLawCfg()) -> None:
        """Build the controller.

        Args:
            env: Vector environment of reaching, for its model of the arm.
            tasks: True bodies, one an arm; None for the nominal arm.
            cfg: The law.
        """
        self._world, self._cfg = env.unwrapped, cfg
        self._tasks = None if tasks is None else list(tasks)
        steps = [0 if task is None else task.params["action_delay_steps"] for task in self._tasks or [None]]
        self._delay = np.array(steps)[:, None]  # (N, 1) or (1, 1)
        self.begin()

    def begin(self) -> None:
        """Forget way and commands of the last episode."""
        self._way: tuple[Array, Array] | None = None
        self._sent: list[Array] = []
        self._step = 0

    def act(self, observation: Array) -> Array:
        """Return the actions that the model holds right."""
        seen, dt_s = self._world.unpack(observation), self._world.arm_cfg.dt_s
        q, qd = seen.q_rad.astype(np.float64), seen.qd_rad_s.astype(np.float64)
        if self._way is None:
            self._way = q, self._world.inverse_kinematics(seen.goal_m, q, self._tasks)[0] - q
        q, qd = self._on_arrival(q, qd)
        place, speed, push = self._reference((self._step + self._delay) * dt_s)
        cfg = self._cfg
        wanted = push + cfg.kd_per_s * (speed - qd) + cfg.kp_per_s2 * (place - q)
        self._sent, self._step = [*self._sent, wanted], self._step + 1
        middle = q + 0.5 * dt_s * qd, qd + 0.5 * dt_s * wanted  # of the step over which the torque is held
        return np.clip(self._world.inverse_dynamics(*middle, wanted, self._tasks), -1.0, 1.0)

    def _on_arrival(self, q: Array, qd: Array) -> tuple[Array, Array]:
        """Return positions and velocities (N, J) for when the next command arrives, if all goes as commanded."""
        dt_s = self._world.arm_cfg.dt_s
        for lag in range(int(self._delay.max()), 0, -1):
            sent = self._sent[-lag] if lag <= len(self._sent) else np.zeros_like(q)
            late = self._delay >= lag
            q = np.where(late, q + dt_s * qd + 0.5 * dt_s**2 * sent, q)
            qd = np.where(late, qd + dt_s * sent, qd)
        return q, qd

    def _reference(self, time_s: Array) -> tuple[Array, Array, Array]:
        """Return where the joints should be, how fast, and the acceleration wanted half a step later."""
        assert self._way is not None
        start, way = self._way
        duration = self._cfg.move_s
        s = np.clip(time_s / duration, 0.0, 1.0)
        later = np.clip((time_s + 0.5 * self._world.arm_cfg.dt_s) / duration, 0.0, 1.0)
        place = start + way * s**3 * (10.0 - 15.0 * s + 6.0 * s * s)
        speed = way * 30.0 * s * s * (1.0 - s) ** 2 / duration
        return place, speed, way * 60.0 * later * (1.0 - later) * (1.0 - 2.0 * later) / duration**2

    def learn(self, episode: Episode) -> None:
        """Learn nothing."""
