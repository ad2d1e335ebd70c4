"""Stable-Baselines3 on many arms at once: a VecEnv over the vector environment.

Stable-Baselines3 has no adapter for Gymnasium's VectorEnv (DLR-RM/stable-baselines3#1745), and its own
SubprocVecEnv pays for a process per arm.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvObs, VecEnvStepReturn

from ..episodes import Array, make_arms


class ArmVecEnv(VecEnv):
    """A Gymnasium vector environment with same-step autoreset, as Stable-Baselines3 expects one.

    `final_obs` becomes `terminal_observation`, and an episode that ran out of time says `TimeLimit.truncated`, so
    that PPO bootstraps there.
    """

    def __init__(self, env: Any) -> None:
        """Wrap `env`.

        Args:
            env: Vector environment whose autoreset mode is SAME_STEP.

        Raises:
            ValueError: Another autoreset mode: its first step after an end would be taken for a real one.
        """
        mode = env.metadata.get("autoreset_mode")
        if mode is not gym.vector.AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset mode {mode!r}; choose from [AutoresetMode.SAME_STEP]")
        self.env = env
        self._action: Array | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Reset every arm, with the seed that `seed` left, and return observations (N, n_obs)."""
        seed = self._seeds[0]
        observation, info = self.env.reset(seed=seed)
        self.reset_infos = [_row(info, index) for index in range(self.num_envs)]
        self._reset_seeds()
        return observation

    def step_async(self, actions: Array) -> None:
        """Take actions (N, J)."""
        self._action = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step; return observations, rewards, ends, and one info an arm."""
        observation, reward, terminated, truncated, info = self.env.step(self._action)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(done):
            infos[index] = _row(info["final_info"], index)
            infos[index]["terminal_observation"] = info["final_obs"][index]
            infos[index]["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
        return observation, reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Close the arms."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the chosen arms."""
        values = self.env.get_attr(attr_name)
        return [values[index] for index in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute on every arm.

        Raises:
            ValueError: Some of the arms only: they share one physics.
        """
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(
                f"the arms share one physics: set {attr_name!r} on all {self.num_envs} of them (indices=None)"
            )
        self.env.set_attr(attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call a method and return the chosen arms' results."""
        values = self.env.call(method_name, *args, **kwargs)
        return [values[index] for index in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Return False for every arm: nothing wraps them one by one."""
        return [False for _ in self._get_indices(indices)]


def _row(info: dict[str, Any], index: int) -> dict[str, Any]:
    """Return one arm's info, as plain numbers, out of Gymnasium's dictionary of arrays."""
    row: dict[str, Any] = {}
    for key, value in info.items():
        if key.startswith("_"):
            continue
        mask = info.get(f"_{key}")
        if mask is not None and not mask[index]:
            continue
        row[key] = _row(value, index) if isinstance(value, dict) else _plain(value[index])
    return row


def _plain(value: Any) -> Any:
    """Return a Python number for a numpy one."""
    return value.item() if isinstance(value, np.generic) else value


def make_vec_env(env_id: str, n_arms: int, **options: Any) -> ArmVecEnv:
    """Return `n_arms` arms of a registered family as one VecEnv; a new body is drawn at every reset."""
    return ArmVecEnv(make_arms(env_id, n_arms, **options))
