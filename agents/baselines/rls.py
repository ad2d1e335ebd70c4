"""Recursive least squares with the true regressor: indirect adaptive control, the textbook's answer to unknown bodies.

At every control step each joint's numbers are estimated anew from the command that was issued and the acceleration that
it bought (the difference of two measured velocities), and the next command is what the estimate says of the wanted
acceleration. It is told what the learner is not: the equations of the arm, its true link lengths, and the mean and
covariance of its unknowns over training bodies. The delay is unknown to it as well: it keeps an estimate for each delay
and believes the one that has predicted best. No device is written; what it knows stays from episode to episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..checks import check_above_zero
from ..episodes import Array, Episode
from .regressor import Prior, Regressor, Sample, prior

Lengths = Literal["true", "nominal"]


@dataclass(frozen=True)
class RlsCfg:
    """The estimator."""

    noise: float = 0.01
    """Standard deviation of a command's prediction error, of full action: how slowly the prior is left."""
    clip: float = 3.0
    """Prediction errors are clipped at so many of their standard deviations: a joint limit pushes back unforeseen."""
    forgetting: float = 1.0
    """Share of the information that is kept from one step to the next. Below 1 later steps count for more; below .99
    what no motion shows grows until the estimates overflow (`docs/midlife.md`)."""
    delays: int = 3
    """Delays that are told apart, in control steps: 0, 1, ..."""
    lengths: Lengths = "true"
    """Link lengths that the regressor is made of: torque is not linear in them, so they are not estimated."""

    def __post_init__(self) -> None:
        """Refuse an estimator that cannot estimate."""
        check_above_zero(self, "noise", "clip", "delays")
        if self.lengths not in (known := get_args(Lengths)):
            raise ValueError(f"unknown lengths {self.lengths!r}; choose from {list(known)}")
        if not 0.0 < self.forgetting <= 1.0:
            raise ValueError(f"forgetting must be above 0 and at most 1, got {self.forgetting}")


class Estimate:
    """Gaussian beliefs about theta of every delay, arm and joint."""

    def __init__(self, cfg: RlsCfg, believed: Prior, n_arms: int) -> None:
        shape = (cfg.delays, n_arms)
        self._cfg = cfg
        self.mean = np.broadcast_to(believed.mean, (*shape, *believed.mean.shape)).copy()  # (H, N, J, C)
        self.covariance = np.broadcast_to(believed.covariance, (*shape, *believed.covariance.shape)).copy()
        self.surprise = np.zeros(shape)  # sum of what each delay failed to predict

    def update(self, columns: Array, command: Array) -> None:
        """Take one sample in (Astrom and Wittenmark, Adaptive Control, 2nd edition, theorem 2.3).

        Args:
            columns: Regressor of the step, (N, J, C).
            command: What was issued so long before, (H, N, J).
        """
        cfg = self._cfg
        spread = np.einsum("hnjcd,njd->hnjc", self.covariance, columns)
        variance = np.einsum("njc,hnjc->hnj", columns, spread) + cfg.noise**2
        error = command - np.einsum("njc,hnjc->hnj", columns, self.mean)
        self.surprise += np.minimum(error**2 / variance, cfg.clip**2).sum(-1) + np.log(variance).sum(-1)
        limit = cfg.clip * np.sqrt(variance)
        gain = spread / variance[..., None]
        self.mean += gain * np.clip(error, -limit, limit)[..., None]
        self.covariance -= gain[..., :, None] * spread[..., None, :]
        self.covariance /= cfg.forgetting

    def best(self) -> Array:
        """Return theta (N, J, C) of the delay that surprised least."""
        return self.mean[self.surprise.argmin(axis=0), np.arange(self.mean.shape[1])]


class RecursiveLeastSquares:
    """Computed torque from estimates that every control step corrects."""

    def __init__(self, env: Any, tasks: Sequence[Any], cfg: RlsCfg | None = None) -> None:
        """Build the controller of one arm a task.

        Args:
            env: Vector environment, for inverse dynamics, training bodies and the law of the wanted acceleration.
            tasks: True bodies, of which the link lengths are taken.
            cfg: The estimator.
        """
        self.cfg = RlsCfg() if cfg is None else cfg
        self._arm, self._regressor = (
            env.unwrapped.arm_cfg,
            Regressor(env, tasks if self.cfg.lengths == "true" else None),
        )
        self.estimate = Estimate(self.cfg, prior(env), len(tasks))
        self.begin()

    def begin(self) -> None:
        """Forget the last step, since arms are put elsewhere; keep what is known of the body."""
        self._last: Any = None
        self._issued: list[Array] = []

    def act(self, observation: Array) -> Array:
        """Correct the estimate by the step that ended here, then return what it says of the wanted acceleration."""
        seen = self._arm.unpack(np.asarray(observation, dtype=np.float64))
        wanted = self._arm.commanded_acceleration(np.asarray(observation, dtype=np.float64))
        last = seen if self._last is None else self._last
        bought = (seen.qd_rad_s - last.qd_rad_s) / self._arm.dt_s
        pairs = ((last.q_rad, seen.q_rad), (last.qd_rad_s, seen.qd_rad_s), (bought, wanted))
        columns = self._regressor(Sample(*(np.stack(pair, axis=1) for pair in pairs)))  # (N, 2, J, C)
        if self._last is not None:
            self.estimate.update(columns[:, 0], self._commands_before())
        action = np.einsum("njc,njc->nj", columns[:, 1], self.estimate.best()).clip(-1.0, 1.0)
        self._last = seen
        self._issued = [action, *self._issued[: self.cfg.delays - 1]]
        return action

    def _commands_before(self) -> Array:
        """Return the command that each delay says drove the last step, (H, N, J); before an episode there is none."""
        nothing = np.zeros_like(self._issued[0])
        return np.stack([*self._issued, *[nothing] * (self.cfg.delays - len(self._issued))])

    def learn(self, episode: Episode) -> None:
        """Learn nothing more: it has learned at every step."""
