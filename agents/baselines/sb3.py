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
    that PPO bootstraps there. Infos are filled where an episode ends and empty elsewhere: a dictionary an arm at
    every step would cost as much as the policy.
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
        """Reset every arm with what `seed` and `set_options` left for this once; return observations (N, n_obs)."""
        observation, info = self.env.reset(seed=list(self._seeds), options=self._joint_options())
        self.reset_infos = [_row(info, index) for index in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observation

    def _joint_options(self) -> dict[str, Any] | None:
        """Return one dictionary of lists for the arms' dictionaries.

        Raises:
            ValueError: The arms do not have the same options.
        """
        kinds = {tuple(sorted(options)) for options in self._options}
        if len(kinds) > 1:
            raise ValueError(f"every arm takes the same options, not {sorted(kinds)}")
        return {name: [options[name] for options in self._options] for name in self._options[0]} or None

    def step_async(self, actions: Array) -> None:
        """Take actions (N, J)."""
        self._action = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step; return observations, rewards, ends, and one info an arm."""
        observation, reward, terminated, truncated, info = self.env.step(self._action)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(done).tolist():
            infos[index] = _row(info["final_info"], index)
            infos[index]["is_success"] = infos[index]["success"]  # the name under which its loggers look for it
            infos[index]["terminal_observation"] = info["final_obs"][index]
            infos[index]["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
            self.reset_infos[index] = {"dynamics": _row(info["dynamics"], index)}
        return observation, reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Close the arms."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the chosen arms.

        Raises:
            AttributeError: They have none of that name.
        """
        values = self.env.get_attr(attr_name)
        return [values[index] for index in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute on every arm.

        Raises:
            ValueError: Some of the arms only: they share one physics.
        """
        self._require_all(attr_name, indices)
        self.env.set_attr(attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Call a method and return the chosen arms' results.

        Raises:
            ValueError: A body is set on some of the arms only: the call reaches all of them.
        """
        if method_name == "set_task":
            self._require_all(method_name, indices)
        values = self.env.call(method_name, *args, **kwargs)
        return [values[index] for index in self._get_indices(indices)]

    def _require_all(self, name: str, indices: VecEnvIndices) -> None:
        if len(set(self._get_indices(indices))) != self.num_envs:
            raise ValueError(f"the arms share one physics: set {name!r} on all {self.num_envs} of them (indices=None)")

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
