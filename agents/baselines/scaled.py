"""Arms for a library's learner, with observations and rewards scaled by constants that are measured once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvStepReturn, VecEnvWrapper

from ..episodes import Array
from .scaling import Scaling


class ScaledVecEnv(VecEnvWrapper):
    """Arms whose observations and rewards are scaled by constants; Stable-Baselines3's VecNormalize keeps changing."""

    def __init__(self, env: VecEnv, scaling: Scaling) -> None:
        super().__init__(env)
        self.scaling = scaling

    def _observe(self, observation: Any) -> Array:
        return self.scaling.observe(torch.from_numpy(np.asarray(observation, dtype=np.float32))).numpy()

    def reset(self) -> Array:
        """Reset; return scaled observations."""
        return self._observe(self.venv.reset())

    def step_wait(self) -> VecEnvStepReturn:
        """Step; return scaled observations, scaled rewards, ends and infos."""
        observation, reward, done, infos = self.venv.step_wait()
        for index in np.flatnonzero(done):
            infos[index]["terminal_observation"] = self._observe(infos[index]["terminal_observation"])
        return self._observe(observation), reward * float(self.scaling.reward), done, infos


def measure(env: VecEnv, spread: float, gamma: float, generator: np.random.Generator) -> tuple[Scaling, int]:
    """Return the scaling that one episode of Gaussian actions gives, and how many steps of an arm the episode has.

    Args:
        env: Arms that have just been seeded and all end together.
        spread: Standard deviation of the actions: that of the untrained policy.
        gamma: Discount of the return whose spread scales the rewards.
        generator: Draws the actions.
    """
    shape = (env.num_envs, *(env.action_space.shape or ()))
    seen, returns, total = [np.asarray(env.reset())], [], np.zeros(env.num_envs)
    while True:
        action = np.clip(spread * generator.standard_normal(shape), -1.0, 1.0).astype(np.float32)
        observation, reward, done, _ = env.step(action)
        total = gamma * total + reward
        returns.append(total)
        if done.all():
            break
        seen.append(np.asarray(observation))
    every = torch.from_numpy(np.stack(seen)).flatten(0, 1)
    unit = 1.0 / max(float(np.std(returns)), 1e-6)
    return Scaling(every.mean(0), every.std(0).clamp(min=1e-2), torch.tensor(unit)), len(returns)
