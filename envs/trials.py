"""Trials: several episodes on one body as one long episode, so that whoever remembers can learn the body.

The setting of RL2 (Duan et al. 2016, arXiv:1611.02779; Wang et al. 2016, arXiv:1611.05763): a recurrent policy sees
what it did and what that earned, its state runs on from episode to episode, and the return of the whole trial is what
it is trained on.
"""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

Array = NDArray[Any]
REWARD_BOUND = 10.0
"""Where observed rewards are cut; the arms' stay within it."""


def trial_space(observation: Any, action: Any) -> gym.spaces.Box:
    """Return the space of observations with the previous action and reward and the flag of an episode's start.

    Args:
        observation: Box of one arm's observations (n_obs,).
        action: Box of its actions (J,).
    """
    low = np.concatenate([observation.low, action.low, [-REWARD_BOUND, 0.0]])
    high = np.concatenate([observation.high, action.high, [REWARD_BOUND, 1.0]])
    return gym.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def trial_observation(observation: Array, action: Array, reward: Array, start: Array) -> Array:
    """Return what a trial shows, (..., n_obs + J + 2) float32.

    Args:
        observation: The world's own (..., n_obs).
        action: What was done last in this trial (..., J); 0 before the first step.
        reward: What it earned (...,); 0 before the first step.
        start: Whether an episode begins here (...,).
    """
    cut = np.clip(np.asarray(reward), -REWARD_BOUND, REWARD_BOUND)[..., None]
    flag = np.asarray(start)[..., None]
    return np.concatenate([observation, np.clip(action, -1.0, 1.0), cut, flag], axis=-1, dtype=np.float32)


class Holder(Protocol):
    """An arm, or many, that can keep a body over the next resets."""

    def hold_task(self, held: Any) -> None:
        """Keep it or not; one answer for all arms, or one each (N,)."""
        ...


def _holder(env: Any) -> Holder:
    """Return what is inside all wrappers."""
    return env.unwrapped


def _checked(episodes: int) -> int:
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    return episodes


