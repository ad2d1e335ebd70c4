"""A world of two motors that move a point at once, each maybe the wrong way: reaching without physics, for tests."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.reward import RewardLearner
from agents.reward_sense import RewardCfg

STEPS = 12


class ToySeen(NamedTuple):
    """The parts of an observation."""

    q_rad: Any
    qd_rad_s: Any
    goal_m: Any
    tip_m: Any
    prev_action: Any


class ToyTask:
    """A body: which motors are reversed."""

    def __init__(self, reversed_motors):
        """Keep it."""
        self.params = {
            "payload_kg": float(sum(reversed_motors)),
            "gravity_tilt_rad": 0.0,
            "gravity_heading_rad": 0.0,
            "motor_reversed": tuple(reversed_motors),
            "motor_swap": -1,
        }

    def require_split(self, split):
        """Belong to every split."""


class ToyReach:
    """N points that commands move by 8 cm a step at most; the reward is minus the distance from the goal."""

    def __init__(self, n):
        """Build it."""
        self.n, self.unwrapped = n, self
        self.arm_cfg = SimpleNamespace(n_joints=2, parallel_joints=(0, 1))
        self.observation_space = SimpleNamespace(low=np.zeros((n, 10), dtype=np.float32))

    def unpack(self, seen):
        """Return the parts of observations (..., 10)."""
        return ToySeen(*(seen[..., k : k + 2] for k in range(0, 10, 2)))

    def sample_tasks(self, n, seed):
        """Return n bodies."""
        return [ToyTask(row) for row in np.random.default_rng(seed).integers(2, size=(n, 2)).tolist()]

    def set_tasks(self, tasks):
        """Set the bodies."""
        self._sign = 1.0 - 2.0 * np.array([task.params["motor_reversed"] for task in tasks])

    def reset(self, seed):
        """Begin."""
        self._rng = np.random.default_rng(list(seed))
        return self._begin(), {}

    def _begin(self):
        self._goal, self._tip = self._rng.uniform(-0.5, 0.5, (2, self.n, 2))
        self._step, self._speed, self._last = 0, np.zeros((self.n, 2)), np.zeros((self.n, 2))
        return self._observe()

    def _observe(self):
        parts = (np.zeros((self.n, 2)), self._speed, self._goal, self._tip, self._last)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def step(self, action):
        """Move; end all episodes at once."""
        self._last, self._speed = action, 0.08 * self._sign * action / 0.05
        self._tip = self._tip + 0.08 * self._sign * action
        self._step += 1
        far = np.linalg.norm(self._tip - self._goal, axis=1)
        done, seen, info = np.full(self.n, self._step == STEPS), self._observe(), {}
        if done.all():
            info = {"final_obs": seen, "final_info": {"tip_m": far, "success": far < 0.05}}
            seen = self._begin()
        return seen, -far, np.zeros(self.n, dtype=bool), done, info


def toy_learner(seed=0, **changes):
    """Return a small untrained learner of the toy world."""
    sizes = {"hidden": 16, "n_features": 9, "gates": 8, "lags": 2} | changes
    learner = RewardLearner(RewardCfg(2, 2, (0, 1), **sizes), (0.6, 0.5, 0.4), torch.tensor([0.5, 0.5]))
    learner.draw(torch.Generator().manual_seed(seed))
    return learner
