"""Slotine-Li adaptive control with the true regressor (Slotine and Li, Int. J. Robotics Research 6, 1987).

Direct adaptive control: u = Y(q, qd, qd_r, qdd_r) theta - k s, and theta falls along gain Y^T s, where s = qd - qd_r is
the error of the velocity that would lead back to the reference, qd_r = qd_ref + lambda (q_ref - q). Without delay it is
proven to vanish; the proof holds joint by joint with gains of the motors too, which weigh s. It is told what the
learner is not: the equations of the arm, its true link lengths, and mean and covariance of its unknowns over training
bodies, from which it begins and along which it adapts. No device is written; what it knows stays between episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import check_above_zero
from ..episodes import Array, Episode
from .regressor import Regressor, Sample, prior


@dataclass(frozen=True)
class SlotineLiCfg:
    """The gains."""

    slope_per_s: float = 10.0
    """Lambda; 10 with a feedback of 10 is the world's law of the wanted acceleration, e'' + 20 e' + 100 e = 0."""
    feedback_per_s: float = 5.0
    """Gain on s, times the nominal inertia of each joint at angle zero; with 10 a body that acts late swings."""
    adaptation: float = 5.0
    """Gain of adaptation, times the covariance of the unknowns. This and the feedback: the best of a dozen pairs on 32
    training bodies of seed 1000."""

    def __post_init__(self) -> None:
        """Refuse gains that stabilise nothing."""
        check_above_zero(self, "slope_per_s", "feedback_per_s", "adaptation")


class SlotineLi:
    """Adaptive control of one arm a task."""

    def __init__(self, env: Any, tasks: Sequence[Any], cfg: SlotineLiCfg | None = None) -> None:
        """Build the controller.

        Args:
            env: Vector environment, for inverse dynamics, training bodies and the length of a control step.
            tasks: True bodies, of which the link lengths are taken.
            cfg: The gains.
        """
        self.cfg = SlotineLiCfg() if cfg is None else cfg
        self._arm, self._regressor = env.unwrapped.arm_cfg, Regressor(env, tasks)
        known = prior(env)
        self.theta = np.broadcast_to(known.mean, (len(tasks), *known.mean.shape)).copy()  # (N, J, C)
        self._gain = self.cfg.adaptation * known.covariance
        self._feedback = self.cfg.feedback_per_s * nominal_inertia(env)

    def begin(self) -> None:
        """Nothing belongs to one episode."""

    def act(self, observation: Array) -> Array:
        """Return the command, and adapt by the error that is seen."""
        seen = self._arm.unpack(np.asarray(observation, dtype=np.float64))
        slope = self.cfg.slope_per_s
        qd_r = seen.qd_ref_rad_s + slope * (seen.q_ref_rad - seen.q_rad)
        qdd_r = seen.qdd_ref_rad_s2 + slope * (seen.qd_ref_rad_s - seen.qd_rad_s)
        s = seen.qd_rad_s - qd_r
        columns = passive_columns(self._regressor, seen.q_rad, seen.qd_rad_s, qd_r, qdd_r)  # (N, J, C)
        action = np.einsum("njc,njc->nj", columns, self.theta) - self._feedback * s
        fall = np.einsum("jcd,njd,nj->njc", self._gain, columns, s)
        self.theta -= self._arm.dt_s * np.where(
            (np.abs(action) <= 1.0)[..., None], fall, 0.0
        )  # not while it is clipped
        return action.clip(-1.0, 1.0)

    def learn(self, episode: Episode) -> None:
        """Learn nothing more: it has adapted at every step."""


def passive_columns(regressor: Regressor, q: Array, qd: Array, qd_r: Array, qdd_r: Array) -> Array:
    """Return Y(q, qd, qd_r, qdd_r), (N, J, C), in which the Coriolis matrix C(q, qd) multiplies qd_r.

    C(q, a) b is symmetric in a and b (Christoffel symbols), so C(q, a) b = [h(a + b) - h(a - b)] / 4 where
    h(v) = C(q, v) v.
    Friction is that of the true motion.
    """
    still = np.zeros_like(q)
    samples = ((q, still, qdd_r), (q, qd + qd_r, still), (q, qd - qd_r, still), (q, qd, qdd_r))
    stacked = (np.stack(parts, axis=1) for parts in zip(*samples, strict=True))
    accelerated, plus, minus, moving = np.moveaxis(regressor(Sample(*stacked)), 1, 0)
    columns = accelerated + (plus - minus) / 4
    columns[..., -2:] = moving[..., -2:]
    return columns


def nominal_inertia(env: Any) -> Array:
    """Return the command that one rad/s2 of each joint alone takes on the nominal arm at angle zero, (J,)."""
    n = env.unwrapped.arm_cfg.n_joints
    still, push = np.zeros((n, n)), np.eye(n)
    pushed = env.unwrapped.inverse_dynamics(still, still, push, None)
    return np.diagonal(pushed - env.unwrapped.inverse_dynamics(still, still, still, None)).copy()