class TrialEnv(gym.Wrapper[Array, Array, Array, Array], gym.utils.RecordConstructorArgs):
    """K episodes of one arm on one body as one episode; a new body is drawn only where a trial begins."""

    def __init__(self, env: gym.Env[Array, Array], episodes: int = 4) -> None:
        """Wrap one arm.

        Args:
            env: An arm, as `gym.make` gives it.
            episodes: Episodes K of a trial.
        """
        gym.utils.RecordConstructorArgs.__init__(self, episodes=episodes)
        gym.Wrapper.__init__(self, env)
        self.episodes, self._number = _checked(episodes), 0
        self.observation_space = trial_space(env.observation_space, env.action_space)
        self._nothing = np.zeros(env.action_space.shape or (), dtype=np.float32)
        self._total, self._length, self._returns = 0.0, 0, []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin a trial; seed and options are the arm's own."""
        _holder(self.env).hold_task(False)
        observation, info = self.env.reset(seed=seed, options=options)
        self._number, self._total, self._length, self._returns = 0, 0.0, 0, []
        return trial_observation(observation, self._nothing, np.zeros(()), np.ones(())), info

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Step; where an episode of the trial ends, the next one begins in the same step.

        The info then has the ended episode's under "episode_info"; at the trial's end `episode` counts all of it, and
        "episode_returns" has each one's return.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._total, self._length = self._total + float(reward), self._length + 1
        ended, last = terminated or truncated, self._number == self.episodes - 1
        if ended:
            self._returns.append(self._total - sum(self._returns))
        if ended and not last:
            observation, info = self._begin_next(info)
        elif ended:
            totals = {"r": self._total, "l": self._length}
            info = {**info, "episode": totals, "episode_returns": np.array(self._returns)}
        start = np.asarray(ended and not last)
        seen = trial_observation(observation, np.asarray(action), np.asarray(reward), start)
        return seen, float(reward), terminated and last, truncated and last, info

    def _begin_next(self, info: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        """Begin the trial's next episode on the same body."""
        self._number += 1
        _holder(self.env).hold_task(True)
        observation, reset_info = self.env.reset()
        return observation, {**reset_info, "episode_info": info}


class TrialVectorEnv(VectorWrapper):
    """The same for many arms at once: a finished trial's next begins in the same step, on a new body."""

    def __init__(self, env: VectorEnv[Array, Array, Array], episodes: int = 4) -> None:
        """Wrap many arms.

        Args:
            env: Vector environment whose autoreset mode is SAME_STEP.
            episodes: Episodes K of a trial.

        Raises:
            ValueError: Another autoreset mode: an arm's body could not be held over it.
        """
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(f"autoreset mode {mode!r}; choose from [AutoresetMode.SAME_STEP]")
        self.episodes = _checked(episodes)
        self.single_observation_space = trial_space(env.single_observation_space, env.single_action_space)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._number, self._length = np.zeros((2, env.num_envs), dtype=np.int64)
        self._returns = np.zeros((env.num_envs, self.episodes))

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin a trial on every arm; seed and options are the arms' own, but for "reset_mask".

        Raises:
            ValueError: A mask: what the other arms did last is not kept.
        """
        if "reset_mask" in (options or {}):
            raise ValueError("unknown option 'reset_mask'; choose from ['task']: trials begin on all arms together")
        _holder(self.env).hold_task(False)
        observation, info = self.env.reset(seed=seed, options=options)
        every, nothing = np.ones(self.num_envs, dtype=bool), np.zeros(self.num_envs)
        self._clear(every)
        self._hold()
        return trial_observation(observation, np.zeros(self.action_space.shape or ()), nothing, every), info

    def _clear(self, ids: Array) -> None:
        """Begin counting anew on the arms of a mask."""
        self._number[ids], self._length[ids], self._returns[ids] = 0, 0, 0.0

    def _hold(self) -> None:
        """Let every arm keep its body at its next reset, but for those in the last episode of their trial."""
        _holder(self.env).hold_task(self._number < self.episodes - 1)

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step every arm; see `TrialEnv.step`.

        Where a trial ended, "final_obs" and "final_info" are the trial's; where only an episode did, "episode_info"
        has what its last step said.
        """
        observation, reward, terminated, truncated, info = self.env.step(actions)
        self._length += 1
        self._returns[np.arange(self.num_envs), self._number] += reward
        ended = terminated | truncated
        if not ended.any():
            seen = trial_observation(observation, np.asarray(actions), reward, ended)
            return seen, reward, terminated, truncated, info
        over = ended & (self._number == self.episodes - 1)
        info = self._told(info, ended, over, actions, reward)
        self._number += ended
        self._clear(over)
        self._hold()
        before = np.where(over[:, None], 0.0, np.asarray(actions))  # a new trial begins with nothing done
        seen = trial_observation(observation, before, np.where(over, 0.0, reward), ended)
        return seen, reward, terminated & over, truncated & over, info

    # What a vector environment offers beyond Gymnasium's wrapper of it.
    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method of the arms."""
        return self.env.call(name, *args, **kwargs)  # type: ignore[attr-defined]

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Return an attribute for every arm."""
        return self.env.get_attr(name)  # type: ignore[attr-defined]

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of the arms."""
        self.env.set_attr(name, values)  # type: ignore[attr-defined]

    def _told(self, info: dict[str, Any], ended: Array, over: Array, actions: Any, reward: Array) -> dict[str, Any]:
        """Return info in which only trials that are over are final."""
        kept = {key: value for key, value in info.items() if key.lstrip("_") not in ("final_obs", "final_info")}
        kept["episode_info"] = _masked(info["final_info"], ended & ~over)
        kept["_episode_info"] = ended & ~over
        if not over.any():
            return kept
        final = _masked(info["final_info"], over)
        totals = {"r": np.where(over, self._returns.sum(1), 0.0), "l": np.where(over, self._length, 0)}
        final["episode"] = {**totals, "_r": over.copy(), "_l": over.copy()}
        final["episode_returns"], final["_episode_returns"] = self._returns * over[:, None], over.copy()
        kept["final_info"], kept["_final_info"], kept["_final_obs"] = final, over.copy(), over.copy()
        kept["final_obs"] = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(over):
            kept["final_obs"][i] = trial_observation(
                info["final_obs"][i], np.asarray(actions)[i], reward[i], np.zeros(())
            )
        return kept


def _masked(info: dict[str, Any], mask: Array) -> dict[str, Any]:
    """Return info whose masks let only some arms through."""
    return {
        key: _masked(value, mask) if isinstance(value, dict) else value & mask if key.startswith("_") else value
        for key, value in info.items()
    }
